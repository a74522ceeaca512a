package flow

import (
	"math/bits"
	"slices"
)

// A lesson is what a Flow showed about an endpoint.
type lesson struct {
	of   service
	more knowledge
	// before is how many Flows ended before it was learned: of the table's or, in an Ends,
	// of its own.
	before uint64
}

// knowledge is what was seen of an endpoint. The top bit says that it accepted what a
// handshake asked for. The other 63 stand for the ports of its peers, each for every 63rd
// port: as long as the ports are few, the number of bits is close to theirs. Ports count,
// not hosts: if several hosts all use the same port, the endpoint may well be their client,
// with a port of its own that it keeps; an endpoint that meets many ports is the service.
type knowledge uint64

const servedBit knowledge = 1 << 63

func (k knowledge) served() bool { return k&servedBit != 0 }

// popularity returns about how many ports the endpoint's peers had, 63 at most.
func (k knowledge) popularity() int { return bits.OnesCount64(uint64(k &^ servedBit)) }

// peer returns the bit that stands for s among the peers of another endpoint. Ports drawn
// in sequence, as by many systems, have different bits.
func (s *service) peer() knowledge { return 1 << (s.port & 0xffff % 63) }

// noteLessons notes what a Flow whose state has just changed, by a packet from side from,
// shows about its endpoints. A scan's unanswered packets show nothing.
func (t *Table) noteLessons(e *entry, from int) {
	switch {
	case e.facts&(groupFirst|groupSecond) != 0, e.state == Attempt:
	case e.facts&opened != 0:
		if e.state == Established || e.state == Closed || e.state == Reset {
			t.serves(e.key.service(1 - e.initiator()))
		}
	case e.state != Rejected:
		t.met(e.key.service(0), e.key.service(1))
	case e.sent[1-from].Packets > 0:
	case e.flags[from]&ACK != 0:
		t.refused(e.key.service(from), e.key.service(1-from))
	default: // the sender has left a conversation
		t.met(e.key.service(0), e.key.service(1))
	}
}

// serves notes that an endpoint accepted what a handshake asked for.
func (t *Table) serves(s service) { t.teach(s, servedBit) }

// met notes that two endpoints were in conversation.
func (t *Table) met(a, b service) {
	t.teach(a, b.peer())
	t.teach(b, a.peer())
}

// refused notes that s refused a request of peer's that was not seen: its RST with ACK
// stands alone. An endpoint that answers many peers in this way is not their client. It may
// be the victim of spoofed SYNs, seen from a network that owns some of the spoofed
// addresses.
func (t *Table) refused(s, peer service) { t.teach(s, peer.peer()) }

// teach adds to what is known of s, for Flows that are released later.
func (t *Table) teach(s service, more knowledge) {
	n := len(t.lessons)
	t.lessons = slices.Grow(t.lessons, 1)[:n+1]
	l := &t.lessons[n]
	l.of, l.more, l.before = s, more, t.released
}
