package annotate

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// The bounds of Alerts.
const (
	maxUsed  = 8192 // subjects in their window that answered or were sent to one-way
	maxTried = 2048 // subjects in their window that were only tried

	// How many alerts one client can open, for services of one address and for
	// addresses, before everything else that it does goes into one alert.
	servicesOfClient = 4
	hostsOfClient    = 2
)

// Alerts gathers the findings of records into alerts. It depends only on the records
// and their order: its clock is their latest End, or a later time given to Advance.
//
// A subject is an address with a port. But a client that tries every port of an
// address, or one port of every address, is one piece of news, not thousands. So
// attempts are gathered by address, and by client once a client has tried several
// addresses; the services of one address are gathered by client once a client has
// used several of them.
//
// Memory is bounded. When there is no room for a service, the subject whose window
// began first ends early. Attempts without room are counted and open nothing:
// otherwise a flood of them would make an alert for each.
type Alerts struct {
	window  time.Duration
	clock   int64
	ended   bool  // no more records will come
	until   int64 // no window is over before this time
	used    subjects
	tried   subjects
	pending []Alert // from the last Add
	given   int     // how many of pending Next has returned
	stats   AlertStats
}

// AlertStats counts what became of findings.
type AlertStats struct {
	Opened, Updated uint64 // alerts returned
	// CutShort is how many windows ended early because others needed the room.
	CutShort uint64
	// Uncounted is how many findings are in no alert: attempts without room.
	Uncounted uint64
}

// NewAlerts returns Alerts with windows of the given length, which must be above 0.
func NewAlerts(window time.Duration) *Alerts {
	return &Alerts{
		window: window, clock: math.MinInt64, until: math.MaxInt64,
		used: newSubjects(maxUsed), tried: newSubjects(maxTried),
	}
}

// Add takes the next record. Before the following Add, Next must be called until it
// returns false.
func (a *Alerts) Add(r *Record) {
	a.Advance(r.Flow.End)
	for i := range r.Findings {
		var s sighting
		s.set(r, &r.Findings[i])
		if s.finding.Side == Source && s.service.Endpoint == s.client.Endpoint {
			continue // both sides are one endpoint: its finding as the destination was taken
		}
		a.take(&s)
	}
}

// Advance moves the clock when no record does, to now in nanoseconds since the Unix
// epoch. The clock never goes back.
func (a *Alerts) Advance(now int64) { a.clock = max(a.clock, now) }

// Flush ends all windows. No record may follow.
func (a *Alerts) Flush() { a.ended, a.clock = true, math.MaxInt64 }

// Stats returns the counters.
func (a *Alerts) Stats() AlertStats { return a.stats }

// Due reports whether Next may have an alert: after most records it has none.
func (a *Alerts) Due() bool { return len(a.pending) > 0 || a.clock >= a.until }

// Next fills dst with the next alert, and reports whether there was one.
func (a *Alerts) Next(dst *Alert) bool {
	if a.given < len(a.pending) {
		*dst = a.pending[a.given]
		a.given++
		return true
	}
	a.pending, a.given = a.pending[:0], 0
	if a.expire(&a.used, dst) || a.expire(&a.tried, dst) {
		return true
	}
	a.until = min(a.used.until(), a.tried.until())
	return false
}

// expire fills dst with the next update of a subject whose window is over, and reports
// whether there was one.
func (a *Alerts) expire(all *subjects, dst *Alert) bool {
	for s := all.oldest(); s != nil && a.over(s); s = all.oldest() {
		all.remove()
		if a.close(all, s) {
			s.tell(dst)
			return true
		}
	}
	return false
}

// over reports whether a subject's window has ended, by the clock or because no more
// records will come. The clock is never before the window's start.
func (a *Alerts) over(s *subject) bool {
	return a.ended || uint64(a.clock)-uint64(s.alert.WindowStart) >= uint64(a.window)
}

// close ends a subject's window, and reports whether it has an update.
func (a *Alerts) close(all *subjects, s *subject) bool {
	if s.closed {
		return false
	}
	s.closed = true
	delete(all.byKey, s.key)
	if !s.news {
		return false
	}
	s.alert.Update = true
	a.stats.Updated++
	return true
}

// A sighting is one finding, seen from the service side that it is about.
type sighting struct {
	record          *Record
	finding         *Finding
	service, client *flow.Side
	port            *Port
}

func (s *sighting) set(r *Record, f *Finding) {
	s.record, s.finding, s.port = r, f, r.Port(f.Side)
	s.service, s.client = &r.Flow.Destination, &r.Flow.Source
	if f.Side == Source {
		s.service, s.client = s.client, s.service
	}
}

// take counts a finding in its own subject if there is one or one may be opened,
// otherwise in a wider one.
func (a *Alerts) take(s *sighting) {
	all, limit := &a.used, servicesOfClient
	rule, transport, addr := s.finding.Rule, s.record.Flow.Transport, s.service.Addr()
	own := subjectKey{scope: OneService, rule: rule, transport: transport, addr: addr, port: s.service.Port()}
	wider := subjectKey{scope: ManyServices, rule: rule, transport: transport, addr: addr, client: s.client.Addr()}
	if weight(s.record.Flow.State) == onlyTried {
		all, limit = &a.tried, hostsOfClient
		own.scope, own.port = Attempts, 0
		wider.scope, wider.addr = Sweep, netip.Addr{}
	}
	if known := a.find(all, &own); known != nil {
		a.count(known, s)
		return
	}
	around := a.find(all, &wider)
	if around != nil && around.opened == limit {
		a.count(around, s)
		return
	}
	opens := 1
	if around == nil {
		opens = 2
	}
	if all == &a.tried && !a.fit(all, opens) {
		a.stats.Uncounted++
		return
	}
	if around == nil {
		around = a.open(all, &wider)
	}
	around.opened++
	a.count(a.open(all, &own), s)
}

// fit reports whether there is room for n new subjects, or would be if Next had been asked
// since the clock moved: the oldest windows end first.
func (a *Alerts) fit(all *subjects, n int) bool {
	n -= all.room()
	return n <= 0 || a.over(all.ring[(all.first+n-1)%len(all.ring)])
}

// find returns the subject of a key, or nil. It ends a subject whose window is over.
func (a *Alerts) find(all *subjects, k *subjectKey) *subject {
	s := all.byKey[*k]
	if s != nil && a.over(s) {
		a.end(all, s)
		return nil
	}
	return s
}

// end closes a subject and leaves its update, if any, for Next.
func (a *Alerts) end(all *subjects, s *subject) {
	if a.close(all, s) {
		a.pending = append(a.pending, Alert{})
		s.tell(&a.pending[len(a.pending)-1])
	}
}

// open begins the window of a new subject, whose alert is not opened yet.
func (a *Alerts) open(all *subjects, k *subjectKey) *subject {
	if all.room() == 0 {
		oldest := all.oldest()
		if !oldest.closed && !a.over(oldest) {
			a.stats.CutShort++
		}
		a.end(all, oldest)
		all.remove()
	}
	s := all.add(k)
	s.alert.WindowStart = a.clock
	s.alert.WindowEnd = math.MaxInt64
	if a.clock <= math.MaxInt64-int64(a.window) {
		s.alert.WindowEnd = a.clock + int64(a.window)
	}
	a.until = min(a.until, s.alert.WindowEnd)
	return s
}

// count adds a finding to a subject. The first one opens its alert.
func (a *Alerts) count(s *subject, t *sighting) {
	s.count(t)
	if s.told {
		s.news = true
		return
	}
	s.told = true
	s.begin(t)
	a.stats.Opened++
	a.pending = append(a.pending, Alert{})
	s.tell(&a.pending[len(a.pending)-1])
}

// subjectKey identifies a subject. Fields that its scope ignores are zero.
type subjectKey struct {
	addr, client netip.Addr
	port         uint16
	transport    flow.Transport
	rule         Rule
	scope        Scope
}

// A subject is what one alert is about, in its window.
type subject struct {
	key    subjectKey
	alert  Alert // except Clients and Hosts, which come from others
	opened int   // for a wider subject: how many alerts its client has opened in narrower ones
	told   bool  // the opening was issued
	news   bool  // findings came after the opening
	closed bool

	others distinct // hosts of a Sweep; otherwise clients, if there can be several
	ports  *portSet // nil until there are more ports than fit in FirstPorts
}

// reset makes a subject new again but keeps its memory.
func (s *subject) reset(k *subjectKey) {
	s.others.reset()
	*s = subject{key: *k, others: s.others, ports: s.ports}
}

// begin sets what comes from the finding that opens the alert.
func (s *subject) begin(t *sighting) {
	f, d := t.record.Flow, &s.alert
	d.Rule, d.Scope = t.finding.Rule, s.key.scope
	d.Transport, d.Version, d.Registry = f.Transport, f.Version, t.record.Registry
	d.Service, d.Client, d.Port = s.key.addr, t.client.Addr(), *t.port
	d.Flows = 1
	d.FlowID, d.CommunityID = f.ID(), f.CommunityID()
	d.ID = s.id(f.Sequence)
}

// id hashes what the alert is about, the window's start, and the record that opened
// it, whose Flow id includes the observer's. A subject that made room for another and
// comes back at the same time is a different alert.
func (s *subject) id(sequence uint32) [16]byte {
	k, d := &s.key, &s.alert
	b := make([]byte, 0, 128)
	b = append(b, byte(k.scope), byte(k.rule), byte(k.transport), d.Version)
	b = binary.BigEndian.AppendUint16(b, k.port)
	for _, addr := range [...]netip.Addr{k.addr, k.client} {
		octets := addr.As16()
		b = append(b, octets[:]...)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(d.WindowStart))
	b = append(b, d.FlowID[:]...)
	b = binary.BigEndian.AppendUint32(b, sequence)
	sum := sha256.Sum256(b)
	return [16]byte(sum[:])
}

// count adds one finding to the totals.
func (s *subject) count(t *sighting) {
	f, d := t.record.Flow, &s.alert
	if d.Records == 0 {
		d.Start, d.End = f.Start, f.End
	}
	d.Start, d.End = min(d.Start, f.Start), max(d.End, f.End)
	d.Records++
	if f.Sequence == 0 {
		d.Flows++
	}
	d.Packets += f.Source.Packets + f.Destination.Packets
	d.Octets += f.Source.Octets + f.Destination.Octets
	d.Severity = max(d.Severity, t.finding.Severity)
	d.Confidence = max(d.Confidence, t.finding.Confidence)
	switch s.key.scope {
	case OneService, Attempts:
		s.others.add(hashAddr(t.client.Addr()))
	case Sweep:
		s.others.add(hashAddr(t.service.Addr()))
	}
	s.countPort(t.service.Port())
}

// countPort keeps the first ports in order, and the set of all ports once there are more.
func (s *subject) countPort(port uint16) {
	d := &s.alert
	if d.Ports <= len(d.FirstPorts) && slices.Contains(d.First(), port) {
		return
	}
	if d.Ports < len(d.FirstPorts) {
		d.FirstPorts[d.Ports] = port
		d.Ports++
		return
	}
	if d.Ports == len(d.FirstPorts) {
		if s.ports == nil {
			s.ports = new(portSet)
		}
		*s.ports = portSet{}
		for _, known := range d.FirstPorts {
			s.ports.add(known)
		}
	}
	if s.ports.add(port) {
		d.Ports++
	}
}

// tell fills dst with the alert as it stands.
func (s *subject) tell(dst *Alert) {
	*dst = s.alert
	dst.Clients, dst.Hosts = Number{N: 1}, Number{N: 1}
	switch s.key.scope {
	case OneService, Attempts:
		dst.Clients = s.others.number()
	case Sweep:
		dst.Hosts = s.others.number()
	}
}

// subjects finds a subject by its key, and ends them in the order in which they began:
// all windows have the same length.
type subjects struct {
	byKey map[subjectKey]*subject
	ring  []*subject // n of them, starting at first
	first int
	n     int
	free  []*subject
}

func newSubjects(limit int) subjects {
	return subjects{byKey: make(map[subjectKey]*subject), ring: make([]*subject, limit)}
}

func (all *subjects) room() int { return len(all.ring) - all.n }

// oldest returns the subject whose window began first, or nil.
func (all *subjects) oldest() *subject {
	if all.n == 0 {
		return nil
	}
	return all.ring[all.first]
}

// until returns when the window of the oldest subject ends.
func (all *subjects) until() int64 {
	if s := all.oldest(); s != nil {
		return s.alert.WindowEnd
	}
	return math.MaxInt64
}

// remove takes out the oldest subject. The next add reuses its memory.
func (all *subjects) remove() {
	all.free = append(all.free, all.ring[all.first])
	all.first = (all.first + 1) % len(all.ring)
	all.n--
}

// add appends a new subject. There must be room.
func (all *subjects) add(k *subjectKey) *subject {
	s := new(subject)
	if last := len(all.free) - 1; last >= 0 {
		s, all.free = all.free[last], all.free[:last]
	}
	s.reset(k)
	all.ring[(all.first+all.n)%len(all.ring)] = s
	all.n++
	all.byKey[*k] = s
	return s
}
