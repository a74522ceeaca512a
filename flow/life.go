package flow

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// Advance moves the clock of a live capture when no packet does. now is in nanoseconds
// since the Unix epoch; a time before the clock's changes nothing.
func (t *Table) Advance(now int64) { t.setClock(now) }

// setClock moves the clock forward to now, and sweeps if that is in another tick.
func (t *Table) setClock(now int64) {
	now = min(now, never-1)
	if !t.timed {
		t.start(now)
	}
	if !t.moveInTick(now) && now > t.clock {
		t.clock = now
		t.sweep(tickOf(now) << tickBits)
	}
}

// moveInTick does what setClock does for nearly all packets: it moves the clock forward
// within its tick. If now is in another tick, it does nothing and returns false.
func (t *Table) moveInTick(now int64) bool {
	if !t.timed || tickOf(now) != tickOf(t.clock) {
		return false
	}
	t.clock = max(t.clock, min(now, never-1))
	return true
}

// start sets the clock for the first time. Packets without time that came earlier count as
// packets of now.
func (t *Table) start(now int64) {
	t.timed, t.clock, t.began = true, now, now
	t.wheel.clear()
	t.wheel.tick = tickOf(now)
	for i := range t.each {
		e := t.entries.at(i)
		e.seen, e.opened, t.margins.at(i).end = now, now, now
		t.wheel.add(t.margins.at(i), i, t.due(e))
	}
}

// each yields the live Flows' numbers: in the order of their first packets, as long as no
// number has been used twice.
func (t *Table) each(yield func(uint32) bool) {
	for i := uint32(1); i <= t.entries.top; i++ {
		if t.entries.at(i).facts&live != 0 && !yield(i) {
			return
		}
	}
}

// sweepEvery is the largest number of packets metered between two sweeps, whatever their
// times. It bounds the records that wait for a sweep. If thousands left at a time, the other
// cores would first have too much to do and then nothing.
const sweepEvery = 1 << 12

// sweep ends what was due before limit, and makes all decided records ready. limit is at
// most the clock, so nothing decided later has an earlier time.
func (t *Table) sweep(limit int64) {
	t.expireAll(limit)
	t.wheel.tidy(&t.margins)
	t.release()
	t.shrink()
}

func (t *Table) expireAll(limit int64) {
	t.wheel.advance(&t.margins, limit, func(due []uint32) {
		var places [stride]place
		ended := places[:0]
		t.touchAll(due)
		for _, i := range due {
			if t.expire(i, limit) {
				ended = append(ended, t.placeOf(i))
			} else {
				t.wheel.add(t.margins.at(i), i, t.due(t.entries.at(i)))
			}
		}
		t.touchSlots(ended)
		for _, at := range ended {
			at.part.index.remove(at.tag, at.number)
		}
	})
}

// overdue reports whether one of the Flow's timeouts may be due before the clock; expire
// knows for sure. Neither difference overflows, and where opened is never, the second one
// exceeds any timeout.
func (t *Table) overdue(e *entry) bool {
	return uint64(t.clock-e.seen) > uint64(t.lives[e.life]) || uint64(t.clock-e.opened) > uint64(t.active)
}

// due returns when the next of the Flow's timeouts is due if no packet comes.
func (t *Table) due(e *entry) int64 {
	return min(after(e.seen, t.lives[e.life]), after(e.opened, t.active))
}

// expire carries out those of the Flow's timeouts that are due before limit, and reports
// whether the Flow ended. It leaves index and wheel as they are.
func (t *Table) expire(i uint32, limit int64) (ended bool) {
	e := t.entries.at(i)
	for {
		idle, active := after(e.seen, t.lives[e.life]), after(e.opened, t.active)
		switch {
		case active < idle && active < limit:
			t.split(i, active)
		case idle >= limit:
			return false
		case e.life == lingering:
			t.conclude(i, idle, EndOfFlow)
			return true
		default:
			t.conclude(i, idle, IdleTimeout)
			return true
		}
	}
}

// split decides on a record of a Flow that goes on: it copies what came so far to an entry
// of its own.
func (t *Table) split(i uint32, decided int64) {
	j := t.newEntry()
	e, m := t.entries.at(i), t.margins.at(i)
	part, pm := t.entries.at(j), t.margins.at(j)
	x := t.rare(i)
	*part, *pm = *e, *m
	part.facts &^= live
	pm.bucket = nowhere
	pm.rare = t.rares.take()
	*t.rares.at(pm.rare) = *x

	start, end := m.span(e)
	if x.sequence == 0 {
		x.opened, x.start = e.opened, start
	}
	x.start = min(x.start, start)
	x.sequence++
	x.reported = e.sent
	x.fragments = [2]Count{}
	m.end = end
	e.facts = e.facts&^late | fresh
	e.opened = never
	t.pending = append(t.pending, ending{decided, m.first, j, ActiveTimeout})
}

// conclude decides on a Flow's last record.
func (t *Table) conclude(i uint32, decided int64, reason EndReason) {
	e := t.entries.at(i)
	e.facts &^= live
	t.pending = append(t.pending, ending{decided, t.margins.at(i).first, i, reason})
}

// drop takes a Flow that has ended out of index and wheel.
func (t *Table) drop(at *place) {
	at.part.index.remove(at.tag, at.number)
	t.wheel.remove(t.margins.at(at.number))
}

// Flush ends all Flows. The table can be used again once Take has moved them.
func (t *Table) Flush() {
	t.expireAll(t.clock)
	t.closing = t.close()
	t.release()
	for i := range t.parts {
		t.parts[i].index = newIndex(i)
	}
	t.wheel.clear()
}

// A closing holds the Flows that Flush ends. They are all decided on at one time, and so
// leave in the order of their first packets: cell by cell, each sorted when its turn comes.
// If all were sorted at once, whoever takes them would have to wait.
type closing struct {
	decided int64
	entries []uint32 // cell by cell
	ends    []uint32 // where each cell ends in entries, from the next one on
	begin   uint32   // where the next cell begins

	low   uint64   // the next cell has the Flows whose first packets are numbered from low
	shift int      // to less than low + 1<<shift
	among []ending // what was decided on before Flush, but at the same time
}

// flowsInCell is about how many Flows a cell has if they began at an even rate.
const flowsInCell = 512

// close puts all Flows into cells. It reads only their margins, three times in a row, which
// takes less time than new memory for what it reads.
func (t *Table) close() closing {
	n := t.live()
	if n == 0 {
		return closing{}
	}
	low, high := uint64(math.MaxUint64), uint64(0)
	for _, m := range t.waiting {
		low, high = min(low, m.first), max(high, m.first)
	}
	shift := max(0, bits.Len64(high-low)-bits.Len(uint(n/flowsInCell)))
	c := closing{
		decided: t.clock, entries: make([]uint32, n), ends: make([]uint32, (high-low)>>shift+1),
		low: low, shift: shift,
	}
	for _, m := range t.waiting {
		c.ends[(m.first-low)>>shift]++
	}
	sum := uint32(0)
	for cell, n := range c.ends {
		c.ends[cell] = sum
		sum += n
	}
	for i, m := range t.waiting {
		end := &c.ends[(m.first-low)>>shift]
		c.entries[*end] = i
		*end++
	}
	t.entries.free = slices.Grow(t.entries.free, n) // Take gives all of them back
	sortEndings(t.pending)
	before, _ := slices.BinarySearchFunc(t.pending, t.clock, func(e ending, clock int64) int { return cmp.Compare(e.decided, clock) })
	c.among = slices.Clone(t.pending[before:])
	t.pending = t.pending[:before]
	return c
}

// waiting yields the numbers and margins of the live Flows, which all lie in the wheel.
func (t *Table) waiting(yield func(uint32, *margin) bool) {
	for i := uint32(1); i <= t.entries.top; i++ {
		if m := t.margins.at(i); m.bucket != nowhere && !yield(i, m) {
			return
		}
	}
}

// closeSome decides on the Flows of the next cell and makes them ready. It returns false
// when no cell is left.
func (t *Table) closeSome() bool {
	c := &t.closing
	if len(c.ends) == 0 {
		*c = closing{}
		return false
	}
	cell := c.entries[c.begin:c.ends[0]]
	c.begin, c.ends = c.ends[0], c.ends[1:]
	c.low += 1 << c.shift
	for len(c.among) > 0 && (c.among[0].first < c.low || len(c.ends) == 0) {
		t.pending = append(t.pending, c.among[0])
		c.among = c.among[1:]
	}
	for len(cell) > 0 {
		some := cell[:min(stride, len(cell))]
		cell = cell[len(some):]
		t.touchAll(some)
		for _, i := range some {
			t.margins.at(i).bucket = nowhere
			t.conclude(i, c.decided, ForcedEnd)
		}
	}
	t.release()
	return true
}

// makeRoom prepares a partition for another Flow. All partitions are full at about the same
// time; if all were scanned then, the other cores would soon have nothing left to do. So the
// first scan of each comes a little earlier than that of the one before.
func (t *Table) makeRoom(part *partition) {
	switch part.index.used {
	case t.most:
		t.evict(part)
	case part.early:
		if part.queue == nil {
			t.scan(part)
		}
	}
}

// evict ends the Flow of a partition whose last packet is the furthest back.
//
// A list in that order would cost every packet two cache misses. Instead, the partition is
// scanned into a queue. Entries that have seen packets since the scan are passed over; of
// the others, the first is the oldest of the partition. At least as many packets as the
// partition holds Flows come between two scans.
func (t *Table) evict(part *partition) {
	for {
		for part.passed < len(part.queue) {
			at := part.queued(part.passed)
			part.passed++
			e := t.entries.at(at.number)
			if e.facts&live == 0 || e.last >= part.scanned {
				continue
			}
			if !t.expire(at.number, t.clock) {
				t.conclude(at.number, t.clock, LackOfResources)
				t.stats.Limits.MaxFlows++
			}
			t.drop(&at)
			return
		}
		t.scan(part)
	}
}

// scan fills the queue with all entries, the longest idle first.
func (t *Table) scan(part *partition) {
	t.ages.all = t.ages.all[:0]
	for _, slot := range part.index.slots {
		if slot != 0 {
			t.ages.all = append(t.ages.all, age{t.entries.at(uint32(slot)).last, slot})
		}
	}
	t.ages.sort()
	part.queue, part.passed = slices.Grow(part.queue[:0], len(t.ages.all)), 0
	for i := range t.ages.all {
		part.queue = append(part.queue, t.ages.all[i].slot)
	}
	part.scanned = t.ordinal
}

// queued returns where the i'th Flow of the queue is. It may have ended since, and its number
// may be that of another Flow, which has then seen packets since the scan.
func (part *partition) queued(i int) place {
	slot := part.queue[i]
	return place{part: part, number: uint32(slot), tag: uint32(slot >> 32)}
}
