// Package sink brings rendered records to where they are wanted: files with
// rotation, syslog, search engines, queues.
//
// A [Receiver] speaks one protocol and delivers a batch of [Record]s at a time. Records
// wait for it in a [Queue], in memory ([Memory]) or on disk (package spool). A [Delivery]
// stands between the two: it takes batches out of the queue, has the receiver deliver
// them, tries again, and keeps the balance of what became of each record.
package sink
