package export

import (
	"bytes"
	"strconv"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// LEEF writes records as lines of IBM's Log Event Extended Format 2.0 ("QRadar Log
// Event Extended Format (LEEF)": event components, predefined event attributes,
// custom event keys). There is no syslog header: the transport adds it.
//
// The event id is the rule of the most severe finding, such as PW001; for a Flow
// without findings it is flow_start, flow_update or flow_end. sev is a tenth of the
// finding's severity, rounded up, and 1 without findings. devTime is the end of the
// time that the record covers, in milliseconds since the Unix epoch, with the 13
// digits that need no devTimeFormat. srcBytes and srcPackets are what the source sent,
// dstBytes and dstPackets what the destination sent. LEEF's other keys are for users
// and hosts, of which a Flow knows nothing. Our own keys explain themselves, and are
// left out if they have no value.
//
// The delimiter is the tab. LEEF escapes nothing, so no value may contain one: any
// unprintable character, including tabs and line breaks, becomes U+FFFD. Text from
// outside is cut to 1023 octets, and never within a character: receivers cut long
// events anywhere.
type LEEF struct {
	flows   [phases][]byte         // headers, up to devTime's value
	rules   [annotate.Rules][]byte // the same for flagged Flows
	alerts  [annotate.Rules][]byte // headers of alerts, without attributes
	answers [2]answers             // by side
	sensor  []byte                 // from observerName to the last key, without its value

	words, scratch []byte
}

const leefText = 1023 // maximum octets of a text from outside

// NewLEEF returns a format for records that were annotated from reg. The options give
// the product version, observerName and observerInterface; Now is not used.
func NewLEEF(reg *registry.Registry, o Options) *LEEF {
	l := &LEEF{}
	for side := range l.answers {
		l.answers[side] = newAnswers(reg)
	}
	// There is no known way to escape a pipe in the header.
	version := bytes.ReplaceAll(cut(appendPrintable(nil, o.Version), leefText), []byte("|"), []byte("_"))
	add := func(id string) []byte {
		return []byte("LEEF:2.0|portwatch|portwatch|" + string(version) + "|" + id + "|0x09|")
	}
	const attributes = "cat=" + dataset + "\tdevTime="
	for p := range phase(phases) {
		l.flows[p] = append(add(p.String()), attributes...)
	}
	for rule := range annotate.Rule(annotate.Rules) {
		l.rules[rule] = append(add(rule.ID()), attributes...)
		l.alerts[rule] = add(rule.ID())
	}
	if o.ObserverName != "" {
		l.sensor = appendLEEFText(append(l.sensor, "\tobserverName="...), o.ObserverName)
	}
	if o.Interface != "" {
		l.sensor = appendLEEFText(append(l.sensor, "\tobserverInterface="...), o.Interface)
	}
	if date := reg.Date(); date != "" {
		l.sensor = appendLEEFText(append(l.sensor, "\tregistryDate="...), date)
	}
	l.sensor = append(l.sensor, "\tsequence="...)
	return l
}

// Append appends r as one line. sequence counts the records of the run.
func (l *LEEF) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	worst := mostSevere(r)
	severity := uint64(1)
	if worst != nil {
		dst = append(dst, l.rules[worst.Rule]...)
		severity = max(severity, tenths(worst.Severity))
	} else {
		dst = append(dst, l.flows[phaseOf(f)]...)
	}
	dst = appendLEEFTime(dst, f.End)
	dst = appendUint(append(dst, "\tsev="...), severity)
	dst = appendLEEFEndpoints(dst, f)
	dst = appendLEEFFlow(dst, f)
	dst = l.appendPort(dst, r, annotate.Source, "\tsrcIanaClass=")
	dst = l.appendPort(dst, r, annotate.Destination, "\tdstIanaClass=")
	if worst != nil {
		dst = l.appendFindings(dst, r, worst)
	}
	dst = append(dst, l.sensor...)
	return append(appendUint(dst, sequence), '\n')
}

// appendLEEFTime appends a time as 13 digits, with leading zeros before September 2001:
// fewer digits would need a devTimeFormat.
func appendLEEFTime(dst []byte, ns int64) []byte {
	var space [20]byte
	digits := strconv.AppendInt(space[:0], max(0, ns/1e6), 10)
	for range 13 - len(digits) {
		dst = append(dst, '0')
	}
	return append(dst, digits...)
}

func appendLEEFEndpoints(dst []byte, f *flow.Record) []byte {
	dst = append(append(dst, "\tproto="...), protocol(f.Transport)...)
	dst = appendAddr(append(dst, "\tsrc="...), f.Source.Addr())
	dst = appendAddr(append(dst, "\tdst="...), f.Destination.Addr())
	dst = appendUint(append(dst, "\tsrcPort="...), uint64(f.Source.Port()))
	dst = appendUint(append(dst, "\tdstPort="...), uint64(f.Destination.Port()))
	dst = appendUint(append(dst, "\tsrcBytes="...), f.Source.Octets)
	dst = appendUint(append(dst, "\tdstBytes="...), f.Destination.Octets)
	dst = appendUint(append(dst, "\tsrcPackets="...), f.Source.Packets)
	dst = appendUint(append(dst, "\tdstPackets="...), f.Destination.Packets)
	return appendUint(append(dst, "\ttotalPackets="...), f.Source.Packets+f.Destination.Packets)
}

// appendLEEFFlow appends our own keys about the Flow.
func appendLEEFFlow(dst []byte, f *flow.Record) []byte {
	dst = appendMillis(append(dst, "\tstartTime="...), f.Start)
	dst = appendMillis(append(dst, "\tendTime="...), f.End)
	dst = append(append(dst, "\taction="...), phaseOf(f).String()...)
	dst = appendEventID(append(dst, "\teventUid="...), f)
	dst = flow.AppendCommunityID(append(dst, "\tcommunityId="...), f.CommunityID())
	dst = append(append(dst, "\tflowState="...), f.State.String()...)
	dst = append(append(dst, "\tflowEndReason="...), f.EndReason.String()...)
	dst = append(append(dst, "\tdirectionMethod="...), f.Direction.Method.String()...)
	dst = append(append(dst, "\tdirectionConfidence="...), f.Direction.Confidence.String()...)
	if f.VLANs > 0 {
		dst = appendUint(append(dst, "\tvlan="...), uint64(f.VLAN[0]))
	}
	if f.VLANs > 1 {
		dst = appendUint(append(dst, "\tinnerVlan="...), uint64(f.VLAN[1]))
	}
	if f.Tunnel.Type != 0 {
		dst = append(append(dst, "\ttunnelType="...), f.Tunnel.Type.String()...)
		dst = appendUint(append(dst, "\ttunnelId="...), uint64(f.Tunnel.ID))
		dst = flow.AppendCommunityID(append(dst, "\touterCommunityId="...), f.Tunnel.CommunityID())
	}
	return dst
}

// appendPort appends key and one side's port: its class, then what the registry says
// about it.
func (l *LEEF) appendPort(dst []byte, r *annotate.Record, side annotate.Side, key string) []byte {
	p := r.Port(side)
	kept := &l.answers[side]
	answer := kept.of(p)
	if answer == nil {
		answer = kept.keep(p, appendLEEFEntry(kept.room(), side, p.Entry))
	}
	dst = append(append(dst, key...), p.Class.String()...)
	return append(dst, answer...)
}

func appendLEEFEntry(dst []byte, side annotate.Side, entry *registry.Entry) []byte {
	prefix := "\tsrcIana"
	if side == annotate.Destination {
		prefix = "\tdstIana"
	}
	dst = append(dst, prefix+"Status="+entry.Status.String()...)
	if names := appendWords(nil, entry.Services()); len(names) > 0 {
		dst = appendLEEFText(append(dst, prefix+"Service="...), names)
	}
	if others := entry.RegisteredOn(); len(others) > 0 {
		dst = appendTransports(append(dst, prefix+"RegisteredOn="...), others)
	}
	if note, reported := entry.UnauthorizedUse(); reported {
		dst = appendLEEFText(append(dst, prefix+"UnauthorizedUse="...), note)
	}
	return dst
}

// appendFindings appends the rules of all findings, and the reason of the most severe
// finding.
func (l *LEEF) appendFindings(dst []byte, r *annotate.Record, worst *annotate.Finding) []byte {
	dst = append(dst, "\tfindings="...)
	for i := range r.Findings {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, r.Findings[i].Rule.String()...)
	}
	l.words = r.AppendReason(l.words[:0], *worst)
	l.scratch = appendPrintable(l.scratch[:0], l.words)
	dst = append(dst, "\treason="...)
	return append(dst, cut(l.scratch, leefText)...)
}

// appendLEEFText appends a value from outside.
func appendLEEFText[S string | []byte](dst []byte, s S) []byte {
	return append(dst, cut(appendPrintable(nil, s), leefText)...)
}

// AppendAlert appends a as one line. sequence counts the alerts of the run. The event
// id is the rule's, as for a flagged Flow, but cat is portwatch.alert, and action is
// alert_open or alert_update. src is the first client, dst the service side, and
// dstPort its port; the last two are each left out if the alert is about several.
func (l *LEEF) AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	dst = append(append(dst, l.alerts[a.Rule]...), "cat="+alertDataset+"\tdevTime="...)
	dst = appendLEEFTime(dst, a.End)
	dst = appendUint(append(dst, "\tsev="...), max(1, tenths(a.Severity)))
	dst = append(append(dst, "\tproto="...), protocol(a.Transport)...)
	dst = appendAddr(append(dst, "\tsrc="...), a.Client)
	if a.HasService() {
		dst = appendAddr(append(dst, "\tdst="...), a.Service)
	}
	if a.HasPort() {
		dst = appendUint(append(dst, "\tdstPort="...), uint64(a.Port.Number))
		dst = append(append(dst, "\tdstIanaClass="...), a.Port.Class.String()...)
		dst = appendLEEFEntry(dst, annotate.Destination, a.Port.Entry)
	}
	dst = appendMillis(append(dst, "\tstartTime="...), a.Start)
	dst = appendMillis(append(dst, "\tendTime="...), a.End)
	dst = append(append(dst, "\taction="...), alertPhase(a)...)
	dst = a.AppendID(append(dst, "\teventUid="...))
	dst = appendID(append(dst, "\tflowUid="...), &a.FlowID)
	dst = flow.AppendCommunityID(append(dst, "\tcommunityId="...), a.CommunityID)
	dst = append(append(dst, "\tfindings="...), a.Rule.String()...)
	l.words = a.AppendReason(l.words[:0])
	l.scratch = appendPrintable(l.scratch[:0], l.words)
	dst = append(append(dst, "\treason="...), cut(l.scratch, leefText)...)
	dst = append(append(dst, "\talertScope="...), a.Scope.String()...)
	dst = appendMillis(append(dst, "\twindowStart="...), a.WindowStart)
	dst = appendMillis(append(dst, "\twindowEnd="...), a.WindowEnd)
	dst = appendUint(append(dst, "\tflows="...), a.Flows)
	dst = appendUint(append(dst, "\tclients="...), a.Clients.N)
	dst = appendUint(append(dst, "\thosts="...), a.Hosts.N)
	dst = appendUint(append(dst, "\tports="...), uint64(a.Ports))
	dst = appendFirstPorts(append(dst, "\tfirstPorts="...), a)
	dst = append(append(dst, "\tdirectionConfidence="...), a.Confidence.String()...)
	dst = append(dst, l.sensor...)
	return append(appendUint(dst, sequence), '\n')
}
