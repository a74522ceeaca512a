// Package capture reads packets: from savefiles (pcap and pcapng, plain or
// compressed), from several of them merged by time, and from live devices
// through libpcap; it filters them with libpcap's expressions, saves them
// again, and decodes their headers into flow.Packet.
//
// # What a source promises
//
// [File], [Merged] and [Live] have the same four methods:
//
//	Next(*Frame) error          the next packet; io.EOF after the last one
//	Read([]Frame) (int, error)  the next packets, as many as are at hand; at least one
//	Stats() Stats               what was read, and what was lost
//	Close() error               ends the reading
//
// Order: frames come in the order of the file, or of their arrival. Time may run
// backwards; nothing is sorted.
//
// Ownership: Frame.Data belongs to the source and is valid until the next
// call of Next, Read or Close. Whoever keeps it copies it. No call of Next or
// Read allocates in the steady state.
//
// Clock: Frame.Time is packet time, Unix nanoseconds. No source looks at the
// wall clock; a live source answers [ErrTick] when nothing came for a read
// timeout, and its caller may look then.
//
// Errors: after an error other than [ErrTick] a source is finished and says
// the same again. Every packet that was whole came before the error. A file
// cut in the middle gives an error that wraps [ErrTruncated]; a [FormatError]
// says file, offset and packet number. Memory is bounded by constants of this
// package ([MaxPacket], [MaxBlock]), never by what a length field claims.
//
// None of the types is safe for concurrent use, except for what ends or watches a
// reading from outside: Close of a live source may be called while Next waits, and
// ends it; Interrupt and Progress of a File may be called while Next runs.
//
// # Formats
//
// pcap is draft-ietf-opsawg-pcap with the older "modified" variants, pcapng
// is draft-ietf-opsawg-pcapng; link types are the 16-bit LINKTYPE_ numbers of
// https://www.tcpdump.org/linktypes.html and not libpcap's DLT_ numbers, which
// differ between systems.
package capture
