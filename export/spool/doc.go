// Package spool keeps records on disk until every sink has delivered them.
//
// A [Spool] is a folder of segments: files of consecutive blocks of records, each block
// with a checksum. [Spool.Append] has written its records before it returns. A [Cursor]
// is one sink's place in the spool; a segment is removed when every cursor that wants
// any of its records has passed it. After kill -9, the next Open finds all records for
// which Append had returned, and cuts off what was being written. After a power cut,
// whatever the kernel had not written yet is lost: the last segments at most, since a
// full segment has a second to be delivered, and is then synced.
//
// While all cursors keep up, records are taken from memory, and what was written of them
// is soon obsolete: segments are small then, and the file of one is reused for the one
// after the next. When a cursor falls behind, blocks are compressed and segments are
// large.
//
//	DIR/lock                    held while a process uses the folder
//	DIR/0000000001.segment      blocks, each in one format
//	DIR/spare                   the file of an earlier segment, to be used for a later one
//	DIR/0123456789abcdef.cursor how far one sink has got, its name and its format
package spool
