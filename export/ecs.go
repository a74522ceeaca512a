package export

import (
	"slices"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// ECSVersion is the version of the Elastic Common Schema that ECS writes.
const ECSVersion = "9.4.0"

// Options are facts that are not in a record. Each may be left out.
type Options struct {
	// Version of the program, for observer.version.
	Version string
	// ObserverName and Interface become observer.name and
	// observer.ingress.interface.name; if empty, the field is not written.
	ObserverName, Interface string
	// Now is the sensor's clock, for event.created. It is nil when reading a
	// savefile, so that the same capture gives the same bytes.
	Now func() time.Time
}

// ECS writes records as JSON lines of the Elastic Common Schema. What the
// registry says goes under portwatch, never into network.protocol: that field is
// for protocols that were seen, and a port number proves none.
//
// The order of the keys is fixed. Text with few possible values is rendered once:
// by NewECS or, for a registry answer, when it is first needed. The rest are
// numbers, addresses and times; those that occur several times in a record are
// rendered once per record. Append does not allocate.
type ECS struct {
	now func() time.Time

	pieces
	networks [2][256][]byte
	observer []byte
	answers  answers
	registry []byte // to the end of the line

	kept  [annotate.Rules][annotate.Destination + 1][keptPorts]keptFinding // by port
	tails [annotate.Rules][annotate.Destination + 1]tail

	hasher *flow.Hasher

	// Rendered values that occur several times in a record.
	id                  [32]byte
	start, end          stamp
	source, destination address
	findings            []byte
	worst               []byte // the reason of the most severe finding
	several, scratch    []byte

	began, created stamp // occur once, so they are set where they are written
}

// A keptFinding is a finding and its text. Flagged services have many Flows, so most
// findings equal an earlier one.
type keptFinding struct {
	annotate.Finding
	transport registry.Transport
	port      uint16
	text      []byte // nil: none yet
	reason    []byte // a part of text
}

// keptPorts is how many findings are kept of each rule and side. A scan of all ports hits none
// of them; if they were many, it would only drive other things out of the processor's cache.
const keptPorts = 64

// A tail is the text of findings that differ in nothing but the port's number, from behind that
// number on. In a scan of many ports, most findings equal the one before in this.
type tail struct {
	annotate.Finding
	transport registry.Transport
	index     uint16 // annotate.Port.Index
	text      []byte // nil: none yet
	reason    int    // this much of it belongs to the reason
}

// typicalSize is the room in octets that Append makes at once: most records fit.
const typicalSize = 2 << 10

// NewECS returns a format for records that were annotated from reg.
func NewECS(reg *registry.Registry, o Options) *ECS {
	e := &ECS{now: o.Now, pieces: *renderedPieces(), answers: newAnswers(reg), hasher: flow.NewHasher()}
	e.observer = appendObserver(nil, &o)
	e.registry = append(e.registry, `,"registry":{`...)
	if date := reg.Date(); date != "" { // a registry that somebody wrote by hand may have none
		e.registry = append(appendString(append(e.registry, `"date":`...), date), ',')
	}
	e.registry = append(e.registry, `"sha256":`...)
	e.registry = appendString(e.registry, reg.SHA256())
	e.registry = append(e.registry, "}}}\n"...)
	return e
}

// Append appends r as one line. sequence counts the records of the run: a gap tells
// the receiver of a loss.
func (e *ECS) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	e.render(r)
	dst = slices.Grow(dst, typicalSize)
	dst = append(dst, `{"@timestamp":"`...)
	dst = e.end.append(dst)
	dst = e.appendEvent(dst, r, sequence)
	dst = e.appendSides(dst, f)
	dst = e.appendNetwork(dst, f)
	dst = append(dst, e.observer...)
	dst = e.appendRelated(dst, f)
	dst = append(dst, e.tags[r.Tags()]...)
	dst = e.appendPort(dst, annotate.Source, &r.Source)
	dst = e.appendPort(dst, annotate.Destination, &r.Destination)
	return e.appendEnd(append(dst, "},"...), r)
}

// render renders the values that Append needs several times.
func (e *ECS) render(r *annotate.Record) {
	f := r.Flow
	e.start.set(f.Start)
	if f.End == f.Start { // as with a single packet
		e.end = e.start
	} else {
		e.end.set(f.End)
	}
	e.source.set(f.Source.Addr())
	e.destination.set(f.Destination.Addr())
	e.hasher.Hash(f)
	id := e.hasher.ID()
	putHex(&e.id, &id)
	if len(r.Findings) > 0 || len(e.findings) > 0 {
		e.renderFindings(r)
	}
}

// renderFindings renders all findings, and notes the reason of the most severe
// one; of several equally severe ones, the first.
func (e *ECS) renderFindings(r *annotate.Record) {
	if len(r.Findings) == 1 {
		kept := e.finding(r, r.Findings[0])
		e.findings, e.worst = kept.text, kept.reason
		return
	}
	dst, highest := e.several[:0], -1
	for i, f := range r.Findings {
		kept := e.finding(r, f)
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, kept.text...)
		if f.Severity > highest {
			highest, e.worst = f.Severity, kept.reason
		}
	}
	e.findings, e.several = dst, dst
}

// finding returns one of the record's findings as text, which is valid until the next
// record.
func (e *ECS) finding(r *annotate.Record, f annotate.Finding) *keptFinding {
	p := r.Port(f.Side)
	kept := &e.kept[f.Rule][f.Side][p.Number%keptPorts]
	if kept.text != nil && kept.port == p.Number && kept.transport == p.Transport && kept.Finding == f {
		return kept
	}
	dst := append(kept.text[:0], e.rules[f.Rule][f.Side]...)
	from, to := len(dst), 0
	t := &e.tails[f.Rule][f.Side]
	if t.text != nil && t.index == p.Index && t.transport == p.Transport && t.Finding == f {
		dst = appendUint(append(dst, '"'), uint64(p.Number))
		to = len(dst) + t.reason
		dst = append(dst, t.text...)
	} else {
		dst, to = e.appendFinding(dst, r, f)
		if r.NumberFirst(f) {
			digits := len(appendUint(e.scratch[:0], uint64(p.Number)))
			behind := from + len(`"`) + digits
			*t = tail{f, p.Transport, p.Index, append(t.text[:0], dst[behind:]...), to - behind}
		}
	}
	*kept = keptFinding{f, p.Transport, p.Number, dst, dst[from:to]}
	return kept
}

// appendFinding appends a finding from the reason on, and returns the length up to the reason's
// end.
func (e *ECS) appendFinding(dst []byte, r *annotate.Record, f annotate.Finding) (finding []byte, reason int) {
	e.scratch = r.AppendReason(e.scratch[:0], f)
	dst = appendString(dst, e.scratch)
	reason = len(dst)
	dst = append(dst, `,"severity":`...)
	dst = appendUint(dst, uint64(f.Severity))
	dst = append(dst, `,"confidence":"`...)
	dst = append(dst, f.Confidence.String()...)
	return append(dst, `"}`...), reason
}

func (e *ECS) appendEvent(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	dst = append(dst, e.lifecycles[index(f.Final)][index(f.Sequence == 0)]...)
	dst = append32(dst, &e.id)
	dst = append(dst, '-')
	dst = appendUint(dst, uint64(f.Sequence))
	dst = append(dst, `","sequence":`...)
	dst = appendUint(dst, sequence)
	dst = append(dst, `,"start":"`...)
	dst = e.start.append(dst)
	dst = append(dst, `","end":"`...)
	dst = e.end.append(dst)
	dst = append(dst, `","duration":`...)
	dst = appendUint(dst, uint64(f.Duration()))
	if e.now != nil {
		e.created.set(e.now().UnixNano())
		dst = append(dst, `,"created":"`...)
		dst = e.created.append(dst)
		dst = append(dst, '"')
	}
	if len(r.Findings) > 0 {
		dst = append(dst, `,"severity":`...)
		dst = appendUint(dst, uint64(r.Severity()))
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

// appendSides appends source and destination, and their copies client and server if
// the direction is established. ECS wants source and destination always filled.
func (e *ECS) appendSides(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"source":`...)
	from := len(dst)
	dst = appendSide(dst, &e.source, &f.Source)
	source := dst[from:]
	dst = append(dst, `,"destination":`...)
	from = len(dst)
	dst = appendSide(dst, &e.destination, &f.Destination)
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

func appendSide(dst []byte, a *address, s *flow.Side) []byte {
	dst = append(dst, `{"ip":"`...)
	dst = a.append(dst)
	dst = append(dst, `","port":`...)
	dst = appendUint(dst, uint64(s.Port()))
	dst = append(dst, `,"bytes":`...)
	dst = appendUint(dst, s.Octets)
	dst = append(dst, `,"packets":`...)
	dst = appendUint(dst, s.Packets)
	return append(dst, '}')
}

func (e *ECS) appendNetwork(dst []byte, f *flow.Record) []byte {
	head := &e.networks[index(f.Version == 6)][f.Transport]
	if *head == nil {
		*head = appendNetworkHead(nil, f)
	}
	dst = append(dst, *head...)
	dst = e.hasher.AppendCommunityID(dst)
	dst = append(dst, `","bytes":`...)
	dst = appendUint(dst, f.Source.Octets+f.Destination.Octets)
	dst = append(dst, `,"packets":`...)
	dst = appendUint(dst, f.Source.Packets+f.Destination.Packets)
	if f.VLANs > 0 {
		dst = append(dst, `,"vlan":{"id":"`...)
		dst = appendUint(dst, uint64(f.VLAN[0]))
		dst = append(dst, `"}`...)
	}
	if f.VLANs > 1 {
		dst = append(dst, `,"inner":{"vlan":{"id":"`...)
		dst = appendUint(dst, uint64(f.VLAN[1]))
		dst = append(dst, `"}}`...)
	}
	return append(dst, '}')
}

// appendRelated appends both addresses, or one if a host talks to itself.
func (e *ECS) appendRelated(dst []byte, f *flow.Record) []byte {
	dst = e.source.append(dst)
	if f.Source.Addr() != f.Destination.Addr() {
		dst = append(dst, `","`...)
		dst = e.destination.append(dst)
	}
	return dst
}

// appendPort appends what is known about a port: its class and role, then the
// registry's answer, which is rendered once for all ports that share it.
func (e *ECS) appendPort(dst []byte, side annotate.Side, p *annotate.Port) []byte {
	dst = append(dst, e.ports[side][p.Class][p.Role]...)
	answer := e.answers.of(p)
	if answer == nil {
		answer = e.answers.keep(p, appendEntry(e.answers.room(), p.Entry))
	}
	return append(dst, answer...)
}

// appendFlow appends portwatch.flow from the id on.
func (e *ECS) appendFlow(dst []byte, f *flow.Record) []byte {
	dst = append32(dst, &e.id)
	dst = append(dst, `","sequence":`...)
	dst = appendUint(dst, uint64(f.Sequence))
	dst = append(dst, e.outcomes[index(f.Final)][f.EndReason][f.State][index(f.Midstream)]...)
	if f.HistoryLen > 0 {
		dst = append(dst, `,"history":"`...)
		dst = append(dst, f.History[:]...)[:len(dst)+int(f.HistoryLen)]
		dst = append(dst, '"')
	}
	if f.Transport == flow.TCP {
		dst = append(dst, e.directions[f.Direction.Method][f.Direction.Confidence][1]...)
		dst = append(dst, e.flags[annotate.Source][f.Source.Flags]...)
		dst = append(dst, e.flags[annotate.Destination][f.Destination.Flags]...)
	} else {
		dst = append(dst, e.directions[f.Direction.Method][f.Direction.Confidence][0]...)
	}
	dst = appendUint(dst, f.Source.Total.Packets)
	dst = append(dst, `,"bytes":`...)
	dst = appendUint(dst, f.Source.Total.Octets)
	dst = append(dst, `},"destination":`...)
	dst = appendCount(dst, f.Destination.Total)
	dst = append(dst, `,"start":"`...)
	if f.FlowStart == f.Start {
		dst = e.start.append(dst)
	} else {
		e.began.set(f.FlowStart)
		dst = e.began.append(dst)
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

func appendCount(dst []byte, c flow.Count) []byte {
	dst = append(dst, `{"packets":`...)
	dst = appendUint(dst, c.Packets)
	dst = append(dst, `,"bytes":`...)
	dst = appendUint(dst, c.Octets)
	return append(dst, '}')
}

func appendTunnel(dst []byte, f *flow.Record) []byte {
	if f.Tunnel.Type == 0 {
		return dst
	}
	dst = append(dst, `,"tunnel":{"type":"`...)
	dst = append(dst, f.Tunnel.Type.String()...)
	dst = append(dst, `","id":"`...)
	dst = appendUint(dst, uint64(f.Tunnel.ID))
	dst = append(dst, `","outer_community_id":"`...)
	dst = flow.AppendCommunityID(dst, f.Tunnel.CommunityID())
	return append(dst, `"}`...)
}
