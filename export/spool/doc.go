// Package spool keeps records on disk until every sink has delivered them.
//
// A [Spool] is a folder of segments, files with one entry after the other, each
// with a checksum. [Spool.Append] has written its records before it returns. A
// [Cursor] is one sink's place in it; a segment goes when every cursor that wants
// something of it has passed. After kill -9 the next Open finds all records that
// Append had returned for, and cuts what was being written. After a power cut, what
// the kernel had not written yet is lost: at most the last segments, since each is
// synced when it is full.
//
//	DIR/lock                    held while a process uses the folder
//	DIR/0000000001.segment      entries, of any format
//	DIR/0123456789abcdef.cursor how far one sink has come, its name and its format
package spool
