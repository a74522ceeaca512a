// Package template holds what a receiver must import before its first records: index
// templates, tables, dashboards, configuration.
//
// Each template lies in the folder files, in the language of its receiver, to be read and
// changed there. Names and types of fields are those that package export writes; the
// tests compare the two in both directions. docs/fields.md says what the fields mean,
// docs/siem how each receiver is set up.
package template
