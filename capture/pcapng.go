package capture

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
)

// Block types of draft-ietf-opsawg-pcapng section 4 that are read here. All
// others (name resolution, custom, decryption secrets, unknown ones) are
// skipped, as the draft asks.
const (
	blockSection    = 0x0a0d0d0a // a palindrome: it reads the same in both byte orders
	blockInterface  = 1
	blockPacket     = 2 // obsolete
	blockSimple     = 3
	blockStatistics = 5
	blockEnhanced   = 6
)

// sectionMagic tells the byte order of a section.
const sectionMagic = 0x1a2b3c4d

// The layout of blocks, in octets.
const (
	blockHeader = 8               // type, total length
	blockMin    = blockHeader + 4 // the total length once more at the end

	sectionFixed    = blockHeader + 16 // the fields before the options
	interfaceFixed  = blockHeader + 8
	statisticsFixed = blockHeader + 12
	enhancedFixed   = blockHeader + 20 // also that of the obsolete Packet Block
	simpleFixed     = blockHeader + 4
)

// Bounds of what is kept in memory.
const (
	// MaxBlock is the largest total length of a pcapng block that is read
	// and not skipped: a packet of the largest size, and its options.
	MaxBlock = MaxPacket + 1<<20

	// MaxInterfaces is the largest number of interfaces in a section.
	MaxInterfaces = 1 << 16
)

// pcapngReader reads the packets of a pcapng file.
type pcapngReader struct {
	in         *stream
	big        bool          // the current section is big-endian
	interfaces []ngInterface // of the current section
	before     uint32        // interfaces in earlier sections
	skipped    uint64        // blocks that hold nothing for us
	lost       drops         // in earlier sections
}

// ngInterface is what an Interface Description Block says, and the latest
// Interface Statistics Block for it.
type ngInterface struct {
	link    LinkType
	snaplen uint32 // 0: no limit
	fcs     uint8
	clock   ngClock
	lost    drops
}

// drops are lost packets, as an Interface Statistics Block counts them.
type drops struct{ kernel, device uint64 }

func (d *drops) add(o drops) {
	d.kernel += o.kernel
	d.device += o.device
}

// isPcapng reports whether the four octets begin a pcapng file.
func isPcapng(kind []byte) bool {
	return binary.LittleEndian.Uint32(kind) == blockSection
}

// newPcapngReader reads the first section header; its type is known to be right.
func newPcapngReader(in *stream) (*pcapngReader, error) {
	r := &pcapngReader{in: in}
	_, block, err := r.block()
	if err == nil {
		err = r.section(block)
	}
	return r, err
}

// next reads blocks up to and including one that holds a packet. Any error
// but io.EOF means a block that is not whole or not valid.
func (r *pcapngReader) next(f *Frame) error {
	for {
		kind, block, err := r.block()
		if err != nil {
			return err
		}
		switch kind {
		case blockEnhanced:
			return r.enhanced(f, block)
		case blockSimple:
			return r.simple(f, block)
		case blockPacket:
			return r.packet(f, block)
		case blockSection:
			err = r.section(block)
		case blockInterface:
			err = r.describe(block)
		case blockStatistics:
			err = r.statistics(block)
		default:
			r.skipped++
		}
		if err != nil {
			return err
		}
	}
}

// more reads packet blocks up to one that is not whole yet, or a block of another kind.
func (r *pcapngReader) more(frames []Frame) (n int, err error) {
	for err == nil && n < len(frames) && r.packetAtHand() {
		if err = r.next(&frames[n]); err == nil {
			n++
		}
	}
	return n, err
}

// packetAtHand reports whether the next block holds a packet and is whole in the buffer.
func (r *pcapngReader) packetAtHand() bool {
	data := r.in.data
	if len(data) < blockMin {
		return false
	}
	switch r.uint32(data) {
	case blockEnhanced, blockSimple, blockPacket:
		length := (int64(r.uint32(data[4:])) + 3) &^ 3
		return blockMin <= length && length <= int64(len(data))
	}
	return false
}

// block reads the next block and checks its lengths. It returns the octets from
// the type up to, but not including, the length at the end; none of a skipped
// block, which may be of any length.
func (r *pcapngReader) block() (kind uint32, block []byte, err error) {
	in := r.in
	in.start = in.offset
	if !in.need(blockMin) {
		return 0, nil, in.cut("a block header", blockMin)
	}
	kind = r.uint32(in.data)
	if kind == blockSection {
		if err := r.setByteOrder(in.data[blockHeader:]); err != nil {
			return 0, nil, err
		}
	}
	stated := r.uint32(in.data[4:])
	// Some writers leave the padding out of the length: round up, as
	// Wireshark does, in 64 bits so that the largest length does not wrap.
	length := (int64(stated) + 3) &^ 3
	switch {
	case stated < blockMin:
		err = fmt.Errorf("block of type %#x claims %d octets, less than %d", kind, stated, blockMin)
	case skippable(kind):
		if !in.skip(length-4) || !in.need(4) {
			err = in.cut("a block", length)
		}
	case length > MaxBlock:
		err = fmt.Errorf("block of type %#x claims %d octets, more than %d", kind, stated, MaxBlock)
	case !in.need(int(length)):
		err = in.cut("a block", length)
	default:
		block = in.take(int(length - 4))
	}
	if err != nil {
		return 0, nil, err
	}
	if again := r.uint32(in.take(4)); again != stated {
		return 0, nil, fmt.Errorf("block of type %#x has length %d at its start and %d at its end", kind, stated, again)
	}
	return kind, block, nil
}

func skippable(kind uint32) bool {
	switch kind {
	case blockEnhanced, blockSimple, blockPacket, blockInterface, blockStatistics, blockSection:
		return false
	}
	return true
}

// setByteOrder takes the byte order from the magic number of a section header.
func (r *pcapngReader) setByteOrder(magic []byte) error {
	switch m := binary.LittleEndian.Uint32(magic); m {
	case sectionMagic:
		r.big = false
	case bits.ReverseBytes32(sectionMagic):
		r.big = true
	default:
		return fmt.Errorf("section header has the byte-order magic %#08x", m)
	}
	return nil
}

// section begins a section: earlier interfaces are forgotten, their drops are kept.
func (r *pcapngReader) section(block []byte) error {
	if len(block) < sectionFixed {
		return short("section header", block, sectionFixed)
	}
	if major := r.uint16(block[12:]); major != 1 {
		return fmt.Errorf("section has version %d of pcapng, not 1", major)
	}
	for i := range r.interfaces {
		r.lost.add(r.interfaces[i].lost)
	}
	r.before += uint32(len(r.interfaces))
	r.interfaces = r.interfaces[:0]
	return nil
}

// describe adds the interface of an Interface Description Block.
func (r *pcapngReader) describe(block []byte) error {
	if len(block) < interfaceFixed {
		return short("interface description", block, interfaceFixed)
	}
	if len(r.interfaces) == MaxInterfaces {
		return fmt.Errorf("section has more than %d interfaces", MaxInterfaces)
	}
	face := ngInterface{
		link:    LinkType(r.uint16(block[8:])),
		snaplen: r.uint32(block[12:]),
	}
	resolution, offset := byte(6), int64(0)
	for o := (options{r, block[interfaceFixed:]}); o.more(); {
		code, value, err := o.next()
		switch {
		case err != nil:
			return fmt.Errorf("interface description: %w", err)
		case code == 9 && len(value) == 1: // if_tsresol
			resolution = value[0]
		case code == 13 && len(value) == 1: // if_fcslen
			face.fcs = checkOctets(value[0])
		case code == 14 && len(value) == 8: // if_tsoffset
			offset = int64(r.uint64(value))
		}
	}
	face.clock = newClock(resolution, offset)
	r.interfaces = append(r.interfaces, face)
	return nil
}

// checkOctets returns how many octets an if_fcslen stands for. It counts bits; a value
// below 8 comes from a writer that counted octets, as Wireshark did until 2023.
func checkOctets(length uint8) uint8 {
	if length < 8 {
		return length
	}
	return length / 8
}

// statistics keeps the drops of an Interface Statistics Block. They are
// totals since the capture began, so the latest block counts.
func (r *pcapngReader) statistics(block []byte) error {
	if len(block) < statisticsFixed {
		return short("interface statistics", block, statisticsFixed)
	}
	face, err := r.face(r.uint32(block[8:]))
	if err != nil {
		return err
	}
	for o := (options{r, block[statisticsFixed:]}); o.more(); {
		code, value, err := o.next()
		switch {
		case err != nil:
			return fmt.Errorf("interface statistics: %w", err)
		case code == 5 && len(value) == 8: // isb_ifdrop
			face.lost.device = r.uint64(value)
		case code == 7 && len(value) == 8: // isb_osdrop
			face.lost.kernel = r.uint64(value)
		}
	}
	return nil
}

// enhanced reads an Enhanced Packet Block.
func (r *pcapngReader) enhanced(f *Frame, block []byte) error {
	if len(block) < enhancedFixed {
		return short("enhanced packet block", block, enhancedFixed)
	}
	return r.timed(f, block, r.uint32(block[8:]))
}

// packet reads a block of the obsolete type, in which the interface has 16 bits,
// and a count of drops the next 16.
func (r *pcapngReader) packet(f *Frame, block []byte) error {
	if len(block) < enhancedFixed {
		return short("packet block", block, enhancedFixed)
	}
	return r.timed(f, block, uint32(r.uint16(block[8:])))
}

// timed reads what both kinds of packet block with a timestamp have in common.
func (r *pcapngReader) timed(f *Frame, block []byte, id uint32) error {
	face, err := r.face(id)
	if err != nil {
		return err
	}
	ticks := uint64(r.uint32(block[12:]))<<32 | uint64(r.uint32(block[16:]))
	captured := r.uint32(block[20:])
	if room := len(block) - enhancedFixed; int64(captured) > int64(room) {
		return fmt.Errorf("packet claims %d captured octets, its block has room for %d", captured, room)
	}
	f.Data = block[enhancedFixed : enhancedFixed+captured : enhancedFixed+captured]
	f.Time = face.clock.nanoseconds(ticks)
	f.Timeless = false
	f.Length = r.uint32(block[24:])
	f.Link = face.link
	f.Interface = r.before + id
	f.FCS = face.fcs
	return nil
}

// simple reads a Simple Packet Block. Its captured length is the smallest of the
// length on the wire, the first interface's snapshot length, and the room in the block.
func (r *pcapngReader) simple(f *Frame, block []byte) error {
	if len(block) < simpleFixed {
		return short("simple packet block", block, simpleFixed)
	}
	face, err := r.face(0)
	if err != nil {
		return err
	}
	length := r.uint32(block[8:])
	data := block[simpleFixed:]
	if uint64(length) < uint64(len(data)) {
		data = data[:length:length]
	}
	if face.snaplen != 0 && uint64(face.snaplen) < uint64(len(data)) {
		data = data[:face.snaplen:face.snaplen]
	}
	f.Data = data
	f.Time = 0
	f.Timeless = true
	f.Length = length
	f.Link = face.link
	f.Interface = r.before
	f.FCS = face.fcs
	return nil
}

// face returns the interface with that number in the current section.
func (r *pcapngReader) face(id uint32) (*ngInterface, error) {
	if uint64(id) >= uint64(len(r.interfaces)) {
		return nil, fmt.Errorf("block names interface %d, the section has described %d so far", id, len(r.interfaces))
	}
	return &r.interfaces[id], nil
}

// drops sums the latest statistics of all interfaces so far.
func (r *pcapngReader) drops() drops {
	sum := r.lost
	for i := range r.interfaces {
		sum.add(r.interfaces[i].lost)
	}
	return sum
}

// uint16, uint32 and uint64 read in the byte order of the section. A branch that
// always goes the same way costs less than a call through an interface.
func (r *pcapngReader) uint16(b []byte) uint16 {
	if r.big {
		return binary.BigEndian.Uint16(b)
	}
	return binary.LittleEndian.Uint16(b)
}

func (r *pcapngReader) uint32(b []byte) uint32 {
	if r.big {
		return binary.BigEndian.Uint32(b)
	}
	return binary.LittleEndian.Uint32(b)
}

func (r *pcapngReader) uint64(b []byte) uint64 {
	if r.big {
		return binary.BigEndian.Uint64(b)
	}
	return binary.LittleEndian.Uint64(b)
}

// short returns the error for a block too small for its type.
func short(what string, block []byte, fixed int) error {
	return fmt.Errorf("%s of %d octets, less than %d", what, len(block)+4, fixed+4)
}

// options walks the options at the end of a block: code, length, value, padding.
type options struct {
	r    *pcapngReader // for its byte order
	rest []byte
}

var errOption = errors.New("an option reaches beyond its block")

func (o *options) more() bool { return len(o.rest) > 0 }

// next returns an option. The code 0 ends the list whatever follows.
func (o *options) next() (code uint16, value []byte, err error) {
	if len(o.rest) < 4 {
		return 0, nil, errOption
	}
	code = o.r.uint16(o.rest)
	length := int(o.r.uint16(o.rest[2:]))
	padded := (length + 3) &^ 3
	o.rest = o.rest[4:]
	switch {
	case code == 0:
		o.rest = nil
		return 0, nil, nil
	case padded > len(o.rest):
		return 0, nil, errOption
	}
	value, o.rest = o.rest[:length], o.rest[padded:]
	return code, value, nil
}
