package flow

import (
	"math/bits"
	"time"
)

// A memory holds a value for each of so many endpoints at most.
//
// It is a fixed number of sets, in which an endpoint has one of a few seats; who
// has not been used for longest gives up the seat. Which set an endpoint belongs to
// has no seed, for the reason that partitionOf has none.
type memory[V any] struct {
	sets []set[V]
	seed seed
}

// newMemory returns an empty memory for so many endpoints, a power of two.
func newMemory[V any](endpoints int) memory[V] {
	return memory[V]{make([]set[V], endpoints/seatsInSet), newSeed()}
}

// set has the endpoint used last first.
type set[V any] [seatsInSet]seat[V]

const seatsInSet = 4

// A seat is an endpoint's. who is a hash of it, with the memory's seed; 0 is nobody.
type seat[V any] struct {
	who   uint64
	value V
}

// A service is an endpoint as its clients name it.
type service struct {
	addr [2]uint64
	port uint64 // with IP version and transport above it
}

func (k *Key) service(side int) service { return k.serviceAt(side, k.Transport(), k.port(side)) }

// serviceAt is another service at the address of one of the Key's endpoints.
func (k *Key) serviceAt(side int, t Transport, port uint16) service {
	return service{
		addr: [2]uint64{k.addr[2*side], k.addr[2*side+1]},
		port: uint64(k.Version())<<24 | uint64(t)<<16 | uint64(port),
	}
}

// hash is without a seed.
func (s *service) hash() uint64 {
	return mix(mix(s.addr[0]^fixed[0], s.addr[1]^fixed[1])^s.port, fixed[2])
}

func (m *memory[V]) who(s *service) uint64 {
	h := mix(s.addr[0]^m.seed[0], s.addr[1]^m.seed[1])
	return mix(h^m.seed[2], s.port^m.seed[3]) | 1
}

// set returns the seats of which s may have one.
func (m *memory[V]) set(s *service) *set[V] { return &m.sets[m.number(s)] }

// number is that of the set of s.
func (m *memory[V]) number(s *service) uint64 { return s.hash() & uint64(len(m.sets)-1) }

// put gives s the first seat of its set. It returns the value there, and the seat
// that was given up for it, if it had none.
func (m *memory[V]) put(s *service) (value *V, lost seat[V]) {
	seats, who := m.set(s), m.who(s)
	this := seat[V]{who: who}
	for i := range seats {
		seats[i], this = this, seats[i]
		if this.who == who {
			seats[0].value = this.value
			return &seats[0].value, lost
		}
	}
	return &seats[0].value, this
}

// of returns the value of s, nil if it has none.
func (m *memory[V]) of(s service) *V {
	if m.sets == nil {
		return nil
	}
	seats, who := m.set(&s), m.who(&s)
	for i := range seats {
		if seats[i].who == who {
			return &seats[i].value
		}
	}
	return nil
}

// learned remembers what Flows showed of endpoints, for the direction of those
// that do not show it themselves. It is filled in packet order.
//
// A lesson waits until there are some, so that the cache misses of their endpoints
// overlap; nobody asks of an endpoint before settle.
type learned struct {
	memory  memory[knowledge] // empty until something is learned
	forgot  uint64            // endpoints that gave up a seat
	lessons [stride]lesson
	waiting int    // how many lessons there are
	touched uint64 // keeps touch from being optimized away
}

// A lesson is what a Flow showed of an endpoint.
type lesson struct {
	of   service
	more knowledge
}

const learnedEndpoints = 1 << 16

// knowledge is what was seen of an endpoint: below the top bit, one for each port
// that its peers had. Of several hosts on one port an endpoint may well be the client,
// with a port of its own that it keeps; who meets many ports is the service. The
// number of bits is close to that of ports as long as these are few. The top bit says
// that the endpoint accepted what a handshake asked for.
type knowledge uint64

const servedBit knowledge = 1 << 63

func (k knowledge) served() bool { return k&servedBit != 0 }

// popularity is about how many ports the endpoint's peers had, 63 at most.
func (k knowledge) popularity() int { return bits.OnesCount64(uint64(k &^ servedBit)) }

// peer is the bit that an endpoint has among the peers of another. Ports that are
// drawn one after the other, as many systems do, have different ones.
func (s *service) peer() knowledge { return 1 << (s.port & 0xffff % 63) }

// serve notes that an endpoint accepted what a handshake asked for.
func (l *learned) serve(s service) { l.add(s, servedBit) }

// meet notes that two endpoints were in conversation.
func (l *learned) meet(a, b service) {
	l.add(a, b.peer())
	l.add(b, a.peer())
}

// refuse notes that s refused what peer had asked for, unseen: an RST with ACK, alone. Who is
// talked to by many in this way (the victim of spoofed SYNs, of whose answers a
// network of the spoofed addresses sees a part) is no client of theirs.
func (l *learned) refuse(s, peer service) { l.add(s, peer.peer()) }

// add adds to what is known of s.
func (l *learned) add(s service, more knowledge) {
	if l.waiting == len(l.lessons) {
		l.settle()
	}
	l.lessons[l.waiting] = lesson{s, more}
	l.waiting++
}

// settle takes in the lessons that wait.
func (l *learned) settle() {
	if l.waiting == 0 {
		return
	}
	if l.memory.sets == nil {
		l.memory = newMemory[knowledge](learnedEndpoints)
	}
	lessons := l.lessons[:l.waiting]
	for i := range lessons {
		l.touch(&lessons[i].of)
	}
	for i := range lessons {
		k, lost := l.memory.put(&lessons[i].of)
		*k |= lessons[i].more
		if lost.who != 0 {
			l.forgot++
		}
	}
	l.waiting = 0
}

// touch reads where s would be, before of does or settle.
func (l *learned) touch(s *service) {
	if l.memory.sets != nil {
		l.touched += l.memory.set(s)[0].who
	}
}

// of returns what is known of s, lessons that wait left out.
func (l *learned) of(s service) knowledge {
	if k := l.memory.of(s); k != nil {
		return *k
	}
	return 0
}

// announced remembers the endpoints that control Flows named. It is filled in
// packet order.
type announced struct {
	memory memory[promise] // empty until something is announced
	// some has a bit for each set that ever had a promise. Nearly all Flows that
	// begin have no endpoint in one of these, and so ask nothing of memory far away.
	some    [announcedEndpoints / seatsInSet / 64]uint64
	forgot  uint64 // endpoints that gave up a seat while a Flow was still expected
	touched uint64 // keeps touch from being optimized away
}

const (
	announcedEndpoints = 1 << 14

	// expectation is how long a Flow is waited for: since the announcement, or since
	// the last one that kept it. Linux' connection tracking waits for FTP's data
	// connections as long.
	expectation = int64(5 * time.Minute)
)

// A promise is what was announced of an endpoint, and the clock at that time.
type promise struct {
	since int64
	asker bool // it is the client; else the service
}

// announce takes in what the sender of a packet with Key k announced.
func (a *announced) announce(k *Key, from int, n *Announcement, clock int64) {
	if a.memory.sets == nil {
		a.memory = newMemory[promise](announcedEndpoints)
	}
	s := k.serviceAt(from, n.Transport, n.Port)
	word, bit := a.bit(&s)
	*word |= bit
	p, lost := a.memory.put(&s)
	*p = promise{clock, n.Asker}
	if lost.who != 0 && clock-lost.value.since <= expectation {
		a.forgot++
	}
}

// bit is that of an endpoint's set.
func (a *announced) bit(s *service) (word *uint64, bit uint64) {
	set := a.memory.number(s)
	return &a.some[set/64], 1 << (set % 64)
}

// mayHave reports whether the endpoint's set ever had a promise.
func (a *announced) mayHave(s *service) bool {
	word, bit := a.bit(s)
	return *word&bit != 0
}

// touch reads what expected is going to read.
func (a *announced) touch(k *Key) {
	if a.memory.sets == nil {
		return
	}
	for side := range 2 {
		if s := k.service(side); a.mayHave(&s) {
			a.touched += a.memory.set(&s)[0].who
		}
	}
}

// expected returns which side of a Flow that begins was announced as the service, or
// the other one's side as the client's; nobody if neither was, or both. The
// expectation lasts as long again.
func (a *announced) expected(k *Key, clock int64) (service int) {
	if a.memory.sets == nil {
		return nobody
	}
	var serves [2]bool
	for side := range 2 {
		s := k.service(side)
		if !a.mayHave(&s) {
			continue
		}
		if p := a.memory.of(s); p != nil && clock-p.since <= expectation {
			p.since = clock
			if p.asker {
				serves[1-side] = true
			} else {
				serves[side] = true
			}
		}
	}
	return either(serves[0], serves[1])
}
