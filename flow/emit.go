package flow

// release makes ready, in their order, the records decided since the last time.
func (t *Table) release() {
	sortEndings(t.pending)
	t.released += uint64(len(t.pending))
	if len(t.ready) == 0 {
		t.ready, t.pending = t.pending, t.ready
		return
	}
	t.ready = append(t.ready, t.pending...)
	t.pending = t.pending[:0]
}

// Ends are Flows that have ended, or parts of some that go on, in the order in which
// their records are to leave. What Flows showed of endpoints comes with them, for the
// Judge.
type Ends struct {
	Flows   []Ended
	lessons []lesson
}

// NewEnds returns Ends with room for n Flows.
func NewEnds(n int) *Ends {
	return &Ends{make([]Ended, 0, n), make([]lesson, 0, lessonsPerFlow*n)}
}

// lessonsPerFlow is how many lessons there is room for with each Flow. Few teach more than two.
const lessonsPerFlow = 3

// Reset makes room for others.
func (x *Ends) Reset() { x.Flows, x.lessons = x.Flows[:0], x.lessons[:0] }

// An Ended is what the table knew of a Flow, or of a part of one, when its record was
// decided on: a copy of a few cache lines. To make the Record of it, several times as
// large, can be another core's work.
type Ended struct {
	entry    entry
	margin   margin
	reason   EndReason
	observer string

	// Of the Judge:
	direction Direction
	source    int // side of the Key

	rare rare // where the margin says that there is one
}

// Take moves to x what is ready, in the order that doc.go describes. It returns true
// when x has no room for more: call it again, with room, until it returns false, after
// each Add, Advance and Flush.
func (t *Table) Take(x *Ends) (more bool) {
	for {
		for t.taught < len(t.lessons) && t.lessons[t.taught].before <= t.stats.Exported {
			if len(x.lessons) == cap(x.lessons) {
				return true
			}
			n := len(x.lessons)
			x.lessons = x.lessons[:n+1]
			x.lessons[n] = t.lessons[t.taught]
			x.lessons[n].before = uint64(len(x.Flows))
			t.taught++
		}
		if t.taken == len(t.ready) {
			t.ready, t.taken = t.ready[:0], 0
			if t.closeSome() {
				continue
			}
			t.lessons, t.taught = t.lessons[:0], 0
			return false
		}
		if len(x.Flows) == cap(x.Flows) {
			return true
		}
		x.Flows = x.Flows[:len(x.Flows)+1]
		t.take(&x.Flows[len(x.Flows)-1])
	}
}

// take moves the next ending.
func (t *Table) take(x *Ended) {
	if t.taken%stride == 0 {
		t.touchEndings(t.ready[t.taken:min(t.taken+stride, len(t.ready))])
	}
	end := &t.ready[t.taken]
	t.taken++
	m := t.margins.at(end.entry)
	x.entry, x.margin, x.reason, x.observer = *t.entries.at(end.entry), *m, end.reason, t.observer
	if m.rare != 0 {
		x.rare = *t.rares.at(m.rare)
		t.rares.give(m.rare)
	}
	t.entries.give(end.entry)
	t.stats.Exported++
	t.stats.ByEndReason[end.reason]++
}

// again reports whether the Flow has had a record before.
func (x *Ended) again() bool { return x.margin.rare != 0 && x.rare.sequence > 0 }

// Record fills r: sides turn from the Key's order into source and destination,
// counters with them.
func (x *Ended) Record(r *Record) {
	e, m := &x.entry, &x.margin
	k := &e.key
	*r = Record{}
	r.Key, r.origin = *k, origin{x.observer, e.opened, m.first}
	r.Final = x.reason != ActiveTimeout
	r.Transport, r.Version = k.Transport(), k.Version()
	r.VLANs, r.VLAN[0], r.VLAN[1] = k.VLANs()
	e.fill(&r.Source, x.source)
	e.fill(&r.Destination, 1-x.source)
	r.Start, r.End = m.span(e)
	r.FlowStart = r.Start
	r.EndReason, r.State, r.Midstream = x.reason, e.state, e.facts&midstream != 0
	r.HistoryLen = e.spell(&r.History, x.source)
	r.Direction = x.direction
	if m.rare != 0 {
		x.rare.fill(r, x.source)
	}
}

// fill tells what one of the Key's endpoints sent, if there was no record before.
func (e *entry) fill(s *Side, i int) {
	s.Endpoint, s.Count, s.Total, s.Flags = e.key.endpoint(i), e.sent[i], e.sent[i], e.flags[i]
}

// fill adds what few records have.
func (x *rare) fill(r *Record, source int) {
	r.Source.since(x.reported[source], x.fragments[source])
	r.Destination.since(x.reported[1-source], x.fragments[1-source])
	if x.sequence > 0 {
		r.Sequence, r.origin.opened = x.sequence, x.opened
		r.FlowStart = min(r.Start, x.start)
	}
	r.Tunnel = x.tunnel
}

// since takes off what earlier records said.
func (s *Side) since(reported, fragments Count) {
	s.Count = Count{s.Total.Packets - reported.Packets, s.Total.Octets - reported.Octets}
	s.LaterFragments = fragments
}

// initiator is the side that a handshake showed as such.
func (e *entry) initiator() int { return int(e.facts / secondOpened & 1) }

// alone is what Next needs.
type alone struct {
	judge *Judge
	ends  Ends
	taken int // of ends
}

// Next takes the next record and fills r with it, for those who have no second core to
// make records. It returns false when none is ready: call it until then after each Add,
// Advance and Flush.
func (t *Table) Next(r *Record) bool {
	a := t.alone
	if a == nil {
		a = &alone{judge: NewJudge(t.assigned), ends: *NewEnds(stride)}
		t.alone = a
	}
	for a.taken == len(a.ends.Flows) {
		a.taken = 0
		a.ends.Reset()
		more := t.Take(&a.ends)
		a.judge.Judge(&a.ends)
		if !more && len(a.ends.Flows) == 0 {
			return false
		}
	}
	a.ends.Flows[a.taken].Record(r)
	a.taken++
	return true
}
