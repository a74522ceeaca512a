package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"math"

	"github.com/portwatch/portwatch/export/sink"
)

// An entry is a record and the name of the format that its body is in:
//
//	crc32c of all that follows   4 octets, like all numbers here little endian
//	octets that follow           4
//	time, kind, severity         8, 1, 1
//	octets of format, ID, key    1, 2, 2
//	format, ID, key, body
type entry struct {
	sink.Record
	format []byte
}

const (
	prefix   = 8             // crc and size
	fixed    = 8 + 1 + 1 + 5 // of what they tell of
	maxEntry = 64 << 20      // octets: no record has as many
)

var (
	errShort    = errors.New("not whole")
	errDamaged  = errors.New("damaged")
	errTooLarge = errors.New("record too large")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendEntry appends one record.
func appendEntry(dst []byte, format string, r *sink.Record) ([]byte, error) {
	size := fixed + len(format) + len(r.ID) + len(r.Key) + len(r.Body)
	if size > maxEntry || len(format) > math.MaxUint8 || len(r.ID) > math.MaxUint16 || len(r.Key) > math.MaxUint16 {
		return dst, errTooLarge
	}
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(size))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(r.Time))
	dst = append(dst, byte(r.Kind), r.Severity, byte(len(format)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.ID)))
	dst = binary.LittleEndian.AppendUint16(dst, uint16(len(r.Key)))
	dst = append(dst, format...)
	dst = append(dst, r.ID...)
	dst = append(dst, r.Key...)
	dst = append(dst, r.Body...)
	binary.LittleEndian.PutUint32(dst[start:], crc32.Checksum(dst[start+4:], castagnoli))
	return dst, nil
}

// parseEntry reads the entry that b begins with and returns its octets, errShort
// if it goes on behind b's end (of how many octets is then told, if known), or
// errDamaged. The entry points into b.
func parseEntry(b []byte) (e entry, octets int, err error) {
	if len(b) < prefix {
		return e, 0, errShort
	}
	size := int64(binary.LittleEndian.Uint32(b[4:]))
	if size < fixed || size > maxEntry {
		return e, 0, errDamaged
	}
	octets = prefix + int(size)
	if len(b) < octets {
		return e, octets, errShort
	}
	b = b[:octets:octets]
	if crc32.Checksum(b[4:], castagnoli) != binary.LittleEndian.Uint32(b) {
		return e, 0, errDamaged
	}
	b = b[prefix:]
	e.Time = int64(binary.LittleEndian.Uint64(b))
	e.Kind, e.Severity = sink.Kind(b[8]), b[9]
	format, id, key := int(b[10]), int(binary.LittleEndian.Uint16(b[11:])), int(binary.LittleEndian.Uint16(b[13:]))
	b = b[fixed:]
	if format+id+key > len(b) {
		return e, 0, errDamaged
	}
	cut := func(n int) []byte {
		part := b[:n:n]
		b = b[n:]
		return part
	}
	e.format, e.ID, e.Key, e.Body = cut(format), cut(id), cut(key), b
	return e, octets, nil
}
