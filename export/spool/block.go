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

// A block has records that were appended together, in one format. In a segment it
// consists of these parts, with their octets; numbers are little endian:
//
//	crc32c                       4: of the segment's number and all that follows
//	octets that follow           4
//	records, octets of bodies    4, 4
//	how its entries are stored   1: as they are, or in S2's block format
//	octets of format, format     1, ...
//	entries
//
// An entry is
//
//	time, kind, severity         8, 1, 1
//	octets of ID, key, body      2, 2, 4
//	ID, key, body
//
// Records of one format are much alike: compressed together, they take an eighth of the
// room, so that a spool bridges an outage eight times as long, and the disk has that much
// less to do. But even S2 takes more time than it saves in writing, so blocks that will
// soon be gone, because all sinks keep up, are stored as they are.
type block struct {
	place  position // of its first entry
	size   int64    // octets in the segment
	format string
	tally
	data []byte // entries
	buf  []byte // holds data, with room before it for the head that it has in a segment

	users atomic.Int32 // if 0, the block's memory can be reused
}

const (
	prefix     = 4 + 4            // checksum, and octets that follow
	fixedHead  = 4 + 4 + 1 + 1    // what follows the prefix, up to the format
	fixedEntry = 8 + 1 + 1 + 8    // the part of an entry before its ID
	maxEntry   = 64 << 20         // octets, more than any record has
	maxBlock   = maxEntry + 2<<20 // octets, compressed or not
)

var (
	errShort    = errors.New("not whole")
	errDamaged  = errors.New("damaged")
	errEnd      = errors.New("end") // the mark after the last block
	errTooLarge = errors.New("record too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// blocks are the unused blocks.
var blocks = sync.Pool{New: func() any { return new(block) }}

// newBlock returns an empty block with one user, and with room for that many octets of
// entries.
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

// release gives up one use of the block. The caller must no longer use records that
// were read from it.
func (k *block) release() {
	const large = 4 << 20 // octets; larger blocks are not kept for reuse
	if k != nil && k.users.Add(-1) == 0 && cap(k.buf) <= large {
		blocks.Put(k)
	}
}

func entrySize(r *sink.Record) int { return fixedEntry + len(r.ID) + len(r.Key) + len(r.Body) }

// add appends a record's entry.
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

// end marks the end of a segment after its last block; the next block overwrites it.
// Anything after it is left over from an earlier use of the file.
var end [prefix]byte

// form returns the block as it is written to a segment, without its checksum and
// followed by end. The result is in the memory of the block or of scratch.
func (k *block) form(stored byte, scratch []byte) []byte {
	head := prefix + fixedHead + len(k.format)
	out := k.buf
	if stored == packedS2 {
		out = append(scratch[:0], k.buf[:head]...)
		out = slices.Grow(out, s2.MaxEncodedLen(len(k.data)))
		out = out[:head+len(s2.Encode(out[head:cap(out)], k.data))] // in place: there is room
	}
	k.size = int64(len(out))
	binary.LittleEndian.PutUint32(out[4:], uint32(len(out)-prefix))
	binary.LittleEndian.PutUint32(out[8:], uint32(k.records))
	binary.LittleEndian.PutUint32(out[12:], uint32(k.octets))
	out[16], out[17] = stored, byte(len(k.format))
	return append(out, end[:]...)
}

// sign writes the checksum into the result of form.
func sign(out []byte, number uint32) {
	binary.LittleEndian.PutUint32(out, checksum(number, out[4:len(out)-len(end)]))
}

func checksum(number uint32, b []byte) uint32 {
	seed := binary.LittleEndian.AppendUint32(nil, number)
	return crc32.Update(crc32.Checksum(seed, castagnoli), castagnoli, b)
}

// parseEntry reads the entry that b begins with, and returns how many octets it has.
// The record points into b.
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

// A packed is a block as it is stored in a segment. It points into the data read.
type packed struct {
	size   int64 // octets in the segment
	format []byte
	tally
	stored  byte
	entries []byte
}

// parseBlock reads the block that b begins with, of the segment with this number. The
// error is errShort if the block continues beyond b, in which case p.size is set if it is
// known; errEnd if b begins with the end of the segment; and errDamaged if b does not
// begin with a block.
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

// unpack returns the block with its entries, all of them whole, and with one user.
func (p *packed) unpack(place position) (*block, error) {
	k := newBlock(string(p.format), 0)
	k.place, k.size, k.tally = place, p.size, p.tally
	if !p.entriesTo(k) {
		k.release()
		return nil, errDamaged
	}
	return k, nil
}

// entriesTo unpacks the entries into k, and reports whether they are whole and add up
// to k's tally.
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

// behind adds up the entries after the first inside octets of them.
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
