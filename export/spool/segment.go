package spool

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// A segment is one file of the spool.
type segment struct {
	number uint32
	path   string
	size   int64            // octets, all of whole entries
	counts map[string]tally // by format
	sealed bool             // nothing more comes
	gone   bool
}

// A tally is a number of records and what their bodies have.
type tally struct{ records, octets int64 }

func (t *tally) add(u tally)      { t.records += u.records; t.octets += u.octets }
func (t *tally) subtract(u tally) { t.records -= u.records; t.octets -= u.octets }

// A position is where an entry begins, or ends: the segment's number and, in the
// lower half, the octets before it.
type position uint64

func at(number uint32, offset int64) position { return position(number)<<32 | position(uint32(offset)) }

func (p position) number() uint32 { return uint32(p >> 32) }
func (p position) offset() int64  { return int64(uint32(p)) }

// magic is what a segment begins with.
const magic = "pwspool1"

const headSize = int64(len(magic))

const segmentSuffix = ".segment"

func segmentPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", number, segmentSuffix))
}

// listSegments finds the segments of a folder, in their order. They are not read yet.
func listSegments(dir string) ([]*segment, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		return nil, err
	}
	var list []*segment
	for _, path := range paths {
		n, err := strconv.ParseUint(strings.TrimSuffix(filepath.Base(path), segmentSuffix), 10, 32)
		if err == nil && path == segmentPath(dir, uint32(n)) {
			list = append(list, &segment{number: uint32(n), path: path})
		}
	}
	slices.SortFunc(list, func(a, b *segment) int { return int(int64(a.number) - int64(b.number)) })
	return list, nil
}

// recover reads a whole segment, cuts it behind its last whole entry, and tells
// how many octets that were. see gets each entry and where it begins.
func (g *segment) recover(see func(position, *entry)) (cut int64, err error) {
	f, err := os.OpenFile(g.path, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	g.counts = make(map[string]tally)
	g.size, err = scan(f, info.Size(), func(offset int64, e *entry) {
		t := g.counts[string(e.format)]
		t.add(tally{1, int64(len(e.Body))})
		g.counts[string(e.format)] = t
		see(at(g.number, offset), e)
	})
	if err != nil {
		return 0, err
	}
	if cut = info.Size() - g.size; cut > 0 {
		err = f.Truncate(g.size)
	}
	return cut, err
}

// scan reads the entries of a segment with so many octets, up to the first that is
// not whole, and returns the offset behind the last one that is: 0 where it is no
// segment at all. The entries are valid during the call. An error is one of reading.
func scan(r io.ReaderAt, size int64, see func(offset int64, e *entry)) (int64, error) {
	head := make([]byte, headSize)
	if size < headSize {
		return 0, nil
	}
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, err
	}
	if string(head) != magic {
		return 0, nil
	}
	var buf []byte
	offset := headSize
	for window := 1 << 20; ; {
		b, err := readAt(r, buf, offset, size, window)
		if err != nil {
			return offset, err
		}
		buf = b
		for {
			e, n, err := parseEntry(b)
			if err == errShort && offset+int64(len(b)) < size {
				window = max(window, n) // the rest comes with the next one
				break
			}
			if err != nil {
				return offset, nil
			}
			see(offset, &e)
			offset += int64(n)
			b = b[n:]
		}
	}
}

// readAt reads what lies between two offsets, up to so many octets, into dst.
func readAt(r io.ReaderAt, dst []byte, from, to int64, window int) ([]byte, error) {
	n := int(min(to-from, int64(window)))
	dst = slices.Grow(dst[:0], n)[:n]
	m, err := r.ReadAt(dst, from)
	if m == n {
		return dst, nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody has cut the file
	}
	return dst[:m], err
}
