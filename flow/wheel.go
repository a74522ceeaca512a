package flow

// A wheel finds the Flows whose time has come. Each entry lies in the bucket of the tick in
// which it is due. One that has seen packets since is not moved until its old bucket's turn
// (the wheel is lazy); one that is due earlier than before is moved at once. What is due
// further ahead than one turn of the wheel is looked at once per turn.
//
// A bucket is a list of numbers, stored side by side and read in a row, so that the entries
// of many can be fetched from memory at a time. An entry that leaves a bucket early leaves
// its number there: margin.bucket says where the entry is, and its number in any other
// bucket is stale.
type wheel struct {
	buckets [wheelTicks]bucket
	leaves  slab[leaf]
	tick    int64 // all buckets before this tick's have been emptied
	numbers int   // in all buckets, including stale ones
	entries int   // in buckets
	due     [stride]uint32
}

// A bucket is its first leaf, the only one that may have room, and how many numbers that
// leaf has.
type bucket struct{ leaf, n uint32 }

// A leaf is a part of a bucket: four cache lines.
type leaf struct {
	next    uint32
	numbers [leafLength]uint32
}

const leafLength = 63

const (
	tickBits   = 25      // a tick is 2^25 ns, 34 ms
	wheelTicks = 1 << 14 // a turn is over nine minutes
	wheelMask  = wheelTicks - 1
)

// nowhere is the margin.bucket of an entry that lies in no bucket; for others it is one
// more than the bucket's number.
const nowhere = 0

// tickOf returns the tick of a time, including times before 1970.
func tickOf(t int64) int64 { return t >> tickBits }

// add puts an entry into the bucket of the tick in which it is due.
func (w *wheel) add(m *margin, i uint32, due int64) {
	tick := min(max(tickOf(due), w.tick), w.tick+wheelMask)
	b := uint16(tick & wheelMask)
	m.bucket = b + 1
	w.entries++
	w.put(b, i)
}

// put writes a number into a bucket.
func (w *wheel) put(at uint16, i uint32) {
	b := &w.buckets[at]
	if b.leaf == 0 || b.n == leafLength {
		l := w.leaves.take()
		w.leaves.at(l).next = b.leaf
		*b = bucket{leaf: l}
	}
	w.leaves.at(b.leaf).numbers[b.n] = i
	b.n++
	w.numbers++
}

// remove takes an entry out of its bucket.
func (w *wheel) remove(m *margin) {
	m.bucket = nowhere
	w.entries--
}

// hasten moves an entry if it is due before its bucket's turn.
func (w *wheel) hasten(m *margin, i uint32, due int64) {
	turn := w.tick + (int64(m.bucket)-1-w.tick)&wheelMask
	if tickOf(due) < turn {
		w.remove(m)
		w.add(m, i, due)
	}
}

// rename moves an entry's place in the wheel to its new number; its margin has moved
// already.
func (w *wheel) rename(margins *slab[margin], from, to uint32) {
	margins.at(from).bucket = nowhere
	w.put(margins.at(to).bucket-1, to)
}

// advance empties the buckets whose turn is before limit, and calls visit with what lay in
// them, up to a stride at a time. visit adds back what goes on.
func (w *wheel) advance(margins *slab[margin], limit int64, visit func(due []uint32)) {
	tick := w.tick
	last := tickOf(limit - 1)
	w.tick = max(tick, tickOf(limit))
	for last = min(last, tick+wheelMask); tick <= last; tick++ {
		b := uint16(tick & wheelMask)
		for numbers := range w.empty(b) {
			n := 0
			for _, i := range numbers {
				if !margins.has(i) {
					continue
				}
				if m := margins.at(i); m.bucket == b+1 {
					w.remove(m)
					w.due[n] = i
					n++
				}
			}
			visit(w.due[:n])
		}
	}
}

// empty yields the numbers of a bucket, and leaves it empty.
func (w *wheel) empty(at uint16) func(yield func(numbers []uint32) bool) {
	return func(yield func([]uint32) bool) {
		b := w.buckets[at]
		w.buckets[at] = bucket{}
		for l := b.leaf; l != 0; b.n = leafLength {
			w.numbers -= int(b.n)
			if !yield(w.leaves.at(l).numbers[:b.n]) {
				return
			}
			next := w.leaves.at(l).next
			w.leaves.give(l)
			l = next
		}
	}
}

// tidy drops stale numbers once they are the majority, so that each costs its share of only
// one tidying.
func (w *wheel) tidy(margins *slab[margin]) {
	if w.numbers <= 2*w.entries+leafLength*wheelTicks {
		return
	}
	w.sift(w, margins)
}

// shrink gives back the leaves that a burst took.
func (w *wheel) shrink(margins *slab[margin]) {
	old := *w
	w.buckets, w.leaves, w.numbers = [wheelTicks]bucket{}, slab[leaf]{}, 0
	w.sift(&old, margins)
}

// sift takes over the numbers of another wheel that are not stale.
func (w *wheel) sift(from *wheel, margins *slab[margin]) {
	for b := range uint16(wheelTicks) {
		for numbers := range from.empty(b) {
			for _, i := range numbers {
				if margins.has(i) && margins.at(i).bucket == b+1 {
					w.put(b, i)
				}
			}
		}
	}
}

// clear takes all entries out. It leaves their margins as they are.
func (w *wheel) clear() { *w = wheel{tick: w.tick} }
