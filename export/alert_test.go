package export

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// alertsOf gathers the findings of Flows.
func alertsOf(reg *registry.Registry, flows []*flow.Record) (list []annotate.Alert) {
	gatherer := annotate.NewAlerts(time.Hour)
	var a annotate.Alert
	for _, r := range annotated(reg, flows) {
		for gatherer.Add(r); gatherer.Next(&a); {
			list = append(list, a)
		}
	}
	for gatherer.Flush(); gatherer.Next(&a); {
		list = append(list, a)
	}
	return list
}

// alertFlows cause an alert of each scope, both opening and update, and a few others.
func alertFlows() []*flow.Record {
	list := []*flow.Record{
		conversation(flow.TCP, "10.0.0.7:40112", "10.0.0.9:42000", 0, flow.Established),
		conversation(flow.TCP, "10.0.0.8:40112", "10.0.0.9:42000", time.Second, flow.Closed),
		with(conversation(flow.UDP, "10.0.0.5:49151", "10.0.0.9:49151", 2*time.Second, flow.Established), decided(flow.Symmetric, flow.High)),
		with(conversation(flow.UDP, "10.0.0.5:60001", "10.0.0.9:50000", 3*time.Second, flow.OneWay), decided(flow.LowerPort, flow.Low)),
		conversation(flow.UDPLite, "[2001:db8::1]:40112", "[2001:db8::2]:3300", 3*time.Second, flow.Established),
		conversation(flow.TCP, "10.0.0.5:1028", "10.0.0.9:7777", 3*time.Second, flow.Closed),
		conversation(flow.SCTP, "127.0.0.1:1032", "127.0.0.1:443", 4*time.Second, flow.Closed),
		conversation(flow.TCP, "[fe80::1]:51514", "[fe80::2]:585", 5*time.Second, flow.Rejected),
	}
	for i := range 12 {
		after := time.Duration(10+i) * time.Second
		list = append(list,
			conversation(flow.TCP, "10.0.0.66:1024", fmt.Sprintf("10.0.0.9:%d", 41800+i), after, flow.Reset),
			conversation(flow.TCP, fmt.Sprintf("10.1.%d.66:1024", i%3), fmt.Sprintf("10.2.0.1:%d", 41900+i), after, flow.Attempt),
			conversation(flow.TCP, "10.0.0.77:1024", fmt.Sprintf("10.3.0.%d:41950", i), after, flow.Attempt))
	}
	for i := range 100 { // more than are counted one by one
		client := fmt.Sprintf("10.4.0.%d:1024", i)
		list = append(list, conversation(flow.TCP, client, "10.0.0.9:41999", time.Minute, flow.Closed))
	}
	return list
}

// An alertCase is a registry with options and the alerts to write.
type alertCase struct {
	flatCase
	alerts []annotate.Alert
}

func alertCases(t testing.TB) (list []alertCase) {
	for _, c := range flatCases(t) {
		if c.name == "test flows" || c.name == "live" {
			c.flows = append(c.flows, alertFlows()...)
		}
		if c.name == "hostile options" {
			c.flows = alertFlows()
		}
		list = append(list, alertCase{c, alertsOf(c.reg, c.flows)})
	}
	return list
}

// alertFormat is a format with alerts; fields is the list of those that the
// published schema of a JSON format has, and our own.
type alertFormat struct {
	name, fields string
	new          func(*registry.Registry, Options) alertAppender
}

type alertAppender interface {
	Append([]byte, *annotate.Record, uint64) []byte
	AppendAlert([]byte, *annotate.Alert, uint64) []byte
}

var alertFormats = []alertFormat{
	{"ecs", "ecs-9.4-alert-fields.tsv", func(reg *registry.Registry, o Options) alertAppender { return NewECS(reg, o) }},
	{"eve", "eve-8.0-alert-fields.tsv", func(reg *registry.Registry, o Options) alertAppender { return NewEVE(reg, o) }},
	{"ocsf", "ocsf-1.8-detection-finding-fields.tsv", func(reg *registry.Registry, o Options) alertAppender { return NewOCSF(reg, o) }},
	{"cef", "", func(reg *registry.Registry, o Options) alertAppender { return NewCEF(reg, o) }},
	{"leef", "", func(reg *registry.Registry, o Options) alertAppender { return NewLEEF(reg, o) }},
}

func TestAlertsGolden(t *testing.T) {
	reg := testRegistry(t)
	for _, format := range alertFormats {
		f := format.new(reg, Options{Version: "1.2.3"})
		var out []byte
		for i, a := range alertsOf(reg, alertFlows()) {
			out = f.AppendAlert(out, &a, uint64(i+1))
		}
		golden(t, format.name+"-alert.golden", out)
	}
}

// TestAlertSchemas holds every alert against the published schemas. Every field of a
// list has to come up, so that the list stays true.
func TestAlertSchemas(t *testing.T) {
	for _, format := range alertFormats {
		if format.fields == "" {
			continue
		}
		fields, seen := readSchema(t, format.fields), make(map[string]bool)
		for _, c := range alertCases(t) {
			f := format.new(c.reg, c.o)
			for i, a := range c.alerts {
				fields.check(t, seen, "", decodeLine(t, f.AppendAlert(nil, &a, uint64(i+1))))
			}
		}
		for path, f := range fields {
			if !seen[path] && !(f.kind == "object" && fields.isObject(path)) {
				t.Errorf("%s: field %s is in the list and in no alert", format.name, path)
			}
		}
	}
}

// TestAlertSchemasRefuse shows that the check can fail.
func TestAlertSchemasRefuse(t *testing.T) {
	for _, test := range []struct {
		fields, record string
		faults         int
	}{
		{"eve-8.0-alert-fields.tsv", `{"timestamp":"2026-11-22T12:00:00.000000+0000","event_type":"alert","alert":{"gid":20567}}`, 0},
		{"eve-8.0-alert-fields.tsv", `{"timestamp":"2026-11-22T12:00:00.000000+0000","event_type":"alert","alert":{"severity":4}}`, 1},
		{"eve-8.0-alert-fields.tsv", `{"timestamp":"2026-11-22T12:00:00.000000+0000","event_type":"alert","alert":{"reason":"x"}}`, 1},
		{"ocsf-1.8-detection-finding-fields.tsv", `{}`, 8},
		{"ocsf-1.8-detection-finding-fields.tsv", `{"evidences":[{"connection_info":{}}]}`, 9},
		{"ecs-9.4-alert-fields.tsv", `{"rule":{"id":"PW004"}}`, 14},
	} {
		f := &faults{}
		readSchema(t, test.fields).check(f, map[string]bool{}, "", decodeLine(t, []byte(test.record+"\n")))
		if f.n != test.faults {
			t.Errorf("%s: %d faults, want %d", test.record, f.n, test.faults)
		}
	}
}

// alertWords returns the fields that an alert should have in ECS, by the alert itself; the
// other formats are compared with ECS.
func alertWords(a *annotate.Alert, sequence int) map[string]string {
	at := func(ns int64) string { return time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z") }
	want := map[string]string{
		"@timestamp": at(a.End), "event.start": at(a.Start), "event.end": at(a.End), "event.duration": fmt.Sprint(a.End - a.Start),
		"event.id": fmt.Sprintf("%x-%d", a.ID, map[bool]int{true: 1}[a.Update]), "event.sequence": fmt.Sprint(sequence),
		"event.action": a.Rule.String(), "event.severity": fmt.Sprint(a.Severity), "event.reason": jsonText(string(a.AppendReason(nil))),
		"source.ip": a.Client.String(), "destination.ip": "", "destination.port": "", "related.ip": a.Client.String(),
		"network.transport": a.Transport.String(), "rule.id": a.Rule.ID(), "rule.ruleset": "iana-" + a.Registry.Date(), "tags": a.Rule.String(),
		"portwatch.alert.window.start": at(a.WindowStart), "portwatch.alert.window.end": at(a.WindowEnd),
		"portwatch.alert.scope": a.Scope.String(), "portwatch.alert.update": fmt.Sprint(a.Update),
		"portwatch.alert.records": fmt.Sprint(a.Records), "portwatch.alert.flows": fmt.Sprint(a.Flows),
		"portwatch.alert.packets": fmt.Sprint(a.Packets), "portwatch.alert.bytes": fmt.Sprint(a.Octets),
		"portwatch.alert.clients.count": fmt.Sprint(a.Clients.N), "portwatch.alert.clients.estimated": fmt.Sprint(a.Clients.Estimated),
		"portwatch.alert.hosts.count": fmt.Sprint(a.Hosts.N), "portwatch.alert.ports.count": fmt.Sprint(a.Ports),
		"portwatch.alert.ports.first": strings.Trim(fmt.Sprint(a.First()), "[]"), "portwatch.alert.flow_id": fmt.Sprintf("%x", a.FlowID),
		"portwatch.alert.confidence": a.Confidence.String(), "portwatch.destination.port.status": "",
	}
	if a.HasService() {
		want["destination.ip"] = a.Service.String()
		if a.Service != a.Client {
			want["related.ip"] += " " + a.Service.String()
		}
	}
	if a.HasPort() {
		want["destination.port"] = fmt.Sprint(a.Port.Number)
		want["portwatch.destination.port.status"] = a.Port.Entry.Status.String()
	}
	return want
}

// jsonText returns a text as it comes back from JSON: invalid UTF-8 is replaced.
func jsonText(s string) string { return string([]rune(s)) }

// TestNoDate: a registry that somebody wrote by hand may have no date, and a receiver that
// parses dates refuses a record with an empty one.
func TestNoDate(t *testing.T) {
	reg, _, err := registry.Parse(strings.NewReader(strings.Join(registry.Columns[:], ",")+"\nexample,80,tcp,,,,2026-11,,,,,\n"), "own.csv")
	if err != nil || reg.Date() != "" {
		t.Fatalf("date %q, %v", reg.Date(), err)
	}
	type format interface {
		Append([]byte, *annotate.Record, uint64) []byte
		AppendAlert([]byte, *annotate.Alert, uint64) []byte
	}
	records, alerts := annotated(reg, testFlows()), alertsOf(reg, alertFlows())
	for name, f := range map[string]format{
		"ecs": NewECS(reg, Options{}), "ocsf": NewOCSF(reg, Options{}), "eve": NewEVE(reg, Options{}),
		"cef": NewCEF(reg, Options{}), "leef": NewLEEF(reg, Options{}),
	} {
		record, alert := f.Append(nil, records[0], 1), f.AppendAlert(nil, &alerts[0], 1)
		for _, line := range [][]byte{record, alert} {
			if empty := regexp.MustCompile(`"date":""|[dD]ate=\s|iana-`).Find(line); empty != nil {
				t.Errorf("%s has %q in %s", name, empty, line)
			}
			if line[0] == '{' {
				decodeLine(t, line)
			}
		}
	}
}

func TestECSAlerts(t *testing.T) {
	for _, c := range alertCases(t) {
		ecs := NewECS(c.reg, c.o)
		for i, a := range c.alerts {
			got := flatten(t, ecs.AppendAlert(nil, &a, uint64(i+1)))
			for path, want := range alertWords(&a, i+1) {
				if got[path] != want {
					t.Errorf("%s, alert %d: %s is %.200q, want %.200q", c.name, i, path, got[path], want)
				}
			}
		}
	}
}

// TestAlertsAgree checks that the other JSON formats say what ECS says.
func TestAlertsAgree(t *testing.T) {
	same := map[string]map[string]string{
		"eve": {
			"src_ip": "source.ip", "dest_ip": "destination.ip", "dest_port": "destination.port", "community_id": "network.community_id",
			"host": "observer.name", "in_iface": "observer.ingress.interface.name",
			"portwatch.event.id": "event.id", "portwatch.event.reason": "event.reason", "portwatch.event.severity": "event.severity",
			"portwatch.tags": "tags", "portwatch.event.sequence": "event.sequence", "portwatch.event.created": "event.created",
		},
		"ocsf": {
			"metadata.uid": "event.id", "metadata.labels": "tags", "metadata.sequence": "event.sequence", "metadata.correlation_uid": "portwatch.alert.flow_id",
			"time_dt": "event.end", "start_time_dt": "event.start", "message": "event.reason", "risk_score": "event.severity",
			"finding_info.analytic.uid": "rule.id", "finding_info.title": "rule.name", "finding_info.related_events_count": "portwatch.alert.records",
			"finding_info.analytic.version": "rule.ruleset", "enrichments.data.status": "portwatch.destination.port.status",
			"evidences.src_endpoint.ip": "source.ip", "evidences.dst_endpoint.ip": "destination.ip", "evidences.dst_endpoint.port": "destination.port",
			"evidences.connection_info.community_uid": "network.community_id", "evidences.connection_info.protocol_num": "network.iana_number",
			"metadata.reporter.name": "observer.name", "unmapped.interface_name": "observer.ingress.interface.name",
		},
	}
	for _, format := range alertFormats {
		paths := same[format.name]
		if paths == nil {
			continue
		}
		for _, c := range alertCases(t) {
			f, ecs := format.new(c.reg, c.o), NewECS(c.reg, c.o)
			for i, a := range c.alerts {
				got, want := flatten(t, f.AppendAlert(nil, &a, uint64(i+1))), flatten(t, ecs.AppendAlert(nil, &a, uint64(i+1)))
				for path, of := range paths {
					if got[path] != want[of] {
						t.Errorf("%s, alert %d: %s is %.200q, want %.200q", format.name, i, path, got[path], want[of])
					}
				}
				for of, value := range want {
					path, is := strings.CutPrefix(of, "portwatch.alert.")
					if is {
						path = map[string]string{"eve": "portwatch.alert.", "ocsf": "unmapped.alert."}[format.name] + path
					}
					if is && got[path] != value {
						t.Errorf("%s, alert %d: %s is %q, want %q", format.name, i, path, got[path], value)
					}
				}
			}
		}
	}
}

// checkFlatAlerts reads each alert of a flat format back, and expects exactly what want
// returns for the same alert in ECS.
func checkFlatAlerts(t *testing.T, name string, read func(string) (map[string]string, error), want func(c alertCase, ecs map[string]string) map[string]string) {
	t.Helper()
	for _, format := range alertFormats {
		if format.name != name {
			continue
		}
		for _, c := range alertCases(t) {
			f, ecs := format.new(c.reg, c.o), NewECS(c.reg, c.o)
			for i, a := range c.alerts {
				line := string(f.AppendAlert(nil, &a, uint64(i+1)))
				if strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") || strings.ContainsFunc(strings.TrimRight(line, "\r\n"), isControl) {
					t.Errorf("%s: not one clean line: %.300q", c.name, line)
				}
				got, err := read(line)
				if err != nil {
					t.Fatalf("%s: %v in %.300q", c.name, err, line)
				}
				expected := want(c, flatten(t, ecs.AppendAlert(nil, &a, uint64(i+1))))
				for key, value := range expected {
					if got[key] != value {
						t.Errorf("%s, alert %d: %s is\n%.300q, want\n%.300q", c.name, i, key, got[key], value)
					}
				}
				for key := range got {
					if _, known := expected[key]; !known {
						t.Errorf("%s, alert %d: unexpected %s=%.300q", c.name, i, key, got[key])
					}
				}
			}
		}
	}
}

// phaseWord is act of CEF and action of LEEF.
func phaseWord(ecs map[string]string) string {
	if ecs["portwatch.alert.update"] == "true" {
		return "alert_update"
	}
	return "alert_open"
}

func TestCEFAlertsReadBack(t *testing.T) {
	checkFlatAlerts(t, "cef", readCEF, func(c alertCase, ecs map[string]string) map[string]string {
		const port = "portwatch.destination.port."
		want := map[string]string{
			"format": "CEF:0", "vendor": "portwatch", "product": "portwatch",
			"class": ecs["rule.id"], "name": ecs["rule.name"], "severity": fmt.Sprint(upTo10(ecs["event.severity"])),
			"start": millis(t, ecs["event.start"]), "end": millis(t, ecs["event.end"]), "dpt": ecs["destination.port"],
			"proto": strings.ToUpper(ecs["network.transport"]), "act": phaseWord(ecs), "cat": "portwatch.alert", "externalId": ecs["event.id"],
			"reason": cefText(ecs["event.reason"], 1023), "cnt": ecs["portwatch.alert.flows"],
			"cs1": cefText(ecs[port+"services"], 4000), "cs5": cefText(ecs[port+"unauthorized_use.note"], 4000),
			"cs6": ecs["network.community_id"], "cs6Label": "communityId",
			"cn1": ecs["portwatch.alert.clients.count"], "cn1Label": "clients", "cn2": ecs["portwatch.alert.ports.count"], "cn2Label": "ports",
			"cn3":            map[string]string{"high": "90", "medium": "60", "low": "30"}[ecs["portwatch.alert.confidence"]],
			"cn3Label":       "directionConfidence",
			"portwatchScope": ecs["portwatch.alert.scope"], "portwatchHosts": ecs["portwatch.alert.hosts.count"],
			"portwatchFirstPorts": ecs["portwatch.alert.ports.first"], "portwatchFlowId": ecs["portwatch.alert.flow_id"],
			"portwatchWindowStart":  millis(t, ecs["portwatch.alert.window.start"]),
			"portwatchWindowEnd":    millis(t, ecs["portwatch.alert.window.end"]),
			"portwatchRegistryDate": ecs["portwatch.registry.date"], "portwatchSequence": ecs["event.sequence"],
			"dvchost": cefText(c.o.ObserverName, 100), "deviceInboundInterface": cefText(c.o.Interface, 128),
		}
		source, destination := "src", "dst"
		if ecs["network.type"] == "ipv6" {
			source, destination = "c6a2", "c6a3"
			want["c6a2Label"] = "Source IPv6 Address"
			if ecs["destination.ip"] != "" {
				want["c6a3Label"] = "Destination IPv6 Address"
			}
		}
		want[source], want[destination] = ecs["source.ip"], ecs["destination.ip"]
		if status := ecs[port+"status"]; status != "" {
			want["cs3"], want["cs3Label"] = ecs[port+"class"]+" "+status, "dstIanaPort"
		}
		for key, label := range map[string]string{"cs1": "dstIanaService", "cs5": "ianaUnauthorizedUse"} {
			if want[key] != "" {
				want[key+"Label"] = label
			}
		}
		if c.o.Now != nil {
			want["rt"] = millis(t, ecs["event.created"])
		}
		dropEmpty(want)["version"] = clipped(printed(c.o.Version), 31)
		return want
	})
}

func TestLEEFAlertsReadBack(t *testing.T) {
	checkFlatAlerts(t, "leef", readLEEF, func(c alertCase, ecs map[string]string) map[string]string {
		const port = "portwatch.destination.port."
		text := func(s string) string { return clipped(printed(s), 1023) }
		want := map[string]string{
			"format": "LEEF:2.0", "vendor": "portwatch", "product": "portwatch", "event id": ecs["rule.id"],
			"cat": "portwatch.alert", "devTime": fmt.Sprintf("%013s", millis(t, ecs["event.end"])),
			"sev": fmt.Sprint(max(1, upTo10(ecs["event.severity"]))), "proto": strings.ToUpper(ecs["network.transport"]),
			"src": ecs["source.ip"], "dst": ecs["destination.ip"], "dstPort": ecs["destination.port"],
			"dstIanaClass": ecs[port+"class"], "dstIanaStatus": ecs[port+"status"], "dstIanaService": text(ecs[port+"services"]),
			"dstIanaRegisteredOn": ecs[port+"registered_on"], "dstIanaUnauthorizedUse": text(ecs[port+"unauthorized_use.note"]),
			"startTime": millis(t, ecs["event.start"]), "endTime": millis(t, ecs["event.end"]), "action": phaseWord(ecs),
			"eventUid": ecs["event.id"], "flowUid": ecs["portwatch.alert.flow_id"], "communityId": ecs["network.community_id"],
			"findings": ecs["rule.name"], "reason": text(ecs["event.reason"]), "alertScope": ecs["portwatch.alert.scope"],
			"windowStart": millis(t, ecs["portwatch.alert.window.start"]), "windowEnd": millis(t, ecs["portwatch.alert.window.end"]),
			"flows": ecs["portwatch.alert.flows"], "clients": ecs["portwatch.alert.clients.count"], "hosts": ecs["portwatch.alert.hosts.count"],
			"ports": ecs["portwatch.alert.ports.count"], "firstPorts": ecs["portwatch.alert.ports.first"],
			"directionConfidence": ecs["portwatch.alert.confidence"],
			"observerName":        text(c.o.ObserverName), "observerInterface": text(c.o.Interface),
			"registryDate": ecs["portwatch.registry.date"], "sequence": ecs["event.sequence"],
		}
		dropEmpty(want)["version"] = strings.ReplaceAll(text(c.o.Version), "|", "_")
		return want
	})
}

// TestAlertsBetweenRecords: what a format keeps from a record does not show in an alert,
// nor the other way round.
func TestAlertsBetweenRecords(t *testing.T) {
	reg := testRegistry(t)
	records, alerts := annotated(reg, testFlows()), alertsOf(reg, alertFlows())
	for _, format := range alertFormats {
		mixed, alone, apart := format.new(reg, fullOptions), format.new(reg, fullOptions), format.new(reg, fullOptions)
		for i, r := range records {
			if got, want := mixed.Append(nil, r, uint64(i)), alone.Append(nil, r, uint64(i)); string(got) != string(want) {
				t.Fatalf("%s: after an alert the record is\n%s, want\n%s", format.name, got, want)
			}
			a := &alerts[i%len(alerts)]
			if got, want := mixed.AppendAlert(nil, a, 1), apart.AppendAlert(nil, a, 1); string(got) != string(want) {
				t.Fatalf("%s: after a record the alert is\n%s, want\n%s", format.name, got, want)
			}
		}
	}
}
