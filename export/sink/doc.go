// Package sink delivers rendered records to where they are wanted: files with rotation,
// syslog, search engines, message queues.
//
// A [Receiver] speaks one protocol and delivers a batch of [Record]s at a time. Records
// wait for it in a [Queue], in memory ([Memory]) or on disk (package spool). A [Delivery]
// connects the two: it takes batches from the queue, has the receiver deliver them, tries
// again, and keeps the [Balance] of what became of each record.
package sink
