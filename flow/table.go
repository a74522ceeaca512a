package flow

import "time"

// Options say how a Table meters. The zero value has the documented defaults.
type Options struct {
	// IdleTimeout is how long an established TCP Flow may be without packets; the timeouts
	// of other Flows (doc.go) are never longer. 0 or less means DefaultIdleTimeout.
	IdleTimeout time.Duration
	// ActiveTimeout is the longest time that a record covers: a Flow that goes on gets
	// another. 0 or less means DefaultActiveTimeout.
	ActiveTimeout time.Duration
	// MaxFlows bounds the Flows that live at a time, rounded up to a multiple of 64: a new
	// Flow in a full partition takes the place of the one there that has been idle longest.
	// 0 or less means DefaultMaxFlows.
	MaxFlows int
	// ObserverID goes into every Flow's ID, so that two observation points give different
	// IDs.
	ObserverID string
	// IgnoreVLAN leaves the VLANs out of the Flow Key.
	IgnoreVLAN bool
	// Assigned reports whether IANA's registry assigns a port for a transport, or knows
	// that it is used without authorization: a service is to be expected there. If it is
	// nil, the method Registered applies only to DHCP's clients. It is for Next; NewJudge
	// takes its own.
	Assigned func(t Transport, port uint16) bool
}

// The defaults of Options.
const (
	DefaultIdleTimeout   = 5 * time.Minute
	DefaultActiveTimeout = 30 * time.Minute
	DefaultMaxFlows      = 1_000_000
)

// Timeouts of Flows other than established TCP, where IdleTimeout is not shorter.
const (
	idleExchanging = 60 * time.Second // established without TCP, or one-way
	idleUnanswered = 30 * time.Second // attempts, including rejected ones
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
	observer   string
	promised   announced

	clock   int64  // the largest packet time so far
	began   int64  // the first packet time
	timed   bool   // whether there was one
	ordinal uint64 // of the current packet, counted from 1

	parts   [partitions]partition
	entries slab[entry]
	margins slab[margin] // by the numbers of entries
	rares   slab[rare]
	wheel   wheel
	unmoved uint32 // shrink has still to look at entries 1 to unmoved
	few     uint32 // slabs up to this size are not worth a shrink

	pending  []ending // decided since the last sweep
	ready    []ending // sorted, for Take
	taken    int      // how many of ready Take has moved
	released uint64   // how many were ever ready
	lessons  []lesson // what Flows showed of endpoints, for Take
	taught   int      // how many of lessons Take has moved
	closing  closing  // what Flush ended and Take has not moved yet

	stats Stats
	alone *alone // what Next keeps between calls

	stock stock // of memory that Prepare has made

	ages    ages   // scratch of scan
	touched uint64 // the sum of what prefetch.go has read; otherwise unused
}

// A partition is a part of the table that holds its share of Flows.
type partition struct {
	index   index
	queue   []uint64 // the slots of index, ordered by their Flows' last packets at the time of the scan
	passed  int      // how many of queue evict is done with
	scanned uint64   // ordinal of the packet that caused the scan
	early   int      // how many Flows cause the first scan
}

// An ending is a record that was decided on.
type ending struct {
	decided int64  // the packet time that decided it
	first   uint64 // ordinal of its Flow's first packet
	entry   uint32 // its number
	reason  EndReason
}

// Stats are a Table's counts so far.
type Stats struct {
	Created     uint64    // Flows
	Exported    uint64    // records that Take moved, including those of Flows that go on
	ByEndReason [6]uint64 // of these, by EndReason
	Live        int       // Flows that have not ended
	Limits      Limits
}

// Limits count how often each bound of the table was hit.
type Limits struct {
	MaxFlows uint64 // Flows that ended with LackOfResources
	// AnnouncedEndpoints were forgotten while their Flow was still expected.
	AnnouncedEndpoints uint64
	// Late packets were behind the clock by more than the active timeout: the clock, which
	// never goes back, is ahead of the traffic, and timeouts end nothing until the traffic
	// has caught up.
	Late uint64
}

// NewTable returns an empty table.
func NewTable(o Options) *Table {
	idle := positive(o.IdleTimeout, DefaultIdleTimeout)
	most := positive(o.MaxFlows, DefaultMaxFlows)
	t := &Table{
		seed:       newSeed(),
		active:     int64(positive(o.ActiveTimeout, DefaultActiveTimeout)),
		most:       (most-1)/partitions + 1,
		ignoreVLAN: o.IgnoreVLAN,
		assigned:   o.Assigned,
		observer:   o.ObserverID,
		few:        fewNumbers,
	}
	t.lives = [lives]int64{
		connected:  int64(idle),
		exchanging: int64(min(idle, idleExchanging)),
		unanswered: int64(min(idle, idleUnanswered)),
		lingering:  int64(min(idle, idleLingering)),
	}
	for i := range t.parts {
		t.parts[i].index = newIndex(i)
		t.parts[i].early = t.most - t.most*i/(4*partitions)
	}
	t.entries.reach(0) // look reads entry 0 where there is none
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
	s.Live = t.live()
	s.Limits.AnnouncedEndpoints = t.promised.forgot
	return s
}

func (t *Table) live() (n int) {
	for i := range t.parts {
		n += t.parts[i].index.used
	}
	return n
}

// stride is how many packets are looked up together, so that their cache misses overlap. It
// does not affect the output.
const stride = 64

// A place is where a packet's Flow is, if it is in the table.
type place struct {
	part   *partition
	entry  *entry // probably; not live if there is none
	number uint32 // of entry; or 0
	tag    uint32
}

// holds reports whether entry belongs to the live Flow with Key k. The Flow found there may
// have ended since, and the entry may be another's; where shrink moved it, the old entry is
// empty.
func (at *place) holds(k *Key) bool { return at.entry.facts&live != 0 && at.entry.key.equals(k) }

// Prepare does the part of Add that needs no Flow, so that another core can do it while Add
// works on other batches. Add prepares whatever is not prepared yet. The results stay in
// the packets of b; with IgnoreVLAN, their Keys change.
func (t *Table) Prepare(b *Batch) {
	for i := b.prepared; i < len(b.Packets); i++ {
		p := &b.Packets[i]
		if t.ignoreVLAN {
			p.Key.SetVLANs(0, 0, 0)
		}
		p.tag, p.part = tagOf(t.seed.hash(&p.Key)), partitionOf(&p.Key)
	}
	b.prepared = len(b.Packets)
	t.stock.fill()
}

// Add meters the packets of a batch, in their order. Batches may be cut anywhere. Add keeps
// no reference to b.
func (t *Table) Add(b *Batch) {
	if b.prepared < len(b.Packets) {
		t.Prepare(b)
	}
	t.restock()
	from := 0
	for _, a := range b.Announcements {
		t.addAll(b.Packets[from:a.Packet+1], b.Tunnels)
		from = a.Packet + 1
		p := &b.Packets[a.Packet]
		t.promised.announce(&p.Key, int(p.Marks&Reverse), &a, t.clock)
	}
	t.addAll(b.Packets[from:], b.Tunnels)
}

// addAll meters packets in strides.
func (t *Table) addAll(packets []Packet, tunnels []Tunnel) {
	for len(packets) > 0 {
		n := min(len(packets), stride)
		t.add(packets[:n], tunnels)
		packets = packets[n:]
	}
}

// add meters a stride of packets: it looks up all of them, then takes them in one after
// another.
func (t *Table) add(packets []Packet, tunnels []Tunnel) {
	var all [stride]place
	places := all[:len(packets)]
	for i := range places {
		at := &places[i]
		at.tag, at.part = packets[i].tag, &t.parts[packets[i].part%partitions]
	}
	t.look(packets, places)
	for i := range packets {
		p := &packets[i]
		t.ordinal++
		if p.Marks&Timeless == 0 && !t.moveInTick(p.Time) {
			t.setClock(p.Time)
			if after(p.Time, t.active) < t.clock {
				t.stats.Limits.Late++
			}
		}
		if t.ordinal%sweepEvery == 0 {
			t.sweep(t.clock)
		}
		if at := &places[i]; !t.goesOn(p, at) {
			t.meter(p, tunnels, at)
		}
	}
}

// goesOn takes in a packet that is one more of a long conversation. It returns false for
// any other, which is left to meter. Most packets end here.
func (t *Table) goesOn(p *Packet, at *place) bool {
	e := at.entry
	if e.facts&steady == 0 || !at.holds(&p.Key) || t.overdue(e) || p.Time != t.clock || !e.routine(p) {
		return false
	}
	t.tally(e, p)
	return true
}

// meter takes in one packet.
func (t *Table) meter(p *Packet, tunnels []Tunnel, at *place) {
	e := t.find(&p.Key, at)
	if e != nil && t.overdue(e) && t.expire(at.number, t.clock) {
		t.drop(at)
		e = nil
	}
	if p.Marks&Unreachable != 0 {
		if e != nil {
			t.refuse(at, p)
		}
		return
	}
	if e != nil && e.reopens(p) {
		t.conclude(at.number, t.clock, EndOfFlow)
		t.drop(at)
		e = nil
	}
	if e == nil {
		e = t.begin(p, tunnels, at)
	}
	t.count(e, at.number, p)
}

// find returns the live Flow with Key k and sets at.number to its number. If there is none,
// it returns nil and sets 0.
func (t *Table) find(k *Key, at *place) *entry {
	if at.holds(k) {
		return at.entry
	}
	if at.number = at.part.index.find(at.tag, k, &t.entries); at.number == 0 {
		return nil
	}
	return t.entries.at(at.number)
}

// begin makes an entry for a packet's Flow.
func (t *Table) begin(p *Packet, tunnels []Tunnel, at *place) *entry {
	t.makeRoom(at.part)
	i := t.newEntry()
	e, m := t.entries.at(i), t.margins.at(i)
	e.key = p.Key
	e.seen, e.opened = t.clock, t.clock
	m.first, m.end = t.ordinal, t.clock
	e.begin(p)
	e.facts |= live | fresh
	if after(t.began, t.lives[exchanging]) < t.clock {
		e.facts |= settled
	}
	if t.promised.any() {
		if service := t.promised.expected(&e.key, t.clock); service != nobody {
			e.facts |= announcedFirst << service
		}
	}
	if p.Tunnel != 0 {
		m.rare = t.rares.take()
		t.rares.at(m.rare).tunnel = tunnels[p.Tunnel-1]
	}
	at.part.index.insert(at.tag, i)
	t.wheel.add(m, i, t.due(e))
	t.stats.Created++
	at.number = i
	return e
}

// newEntry returns the number of a new entry and margin.
func (t *Table) newEntry() uint32 {
	i := t.entries.take()
	t.margins.reach(i)
	*t.margins.at(i) = margin{}
	return i
}

// count adds a packet to its Flow.
func (t *Table) count(e *entry, i uint32, p *Packet) {
	if p.Marks&Timeless != 0 || p.Time != t.clock || e.facts&(late|fresh) != 0 {
		t.margins.at(i).time(e, p, t.clock)
	}
	t.tally(e, p)
	from := int(p.Marks & Reverse)
	resumes := e.opened == never
	if resumes {
		e.opened = t.clock
	}
	if p.Marks&LaterFragment != 0 {
		t.fragment(i, from, p)
	}
	was, lived := e.state, t.lives[e.life]
	e.step(p, from, &e.sent)
	switch {
	case e.state != was && was != Established:
		t.noteLessons(e, from)
	case e.state == Attempt && p.accepts():
		t.serves(e.key.service(from)) // the packet that it accepts took another path
	}
	if t.lives[e.life] < lived || resumes {
		t.wheel.hasten(t.margins.at(i), i, t.due(e))
	}
}

// tally adds a packet to the counts of its Flow.
func (t *Table) tally(e *entry, p *Packet) {
	sent := &e.sent[p.Marks&Reverse]
	sent.Packets++
	sent.Octets += uint64(p.Octets)
	e.last, e.seen = t.ordinal, t.clock
}

// fragment also counts a later fragment as such.
func (t *Table) fragment(i uint32, from int, p *Packet) {
	later := &t.rare(i).fragments[from]
	later.Packets++
	later.Octets += uint64(p.Octets)
}

// rare returns the rare of a Flow, which is given one if it has none.
func (t *Table) rare(i uint32) *rare {
	m := t.margins.at(i)
	if m.rare == 0 {
		m.rare = t.rares.take()
	}
	return t.rares.at(m.rare)
}

// refuse takes in an ICMP error that answers a packet of the Flow. If the timeout of the
// Flow's new state has already passed, the Flow ends at the clock's time: records of the
// earlier time have left.
func (t *Table) refuse(at *place, p *Packet) {
	i := at.number
	e := t.entries.at(i)
	e.unreachable(p.Key.Transport(), int(p.Marks&Reverse), &e.sent)
	due := t.due(e)
	if due < t.clock {
		t.conclude(i, t.clock, IdleTimeout)
		t.drop(at)
		return
	}
	t.wheel.hasten(t.margins.at(i), i, due)
}

// placeOf says where an entry is.
func (t *Table) placeOf(i uint32) place {
	k := &t.entries.at(i).key
	return place{tag: tagOf(t.seed.hash(k)), part: &t.parts[partitionOf(k)], number: i}
}
