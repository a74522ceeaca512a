package flow

import "math"

// An entry is the part of a Flow that every packet needs: two cache lines. Its margin is
// the part that few packets need. A Flow in the table has both under one number; so has a
// part of a Flow that waits to be taken.
//
// Neither holds a pointer, so the garbage collector skips millions of them, and their 160
// octets leave room for the index within 200.
type entry struct {
	key    Key
	sent   [2]Count // by side, since the beginning of the Flow
	last   uint64   // ordinal of the last packet
	seen   int64    // the clock at the last packet
	opened int64    // the clock at the first packet of the next record; never if none has come
	progress
}

// touch reads from both of the entry's lines.
func (e *entry) touch() uint64 { return e.key.addr[0] + e.last }

// A margin is the part of a Flow that few packets need.
type margin struct {
	// start and end are the smallest and largest packet time of the next record. end is
	// valid only where the facts say late or fresh: while each packet's time is the
	// clock's, the end is entry.seen, and start does not change.
	start, end int64

	first  uint64 // ordinal of the Flow's first packet
	rare   uint32 // number of the Flow's rare; or 0
	bucket uint16 // bucket of the wheel, plus one; or nowhere
}

// time takes in a packet's time. It is called before entry.seen moves to the clock.
func (m *margin) time(e *entry, p *Packet, clock int64) {
	if e.facts&(late|fresh) == 0 {
		m.end = e.seen
		e.facts |= late
	}
	if p.Marks&Timeless != 0 {
		return
	}
	now := min(p.Time, never-1)
	if e.facts&fresh != 0 {
		m.start, m.end = now, now
		e.facts &^= fresh
		if now != clock {
			e.facts |= late
		}
		return
	}
	m.start, m.end = min(m.start, now), max(m.end, now)
}

// span returns the first and last time of the next record.
func (m *margin) span(e *entry) (start, end int64) {
	switch e.facts & (late | fresh) {
	case 0:
		return m.start, e.seen
	case late:
		return m.start, m.end
	}
	return m.end, m.end
}

// never is later than any packet's time.
const never = math.MaxInt64

// rare is what only some Flows need: those that came through a tunnel, had later fragments,
// or have had a record before.
type rare struct {
	tunnel    Tunnel
	fragments [2]Count // later fragments since the last record

	// Valid if the Flow has had a record:
	sequence uint32
	reported [2]Count // the sum of the earlier records
	opened   int64    // the clock at the Flow's first packet
	start    int64    // the smallest time in the earlier records
}

// A slab holds numbered values in chunks that never move. 0 is never given out.
type slab[T any] struct {
	chunks []*[chunkLength]T
	next   *[chunkLength]T // the next chunk, from the stock; or nil
	top    uint32          // the highest number given out so far
	free   []uint32

	// While the slab is being emptied above limit, which is otherwise 0, above holds the
	// free numbers above it.
	limit uint32
	above []uint32
}

const chunkLength = 1 << 10

// at returns the value of a number. It is valid until the number is given back.
func (s *slab[T]) at(i uint32) *T { return &s.chunks[i/chunkLength][i%chunkLength] }

// has reports whether the slab has room for a number, in use or not.
func (s *slab[T]) has(i uint32) bool { return int(i/chunkLength) < len(s.chunks) }

// take returns a number whose value is zero.
func (s *slab[T]) take() uint32 {
	if n := len(s.free); n > 0 {
		i := s.free[n-1]
		s.free = s.free[:n-1]
		return i
	}
	if n := len(s.above); n > 0 {
		i := s.above[n-1]
		s.above = s.above[:n-1]
		return i
	}
	s.top++
	s.reach(s.top)
	return s.top
}

// upcoming returns up to n of the numbers that take will return next.
func (s *slab[T]) upcoming(n int) []uint32 { return s.free[max(0, len(s.free)-n):] }

// reach makes room for a number.
func (s *slab[T]) reach(i uint32) {
	if int(i/chunkLength) < len(s.chunks) {
		return
	}
	if s.next == nil {
		s.next = new([chunkLength]T)
	}
	s.chunks, s.next = append(s.chunks, s.next), nil
}

// give takes a number back.
func (s *slab[T]) give(i uint32) {
	var zero T
	*s.at(i) = zero
	if s.limit != 0 && i > s.limit {
		s.above = append(s.above, i)
	} else {
		s.free = append(s.free, i)
	}
}

// after returns t+d, or never if that is later.
func after(t, d int64) int64 {
	if t > never-d {
		return never
	}
	return t + d
}
