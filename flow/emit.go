package flow

import (
	"cmp"
	"slices"
)

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

// fill makes the record of an entry: sides turn from the Key's order into
// source and destination, counters with them.
func (t *Table) fill(r *Record, e *entry, reason EndReason) {
	k := &e.key
	source := int(e.facts / secondInitiated & 1)
	*r = Record{
		ID:          t.flowID(e),
		Final:       reason != ActiveTimeout,
		Transport:   k.Transport(),
		Version:     k.Version(),
		Source:      e.side(source),
		Destination: e.side(1 - source),
		Start:       min(e.start, e.end),
		End:         e.end,
		FlowStart:   t.flowStart(e),
		EndReason:   reason,
		State:       e.state,
		Midstream:   e.facts&midstream != 0,
		Direction:   e.direction,
		CommunityID: communityID(k, uint8(k.Transport()), hasCommunityPorts(k.Transport())),
	}
	r.VLANs, r.VLAN[0], r.VLAN[1] = k.VLANs()
	r.HistoryLen = e.spell(&r.History, source)
	if e.rare != 0 {
		t.rares.at(e.rare).fill(r, source)
	}
}

// side is what one of the Key's endpoints sent, if there was no record before.
func (e *entry) side(i int) Side {
	return Side{Endpoint: e.key.endpoint(i), Count: e.sent[i], Total: e.sent[i], Flags: e.flags[i]}
}

// fill adds what few records have.
func (x *rare) fill(r *Record, source int) {
	r.Sequence = x.sequence
	r.Source.since(x.reported[source], x.fragments[source])
	r.Destination.since(x.reported[1-source], x.fragments[1-source])
	if x.tunnel.Type != 0 {
		o := &x.tunnel.Outer
		r.TunnelType, r.TunnelID = x.tunnel.Type, x.tunnel.ID
		r.OuterCommunityID = communityID(o, x.tunnel.OuterProtocol, hasCommunityPorts(o.Transport()))
	}
}

// since takes off what earlier records said.
func (s *Side) since(reported, fragments Count) {
	s.Count = Count{s.Total.Packets - reported.Packets, s.Total.Octets - reported.Octets}
	s.LaterFragments = fragments
}

// flowStart is the smallest time of the Flow's packets so far.
func (t *Table) flowStart(e *entry) int64 {
	start := min(e.start, e.end)
	if e.rare != 0 {
		if x := t.rares.at(e.rare); x.sequence > 0 {
			start = min(start, x.start)
		}
	}
	return start
}

// initiator is the side that a handshake showed as such.
func (e *entry) initiator() int { return int(e.facts / secondOpened & 1) }
