// Package spool keeps records on disk until every sink has delivered them.
//
// A [Spool] is a folder of segments, files with one block of records after the other,
// each with a checksum. [Spool.Append] has written its records before it returns. A
// [Cursor] is one sink's place in it; a segment goes when every cursor that wants
// something of it has passed. After kill -9 the next Open finds all records that
// Append had returned for, and cuts what was being written. After a power cut, what
// the kernel had not written yet is lost: at most the last segments, since one that is
// full has a second to be delivered, and is synced then.
//
// While all cursors keep up, records are taken from memory, and what is written of them
// is soon nothing: segments are small then, and one's file is that of the one after the
// next. When a cursor falls behind, blocks are compressed and segments are large.
//
//	DIR/lock                    held while a process uses the folder
//	DIR/0000000001.segment      blocks, each of one format
//	DIR/spare                   a file that was a segment, and will be one
//	DIR/0123456789abcdef.cursor how far one sink has come, its name and its format
package spool
