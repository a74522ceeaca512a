package flow

import "time"

// announced remembers the endpoints that control Flows named. It is filled in
// packet order.
type announced struct {
	memory memory[promise] // empty until something is announced
	// ports has a bit for each port ever announced, at any address. Nearly all new Flows
	// have none of these ports, and so need no read of distant memory.
	ports   [1 << 16 / 64]uint64
	forgot  uint64 // endpoints that lost their seat while a Flow was still expected
	touched uint64 // keeps touch from being optimized away
}

const (
	announcedEndpoints = 1 << 14

	// expectation is how long a Flow is expected: from the announcement, or from the last
	// Flow that matched it. Linux connection tracking waits as long for FTP data
	// connections.
	expectation = int64(5 * time.Minute)
)

// A promise is what was announced about an endpoint.
type promise struct {
	since int64 // the clock at the announcement, or at the last Flow that matched it
	asker bool  // the endpoint is the client; else the service
}

// announce records what the sender of a packet with Key k announced.
func (a *announced) announce(k *Key, from int, n *Announcement, clock int64) {
	if a.memory.sets == nil {
		a.memory = newMemory[promise](announcedEndpoints)
	}
	a.ports[n.Port/64] |= 1 << (n.Port % 64)
	s := k.serviceAt(from, n.Transport, n.Port)
	p, lost := a.memory.put(a.memory.spot(&s))
	*p = promise{clock, n.Asker}
	if lost.who != 0 && clock-lost.value.since <= expectation {
		a.forgot++
	}
}

// any reports whether there was an announcement.
func (a *announced) any() bool { return a.memory.sets != nil }

// mayHave reports whether a port was ever announced.
func (a *announced) mayHave(port uint16) bool { return a.ports[port/64]>>(port%64)&1 != 0 }

// touch reads what expected is going to read.
func (a *announced) touch(k *Key) {
	for side := range 2 {
		if a.mayHave(k.port(side)) {
			s := k.service(side)
			a.touched += a.memory.touch(a.memory.number(&s))
		}
	}
}

// expected returns the side of a new Flow that was announced as the service, or whose peer
// was announced as the client; nobody if that holds for neither side or for both. A match
// renews its expectation.
func (a *announced) expected(k *Key, clock int64) (service int) {
	var serves [2]bool
	for side := range 2 {
		if !a.mayHave(k.port(side)) {
			continue
		}
		s := k.service(side)
		if p := a.memory.of(a.memory.spot(&s)); p != nil && clock-p.since <= expectation {
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
