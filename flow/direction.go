package flow

import "math/bits"

// nobody stands for a side that is not known.
const nobody = -1

// evidence is what a Flow's direction is told from. Sides are the Key's.
type evidence struct {
	transport Transport
	port      [2]uint16
	opener    int          // who opened it, by a handshake; or nobody
	group     int          // who is a multicast or broadcast address; or nobody
	known     [2]knowledge // what other Flows showed of the endpoint
	assigned  [2]bool      // the registry assigns the port
	beginner  int          // who sent the first packet
	settled   bool         // the first packet is the Flow's, not only the capture's
}

// verdict says which side is the service, and by which of the methods, the
// strongest first.
func (e *evidence) verdict() (service int, d Direction) {
	if e.opener != nobody {
		return 1 - e.opener, Direction{Handshake, High}
	}
	if e.group != nobody {
		return e.group, Direction{Multicast, High}
	}
	if s := either(e.known[0].served(), e.known[1].served()); s != nobody {
		return s, Direction{Learned, High}
	}
	if s := e.popular(); s != nobody {
		return s, Direction{Learned, Medium}
	}
	if e.port[0] == e.port[1] {
		// Which side serves is open, but not on which port: both have it.
		return 1 - e.beginner, Direction{Symmetric, Medium}
	}
	if s := either(e.assigned[0], e.assigned[1]); s != nobody {
		return s, Direction{Registered, Medium}
	}
	if s := either(!ephemeral(e.port[0]), !ephemeral(e.port[1])); s != nobody {
		return s, Direction{Range, Medium}
	}
	if e.transport == UDP {
		return 1 - e.beginner, Direction{FirstPacket, e.trust()}
	}
	return lower(e.port), Direction{LowerPort, Low}
}

// popular is the side that at least three peers used, and more than used the
// other.
func (e *evidence) popular() int {
	const enough = 3
	first, second := e.known[0].popularity(), e.known[1].popularity()
	if first == second || max(first, second) < enough {
		return nobody
	}
	return either(first > second, second > first)
}

// trust grades the first packet as evidence.
func (e *evidence) trust() Confidence {
	if e.settled {
		return Medium
	}
	return Low
}

// either is the side for which alone a condition holds, or nobody.
func either(first, second bool) int {
	switch {
	case first == second:
		return nobody
	case first:
		return 0
	}
	return 1
}

func lower(port [2]uint16) int { return either(port[0] < port[1], port[1] < port[0]) }

// ephemeral reports whether clients draw the port: it is a Dynamic Port
// (49152-65535, RFC 6335 section 6) or in Linux's usual range (32768-60999).
func ephemeral(port uint16) bool { return port >= 32768 }

// learned remembers what Flows showed of endpoints, for the direction of those
// that do not show it themselves. It is filled in packet order.
//
// Its memory is a fixed number of sets, one cache line each, in which an
// endpoint has one of a few seats; who has not been used for longest gives up
// the seat. Which set an endpoint belongs to has no seed, for the reason that
// partitionOf has none.
type learned struct {
	sets   []set // nil until something is learned
	seed   seed
	forgot uint64 // endpoints that gave up a seat
}

const (
	learnedSets      = 1 << 14
	learnedSeats     = 4 // in a set
	learnedEndpoints = learnedSets * learnedSeats
)

// set has the endpoint used last first.
type set [learnedSeats]knowledge

// knowledge is what was seen of an endpoint.
type knowledge struct {
	// who is a hash of the endpoint, with a seed; 0 is nobody.
	who uint64
	// peers has a bit for each peer, chosen by a hash, below the top one: the
	// number of bits is close to that of peers as long as these are few. The top
	// bit says that the endpoint was the responder of an answered handshake.
	peers uint64
}

const servedBit = 1 << 63

func (k knowledge) served() bool { return k.peers&servedBit != 0 }

// popularity is about how many peers the endpoint had, 63 at most.
func (k knowledge) popularity() int { return bits.OnesCount64(k.peers &^ servedBit) }

// A service is an endpoint as its clients name it.
type service struct {
	addr [2]uint64
	port uint64 // with IP version and transport above it
}

func (k *Key) service(side int) service {
	return service{
		addr: [2]uint64{k.addr[2*side], k.addr[2*side+1]},
		port: k.network&0xffff<<16 | uint64(k.port(side)),
	}
}

// place hashes an endpoint without a seed: to the set it belongs to, and to the
// bit it has among the peers of another.
func (s *service) place() (set int, bit uint64) {
	h := mix(mix(s.addr[0]^fixed[0], s.addr[1]^fixed[1])^s.port, fixed[2])
	return int(h % learnedSets), 1 << (h >> 32 % 63)
}

func (l *learned) who(s *service) uint64 {
	h := mix(s.addr[0]^l.seed[0], s.addr[1]^l.seed[1])
	return mix(h^l.seed[2], s.port^l.seed[3]) | 1
}

// serve notes that an endpoint answered a handshake.
func (l *learned) serve(s service) { l.add(s, servedBit) }

// meet notes that two endpoints were in conversation.
func (l *learned) meet(a, b service) {
	_, bit := b.place()
	l.add(a, bit)
	_, bit = a.place()
	l.add(b, bit)
}

// add gives s the first seat of its set, and adds to what is known of it.
func (l *learned) add(s service, peer uint64) {
	if l.sets == nil {
		l.sets, l.seed = make([]set, learnedSets), newSeed()
	}
	i, _ := s.place()
	seats, who := &l.sets[i], l.who(&s)
	this := knowledge{who: who}
	for seat := range seats {
		seats[seat], this = this, seats[seat]
		if this.who == who {
			seats[0].peers = this.peers | peer
			return
		}
	}
	seats[0].peers = peer
	if this.who != 0 {
		l.forgot++
	}
}

// of returns what is known of s.
func (l *learned) of(s service) knowledge {
	if l.sets == nil {
		return knowledge{}
	}
	i, _ := s.place()
	who := l.who(&s)
	for _, k := range l.sets[i] {
		if k.who == who {
			return k
		}
	}
	return knowledge{}
}
