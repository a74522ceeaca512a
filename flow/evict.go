package flow

import (
	"cmp"
	"slices"
)

// aged is an entry with the ordinal of its last packet.
type aged struct {
	last  uint64
	entry uint32
}

// evict ends the Flow of a partition whose last packet is the furthest back.
//
// A list in that order would cost every packet two cache misses. Instead the
// partition is scanned into a queue; an entry that has seen packets since is
// passed over, and before all that have not, there is none that is older. Each
// scan pays for as many packets as the partition holds Flows.
func (t *Table) evict(part *partition) {
	for {
		for part.passed < len(part.queue) {
			i := part.queue[part.passed]
			part.passed++
			e := t.entries.at(i)
			if e.facts&live == 0 || e.last >= part.scanned {
				continue
			}
			if !t.expire(i, t.clock) {
				t.end(i, t.clock, LackOfResources)
				t.stats.Limits.MaxFlows++
			}
			t.wheel.remove(&t.entries, i)
			return
		}
		t.scan(part)
	}
}

// scan fills the queue with all entries, the one idle for longest first.
func (t *Table) scan(part *partition) {
	t.aged = t.aged[:0]
	for _, slot := range part.index.slots {
		if slot != 0 {
			i := uint32(slot)
			t.aged = append(t.aged, aged{t.entries.at(i).last, i})
		}
	}
	slices.SortFunc(t.aged, func(a, b aged) int { return cmp.Compare(a.last, b.last) })
	part.queue, part.passed = part.queue[:0], 0
	for _, a := range t.aged {
		part.queue = append(part.queue, a.entry)
	}
	part.scanned = t.ordinal
}
