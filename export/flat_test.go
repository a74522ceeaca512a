package export

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// hostile has text that means something in some format, and text that no format may
// let through.
var hostile = []string{
	"line\nfeed", "carriage\rreturn", "both\r\n", "a|b||c", "key=value src=10.6.6.6", `quote " quote ""`, "tab\ttab", "x09 0x09 ^ caret",
	`back\slash \n \| \\`, "comma, comma,,", "=1+1", "invalid \xff\xc0 octets \xe2\x82", "\x00\x07\x1b[31m\x7f\u009b", "\u2028\u2029\u202e", "trailing space ",
	" leading", "Ari√´n \U0001f600", "CEF:0|x|y|1|1|n|10|src=1.1.1.1", "LEEF:2.0|a|b|c|d|^|", "</script>",
}

// hostileRegistry gives each of these to a service's name and to its note, on ports
// from 2000 on, and has notes of 64 KiB on the ports 3000 to 3002.
func hostileRegistry(t testing.TB) *registry.Registry {
	t.Helper()
	rows := [][]string{strings.Split("Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date,"+
		"Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes", ",")}
	add := func(name string, port int, note string) {
		if note != "" {
			note = fmt.Sprintf("Unauthorized use %s known on port %d", note, port)
		}
		rows = append(rows, []string{name, fmt.Sprint(port), "tcp", "Hostile on purpose", "", "", "", "2026-08-17", "", "", note, ""})
	}
	for i, s := range hostile {
		s = strings.ToValidUTF8(s, "") // the registry accepts nothing else
		add("name "+s, 2000+i, s)
		add("other "+s, 2000+i, "")
	}
	for i, s := range []string{"long ", "\U0001f600", "|=\\\n"} {
		add(strings.Repeat(s, 1<<14), 3000+i, strings.Repeat(s, 1<<14))
	}
	var file bytes.Buffer
	w := csv.NewWriter(&file)
	if err := w.WriteAll(rows); err != nil {
		t.Fatal(err)
	}
	reg, _, err := registry.Parse(&file, "hostile.csv")
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

// hostileFlows have the ports of that registry on either side, and on both.
func hostileFlows() []*flow.Record {
	var list []*flow.Record
	for port := 2000; port <= 3002; port++ {
		if port == 2000+len(hostile) {
			port = 3000
		}
		client, server := fmt.Sprintf("10.0.0.5:%d", port), fmt.Sprintf("10.0.0.9:%d", port)
		list = append(list,
			conversation(flow.TCP, "10.0.0.5:51514", server, 0, flow.Closed),
			conversation(flow.TCP, client, "10.0.0.9:443", 0, flow.Closed),
			with(conversation(flow.TCP, client, server, 0, flow.Closed), decided(flow.Symmetric, flow.High)))
	}
	return list
}

// flatCase is a registry with options and Flows to write.
type flatCase struct {
	name  string
	reg   *registry.Registry
	o     Options
	flows []*flow.Record
}

func flatCases(t testing.TB) []flatCase {
	list := []flatCase{
		{"test flows", testRegistry(t), Options{Version: "1.2.3"}, testFlows()},
		{"live", testRegistry(t), fullOptions, testFlows()},
		{"hostile registry", hostileRegistry(t), fullOptions, hostileFlows()},
		{"old", testRegistry(t), Options{}, []*flow.Record{with(testFlows()[0], func(r *flow.Record) { r.Start, r.End = 1e9, 2e9 })}},
	}
	for _, s := range append(hostile, strings.Repeat("\u20ac", 1<<14)) {
		o := Options{Version: s, ObserverName: s, Interface: s}
		list = append(list, flatCase{"hostile options", testRegistry(t), o, testFlows()[:2]})
	}
	return list
}

// checkFlat writes all cases with a format, reads each line back with read, and
// expects what want returns for the same record in ECS. A key without a value must
// be left out.
func checkFlat(t *testing.T, format func(flatCase) func([]byte, *annotate.Record, uint64) []byte,
	read func(line string) (map[string]string, error), want func(c flatCase, ecs map[string]string) map[string]string,
) {
	t.Helper()
	for _, c := range flatCases(t) {
		appendTo := format(c)
		ecs := NewECS(c.reg, c.o)
		for i, r := range annotated(c.reg, c.flows) {
			line := string(appendTo(nil, r, uint64(i+7)))
			if !utf8.ValidString(line) || strings.Count(line, "\n") != 1 || !strings.HasSuffix(line, "\n") ||
				strings.ContainsFunc(strings.TrimRight(line, "\r\n"), isControl) {
				t.Errorf("%s: not one clean line: %.300q", c.name, line)
			}
			got, err := read(line)
			if err != nil {
				t.Fatalf("%s: %v in %.300q", c.name, err, line)
			}
			expected := want(c, flatten(t, ecs.Append(nil, r, uint64(i+7))))
			for key, value := range expected {
				if got[key] != value {
					t.Errorf("%s, record %d: %s is\n%.300q, want\n%.300q", c.name, i, key, got[key], value)
				}
			}
			for key := range got {
				if _, known := expected[key]; !known {
					t.Errorf("%s, record %d: unexpected %s=%.300q", c.name, i, key, got[key])
				}
			}
		}
	}
}

// isControl reports whether a character controls a terminal or ends a line. LEEF's
// delimiter, the tab, is allowed.
func isControl(r rune) bool {
	return unicode.IsControl(r) && r != '\t' || r == '\u2028' || r == '\u202e'
}

// flatten returns the fields of an ECS record by their paths, read by encoding/json;
// a list is its words with a space between. Objects in a list are fields of the list
// and, with a number in their path, fields of their own.
func flatten(t testing.TB, line []byte) map[string]string {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(line))
	d.UseNumber()
	var record map[string]any
	if err := d.Decode(&record); err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]string)
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, value := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), value)
			}
		case []any:
			for i, value := range v {
				walk(path, value)
				if _, object := value.(map[string]any); object {
					walk(fmt.Sprintf("%s.%d", path, i), value)
				}
			}
		default:
			if before, more := fields[path]; more {
				fields[path] = before + " " + fmt.Sprint(v)
			} else {
				fields[path] = fmt.Sprint(v)
			}
		}
	}
	walk("", record)
	return fields
}

// printed is what formats without an escape make of text.
func printed(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// clipped is s up to limit octets, whole characters only.
func clipped(s string, limit int) string {
	size := 0
	for i, r := range s {
		if size = i + utf8.RuneLen(r); size > limit {
			return s[:i]
		}
	}
	return s
}

// millis returns a time of ECS in milliseconds since the Unix epoch.
func millis(t testing.TB, s string) string {
	t.Helper()
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(at.UnixMilli())
}

// eventClass is the event's id in CEF and LEEF, by its ECS record.
func eventClass(ecs map[string]string) string {
	rules := strings.Fields(ecs["portwatch.findings.id"])
	severities := strings.Fields(ecs["portwatch.findings.severity"])
	for i := range rules {
		if severities[i] == ecs["event.severity"] {
			return rules[i]
		}
	}
	return ecs["event.action"]
}

// upTo10 scales a severity of ECS, given as digits; none is 0.
func upTo10(severity string) int {
	var n int
	fmt.Sscan(severity, &n)
	return (n + 9) / 10
}

// dropEmpty returns m without the keys that have no value.
func dropEmpty(m map[string]string) map[string]string {
	for key, value := range m {
		if value == "" {
			delete(m, key)
		}
	}
	return m
}

// renderFlat writes the test Flows with the options of a savefile.
func renderFlat(t testing.TB, dst []byte, appendTo func([]byte, *annotate.Record, uint64) []byte) []byte {
	t.Helper()
	for i, r := range annotated(testRegistry(t), testFlows()) {
		dst = appendTo(dst, r, uint64(i))
	}
	return dst
}

// TestFlatNoAllocs: the formats neither allocate nor change what was in the buffer.
func TestFlatNoAllocs(t *testing.T) {
	reg := testRegistry(t)
	records := annotated(reg, testFlows())
	for name, appendTo := range map[string]func([]byte, *annotate.Record, uint64) []byte{
		"cef":  NewCEF(reg, fullOptions).Append,
		"leef": NewLEEF(reg, fullOptions).Append,
		"csv":  NewCSV(reg, Options{ObserverName: "one"}).Append,
	} {
		var out []byte
		all := func() {
			out = append(out[:0], "before"...)
			for i, r := range records {
				out = appendTo(out, r, uint64(i))
			}
		}
		all() // renders the registry's half, grows the buffer
		if n := testing.AllocsPerRun(100, all); n != 0 {
			t.Errorf("%s: %v allocations for %d records, want none", name, n, len(records))
		}
		if first := string(appendTo(nil, records[0], 0)); !strings.HasPrefix(string(out), "before"+first) {
			t.Errorf("%s: starts with %.100q", name, out)
		}
	}
}

func BenchmarkFlat(b *testing.B) {
	reg := testRegistry(b)
	o := Options{Version: "1.2.3"}
	for _, format := range []struct {
		name     string
		appendTo func([]byte, *annotate.Record, uint64) []byte
	}{
		{"cef", NewCEF(reg, o).Append},
		{"leef", NewLEEF(reg, o).Append},
		{"csv", NewCSV(reg, Options{}).Append},
	} {
		for i, name := range []string{"plain", "flagged"} {
			r := annotated(reg, testFlows())[i]
			b.Run(fmt.Sprintf("format=%s/record=%s", format.name, name), func(b *testing.B) {
				var out []byte
				b.ReportAllocs()
				for n := uint64(0); b.Loop(); n++ {
					out = format.appendTo(out[:0], r, n)
				}
				b.SetBytes(int64(len(out)))
			})
		}
	}
}
