package flow

// A wheel finds the Flows whose time has come. Each entry lies in the bucket of
// the tick in which it is due; one that has seen packets since is not moved
// until its old bucket's turn (the wheel is lazy), one that is due earlier
// than before is moved at once. What lies further ahead than the wheel is round
// gets looked at once a turn.
type wheel struct {
	buckets [wheelTicks]uint32 // the first entry of each
	tick    int64              // all buckets before this tick's were emptied
	due     [stride]uint32     // scratch of advance
}

const (
	tickBits   = 27      // a tick is 2^27 ns, 134 ms
	wheelTicks = 1 << 12 // a turn is over nine minutes
	wheelMask  = wheelTicks - 1
)

// tickOf returns the tick of a time, before 1970 too.
func tickOf(t int64) int64 { return t >> tickBits }

// add puts an entry into the bucket of the tick in which it is due.
func (w *wheel) add(margins *slab[margin], i uint32, due int64) {
	tick := min(max(tickOf(due), w.tick), w.tick+wheelMask)
	b := uint16(tick & wheelMask)
	m := margins.at(i)
	m.bucket, m.prev, m.next = b, 0, w.buckets[b]
	if m.next != 0 {
		margins.at(m.next).prev = i
	}
	w.buckets[b] = i
}

// remove takes an entry out of its bucket.
func (w *wheel) remove(margins *slab[margin], i uint32) {
	m := margins.at(i)
	if m.next != 0 {
		margins.at(m.next).prev = m.prev
	}
	if m.prev != 0 {
		margins.at(m.prev).next = m.next
	} else {
		w.buckets[m.bucket] = m.next
	}
}

// hasten moves an entry that is due earlier than its bucket's turn.
func (w *wheel) hasten(margins *slab[margin], i uint32, due int64) {
	turn := w.tick + (int64(margins.at(i).bucket)-w.tick)&wheelMask
	if tickOf(due) < turn {
		w.remove(margins, i)
		w.add(margins, i, due)
	}
}

// advance empties the buckets whose turn is before limit, and calls visit for
// what lay in them, up to a stride at a time. Visit adds again what goes on.
func (w *wheel) advance(margins *slab[margin], limit int64, visit func(due []uint32)) {
	tick := w.tick
	last := tickOf(limit - 1)
	w.tick = max(tick, tickOf(limit))
	for last = min(last, tick+wheelMask); tick <= last; tick++ {
		b := tick & wheelMask
		i := w.buckets[b]
		w.buckets[b] = 0
		for i != 0 {
			n := 0
			for ; i != 0 && n < stride; n++ {
				w.due[n] = i
				i = margins.at(i).next
			}
			visit(w.due[:n])
		}
	}
}
