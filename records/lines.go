package records

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// MaxLine is how many octets a line may have; what is longer is no flow record.
	MaxLine = 1 << 20
	// blockSize is how much is read at once.
	blockSize = 256 << 10
)

// A Block is a run of whole lines of one source, with what is true of all of them.
type Block struct {
	Source string // as messages name it
	Line   int    // the number of the first line, from 1
	Head   *Head  // the head above them; nil: none
	// Data is the lines with their ends; the last one of a source may have none. Of a
	// line that is too long it has one octet more than MaxLine.
	Data []byte
}

// Lines takes Blocks off a stream. It is not for concurrent use.
type Lines struct {
	in     io.Reader
	name   string
	head   *Head
	line   int
	rest   []byte // read, and not given away yet
	begun  bool   // a byte order mark was looked for
	heads  int
	failed error
}

// NewLines returns the lines of a source. head is what is known of them before any
// head is read, and may be nil.
func NewLines(in io.Reader, name string, head *Head) *Lines {
	return &Lines{in: in, name: name, head: head, line: 1}
}

// Heads is how many lines so far were heads.
func (l *Lines) Heads() int { return l.heads }

// Next fills b with the next lines that are there, and waits where there are none.
// It uses b.Data's memory again. At the end it returns io.EOF. Another error is one
// of the stream: what was read before it has been given away.
func (l *Lines) Next(b *Block) error {
	b.Source = l.name
	b.Data = append(b.Data[:0], l.rest...)
	l.rest = l.rest[:0]
	for {
		if l.begin(b) && l.cut(b) {
			return nil
		}
		switch {
		case len(b.Data) > MaxLine:
			return l.skip(b)
		case l.failed != nil && len(b.Data) == 0:
			return l.failed
		case l.failed != nil: // the last line has no end
			if !l.takeHead(b.Data) {
				l.whole(b, len(b.Data), 1)
				return nil
			}
			b.Data = b.Data[:0]
			continue
		}
		l.fill(b)
	}
}

// begin takes a byte order mark off the front of the source, as RFC 8259 section 8.1 lets a
// reader do. It returns false while there may be one of which not all is read.
func (l *Lines) begin(b *Block) bool {
	const mark = "\xef\xbb\xbf"
	if !l.begun && l.failed == nil && len(b.Data) < len(mark) && strings.HasPrefix(mark, string(b.Data)) {
		return false
	}
	if !l.begun {
		l.begun = true
		b.Data = b.Data[:copy(b.Data, bytes.TrimPrefix(b.Data, []byte(mark)))]
	}
	return true
}

// fill reads once.
func (l *Lines) fill(b *Block) {
	n := len(b.Data)
	if cap(b.Data)-n < blockSize/4 {
		grown := make([]byte, n, n+blockSize)
		copy(grown, b.Data)
		b.Data = grown
	}
	read, err := l.in.Read(b.Data[n:cap(b.Data)])
	b.Data = b.Data[:n+read]
	if err == nil {
		return
	}
	l.failed = err
	if !errors.Is(err, io.EOF) {
		l.failed = fmt.Errorf("read %s: %w", l.name, err)
	}
}

// cut takes the heads off the front of b, and keeps for later what is behind the
// next head or the last end of a line. It reports whether lines are left.
func (l *Lines) cut(b *Block) bool {
	start, end, lines := 0, 0, 0 // of what belongs to the block
	for {
		n := bytes.IndexByte(b.Data[end:], '\n') + 1
		if n == 0 {
			break
		}
		if line := b.Data[end : end+n]; maybeHead(line[0]) {
			if end > start {
				if _, is := l.head.read(line); is {
					break // behind the block
				}
			} else if l.takeHead(line) {
				start, end = end+n, end+n
				continue
			}
		}
		end, lines = end+n, lines+1
	}
	if start > 0 {
		end -= start
		b.Data = b.Data[:copy(b.Data, b.Data[start:])]
	}
	if end == 0 {
		return false
	}
	l.whole(b, end, lines)
	return true
}

// takeHead takes a line that is part of a head.
func (l *Lines) takeHead(line []byte) bool {
	if !maybeHead(line[0]) {
		return false
	}
	head, is := l.head.read(line)
	if is {
		l.head = head
		l.line++
		l.heads++
	}
	return is
}

// whole ends b behind so many octets.
func (l *Lines) whole(b *Block, end, lines int) {
	l.rest = append(l.rest[:0], b.Data[end:]...)
	b.Data, b.Head, b.Line = b.Data[:end], l.head, l.line
	l.line += lines
}

// skip gives away the beginning of a line that is too long, and reads to its end.
func (l *Lines) skip(b *Block) error {
	l.whole(b, MaxLine+1, 1)
	l.rest = l.rest[:0]
	scratch := Block{Data: make([]byte, 0, blockSize)}
	for l.failed == nil {
		scratch.Data = scratch.Data[:0]
		l.fill(&scratch)
		if n := bytes.IndexByte(scratch.Data, '\n') + 1; n > 0 {
			l.rest = append(l.rest, scratch.Data[n:]...)
			break
		}
	}
	return nil
}
