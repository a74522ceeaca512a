// Package capture reads packets: from savefiles (pcap and pcapng, plain or
// compressed), from several of them merged by time, and from live devices
// through libpcap. A [Filter] chooses among them with libpcap's expressions, a [Saver]
// saves them again, and a [Decoder] decodes their headers into flow.Packet.
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
// # From a frame to packets
//
// [Decoder.Decode] walks through the headers of a frame, and writes what they say into
// its digest. What most frames are is read at one go (ordinary.go). Of any other, each
// header is a layer: a method of the digest that reads it and names the next one;
// layers.go lists them. The walk begins with frame, which knows the link type. Link headers
// go on with link, to ipv4 or ipv6 at last; IP and its extension headers with protocol,
// to tcp, udp and the others, which append a packet to the batch. A tunnel header goes on
// with through, which is link again: the next IP header begins a level of its own. A later
// fragment has no ports, and is joined to its first one (fragment.go); an ICMP error appends
// the signal that it is (icmp.go).
//
// # Formats
//
// pcap is draft-ietf-opsawg-pcap with the older "modified" variants, pcapng
// is draft-ietf-opsawg-pcapng; link types are the 16-bit LINKTYPE_ numbers of
// https://www.tcpdump.org/linktypes.html and not libpcap's DLT_ numbers, which
// differ between systems.
package capture
