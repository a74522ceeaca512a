package export

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// EVE writes records as flow records of Suricata's EVE JSON, following
// etc/schema.json and output-json-flow.c of Suricata 8.0. That schema allows no
// other keys; portwatch is the only one added.
//
// app_proto is left out: Suricata finds it in the payload. flow.alerted says whether
// there are findings. Octets count from the IP header on, whereas Suricata counts
// whole frames. A Flow with several records has several lines with one flow_id, each
// covering what came since the one before it; Suricata would write one line at the end.
type EVE struct {
	object *object
	head   []byte // between flow_id and the VLANs
	sensor []byte // head without the event type, which differs for alerts
	flags  [256][]byte
}

// NewEVE returns a format for records that were annotated from reg.
func NewEVE(reg *registry.Registry, o Options) *EVE {
	e := &EVE{object: newObject(reg, o)}
	if o.ObserverName != "" {
		e.head = appendString(append(e.head, `,"host":`...), o.ObserverName)
	}
	if o.Interface != "" {
		e.head = appendString(append(e.head, `,"in_iface":`...), o.Interface)
	}
	e.sensor = e.head
	e.head = append(e.head[:len(e.head):len(e.head)], `,"event_type":"flow"`...)
	for union := range e.flags {
		e.flags[union] = appendEVEFlags(nil, flow.TCPFlags(union))
	}
	return e
}

// appendEVEFlags appends the keys for the flags that are set, in Suricata's order.
func appendEVEFlags(dst []byte, flags flow.TCPFlags) []byte {
	for _, flag := range []struct {
		bit  flow.TCPFlags
		name string
	}{{flow.SYN, "syn"}, {flow.FIN, "fin"}, {flow.RST, "rst"}, {flow.PSH, "psh"},
		{flow.ACK, "ack"}, {flow.URG, "urg"}, {flow.ECE, "ecn"}, {flow.CWR, "cwr"}} {
		if flags&flag.bit != 0 {
			dst = fmt.Appendf(dst, `,"%s":true`, flag.name)
		}
	}
	return dst
}

// Append appends r as one line. sequence counts the records of the run: a gap tells
// the receiver of a loss.
func (e *EVE) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f, o := r.Flow, e.object
	o.render(r)
	dst = slices.Grow(dst, typicalSize)
	dst = append(dst, `{"timestamp":"`...)
	dst = appendEVETime(dst, &o.end)
	dst = append(dst, `","flow_id":`...)
	dst = appendUint(dst, eveFlowID(&o.id))
	dst = append(dst, e.head...)
	dst = appendEVEVLAN(dst, f)
	dst = append(dst, `,"src_ip":"`...)
	dst = o.source.append(dst)
	dst = append(dst, `","src_port":`...)
	dst = appendUint(dst, uint64(f.Source.Port()))
	dst = append(dst, `,"dest_ip":"`...)
	dst = o.destination.append(dst)
	dst = append(dst, `","dest_port":`...)
	dst = appendUint(dst, uint64(f.Destination.Port()))
	dst = append(dst, `,"proto":"`...)
	dst = append(dst, eveProto(f.Transport)...)
	dst = append(dst, '"')
	dst = e.appendFlow(dst, r)
	dst = append(dst, `,"community_id":"`...)
	dst = o.hasher.AppendCommunityID(dst)
	dst = append(dst, '"')
	if f.Transport == flow.TCP {
		dst = e.appendTCP(dst, f)
	}
	return o.append(dst, r, sequence)
}

// eveFlowID returns the first 51 bits of a Flow id, as many as Suricata uses: some
// JSON readers are not exact for integers of more than 53 bits.
func eveFlowID(id *[32]byte) uint64 {
	var n uint64
	for _, digit := range id[:13] {
		n = n<<4 | uint64(strings.IndexByte(hexDigits, digit))
	}
	return n >> 1
}

// appendEVETime appends a time as Suricata does: six fractional digits, and an offset
// without a colon.
func appendEVETime(dst []byte, s *stamp) []byte {
	dst = append(dst, s.text[:len("2006-01-02T15:04:05.000000")]...)
	return append(dst, "+0000"...)
}

func appendEVEVLAN(dst []byte, f *flow.Record) []byte {
	if f.VLANs == 0 {
		return dst
	}
	dst = append(dst, `,"vlan":[`...)
	dst = appendUint(dst, uint64(f.VLAN[0]))
	if f.VLANs > 1 {
		dst = append(dst, ',')
		dst = appendUint(dst, uint64(f.VLAN[1]))
	}
	return append(dst, ']')
}

// eveProto returns a transport's name in Suricata's known_proto.
func eveProto(t flow.Transport) string {
	if t == flow.UDPLite {
		return "UDPLite"
	}
	return protocol(t)
}

// appendFlow appends the flow object.
func (e *EVE) appendFlow(dst []byte, r *annotate.Record) []byte {
	f := r.Flow
	dst = append(dst, `,"flow":{"pkts_toserver":`...)
	dst = appendUint(dst, f.Source.Packets)
	dst = append(dst, `,"pkts_toclient":`...)
	dst = appendUint(dst, f.Destination.Packets)
	dst = append(dst, `,"bytes_toserver":`...)
	dst = appendUint(dst, f.Source.Octets)
	dst = append(dst, `,"bytes_toclient":`...)
	dst = appendUint(dst, f.Destination.Octets)
	dst = append(dst, `,"start":"`...)
	dst = appendEVETime(dst, &e.object.start)
	dst = append(dst, `","end":"`...)
	dst = appendEVETime(dst, &e.object.end)
	dst = append(dst, `","age":`...)
	dst = appendUint(dst, uint64(f.End/1e9-f.Start/1e9)) // a difference of whole seconds, as in Suricata
	dst = append(dst, `,"state":"`...)
	dst = append(dst, eveState(f)...)
	dst = append(dst, `","reason":"`...)
	dst = append(dst, eveReasons[f.EndReason]...)
	if len(r.Findings) > 0 {
		return append(dst, `","alerted":true}`...)
	}
	return append(dst, `","alerted":false}`...)
}

// eveReasons are Suricata's words for why it let go of a flow. It has none for a flow
// that continues.
var eveReasons = [flow.LackOfResources + 1]string{
	0:                    "unknown",
	flow.IdleTimeout:     "timeout",
	flow.ActiveTimeout:   "unknown",
	flow.EndOfFlow:       "timeout", // Suricata's timeout of closed flows
	flow.ForcedEnd:       "shutdown",
	flow.LackOfResources: "forced",
}

// eveState returns flow.state: for TCP it follows from the session's state, otherwise
// from which sides were seen.
func eveState(f *flow.Record) string {
	if f.Transport == flow.TCP {
		switch eveTCPState(f) {
		case "established", "fin_wait1", "close_wait":
			return "established"
		case "closed":
			return "closed"
		}
		return "new"
	}
	if f.Source.Total.Packets > 0 && f.Destination.Total.Packets > 0 {
		return "established"
	}
	return "new"
}

// eveTCPState returns tcp.state, or "" if Suricata would have no session: it makes
// none if only one side was seen and that side did not open the connection.
func eveTCPState(f *flow.Record) string {
	history := f.History[:f.HistoryLen]
	has := func(letter byte) bool { return bytes.IndexByte(history, letter) >= 0 }
	switch {
	case f.State == flow.Closed, f.State == flow.Reset, (f.Source.Flags|f.Destination.Flags)&flow.RST != 0:
		return "closed"
	case f.State == flow.Established:
		switch {
		case has('F'):
			return "close_wait"
		case has('f'):
			return "fin_wait1"
		case has('S') && has('h') && !has('A') && !has('D'):
			return "syn_recv"
		}
		return "established"
	case has('S'):
		return "syn_sent"
	}
	return ""
}

// appendTCP appends the tcp object.
func (e *EVE) appendTCP(dst []byte, f *flow.Record) []byte {
	both := f.Source.Flags | f.Destination.Flags
	dst = append(dst, `,"tcp":{"tcp_flags":"`...)
	dst = appendHex(dst, byte(both))
	dst = append(dst, `","tcp_flags_ts":"`...)
	dst = appendHex(dst, byte(f.Source.Flags))
	dst = append(dst, `","tcp_flags_tc":"`...)
	dst = appendHex(dst, byte(f.Destination.Flags))
	dst = append(dst, '"')
	dst = append(dst, e.flags[both]...)
	if state := eveTCPState(f); state != "" {
		dst = append(dst, `,"state":"`...)
		dst = append(dst, state...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func appendHex(dst []byte, b byte) []byte {
	pair := hexPairs[b]
	return append(dst, byte(pair), byte(pair>>8))
}

// eveGID is the generator id of our rules, the octets of "PW": with it, signature ids
// from 1 on cannot collide with anybody else's.
const eveGID = 'P'<<8 | 'W'

// AppendAlert appends a as one line, an alert as in etc/schema.json. sequence counts
// the alerts of the run. flow_id is that of the Flow that opened the alert, src_ip the
// first client, dest_ip the service side, and dest_port its port; the last two are each
// left out if the alert is about several. severity is 1 to 3, 1 being the highest.
func (e *EVE) AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	o := e.object
	o.start.set(a.Start)
	o.end.set(a.End)
	putHex(&o.id, &a.FlowID)
	dst = append(dst, `{"timestamp":"`...)
	dst = appendEVETime(dst, &o.end)
	dst = append(dst, `","flow_id":`...)
	dst = appendUint(dst, eveFlowID(&o.id))
	dst = append(dst, e.sensor...)
	dst = append(dst, `,"event_type":"alert","src_ip":"`...)
	dst = append(appendAddr(dst, a.Client), '"')
	if a.HasService() {
		dst = append(dst, `,"dest_ip":"`...)
		dst = append(appendAddr(dst, a.Service), '"')
	}
	if a.HasPort() {
		dst = append(dst, `,"dest_port":`...)
		dst = appendUint(dst, uint64(a.Port.Number))
	}
	dst = append(dst, `,"proto":"`...)
	dst = append(dst, eveProto(a.Transport)...)
	dst = append(dst, `","community_id":"`...)
	dst = flow.AppendCommunityID(dst, a.CommunityID)
	dst = append(dst, `","alert":{"action":"allowed","gid":`...)
	dst = appendUint(dst, eveGID)
	dst = append(dst, `,"signature_id":`...)
	dst = appendUint(dst, uint64(a.Rule)+1)
	dst = append(dst, `,"rev":1,"signature":"`...)
	dst = append(dst, a.Rule.ID()...)
	dst = append(dst, ' ')
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `","category":"port-registry","severity":`...)
	dst = appendUint(dst, eveSeverity(a.Severity))
	dst = append(dst, `},"portwatch":{"event":{`...)
	dst = o.appendAlertEvent(dst, a, sequence)
	dst = append(dst, o.observer...)
	dst = append(dst, o.tags[1<<a.Rule]...)
	dst = o.appendAlertObject(dst, a)
	return append(dst, o.registry...)
}

// eveSeverity scales a severity to Suricata's rule priorities, 1 being the highest.
func eveSeverity(severity int) uint64 {
	switch {
	case severity < 40:
		return 3
	case severity < 70:
		return 2
	}
	return 1
}
