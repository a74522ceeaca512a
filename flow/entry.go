package flow

import "math"

// An entry is a Flow in the table, or a part of one that waits to be taken.
// It holds no pointer, so that the garbage collector passes by millions of them,
// and at 168 octets leaves room for its slots in the index within 200.
type entry struct {
	key  Key
	sent [2]Count // by side, since the beginning of the Flow

	last   uint64 // ordinal of the last packet
	seen   int64  // the clock at the last packet
	opened int64  // the clock at the first packet of the record to come; or never

	progress

	start, end int64  // of the record to come: smallest and largest packet time
	first      uint64 // ordinal of the Flow's first packet

	next, prev uint32 // in the wheel's bucket
	rare       uint32 // what few Flows have; or 0
	bucket     uint16
	direction  Direction // the verdict, once there is one
}

// never stands for a time that has not come.
const never = math.MaxInt64

// rare is what an entry has beside it if its Flow came through a tunnel, had
// later fragments, or has had a record before.
type rare struct {
	tunnel    Tunnel
	fragments [2]Count // later fragments since the last record

	// Of a Flow that has had a record:
	sequence uint32
	heir     uint32   // in that record's own entry: the entry that goes on
	reported [2]Count // what the records before add up to
	id       [16]byte
	start    int64 // the smallest time in the records before
}

// A slab holds numbered values in chunks that never move; 0 is no number.
type slab[T any] struct {
	chunks []*[chunkLength]T
	top    uint32 // the highest number given so far
	free   []uint32
}

const chunkLength = 1 << 10

// at returns the value of a number, valid until it is given back.
func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/chunkLength][i%chunkLength] }

// take returns a number whose value is zero.
func (s *slab[T]) take() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	s.top++
	if int(s.top/chunkLength) >= len(s.chunks) {
		s.chunks = append(s.chunks, new([chunkLength]T))
	}
	return s.top
}

// give takes a number back.
func (s *slab[T]) give(i uint32) {
	var zero T
	*s.at(i) = zero
	s.free = append(s.free, i)
}

// after returns t+d, or never.
func after(t, d int64) int64 {
	if t > never-d {
		return never
	}
	return t + d
}
