package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// A schema has what a format's published schema says about the fields that we write, by
// their paths; the path of a list's elements is that of the list followed by [].
type schema map[string]schemaField

type schemaField struct {
	kind     string
	required bool
	values   []string // all that are allowed; none: any
}

// readSchema reads a list of testdata: field, type, requirement, allowed values.
func readSchema(t testing.TB, name string) schema {
	t.Helper()
	s := make(schema)
	for _, columns := range readTable(t, name, 4) {
		f := schemaField{kind: columns[1], required: columns[2] == "required"}
		if columns[3] != "-" {
			f.values = strings.Fields(columns[3])
		}
		s[columns[0]] = f
	}
	return s
}

// readTable reads the lines after the heading of a file in testdata.
func readTable(t testing.TB, name string, columns int) (rows [][]string) {
	t.Helper()
	list, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(list)) {
		row := strings.Split(strings.TrimRight(line, "\n"), "\t")
		if len(row) != columns {
			t.Fatalf("%s: bad line %q", name, line)
		}
		rows = append(rows, row)
	}
	return rows[1:]
}

// addOwn adds the fields of the ECS record that rename gives a path.
func (s schema) addOwn(t testing.TB, rename func(path string) string) schema {
	t.Helper()
	for _, columns := range readTable(t, "ecs-9.4-fields.tsv", 3) {
		path := rename(columns[0])
		if path == "" {
			continue
		}
		path = strings.Replace(path, ".findings.", ".findings[].", 1)
		f := schemaField{kind: columns[1]}
		if columns[2] == "array" {
			s[path] = schemaField{kind: "array"}
			path += "[]"
		}
		s[path] = f
	}
	return s
}

var (
	numberForms = map[string]*regexp.Regexp{
		"count":    regexp.MustCompile(`^\d{1,19}$`),
		"long":     regexp.MustCompile(`^\d{1,19}$`),
		"millis":   regexp.MustCompile(`^\d{4,14}$`),
		"epoch":    regexp.MustCompile(`^\d+\.\d{6}$`),
		"interval": regexp.MustCompile(`^\d+\.\d{6}$`),
	}
	stringForms = map[string]*regexp.Regexp{
		"letters":  regexp.MustCompile(`^[SHADFRshadfr]{1,16}$`),
		"flags":    regexp.MustCompile(`^[0-9a-f]{2}$`),
		"datetime": nineDigits,
		"date":     regexp.MustCompile(nineDigits.String() + `|` + justDate.String()),
		"evetime":  regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}\+0000$`),
	}
)

// allows reports whether a value that is no object and no list is of the field.
func (f schemaField) allows(value any) bool {
	if f.values != nil && !slices.Contains(f.values, fmt.Sprint(value)) {
		return false
	}
	switch v := value.(type) {
	case json.Number:
		if f.kind == "port" {
			_, err := strconv.ParseUint(v.String(), 10, 16)
			return err == nil
		}
		form := numberForms[f.kind]
		return form != nil && form.MatchString(v.String())
	case bool:
		return f.kind == "boolean"
	case string:
		switch f.kind {
		case "string", "keyword":
			return utf8.ValidString(v)
		case "ip":
			_, err := netip.ParseAddr(v)
			return err == nil
		}
		form := stringForms[f.kind]
		return form != nil && form.MatchString(v)
	}
	return false
}

// check holds a value of a record against the schema, and notes the paths it saw.
func (s schema) check(t interface{ Errorf(string, ...any) }, seen map[string]bool, path string, value any) {
	seen[path] = true
	f, known := s[path]
	switch v := value.(type) {
	case map[string]any:
		if known && f.kind != "object" || !known && !s.isObject(path) {
			t.Errorf("%s is an object", path)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(v)) {
			s.check(t, seen, strings.TrimPrefix(path+"."+key, "."), v[key])
		}
		for required, f := range s {
			key, in := s.keyIn(path, required)
			if _, there := v[key]; f.required && in && !there {
				t.Errorf("%s is missing", required)
			}
		}
	case []any:
		if known && f.kind != "array" || !known && !s.isObject(path+"[]") {
			t.Errorf("%s is a list", path)
			return
		}
		for _, one := range v {
			s.check(t, seen, path+"[]", one)
		}
	default:
		if !known || !f.allows(v) {
			t.Errorf("%s is %.100q, which the schema does not know", path, fmt.Sprint(value))
		}
	}
}

// isObject reports whether there are fields below a path; the record is one.
func (s schema) isObject(path string) bool {
	if path == "" {
		return true
	}
	for other := range s {
		if strings.HasPrefix(other, path+".") {
			return true
		}
	}
	return false
}

// keyIn returns the key that a field has in the object at path, if it is that
// object's own. A key may have a point in it, as Zeek's id.orig_h.
func (s schema) keyIn(path, field string) (key string, in bool) {
	key, in = field, true
	if path != "" {
		key, in = strings.CutPrefix(field, path+".")
	}
	parent, _, nested := strings.Cut(key, ".")
	if nested {
		_, listed := s[strings.TrimSuffix(strings.TrimPrefix(path+"."+parent, "."), "[]")]
		in = in && !listed
	}
	return key, in
}

func decodeLine(t testing.TB, line []byte) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var record map[string]any
	if err := d.Decode(&record); err != nil {
		t.Fatalf("%v in %.300s", err, line)
	}
	if !bytes.HasSuffix(line, []byte("}\n")) || bytes.Count(line, []byte("\n")) != 1 || d.More() {
		t.Errorf("not one object a line: %.300s", line)
	}
	if bytes.ContainsFunc(bytes.TrimSuffix(line, []byte("\n")), func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u2028' }) {
		t.Errorf("has what it should escape: %.300q", line)
	}
	return record
}

// A dialect is one of the formats in JSON lines other than ECS.
type dialect struct {
	name, file string
	// own is the path of an ECS field in the dialect; "": it has none of its own.
	own func(path string) string
	// same is the path of ECS where the dialect's path has the same value.
	same map[string]string
	new  func(*registry.Registry, Options) func([]byte, *annotate.Record, uint64) []byte
}

// inObject is the path of an ECS field in the object portwatch of others.
func inObject(path string) string {
	switch {
	case strings.HasPrefix(path, "portwatch."):
		return path
	case path == "event.kind" || path == "event.category" || path == "event.module" || path == "event.dataset" || path == "event.provider":
		return "" // the same in every record
	case strings.HasPrefix(path, "event."), strings.HasPrefix(path, "observer."), path == "tags":
		return "portwatch." + path
	}
	return ""
}

// inOCSF is the path of an ECS field that OCSF has no name for. The ports' come up
// under enrichments; both are of one kind.
func inOCSF(path string) string {
	for _, port := range []string{"portwatch.source.port.", "portwatch.destination.port."} {
		if rest, is := strings.CutPrefix(path, port); is {
			return "enrichments[].data." + rest
		}
	}
	if rest, is := strings.CutPrefix(path, "portwatch."); is {
		return "unmapped." + rest
	}
	return ""
}

var dialects = []dialect{
	{
		"zeek", "zeek-8.2-conn-fields.tsv", inObject,
		map[string]string{
			"uid": "portwatch.flow.id", "id.orig_h": "source.ip", "id.orig_p": "source.port",
			"id.resp_h": "destination.ip", "id.resp_p": "destination.port", "history": "portwatch.flow.history",
			"orig_pkts": "source.packets", "orig_ip_bytes": "source.bytes",
			"resp_pkts": "destination.packets", "resp_ip_bytes": "destination.bytes",
			"ip_proto": "network.iana_number", "community_id": "network.community_id",
			"vlan": "network.vlan.id", "inner_vlan": "network.inner.vlan.id",
		},
		func(reg *registry.Registry, o Options) func([]byte, *annotate.Record, uint64) []byte {
			return NewZeek(reg, o).Append
		},
	}, {
		"eve", "eve-8.0-flow-fields.tsv", inObject,
		map[string]string{
			"host": "observer.name", "in_iface": "observer.ingress.interface.name",
			"src_ip": "source.ip", "src_port": "source.port", "dest_ip": "destination.ip", "dest_port": "destination.port",
			"flow.pkts_toserver": "source.packets", "flow.bytes_toserver": "source.bytes",
			"flow.pkts_toclient": "destination.packets", "flow.bytes_toclient": "destination.bytes",
			"community_id": "network.community_id",
		},
		func(reg *registry.Registry, o Options) func([]byte, *annotate.Record, uint64) []byte {
			return NewEVE(reg, o).Append
		},
	}, {
		"ocsf", "ocsf-1.8-network-activity-fields.tsv", inOCSF,
		map[string]string{
			"metadata.product.version": "observer.version", "metadata.reporter.name": "observer.name",
			"metadata.labels": "tags", "metadata.correlation_uid": "portwatch.flow.id", "metadata.uid": "event.id",
			"metadata.sequence": "event.sequence", "time_dt": "event.end", "start_time_dt": "event.start", "end_time_dt": "event.end",
			"status_code": "portwatch.flow.state", "status_detail": "portwatch.flow.end_reason", "message": "event.reason",
			"connection_info.uid": "portwatch.flow.id", "connection_info.community_uid": "network.community_id",
			"connection_info.protocol_num": "network.iana_number", "connection_info.protocol_name": "network.transport",
			"connection_info.flag_history": "portwatch.flow.history",
			"src_endpoint.ip":              "source.ip", "src_endpoint.port": "source.port", "src_endpoint.vlan_uid": "network.vlan.id",
			"dst_endpoint.ip": "destination.ip", "dst_endpoint.port": "destination.port", "dst_endpoint.vlan_uid": "network.vlan.id",
			"traffic.bytes": "network.bytes", "traffic.bytes_out": "source.bytes", "traffic.bytes_in": "destination.bytes",
			"traffic.packets": "network.packets", "traffic.packets_out": "source.packets", "traffic.packets_in": "destination.packets",
			"cumulative_traffic.bytes_out":   "portwatch.flow.total.source.bytes",
			"cumulative_traffic.bytes_in":    "portwatch.flow.total.destination.bytes",
			"cumulative_traffic.packets_out": "portwatch.flow.total.source.packets",
			"cumulative_traffic.packets_in":  "portwatch.flow.total.destination.packets",
			"observables.0.value":            "source.ip", "observables.1.value": "source.port",
			"observables.2.value": "destination.ip", "observables.3.value": "destination.port",
			"enrichments.0.value": "source.port", "enrichments.1.value": "destination.port",
			"unmapped.interface_name": "observer.ingress.interface.name", "unmapped.inner_vlan_uid": "network.inner.vlan.id",
		},
		func(reg *registry.Registry, o Options) func([]byte, *annotate.Record, uint64) []byte {
			return NewOCSF(reg, o).Append
		},
	},
}

// refused is a Flow with the one flag that no other test Flow has.
func refused() *flow.Record {
	return with(conversation(flow.TCP, "10.0.0.5:1040", "10.0.0.9:80", 16*time.Second, flow.Rejected), func(r *flow.Record) {
		r.HistoryLen = uint8(copy(r.History[:], "Sr"))
		r.Source.Flags, r.Destination.Flags = flow.SYN, flow.RST|flow.ACK
	})
}

func TestDialectsGolden(t *testing.T) {
	for _, d := range dialects {
		golden(t, d.name+".golden", renderFlat(t, nil, d.new(testRegistry(t), Options{Version: "1.2.3"})))
	}
}

// TestDialects holds every record against the published schema, and its values
// against those of the same record in ECS. Every field of the list has to come up,
// so that the list stays true.
func TestDialects(t *testing.T) {
	for _, d := range dialects {
		t.Run(d.name, func(t *testing.T) {
			fields := readSchema(t, d.file).addOwn(t, d.own)
			seen := make(map[string]bool)
			for _, c := range flatCases(t) {
				appendTo, ecs := d.new(c.reg, c.o), NewECS(c.reg, c.o)
				for i, r := range annotated(c.reg, append(c.flows, refused())) {
					line := appendTo(nil, r, uint64(i+7))
					fields.check(t, seen, "", decodeLine(t, line))
					d.compare(t, flatten(t, line), flatten(t, ecs.Append(nil, r, uint64(i+7))))
				}
			}
			for path, f := range fields {
				if !seen[path] && !(f.kind == "object" && fields.isObject(path)) {
					t.Errorf("field %s is in the list and in no record", path)
				}
			}
		})
	}
}

// compare checks that the dialect's values equal those of ECS, and that none is missing.
func (d *dialect) compare(t *testing.T, got, ecs map[string]string) {
	t.Helper()
	for path, of := range d.same {
		if got[path] != ecs[of] {
			t.Errorf("%s is %.100q, want %.100q", path, got[path], ecs[of])
		}
	}
	for of, want := range ecs {
		path := strings.Replace(d.own(of), "enrichments[].", map[bool]string{true: "enrichments.0.", false: "enrichments.1."}[strings.HasPrefix(of, "portwatch.source.")], 1)
		if path != "" && got[path] != want {
			t.Errorf("%s is %.100q, want %.100q", path, got[path], want)
		}
	}
}

// TestSchemaRefuses shows that the check can fail.
func TestSchemaRefuses(t *testing.T) {
	const zeek = `"ts":1.000000,"uid":"x","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":2,"proto":"tcp"`
	const eve = `"timestamp":"2026-11-22T12:00:00.000000+0000","event_type":"flow"`
	for _, test := range []struct {
		d      dialect
		record string
		faults int
	}{
		{dialects[0], `{` + zeek + `}`, 0},
		{dialects[0], `{` + strings.Replace(zeek, `"uid":"x",`, "", 1) + `}`, 1},
		{dialects[0], `{` + strings.Replace(zeek, `"id.orig_p":1,`, "", 1) + `}`, 1},
		{dialects[0], `{` + zeek + `,"service":"http"}`, 1},
		{dialects[0], `{` + zeek + `,"conn_state":"S9"}`, 1},
		{dialects[0], `{` + zeek + `,"orig_pkts":"5"}`, 1},
		{dialects[0], `{` + zeek + `,"vlan":[5]}`, 1},
		{dialects[0], `{` + strings.Replace(zeek, "1.000000", "1", 1) + `}`, 1},
		{dialects[0], `{` + zeek + `,"portwatch":{"tags":"x"}}`, 1},
		{dialects[0], `{` + zeek + `,"portwatch":{"tags":["x",5]}}`, 1},
		{dialects[0], `{` + zeek + `,"portwatch":{"findings":{"rule":"x"}}}`, 1},
		{dialects[0], `{` + zeek + `,"portwatch":{"findings":[{"role":"x"}]}}`, 1},
		{dialects[1], `{` + eve + `}`, 0},
		{dialects[1], `{` + eve + `,"flow":{"age":1.5}}`, 1},
		{dialects[1], `{` + eve + `,"flow":5}`, 1},
		{dialects[1], `{` + eve + `,"tcp":{"syn":false}}`, 1},
		{dialects[1], `{` + eve + `,"src_port":65536}`, 1},
		{dialects[1], `{` + eve + `,"app_proto":"http"}`, 1},
		{dialects[1], `{"event_type":"flow"}`, 1},
		{dialects[2], `{}`, 7},
		{dialects[2], `{"metadata":{},"time":1790000000000,"category_uid":4,"class_uid":4001,"activity_id":6,"type_uid":400106,"severity_id":1}`, 2},
		{dialects[2], `{"connection_info":{}}`, 8},
		{dialects[2], `{"observables":[{"name":"src_endpoint.ip"}]}`, 8},
		{dialects[2], `{"app_protocol_name":"http"}`, 8},
	} {
		f := &faults{}
		readSchema(t, test.d.file).addOwn(t, test.d.own).check(f, map[string]bool{}, "", decodeLine(t, []byte(test.record+"\n")))
		if f.n != test.faults {
			t.Errorf("%s: %d faults, want %d", test.record, f.n, test.faults)
		}
	}
}

// TestDialectsNoAllocs: the formats neither allocate nor change what was in the buffer.
func TestDialectsNoAllocs(t *testing.T) {
	reg := testRegistry(t)
	records := annotated(reg, testFlows())
	for _, d := range dialects {
		appendTo := d.new(reg, fullOptions)
		var out []byte
		all := func() {
			out = append(out[:0], "before"...)
			for i, r := range records {
				out = appendTo(out, r, uint64(i))
			}
		}
		all() // renders the registry's half, grows the buffer
		if n, want := testing.AllocsPerRun(100, all), hashing(records); n != want {
			t.Errorf("%s: %v allocations for %d records, want %v", d.name, n, len(records), want)
		}
		if !bytes.HasPrefix(out, []byte("before{")) {
			t.Errorf("%s overwrote what was in the buffer: %.20q", d.name, out)
		}
	}
}

// TestMicros: cut at a microsecond, on both sides of the epoch.
func TestMicros(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0.000000", 999: "0.000000", 1000: "0.000001", 1_500_000_000: "1.500000", -1_000_001_999: "-1.000001",
		1_795_348_800_204_000_001: "1795348800.204000", 9223372036854775807: "9223372036.854775", -9223372036854775808: "-9223372036.854775",
	} {
		if got := string(appendMicros(nil, ns)); got != want {
			t.Errorf("%d ns are %s, want %s", ns, got, want)
		}
	}
}

func BenchmarkDialects(b *testing.B) {
	reg := testRegistry(b)
	for _, d := range dialects {
		r := annotated(reg, testFlows())[0]
		b.Run("format="+d.name, func(b *testing.B) {
			appendTo := d.new(reg, Options{Version: "1.2.3"})
			var out []byte
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				out = appendTo(out[:0], r, i)
			}
			b.SetBytes(int64(len(out)))
		})
	}
}
