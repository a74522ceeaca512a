package flow

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
