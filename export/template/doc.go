// Package template holds what a receiver of records must import before the first
// one comes: index templates, tables, dashboards, configuration.
//
// Each lies in the folder files in the language of its receiver, to be read and
// changed there. Names and types of fields are those that package export writes;
// the tests hold the one against the other in both directions. What the fields mean
// is in docs/fields.md, how each receiver is set up in docs/siem.
package template
