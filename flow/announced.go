package flow

import "time"

// announced remembers the endpoints that control Flows named. It is filled in
// packet order.
type announced struct {
	memory memory[promise] // empty until something is announced
	// ports has a bit for each port that was ever announced, of whomever. Nearly all
	// Flows that begin have none of these, and so ask nothing of memory far away.
	ports   [1 << 16 / 64]uint64
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

// expected returns which side of a Flow that begins was announced as the service, or
// the other one's side as the client's; nobody if neither was, or both. The
// expectation lasts as long again.
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
