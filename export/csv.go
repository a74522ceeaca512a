package export

import (
	"strings"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// CSV writes records as comma-separated values (RFC 4180): a header, and one row per
// record. Rows end with carriage return and line feed, as the RFC demands.
//
// A column has the name and the value of a field in the ECS record; a field that the
// record does not have is an empty cell. A list is words separated by spaces; the two
// columns of portwatch.findings have one word per finding. event.reason is the reason
// of the most severe finding.
//
// Unprintable characters, including line breaks and tabs, become U+FFFD, so that a row
// is one line even to programs that know nothing of quotes. Text is not changed
// otherwise: a spreadsheet may take a cell that begins with an equals sign for a
// formula, but none of IANA's names or notes begins with one.
type CSV struct {
	answers answers
	tags    [annotate.AllTags + 1][]byte
	tail    []byte // observer and registry

	start, end     stamp
	words, scratch []byte
}

// csvColumns are the columns, in the order in which Append writes them.
var csvColumns = []string{
	"event.start", "event.end", "event.duration", "event.action", "event.id", "event.sequence",
	"source.ip", "source.port", "destination.ip", "destination.port",
	"network.transport", "network.type", "network.vlan.id", "network.inner.vlan.id", "network.community_id",
	"source.packets", "source.bytes", "destination.packets", "destination.bytes",
	"portwatch.flow.id", "portwatch.flow.sequence", "portwatch.flow.final", "portwatch.flow.end_reason",
	"portwatch.flow.state", "portwatch.flow.midstream", "portwatch.flow.history",
	"portwatch.flow.direction.method", "portwatch.flow.direction.confidence",
	"portwatch.flow.total.source.packets", "portwatch.flow.total.source.bytes",
	"portwatch.flow.total.destination.packets", "portwatch.flow.total.destination.bytes",
	"portwatch.source.port.role", "portwatch.source.port.class", "portwatch.source.port.status",
	"portwatch.source.port.service", "portwatch.source.port.services", "portwatch.source.port.registered_on",
	"portwatch.source.port.unauthorized_use.note",
	"portwatch.destination.port.role", "portwatch.destination.port.class", "portwatch.destination.port.status",
	"portwatch.destination.port.service", "portwatch.destination.port.services",
	"portwatch.destination.port.registered_on", "portwatch.destination.port.unauthorized_use.note",
	"tags", "event.severity", "event.reason", "portwatch.findings.id", "portwatch.findings.side",
	"portwatch.tunnel.type", "portwatch.tunnel.id", "portwatch.tunnel.outer_community_id",
	"observer.name", "portwatch.registry.date",
}

// NewCSV returns a format for records that were annotated from reg. It uses
// o.ObserverName only.
func NewCSV(reg *registry.Registry, o Options) *CSV {
	c := &CSV{answers: newAnswers(reg)}
	for t := range c.tags {
		c.tags[t] = []byte(strings.Join(annotate.Tags(t).Names(), " "))
	}
	c.tail = appendCell(c.tail, appendPrintable(nil, o.ObserverName))
	c.tail = append(c.tail, ',')
	c.tail = appendCell(c.tail, appendPrintable(nil, reg.Date()))
	c.tail = append(c.tail, "\r\n"...)
	return c
}

// Header appends the row of column names.
func (c *CSV) Header(dst []byte) []byte {
	return append(append(dst, strings.Join(csvColumns, ",")...), "\r\n"...)
}

// Append appends r as one row. sequence counts the records of the run.
func (c *CSV) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	c.start.set(f.Start)
	c.end.set(f.End)
	dst = append(c.start.append(dst), ',')
	dst = append(c.end.append(dst), ',')
	dst = append(appendUint(dst, uint64(f.Duration())), ',')
	dst = append(append(dst, phaseOf(f).String()...), ',')
	from := len(dst)
	dst = append(appendEventID(dst, f), ',')
	id := dst[from : from+32] // event.id begins with the Flow's id, which need not be hashed again
	dst = append(appendUint(dst, sequence), ',')
	dst = appendCSVNetwork(dst, f)
	dst = append(append(dst, id...), ',')
	dst = appendCSVFlow(dst, f)
	dst = c.appendPort(dst, &r.Source)
	dst = c.appendPort(dst, &r.Destination)
	dst = append(append(dst, c.tags[r.Tags()]...), ',')
	dst = c.appendFindings(dst, r)
	if f.Tunnel.Type != 0 {
		dst = append(append(dst, f.Tunnel.Type.String()...), ',')
		dst = append(appendUint(dst, uint64(f.Tunnel.ID)), ',')
		dst = append(flow.AppendCommunityID(dst, f.Tunnel.CommunityID()), ',')
	} else {
		dst = append(dst, ",,,"...)
	}
	return append(dst, c.tail...)
}

// appendCSVNetwork appends the cells from source.ip to destination.bytes.
func appendCSVNetwork(dst []byte, f *flow.Record) []byte {
	for _, s := range [...]*flow.Side{&f.Source, &f.Destination} {
		dst = append(appendAddr(dst, s.Addr()), ',')
		dst = append(appendUint(dst, uint64(s.Port())), ',')
	}
	dst = append(append(dst, f.Transport.String()...), ",ipv"...)
	dst = append(appendUint(dst, uint64(f.Version)), ',')
	if f.VLANs > 0 {
		dst = appendUint(dst, uint64(f.VLAN[0]))
	}
	dst = append(dst, ',')
	if f.VLANs > 1 {
		dst = appendUint(dst, uint64(f.VLAN[1]))
	}
	dst = append(flow.AppendCommunityID(append(dst, ','), f.CommunityID()), ',')
	dst = appendCSVCount(dst, f.Source.Count)
	return appendCSVCount(dst, f.Destination.Count)
}

// appendCSVFlow appends the cells of portwatch.flow after the id.
func appendCSVFlow(dst []byte, f *flow.Record) []byte {
	dst = append(appendUint(dst, uint64(f.Sequence)), ',')
	dst = appendBool(dst, f.Final)
	dst = append(append(dst, f.EndReason.String()...), ',')
	dst = append(append(dst, f.State.String()...), ',')
	dst = appendBool(dst, f.Midstream)
	dst = append(append(dst, f.History[:f.HistoryLen]...), ',')
	dst = append(append(dst, f.Direction.Method.String()...), ',')
	dst = append(append(dst, f.Direction.Confidence.String()...), ',')
	dst = appendCSVCount(dst, f.Source.Total)
	return appendCSVCount(dst, f.Destination.Total)
}

func appendBool(dst []byte, b bool) []byte {
	if b {
		return append(dst, "true,"...)
	}
	return append(dst, "false,"...)
}

func appendCSVCount(dst []byte, n flow.Count) []byte {
	dst = append(appendUint(dst, n.Packets), ',')
	return append(appendUint(dst, n.Octets), ',')
}

// appendPort appends a port's seven cells.
func (c *CSV) appendPort(dst []byte, p *annotate.Port) []byte {
	answer := c.answers.of(p)
	if answer == nil {
		answer = c.answers.keep(p, appendCSVEntry(c.answers.room(), p.Entry))
	}
	dst = append(append(dst, p.Role.String()...), ',')
	dst = append(append(dst, p.Class.String()...), ',')
	return append(dst, answer...)
}

func appendCSVEntry(dst []byte, entry *registry.Entry) []byte {
	note, _ := entry.UnauthorizedUse()
	dst = append(append(dst, entry.Status.String()...), ',')
	dst = append(appendCell(dst, appendPrintable(nil, entry.Service())), ',')
	dst = append(appendCell(dst, appendPrintable(nil, appendWords(nil, entry.Services()))), ',')
	dst = append(appendTransports(dst, entry.RegisteredOn()), ',')
	return append(appendCell(dst, appendPrintable(nil, note)), ',')
}

// appendFindings appends the cells from event.severity to portwatch.findings.side.
func (c *CSV) appendFindings(dst []byte, r *annotate.Record) []byte {
	worst := mostSevere(r)
	if worst == nil {
		return append(dst, ",,,,"...)
	}
	dst = append(appendUint(dst, uint64(worst.Severity)), ',')
	c.words = r.AppendReason(c.words[:0], *worst)
	c.scratch = appendPrintable(c.scratch[:0], c.words)
	dst = append(appendCell(dst, c.scratch), ',')
	for i := range r.Findings {
		dst = append(append(dst, r.Findings[i].Rule.ID()...), ' ')
	}
	dst[len(dst)-1] = ',' // in place of the last space
	for i := range r.Findings {
		dst = append(append(dst, r.Findings[i].Side.String()...), ' ')
	}
	dst[len(dst)-1] = ','
	return dst
}

// appendCell appends text, quoted if necessary (RFC 4180 section 2). The text has no
// line breaks.
func appendCell(dst, text []byte) []byte {
	quoted := false
	for _, b := range text {
		quoted = quoted || b == '"' || b == ','
	}
	if !quoted {
		return append(dst, text...)
	}
	dst = append(dst, '"')
	for _, b := range text {
		if b == '"' {
			dst = append(dst, '"')
		}
		dst = append(dst, b)
	}
	return append(dst, '"')
}
