package export

import (
	"fmt"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
)

// findingActivities are the activities of a Detection Finding for an alert's opening
// and its update.
var findingActivities = [2][]byte{renderFinding(1, "Create"), renderFinding(2, "Update")}

func renderFinding(id int, activity string) []byte {
	return fmt.Appendf(nil, `,"category_uid":2,"category_name":"Findings","class_uid":2004,"class_name":"Detection Finding"`+
		`,"activity_id":%d,"activity_name":"%s","type_uid":%d,"type_name":"Detection Finding: %s"`+
		`,"status_id":1,"status":"New","is_alert":%t`, id, activity, 200400+id, activity, id == 1)
}

// confidenceNames are the captions of confidence_id's values.
var confidenceNames = [...]string{"Unknown", "Low", "Medium", "High"}

// AppendAlert appends a as one line, a Detection Finding (2004) with the datetime
// profile. sequence counts the alerts of the run. finding_info.uid is the same in
// opening and update, metadata.uid is not. The evidence has the endpoints of the alert:
// a sweep has no destination, and only an alert about a single port has the port. Its
// ids are those of the Flow that opened the alert.
func (o *OCSF) AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	o.ecs.start.set(a.Start)
	o.ecs.end.set(a.End)
	dst = o.appendFindingMetadata(dst, a, sequence)
	dst = o.appendTimeSpan(dst, a.Start, a.End)
	dst = append(dst, findingActivities[index(a.Update)]...)
	dst = append(dst, o.severities[severityID(a.Severity)]...)
	dst = fmt.Appendf(dst, `,"confidence_id":%d,"confidence":"%s","confidence_score":%d,"risk_score":%d,"message":`,
		a.Confidence, confidenceNames[a.Confidence], score(a.Confidence), a.Severity)
	dst = o.ecs.appendAlertReason(dst, a)
	dst = o.appendFindingInfo(dst, a)
	dst = appendEvidence(dst, a)
	dst = appendFindingObservables(dst, a)
	if a.HasPort() {
		dst = append(dst, `],"enrichments":[{"name":"evidences.dst_endpoint.port","type":"port-registry","provider":"IANA","data":`...)
		dst = appendAlertPort(dst, &a.Port)
		dst = append(dst, `,"value":"`...)
		dst = append(appendUint(dst, uint64(a.Port.Number)), `"}`...)
	}
	dst = append(dst, o.unmapped...)
	dst = o.ecs.appendAlertSums(dst, a)
	return append(dst, o.ecs.registry...)
}

func (o *OCSF) appendFindingMetadata(dst []byte, a *annotate.Alert, sequence uint64) []byte {
	dst = append(dst, o.head...)
	dst = append(dst, `,"labels":["`...)
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `"],"correlation_uid":"`...)
	dst = appendID(dst, &a.FlowID)
	dst = append(dst, `","uid":"`...)
	dst = a.AppendID(dst)
	dst = append(dst, `","sequence":`...)
	dst = appendUint(dst, sequence)
	if o.now != nil {
		dst = append(dst, `,"logged_time":`...)
		dst = appendMillis(dst, o.now().UnixNano())
	}
	return append(dst, '}')
}

func (o *OCSF) appendFindingInfo(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `,"finding_info":{"uid":"`...)
	dst = appendID(dst, &a.ID)
	dst = append(dst, `","title":"`...)
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `","first_seen_time":`...)
	dst = appendMillis(dst, a.Start)
	dst = append(dst, `,"last_seen_time":`...)
	dst = appendMillis(dst, a.End)
	dst = append(dst, `,"related_events_count":`...)
	dst = appendUint(dst, a.Records)
	dst = append(dst, `,"analytic":{"type_id":1,"type":"Rule","uid":"`...)
	dst = append(dst, a.Rule.ID()...)
	dst = append(dst, `","name":"`...)
	dst = append(dst, a.Rule.String()...)
	dst = append(dst, `","category":"port-registry","version":`...)
	dst = appendString(dst, ruleset(a.Registry))
	return append(dst, "}}"...)
}

func appendEvidence(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `,"evidences":[{"src_endpoint":{"ip":"`...)
	dst = append(appendAddr(dst, a.Client), `"}`...)
	if a.HasService() {
		dst = append(dst, `,"dst_endpoint":{"ip":"`...)
		dst = append(appendAddr(dst, a.Service), '"')
		if a.HasPort() {
			dst = append(dst, `,"port":`...)
			dst = appendUint(dst, uint64(a.Port.Number))
		}
		dst = append(dst, '}')
	}
	dst = append(dst, `,"connection_info":{"uid":"`...)
	dst = appendID(dst, &a.FlowID)
	dst = append(dst, `","community_uid":"`...)
	dst = flow.AppendCommunityID(dst, a.CommunityID)
	dst = append(dst, `","direction_id":0,"direction":"Unknown","protocol_num":`...)
	dst = appendUint(dst, uint64(a.Transport))
	dst = append(dst, `,"protocol_name":"`...)
	dst = append(dst, a.Transport.String()...)
	dst = append(dst, `","protocol_ver_id":`...)
	dst = appendUint(dst, uint64(a.Version))
	return append(dst, "}}]"...)
}

// appendFindingObservables leaves the list open, as appendObservables does.
func appendFindingObservables(dst []byte, a *annotate.Alert) []byte {
	dst = append(dst, `,"observables":[{"name":"evidences.src_endpoint.ip","type_id":2,"type":"IP Address","value":"`...)
	dst = append(appendAddr(dst, a.Client), `"}`...)
	if a.HasService() {
		dst = append(dst, `,{"name":"evidences.dst_endpoint.ip","type_id":2,"type":"IP Address","value":"`...)
		dst = append(appendAddr(dst, a.Service), `"}`...)
	}
	if a.HasPort() {
		dst = append(dst, `,{"name":"evidences.dst_endpoint.port","type_id":11,"type":"Port","value":"`...)
		dst = append(appendUint(dst, uint64(a.Port.Number)), `"}`...)
	}
	return dst
}
