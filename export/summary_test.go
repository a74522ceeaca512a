package export

import (
	"encoding/json"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

func testCounts(records []*annotate.Record) *Counts {
	c := &Counts{
		Packets:  PacketCounts{Read: 2_534_112, WithPorts: 2_500_000, ICMP: 34_000, OtherIP: 100, NonIP: 12},
		Filtered: 7, LaterFragmentsJoined: 3, BytesRead: 1_100_000_000,
		LinkTypes: []Named{{"EN10MB", 2_534_100}, {"RAW", 12}},
		Limits:    []Named{{"max-flows", 0}, {"ipv6-extension-headers", 2}},
	}
	c.Flows.Created, c.Flows.Exported = 26, uint64(len(records))
	c.Flows.ByReason = [...]uint64{flow.IdleTimeout: 23, flow.ActiveTimeout: 2, flow.EndOfFlow: 1, flow.ForcedEnd: 1, flow.LackOfResources: 1}
	c.Seconds.Wall, c.Seconds.CPU, c.Seconds.Capture = 1240*time.Millisecond, 1100*time.Millisecond, 13*time.Hour
	c.Alerts.Opened, c.Alerts.Updated = 6, 2
	for _, r := range records {
		c.Findings.Add(r)
	}
	return c
}

func summarize(reg *registry.Registry, flows []*flow.Record) *Summary {
	s := NewSummary()
	for _, r := range annotated(reg, flows) {
		s.Add(r)
	}
	return s
}

func TestSummaryGolden(t *testing.T) {
	reg := testRegistry(t)
	flows := testFlows()
	s := summarize(reg, flows)
	out := s.Append(nil, testCounts(annotated(reg, flows)))
	golden(t, "summary.golden", out)
	for _, r := range string(out) {
		if r != '\n' && !unicode.IsPrint(r) {
			t.Errorf("%U in the summary", r)
		}
	}
}

// TestSummaryNarrow: on a small terminal no line of the table wraps.
func TestSummaryNarrow(t *testing.T) {
	reg, flows := testRegistry(t), testFlows()
	s := summarize(reg, flows)
	s.Width = 80
	out := s.Append(nil, testCounts(annotated(reg, flows)))
	golden(t, "summary-80.golden", out)
	_, flagged, _ := strings.Cut(string(out), "FLAGGED ENDPOINT")
	for line := range strings.Lines(flagged) {
		if n := utf8.RuneCountInString(line); n > 81 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

// TestSummaryOfNothing: a run without a packet still has its numbers.
func TestSummaryOfNothing(t *testing.T) {
	const want = "0 packets, 0 octets, read in 0.00 s\n0 Flows\n\nNo findings.\n"
	if got := string(NewSummary().Append(nil, &Counts{})); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	live := string(NewSummary().Append(nil, &Counts{Live: true}))
	if !strings.Contains(live, "dropped: 0 by the kernel · 0 by the interface · 0 by portwatch\n") {
		t.Errorf("a live run does not tell that nothing was dropped:\n%s", live)
	}
}

// TestSummaryOfDelivery: what each sink did, and what it found only where it did.
func TestSummaryOfDelivery(t *testing.T) {
	c := &Counts{Delivery: DeliveryCounts{Sinks: []SinkCounts{
		{Name: "https://search:9200/flows", Found: 1000, Accepted: 20, Delivered: 1014, InSpool: 3, DeadLettered: 2, Dropped: 1},
		{Name: "tcp://siem"},
	}}}
	const want = `
delivery to https://search:9200/flows
  1,000 found in the spool
  20 accepted, 1,014 delivered, 3 in spool, 2 dead-lettered, 1 dropped

delivery to tcp://siem
  0 accepted, 0 delivered, 0 in spool, 0 dead-lettered, 0 dropped
`
	if got := string(NewSummary().Append(nil, c)); !strings.HasSuffix(got, want) {
		t.Errorf("got\n%s\nwant at its end\n%s", got, want)
	}
}

// scan returns a Flow to each port of a host, as a scanner makes them.
func scan(target string, state flow.State, ports ...int) []*flow.Record {
	var flows []*flow.Record
	for _, port := range ports {
		flows = append(flows, conversation(flow.TCP, "10.0.0.66:33000", fmt.Sprintf("%s:%d", target, port), 0, state))
	}
	return flows
}

func upTo(n int) []int {
	ports := make([]int, n)
	for i := range ports {
		ports[i] = i
	}
	return ports
}

// TestSummaryOfScan: 65,536 ports of one host are a few lines, with exact numbers,
// and a service that answers stands before them.
func TestSummaryOfScan(t *testing.T) {
	flows := scan("10.0.0.9", flow.Attempt, upTo(65536)...)
	flows = append(flows, scan("10.0.0.9", flow.Established, 42000)...)
	reg := testRegistry(t)
	out := string(summarize(reg, flows).Append(nil, testCounts(annotated(reg, flows))))

	flaggedPorts := 0
	for _, r := range annotated(reg, flows[:65536]) {
		if len(r.Findings) > 0 {
			flaggedPorts++
		}
	}
	if n := strings.Count(out, "\n"); n > 20 {
		t.Errorf("the summary of a scan has %d lines", n)
	}
	lines := wordsOf(out)
	service := "10.0.0.9:42000 tcp unassigned, unauthorized use reported established 1 1 3.1k"
	rest := fmt.Sprintf("10.0.0.9: %s more ports tcp attempts only %s 1 %s",
		thousands(uint64(flaggedPorts-1)), thousands(uint64(flaggedPorts)), scaled(uint64(flaggedPorts*60)))
	if at := strings.Index(lines, service); at < 0 || strings.Index(lines, rest) < at {
		t.Errorf("the summary lacks, in this order,\n%s\n%s\nit is\n%s", service, rest, out)
	}
	if strings.Contains(out, "https") {
		t.Error("a port that was only tried is told as a service")
	}
}

// wordsOf is the text with one space between words.
func wordsOf(s string) string { return strings.Join(strings.Fields(s), " ") }

// TestSummaryOfOneEndpoint: a Flow from an endpoint to itself has findings for both sides,
// but is one Flow with one endpoint.
func TestSummaryOfOneEndpoint(t *testing.T) {
	for state, want := range map[flow.State]string{
		flow.Established: "10.0.0.9:49151 udp reserved established 1 1 3.1k",
		flow.Attempt:     "10.0.0.9:49151 udp reserved attempt 1 1 60",
	} {
		flows := []*flow.Record{
			with(conversation(flow.UDP, "10.0.0.9:49151", "10.0.0.9:49151", 0, state), decided(flow.Symmetric, flow.High)),
		}
		out := wordsOf(string(summarize(testRegistry(t), flows).Append(nil, &Counts{})))
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func TestSummaryOfSweep(t *testing.T) {
	var flows []*flow.Record
	for i := range 100 {
		flows = append(flows, scan(fmt.Sprintf("10.0.1.%d", i), flow.Attempt, 42000)...)
	}
	flows = append(flows, scan("10.0.0.9", flow.Closed, 41900, 41901, 41902, 41903, 41904, 41905)...)
	out := wordsOf(string(summarize(testRegistry(t), flows).Append(nil, &Counts{})))
	for _, want := range []string{
		"10.0.0.9:41900 tcp unassigned closed 1 1 3.1k", "10.0.0.9:41903 tcp unassigned closed 1 1 3.1k",
		"10.0.0.9: 2 more ports tcp 2 6.2k",
		"10.0.1.0:42000 tcp unassigned, unauthorized use reported attempt 1 1 60",
		"and endpoints of 81 more hosts",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

// TestSummaryIsBounded: whatever fills the tables, they stay within their bounds, and
// what found no room is counted.
func TestSummaryIsBounded(t *testing.T) {
	s := NewSummary()
	a := annotate.New(testRegistry(t))
	var r annotate.Record
	f := conversation(flow.TCP, "10.0.0.66:33000", "10.0.0.9:42000", 0, flow.Attempt)
	add := func(state flow.State, source, destination uint32) {
		f.State = state
		f.Source.Endpoint = netip.AddrPortFrom(ipv4Of(source), 33000)
		f.Destination.Endpoint = netip.AddrPortFrom(ipv4Of(destination), 42000)
		a.Annotate(&r, f)
		s.Add(&r)
	}
	const more = 5
	for i := range uint32(maxHosts + more) {
		add(flow.Attempt, 1, i)
	}
	for i := range uint32(maxEndpoints + more) {
		add(flow.Established, 1, 1<<24+i)
	}
	if s.lost != 2*more || len(s.tried) != maxHosts || len(s.flagged) != maxEndpoints {
		t.Errorf("%d Flows lost, %d hosts, %d endpoints, want %d, %d, %d",
			s.lost, len(s.tried), len(s.flagged), 2*more, maxHosts, maxEndpoints)
	}
	for i := range uint32(maxClients) {
		add(flow.Established, i, 1<<24)
	}
	if len(s.clients) != maxClients {
		t.Errorf("%d clients, want %d", len(s.clients), maxClients)
	}
	out := string(s.Append(nil, &Counts{}))
	for _, want := range []string{"and 10 more flagged Flows of endpoints beyond what this table can hold", "+"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in\n%s", want, out)
		}
	}
}

func ipv4Of(n uint32) netip.Addr {
	return netip.AddrFrom4([4]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)})
}

// TestSummaryCountsFlowsOnce: a Flow with several records is one Flow, and its
// octets are the sum.
func TestSummaryCountsFlowsOnce(t *testing.T) {
	flows := scan("10.0.0.9", flow.Established, 42000, 42000, 42000)
	for i, f := range flows {
		f.Sequence, f.Final = uint32(i), i == 2
	}
	out := wordsOf(string(summarize(testRegistry(t), flows).Append(nil, &Counts{})))
	if want := "unassigned, unauthorized use reported established 1 1 9.3k"; !strings.Contains(out, want) {
		t.Errorf("%q is missing in\n%s", want, out)
	}
	if !strings.Contains(out, " 1 established ") {
		t.Errorf("not one Flow by state in\n%s", out)
	}
}

func TestStats(t *testing.T) {
	out := testCounts(annotated(testRegistry(t), testFlows())).AppendJSON(nil)
	golden(t, "stats.golden", out)
	var stats struct {
		Packets map[string]uint64
		Flows   struct {
			ByEndReason map[string]uint64 `json:"by_end_reason"`
		}
	}
	if err := json.Unmarshal(out, &stats); err != nil {
		t.Fatal(err)
	}
	sum := uint64(0)
	for name, n := range stats.Packets {
		if name != "read" {
			sum += n
		}
	}
	if sum != stats.Packets["read"] {
		t.Errorf("the classes add up to %d of %d packets", sum, stats.Packets["read"])
	}
	if len(stats.Flows.ByEndReason) != 5 {
		t.Errorf("end reasons %v, want all five", stats.Flows.ByEndReason)
	}
}

// TestClassesAreAll: no class can be forgotten in the sum.
func TestClassesAreAll(t *testing.T) {
	c := PacketCounts{0, 1, 2, 4, 8, 16, 32, 64, 128}
	sum := uint64(0)
	for _, class := range c.classes() {
		sum += class.Count
	}
	if sum != 255 {
		t.Errorf("the classes add up to %d, want 255", sum)
	}
}

func TestNumbers(t *testing.T) {
	for _, test := range []struct {
		n                 uint64
		thousands, scaled string
	}{
		{0, "0", "0"}, {999, "999", "999"}, {1000, "1,000", "1.0k"}, {1099, "1,099", "1.0k"}, {18_230, "18,230", "18.2k"},
		{99_999, "99,999", "99.9k"}, {100_000, "100,000", "100k"}, {999_999, "999,999", "999k"}, {1_000_000, "1,000,000", "1.0M"},
		{1_000_001_000, "1,000,001,000", "1.0G"}, {math.MaxUint64, "18,446,744,073,709,551,615", "18.4E"},
	} {
		if got := thousands(test.n); got != test.thousands {
			t.Errorf("%d: %s, want %s", test.n, got, test.thousands)
		}
		if got := scaled(test.n); got != test.scaled {
			t.Errorf("%d: %s, want %s", test.n, got, test.scaled)
		}
	}
}

func TestSpans(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.00 s", 1240 * time.Millisecond: "1.24 s", 9994 * time.Millisecond: "9.99 s", 12345 * time.Millisecond: "12.3 s",
		time.Minute: "1 min 0 s", 245 * time.Second: "4 min 5 s", 2*time.Hour + 3*time.Minute + 59*time.Second: "2 h 3 min",
		76 * time.Hour: "3 d 4 h",
	} {
		if got := string(appendSpan(nil, d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

func BenchmarkSummary(b *testing.B) {
	records := annotated(testRegistry(b), testFlows())
	s := NewSummary()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Add(records[i%len(records)])
	}
}
