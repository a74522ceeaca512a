package flow

// When a burst is over, the table gives its memory back. The index shrinks by itself;
// entries with high numbers are moved to free low ones, some at each sweep, until all
// chunks above are empty. None of this shows in a record.

// stepOfShrink is how many entries are looked at in a sweep: enough to get through two
// million in seconds, few enough that no packet waits longer than a millisecond or two.
const stepOfShrink = 4096

// shrink goes on moving entries, or begins to if most of the memory is unused. No record
// may be pending.
func (t *Table) shrink() {
	if t.unmoved == 0 {
		if !t.entries.sparse(t.few) && !t.rares.sparse(t.few) {
			return
		}
		t.entries.vacate(t.few)
		t.rares.vacate(t.few)
		t.unmoved = t.entries.top
	}
	t.pending, t.ages = nil, ages{} // release swaps pending and ready, so ready's turn comes too
	for range min(stepOfShrink, t.unmoved) {
		if t.entries.at(t.unmoved).facts&live != 0 {
			t.settle(t.unmoved)
		}
		t.unmoved--
	}
	for i := range t.parts { // a queue may now name a Flow of another partition
		t.parts[i].queue, t.parts[i].passed = nil, 0
	}
	if t.unmoved == 0 {
		t.entries.trim()
		t.margins.cut(t.entries.top)
		t.rares.trim()
		t.wheel.shrink(&t.margins)
	}
}

// settle moves what a Flow has above the limits to below them, if there is room.
func (t *Table) settle(i uint32) {
	if t.entries.leaves(i) {
		at, j := t.placeOf(i), t.entries.take()
		at.part.index.rename(at, j)
		*t.entries.at(j), *t.margins.at(j) = *t.entries.at(i), *t.margins.at(i)
		t.wheel.rename(&t.margins, i, j)
		t.entries.give(i)
		i = j
	}
	if m := t.margins.at(i); t.rares.leaves(m.rare) {
		x := t.rares.take()
		*t.rares.at(x) = *t.rares.at(m.rare)
		t.rares.give(m.rare)
		m.rare = x
	}
}

// fewNumbers is how many numbers are not yet worth a shrink.
const fewNumbers = 1 << 14

// sparse reports whether less than a quarter of a slab's numbers are in use, and there are
// more than few.
func (s *slab[T]) sparse(few uint32) bool { return s.top > few && s.used() < s.top/4 }

// used returns how many numbers are in use.
func (s *slab[T]) used() uint32 { return s.top - uint32(len(s.free)+len(s.above)) }

// vacate sets the limit of a sparse slab, so that at least half of the numbers up to it
// will be free.
func (s *slab[T]) vacate(few uint32) {
	if !s.sparse(few) {
		return
	}
	s.limit = max(few, 2*s.used())
	var free []uint32
	for _, i := range s.free {
		if i <= s.limit {
			free = append(free, i)
		} else {
			s.above = append(s.above, i)
		}
	}
	s.free = free
}

// leaves reports whether a number is above the limit and a lower one is free.
func (s *slab[T]) leaves(i uint32) bool { return s.limit != 0 && i > s.limit && len(s.free) > 0 }

// trim drops the chunks above the limit if nothing is left there. Either way, it clears the
// limit.
func (s *slab[T]) trim() {
	if s.limit != 0 && len(s.above) == int(s.top-s.limit) {
		s.top = s.limit
		s.cut(s.top)
	} else {
		s.free = append(s.free, s.above...)
	}
	s.above, s.limit = nil, 0
}

// cut drops the chunks above the one that holds the number top.
func (s *slab[T]) cut(top uint32) {
	if n := int(top/chunkLength) + 1; n < len(s.chunks) {
		s.chunks = append([]*[chunkLength]T(nil), s.chunks[:n]...)
	}
}

// rename gives an entry another number.
func (x *index) rename(at place, entry uint32) {
	mask := len(x.slots) - 1
	i := int(at.tag>>x.shift) & mask
	for x.slots[i] != slotOf(at.tag, at.number) {
		i = (i + 1) & mask
	}
	x.slots[i] = slotOf(at.tag, entry)
}
