package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/klauspost/compress/s2"

	"github.com/portwatch/portwatch/export/sink"
)

// A block has records that were appended together, in one format. In a segment it is
//
//	crc32c                       4 octets, like all numbers here little endian;
//	                             of the segment's number and all that follows
//	octets that follow           4
//	records, octets of bodies    4, 4
//	how its entries are stored   1: as they are, or in S2's block format
//	octets of format, format     1, ...
//	entries
//
// and an entry is
//
//	time, kind, severity         8, 1, 1
//	octets of ID, key, body      2, 2, 4
//	ID, key, body
//
// Records of one format are much alike: compressed together they take an eighth of the
// room, so a spool bridges an outage eight times as long, and the disk has as much less to
// do. Yet even S2 takes more time than it saves in writing: what will be gone in a moment,
// since all sinks keep up, is stored as it is.
type block struct {
	place  position // of its first entry
	size   int64    // octets in the segment
	format string
	tally
	data []byte // entries
	buf  []byte // what data is in, with room before it for what stands there in a segment

	users atomic.Int32 // none: its memory can be used again
}

const (
	prefix     = 4 + 4            // checksum, and octets that follow
	fixedHead  = 4 + 4 + 1 + 1    // what of these is before the format
	fixedEntry = 8 + 1 + 1 + 8    // what of an entry is before its ID
	maxEntry   = 64 << 20         // octets: no record has as many
	maxBlock   = maxEntry + 2<<20 // octets, compressed or not
)

var (
	errShort    = errors.New("not whole")
	errDamaged  = errors.New("damaged")
	errEnd      = errors.New("end") // what stands behind the last block
	errTooLarge = errors.New("record too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blocks are those that nobody uses.
var blocks = sync.Pool{New: func() any { return new(block) }}

// newBlock returns an empty one with one user, and room for so many octets of entries.
func newBlock(format string, room int) *block {
	k := blocks.Get().(*block)
	k.format, k.tally = format, tally{}
	k.buf = append(slices.Grow(k.buf[:0], prefix+fixedHead+len(format)+room+len(end)), make([]byte, prefix+fixedHead)...)
	k.buf = append(k.buf, format...)
	k.data = k.buf[len(k.buf):]
	k.users.Store(1)
	return k
}

func (k *block) share() *block {
	k.users.Add(1)
	return k
}

// release gives up one use. What was read out of the block is not valid any more.
func (k *block) release() {
	const large = 4 << 20 // octets that are not kept for later
	if k != nil && k.users.Add(-1) == 0 && cap(k.buf) <= large {
		blocks.Put(k)
	}
}

func entrySize(r *sink.Record) int { return fixedEntry + len(r.ID) + len(r.Key) + len(r.Body) }

// add appends an entry.
func (k *block) add(r *sink.Record) error {
	if entrySize(r) > maxEntry || len(r.ID) > math.MaxUint16 || len(r.Key) > math.MaxUint16 || len(k.format) > math.MaxUint8 {
		return errTooLarge
	}
	b := binary.LittleEndian.AppendUint64(k.buf, uint64(r.Time))
	b = append(b, byte(r.Kind), r.Severity)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.ID)))
	b = binary.LittleEndian.AppendUint16(b, uint16(len(r.Key)))
	b = binary.LittleEndian.AppendUint32(b, uint32(len(r.Body)))
	b = append(b, r.ID...)
	b = append(b, r.Key...)
	k.buf = append(b, r.Body...)
	k.data = k.buf[prefix+fixedHead+len(k.format):]
	k.tally.add(tally{1, int64(len(r.Body))})
	return nil
}

// How entries are stored.
const (
	plain = iota
	packedS2
)

// end stands behind the last block of a segment, and the next block over it. What is
// behind that is of the file's earlier life.
var end [prefix]byte

// form returns what is written to a segment, its checksum excepted, and the end behind
// it. It may be in scratch.
func (k *block) form(stored byte, scratch []byte) []byte {
	head := prefix + fixedHead + len(k.format)
	out := k.buf
	if stored == packedS2 {
		out = append(scratch[:0], k.buf[:head]...)
		out = slices.Grow(out, s2.MaxEncodedLen(len(k.data)))
		out = out[:head+len(s2.Encode(out[head:cap(out)], k.data))] // in its place: there is room
	}
	k.size = int64(len(out))
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-prefix))
	binary.LittleEndian.PutUint32(out[8:], uint32(k.records))
	binary.LittleEndian.PutUint32(out[12:], uint32(k.octets))
	out[16], out[17] = stored, byte(len(k.format))
	return append(out, end[:]...)
}

// sign puts the checksum into what form returned.
func sign(out []byte, number uint32) {
	binary.LittleEndian.PutUint32(out, checksum(number, out[4:len(out)-len(end)]))
}

func checksum(number uint32, b []byte) uint32 {
	seed := binary.LittleEndian.AppendUint32(nil, number)
	return crc32.Update(crc32.Checksum(seed, castagnoli), castagnoli, b)
}

// parseEntry reads the entry that b begins with and returns its octets. The record
// points into b.
func parseEntry(b []byte) (r sink.Record, octets int, err error) {
	if len(b) < fixedEntry {
		return r, 0, errDamaged
	}
	r.Time, r.Kind, r.Severity = int64(binary.LittleEndian.Uint64(b)), sink.Kind(b[8]), b[9]
	id, key := int(binary.LittleEndian.Uint16(b[10:])), int(binary.LittleEndian.Uint16(b[12:]))
	body := int64(binary.LittleEndian.Uint32(b[14:]))
	if int64(fixedEntry+id+key)+body > int64(len(b)) {
		return r, 0, errDamaged
	}
	octets = fixedEntry
	cut := func(n int) []byte {
		part := b[octets : octets+n : octets+n]
		octets += n
		return part
	}
	r.ID, r.Key, r.Body = cut(id), cut(key), cut(int(body))
	return r, octets, nil
}

// A packed is a block as it stands in a segment. It points there.
type packed struct {
	size   int64 // octets in the segment
	format []byte
	tally
	stored  byte
	entries []byte
}

// parseBlock reads the block of a segment that b begins with. errShort is one that goes
// on behind b's end, for which p.size is told if it is known; errDamaged one that is none.
func parseBlock(b []byte, number uint32) (p packed, err error) {
	if len(b) < prefix {
		return p, errShort
	}
	if [prefix]byte(b) == end {
		return p, errEnd
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if size < fixedHead || size > maxBlock {
		return p, errDamaged
	}
	p.size = prefix + size
	if int64(len(b)) < p.size {
		return p, errShort
	}
	b = b[:p.size:p.size]
	if checksum(number, b[4:]) != binary.LittleEndian.Uint32(b) {
		return p, errDamaged
	}
	b = b[prefix:]
	p.tally = tally{int64(binary.LittleEndian.Uint32(b)), int64(binary.LittleEndian.Uint32(b[4:]))}
	p.stored = b[8]
	format := int(b[9])
	if b = b[fixedHead:]; format > len(b) {
		return p, errDamaged
	}
	p.format, p.entries = b[:format], b[format:]
	return p, nil
}

// unpack returns the block with its entries, which are all whole. It has one user.
func (p *packed) unpack(place position) (*block, error) {
	k := newBlock(string(p.format), 0)
	k.place, k.size, k.tally = place, p.size, p.tally
	if !p.entriesTo(k) {
		k.release()
		return nil, errDamaged
	}
	return k, nil
}

// entriesTo brings the entries to a block, if they are whole.
func (p *packed) entriesTo(k *block) bool {
	switch p.stored {
	case plain:
		k.buf = append(k.buf[:0], p.entries...)
	case packedS2:
		n, err := s2.DecodedLen(p.entries)
		if err != nil || n > maxBlock {
			return false
		}
		if k.buf, err = s2.Decode(k.buf[:cap(k.buf)], p.entries); err != nil {
			return false
		}
	default:
		return false
	}
	k.data = k.buf
	sum, err := k.behind(0)
	return err == nil && sum == k.tally
}

// behind adds up the entries from a place within the block on.
func (k *block) behind(inside uint32) (sum tally, err error) {
	if int64(inside) > int64(len(k.data)) {
		return sum, errDamaged
	}
	for data := k.data[inside:]; len(data) > 0; {
		r, n, err := parseEntry(data)
		if err != nil {
			return sum, err
		}
		sum.add(tally{1, int64(len(r.Body))})
		data = data[n:]
	}
	return sum, nil
}
