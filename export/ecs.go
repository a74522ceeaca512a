package export

import (
	"encoding/hex"
	"strconv"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// ECSVersion is the version of the Elastic Common Schema that ECS writes.
const ECSVersion = "9.4.0"

// ECSOptions are the facts that a record cannot know. All may be left out.
type ECSOptions struct {
	// Version of the program, in observer.version.
	Version string
	// ObserverName and Interface become observer.name and
	// observer.ingress.interface.name; empty: the field is not written.
	ObserverName, Interface string
	// Now is the sensor's clock, in event.created. It is nil where packets come
	// from a savefile: the same capture gives the same bytes.
	Now func() time.Time
}

// ECS writes records as JSON lines of the Elastic Common Schema. What the
// registry says goes under portwatch, never into network.protocol: that one is
// for protocols that were seen, and a port number proves none.
//
// The order of the keys is fixed. Everything that does not depend on the Flow is
// rendered once: the fields of the observer and the registry by NewECS, those of
// a registry answer when it is first needed. Append does not allocate.
type ECS struct {
	now func() time.Time

	ecs      []byte // from after @timestamp to event's first varying field
	observer []byte
	registry []byte // portwatch.registry, to the end of the line

	tags    [annotate.AllTags + 1][]byte
	flags   [256][]byte
	entries [][]byte // by registry.Entry.Index; nil: not rendered yet
	ports   [registry.Dynamic + 1][annotate.Service + 1][]byte
	network [2][256][]byte              // by IP version 6 and transport; nil: not rendered yet
	reasons [annotate.Rules][256]reason // by rule, and the port's lower half

	// What one record says more than once, rendered.
	id, start, end      []byte
	source, destination []byte // addresses
	findings            []byte
	worst               []byte // the reason of the most severe finding
	scratch             []byte
}

// reason is a rendered one. Beside the rule it depends on transport and port.
type reason struct {
	transport registry.Transport
	port      uint16
	text      []byte // nil: none yet
}

// NewECS returns a format for records that were annotated from reg.
func NewECS(reg *registry.Registry, o ECSOptions) *ECS {
	e := &ECS{now: o.Now, entries: make([][]byte, reg.Entries())}
	e.ecs = append(e.ecs, `","ecs":{"version":"`+ECSVersion+`"},"event":{"kind":"event","category":["network"],`...)
	e.observer = appendObserver(nil, &o)
	e.registry = append(e.registry, `,"registry":{"date":`...)
	e.registry = appendString(e.registry, reg.Date())
	e.registry = append(e.registry, `,"sha256":`...)
	e.registry = appendString(e.registry, reg.SHA256())
	e.registry = append(e.registry, "}}}\n"...)
	for t := range e.tags {
		e.tags[t] = append(e.tags[t], `,"tags":`...)
		e.tags[t] = appendStrings(e.tags[t], annotate.Tags(t).Names())
	}
	for f := range e.flags {
		e.flags[f] = appendFlags(nil, flow.TCPFlags(f))
	}
	for class := range registry.Dynamic + 1 {
		for role := range annotate.Service + 1 {
			e.ports[class][role] = []byte(`{"class":"` + class.String() + `","role":"` + role.String())
		}
	}
	return e
}

func appendObserver(dst []byte, o *ECSOptions) []byte {
	dst = append(dst, `,"observer":{`...)
	if o.ObserverName != "" {
		dst = append(dst, `"name":`...)
		dst = appendString(dst, o.ObserverName)
		dst = append(dst, ',')
	}
	dst = append(dst, `"type":"sensor","vendor":"portwatch","product":"portwatch","version":`...)
	dst = appendString(dst, o.Version)
	if o.Interface != "" {
		dst = append(dst, `,"ingress":{"interface":{"name":`...)
		dst = appendString(dst, o.Interface)
		dst = append(dst, `}}`...)
	}
	return append(dst, '}')
}

// Append appends r as one line. sequence counts the records of the run: a gap
// shows the receiver a loss.
func (e *ECS) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	e.render(r)
	dst = append(dst, `{"@timestamp":"`...)
	dst = append(dst, e.end...)
	dst = append(dst, e.ecs...)
	dst = e.appendEvent(dst, r, sequence)
	dst = e.appendSides(dst, f)
	dst = e.appendNetwork(dst, f)
	dst = append(dst, e.observer...)
	dst = e.appendRelated(dst, f)
	dst = append(dst, e.tags[r.Tags()]...)
	dst = append(dst, `,"portwatch":{"source":{"port":`...)
	dst = e.appendPort(dst, &r.Source)
	dst = append(dst, `},"destination":{"port":`...)
	dst = e.appendPort(dst, &r.Destination)
	dst = append(dst, `},"flow":`...)
	dst = e.appendFlow(dst, f)
	dst = append(dst, `,"findings":[`...)
	dst = append(dst, e.findings...)
	dst = append(dst, ']')
	dst = appendTunnel(dst, f)
	return append(dst, e.registry...)
}

// render renders what Append needs more than once.
func (e *ECS) render(r *annotate.Record) {
	f := r.Flow
	id := f.ID()
	e.id = hex.AppendEncode(e.id[:0], id[:])
	e.start = appendTime(e.start[:0], f.Start)
	e.end = appendTime(e.end[:0], f.End)
	e.source = f.Source.Addr().AppendTo(e.source[:0])
	e.destination = f.Destination.Addr().AppendTo(e.destination[:0])
	e.renderFindings(r)
}

// renderFindings renders all findings, and notes the reason of the most severe
// one, the first of equals.
func (e *ECS) renderFindings(r *annotate.Record) {
	dst, highest := e.findings[:0], -1
	for i, f := range r.Findings {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"rule":"`...)
		dst = append(dst, f.Rule.String()...)
		dst = append(dst, `","id":"`...)
		dst = append(dst, f.Rule.ID()...)
		dst = append(dst, `","side":"`...)
		dst = append(dst, f.Side.String()...)
		dst = append(dst, `","reason":`...)
		why := e.reason(r, f)
		dst = append(dst, why...)
		if f.Severity > highest {
			highest, e.worst = f.Severity, append(e.worst[:0], why...)
		}
		dst = append(dst, `,"severity":`...)
		dst = strconv.AppendInt(dst, int64(f.Severity), 10)
		dst = append(dst, `,"confidence":"`...)
		dst = append(dst, f.Confidence.String()...)
		dst = append(dst, `"}`...)
	}
	e.findings = dst
}

// reason returns a finding's reason as a JSON string. Flagged services have many
// Flows: most reasons are those of one before.
func (e *ECS) reason(r *annotate.Record, f annotate.Finding) []byte {
	p := r.Port(f.Side)
	kept := &e.reasons[f.Rule][p.Number%256]
	if kept.text == nil || kept.port != p.Number || kept.transport != p.Transport {
		e.scratch = r.AppendReason(e.scratch[:0], f)
		*kept = reason{p.Transport, p.Number, appendString(kept.text[:0], e.scratch)}
	}
	return kept.text
}

// lifecycle is event.type and event.action by whether the record is its Flow's
// last and whether it is its first.
var lifecycle = [2][2]string{
	{
		`"type":["connection","info"],"action":"flow_update"`,
		`"type":["connection","start"],"action":"flow_start"`,
	}, {
		`"type":["connection","end"],"action":"flow_end"`,
		`"type":["connection","start","end"],"action":"flow_end"`,
	},
}

func (e *ECS) appendEvent(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	dst = append(dst, lifecycle[index(f.Final)][index(f.Sequence == 0)]...)
	dst = append(dst, `,"module":"portwatch","dataset":"portwatch.flow","provider":"portwatch","id":"`...)
	dst = append(dst, e.id...)
	dst = append(dst, '-')
	dst = strconv.AppendUint(dst, uint64(f.Sequence), 10)
	dst = append(dst, `","sequence":`...)
	dst = strconv.AppendUint(dst, sequence, 10)
	dst = append(dst, `,"start":"`...)
	dst = append(dst, e.start...)
	dst = append(dst, `","end":"`...)
	dst = append(dst, e.end...)
	dst = append(dst, `","duration":`...)
	dst = strconv.AppendInt(dst, int64(f.Duration()), 10)
	if e.now != nil {
		dst = append(dst, `,"created":"`...)
		dst = appendTime(dst, e.now().UnixNano())
		dst = append(dst, '"')
	}
	if len(r.Findings) > 0 {
		dst = append(dst, `,"severity":`...)
		dst = strconv.AppendInt(dst, int64(r.Severity()), 10)
		dst = append(dst, `,"reason":`...)
		dst = append(dst, e.worst...)
	}
	return append(dst, '}')
}

func index(b bool) int {
	if b {
		return 1
	}
	return 0
}

// appendSides appends source and destination, and their copies client and server
// where the direction is established: ECS wants the first two always filled.
func (e *ECS) appendSides(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"source":`...)
	from := len(dst)
	dst = appendSide(dst, e.source, &f.Source)
	source := dst[from:]
	dst = append(dst, `,"destination":`...)
	from = len(dst)
	dst = appendSide(dst, e.destination, &f.Destination)
	destination := dst[from:]
	if established(f.Direction.Method) {
		dst = append(dst, `,"client":`...)
		dst = append(dst, source...)
		dst = append(dst, `,"server":`...)
		dst = append(dst, destination...)
	}
	return dst
}

func established(m flow.Method) bool {
	switch m {
	case flow.Handshake, flow.Multicast, flow.Announced, flow.Learned:
		return true
	}
	return false
}

func appendSide(dst, address []byte, s *flow.Side) []byte {
	dst = append(dst, `{"ip":"`...)
	dst = append(dst, address...)
	dst = append(dst, `","port":`...)
	dst = strconv.AppendUint(dst, uint64(s.Port()), 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendUint(dst, s.Octets, 10)
	dst = append(dst, `,"packets":`...)
	dst = strconv.AppendUint(dst, s.Packets, 10)
	return append(dst, '}')
}

func (e *ECS) appendNetwork(dst []byte, f *flow.Record) []byte {
	head := &e.network[index(f.Version == 6)][f.Transport]
	if *head == nil {
		*head = appendNetworkHead(nil, f)
	}
	dst = append(dst, *head...)
	dst = flow.AppendCommunityID(dst, f.CommunityID())
	dst = append(dst, `","bytes":`...)
	dst = strconv.AppendUint(dst, f.Source.Octets+f.Destination.Octets, 10)
	dst = append(dst, `,"packets":`...)
	dst = strconv.AppendUint(dst, f.Source.Packets+f.Destination.Packets, 10)
	if f.VLANs > 0 {
		dst = append(dst, `,"vlan":{"id":"`...)
		dst = strconv.AppendUint(dst, uint64(f.VLAN[0]), 10)
		dst = append(dst, `"}`...)
	}
	if f.VLANs > 1 {
		dst = append(dst, `,"inner":{"vlan":{"id":"`...)
		dst = strconv.AppendUint(dst, uint64(f.VLAN[1]), 10)
		dst = append(dst, `"}}`...)
	}
	return append(dst, '}')
}

func appendNetworkHead(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"network":{"type":"ipv`...)
	dst = strconv.AppendUint(dst, uint64(f.Version), 10)
	dst = append(dst, `","transport":"`...)
	dst = append(dst, f.Transport.String()...)
	dst = append(dst, `","iana_number":"`...)
	dst = strconv.AppendUint(dst, uint64(f.Transport), 10)
	return append(dst, `","community_id":"`...)
}

// appendRelated appends both addresses, one where a host talks to itself.
func (e *ECS) appendRelated(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"related":{"ip":["`...)
	dst = append(dst, e.source...)
	if f.Source.Addr() != f.Destination.Addr() {
		dst = append(dst, `","`...)
		dst = append(dst, e.destination...)
	}
	return append(dst, `"]}`...)
}

// appendPort appends what is known of a port: its class and role, then the
// registry's answer, which is the same for all ports that share it.
func (e *ECS) appendPort(dst []byte, p *annotate.Port) []byte {
	dst = append(dst, e.ports[p.Class][p.Role]...)
	answer := e.entries[p.Entry.Index]
	if answer == nil {
		answer = appendEntry(nil, p.Entry)
		e.entries[p.Entry.Index] = answer
	}
	return append(dst, answer...)
}

func appendEntry(dst []byte, entry *registry.Entry) []byte {
	dst = append(dst, `","status":"`...)
	dst = append(dst, entry.Status.String()...)
	dst = append(dst, '"')
	if service := entry.Service(); service != "" {
		dst = append(dst, `,"service":`...)
		dst = appendString(dst, service)
		dst = append(dst, `,"services":`...)
		dst = appendStrings(dst, entry.Services())
	}
	if others := entry.RegisteredOn(); len(others) > 0 {
		separator := `,"registered_on":["`
		for _, t := range others {
			dst = append(dst, separator...)
			dst = append(dst, t.String()...)
			separator = `","`
		}
		dst = append(dst, `"]`...)
	}
	if note, reported := entry.UnauthorizedUse(); reported {
		dst = append(dst, `,"unauthorized_use":{"reported":true,"note":`...)
		dst = appendString(dst, note)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func (e *ECS) appendFlow(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `{"id":"`...)
	dst = append(dst, e.id...)
	dst = append(dst, `","sequence":`...)
	dst = strconv.AppendUint(dst, uint64(f.Sequence), 10)
	dst = append(dst, `,"final":`...)
	dst = strconv.AppendBool(dst, f.Final)
	dst = append(dst, `,"end_reason":"`...)
	dst = append(dst, f.EndReason.String()...)
	dst = append(dst, `","state":"`...)
	dst = append(dst, f.State.String()...)
	dst = append(dst, `","midstream":`...)
	dst = strconv.AppendBool(dst, f.Midstream)
	if f.HistoryLen > 0 {
		dst = append(dst, `,"history":"`...)
		dst = append(dst, f.History[:f.HistoryLen]...)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"direction":{"method":"`...)
	dst = append(dst, f.Direction.Method.String()...)
	dst = append(dst, `","confidence":"`...)
	dst = append(dst, f.Direction.Confidence.String()...)
	dst = append(dst, `"}`...)
	if f.Transport == flow.TCP {
		dst = append(dst, `,"tcp_flags":{"source":`...)
		dst = append(dst, e.flags[f.Source.Flags]...)
		dst = append(dst, `,"destination":`...)
		dst = append(dst, e.flags[f.Destination.Flags]...)
		dst = append(dst, '}')
	}
	dst = append(dst, `,"total":{"source":`...)
	dst = appendCount(dst, f.Source.Total)
	dst = append(dst, `,"destination":`...)
	dst = appendCount(dst, f.Destination.Total)
	dst = append(dst, `,"start":"`...)
	if f.FlowStart == f.Start {
		dst = append(dst, e.start...)
	} else {
		dst = appendTime(dst, f.FlowStart)
	}
	dst = append(dst, `"}`...)
	if f.Source.LaterFragments.Packets+f.Destination.LaterFragments.Packets > 0 {
		dst = append(dst, `,"later_fragments":{"source":`...)
		dst = appendCount(dst, f.Source.LaterFragments)
		dst = append(dst, `,"destination":`...)
		dst = appendCount(dst, f.Destination.LaterFragments)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

// appendFlags appends a union of TCP flags as an array, in the header's order.
func appendFlags(dst []byte, flags flow.TCPFlags) []byte {
	names := [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	set := make([]string, 0, len(names))
	for bit, name := range names {
		if flags&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	return appendStrings(dst, set)
}

func appendCount(dst []byte, c flow.Count) []byte {
	dst = append(dst, `{"packets":`...)
	dst = strconv.AppendUint(dst, c.Packets, 10)
	dst = append(dst, `,"bytes":`...)
	dst = strconv.AppendUint(dst, c.Octets, 10)
	return append(dst, '}')
}

func appendTunnel(dst []byte, f *flow.Record) []byte {
	if f.Tunnel.Type == 0 {
		return dst
	}
	dst = append(dst, `,"tunnel":{"type":"`...)
	dst = append(dst, f.Tunnel.Type.String()...)
	dst = append(dst, `","id":"`...)
	dst = strconv.AppendUint(dst, uint64(f.Tunnel.ID), 10)
	dst = append(dst, `","outer_community_id":"`...)
	dst = flow.AppendCommunityID(dst, f.Tunnel.CommunityID())
	return append(dst, `"}`...)
}
