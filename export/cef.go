package export

import (
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// CEF writes records as lines of the ArcSight Common Event Format, version 0 ("CEF
// Implementation Standard", document version 27: header, character encoding and
// extension dictionary). There is no syslog prefix: the transport adds it.
//
// The event class of a Flow with findings is the rule of the most severe one, such as
// PW001; that of any other Flow is flow_start, flow_update or flow_end. Severity is a
// tenth of the most severe finding's, rounded up, and 0 without findings.
//
// The keys that do not explain themselves:
//
//	src dst             IPv4 only, as the dictionary demands for version 0
//	c6a2 c6a3           IPv6 source and destination
//	in out              octets from source to destination, and back: as the dictionary
//	                    defines them, though many firewalls mean the opposite
//	act cat             flow_start, flow_update or flow_end; portwatch.flow
//	externalId          ECS's event.id, by which a second delivery is recognized
//	outcome             the Flow's state, such as established
//	reason              reason of the most severe finding
//	msg                 all findings, if there are several
//	cs1 cs2             registered names of the destination's and the source's port
//	cs3 cs4             class and status of the same ports, such as "user assigned"
//	cs5                 reported unauthorized use of the destination's port
//	cs6                 Community ID
//	cn1 cn2             packets from source to destination, and back
//	cn3                 confidence of the direction: 90, 60 or 30
//	portwatch...        whatever the dictionary has no key for
//
// app is not written: a port number proves no protocol.
//
// Text that the dictionary limits is cut at the limit, counted in octets of UTF-8
// before escaping, and never within a character. Line breaks are written as \n and
// \r; any other unprintable character becomes U+FFFD. externalId stays within its limit
// for the first ten million records of a Flow, and is not cut after that.
type CEF struct {
	now     func() time.Time
	flows   [phases][]byte         // headers up to the severity
	rules   [annotate.Rules][]byte // the same for flagged Flows
	answers [2]answers             // by side
	device  []byte                 // from dvchost to the last key, without its value
	scratch []byte
}

// The dictionary's limits that text from outside can exceed, in octets.
const (
	cefVersion   = 31 // deviceVersion
	cefHost      = 100
	cefInterface = 128
	cefReason    = 1023 // reason and msg
	cefCustom    = 4000 // cs1 to cs6
)

// NewCEF returns a format for records that were annotated from reg. The options give
// the device version, dvchost, deviceInboundInterface and rt.
func NewCEF(reg *registry.Registry, o Options) *CEF {
	c := &CEF{now: o.Now}
	for side := range c.answers {
		c.answers[side] = newAnswers(reg)
	}
	head := appendCEFHeader([]byte("CEF:0|portwatch|portwatch|"), o.Version)
	add := func(id, name string) []byte {
		return append(append([]byte(nil), head...), "|"+id+"|"+name+"|"...)
	}
	c.flows = [phases][]byte{
		started: add(started.String(), "Flow started"),
		updated: add(updated.String(), "Flow goes on"),
		ended:   add(ended.String(), "Flow ended"),
	}
	for rule := range annotate.Rule(annotate.Rules) {
		c.rules[rule] = add(rule.ID(), rule.String())
	}
	if o.ObserverName != "" {
		c.device = appendCEFText(append(c.device, " dvchost="...), o.ObserverName, cefHost)
	}
	if o.Interface != "" {
		c.device = appendCEFText(append(c.device, " deviceInboundInterface="...), o.Interface, cefInterface)
	}
	if date := reg.Date(); date != "" {
		c.device = appendCEFText(append(c.device, " portwatchRegistryDate="...), date, cefCustom)
	}
	c.device = append(c.device, " portwatchSequence="...)
	return c
}

// Append appends r as one line. sequence counts the records of the run.
func (c *CEF) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f := r.Flow
	dst = c.appendHeader(dst, r)
	dst = appendMillis(append(dst, "start="...), f.Start)
	dst = appendMillis(append(dst, " end="...), f.End)
	if c.now != nil {
		dst = appendMillis(append(dst, " rt="...), c.now().UnixNano())
	}
	dst = appendCEFEndpoints(dst, f)
	dst = append(append(dst, " act="...), phaseOf(f).String()...)
	dst = append(dst, " cat="+dataset+" externalId="...)
	dst = appendEventID(dst, f)
	dst = append(append(dst, " outcome="...), f.State.String()...)
	dst = c.appendFindings(dst, r)
	dst = c.appendPort(dst, r, annotate.Destination, " cs3Label=dstIanaPort cs3=")
	dst = c.appendPort(dst, r, annotate.Source, " cs4Label=srcIanaPort cs4=")
	dst = appendCEFCommunityID(append(dst, " cs6Label=communityId cs6="...), f.CommunityID())
	dst = appendUint(append(dst, " cn1Label=srcPackets cn1="...), f.Source.Packets)
	dst = appendUint(append(dst, " cn2Label=dstPackets cn2="...), f.Destination.Packets)
	dst = appendUint(append(dst, " cn3Label=directionConfidence cn3="...), score(f.Direction.Confidence))
	dst = appendCEFOwn(dst, f)
	dst = append(dst, c.device...)
	return append(appendUint(dst, sequence), '\n')
}

func (c *CEF) appendHeader(dst []byte, r *annotate.Record) []byte {
	severity := 0
	if worst := mostSevere(r); worst != nil {
		dst = append(dst, c.rules[worst.Rule]...)
		severity = worst.Severity
	} else {
		dst = append(dst, c.flows[phaseOf(r.Flow)]...)
	}
	return append(appendUint(dst, tenths(severity)), '|')
}

func appendCEFEndpoints(dst []byte, f *flow.Record) []byte {
	if f.Source.Addr().Is4() {
		dst = appendAddr(append(dst, " src="...), f.Source.Addr())
		dst = appendAddr(append(dst, " dst="...), f.Destination.Addr())
	} else {
		dst = append(dst, " c6a2Label=Source IPv6 Address c6a2="...)
		dst = appendAddr(dst, f.Source.Addr())
		dst = append(dst, " c6a3Label=Destination IPv6 Address c6a3="...)
		dst = appendAddr(dst, f.Destination.Addr())
	}
	dst = appendUint(append(dst, " spt="...), uint64(f.Source.Port()))
	dst = appendUint(append(dst, " dpt="...), uint64(f.Destination.Port()))
	dst = append(append(dst, " proto="...), protocol(f.Transport)...)
	dst = appendUint(append(dst, " in="...), f.Source.Octets)
	return appendUint(append(dst, " out="...), f.Destination.Octets)
}

func (c *CEF) appendFindings(dst []byte, r *annotate.Record) []byte {
	worst := mostSevere(r)
	if worst == nil {
		return dst
	}
	c.scratch = r.AppendReason(c.scratch[:0], *worst)
	dst = appendCEFText(append(dst, " reason="...), c.scratch, cefReason)
	if len(r.Findings) == 1 {
		return dst
	}
	c.scratch = c.scratch[:0]
	for i, f := range r.Findings {
		if i > 0 {
			c.scratch = append(c.scratch, "; "...)
		}
		c.scratch = append(c.scratch, f.Rule.ID()...)
		c.scratch = append(c.scratch, ' ')
		c.scratch = append(c.scratch, f.Side.String()...)
		c.scratch = append(c.scratch, ": "...)
		c.scratch = r.AppendReason(c.scratch, f)
	}
	return appendCEFText(append(dst, " msg="...), c.scratch, cefReason)
}

// appendPort appends key and one side's port: its class and status, then what the
// registry says about it.
func (c *CEF) appendPort(dst []byte, r *annotate.Record, side annotate.Side, key string) []byte {
	p := r.Port(side)
	kept := &c.answers[side]
	answer := kept.of(p)
	if answer == nil {
		answer = kept.keep(p, appendCEFEntry(kept.room(), side, p.Entry))
	}
	dst = append(append(dst, key...), p.Class.String()...)
	return append(dst, answer...)
}

func appendCEFEntry(dst []byte, side annotate.Side, entry *registry.Entry) []byte {
	dst = append(append(dst, ' '), entry.Status.String()...)
	names := appendWords(nil, entry.Services())
	note, reported := entry.UnauthorizedUse()
	switch {
	case len(names) == 0:
	case side == annotate.Source:
		dst = appendCEFText(append(dst, " cs2Label=srcIanaService cs2="...), names, cefCustom)
	default:
		dst = appendCEFText(append(dst, " cs1Label=dstIanaService cs1="...), names, cefCustom)
	}
	if reported && side == annotate.Destination {
		dst = appendCEFText(append(dst, " cs5Label=ianaUnauthorizedUse cs5="...), note, cefCustom)
	}
	return dst
}

// appendCEFOwn appends the keys that the dictionary does not have.
func appendCEFOwn(dst []byte, f *flow.Record) []byte {
	dst = append(append(dst, " portwatchEndReason="...), f.EndReason.String()...)
	dst = append(append(dst, " portwatchDirectionMethod="...), f.Direction.Method.String()...)
	if f.VLANs > 0 {
		dst = appendUint(append(dst, " portwatchVlan="...), uint64(f.VLAN[0]))
	}
	if f.VLANs > 1 {
		dst = appendUint(append(dst, " portwatchInnerVlan="...), uint64(f.VLAN[1]))
	}
	if f.Tunnel.Type != 0 {
		dst = append(append(dst, " portwatchTunnelType="...), f.Tunnel.Type.String()...)
		dst = appendUint(append(dst, " portwatchTunnelId="...), uint64(f.Tunnel.ID))
		dst = appendCEFCommunityID(append(dst, " portwatchOuterCommunityId="...), f.Tunnel.CommunityID())
	}
	return dst
}

// appendCEFCommunityID appends a Community ID, with the equals sign escaped that the
// base64 of 20 octets ends with.
func appendCEFCommunityID(dst []byte, id [20]byte) []byte {
	dst = flow.AppendCommunityID(dst, id)
	return append(dst[:len(dst)-1], `\=`...)
}

// appendCEFHeader appends the device version. A header field has no line breaks, and
// pipe and backslash are escaped.
func appendCEFHeader(dst []byte, version string) []byte {
	for _, b := range cut(appendPrintable(nil, version), cefVersion) {
		if b == '|' || b == '\\' {
			dst = append(dst, '\\')
		}
		dst = append(dst, b)
	}
	return dst
}

// appendCEFText appends an extension value, at most limit octets of it before
// escaping.
func appendCEFText[S string | []byte](dst []byte, s S, limit int) []byte {
	for i := 0; i < len(s) && limit > 0; {
		if c := s[i]; ' ' <= c && c < 0x7f && c != '\\' && c != '=' {
			dst = append(dst, c)
			i++
			limit--
			continue
		}
		r, size := decodeRune(s[i:])
		i += size
		if !unicode.IsPrint(r) && r != '\n' && r != '\r' {
			r = utf8.RuneError
		}
		if limit -= utf8.RuneLen(r); limit < 0 {
			break
		}
		dst = appendCEFRune(dst, r)
	}
	return dst
}

func appendCEFRune(dst []byte, r rune) []byte {
	switch r {
	case '\\', '=':
		return append(dst, '\\', byte(r))
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	}
	return utf8.AppendRune(dst, r)
}

// AppendAlert appends a as one line. sequence counts the alerts of the run. The event
// class is the rule, as for a flagged Flow, but cat is portwatch.alert, and act is
// alert_open or alert_update. src is the first client, dst the service side, and dpt
// its port; dst and dpt are each left out if the alert is about several. Also:
//
//	cnt                 Flows
//	cn1 cn2             clients and ports
//	cn3                 confidence, as in records
//	cs1 cs3 cs5 cs6     as in records: about the port, and about the first Flow (cs6)
func (c *CEF) AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	dst = append(dst, c.rules[a.Rule]...)
	dst = append(appendUint(dst, tenths(a.Severity)), '|')
	dst = appendMillis(append(dst, "start="...), a.Start)
	dst = appendMillis(append(dst, " end="...), a.End)
	if c.now != nil {
		dst = appendMillis(append(dst, " rt="...), c.now().UnixNano())
	}
	dst = appendCEFAlertEndpoints(dst, a)
	dst = append(append(dst, " act="...), alertPhase(a)...)
	dst = a.AppendID(append(dst, " cat="+alertDataset+" externalId="...))
	c.scratch = a.AppendReason(c.scratch[:0])
	dst = appendCEFText(append(dst, " reason="...), c.scratch, cefReason)
	dst = appendUint(append(dst, " cnt="...), a.Flows)
	if a.HasPort() {
		dst = append(append(dst, " cs3Label=dstIanaPort cs3="...), a.Port.Class.String()...)
		dst = appendCEFEntry(dst, annotate.Destination, a.Port.Entry)
	}
	dst = appendCEFCommunityID(append(dst, " cs6Label=communityId cs6="...), a.CommunityID)
	dst = appendUint(append(dst, " cn1Label=clients cn1="...), a.Clients.N)
	dst = appendUint(append(dst, " cn2Label=ports cn2="...), uint64(a.Ports))
	dst = appendUint(append(dst, " cn3Label=directionConfidence cn3="...), score(a.Confidence))
	dst = append(append(dst, " portwatchScope="...), a.Scope.String()...)
	dst = appendUint(append(dst, " portwatchHosts="...), a.Hosts.N)
	dst = appendFirstPorts(append(dst, " portwatchFirstPorts="...), a)
	dst = appendMillis(append(dst, " portwatchWindowStart="...), a.WindowStart)
	dst = appendMillis(append(dst, " portwatchWindowEnd="...), a.WindowEnd)
	dst = appendID(append(dst, " portwatchFlowId="...), &a.FlowID)
	dst = append(dst, c.device...)
	return append(appendUint(dst, sequence), '\n')
}

func appendCEFAlertEndpoints(dst []byte, a *annotate.Alert) []byte {
	source, destination := " src=", " dst="
	if a.Version == 6 {
		source = " c6a2Label=Source IPv6 Address c6a2="
		destination = " c6a3Label=Destination IPv6 Address c6a3="
	}
	dst = appendAddr(append(dst, source...), a.Client)
	if a.HasService() {
		dst = appendAddr(append(dst, destination...), a.Service)
	}
	if a.HasPort() {
		dst = appendUint(append(dst, " dpt="...), uint64(a.Port.Number))
	}
	return append(append(dst, " proto="...), protocol(a.Transport)...)
}
