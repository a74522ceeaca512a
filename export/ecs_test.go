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

// fullOptions fill every field that depends on options.
var fullOptions = Options{
	Version: "1.2.3", ObserverName: "sensor \"one\"", Interface: "eth0",
	Now: func() time.Time { return noon.Add(24 * time.Hour) },
}

func renderECS(t testing.TB, o Options, flows []*flow.Record) []byte {
	t.Helper()
	reg := testRegistry(t)
	ecs := NewECS(reg, o)
	var out []byte
	for i, r := range annotated(reg, flows) {
		out = ecs.Append(out, r, uint64(i))
	}
	return out
}

func TestECSGolden(t *testing.T) {
	golden(t, "ecs.golden", renderECS(t, Options{Version: "1.2.3"}, testFlows()))
	golden(t, "ecs-live.golden", renderECS(t, fullOptions, testFlows()[:2]))
}

// TestECSFields holds every field and its JSON type against the published types
// of the Elastic Common Schema and our own, in testdata/ecs-9.4-fields.tsv. Every
// field of the list has to come up, so that the list stays true.
func TestECSFields(t *testing.T) {
	fields := readFields(t)
	seen := make(map[string]bool)
	for line := range bytes.Lines(renderECS(t, fullOptions, testFlows())) {
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		var record map[string]any
		if err := d.Decode(&record); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if !bytes.HasSuffix(line, []byte("}\n")) || d.More() {
			t.Errorf("not one object a line: %s", line)
		}
		checkFields(t, fields, seen, "", record)
	}
	for path := range fields {
		if !seen[path] {
			t.Errorf("field %s is in the list and in no record", path)
		}
	}
}

// TestECSFieldsRefuses shows that the check above can fail.
func TestECSFieldsRefuses(t *testing.T) {
	fields := readFields(t)
	for _, bad := range []string{
		`{"unheard":1}`, `{"source":{"name":"x"}}`, `{"source":{"port":"443"}}`, `{"source":{"port":4.5}}`, `{"source":5}`,
		`{"source":{"ip":"10.0.0"}}`, `{"event":{"start":"2026-11-22T12:00:00Z"}}`, `{"event":{"start":5}}`,
		`{"tags":"one"}`, `{"tags":[1]}`, `{"event":{"kind":["event"]}}`, `{"portwatch":{"flow":{"final":"true"}}}`,
		`{"portwatch":{"findings":{"rule":"x"}}}`, `{"source":{"port":null}}`, `{"network":{"bytes":18446744073709551615}}`,
	} {
		d := json.NewDecoder(strings.NewReader(bad))
		d.UseNumber()
		var record map[string]any
		if err := d.Decode(&record); err != nil {
			t.Fatal(err)
		}
		f := &faults{}
		checkFields(f, fields, map[string]bool{}, "", record)
		if f.n != 1 {
			t.Errorf("%s: %d faults, want 1", bad, f.n)
		}
	}
}

type faults struct{ n int }

func (f *faults) Errorf(string, ...any) { f.n++ }

type field struct {
	kind  string
	array bool
}

func readFields(t *testing.T) map[string]field {
	t.Helper()
	list, err := os.ReadFile("testdata/ecs-9.4-fields.tsv")
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]field)
	for line := range strings.Lines(string(list)) {
		columns := strings.Split(strings.TrimSpace(line), "\t")
		if len(columns) != 3 {
			t.Fatalf("bad line %q", line)
		}
		fields[columns[0]] = field{columns[1], columns[2] == "array"}
	}
	delete(fields, "field") // the heading
	return fields
}

// objects are the paths that hold an array of objects.
var objects = []string{"portwatch.findings"}

func checkFields(t interface{ Errorf(string, ...any) }, fields map[string]field, seen map[string]bool, path string, value any) {
	if object, ok := value.(map[string]any); ok && !slices.Contains(objects, path) {
		if _, leaf := fields[path]; leaf {
			t.Errorf("%s is an object", path)
			return
		}
		for _, key := range slices.Sorted(maps.Keys(object)) {
			checkFields(t, fields, seen, strings.TrimPrefix(path+"."+key, "."), object[key])
		}
		return
	}
	if slices.Contains(objects, path) {
		list, ok := value.([]any)
		if !ok {
			t.Errorf("%s is not an array", path)
		}
		for _, one := range list {
			for key, v := range one.(map[string]any) {
				checkFields(t, fields, seen, path+"."+key, v)
			}
		}
		return
	}
	f, known := fields[path]
	seen[path] = true
	if !known {
		t.Errorf("%s is not in the list of fields", path)
		return
	}
	list, array := value.([]any)
	if array != f.array {
		t.Errorf("%s: array %t, want %t", path, array, f.array)
		return
	}
	if !array {
		list = []any{value}
	}
	for _, v := range list {
		if !isKind(f.kind, v) {
			t.Errorf("%s is no %s: %v", path, f.kind, v)
		}
	}
}

var (
	nineDigits = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z$`)
	justDate   = regexp.MustCompile(`^\d{4}-\d\d-\d\d$`)
)

// isKind reports whether Elasticsearch would take the value for the type, and
// whether it has the one form that we give it.
func isKind(kind string, value any) bool {
	switch v := value.(type) {
	case json.Number:
		_, err := strconv.ParseInt(v.String(), 10, 64)
		return kind == "long" && err == nil
	case bool:
		return kind == "boolean"
	case string:
		switch kind {
		case "keyword":
			return utf8.ValidString(v)
		case "ip":
			_, err := netip.ParseAddr(v)
			return err == nil
		case "date":
			return nineDigits.MatchString(v) || justDate.MatchString(v)
		}
	}
	return false
}

// TestECSTwin holds Append against encoding/json, which is slow and obvious: the
// same bytes for every record.
func TestECSTwin(t *testing.T) {
	reg := testRegistry(t)
	for _, o := range []Options{{Version: "1.2.3"}, fullOptions} {
		ecs := NewECS(reg, o)
		for i, r := range annotated(reg, testFlows()) {
			var out bytes.Buffer
			encodeTwin(t, &out, twinOf(o, r, uint64(i)))
			want := strings.ReplaceAll(out.String(), "\u009b", `\u009b`) // the one thing that we escape and it does not
			if got := string(ecs.Append(nil, r, uint64(i))); got != want {
				t.Errorf("record %d\n%s\nencoding/json:\n%s", i, got, want)
			}
		}
	}
}

// TestECSTwinOfPorts asks the kept pieces: one format, many ports that share
// their places, on each transport.
func TestECSTwinOfPorts(t *testing.T) {
	reg := testRegistry(t)
	o := Options{Version: "1.2.3"}
	ecs := NewECS(reg, o)
	for port := 200; port+56 < 65536; port += 128 {
		for _, transport := range portTransports {
			f := conversation(transport, fmt.Sprintf("10.0.0.5:%d", port+56), fmt.Sprintf("[2001:db8::1]:%d", port), 0, flow.Closed)
			decided(flow.Symmetric, flow.High)(f) // both sides have findings
			sameAsTwin(t, ecs, o, annotated(reg, []*flow.Record{f})[0])
		}
	}
}

// TestECSTwinOfScan asks the kept tails: most findings differ from the one before in the port's
// number alone, the others in their severity or their confidence, too.
func TestECSTwinOfScan(t *testing.T) {
	reg := registry.Embedded()
	o := Options{Version: "1.2.3"}
	ecs := NewECS(reg, o)
	states := []flow.State{flow.Closed, flow.Attempt, flow.OneWay}
	confidences := []flow.Confidence{flow.High, flow.Medium}
	for _, transport := range portTransports {
		for i, port := 0, 1; port < 65536; i, port = i+1, port+1+port/1000 {
			f := conversation(transport, "10.0.0.5:40112", fmt.Sprintf("10.0.0.6:%d", port), 0, states[i/5%len(states)])
			decided(flow.Registered, confidences[i/7%len(confidences)])(f)
			sameAsTwin(t, ecs, o, annotated(reg, []*flow.Record{f})[0])
		}
	}
}

var portTransports = []flow.Transport{flow.TCP, flow.UDP, flow.SCTP, flow.DCCP, flow.UDPLite}

// sameAsTwin compares what a format makes of a record with what encoding/json does.
func sameAsTwin(t *testing.T, ecs *ECS, o Options, r *annotate.Record) {
	t.Helper()
	var want bytes.Buffer
	encodeTwin(t, &want, twinOf(o, r, 1))
	if got := ecs.Append(nil, r, 1); !bytes.Equal(got, want.Bytes()) {
		t.Fatalf("%s\nencoding/json:\n%s", got, &want)
	}
}

func TestECSNoAllocs(t *testing.T) {
	reg := testRegistry(t)
	ecs := NewECS(reg, fullOptions)
	records := annotated(reg, testFlows())
	var out []byte
	all := func() {
		out = out[:0]
		for i, r := range records {
			out = ecs.Append(out, r, uint64(i))
		}
	}
	all() // renders the registry's half, grows the buffer
	if n, want := testing.AllocsPerRun(100, all), hashing(records); n != want {
		t.Errorf("%v allocations for %d records, want %v", n, len(records), want)
	}
}

// hashing returns how many allocations it takes to hash the records: none, if the race detector
// does not watch (a test in flow checks that).
func hashing(records []*annotate.Record) float64 {
	h := flow.NewHasher()
	return testing.AllocsPerRun(100, func() {
		for _, r := range records {
			h.Hash(r.Flow)
		}
	})
}

// TestECSAppends: what was in the buffer stays, with and without room after it.
func TestECSAppends(t *testing.T) {
	reg := testRegistry(t)
	r := annotated(reg, testFlows())[0]
	want := string(NewECS(reg, Options{}).Append(nil, r, 9))
	for _, room := range []int{0, 1, 100, 700, 10_000} {
		dst := append(make([]byte, 0, 6+room), "before"...)
		if got := string(NewECS(reg, Options{}).Append(dst, r, 9)); got != "before"+want {
			t.Errorf("with room for %d more: %q", room, got)
		}
	}
}

// TestAllPlain: eight octets at once are plain only if each of them is; and letters, of which
// nearly all texts consist, are recognized at once.
func TestAllPlain(t *testing.T) {
	for at := range 8 {
		for c := range 256 {
			for _, others := range []string{"aaaaaaaa", "~~~~~~~~", "        ", "!!!!!!!!", "########", "[[[[[[[[", "]]]]]]]]"} {
				w := []byte(others)
				w[at] = byte(c)
				if allPlain(eight(w)) && !plain(byte(c)) {
					t.Errorf("%q is taken for plain", w)
				}
			}
		}
	}
	for _, w := range []string{"https://", "AZaz09.-", "assigned"} {
		if !allPlain(eight(w)) {
			t.Errorf("%q is not taken for plain", w)
		}
	}
}

func FuzzString(f *testing.F) {
	for _, s := range []string{
		"", "https", `quote " and \ backslash`, "line\nfeed\r\t\b\f\x00\x1f", "\x7f\u0080\u009f\u00a0", "\u2028\u2029",
		"invalid \xff\xc0\x80 octets", "cut \xe2\x82", "surrogate \xed\xa0\x80", "\ufffd", "Ari√´n", "\U0001f600", "</script>&",
		strings.Repeat("long ", 100),
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out := appendString(nil, s)
		var back string
		if err := json.Unmarshal(out, &back); err != nil {
			t.Fatalf("%v in %q", err, out)
		}
		if want := string([]rune(s)); back != want { // the conversion makes U+FFFD of each bad octet
			t.Errorf("%q came back as %q", s, back)
		}
		if !utf8.Valid(out) || bytes.ContainsFunc(out, func(r rune) bool { return r < ' ' || 0x7f <= r && r < 0xa0 || r == '\u2028' }) {
			t.Errorf("%q has what it should escape", out)
		}
		if again := appendString([]byte{}, []byte(s)); !bytes.Equal(out, again) {
			t.Errorf("as octets %q, as a string %q", again, out)
		}
		if printed := string(appendPrintable(nil, s)); utf8.RuneCountInString(printed) != utf8.RuneCountInString(s) {
			t.Errorf("%q has another length as %q", s, printed)
		}
	})
}

func BenchmarkECS(b *testing.B) {
	reg := testRegistry(b)
	for _, row := range []struct {
		name  string
		flows []*flow.Record
	}{
		{"plain", testFlows()[:1]},
		{"flagged", testFlows()[1:2]},
		{"IPv6", testFlows()[4:5]},
		{"scan", scanFlows()}, // flagged too, and no reason is that of the one before
	} {
		records := annotated(reg, row.flows)
		b.Run(fmt.Sprintf("record=%s/by=append", row.name), func(b *testing.B) {
			ecs := NewECS(reg, Options{Version: "1.2.3"})
			var out []byte
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				out = ecs.Append(out[:0], records[i%len(records)], uint64(i))
			}
			b.SetBytes(int64(len(out)))
		})
		b.Run(fmt.Sprintf("record=%s/by=encoding-json", row.name), func(b *testing.B) {
			record := twinOf(Options{Version: "1.2.3"}, records[0], 0) // made once: the encoding alone is timed
			var out bytes.Buffer
			b.ReportAllocs()
			for b.Loop() {
				out.Reset()
				encodeTwin(b, &out, record)
			}
		})
	}
}

// scanFlows are attempts at one port after another.
func scanFlows() []*flow.Record {
	flows := make([]*flow.Record, 1000)
	for i := range flows {
		flows[i] = conversation(flow.TCP, "10.0.0.7:40112", fmt.Sprintf("10.0.0.9:%d", 2000+i), 0, flow.Rejected)
	}
	return flows
}

// TestFlagNames: all of them, in the header's order.
func TestFlagNames(t *testing.T) {
	if got, want := string(appendFlags(nil, 0xff)), `["fin","syn","rst","psh","ack","urg","ece","cwr"]`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestAnnotateCountsOfDelivery: the line is JSON also where sinks are in it.
func TestAnnotateCountsOfDelivery(t *testing.T) {
	c := AnnotateCounts{Delivery: DeliveryCounts{Sinks: []SinkCounts{{Name: "tcp://siem", Accepted: 20}}}}
	var got struct {
		Delivery struct{ Sinks []struct{ Accepted int } }
	}
	if err := json.Unmarshal(c.AppendJSON(nil), &got); err != nil || len(got.Delivery.Sinks) != 1 || got.Delivery.Sinks[0].Accepted != 20 {
		t.Errorf("%s: %v", c.AppendJSON(nil), err)
	}
}
