package annotate

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// A twin is Alerts written without regard to speed or memory: docs/alerts.md as a program.
// A window is the list of what it gathered, all windows are checked whenever the clock moves,
// and sums are computed from the list when needed.
type twin struct {
	window      time.Duration
	clock       int64
	used, tried twinSubjects
	stats       AlertStats
	out         []Alert // without ID
}

// twinSubjects are the subjects whose windows are open, which share the room for them.
type twinSubjects struct {
	most int
	all  map[subjectKey]*twinWindow
	old  []*twinWindow // the same, the oldest first
}

func (s *twinSubjects) room() int { return s.most - len(s.old) }

// A twinWindow is a subject in its window.
type twinWindow struct {
	subjectKey
	start, end int64
	opened     int // of a wider subject: alerts that its client opened in narrower ones
	gathered   []sighting
}

func newTwin(window time.Duration, used, tried int) *twin {
	return &twin{
		window: window, clock: math.MinInt64,
		used:  twinSubjects{used, make(map[subjectKey]*twinWindow), nil},
		tried: twinSubjects{tried, make(map[subjectKey]*twinWindow), nil},
	}
}

func (w *twin) Add(r *Record) {
	w.Advance(r.Flow.End)
	for i := range r.Findings {
		if !repeated(r, r.Findings[i]) {
			var s sighting
			s.set(r, &r.Findings[i])
			w.take(s)
		}
	}
}

// repeated reports whether a finding repeats the one before it, since the Flow's two sides
// are the same endpoint.
func repeated(r *Record, f Finding) bool {
	return f.Side == Source && r.Flow.Source.Endpoint == r.Flow.Destination.Endpoint
}

// Advance moves the clock, which never goes back, and closes the windows that are over.
func (w *twin) Advance(now int64) {
	if now <= w.clock {
		return
	}
	w.clock = now
	for _, subjects := range []*twinSubjects{&w.used, &w.tried} {
		for _, s := range slices.Clone(subjects.old) {
			if !time.Unix(0, w.clock).Before(time.Unix(0, s.start).Add(w.window)) {
				w.close(subjects, s)
			}
		}
	}
}

func (w *twin) Flush() {
	for _, subjects := range []*twinSubjects{&w.used, &w.tried} {
		for _, s := range slices.Clone(subjects.old) {
			w.close(subjects, s)
		}
	}
}

// take gives a finding to the one subject that it belongs to.
func (w *twin) take(s sighting) {
	own := subjectKey{
		rule: s.finding.Rule, transport: s.record.Flow.Transport,
		scope: OneService, addr: s.service.Addr(), port: s.service.Port(),
	}
	wider := subjectKey{
		rule: s.finding.Rule, transport: s.record.Flow.Transport,
		scope: ManyServices, addr: s.service.Addr(), client: s.client.Addr(),
	}
	subjects, first := &w.used, 4
	state := s.record.Flow.State
	onlyTried := state == flow.Attempt || state == flow.Rejected
	if onlyTried {
		own.scope, own.port = Attempts, 0
		wider.scope, wider.addr = Sweep, netip.Addr{}
		subjects, first = &w.tried, 2
	}
	narrow, wide := subjects.all[own], subjects.all[wider]
	switch {
	case narrow != nil:
		w.gather(narrow, s)
	case wide != nil && wide.opened == first:
		w.gather(wide, s)
	case onlyTried && (subjects.room() == 0 || subjects.room() == 1 && wide == nil):
		w.stats.Uncounted++
	default:
		if wide == nil {
			wide = w.open(subjects, wider)
		}
		wide.opened++
		w.gather(w.open(subjects, own), s)
	}
}

// gather adds a finding to a window. The first one opens the alert.
func (w *twin) gather(to *twinWindow, s sighting) {
	to.gathered = append(to.gathered, s)
	if len(to.gathered) == 1 {
		w.stats.Opened++
		w.out = append(w.out, to.alert())
	}
}

// open begins a window, in place of the oldest one if there is no room.
func (w *twin) open(subjects *twinSubjects, k subjectKey) *twinWindow {
	if subjects.room() == 0 {
		w.stats.CutShort++
		w.close(subjects, subjects.old[0])
	}
	s := &twinWindow{subjectKey: k, start: w.clock, end: forward(w.clock, int64(w.window))}
	subjects.all[k] = s
	subjects.old = append(subjects.old, s)
	return s
}

// close ends a window. If findings came after the first one, there is an update.
func (w *twin) close(subjects *twinSubjects, s *twinWindow) {
	delete(subjects.all, s.subjectKey)
	at := slices.Index(subjects.old, s)
	subjects.old = slices.Delete(subjects.old, at, at+1)
	if len(s.gathered) > 1 {
		w.stats.Updated++
		a := s.alert()
		a.Update = true
		w.out = append(w.out, a)
	}
}

// alert computes the alert from the window's list.
func (s *twinWindow) alert() Alert {
	opener := s.gathered[0]
	a := Alert{
		Rule: s.rule, Scope: s.scope, Transport: s.transport,
		Version: opener.record.Flow.Version, Registry: opener.record.Registry,
		Service: s.addr, Client: opener.client.Addr(), Port: *opener.port,
		WindowStart: s.start, WindowEnd: s.end,
		Start: opener.record.Flow.Start, End: opener.record.Flow.End,
		FlowID: opener.record.Flow.ID(), CommunityID: opener.record.Flow.CommunityID(),
	}
	flows := map[flow.Key]bool{opener.record.Flow.Key: true}
	clients, hosts := map[netip.Addr]bool{}, map[netip.Addr]bool{}
	var ports [1 << 16]bool
	for _, g := range s.gathered {
		f := g.record.Flow
		a.Start, a.End = min(a.Start, f.Start), max(a.End, f.End)
		a.Records++
		if f.Sequence == 0 {
			flows[f.Key] = true
		}
		a.Packets += f.Source.Packets + f.Destination.Packets
		a.Octets += f.Source.Octets + f.Destination.Octets
		clients[g.client.Addr()], hosts[g.service.Addr()] = true, true
		if port := g.service.Port(); !ports[port] {
			ports[port] = true
			if a.Ports < len(a.FirstPorts) {
				a.FirstPorts[a.Ports] = port
			}
			a.Ports++
		}
		a.Severity = max(a.Severity, g.finding.Severity)
		a.Confidence = max(a.Confidence, g.finding.Confidence)
	}
	a.Flows = uint64(len(flows))
	a.Clients = Number{uint64(len(clients)), len(clients) > 32}
	a.Hosts = Number{uint64(len(hosts)), len(hosts) > 32}
	return a
}

// near reports whether two Numbers are the same, or the first one is a fair estimate of the
// second: within five standard errors, and what a few hashes can do to a small number by chance.
func near(got, want Number) bool {
	if !want.Estimated {
		return got == want
	}
	return got.Estimated && math.Abs(float64(got.N)-float64(want.N)) <= 10+5*.033*float64(want.N)
}

// forward adds to a time, and stops at the ends of time.
func forward(now, by int64) int64 {
	switch sum := now + by; {
	case by > 0 && sum < now:
		return math.MaxInt64
	case by < 0 && sum > now:
		return math.MinInt64
	default:
		return sum
	}
}

// A step is a record, the time alone, or the end.
type step struct {
	record *Record
	now    int64
	end    bool
}

// do takes the step with Alerts or with its twin.
func (s step) do(a interface {
	Add(*Record)
	Advance(int64)
	Flush()
}) {
	switch {
	case s.record != nil:
		a.Add(s.record)
	case s.end:
		a.Flush()
	default:
		a.Advance(s.now)
	}
}

func (s step) String() string {
	if s.end {
		return "the end"
	}
	if s.record == nil {
		return fmt.Sprintf("the time is %d", s.now)
	}
	f := s.record.Flow
	return fmt.Sprintf("%d to %d: %s %s %s > %s, record %d, findings %v",
		f.Start, f.End, f.State, f.Transport, f.Source.Endpoint, f.Destination.Endpoint, f.Sequence, found(s.record))
}

// stepsOf reads from every six octets the kind of a Flow, its client, service and port, how
// far time moves forward or back, and how many Flows follow, each with the next client,
// address or port.
func stepsOf(reg *Annotator, data []byte, window time.Duration) (all []step) {
	const most = 3000
	var flows []*flow.Record
	add := func(f *flow.Record) {
		r := new(Record)
		reg.Annotate(r, f)
		all = append(all, step{record: r})
	}
	now := int64(1e18)
	for c := range slices.Chunk(data, 6) {
		if len(c) < 6 || len(all) >= most {
			break
		}
		kind, next, n := c[0], int(c[5]&3), 1+int(c[5]>>2)
		if kind&0x80 != 0 {
			n *= 8
		}
		for i := range n {
			at := [4]int{}
			at[next] = i
			now = moved(now, c[4], window)
			switch kind & 7 {
			case 6:
				all = append(all, step{now: now})
			case 7: // the next record of a Flow
				if len(flows) > 0 {
					known := &flows[(int(c[1])<<8+int(c[2])+i)%len(flows)]
					f := **known
					f.Sequence++
					f.State = flow.State(c[3] % 6)
					f.Start, f.End = min(f.End, now), now
					*known = &f
					add(&f)
				}
			default:
				port := [8]uint16{42000, 42001, 49152, 3300, 6003, 443, 65530, 0}[c[3]&7] + uint16(c[3]>>3) + uint16(at[3])
				f := flowOf(kind, int(c[1])+at[1], int(c[2])+at[2], port, len(flows))
				f.Start, f.End = forward(now, -int64(c[1])), now
				flows = append(flows, f)
				add(f)
			}
		}
	}
	return append(all, step{end: true})
}

// flowOf returns a Flow whose other properties are in the bits of kind. serial goes into its
// VLANs, which are part of the Key, so that each Flow has its own Key and id.
func flowOf(kind byte, client, service int, port uint16, serial int) *flow.Record {
	transport, source := flow.TCP, uint16(40112)
	d := flow.Direction{Method: flow.Handshake, Confidence: flow.High}
	if kind&8 != 0 {
		source, d = port, flow.Direction{Method: flow.Symmetric, Confidence: flow.Medium}
	}
	if kind&16 != 0 {
		d.Confidence = flow.Low
	}
	if kind&32 != 0 {
		transport = flow.UDP
	}
	f := between(transport, source, port, flow.State(kind&7), d.Method, d.Confidence)
	address := func(n int) netip.Addr {
		if kind&64 != 0 {
			f.Version = 6
			return netip.AddrFrom16([16]byte{0x20, 0x01, 0x0d, 0xb8, 14: byte(n >> 8), 15: byte(n)})
		}
		return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)})
	}
	f.Source.Endpoint = netip.AddrPortFrom(address(client), source)
	f.Destination.Endpoint = netip.AddrPortFrom(address(service), port)
	f.Key, _ = flow.KeyOf(transport, f.Source.Endpoint, f.Destination.Endpoint)
	f.Key.SetVLANs(2, uint16(serial>>12), uint16(serial&0xfff))
	f.Source.Count = flow.Count{Packets: uint64(serial % 5), Octets: uint64(serial % 5 * 60)}
	f.Destination.Count = flow.Count{Packets: uint64(serial % 3), Octets: uint64(serial % 3 * 1000)}
	return f
}

// moved returns the time after a move: none, some ticks or nanoseconds, up to and over the
// end of a window, windows later, back, or to the ends of time.
func moved(now int64, move byte, window time.Duration) int64 {
	n, tick := int64(move>>3), max(int64(window)/16, 1)
	switch move & 7 {
	case 1:
		return forward(now, n)
	case 2:
		return forward(now, min(n, 16)*tick)
	case 3:
		return forward(now, int64(window)-1)
	case 4:
		return forward(now, int64(window))
	case 5:
		for range n {
			now = forward(now, int64(window))
		}
	case 6:
		return forward(now, -min(n, 16)*tick)
	case 7:
		switch n {
		case 30:
			return math.MinInt64
		case 31:
			return math.MaxInt64
		}
		return forward(now, -n)
	}
	return now
}

// FuzzAlerts makes records from octets: Alerts and the twin must give the same alerts at the
// same step, and Alerts must keep the promises that need no twin.
func FuzzAlerts(f *testing.F) {
	for _, seed := range []struct {
		steps          string
		window, bounds uint8
	}{
		{"", 0, 0},
		// a service, the end of its window, and the service again
		{"\x03\x05\x09\x00\x00\x0c" + "\x06\x00\x00\x00\x04\x00" + "\x04\x05\x09\x00\x09\x00", 0, 0},
		// one client tries many ports, again in each of the hours that follow, and many addresses
		{strings.Repeat("\x80\x05\x09\x07\x01\xff"+"\x06\x00\x00\x00\x04\x00", 3), 0, 0},
		{"\x80\x05\x00\x01\x01\xfe" + "\x80\x05\x80\x02\x01\xfe", 0, 0},
		// a tarpit, and another client of it
		{"\x83\x05\x09\x00\x01\xff" + "\x83\x06\x09\x00\x01\xff", 0, 0},
		// many clients of one service
		{"\x83\x05\x09\x00\x01\xfd" + "\x80\x05\x09\x00\x01\xfd", 0, 0},
		// Flows of many records
		{"\x04\x05\x09\x01\x00\x10" + "\x07\x00\x00\x03\x01\x30" + "\x07\x00\x00\x00\x14\x10", 0, 0},
		// both sides are the service, and then even the same one
		{"\x2b\x05\x09\x02\x00\x0c" + "\x2b\x05\x05\x02\x00\x04" + "\x28\x09\x09\x01\x00\x05", 0, 0},
		// two clients that sweep meet each other
		{"\x00\x05\x10\x01\x00\x06" + "\x00\x09\x20\x01\x00\x06" + "\x08\x05\x09\x01\x00\x00", 0, 0},
		// no room, and time goes back
		{"\x03\x01\x00\x01\x01\x40" + "\x03\x02\x10\x01\x36\x40" + "\x00\x03\x20\x01\x04\x41", 1, 1},
		// no room until the hour is over, and one place left
		{"\x00\x01\x00\x01\x00\x05" + "\x00\x01\x20\x01\x04\x06", 0, 2},
		// the ends of time
		{"\x03\x01\x01\x01\xff\x05" + "\x00\x01\x01\x01\xf7\x05" + "\x03\x01\x01\x01\x04\x05", 3, 2},
		// many subjects
		{strings.Repeat("\x80\x00\x00\x01\x01\xfe"+"\x00\x80\x10\x00\x01\xfd", 6), 0, 0},
	} {
		f.Add([]byte(seed.steps), seed.window, seed.bounds)
	}
	for seed := range uint8(20) {
		rng := rand.New(rand.NewPCG(uint64(seed), 1))
		data := make([]byte, 6*(1+rng.IntN(60)))
		for i := range data {
			data[i] = byte(rng.Uint32())
			if i%6 == 1 || i%6 == 2 || i%6 == 3 {
				data[i] &= 1<<(seed%8) - 1 // few hosts and ports, which meet, or many, which do not
			}
		}
		f.Add(data, seed, seed/4)
	}
	f.Fuzz(func(t *testing.T, data []byte, window, bounds uint8) {
		length := [...]time.Duration{time.Hour, 1, 10, math.MaxInt64}[window%4]
		room := [...]struct{ used, tried int }{{maxUsed, maxTried}, {2, 2}, {5, 3}, {40, 20}}[bounds%4]
		c := newAlertCheck(length, room.used, room.tried)
		steps := stepsOf(New(embedded(t)), data, length)
		for i, s := range steps {
			err := c.step(s)
			if err == nil && s.end {
				err = c.ledger.balance(c.alerts.Stats())
			}
			if err != nil {
				t.Errorf("window %v, room for %d and %d, step %d of %d: %v", length, room.used, room.tried, i, len(steps)-1, err)
				for j := max(0, i-8); j <= i; j++ {
					t.Logf("step %d: %s", j, steps[j])
				}
				t.Fatalf("to replay: f.Add([]byte(%q), uint8(%d), uint8(%d))", data, window, bounds)
			}
		}
	})
}

// An alertCheck gives the same steps to Alerts, to Alerts again, and to the twin.
type alertCheck struct {
	alerts, again *Alerts
	twin          *twin
	ledger        ledger
}

func newAlertCheck(window time.Duration, used, tried int) *alertCheck {
	c := &alertCheck{alerts: NewAlerts(window), again: NewAlerts(window), twin: newTwin(window, used, tried)}
	for _, a := range []*Alerts{c.alerts, c.again} {
		a.used, a.tried = newSubjects(used), newSubjects(tried)
	}
	c.ledger = ledger{window: window, room: tried, all: make(map[[16]byte]*Alert), last: make(map[subjectKey][16]byte)}
	return c
}

func (c *alertCheck) step(s step) error {
	s.do(c.twin)
	s.do(c.alerts)
	s.do(c.again)
	if s.record != nil {
		c.ledger.given(s.record)
	}
	due := c.alerts.Due()
	got := allOf(c.alerts)
	var second []Alert
	if c.again.Due() {
		second = allOf(c.again)
	}
	want := c.twin.out
	c.twin.out = nil
	if err := sameAlerts(got, want); err != nil {
		return err
	}
	if stats := c.alerts.Stats(); stats != c.twin.stats {
		return fmt.Errorf("stats %+v, want %+v", stats, c.twin.stats)
	}
	if !due && len(got) > 0 {
		return fmt.Errorf("%d alerts were not due", len(got))
	}
	if !slices.Equal(got, second) {
		return fmt.Errorf("first\n%s\nand the second time, only asked when due,\n%s", alertLines(got), alertLines(second))
	}
	if err := bounded(c.alerts); err != nil {
		return err
	}
	return c.ledger.write(got, c.twin.clock)
}

func allOf(a *Alerts) (all []Alert) {
	var next Alert
	for a.Next(&next) {
		all = append(all, next)
	}
	return all
}

// bounded returns an error if more is kept than there is room for.
func bounded(a *Alerts) error {
	for _, all := range []*subjects{&a.used, &a.tried} {
		if most := len(all.ring); all.n > most || len(all.byKey) > all.n || all.n+len(all.free) > most || len(a.pending) > 0 {
			return fmt.Errorf("room for %d: %d subjects, %d by key, %d free, %d pending", most, all.n, len(all.byKey), len(all.free), len(a.pending))
		}
	}
	return nil
}

// sameAlerts compares the alerts of one step, in any order and without their ids.
func sameAlerts(got, want []Alert) error {
	got = slices.Clone(got)
	order := func(a, b Alert) int {
		return cmp.Or(bytes.Compare(a.FlowID[:], b.FlowID[:]), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Scope, b.Scope),
			a.Service.Compare(b.Service), a.Client.Compare(b.Client), cmp.Compare(a.WindowStart, b.WindowStart))
	}
	slices.SortFunc(got, order)
	slices.SortFunc(want, order)
	for i := range min(len(got), len(want)) {
		g, w := &got[i], &want[i]
		g.ID = [16]byte{}
		if near(g.Clients, w.Clients) && near(g.Hosts, w.Hosts) {
			g.Clients, g.Hosts = w.Clients, w.Hosts
		}
		if *g != *w {
			return fmt.Errorf("alert\n%s\nwant\n%s", alertLines(got[i:i+1]), alertLines(want[i:i+1]))
		}
	}
	if len(got) != len(want) {
		return fmt.Errorf("%d alerts\n%s\nwant %d\n%s", len(got), alertLines(got), len(want), alertLines(want))
	}
	return nil
}

func alertLines(all []Alert) string {
	var b strings.Builder
	for i := range all[:min(len(all), 10)] {
		a := all[i]
		a.Registry, a.Port.Entry = nil, nil
		fmt.Fprintf(&b, "\t%+v\n", a)
	}
	return b.String()
}

// A ledger holds what a receiver of alerts knows, and checks what a receiver can check.
type ledger struct {
	window time.Duration
	room   int // for what was only tried

	all   map[[16]byte]*Alert     // as last received
	last  map[subjectKey][16]byte // the subject's newest alert
	tried []int64                 // starts of the open windows of what was only tried

	records, openings, updates uint64 // openings and updates: as received
	later                      bool   // a record was not its Flow's first
	count                      flow.Count
}

func (l *ledger) given(r *Record) {
	for _, f := range r.Findings {
		if repeated(r, f) {
			continue
		}
		l.records++
		for _, side := range []*flow.Side{&r.Flow.Source, &r.Flow.Destination} {
			l.count.Packets += side.Packets
			l.count.Octets += side.Octets
		}
	}
	l.later = l.later || r.Flow.Sequence > 0
}

func (l *ledger) write(all []Alert, clock int64) error {
	for i := range all {
		a := &all[i]
		about := subjectKey{addr: a.Service, transport: a.Transport, rule: a.Rule, scope: a.Scope}
		if a.HasPort() {
			about.port = a.Port.Number
		}
		if a.Scope == ManyServices || a.Scope == Sweep {
			about.client = a.Client
		}
		before := l.all[a.ID]
		switch {
		case a.Start > a.End || a.WindowStart > clock || a.WindowEnd != forward(a.WindowStart, int64(l.window)):
			return fmt.Errorf("times of %+v", a)
		case !a.Update && before != nil:
			return fmt.Errorf("id %x was given twice", a.ID)
		case a.Update && (before == nil || before.Update || l.last[about] != a.ID):
			return fmt.Errorf("an update of %x does not follow its opening", a.ID)
		case a.Update && (a.WindowStart != before.WindowStart || a.FlowID != before.FlowID || a.Client != before.Client || a.Port != before.Port):
			return fmt.Errorf("opening %+v\nupdate %+v", before, a)
		case a.Update && (a.Records <= before.Records || a.Severity < before.Severity):
			return fmt.Errorf("opening %+v\nupdate %+v", before, a)
		}
		l.all[a.ID], l.last[about] = a, a.ID
		if a.Update {
			l.updates++
			continue
		}
		l.openings++
		if a.Scope >= Attempts {
			// No window ends early for another: a flood has to wait until windows are over.
			l.tried = slices.DeleteFunc(l.tried, func(start int64) bool { return uint64(clock)-uint64(start) >= uint64(l.window) })
			l.tried = append(l.tried, a.WindowStart)
			if len(l.tried) > l.room {
				return fmt.Errorf("%d alerts at a time, with room for %d", len(l.tried), l.room)
			}
		}
	}
	return nil
}

// balance returns an error if the sums over the alerts are not those over the findings.
func (l *ledger) balance(s AlertStats) error {
	if l.openings != s.Opened || l.updates != s.Updated {
		return fmt.Errorf("%d openings and %d updates, but %+v", l.openings, l.updates, s)
	}
	var records, flows uint64
	var count flow.Count
	for _, a := range l.all {
		records += a.Records
		flows += a.Flows
		count.Packets += a.Packets
		count.Octets += a.Octets
	}
	switch {
	case records+s.Uncounted != l.records:
		return fmt.Errorf("%d records in alerts and %d in none, of %d", records, s.Uncounted, l.records)
	case s.Uncounted == 0 && count != l.count:
		return fmt.Errorf("%+v in alerts, of %+v", count, l.count)
	case !l.later && flows != records:
		return fmt.Errorf("%d Flows of %d records", flows, records)
	}
	return nil
}
