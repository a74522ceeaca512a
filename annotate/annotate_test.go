package annotate

import (
	"fmt"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// embedded is the registry that is built in, so that the tests check real answers.
func embedded(t testing.TB) *registry.Registry {
	t.Helper()
	return registry.Embedded()
}

// between returns a Flow from port src of one host to port dst of another.
func between(tr flow.Transport, src, dst uint16, s flow.State, m flow.Method, c flow.Confidence) *flow.Record {
	r := &flow.Record{Transport: tr, Version: 4, State: s, Direction: flow.Direction{Method: m, Confidence: c}}
	r.Source.Endpoint = netip.AddrPortFrom(netip.MustParseAddr("10.0.0.7"), src)
	r.Destination.Endpoint = netip.AddrPortFrom(netip.MustParseAddr("10.0.0.9"), dst)
	return r
}

// to returns a Flow whose direction is certain.
func to(tr flow.Transport, dst uint16, s flow.State) *flow.Record {
	return between(tr, 40112, dst, s, flow.Handshake, flow.High)
}

// found returns the findings as lines: id, side, severity, confidence, reason.
func found(r *Record) []string {
	var lines []string
	for _, f := range r.Findings {
		lines = append(lines, fmt.Sprintf("%s %s %d %s: %s", f.Rule.ID(), f.Side, f.Severity, f.Confidence, r.Reason(f)))
	}
	return lines
}

const (
	unassigned42000 = "PW001 destination 50 high: 42000/tcp is unassigned"
	reported42000   = `PW002 destination 60 high: unauthorized use reported: "Unauthorized Use Known on port 42000"`
)

func TestFindings(t *testing.T) {
	for _, test := range []struct {
		name string
		flow *flow.Record
		want []string
	}{
		{"assigned", to(flow.TCP, 443, flow.Closed), nil},
		{"assigned without a name", to(flow.TCP, 24, flow.Closed), nil},
		{"unassigned, and reported", to(flow.TCP, 42000, flow.Closed), []string{unassigned42000, reported42000}},
		{"the row's other ports are not reported", to(flow.TCP, 42001, flow.Closed),
			[]string{"PW001 destination 50 high: 42001/tcp is unassigned"}},
		{"assigned, and reported on one port of a range", to(flow.TCP, 6003, flow.Closed),
			[]string{`PW002 destination 60 high: unauthorized use reported: "` + note(t, registry.TCP, 6003) + `"`}},
		{"its neighbour is not", to(flow.TCP, 6010, flow.Closed), nil},
		{"reported on tcp", to(flow.TCP, 3300, flow.Closed),
			[]string{`PW002 destination 60 high: unauthorized use reported: "` + note(t, registry.TCP, 3300) + `"`}},
		{"the other half of an assignment", to(flow.UDP, 3300, flow.Established),
			[]string{"PW001 destination 50 high: 3300 is reserved for udp; assigned to ceph on tcp"}},
		{"no row for the transport", to(flow.SCTP, 25, flow.Established),
			[]string{"PW001 destination 50 high: 25/sctp is unassigned; assigned to smtp on tcp, udp"}},
		{"three other transports", to(flow.DCCP, 80, flow.Established),
			[]string{"PW001 destination 50 high: 80/dccp is unassigned; assigned to http on tcp, udp, sctp"}},
		{"sctp alone", to(flow.TCP, 9082, flow.Established),
			[]string{"PW001 destination 50 high: 9082/tcp is unassigned; assigned to " + service(t, registry.SCTP, 9082) + " on sctp"}},
		{"other names on other transports", to(flow.SCTP, 465, flow.Established),
			[]string{"PW001 destination 50 high: 465/sctp is unassigned; assigned to submissions on tcp, to igmpv3lite on udp"}},
		{"assigned elsewhere without a name", to(flow.SCTP, 24, flow.Established),
			[]string{"PW001 destination 50 high: 24/sctp is unassigned; assigned without a name on tcp, udp"}},
		{"deregistered", to(flow.SCTP, 585, flow.Established),
			[]string{"PW001 destination 50 high: 585/sctp is deregistered"}},
		{"deregistered, and assigned elsewhere", to(flow.UDP, 2905, flow.Established),
			[]string{"PW001 destination 50 high: 2905/udp is deregistered; assigned to m3ua on tcp, sctp"}},
		{"reserved, and reported", to(flow.UDP, 5162, flow.Established), []string{
			"PW001 destination 50 high: 5162 is reserved for udp" + elsewhere(t, registry.UDP, 5162),
			`PW002 destination 60 high: unauthorized use reported: "` + note(t, registry.UDP, 5162) + `"`}},
		{"system port", to(flow.TCP, 0, flow.Established),
			[]string{"PW001 destination 50 high: 0 is reserved for tcp"}},
		{"dynamic", to(flow.TCP, 49152, flow.Closed),
			[]string{"PW003 destination 20 high: 49152/tcp is a Dynamic Port, for which no registration is possible"}},
		{"the last user port", to(flow.UDP, 49151, flow.Closed),
			[]string{"PW001 destination 50 high: 49151 is reserved for udp"}},
		{"udp-lite asks udp", to(flow.UDPLite, 3300, flow.Established),
			[]string{"PW001 destination 50 high: 3300 is reserved for udp; assigned to ceph on tcp"}},
		{"the client's port is not judged", between(flow.TCP, 42000, 443, flow.Closed, flow.Handshake, flow.High), nil},
		{"announced by a control Flow", between(flow.TCP, 20, 42000, flow.Closed, flow.Announced, flow.High), nil},
		{"symmetric: both are judged", between(flow.UDP, 3300, 3300, flow.Established, flow.Symmetric, flow.Medium), []string{
			"PW001 destination 50 medium: 3300 is reserved for udp; assigned to ceph on tcp",
			"PW001 source 50 medium: 3300 is reserved for udp; assigned to ceph on tcp"}},
		{"symmetric: the source's alone", between(flow.UDP, 42001, 443, flow.Established, flow.Symmetric, flow.High),
			[]string{"PW001 source 50 high: 42001/udp is unassigned"}},
		{"symmetric and assigned", between(flow.UDP, 123, 123, flow.Established, flow.Symmetric, flow.High), nil},
		{"low confidence halves", between(flow.UDP, 1025, 3300, flow.OneWay, flow.LowerPort, flow.Low),
			[]string{"PW001 destination 20 low: 3300 is reserved for udp; assigned to ceph on tcp"}},
		{"low between ephemeral ports: not unregistered", between(flow.TCP, 51000, 42001, flow.Established, flow.LowerPort, flow.Low), nil},
		{"but what is reported is told", between(flow.TCP, 51000, 42000, flow.Established, flow.LowerPort, flow.Low),
			[]string{`PW002 destination 30 low: unauthorized use reported: "Unauthorized Use Known on port 42000"`}},
		{"one ephemeral port is enough to know", between(flow.TCP, 32767, 42001, flow.Established, flow.LowerPort, flow.Low),
			[]string{"PW001 destination 25 low: 42001/tcp is unassigned"}},
		{"the first ephemeral port", between(flow.DCCP, 51000, 32768, flow.Established, flow.LowerPort, flow.Low), nil},
		{"medium between ephemeral ports", between(flow.TCP, 51000, 42001, flow.Established, flow.Learned, flow.Medium),
			[]string{"PW001 destination 50 medium: 42001/tcp is unassigned"}},
		{"low between dynamic ports", between(flow.UDP, 50000, 51000, flow.Attempt, flow.LowerPort, flow.Low),
			[]string{"PW003 destination 2 low: 51000/udp is a Dynamic Port, for which no registration is possible"}},
		{"low, but the port is the same", between(flow.UDP, 42001, 42001, flow.Established, flow.Symmetric, flow.Low), []string{
			"PW001 destination 25 low: 42001/udp is unassigned",
			"PW001 source 25 low: 42001/udp is unassigned"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Record
			New(embedded(t)).Annotate(&r, test.flow)
			if got := found(&r); !slices.Equal(got, test.want) {
				t.Errorf("findings\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(test.want, "\n\t"))
			}
		})
	}
}

// TestAssignedDynamicPort: whatever another registry's rows say, a Dynamic Port is not assigned.
func TestAssignedDynamicPort(t *testing.T) {
	reg, _, err := registry.Parse(strings.NewReader("Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,"+
		"Registration Date,Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\n"+
		"ours,50000,tcp,,,,,,,,,\n"), "ours.csv")
	if err != nil {
		t.Fatal(err)
	}
	var r Record
	New(reg).Annotate(&r, to(flow.TCP, 50000, flow.Closed))
	want := []string{"PW003 destination 20 high: 50000/tcp is a Dynamic Port, for which no registration is possible"}
	if got := found(&r); r.Destination.Entry.Status == registry.Assigned || !slices.Equal(got, want) {
		t.Errorf("%s port, findings %q", r.Destination.Entry.Status, got)
	}
}

// note is the registry's text, which the reasons quote.
func note(t *testing.T, tr registry.Transport, port uint16) string {
	t.Helper()
	text, reported := embedded(t).Lookup(tr, port).UnauthorizedUse()
	if !reported || text == "" {
		t.Fatalf("the registry reports no unauthorized use of %d/%s", port, tr)
	}
	return text
}

func service(t *testing.T, tr registry.Transport, port uint16) string {
	t.Helper()
	name := embedded(t).Lookup(tr, port).Service()
	if name == "" {
		t.Fatalf("the registry has no name for %d/%s", port, tr)
	}
	return name
}

// elsewhere is the end of a reason for a port that other transports have.
func elsewhere(t *testing.T, tr registry.Transport, port uint16) string {
	t.Helper()
	if on := embedded(t).Lookup(tr, port).RegisteredOn(); len(on) != 1 {
		t.Fatalf("%d/%s is registered on %v, want one other transport", port, tr, on)
	} else {
		return "; assigned to " + service(t, on[0], port) + " on " + on[0].String()
	}
	return ""
}

// TestSeverities covers every cell of the table: rule, state, confidence.
func TestSeverities(t *testing.T) {
	states := []flow.State{flow.Established, flow.Closed, flow.Reset, flow.OneWay, flow.Attempt, flow.Rejected}
	for _, row := range []struct {
		rule Rule
		port uint16
		want [6]int // by states
		low  [6]int
	}{
		{UnregisteredPort, 42000, [6]int{50, 50, 50, 40, 10, 10}, [6]int{25, 25, 25, 20, 5, 5}},
		{UnauthorizedUse, 42000, [6]int{60, 60, 60, 50, 20, 20}, [6]int{30, 30, 30, 25, 10, 10}},
		{DynamicPort, 55000, [6]int{20, 20, 20, 15, 5, 5}, [6]int{10, 10, 10, 7, 2, 2}},
	} {
		for i, state := range states {
			for confidence, want := range map[flow.Confidence]int{
				flow.High: row.want[i], flow.Medium: row.want[i], flow.Low: row.low[i]} {
				var r Record
				New(embedded(t)).Annotate(&r, between(flow.TCP, 1234, row.port, state, flow.LowerPort, confidence))
				at := slices.IndexFunc(r.Findings, func(f Finding) bool { return f.Rule == row.rule })
				if at < 0 {
					t.Errorf("%s, %s, %s: no finding", row.rule, state, confidence)
				} else if got := r.Findings[at].Severity; got != want {
					t.Errorf("%s, %s, %s: severity %d, want %d", row.rule, state, confidence, got, want)
				}
			}
		}
	}
}

func TestTags(t *testing.T) {
	midstream := to(flow.TCP, 443, flow.Established)
	midstream.Midstream = true
	all := between(flow.TCP, 51000, 42000, flow.Established, flow.LowerPort, flow.Low)
	all.Midstream = true
	for _, test := range []struct {
		flow *flow.Record
		want string
	}{
		{to(flow.TCP, 443, flow.Closed), ""},
		{to(flow.TCP, 42000, flow.Closed), "unregistered-port unauthorized-use-reported"},
		{to(flow.TCP, 50000, flow.Closed), "dynamic-port-service"},
		{midstream, "midstream"},
		{all, "unauthorized-use-reported direction-unknown midstream"},
		{between(flow.UDP, 50000, 51000, flow.Established, flow.LowerPort, flow.Low), "dynamic-port-service direction-unknown"},
		{between(flow.UDP, 50000, 51000, flow.Established, flow.FirstPacket, flow.Medium), "dynamic-port-service"},
		{between(flow.UDP, 1024, 51000, flow.Established, flow.LowerPort, flow.Low), "dynamic-port-service"},
	} {
		var r Record
		New(embedded(t)).Annotate(&r, test.flow)
		if got := strings.Join(r.Tags().Names(), " "); got != test.want {
			t.Errorf("%v -> %v: tags %q, want %q", test.flow.Source, test.flow.Destination, got, test.want)
		}
	}
	if got := len(AllTags.Names()); got != Rules+2 {
		t.Errorf("AllTags has %d names, want %d", got, Rules+2)
	}
}

func TestPorts(t *testing.T) {
	var r Record
	New(embedded(t)).Annotate(&r, between(flow.UDPLite, 51514, 53, flow.Established, flow.Registered, flow.Medium))
	if r.Source.Role != Client || r.Destination.Role != Service {
		t.Errorf("roles %s, %s, want client, service", r.Source.Role, r.Destination.Role)
	}
	if r.Source.Class != registry.Dynamic || r.Destination.Class != registry.System {
		t.Errorf("classes %s, %s, want dynamic, system", r.Source.Class, r.Destination.Class)
	}
	if r.Destination.Transport != registry.UDP || r.Destination.Entry.Service() != "domain" {
		t.Errorf("UDP-Lite port 53 was answered as %s %q, want udp domain", r.Destination.Transport, r.Destination.Entry.Service())
	}
	New(embedded(t)).Annotate(&r, between(flow.UDP, 123, 123, flow.Established, flow.Symmetric, flow.High))
	if r.Source.Role != Service || r.Destination.Role != Service {
		t.Errorf("symmetric: roles %s, %s, want service twice", r.Source.Role, r.Destination.Role)
	}
}

// TestAnnotateAgain checks that nothing is left of an earlier record.
func TestAnnotateAgain(t *testing.T) {
	a := New(embedded(t))
	var used, fresh Record
	a.Annotate(&used, between(flow.TCP, 51000, 42000, flow.Established, flow.LowerPort, flow.Low))
	last := to(flow.TCP, 443, flow.Closed)
	a.Annotate(&used, last)
	a.Annotate(&fresh, last)
	if len(used.Findings) != 0 || used.DirectionUnknown || used.Destination != fresh.Destination {
		t.Errorf("a used Record says %+v, a fresh one %+v", used, fresh)
	}
}

// TestNumberFirst: where it says so, the reason is the number and what all ports with the same
// answer have in common.
func TestNumberFirst(t *testing.T) {
	reg := embedded(t)
	type same struct {
		rule      Rule
		transport registry.Transport
		index     uint16
	}
	texts := map[same]string{}
	var first, others [Rules]int
	for port := range 1 << 16 {
		for _, transport := range registry.Transports {
			p := Port{Number: uint16(port), Transport: transport, Class: registry.ClassOf(uint16(port))}
			p.Index = reg.Index(transport, p.Number)
			p.Entry = reg.Entry(p.Index)
			r := Record{Registry: reg, Destination: p}
			for rule := range Rule(Rules) {
				f := Finding{Rule: rule, Side: Destination}
				switch {
				case !r.meets(rule, &p):
				case !r.NumberFirst(f):
					others[rule]++
				default:
					first[rule]++
					text, found := strings.CutPrefix(r.Reason(f), strconv.Itoa(port))
					key := same{rule, transport, p.Index}
					if texts[key] == "" {
						texts[key] = text
					}
					if !found || text != texts[key] {
						t.Fatalf("%q, another port with the same answer: %q", r.Reason(f), texts[key])
					}
				}
			}
		}
	}
	if first[UnregisteredPort] < 100_000 || others[UnregisteredPort] < 1000 || others[UnauthorizedUse] == 0 || first[DynamicPort] == 0 || len(texts) > 200 {
		t.Errorf("%d reasons begin with the number, %d do not, %d texts", first, others, len(texts))
	}
}

func TestNoAllocs(t *testing.T) {
	a := New(embedded(t))
	f := to(flow.SCTP, 465, flow.Closed)
	var r Record
	var reason []byte
	annotate := func() {
		a.Annotate(&r, f)
		for _, f := range r.Findings {
			reason = r.AppendReason(reason[:0], f)
		}
	}
	annotate()
	if n := testing.AllocsPerRun(100, annotate); n != 0 {
		t.Errorf("%v allocations a record, want none", n)
	}
	if len(reason) == 0 {
		t.Error("the record has no finding: the test shows nothing")
	}
}

func BenchmarkAnnotate(b *testing.B) {
	a := New(embedded(b))
	f := to(flow.TCP, 42000, flow.Closed)
	var r Record
	b.ReportAllocs()
	for b.Loop() {
		a.Annotate(&r, f)
	}
}

func ExampleAnnotator() {
	var r Record
	New(registry.Embedded()).Annotate(&r, to(flow.UDP, 3300, flow.Established))
	fmt.Println(r.Destination.Class, r.Destination.Entry.Status)
	for _, f := range r.Findings {
		fmt.Println(f.Rule.ID(), f.Rule, f.Severity, f.Confidence)
		fmt.Println(r.Reason(f))
	}
	// Output:
	// user reserved
	// PW001 unregistered-port 50 high
	// 3300 is reserved for udp; assigned to ceph on tcp
}

// TestReadme: the table of rules in README.md has each with its id and its severities.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	for rule := range Rule(Rules) {
		s := rules[rule].severity
		row := fmt.Sprintf(`(?m)^\| .%s. \| %s \| .* \| %d, %d, %d \|$`, rule, rule.ID(), s[0], s[1], s[2])
		if !regexp.MustCompile(row).Match(text) {
			t.Errorf("no row of README.md is %s", row)
		}
	}
}
