package flow

import (
	"math/bits"
	"slices"
)

// A lesson is what a Flow showed of an endpoint.
type lesson struct {
	of   service
	more knowledge
	// before is how many Flows ended before it was learned: of the table's, or, in an
	// Ends, of these.
	before uint64
}

// knowledge is what was seen of an endpoint. The top bit says that it accepted what a
// handshake asked for; the others stand for the ports that its peers had, each for every
// 63rd. Their number is close to that of the ports as long as these are few. It is ports
// that count: of several hosts on one port an endpoint may well be the client, with a port
// of its own that it keeps; an endpoint that meets many ports is the service.
type knowledge uint64

const servedBit knowledge = 1 << 63

func (k knowledge) served() bool { return k&servedBit != 0 }

// popularity is about how many ports the endpoint's peers had, 63 at most.
func (k knowledge) popularity() int { return bits.OnesCount64(uint64(k &^ servedBit)) }

// peer is the bit that an endpoint has among the peers of another. Ports that are
// drawn one after the other, as many systems do, have different ones.
func (s *service) peer() knowledge { return 1 << (s.port & 0xffff % 63) }

// noteLessons notes what a Flow that has just changed its state, by a packet of side
// from, shows of its endpoints. A scan's unanswered packets show nothing.
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
	default: // it has left a conversation
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

// refused notes that s refused what peer had asked for, unseen: an RST with ACK, alone. Who is
// talked to by many in this way (the victim of spoofed SYNs, of whose answers a
// network of the spoofed addresses sees a part) is no client of theirs.
func (t *Table) refused(s, peer service) { t.teach(s, peer.peer()) }

// teach adds to what is known of s, for Flows that are released later.
func (t *Table) teach(s service, more knowledge) {
	n := len(t.lessons)
	t.lessons = slices.Grow(t.lessons, 1)[:n+1]
	l := &t.lessons[n]
	l.of, l.more, l.before = s, more, t.released
}
