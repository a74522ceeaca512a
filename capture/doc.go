// Package capture reads packets: from savefiles (pcap and pcapng, plain or
// compressed), from several of them merged by time, and from live devices
// through libpcap. A [Filter] selects packets with a libpcap expression, a [Saver]
// writes them to a savefile, and a [Decoder] decodes their headers into flow.Packet.
//
// # What a source promises
//
// [File], [Merged] and [Live] have the same four methods:
//
//	Next(*Frame) error          the next packet; io.EOF after the last one
//	Read([]Frame) (int, error)  the next packets, as many as are at hand; at least one
//	Stats() Stats               what was read, and what was lost
//	Close() error               stops reading
//
// Order: frames come in the order of the file, or of their arrival. Time may run
// backwards; nothing is sorted.
//
// Ownership: Frame.Data belongs to the source and is valid until the next
// call of Next, Read or Close: copy it to keep it. Neither Next nor Read allocates
// in the steady state.
//
// Clock: Frame.Time is packet time, Unix nanoseconds. No source looks at the
// wall clock; a live source returns [ErrTick] when no packet came within the read
// timeout, and its caller may look at the clock then.
//
// Errors: after an error other than [ErrTick] a source is finished and returns
// the same error again. Every whole packet comes before the error. A file that
// is cut short gives an error that wraps [ErrTruncated]; a [FormatError] gives
// file, offset and packet number. Memory is bounded by constants of this
// package ([MaxPacket], [MaxBlock]), never by what a length field claims.
//
// None of the types is safe for concurrent use, with these exceptions: Close of a
// live source may be called while Next waits, and ends the wait; Interrupt and
// Progress of a File may be called while Next runs.
//
// # From a frame to packets
//
// [Decoder.Decode] walks through the headers of a frame, and writes what they say into
// its digest. Most frames are ordinary, and are read in one go (ordinary.go). In any other
// frame, each header is a layer: a method of the digest that reads it and names the next
// one; layers.go lists them. The walk begins with frame, which looks at the link type. Link
// headers call link, which leads to ipv4 or ipv6 in the end; IP and its extension headers
// call protocol, which leads to tcp, udp and the others, and these append a packet to the
// batch. A tunnel header calls through, which calls link: the next IP header begins a new
// level. A later fragment has no ports, and is joined to its first fragment (fragment.go);
// an ICMP error is appended as a signal (icmp.go).
//
// # Formats
//
// pcap is draft-ietf-opsawg-pcap with the older "modified" variants, pcapng
// is draft-ietf-opsawg-pcapng; link types are the 16-bit LINKTYPE_ numbers of
// https://www.tcpdump.org/linktypes.html and not libpcap's DLT_ numbers, which
// differ between systems.
package capture
