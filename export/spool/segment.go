package spool

import (
	"cmp"
	"errors"
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
	size   int64            // octets, up to the end of the last whole block
	counts map[string]tally // by format
	sealed bool             // nothing more will be written to it
	gone   bool
}

// A tally is a number of records and the octets of their bodies.
type tally struct{ records, octets int64 }

func (t *tally) add(u tally)      { t.records += u.records; t.octets += u.octets }
func (t *tally) subtract(u tally) { t.records -= u.records; t.octets -= u.octets }

// A position is where an entry begins or ends: the segment's number, the offset of the
// block in the file, and the offset within the block's entries.
type position struct{ number, offset, inside uint32 }

func at(number uint32, offset int64) position {
	return position{number: number, offset: uint32(offset)}
}

func (p position) before(q position) bool {
	return cmp.Or(cmp.Compare(p.number, q.number), cmp.Compare(p.offset, q.offset), cmp.Compare(p.inside, q.inside)) < 0
}

// block returns the position of the block that p lies in.
func (p position) block() position { return position{number: p.number, offset: p.offset} }

// magic is what a segment begins with. Segments of versions that did not compress begin
// with earlierMagic.
const (
	magic        = "pwspool2"
	earlierMagic = "pwspool1"
)

const headSize = int64(len(magic))

// errEarlier means that the spool is of a portwatch that did not compress.
var errEarlier = errors.New("written by an earlier version of portwatch, in another format: " +
	"let that version deliver what is waiting there and then remove the folder, or name another folder")

const segmentSuffix = ".segment"

func segmentPath(dir string, number uint32) string {
	return filepath.Join(dir, fmt.Sprintf("%010d%s", number, segmentSuffix))
}

// filesWith returns the paths of a folder's files whose names have this suffix, in the order
// of the names. It does not use filepath.Glob, which would take some folders' names for patterns.
func filesWith(dir, suffix string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	var paths []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			paths = append(paths, filepath.Join(dir, e.Name()))
		}
	}
	return paths, err
}

// listSegments finds the segments of a folder, in the order of their numbers, which is that
// of their names. It does not read them.
func listSegments(dir string) ([]*segment, error) {
	paths, err := filesWith(dir, segmentSuffix)
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
	return list, nil
}

// recover reads a whole segment and cuts off what follows its last whole block. cut is
// how many octets that were, or 0 if they followed the proper end of the segment. see is
// called with each block and its position.
func (g *segment) recover(see func(position, *packed)) (cut int64, err error) {
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
	size, whole, err := scan(f, info.Size(), g.number, func(offset int64, p *packed) {
		t := g.counts[string(p.format)]
		t.add(p.tally)
		g.counts[string(p.format)] = t
		see(at(g.number, offset), p)
	})
	if err != nil {
		return 0, err
	}
	g.size = size
	if !whole {
		cut = info.Size() - size
	}
	return cut, f.Truncate(size)
}

// scan reads the blocks of a segment of size octets, up to the first one that is not
// whole, and returns the offset after the last whole one, or 0 if the file is no segment
// at all. whole reports whether the segment properly ends there. A block is valid only
// during the call of see. An error is a read error, or errEarlier.
func scan(r io.ReaderAt, size int64, number uint32, see func(offset int64, p *packed)) (offset int64, whole bool, err error) {
	head := make([]byte, headSize)
	if _, err := r.ReadAt(head, 0); err != nil && err != io.EOF {
		return 0, false, err
	}
	switch string(head) {
	case magic:
	case earlierMagic:
		return 0, false, errEarlier
	default:
		return 0, false, nil
	}
	w := window{file: r, end: size, step: 1 << 20}
	for offset = headSize; offset < size; {
		p, err := w.block(offset, number)
		switch err {
		case nil:
			see(offset, &p)
			offset += p.size
		case errEnd:
			return offset, true, nil
		case errDamaged:
			return offset, false, nil
		default:
			return offset, false, err
		}
	}
	return offset, true, nil
}

// A window is the part of a segment's file that is in memory.
type window struct {
	file  io.ReaderAt // nil: not open
	end   int64       // offset up to which the file is to be read
	step  int64       // octets that are read at once; a large block takes more
	begin int64
	data  []byte
}

// block returns the block that begins at an offset of the segment with this number,
// valid until the next call. The error is errDamaged if no whole block begins there, and
// errEnd at the segment's end. What was read before a read error is used: the error is
// returned with the first block that is not complete.
func (w *window) block(offset int64, number uint32) (packed, error) {
	var failed error
	for {
		var b []byte
		if skip := offset - w.begin; skip >= 0 && skip < int64(len(w.data)) {
			b = w.data[skip:]
		}
		p, err := parseBlock(b, number)
		switch {
		case err != errShort:
			return p, err
		case failed != nil:
			return p, failed
		case offset+int64(len(b)) >= w.end || offset+p.size > w.end:
			return p, errDamaged
		}
		failed = w.read(offset, max(p.size, w.step))
	}
}

func (w *window) read(offset, octets int64) error {
	n := int(min(octets, w.end-offset))
	w.begin, w.data = offset, slices.Grow(w.data[:0], n)[:n]
	m, err := w.file.ReadAt(w.data, offset)
	if m == n {
		return nil
	}
	w.data = w.data[:m]
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // someone truncated the file
	}
	return err
}

// close closes the file, if it can be closed, and forgets what was read from it.
func (w *window) close() {
	if f, ok := w.file.(io.Closer); ok {
		f.Close() // nothing was written
	}
	w.file, w.data = nil, w.data[:0]
}
