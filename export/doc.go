// Package export writes annotated Flow Records: [ECS] as JSON lines of the
// Elastic Common Schema for programs, [Text] as aligned lines for people, [CSV]
// for tables, [CEF] for ArcSight and whatever else reads its format, [LEEF] for
// QRadar; [OCSF], [Zeek] and [EVE] as JSON lines in the terms of other schemas.
//
// A format has one method that matters, Append(dst, record, sequence): it appends
// one whole record, including its line ending, and returns the extended slice.
// Formats with a notion of alerts also have AppendAlert(dst, alert, sequence).
// Formats know nothing of files or sockets and read no clock but the one in
// [Options]; their output depends only on their options and the records. They keep
// rendered pieces and scratch memory, so a value must not be used concurrently.
//
// [Annotation] is for records that another program metered: it writes the object
// that is added to them.
//
// At the end of a run, [Summary] tells a person what was seen, and [Counts] tells
// a program what was counted.
package export
