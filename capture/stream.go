package capture

import (
	"fmt"
	"io"
)

// bufferSize is how much of a savefile is read at once. Larger buffers measured
// slower (they do not stay in the cache), smaller ones need more reads.
const bufferSize = 256 << 10

// A stream is a window on the octets of a savefile: a reader's buffer, parts of
// which are handed out without copying.
type stream struct {
	data   []byte // the octets that were read but not taken yet: a part of buf
	offset int64  // of data[0], counted from the start of the (decompressed) file
	start  int64  // offset of the packet or block that is being read, for messages

	src io.Reader
	buf []byte
	err error // what ended src
}

func newStream(src io.Reader) *stream {
	return &stream{src: src, buf: make([]byte, bufferSize)}
}

// need reports whether data holds at least n octets, and reads until it does
// or src ends. Slices of data that were handed out before become invalid.
func (s *stream) need(n int) bool {
	return len(s.data) >= n || s.fill(n)
}

// fill is the slow half of need. The buffer doubles only when it is full of octets
// that were really read, so that a length field alone cannot make it grow.
func (s *stream) fill(n int) bool {
	for empty := 0; len(s.data) < n && s.err == nil; {
		if len(s.data) == len(s.buf) {
			s.buf = append(s.buf, make([]byte, len(s.buf))...)
		}
		kept := copy(s.buf, s.data)
		got, err := s.src.Read(s.buf[kept:])
		s.data, s.err = s.buf[:kept+got], err
		if empty++; got > 0 {
			empty = 0
		} else if empty == 100 && err == nil {
			s.err = io.ErrNoProgress
		}
	}
	return len(s.data) >= n
}

// take advances by n octets that data holds, and returns them. They are valid
// until the next call of need or skip.
func (s *stream) take(n int) []byte {
	head := s.data[:n:n]
	s.data = s.data[n:]
	s.offset += int64(n)
	return head
}

// skip advances by n octets, which need not fit into the buffer. It reports
// whether the stream had them.
func (s *stream) skip(n int64) bool {
	for n > int64(len(s.data)) {
		n -= int64(len(s.data))
		s.take(len(s.data))
		if !s.need(1) {
			return false
		}
	}
	s.take(int(n))
	return true
}

// cut returns the error for something of n octets, beginning at start, of which
// the stream has only a part. It is io.EOF if the stream ends at start.
func (s *stream) cut(what string, n int64) error {
	there := s.offset - s.start + int64(len(s.data))
	switch {
	case s.err != io.EOF:
		return s.err
	case there == 0:
		return io.EOF
	}
	return fmt.Errorf("%w: %s of %d octets, of which %d are there", ErrTruncated, what, n, there)
}
