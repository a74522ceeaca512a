package flow

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
