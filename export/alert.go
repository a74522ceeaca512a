package export

import (
	"strings"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// This file has what the formats with alerts share: ECS, OCSF, CEF, LEEF and EVE.
// Text, CSV and Zeek's conn.log have no alerts.

// alertDataset is ECS's event.dataset, and the category in formats that have one.
const alertDataset = "portwatch.alert"

// alertPhase returns Alert.Update as a word, for formats without a boolean.
func alertPhase(a *annotate.Alert) string {
	if a.Update {
		return "alert_update"
	}
	return "alert_open"
}

// AppendAlert appends a as one line. sequence counts the alerts of the run. Records
// are numbered separately, so alerts do not change their numbers.
//
// source is the first client, and destination the service side. A sweep has no
// destination, and only an alert about a single port has destination.port. The
// counts of clients, hosts and ports are in portwatch.alert.
func (e *ECS) AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	e.start.set(a.Start)
	e.end.set(a.End)
	dst = append(dst, `{"@timestamp":"`...)
	dst = e.end.append(dst)
	dst = append(dst, `","ecs":{"version":"`+ECSVersion+`"},"event":{"kind":"alert",`+
		`"category":["network","intrusion_detection"],"module":"portwatch","dataset":"`+alertDataset+`","provider":"portwatch",`...)
	dst = e.appendAlertEvent(dst, a, sequence)
	dst = append(dst, `,"source":{"ip":"`...)
	dst = append(appendAddr(dst, a.Client), `"}`...)
	if a.HasService() {
		dst = append(dst, `,"destination":{"ip":"`...)
		dst = append(appendAddr(dst, a.Service), '"')
		if a.HasPort() {
			dst = append(dst, `,"port":`...)
			dst = appendUint(dst, uint64(a.Port.Number))
		}
		dst = append(dst, '}')
	}
	dst = appendAlertNetwork(dst, a)
	dst = appendRule(dst, a)
	dst = append(dst, e.observer...)
	dst = appendAddr(dst, a.Client)
	if a.HasService() && a.Service != a.Client {
		dst = append(dst, `","`...)
		dst = appendAddr(dst, a.Service)
	}
	dst = append(dst, e.tags[1<<a.Rule]...)
	dst = e.appendAlertObject(dst, a)
	return append(dst, e.registry...)
}

// appendAlertEvent appends the part of the event object that differs between alerts,
// and closes the object. The caller has set e.start and e.end.
func (e *ECS) appendAlertEvent(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	dst = append(dst, `"type":["info"],"action":"`...)
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `","id":"`...)
	dst = a.AppendID(dst)
	dst = append(dst, `","sequence":`...)
	dst = appendUint(dst, sequence)
	dst = append(dst, `,"start":"`...)
	dst = e.start.append(dst)
	dst = append(dst, `","end":"`...)
	dst = e.end.append(dst)
	dst = append(dst, `","duration":`...)
	dst = appendUint(dst, uint64(flow.Between(a.Start, a.End)))
	if e.now != nil {
		e.created.set(e.now().UnixNano())
		dst = append(dst, `,"created":"`...)
		dst = e.created.append(dst)
		dst = append(dst, '"')
	}
	dst = append(dst, `,"severity":`...)
	dst = appendUint(dst, uint64(a.Severity))
	dst = append(dst, `,"risk_score":`...)
	dst = appendUint(dst, uint64(a.Severity))
	dst = append(dst, `,"reason":`...)
	return append(e.appendAlertReason(dst, a), '}')
}

func (e *ECS) appendAlertReason(dst []byte, a *annotate.Alert) []byte {
	e.scratch = a.AppendReason(e.scratch[:0])
	return appendString(dst, e.scratch)
}

// appendAlertNetwork leaves out octets and packets: the records have them, and a sum
// over all documents must not count them twice.
func appendAlertNetwork(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `,"network":{"type":"ipv`...)
	dst = appendUint(dst, uint64(a.Version))
	dst = append(dst, `","transport":"`...)
	dst = append(dst, a.Transport.String()...)
	dst = append(dst, `","iana_number":"`...)
	dst = appendUint(dst, uint64(a.Transport))
	dst = append(dst, `","community_id":"`...)
	dst = flow.AppendCommunityID(dst, a.CommunityID)
	return append(dst, `"}`...)
}

// registryReference is where a person can read the registry behind the rules.
const registryReference = "https://www.iana.org/assignments/service-names-port-numbers"

func appendRule(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `,"rule":{"id":"`...)
	dst = append(dst, a.Rule.ID()...)
	dst = append(dst, `","name":"`...)
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `","category":"port-registry","ruleset":`...)
	dst = appendString(dst, ruleset(a.Registry))
	return append(dst, `,"version":"1","reference":"`+registryReference+`"}`...)
}

// ruleset names the registry that the rules are based on, with its date if it has one.
func ruleset(reg *registry.Registry) string {
	return strings.TrimSuffix("iana-"+reg.Date(), "-")
}

// appendAlertObject appends the members of the portwatch object up to the registry:
// the port, if there is only one, and the totals.
func (e *ECS) appendAlertObject(dst []byte, a *annotate.Alert) []byte {
	if a.HasPort() {
		dst = append(dst, `"destination":{"port":`...)
		dst = append(appendAlertPort(dst, &a.Port), "},"...)
	}
	return e.appendAlertSums(dst, a)
}

// appendAlertSums appends the alert object: the scope, the window and the totals.
func (e *ECS) appendAlertSums(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `"alert":{"scope":"`...)
	dst = append(dst, a.Scope.String()...)
	if a.Update {
		dst = append(dst, `","update":true,"window":{"start":"`...)
	} else {
		dst = append(dst, `","update":false,"window":{"start":"`...)
	}
	e.began.set(a.WindowStart)
	dst = e.began.append(dst)
	dst = append(dst, `","end":"`...)
	e.began.set(a.WindowEnd)
	dst = e.began.append(dst)
	dst = append(dst, `"},"records":`...)
	dst = appendUint(dst, a.Records)
	dst = append(dst, `,"flows":`...)
	dst = appendUint(dst, a.Flows)
	dst = append(dst, `,"packets":`...)
	dst = appendUint(dst, a.Packets)
	dst = append(dst, `,"bytes":`...)
	dst = appendUint(dst, a.Octets)
	dst = appendNumber(append(dst, `,"clients":`...), a.Clients)
	dst = appendNumber(append(dst, `,"hosts":`...), a.Hosts)
	dst = append(dst, `,"ports":{"count":`...)
	dst = appendUint(dst, uint64(a.Ports))
	dst = append(dst, `,"first":[`...)
	for i, port := range a.First() {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendUint(dst, uint64(port))
	}
	dst = append(dst, `]},"confidence":"`...)
	dst = append(dst, a.Confidence.String()...)
	dst = append(dst, `","flow_id":"`...)
	return append(appendID(dst, &a.FlowID), `"}`...)
}

// appendAlertPort appends what the registry says about a service's port.
func appendAlertPort(dst []byte, p *annotate.Port) []byte {
	dst = append(dst, `{"class":"`...)
	dst = append(dst, p.Class.String()...)
	dst = append(dst, `","role":"service`...)
	return appendEntry(dst, p.Entry)
}

func appendNumber(dst []byte, n annotate.Number) []byte {
	dst = append(dst, `{"count":`...)
	dst = appendUint(dst, n.N)
	if n.Estimated {
		return append(dst, `,"estimated":true}`...)
	}
	return append(dst, `,"estimated":false}`...)
}

// appendFirstPorts appends the first ports, separated by spaces.
func appendFirstPorts(dst []byte, a *annotate.Alert) []byte {
	for i, port := range a.First() {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = appendUint(dst, uint64(port))
	}
	return dst
}
