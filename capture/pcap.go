package capture

import (
	"encoding/binary"
	"fmt"
	"math/bits"
)

// The magic numbers of pcap in the byte order of the writer, from
// draft-ietf-opsawg-pcap section 4 and, for the modified one, from the
// patches by Alexey Kuznetzov that Linux distributions of 1999 carried.
const (
	magicMicro    = 0xa1b2c3d4
	magicNano     = 0xa1b23c4d
	magicModified = 0xa1b2cd34
)

const (
	pcapFileHeader     = 24
	pcapPacketHeader   = 16
	pcapModifiedHeader = 24 // interface index, protocol and packet type follow the lengths
)

// MaxPacket is the largest number of captured octets that a packet of a
// savefile may have. libpcap and Wireshark stop at 256 KiB for link types
// that carry IP.
const MaxPacket = 16 << 20

// pcapReader reads the packets of a pcap file.
type pcapReader struct {
	in      *stream
	big     bool  // the file is big-endian
	header  int   // octets before each packet's data
	unit    int64 // nanoseconds in a unit of the timestamp's second half
	lengths lengthOrder
	link    LinkType
	fcs     uint8
}

// lengthOrder says in which order a packet header has its two lengths: before
// version 2.3 of the format the length on the wire came first, and writers of
// 2.3 disagree.
type lengthOrder uint8

const (
	capturedFirst lengthOrder = iota
	wireFirst
	smallerFirst
)

// isPcap reports whether the four octets begin a pcap file.
func isPcap(magic []byte) bool {
	for _, m := range [...]uint32{magicMicro, magicNano, magicModified} {
		if binary.LittleEndian.Uint32(magic) == m || binary.BigEndian.Uint32(magic) == m {
			return true
		}
	}
	return false
}

// newPcapReader reads the file header; the magic number is known to be good.
func newPcapReader(in *stream) (*pcapReader, error) {
	if !in.need(pcapFileHeader) {
		return nil, in.cut("the file header", pcapFileHeader)
	}
	h := in.take(pcapFileHeader)
	r := &pcapReader{in: in, header: pcapPacketHeader, unit: 1000}
	var order binary.ByteOrder = binary.LittleEndian
	if h[0] == magicMicro>>24 {
		order, r.big = binary.BigEndian, true
	}
	switch order.Uint32(h) {
	case magicNano:
		r.unit = 1
	case magicModified:
		r.header = pcapModifiedHeader
	}
	switch major, minor := order.Uint16(h[4:]), order.Uint16(h[6:]); {
	case major == 2 && minor < 3, major == 543: // 543.0 is Apple's of 1999
		r.lengths = wireFirst
	case major == 2 && minor == 3:
		r.lengths = smallerFirst
	}
	// The link type is in the lower 16 bits; bit 26 says that the upper four
	// are the length of the frame check sequence, in units of two octets.
	network := order.Uint32(h[20:])
	r.link = LinkType(network)
	if network&(1<<26) != 0 {
		r.fcs = uint8(network >> 28 * 2)
	}
	return r, nil
}

// next reads a packet. Any error but io.EOF means that the packet is not whole.
func (r *pcapReader) next(f *Frame) error {
	in := r.in
	in.start = in.offset
	if !in.need(r.header) {
		return in.cut("a packet header", int64(r.header))
	}
	h := in.data[:pcapPacketHeader]
	seconds := binary.LittleEndian.Uint32(h)
	fraction := binary.LittleEndian.Uint32(h[4:])
	captured := binary.LittleEndian.Uint32(h[8:])
	length := binary.LittleEndian.Uint32(h[12:])
	if r.big {
		seconds, fraction = bits.ReverseBytes32(seconds), bits.ReverseBytes32(fraction)
		captured, length = bits.ReverseBytes32(captured), bits.ReverseBytes32(length)
	}
	if r.lengths != capturedFirst && (r.lengths == wireFirst || captured > length) {
		captured, length = length, captured
	}
	if captured > MaxPacket {
		return fmt.Errorf("packet claims %d captured octets, more than %d", captured, MaxPacket)
	}
	whole := r.header + int(captured)
	if !in.need(whole) {
		return in.cut("a packet", int64(whole))
	}
	*f = Frame{
		Data:   in.take(whole)[r.header:],
		Time:   int64(seconds)*1e9 + int64(fraction)*r.unit,
		Length: length,
		Link:   r.link,
		FCS:    r.fcs,
	}
	return nil
}

// more reads packets up to one that is not whole yet, or never will be. It does so only
// for a file in today's form and the common byte order; others are read one by one.
func (r *pcapReader) more(frames []Frame) (n int, _ error) {
	if r.big || r.lengths != capturedFirst {
		return 0, nil
	}
	header, data, unit, link, fcs := r.header, r.in.data, r.unit, r.link, r.fcs
	for i := range frames {
		if len(data) < pcapModifiedHeader { // the longer of the two headers
			break
		}
		h := data[:pcapPacketHeader]
		captured := binary.LittleEndian.Uint32(h[8:])
		whole := header + int(captured)
		if captured > MaxPacket || whole > len(data) {
			break
		}
		f := &frames[i] // set field by field: making a Frame elsewhere and copying it doubles the cost
		f.Data = data[header:whole:whole]
		f.Time = int64(binary.LittleEndian.Uint32(h))*1e9 + int64(binary.LittleEndian.Uint32(h[4:]))*unit
		f.Timeless, f.Interface = false, 0
		f.Length, f.Link, f.FCS = binary.LittleEndian.Uint32(h[12:]), link, fcs
		data = data[whole:]
		n++
	}
	r.in.take(len(r.in.data) - len(data))
	return n, nil
}
