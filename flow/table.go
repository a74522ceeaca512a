package flow

import (
	"cmp"
	"slices"
	"time"
)

// Options say how a Table meters. The zero value has the documented defaults.
type Options struct {
	// IdleTimeout ends an established TCP Flow that is without packets for so
	// long; the shorter timeouts of other Flows (doc.go) are cut to it. 0 or less
	// means DefaultIdleTimeout.
	IdleTimeout time.Duration
	// ActiveTimeout is how long a record covers at most: a Flow that goes on gets
	// another. 0 or less means DefaultActiveTimeout.
	ActiveTimeout time.Duration
	// MaxFlows bounds the Flows that live at a time, rounded up to a multiple of
	// 64: a Flow that comes to a full partition takes the place of that
	// partition's longest idle one. 0 or less means DefaultMaxFlows.
	MaxFlows int
	// ObserverID goes into every Flow's ID, so that those of two observation
	// points differ.
	ObserverID string
	// IgnoreVLAN leaves the VLANs out of the Flow Key.
	IgnoreVLAN bool
	// Assigned says whether IANA's registry assigns a port for a transport. nil
	// leaves the method Registered unused.
	Assigned func(t Transport, port uint16) bool
}

// The values that an Option of zero stands for.
const (
	DefaultIdleTimeout   = 5 * time.Minute
	DefaultActiveTimeout = 30 * time.Minute
	DefaultMaxFlows      = 1_000_000
)

// Timeouts of Flows other than established TCP, where IdleTimeout is not shorter.
const (
	idleExchanging = 60 * time.Second // answered without TCP, or one-way
	idleUnanswered = 30 * time.Second // attempts, rejected ones included
	idleLingering  = 5 * time.Second  // after FIN both ways, or RST
)

// A Table meters packets into Flows. It is not safe for concurrent use.
type Table struct {
	seed       seed
	lives      [lives]int64 // idle timeouts
	active     int64        // active timeout
	most       int          // Flows in a partition
	ignoreVLAN bool
	assigned   func(Transport, uint16) bool
	identity   []byte // scratch for a Flow's ID; ends with the observer's
	known      learned

	clock   int64  // the largest packet time so far
	began   int64  // the first one
	timed   bool   // there was one
	ordinal uint64 // of the current packet, counted from 1

	parts   [partitions]partition
	entries slab[entry]
	rares   slab[rare]
	wheel   wheel

	pending []ending // decided since the last sweep
	ready   []ending // sorted, for Next
	taken   int      // how many of ready Next has returned

	aged    []aged // scratch of partition.age
	touched uint64 // keeps touch from being optimized away
	stats   Stats
}

// A partition is a part of the table that holds its share of Flows.
type partition struct {
	index   index
	queue   []uint32 // the entries by their last packet, when it was scanned
	passed  int      // how many of queue evict is done with
	scanned uint64   // ordinal of the packet for which it was scanned
}

// An ending is a record that was decided on.
type ending struct {
	decided int64 // the packet time that decided it
	first   uint64
	entry   uint32
	reason  EndReason
}

// Stats are a Table's counts so far.
type Stats struct {
	Created     uint64    // Flows
	Exported    uint64    // records that Next returned
	ByEndReason [6]uint64 // the same by EndReason
	Live        int       // Flows that have not ended
	Limits      Limits
}

// Limits count how often each bound of the table was hit.
type Limits struct {
	MaxFlows         uint64 // Flows that ended with LackOfResources
	LearnedEndpoints uint64 // times when the endpoints learned longest ago were forgotten
}

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	idle := positive(o.IdleTimeout, DefaultIdleTimeout)
	most := positive(o.MaxFlows, DefaultMaxFlows)
	t := &Table{
		seed:       newSeed(),
		active:     int64(positive(o.ActiveTimeout, DefaultActiveTimeout)),
		most:       (most + partitions - 1) / partitions,
		ignoreVLAN: o.IgnoreVLAN,
		assigned:   o.Assigned,
		identity:   append(make([]byte, identityLength), o.ObserverID...),
	}
	t.lives = [lives]int64{
		connected:  int64(idle),
		exchanging: int64(min(idle, idleExchanging)),
		unanswered: int64(min(idle, idleUnanswered)),
		lingering:  int64(min(idle, idleLingering)),
	}
	for i := range t.parts {
		t.parts[i].index.grow()
	}
	return t
}

func positive[T int | time.Duration](value, otherwise T) T {
	if value > 0 {
		return value
	}
	return otherwise
}

// Stats returns the counts so far.
func (t *Table) Stats() Stats {
	s := t.stats
	for i := range t.parts {
		s.Live += t.parts[i].index.used
	}
	s.Limits.LearnedEndpoints = t.known.forgot
	return s
}

// stride is how many packets are looked up together, so that their cache misses
// overlap. It shows in no output.
const stride = 64

// A place is where a packet's Flow is, if it is there.
type place struct {
	tag  uint32
	part uint8
}

// Add meters the packets of a batch, in their order. Batches may be cut
// anywhere. It keeps nothing of b, and with IgnoreVLAN changes its Keys.
func (t *Table) Add(b *Batch) {
	for rest := b.Packets; len(rest) > 0; {
		n := min(len(rest), stride)
		t.add(rest[:n], b.Tunnels)
		rest = rest[n:]
	}
}

func (t *Table) add(packets []Packet, tunnels []Tunnel) {
	var places [stride]place
	for i := range packets {
		k := &packets[i].Key
		if t.ignoreVLAN {
			k.SetVLANs(0, 0, 0)
		}
		places[i] = place{tagOf(t.seed.hash(k)), partitionOf(k)}
	}
	t.touch(places[:len(packets)])
	for i := range packets {
		p := &packets[i]
		t.ordinal++
		if p.Marks&Timeless == 0 {
			t.turn(p.Time)
		}
		if t.ordinal%run == 0 {
			t.sweep(t.clock)
		}
		t.meter(p, tunnels, places[i])
	}
}

// touch reads what meter is going to read, in loops whose loads do not wait for
// one another.
func (t *Table) touch(places []place) {
	var found [stride]uint32
	for i, at := range places {
		found[i] = t.parts[at.part].index.guess(at.tag)
	}
	sum := uint64(0)
	for i := range places {
		if found[i] != 0 {
			e := t.entries.at(found[i])
			sum += e.key.addr[0] + e.last + uint64(e.bucket)
		}
	}
	t.touched += sum
}

// meter takes in one packet.
func (t *Table) meter(p *Packet, tunnels []Tunnel, at place) {
	x := &t.parts[at.part].index
	i := x.find(at.tag, &p.Key, &t.entries)
	if i != 0 && t.expire(i, t.clock) {
		t.wheel.remove(&t.entries, i)
		i = 0
	}
	if p.Marks&Unreachable != 0 {
		if i != 0 {
			t.refuse(i, p)
		}
		return
	}
	if i != 0 && t.entries.at(i).reopens(p) {
		t.end(i, t.clock, EndOfFlow)
		t.wheel.remove(&t.entries, i)
		i = 0
	}
	if i == 0 {
		i = t.begin(p, tunnels, at)
	}
	t.count(i, p)
}

// begin makes an entry for a packet's Flow.
func (t *Table) begin(p *Packet, tunnels []Tunnel, at place) uint32 {
	part := &t.parts[at.part]
	if part.index.used >= t.most {
		t.evict(part)
	}
	i := t.entries.take()
	e := t.entries.at(i)
	e.key = p.Key
	e.first = t.ordinal
	e.seen, e.opened, e.start, e.end = t.clock, t.clock, never, t.clock
	e.begin(p)
	e.facts |= live
	if after(t.began, t.lives[exchanging]) < t.clock {
		e.facts |= settled
	}
	if p.Tunnel != 0 {
		e.rare = t.rares.take()
		t.rares.at(e.rare).tunnel = tunnels[p.Tunnel-1]
	}
	part.index.insert(at.tag, i)
	t.wheel.add(&t.entries, i, t.due(e))
	t.stats.Created++
	return i
}

// count adds a packet to its Flow.
func (t *Table) count(i uint32, p *Packet) {
	e := t.entries.at(i)
	from := int(p.Marks & Reverse)
	e.sent[from].Packets++
	e.sent[from].Octets += uint64(p.Octets)
	e.last, e.seen = t.ordinal, t.clock
	resumes := e.opened == never
	if resumes {
		e.opened = t.clock
	}
	if p.Marks&Timeless == 0 {
		e.time(p.Time)
	}
	if p.Marks&LaterFragment != 0 {
		t.fragment(e, from, p)
	}
	was, lived := e.state, e.life
	e.step(p, from, [2]uint64{e.sent[0].Packets, e.sent[1].Packets})
	if e.state != was {
		t.learn(e)
	}
	if e.life != lived || resumes {
		t.wheel.hasten(&t.entries, i, t.due(e))
	}
}

// time widens the times of the record to come.
func (e *entry) time(now int64) {
	if e.start == never {
		e.start, e.end = now, now
	}
	e.start, e.end = min(e.start, now), max(e.end, now)
}

// fragment counts a later fragment among the Flow's, too.
func (t *Table) fragment(e *entry, from int, p *Packet) {
	if e.rare == 0 {
		e.rare = t.rares.take()
	}
	later := &t.rares.at(e.rare).fragments[from]
	later.Packets++
	later.Octets += uint64(p.Octets)
}

// refuse takes in that a packet of the Flow was answered by an ICMP error.
func (t *Table) refuse(i uint32, p *Packet) {
	e := t.entries.at(i)
	e.unreachable(p.Key.Transport(), int(p.Marks&Reverse), [2]uint64{e.sent[0].Packets, e.sent[1].Packets})
	t.wheel.hasten(&t.entries, i, t.due(e))
}

// learn notes what a Flow that has just changed its state shows of its
// endpoints. A scan's unanswered packets show nothing.
func (t *Table) learn(e *entry) {
	switch {
	case e.state != Established && e.state != OneWay, e.facts&(groupFirst|groupSecond) != 0:
	case e.facts&opened == 0:
		t.known.met(e.key.service(0), e.key.service(1))
	case e.state == Established:
		t.known.served(e.key.service(1 - e.initiator()))
	}
}

// Advance tells the time of a live capture when no packet does: nanoseconds
// since the Unix epoch. A time before the clock's changes nothing.
func (t *Table) Advance(now int64) { t.turn(now) }

// turn sets the clock, and sweeps when it comes to another tick.
func (t *Table) turn(now int64) {
	if !t.timed {
		t.start(now)
	}
	if now <= t.clock {
		return
	}
	old := t.clock
	t.clock = now
	if tick := tickOf(now); tick != tickOf(old) {
		t.sweep(tick << tickBits)
	}
}

// start sets the clock for the first time. Packets without time that came
// before count as packets of now.
func (t *Table) start(now int64) {
	t.timed, t.clock, t.began = true, now, now
	t.wheel = wheel{tick: tickOf(now)}
	for i := range t.each() {
		e := t.entries.at(i)
		e.seen, e.opened, e.end = now, now, now
		t.wheel.add(&t.entries, i, t.due(e))
	}
}

// each yields the entries of all live Flows.
func (t *Table) each() func(yield func(uint32) bool) {
	return func(yield func(uint32) bool) {
		for i := range t.parts {
			for _, slot := range t.parts[i].index.slots {
				if slot != 0 && !yield(uint32(slot)) {
					return
				}
			}
		}
	}
}

// run is how many packets are metered between two sweeps at most, whatever
// their times: it bounds the records that wait for one.
const run = 1 << 14

// sweep ends what was due before limit, and makes all that is decided ready.
// limit is at most the clock: what is decided later has no smaller a time.
func (t *Table) sweep(limit int64) {
	t.expireAll(limit)
	t.release()
}

func (t *Table) expireAll(limit int64) {
	t.wheel.advance(&t.entries, limit, func(i uint32) {
		if !t.expire(i, limit) {
			t.wheel.add(&t.entries, i, t.due(t.entries.at(i)))
		}
	})
}

// due returns when the next of the Flow's timeouts is, if no packet comes.
func (t *Table) due(e *entry) int64 {
	return min(after(e.seen, t.lives[e.life]), after(e.opened, t.active))
}

// expire does what the Flow's timeouts that are due before limit ask for, and
// reports whether the Flow ended. The wheel still has it then.
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
			t.end(i, idle, EndOfFlow)
			return true
		default:
			t.end(i, idle, IdleTimeout)
			return true
		}
	}
}

// split decides on a record of a Flow that goes on: what came so far becomes an
// entry of its own.
func (t *Table) split(i uint32, decided int64) {
	e := t.entries.at(i)
	j := t.entries.take()
	part := t.entries.at(j)
	*part = *e
	part.facts &^= live
	part.rare = t.rares.take()
	if e.rare == 0 {
		e.rare = t.rares.take()
	}
	x, px := t.rares.at(e.rare), t.rares.at(part.rare)
	*px = *x
	px.heir = i

	x.id, x.start = t.flowID(part), t.flowStart(part)
	x.sequence++
	x.reported = e.sent
	x.fragments = [2]Count{}
	e.opened, e.start = never, never
	t.pending = append(t.pending, ending{decided, part.first, j, ActiveTimeout})
}

// end decides on a Flow's last record.
func (t *Table) end(i uint32, decided int64, reason EndReason) {
	k := &t.entries.at(i).key
	t.parts[partitionOf(k)].index.remove(tagOf(t.seed.hash(k)), i)
	t.conclude(i, decided, reason)
}

func (t *Table) conclude(i uint32, decided int64, reason EndReason) {
	e := t.entries.at(i)
	e.facts &^= live
	t.pending = append(t.pending, ending{decided, e.first, i, reason})
}

// Flush ends all Flows. The table can be used further.
func (t *Table) Flush() {
	t.expireAll(t.clock)
	for i := range t.each() {
		t.conclude(i, t.clock, ForcedEnd)
	}
	for i := range t.parts {
		clear(t.parts[i].index.slots)
		t.parts[i].index.used = 0
	}
	t.wheel.buckets = [wheelTicks]uint32{}
	t.release()
}

// release makes ready, in their order, the records decided since the last time,
// and gives each Flow's first one its direction.
func (t *Table) release() {
	slices.SortFunc(t.pending, func(a, b ending) int {
		return cmp.Or(cmp.Compare(a.decided, b.decided), cmp.Compare(a.first, b.first))
	})
	for i := range t.pending {
		t.judge(t.entries.at(t.pending[i].entry))
	}
	t.ready = append(t.ready, t.pending...)
	t.pending = t.pending[:0]
}

// judge settles the direction of an entry, and of the one that goes on after it.
func (t *Table) judge(e *entry) {
	if e.direction.Method != 0 {
		return
	}
	heir := e
	if e.rare != 0 {
		if i := t.rares.at(e.rare).heir; i != 0 && t.entries.at(i).first == e.first {
			heir = t.entries.at(i)
		}
	}
	if heir.direction.Method == 0 {
		v := t.evidence(e)
		service, d := v.verdict()
		heir.direction = d
		heir.facts |= secondInitiated * facts(1-service)
	}
	e.direction = heir.direction
	e.facts |= heir.facts & secondInitiated
}

// evidence collects what tells a Flow's direction.
func (t *Table) evidence(e *entry) evidence {
	v := evidence{
		transport: e.key.Transport(),
		port:      [2]uint16{e.key.port(0), e.key.port(1)},
		opener:    nobody,
		group:     either(e.facts&groupFirst != 0, e.facts&groupSecond != 0),
		beginner:  int(e.facts & secondBegan),
		settled:   e.facts&settled != 0,
	}
	if e.facts&opened != 0 {
		v.opener = e.initiator()
		return v
	}
	for side := range 2 {
		v.known[side] = t.known.of(e.key.service(side))
		v.assigned[side] = t.assigned != nil && t.assigned(v.transport, v.port[side])
	}
	return v
}

// Next takes the next record that is ready, in the order that doc.go describes,
// and fills r with it. It returns false when none is ready: call it until then
// after each Add, Advance and Flush.
func (t *Table) Next(r *Record) bool {
	if t.taken == len(t.ready) {
		t.ready, t.taken = t.ready[:0], 0
		return false
	}
	end := &t.ready[t.taken]
	t.taken++
	e := t.entries.at(end.entry)
	t.fill(r, e, end.reason)
	if e.rare != 0 {
		t.rares.give(e.rare)
	}
	t.entries.give(end.entry)
	t.stats.Exported++
	t.stats.ByEndReason[end.reason]++
	return true
}
