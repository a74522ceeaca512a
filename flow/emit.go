package flow

// release makes the records decided since the last release ready, in their order.
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

// Ends are Flows that have ended, or parts of Flows that go on, in the order in which their
// records leave. What the Flows showed about endpoints comes with them, for the Judge.
type Ends struct {
	flows    []ended
	rares    []rare // what only some of the Flows have
	lessons  []lesson
	observer string
}

// An ended is what the table knew of a Flow, or of part of one, when its record was decided
// on: a copy of three cache lines. Making the Record, which is several times as large, can be
// left to another core.
type ended struct {
	entry  entry
	margin margin // with the number of its rare in Ends.rares, from 1
	reason EndReason

	// Set by the Judge:
	source    uint8 // a side of the Key
	direction Direction
}

// NewEnds returns Ends with room for n Flows.
func NewEnds(n int) *Ends {
	return &Ends{flows: make([]ended, 0, n), rares: make([]rare, 0, n), lessons: make([]lesson, 0, lessonsPerFlow*n)}
}

// lessonsPerFlow is how many lessons there is room for per Flow. Few Flows teach more than
// two.
const lessonsPerFlow = 3

// Len returns how many Flows, or parts of Flows, there are.
func (x *Ends) Len() int { return len(x.flows) }

// Reset empties x and keeps its memory.
func (x *Ends) Reset() { x.flows, x.rares, x.lessons = x.flows[:0], x.rares[:0], x.lessons[:0] }

// Take moves what is ready to x, in the order that doc.go describes. It returns true when x
// has no room for more. After each Add, Advance and Flush, call it, with room in x, until
// it returns false.
func (t *Table) Take(x *Ends) (more bool) {
	x.observer = t.observer
	for {
		for t.taught < len(t.lessons) && t.lessons[t.taught].before <= t.stats.Exported {
			if len(x.lessons) == cap(x.lessons) {
				return true
			}
			n := len(x.lessons)
			x.lessons = x.lessons[:n+1]
			x.lessons[n] = t.lessons[t.taught]
			x.lessons[n].before = uint64(len(x.flows))
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
		if len(x.flows) == cap(x.flows) {
			return true
		}
		t.take(x)
	}
}

// take moves the next ending to x.
func (t *Table) take(x *Ends) {
	if t.taken%stride == 0 {
		t.touchEndings(t.ready[t.taken:min(t.taken+stride, len(t.ready))])
	}
	end := &t.ready[t.taken]
	t.taken++
	x.flows = x.flows[:len(x.flows)+1]
	f := &x.flows[len(x.flows)-1]
	f.entry, f.margin, f.reason = *t.entries.at(end.entry), *t.margins.at(end.entry), end.reason
	if i := f.margin.rare; i != 0 {
		x.rares = append(x.rares, *t.rares.at(i))
		f.margin.rare = uint32(len(x.rares))
		t.rares.give(i)
	}
	t.entries.give(end.entry)
	t.stats.Exported++
	t.stats.ByEndReason[end.reason]++
}

// rare returns what only some Flows have of one of x; or nil.
func (x *Ends) rare(f *ended) *rare {
	if f.margin.rare == 0 {
		return nil
	}
	return &x.rares[f.margin.rare-1]
}

// again reports whether the Flow has had a record before.
func (x *rare) again() bool { return x != nil && x.sequence > 0 }

// Record fills r from the i'th Flow. It turns the sides, and their counters, from the Key's
// order into source and destination.
func (x *Ends) Record(i int, r *Record) {
	f := &x.flows[i]
	e, m, source := &f.entry, &f.margin, int(f.source)
	k := &e.key
	*r = Record{}
	r.Key, r.origin = *k, origin{x.observer, e.opened, m.first}
	r.Final = f.reason != ActiveTimeout
	r.Transport, r.Version = k.Transport(), k.Version()
	r.VLANs, r.VLAN[0], r.VLAN[1] = k.VLANs()
	e.fill(&r.Source, source)
	e.fill(&r.Destination, 1-source)
	r.Start, r.End = m.span(e)
	r.FlowStart = r.Start
	r.EndReason, r.State, r.Midstream = f.reason, e.state, e.facts&midstream != 0
	r.HistoryLen = e.spell(&r.History, source)
	r.Direction = f.direction
	if more := x.rare(f); more != nil {
		more.fill(r, source)
	}
}

// fill sets what one of the Key's endpoints sent, as if there were no earlier record.
func (e *entry) fill(s *Side, i int) {
	s.Endpoint, s.Count, s.Total, s.Flags = e.key.endpoint(i), e.sent[i], e.sent[i], e.flags[i]
}

// fill adds what only a few records have.
func (x *rare) fill(r *Record, source int) {
	r.Source.since(x.reported[source], x.fragments[source])
	r.Destination.since(x.reported[1-source], x.fragments[1-source])
	if x.sequence > 0 {
		r.Sequence, r.origin.opened = x.sequence, x.opened
		r.FlowStart = min(r.Start, x.start)
	}
	r.Tunnel = x.tunnel
}

// since subtracts what earlier records reported.
func (s *Side) since(reported, fragments Count) {
	s.Count = Count{s.Total.Packets - reported.Packets, s.Total.Octets - reported.Octets}
	s.LaterFragments = fragments
}

// initiator returns the side that a handshake showed to be the initiator.
func (e *entry) initiator() int { return int(e.facts / secondOpened & 1) }

// alone is what Next keeps between calls.
type alone struct {
	judge *Judge
	ends  Ends
	taken int // of ends
}

// Next fills r with the next record, for callers that have no second core to make records
// on. It returns false when none is ready. After each Add, Advance and Flush, call it until
// it returns false.
func (t *Table) Next(r *Record) bool {
	a := t.alone
	if a == nil {
		a = &alone{judge: NewJudge(t.assigned), ends: *NewEnds(stride)}
		t.alone = a
	}
	for a.taken == a.ends.Len() {
		a.taken = 0
		a.ends.Reset()
		more := t.Take(&a.ends)
		a.judge.Judge(&a.ends)
		if !more && a.ends.Len() == 0 {
			return false
		}
	}
	a.ends.Record(a.taken, r)
	a.taken++
	return true
}
