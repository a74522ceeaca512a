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
	if s := either(e.known[0].served, e.known[1].served); s != nobody {
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
	first, second := bits.OnesCount64(e.known[0].peers), bits.OnesCount64(e.known[1].peers)
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
// that do not show it themselves. It is filled in packet order, and forgets in
// an order that depends on that alone: when young holds as many endpoints as it
// may, it becomes old, and what was old and not used since is gone.
type learned struct {
	young, old map[service]knowledge
	forgot     uint64 // how often endpoints were forgotten
}

// learnedEndpoints bounds each of the two generations: about 2 MiB.
const learnedEndpoints = 1 << 15

// A service is an endpoint as its clients name it.
type service struct {
	addr      [2]uint64
	port      uint16
	version   uint8
	transport Transport
}

// knowledge is what was seen of an endpoint.
type knowledge struct {
	// peers has a bit for each peer, chosen by a hash: the number of bits is
	// close to that of peers as long as these are few.
	peers uint64
	// served: a handshake that was answered had the endpoint as responder.
	served bool
}

func (k *Key) service(side int) service {
	return service{
		addr:      [2]uint64{k.addr[2*side], k.addr[2*side+1]},
		port:      k.port(side),
		version:   k.Version(),
		transport: k.Transport(),
	}
}

// peerBit is the bit that an endpoint has among the peers of another.
func (s *service) peerBit() uint64 {
	h := mix(s.addr[0]^fixed[0], s.addr[1]^fixed[1])
	return 1 << (mix(h^uint64(s.port), fixed[2]) >> 58)
}

// served notes that the endpoint answered a handshake.
func (l *learned) served(s service) {
	if l.young[s].served {
		return
	}
	k := l.recall(s)
	k.served = true
	l.young[s] = k
}

// met notes that two endpoints were in conversation.
func (l *learned) met(a, b service) {
	l.peer(a, b.peerBit())
	l.peer(b, a.peerBit())
}

func (l *learned) peer(s service, bit uint64) {
	if l.young[s].peers&bit != 0 {
		return
	}
	k := l.recall(s)
	k.peers |= bit
	l.young[s] = k
}

// recall returns what is known of s, and makes room for it among the young.
func (l *learned) recall(s service) knowledge {
	k, ok := l.young[s]
	if ok {
		return k
	}
	k = l.old[s]
	if l.young == nil {
		l.young, l.old = make(map[service]knowledge), make(map[service]knowledge)
	}
	if len(l.young) >= learnedEndpoints {
		if len(l.old) > 0 {
			l.forgot++
		}
		clear(l.old)
		l.young, l.old = l.old, l.young
	}
	return k
}

// of returns what is known of s.
func (l *learned) of(s service) knowledge {
	if k, ok := l.young[s]; ok {
		return k
	}
	return l.old[s]
}
