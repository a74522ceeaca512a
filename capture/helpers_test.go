package capture

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// byteOrder is what the builders need of one of the two.
type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

var (
	lsbFirst = binary.LittleEndian
	msbFirst = binary.BigEndian
)

// pcapFile builds a pcap file packet by packet.
type pcapFile struct {
	order   byteOrder
	magic   uint32
	version [2]uint16
	network uint32
	data    []byte
	ends    []int // where each packet ends; ends[0] is the end of the file header
}

func newPcapFile(order byteOrder, magic, network uint32) *pcapFile {
	p := &pcapFile{order: order, magic: magic, version: [2]uint16{2, 4}, network: network}
	return p.begin()
}

func (p *pcapFile) begin() *pcapFile {
	b := p.order.AppendUint32(nil, p.magic)
	b = p.order.AppendUint16(b, p.version[0])
	b = p.order.AppendUint16(b, p.version[1])
	b = append(b, make([]byte, 8)...)
	b = p.order.AppendUint32(b, 65535)
	p.data = p.order.AppendUint32(b, p.network)
	p.ends = []int{len(p.data)}
	return p
}

// add appends a packet whose data is n octets of value 'a', 'b', ...
func (p *pcapFile) add(seconds, fraction uint32, n, length int) *pcapFile {
	return p.claim(seconds, fraction, uint32(n), uint32(length), payload(len(p.ends)-1, n))
}

// claim appends a packet whose lengths need not be true.
func (p *pcapFile) claim(seconds, fraction, first, second uint32, data []byte) *pcapFile {
	for _, v := range []uint32{seconds, fraction, first, second} {
		p.data = p.order.AppendUint32(p.data, v)
	}
	if p.magic == magicModified {
		p.data = append(p.data, make([]byte, 8)...)
	}
	p.data = append(p.data, data...)
	p.ends = append(p.ends, len(p.data))
	return p
}

// ngFile builds a pcapng file block by block.
type ngFile struct {
	order  byteOrder
	data   []byte
	ends   []int // where each packet block ends
	blocks []int // where each block ends
}

func newNgFile(order byteOrder) *ngFile { return (&ngFile{}).section(order) }

func (p *ngFile) block(kind uint32, body []byte) *ngFile {
	body = append(body, make([]byte, -len(body)&3)...)
	p.data = p.order.AppendUint32(p.data, kind)
	p.data = p.order.AppendUint32(p.data, uint32(12+len(body)))
	p.data = append(p.data, body...)
	p.data = p.order.AppendUint32(p.data, uint32(12+len(body)))
	p.blocks = append(p.blocks, len(p.data))
	if kind == blockEnhanced || kind == blockSimple || kind == blockPacket {
		p.ends = append(p.ends, len(p.data))
	}
	return p
}

func (p *ngFile) section(order byteOrder) *ngFile {
	p.order = order
	b := order.AppendUint32(nil, sectionMagic)
	b = order.AppendUint16(b, 1)
	b = order.AppendUint16(b, 0)
	return p.block(blockSection, order.AppendUint64(b, 1<<64-1))
}

func (p *ngFile) face(link uint16, snaplen uint32, options ...[]byte) *ngFile {
	b := p.order.AppendUint16(nil, link)
	b = p.order.AppendUint16(b, 0)
	b = p.order.AppendUint32(b, snaplen)
	return p.block(blockInterface, append(b, slices.Concat(options...)...))
}

func (p *ngFile) option(code uint16, value []byte) []byte {
	b := p.order.AppendUint16(nil, code)
	b = p.order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	return append(b, make([]byte, -len(value)&3)...)
}

func (p *ngFile) option64(code uint16, value uint64) []byte {
	return p.option(code, p.order.AppendUint64(nil, value))
}

// enhanced appends an Enhanced Packet Block of n octets.
func (p *ngFile) enhanced(face uint32, ticks uint64, n, length int, options ...[]byte) *ngFile {
	b := p.order.AppendUint32(nil, face)
	return p.block(blockEnhanced, p.timed(b, ticks, n, length, options))
}

// obsolete appends a Packet Block of n octets, with a count of drops.
func (p *ngFile) obsolete(face, drops uint16, ticks uint64, n, length int) *ngFile {
	b := p.order.AppendUint16(nil, face)
	b = p.order.AppendUint16(b, drops)
	return p.block(blockPacket, p.timed(b, ticks, n, length, nil))
}

func (p *ngFile) timed(b []byte, ticks uint64, n, length int, options [][]byte) []byte {
	for _, v := range []uint32{uint32(ticks >> 32), uint32(ticks), uint32(n), uint32(length)} {
		b = p.order.AppendUint32(b, v)
	}
	b = append(b, payload(len(p.ends), n)...)
	b = append(b, make([]byte, -n&3)...)
	return append(b, slices.Concat(options...)...)
}

// simple appends a Simple Packet Block of n octets.
func (p *ngFile) simple(n, length int) *ngFile {
	return p.block(blockSimple, append(p.order.AppendUint32(nil, uint32(length)), payload(len(p.ends), n)...))
}

// payload is n octets that tell the packet's number.
func payload(number, n int) []byte {
	return bytes.Repeat([]byte{byte('a' + number%26)}, n)
}

// source is what the tests need of one.
type source interface{ Next(*Frame) error }

// drain reads all frames, copied, and the error that ended them.
func drain(s source) (frames []Frame, err error) {
	for {
		var f Frame
		if err := s.Next(&f); err != nil {
			return frames, err
		}
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
}

// readAll reads a whole capture from memory; an error of the header counts
// as the error that ended it.
func readAll(data []byte) ([]Frame, error) {
	return readFrom(bytes.NewReader(data))
}

func readFrom(r io.Reader) ([]Frame, error) {
	f, err := newFile(r, "x", nil, -1)
	if err != nil {
		return nil, err
	}
	return drain(f)
}

// mustRead reads a capture that has no fault.
func mustRead(t *testing.T, data []byte) []Frame {
	t.Helper()
	frames, err := readAll(data)
	if err != io.EOF {
		t.Fatalf("read: %v after %d packets", err, len(frames))
	}
	return frames
}

// sameFrames reports whether two runs of frames are equal in all fields.
func sameFrames(a, b []Frame) bool {
	return slices.EqualFunc(a, b, func(x, y Frame) bool {
		data := bytes.Equal(x.Data, y.Data)
		x.Data, y.Data = nil, nil
		return data && equalHeads(x, y)
	})
}

func equalHeads(x, y Frame) bool {
	return x.Time == y.Time && x.Timeless == y.Timeless && x.Length == y.Length &&
		x.Link == y.Link && x.Interface == y.Interface && x.FCS == y.FCS
}

// one decodes one frame, and returns its Class.
func (d *Decoder) one(f *Frame, b *flow.Batch) Class {
	d.Decode([]Frame{*f}, b)
	return d.class
}
