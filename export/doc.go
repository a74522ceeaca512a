// Package export writes annotated Flow Records: [ECS] as JSON lines of the
// Elastic Common Schema for programs, [Text] as aligned lines for a person, [CSV]
// for tables, [CEF] for ArcSight and what reads its format, [LEEF] for QRadar;
// [OCSF], [Zeek] and [EVE] as JSON lines in the words of others.
//
// A format has one method that matters, Append(dst, record, sequence): it appends
// one whole record, its newline included, and returns the longer slice. Those that
// have a notion of alerts do the same with AppendAlert(dst, alert, sequence). Formats
// know nothing of files, sockets or clocks; what they write depends on their
// options and the records alone. They keep rendered pieces and scratch memory, so
// one value serves one goroutine.
//
// [Annotation] is for records that somebody else metered: it writes the object that is
// added to them.
//
// At the end of a run, [Summary] tells a person what was seen, and [Counts] tells
// a program what was counted.
package export
