// Package sink brings rendered records to where they are wanted: files with
// rotation, syslog, search engines, queues.
//
// A [Receiver] speaks one protocol and delivers one batch of [Record]s at a time. A
// Delivery stands before it: it accepts records, makes batches, tries again, and
// keeps the balance of what became of each record. What a Delivery could not bring
// away yet waits in memory or in a spool (package spool).
package sink
