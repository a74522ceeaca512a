package flow

// release makes ready, in their order, the records decided since the last time. What
// other Flows showed of endpoints stays as it is until all of them are judged.
func (t *Table) release() {
	t.known.settle()
	sortEndings(t.pending)
	if len(t.ready) == 0 {
		t.ready, t.pending = t.pending, t.ready
		return
	}
	t.ready = append(t.ready, t.pending...)
	t.pending = t.pending[:0]
}

// judgeReady gives those records that are ready their Flows' directions.
func (t *Table) judgeReady() {
	for t.judged < len(t.ready) {
		t.judgeSome()
	}
}

// judgeSome goes on with that, and leaves near what it read.
func (t *Table) judgeSome() {
	some := t.ready[t.judged:min(t.judged+stride, len(t.ready))]
	t.touchEndings(some)
	t.touchKnown(some)
	for i := range some {
		t.judge(some[i].entry)
	}
	t.judged += len(some)
}

// touchKnown touches what evidence is going to ask of the endpoints.
func (t *Table) touchKnown(ends []ending) {
	for i := range ends {
		if e := t.entries.at(ends[i].entry); e.facts&opened == 0 {
			for side := range 2 {
				s := e.key.service(side)
				t.known.touch(&s)
			}
		}
	}
}

// judge settles the direction of an entry, and of the one that goes on after it.
func (t *Table) judge(i uint32) {
	m := t.margins.at(i)
	if m.direction.Method != 0 {
		return
	}
	heir := i
	if m.rare != 0 {
		if j := t.rares.at(m.rare).heir; j != 0 && t.margins.at(j).first == m.first {
			heir = j
		}
	}
	e, h, hm := t.entries.at(i), t.entries.at(heir), t.margins.at(heir)
	if hm.direction.Method == 0 {
		v := t.evidence(e)
		service, d := v.verdict()
		hm.direction = d
		h.facts |= secondInitiated * facts(1-service)
	}
	m.direction = hm.direction
	e.facts |= h.facts & secondInitiated
}

// evidence collects what tells a Flow's direction.
func (t *Table) evidence(e *entry) evidence {
	v := evidence{
		transport: e.key.Transport(),
		port:      [2]uint16{e.key.port(0), e.key.port(1)},
		opener:    nobody,
		group:     either(e.facts&groupFirst != 0, e.facts&groupSecond != 0),
		announced: either(e.facts&announcedFirst != 0, e.facts&announcedSecond != 0),
		beginner:  int(e.facts & secondBegan),
		settled:   e.facts&settled != 0,
	}
	if e.facts&opened != 0 {
		v.opener = e.initiator()
		return v
	}
	v.flags = e.flags
	for side := range 2 {
		v.known[side] = t.known.of(e.key.service(side))
		v.private[side] = private(e.key.address(side))
		v.assigned[side] = t.assigned != nil && t.assigned(v.transport, v.port[side])
	}
	return v
}

// An Ended is what the table knew of a Flow, or of a part of one, when its record was
// decided on: a copy of a few cache lines. To make the Record of it, several times as
// large, can be another core's work.
type Ended struct {
	entry    entry
	margin   margin
	rare     rare // where the margin says that there is one
	reason   EndReason
	observer string
}

// Next takes the next record that is ready, in the order that doc.go describes,
// and fills r with it. It returns false when none is ready: call it until then
// after each Add, Advance and Flush.
func (t *Table) Next(r *Record) bool {
	var e Ended
	ok := t.NextEnded(&e)
	if ok {
		e.Record(r)
	}
	return ok
}

// NextEnded is Next for those who make the record later.
func (t *Table) NextEnded(e *Ended) bool {
	if t.taken == len(t.ready) {
		t.ready, t.taken, t.judged = t.ready[:0], 0, 0
		return false
	}
	end := &t.ready[t.taken]
	if t.taken == t.judged {
		t.judgeSome()
	} else if t.taken%stride == 0 {
		t.touchEndings(t.ready[t.taken:min(t.taken+stride, len(t.ready))])
	}
	t.taken++
	m := t.margins.at(end.entry)
	e.entry, e.margin, e.reason, e.observer = *t.entries.at(end.entry), *m, end.reason, t.observer
	if m.rare != 0 {
		e.rare = *t.rares.at(m.rare)
		t.rares.give(m.rare)
	}
	m.first = 0 // it is nobody's heir
	t.entries.give(end.entry)
	t.stats.Exported++
	t.stats.ByEndReason[end.reason]++
	return true
}

// Record fills r: sides turn from the Key's order into source and destination,
// counters with them.
func (x *Ended) Record(r *Record) {
	e, m := &x.entry, &x.margin
	k := &e.key
	source := int(e.facts / secondInitiated & 1)
	*r = Record{}
	r.Key, r.origin = *k, origin{x.observer, e.opened, m.first}
	r.Final = x.reason != ActiveTimeout
	r.Transport, r.Version = k.Transport(), k.Version()
	r.VLANs, r.VLAN[0], r.VLAN[1] = k.VLANs()
	e.fill(&r.Source, source)
	e.fill(&r.Destination, 1-source)
	r.Start, r.End = m.span(e)
	r.FlowStart = r.Start
	r.EndReason, r.State, r.Midstream = x.reason, e.state, e.facts&midstream != 0
	r.HistoryLen = e.spell(&r.History, source)
	r.Direction = m.direction
	if m.rare != 0 {
		x.rare.fill(r, source)
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
