package annotate

import (
	"fmt"
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// A replay passes Flows to Alerts and keeps what comes out.
type replay struct {
	t      testing.TB
	alerts *Alerts
	record Record
	flow   flow.Record
	flows  uint16
	got    []Alert
}

func newReplay(t testing.TB) *replay {
	return &replay{t: t, alerts: NewAlerts(time.Hour)}
}

// add adds a Flow of one packet at the given second.
func (p *replay) add(second float64, client, service string, s flow.State) {
	p.t.Helper()
	f := to(flow.TCP, 0, s)
	f.Source.Endpoint = netip.AddrPortFrom(netip.MustParseAddr(client), 1024+p.flows)
	p.flows++ // so that each is a Flow of its own
	f.Destination.Endpoint = netip.MustParseAddrPort(service)
	f.Key, _ = flow.KeyOf(flow.TCP, f.Source.Endpoint, f.Destination.Endpoint)
	f.Start = int64(second * 1e9)
	f.End = f.Start
	f.Source.Count = flow.Count{Packets: 1, Octets: 60}
	p.flow = *f
	New(embedded(p.t)).Annotate(&p.record, &p.flow)
	p.alerts.Add(&p.record)
	p.take()
}

func (p *replay) take() {
	var a Alert
	for p.alerts.Next(&a) {
		p.got = append(p.got, a)
	}
}

func (p *replay) flush() []Alert {
	p.alerts.Flush()
	p.take()
	return p.got
}

// line returns the parts of an alert that the tests below check.
func line(a *Alert) string {
	event := "open"
	if a.Update {
		event = "update"
	}
	return fmt.Sprintf("%s %s %s %d: %s", event, a.Rule.ID(), a.Scope, a.Severity, a.AppendReason(nil))
}

func (p *replay) want(lines ...string) {
	p.t.Helper()
	var got []string
	for i := range p.got {
		got = append(got, line(&p.got[i]))
	}
	if !slices.Equal(got, lines) {
		p.t.Errorf("alerts\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(lines, "\n\t"))
	}
}

func TestAlertOfAService(t *testing.T) {
	p := newReplay(t)
	p.add(0, "10.0.0.5", "10.0.0.9:443", flow.Closed)
	p.want()
	p.add(1, "10.0.0.5", "10.0.0.9:1034", flow.Closed)
	p.want()
	p.add(2, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	opening := "open PW001 service 50: 42001/tcp is unassigned"
	p.want(opening)
	p.add(3, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(4, "10.0.0.6", "10.0.0.9:42001", flow.OneWay)
	p.want(opening)
	p.add(3602, "10.0.0.5", "10.0.0.9:443", flow.Closed) // its window is over
	update := "update PW001 service 50: 42001/tcp is unassigned; 3 Flows of 2 clients"
	p.want(opening, update)
	p.add(3603, "10.0.0.5", "10.0.0.9:42001", flow.OneWay)
	p.flush()
	p.want(opening, update, "open PW001 service 40: 42001/tcp is unassigned")

	a, b, c := &p.got[0], &p.got[1], &p.got[2]
	if first, second := string(a.AppendID(nil)), string(b.AppendID(nil)); first[:32] != second[:32] || first[32:] != "-0" || second[32:] != "-1" {
		t.Errorf("ids %s and %s", first, second)
	}
	if a.ID == c.ID {
		t.Error("two windows have one id")
	}
	if a.WindowStart != 2e9 || a.WindowEnd != 3602e9 || b.WindowStart != a.WindowStart || c.WindowStart != 3603e9 {
		t.Errorf("windows from %d to %d, %d, %d", a.WindowStart, a.WindowEnd, b.WindowStart, c.WindowStart)
	}
	if b.Start != 2e9 || b.End != 4e9 || b.Records != 3 || b.Packets != 3 || b.Octets != 180 {
		t.Errorf("update %+v", b)
	}
	if a.Service.String() != "10.0.0.9" || a.Client.String() != "10.0.0.5" || a.Port.Number != 42001 || !a.HasPort() || !a.HasService() {
		t.Errorf("opening %+v", a)
	}
	if s := p.alerts.Stats(); s != (AlertStats{Opened: 2, Updated: 1}) {
		t.Errorf("stats %+v", s)
	}
}

// TestAlertAfterTheWindow: what comes after the end of a window opens the next one
// and is not counted in the previous one.
func TestAlertAfterTheWindow(t *testing.T) {
	p := newReplay(t)
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(1, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(3600, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.want("open PW001 service 50: 42001/tcp is unassigned",
		"update PW001 service 50: 42001/tcp is unassigned; 2 Flows of 1 client",
		"open PW001 service 50: 42001/tcp is unassigned")
	p.add(10, "10.0.0.5", "10.0.0.9:42001", flow.Closed) // time goes back, the window does not
	p.flush()
	p.want("open PW001 service 50: 42001/tcp is unassigned",
		"update PW001 service 50: 42001/tcp is unassigned; 2 Flows of 1 client",
		"open PW001 service 50: 42001/tcp is unassigned",
		"update PW001 service 50: 42001/tcp is unassigned; 2 Flows of 1 client")
}

// TestAlertWindowWithoutEnd: a window of centuries ends at the largest possible time, or
// with the input.
func TestAlertWindowWithoutEnd(t *testing.T) {
	p := newReplay(t)
	p.alerts = NewAlerts(math.MaxInt64)
	p.add(2, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(3, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.want("open PW001 service 50: 42001/tcp is unassigned")
	if end := p.got[0].WindowEnd; end != math.MaxInt64 {
		t.Errorf("the window ends at %d", end)
	}
	p.flush()
	p.want("open PW001 service 50: 42001/tcp is unassigned",
		"update PW001 service 50: 42001/tcp is unassigned; 2 Flows of 1 client")
}

// TestAlertAdvance: a live sensor moves the clock when no records come.
func TestAlertAdvance(t *testing.T) {
	p := newReplay(t)
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(1, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.alerts.Advance(3599e9)
	p.take()
	if len(p.got) != 1 {
		t.Fatalf("%d alerts before the end of the window", len(p.got))
	}
	p.alerts.Advance(3600e9)
	p.take()
	if len(p.got) != 2 || !p.got[1].Update {
		t.Errorf("alerts %v", p.got)
	}
}

// TestAlertFlowsOverManyRecords: a Flow counts once.
func TestAlertFlowsOverManyRecords(t *testing.T) {
	p := newReplay(t)
	for i := range 5 {
		p.add(float64(i), "10.0.0.5", "10.0.0.9:42001", flow.Established)
		p.flow.Sequence = uint32(i + 3)
		p.alerts.Add(&p.record) // of the same Flow, and another one
		p.take()
	}
	p.flush()
	if last := p.got[len(p.got)-1]; last.Records != 10 || last.Flows != 5 {
		t.Errorf("%d Flows in %d records", last.Flows, last.Records)
	}
}

// TestAlertsOfAScan: every port of a host, then every host by one client.
func TestAlertsOfAScan(t *testing.T) {
	p := newReplay(t)
	for port := 1; port <= 65535; port++ {
		p.add(float64(port)/1000, "203.0.113.9", fmt.Sprintf("192.0.2.10:%d", port), []flow.State{flow.Attempt, flow.Rejected}[port%2])
	}
	got := p.flush()
	if len(got) != 6 {
		t.Errorf("%d alerts", len(got))
	}
	ports := 0
	for i := range got {
		if a := &got[i]; a.Scope != Attempts || a.Severity > 20 || a.HasPort() {
			t.Errorf("%s", line(a))
		} else if a.Update && a.Rule != UnauthorizedUse {
			ports += a.Ports
		}
	}
	if last := line(&got[len(got)-1]); ports != 59380 || !strings.HasSuffix(last, "tcp ports in the Dynamic range: 49152, 49153, 49154, 49155, 49156, 49157, 49158, 49159, ...") {
		t.Errorf("%d ports, %s", ports, last)
	}
}

func TestAlertsOfASweep(t *testing.T) {
	p := newReplay(t)
	for host := range 65536 {
		p.add(float64(host)/1000, "203.0.113.9", fmt.Sprintf("198.18.%d.%d:42001", host/256, host%256), flow.Attempt)
	}
	got := p.flush()
	p.want("open PW001 attempts 10: attempts on 1 tcp port without a registration: 42001",
		"open PW001 attempts 10: attempts on 1 tcp port without a registration: 42001",
		"open PW001 sweep 10: one client's attempts on 1 more host, on 1 tcp port without a registration: 42001",
		line(&got[len(got)-1]))
	sweep := got[len(got)-1]
	if sweep.HasService() || sweep.Client.String() != "203.0.113.9" || sweep.Clients.N != 1 || sweep.Service.IsValid() {
		t.Errorf("%+v", sweep)
	}
	if n := float64(sweep.Hosts.N); !sweep.Hosts.Estimated || math.Abs(n-65534) > 65534*.1 {
		t.Errorf("%v hosts", sweep.Hosts)
	}
}

// TestAlertsOfATarpit: a host that answers one client on every port is not that many
// services; a host whose ports are used by many clients is.
func TestAlertsOfATarpit(t *testing.T) {
	p := newReplay(t)
	for port := 1; port <= 65535; port++ {
		p.add(float64(port)/1000, "203.0.113.9", fmt.Sprintf("192.0.2.10:%d", port), flow.Reset)
	}
	got := p.flush()
	if want := "update PW003 services 20: one client used 16380 more tcp ports in the Dynamic range: " +
		"49156, 49157, 49158, 49159, 49160, 49161, 49162, 49163, ..."; len(got) >= 20 || line(&got[len(got)-1]) != want {
		t.Errorf("%d alerts, the last one is\n%s, want\n%s", len(got), line(&got[len(got)-1]), want)
	}
	p = newReplay(t)
	for port := 42001; port <= 42100; port++ {
		p.add(float64(port), fmt.Sprintf("203.0.113.%d", port%100), fmt.Sprintf("192.0.2.10:%d", port), flow.Closed)
	}
	if len(p.got) != 100 {
		t.Errorf("%d alerts of 100 services", len(p.got))
	}
}

// TestAlertsFlooded: the tables are bounded. A new service takes the oldest one's room,
// an attempt does not.
func TestAlertsFlooded(t *testing.T) {
	p := newReplay(t)
	address := func(n int) string { return fmt.Sprintf("198.18.%d.%d", n/256, n%256) }
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	for i := range 20000 {
		p.add(0, "203.0.113.9", address(i)+":42001", flow.Closed)
	}
	s := p.alerts.Stats()
	if s.CutShort == 0 || s.CutShort > 2*20001 || s.Uncounted != 0 || s.Opened != 20001 || s.Updated != 1 {
		t.Errorf("services: %+v", s)
	}
	ids := make(map[[16]byte]bool)
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed) // the first one, at the same time
	p.flush()
	for i := range p.got {
		if a := &p.got[i]; !a.Update {
			if ids[a.ID] {
				t.Fatalf("id twice: %s", line(a))
			}
			ids[a.ID] = true
		}
	}

	p = newReplay(t)
	for i := range 5000 {
		p.add(0, address(i), address(65535-i)+":42001", flow.Attempt)
	}
	p.add(0, "10.0.0.5", "10.0.0.9:42001", flow.Closed)
	s = p.alerts.Stats()
	if want := (AlertStats{Opened: maxTried/2 + 1, Uncounted: 5000 - maxTried/2}); s != want {
		t.Errorf("attempts: %+v, want %+v", s, want)
	}
	p.alerts.Advance(3600e9)
	p.take()
	p.add(3600, "10.1.0.5", "10.1.0.9:42001", flow.Attempt)
	if again := p.alerts.Stats(); again.Uncounted != s.Uncounted || again.Opened != s.Opened+1 {
		t.Errorf("after the window: %+v", again)
	}

	// Of a savefile, nobody tells the time but the next record.
	for i := range 5000 {
		p.add(3600, address(i), address(65535-i)+":42001", flow.Attempt)
	}
	s = p.alerts.Stats()
	p.add(7200, "10.1.0.5", "10.1.0.9:42001", flow.Attempt)
	if again := p.alerts.Stats(); again.Uncounted != s.Uncounted || again.Opened != s.Opened+1 {
		t.Errorf("behind the window: %+v, before: %+v", again, s)
	}
}

// TestAlertsSymmetric: both sides are the service, and each other's client.
func TestAlertsSymmetric(t *testing.T) {
	p := newReplay(t)
	f := between(flow.UDP, 3300, 3300, flow.Established, flow.Symmetric, flow.Medium)
	New(embedded(t)).Annotate(&p.record, f)
	p.alerts.Add(&p.record)
	p.take()
	if len(p.got) != 2 || p.got[0].Service.String() != "10.0.0.9" || p.got[0].Client.String() != "10.0.0.7" ||
		p.got[1].Service.String() != "10.0.0.7" || p.got[1].Client.String() != "10.0.0.9" || p.got[0].ID == p.got[1].ID {
		t.Errorf("%+v", p.got)
	}
}

// TestAlertsOfAHostItself: an endpoint that talks to itself is one service, though both
// sides have a finding, and its Flow is one Flow.
func TestAlertsOfAHostItself(t *testing.T) {
	p := newReplay(t)
	f := between(flow.UDP, 42001, 42001, flow.Established, flow.Symmetric, flow.Medium)
	f.Source.Endpoint = f.Destination.Endpoint
	New(embedded(t)).Annotate(&p.record, f)
	for range 2 {
		p.alerts.Add(&p.record)
		p.take()
	}
	p.flush()
	p.want("open PW001 service 50: 42001/udp is unassigned",
		"update PW001 service 50: 42001/udp is unassigned; 2 Flows of 1 client")
}

// TestAlertsNoAllocs: neither records without findings nor those of a known subject
// allocate, and after a window not even those of new subjects.
func TestAlertsNoAllocs(t *testing.T) {
	for name, flows := range alertFlows() {
		a := NewAlerts(time.Hour)
		records := annotatedFlows(t, flows)
		var out Alert
		now := int64(0)
		all := func() {
			for _, r := range records {
				now += 1e9
				r.Flow.Start, r.Flow.End = now, now
				a.Add(r)
				for a.Next(&out) {
				}
			}
		}
		for range 20000 / len(records) {
			all()
		}
		if n := testing.AllocsPerRun(100, all); n != 0 {
			t.Errorf("%s: %v allocations for %d records", name, n, len(records))
		}
	}
}

func BenchmarkAlerts(b *testing.B) {
	for name, flows := range alertFlows() {
		b.Run("flows="+name, func(b *testing.B) {
			a := NewAlerts(time.Hour)
			records := annotatedFlows(b, flows)
			var out Alert
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r := records[i%len(records)]
				r.Flow.End = int64(i) * 1e6
				a.Add(r)
				for a.Next(&out) {
				}
			}
		})
	}
}

// alertFlows are what a sensor sees all day, without findings and with them.
func alertFlows() map[string][]*flow.Record {
	list := map[string][]*flow.Record{
		"plain":   {to(flow.TCP, 443, flow.Closed)},
		"flagged": {to(flow.TCP, 42001, flow.Closed)},
	}
	for port := range 1000 {
		list["scan"] = append(list["scan"], to(flow.TCP, uint16(42001+port), flow.Rejected))
	}
	return list
}

func annotatedFlows(t testing.TB, flows []*flow.Record) []*Record {
	a := New(embedded(t))
	list := make([]*Record, len(flows))
	for i, f := range flows {
		list[i] = new(Record)
		a.Annotate(list[i], f)
	}
	return list
}

// TestDistinct: exact at first, then within five standard errors.
func TestDistinct(t *testing.T) {
	for _, n := range []int{0, 1, 31, 32, 33, 100, 1000, 3000, 10_000, 100_000, 1_000_000} {
		var d distinct
		for range 2 {
			for i := range n {
				d.add(hashAddr(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})))
			}
		}
		got := d.number()
		if got.Estimated != (n > maxExact) || math.Abs(float64(got.N)-float64(n)) > float64(n)*5*.0325 || n <= maxExact && got.N != uint64(n) {
			t.Errorf("%d things are counted as %+v", n, got)
		}
		if d.reset(); d.number().N != 0 {
			t.Errorf("after a reset: %+v", d.number())
		}
	}
}

// TestPortSet: each port is new once.
func TestPortSet(t *testing.T) {
	var set portSet
	for _, first := range []bool{true, false} {
		for port := range 1 << 16 {
			if set.add(uint16(port)) != first {
				t.Fatalf("port %d: new is not %v", port, first)
			}
		}
	}
}
