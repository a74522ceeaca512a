package export

import (
	"fmt"
	"slices"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// OCSFVersion is the version of the Open Cybersecurity Schema Framework that OCSF
// writes.
const OCSFVersion = "1.8.0"

// OCSF writes records as JSON lines of the class Network Activity (4001) of the
// Open Cybersecurity Schema Framework, schema.ocsf.io/1.8.0, with the datetime
// profile for times in nanoseconds.
//
// traffic is this record's, cumulative_traffic the Flow's; out is from source to
// destination. What the registry says about a port is an enrichment of it.
// app_protocol_name, which is for protocols that were seen, and svc_name are not
// filled: a port number proves neither. Values without an attribute are under unmapped.
type OCSF struct {
	ecs ECS // renders the parts that both formats have
	now func() time.Time

	// The text between the values that vary, by whatever determines it.
	head       []byte                       // to the labels
	labels     [annotate.AllTags + 1][]byte // to the Flow's id
	outcomes   [2][2][flow.LackOfResources + 1][flow.Reset + 1][]byte
	severities [5][]byte // by severity_id
	direction  [2][]byte // by whether the direction is known
	unmapped   []byte
}

// NewOCSF returns a format for records that were annotated from reg.
func NewOCSF(reg *registry.Registry, o Options) *OCSF {
	f := &OCSF{ecs: *NewECS(reg, o), now: o.Now}
	f.head = fmt.Appendf(nil, `{"metadata":{"version":"%s","product":{"name":"portwatch","vendor_name":"portwatch","version":`, OCSFVersion)
	f.head = appendString(f.head, o.Version)
	f.head = append(f.head, `},"profiles":["datetime"]`...)
	if o.ObserverName != "" {
		f.head = appendString(append(f.head, `,"reporter":{"name":`...), o.ObserverName)
		f.head = append(f.head, '}')
	}
	for t := range f.labels {
		if names := annotate.Tags(t).Names(); len(names) > 0 {
			f.labels[t] = appendStrings(append(f.labels[t], `,"labels":`...), names)
		}
		f.labels[t] = append(f.labels[t], `,"correlation_uid":"`...)
	}
	f.renderOutcomes()
	f.renderPorts()
	f.unmapped = append(f.unmapped, `],"unmapped":{`...)
	if o.Interface != "" {
		f.unmapped = appendString(append(f.unmapped, `"interface_name":`...), o.Interface)
		f.unmapped = append(f.unmapped, ',')
	}
	return f
}

func (o *OCSF) renderOutcomes() {
	for final := range o.outcomes {
		for connected := range o.outcomes[final] {
			for reason := range flow.LackOfResources + 1 {
				for state := range flow.Reset + 1 {
					a := activityOf(final != 0, connected != 0, state)
					s := statusOf(a, state)
					o.outcomes[final][connected][reason][state] = fmt.Appendf(nil,
						`,"category_uid":4,"category_name":"Network Activity","class_uid":4001,"class_name":"Network Activity"`+
							`,"activity_id":%d,"activity_name":"%s","type_uid":%d,"type_name":"Network Activity: %s"`+
							`,"status_id":%d,"status":"%s","status_code":"%v","status_detail":"%v"`,
						a, activityNames[a], 400100+int(a), activityNames[a], s, statusNames[s], state, reason)
				}
			}
		}
	}
	for id, name := range severityNames {
		o.severities[id] = fmt.Appendf(nil, `,"severity_id":%d,"severity":"%s"`, id, name)
	}
	for known := range o.direction {
		o.direction[known] = fmt.Appendf(nil, `,"is_src_dst_assignment_known":%t,"connection_info":{"uid":"`, known != 0)
	}
}

// renderPorts turns the text before a registry answer into that of an enrichment.
func (o *OCSF) renderPorts() {
	for side, name := range endpoints {
		for class := range registry.Dynamic + 1 {
			for role := range annotate.Service + 1 {
				o.ecs.ports[side][class][role] = fmt.Appendf(nil,
					`{"name":"%s.port","type":"port-registry","provider":"IANA","data":{"class":"%v","role":"%v`, name, class, role)
			}
		}
	}
}

var endpoints = [...]string{annotate.Source: "src_endpoint", annotate.Destination: "dst_endpoint"}

// activity is the activity_id of Network Activity.
type activity uint8

const (
	activityClose   activity = 2
	activityReset   activity = 3
	activityFail    activity = 4
	activityRefuse  activity = 5
	activityTraffic activity = 6
)

var activityNames = [...]string{"Unknown", "Open", "Close", "Reset", "Fail", "Refuse", "Traffic"}

// activityOf returns how the connection ended, for a Flow's last record. Earlier
// records, and Flows with no such end, report traffic.
func activityOf(final, connected bool, s flow.State) activity {
	switch {
	case !final:
		return activityTraffic
	case s == flow.Closed:
		return activityClose
	case s == flow.Reset:
		return activityReset
	case s == flow.Rejected:
		return activityRefuse
	case s == flow.Attempt && connected:
		return activityFail
	}
	return activityTraffic
}

// connected reports whether a transport opens a connection before it sends data.
func connected(t flow.Transport) bool { return t == flow.TCP || t == flow.SCTP || t == flow.DCCP }

// status is OCSF's status_id.
type status uint8

const (
	statusUnknown status = iota
	statusSuccess
	statusFailure
)

var statusNames = [...]string{"Unknown", "Success", "Failure"}

// statusOf returns success for a Flow that was answered. Whether one that goes on
// without an answer succeeds is unknown.
func statusOf(a activity, s flow.State) status {
	switch {
	case a == activityFail || a == activityRefuse:
		return statusFailure
	case s == flow.Established || s == flow.Closed || s == flow.Reset:
		return statusSuccess
	}
	return statusUnknown
}

// severityNames are the captions of severity_id's values.
var severityNames = [...]string{"Unknown", "Informational", "Low", "Medium", "High"}

// severityID returns the severity_id for a finding's severity, using the bands of CVSS
// for a tenth of it. No rule is as severe as OCSF's Critical.
func severityID(severity int) int {
	switch {
	case severity == 0:
		return 1
	case severity < 40:
		return 2
	case severity < 70:
		return 3
	}
	return 4
}

// Append appends r as one line. sequence counts the records of the run: a gap tells
// the receiver of a loss.
func (o *OCSF) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f, e := r.Flow, &o.ecs
	e.render(r)
	dst = slices.Grow(dst, 2*typicalSize)
	dst = o.appendMetadata(dst, r, sequence)
	dst = o.appendTimeSpan(dst, f.Start, f.End)
	dst = append(dst, o.outcomes[index(f.Final)][index(connected(f.Transport))][f.EndReason][f.State]...)
	dst = append(dst, o.severities[severityID(r.Severity())]...)
	if len(r.Findings) > 0 {
		dst = append(dst, `,"message":`...)
		dst = append(dst, e.worst...)
	}
	dst = o.appendConnection(dst, f)
	dst = appendOCSFEndpoint(dst, `,"src_endpoint":{"ip":"`, &e.source, f, &f.Source)
	dst = appendOCSFEndpoint(dst, `,"dst_endpoint":{"ip":"`, &e.destination, f, &f.Destination)
	dst = appendTraffic(dst, `,"traffic":{"bytes":`, f.Source.Count, f.Destination.Count, f.Start, f.End)
	dst = appendTraffic(dst, `,"cumulative_traffic":{"bytes":`, f.Source.Total, f.Destination.Total, f.FlowStart, f.End)
	dst = o.appendObservables(dst, f)
	dst = append(dst, `],"enrichments":[`...)
	dst = o.appendEnrichment(dst, annotate.Source, &r.Source)
	dst = append(dst, ',')
	dst = o.appendEnrichment(dst, annotate.Destination, &r.Destination)
	dst = append(dst, o.unmapped...)
	if f.VLANs > 1 {
		dst = append(dst, `"inner_vlan_uid":"`...)
		dst = appendUint(dst, uint64(f.VLAN[1]))
		dst = append(dst, `",`...)
	}
	return e.appendEnd(dst, r)
}

func (o *OCSF) appendMetadata(dst []byte, r *annotate.Record, sequence uint64) []byte {
	dst = append(dst, o.head...)
	dst = append(dst, o.labels[r.Tags()]...)
	dst = append32(dst, &o.ecs.id)
	dst = append(dst, `","uid":"`...)
	dst = append32(dst, &o.ecs.id)
	dst = append(dst, '-')
	dst = appendUint(dst, uint64(r.Flow.Sequence))
	dst = append(dst, `","sequence":`...)
	dst = appendUint(dst, sequence)
	if o.now != nil {
		dst = append(dst, `,"logged_time":`...)
		dst = appendMillis(dst, o.now().UnixNano())
	}
	return append(dst, '}')
}

// appendTimeSpan appends the times in milliseconds, and those of the datetime profile,
// to which o.ecs has been set already.
func (o *OCSF) appendTimeSpan(dst []byte, start, end int64) []byte {
	dst = append(dst, `,"time":`...)
	dst = appendMillis(dst, end)
	dst = append(dst, `,"time_dt":"`...)
	dst = o.ecs.end.append(dst)
	dst = append(dst, `","start_time":`...)
	dst = appendMillis(dst, start)
	dst = append(dst, `,"start_time_dt":"`...)
	dst = o.ecs.start.append(dst)
	dst = append(dst, `","end_time":`...)
	dst = appendMillis(dst, end)
	dst = append(dst, `,"end_time_dt":"`...)
	dst = o.ecs.end.append(dst)
	dst = append(dst, `","duration":`...)
	return appendMillis(dst, int64(flow.Between(start, end)))
}

// appendConnection appends connection_info. It is not known on which side of the
// perimeter an address is, so direction_id is Unknown, or Local within one host.
func (o *OCSF) appendConnection(dst []byte, f *flow.Record) []byte {
	dst = append(dst, o.direction[index(established(f.Direction.Method))]...)
	dst = append32(dst, &o.ecs.id)
	dst = append(dst, `","community_uid":"`...)
	dst = o.ecs.hasher.AppendCommunityID(dst)
	if withinHost(f) {
		dst = append(dst, `","direction_id":4,"direction":"Local"`...)
	} else {
		dst = append(dst, `","direction_id":0,"direction":"Unknown"`...)
	}
	dst = append(dst, `,"protocol_num":`...)
	dst = appendUint(dst, uint64(f.Transport))
	dst = append(dst, `,"protocol_name":"`...)
	dst = append(dst, f.Transport.String()...)
	dst = append(dst, `","protocol_ver_id":`...)
	dst = appendUint(dst, uint64(f.Version))
	if f.Transport == flow.TCP {
		dst = append(dst, `,"tcp_flags":`...)
		dst = appendUint(dst, uint64(f.Source.Flags|f.Destination.Flags))
	}
	if f.HistoryLen > 0 {
		dst = append(dst, `,"flag_history":"`...)
		dst = append(dst, f.History[:f.HistoryLen]...)
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func withinHost(f *flow.Record) bool {
	source, destination := f.Source.Addr(), f.Destination.Addr()
	return source == destination || source.IsLoopback() && destination.IsLoopback()
}

func appendOCSFEndpoint(dst []byte, head string, a *address, f *flow.Record, s *flow.Side) []byte {
	dst = append(dst, head...)
	dst = a.append(dst)
	dst = append(dst, `","port":`...)
	dst = appendUint(dst, uint64(s.Port()))
	if f.VLANs > 0 {
		dst = append(dst, `,"vlan_uid":"`...)
		dst = appendUint(dst, uint64(f.VLAN[0]))
		dst = append(dst, '"')
	}
	return append(dst, '}')
}

func appendTraffic(dst []byte, head string, out, in flow.Count, start, end int64) []byte {
	dst = append(dst, head...)
	dst = appendUint(dst, out.Octets+in.Octets)
	dst = append(dst, `,"bytes_out":`...)
	dst = appendUint(dst, out.Octets)
	dst = append(dst, `,"bytes_in":`...)
	dst = appendUint(dst, in.Octets)
	dst = append(dst, `,"packets":`...)
	dst = appendUint(dst, out.Packets+in.Packets)
	dst = append(dst, `,"packets_out":`...)
	dst = appendUint(dst, out.Packets)
	dst = append(dst, `,"packets_in":`...)
	dst = appendUint(dst, in.Packets)
	dst = append(dst, `,"start_time":`...)
	dst = appendMillis(dst, start)
	dst = append(dst, `,"end_time":`...)
	dst = appendMillis(dst, end)
	return append(dst, '}')
}

// appendObservables appends the addresses and ports, and leaves the list open.
func (o *OCSF) appendObservables(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"observables":[{"name":"src_endpoint.ip","type_id":2,"type":"IP Address","value":"`...)
	dst = o.ecs.source.append(dst)
	dst = append(dst, `"},{"name":"src_endpoint.port","type_id":11,"type":"Port","value":"`...)
	dst = appendUint(dst, uint64(f.Source.Port()))
	dst = append(dst, `"},{"name":"dst_endpoint.ip","type_id":2,"type":"IP Address","value":"`...)
	dst = o.ecs.destination.append(dst)
	dst = append(dst, `"},{"name":"dst_endpoint.port","type_id":11,"type":"Port","value":"`...)
	dst = appendUint(dst, uint64(f.Destination.Port()))
	return append(dst, `"}`...)
}

// appendEnrichment appends what is known about a port.
func (o *OCSF) appendEnrichment(dst []byte, side annotate.Side, p *annotate.Port) []byte {
	dst = o.ecs.appendPort(dst, side, p)
	dst = append(dst, `,"value":"`...)
	dst = appendUint(dst, uint64(p.Number))
	return append(dst, `"}`...)
}
