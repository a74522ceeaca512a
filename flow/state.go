package flow

import "math/bits"

// progress is how far a conversation has come: what its packets have said so far, apart
// from their counts. Sides are the Key's: 0 is the first endpoint.
type progress struct {
	// history holds the letters' codes, four bits each from the bottom, in the order of
	// their first appearance; letters has a bit for each letter in it.
	history uint64
	letters uint16
	facts   facts
	flags   [2]TCPFlags
	state   State
	life    life
}

// facts are what is known of a Flow, one bit each.
type facts uint16

const (
	// secondBegan: the Key's second endpoint sent the first packet.
	secondBegan facts = 1 << iota
	// opened: a handshake showed the initiator; secondOpened: it is the second endpoint.
	opened
	secondOpened
	// groupFirst, groupSecond: the endpoint is a multicast or broadcast address.
	groupFirst
	groupSecond
	// begun: a packet that opens nothing was seen. A SYN after it belongs to another Flow.
	begun
	// over: FIN both ways, or RST.
	over
	// midstream: the beginning was not seen.
	midstream
	// settled: when the Flow began, the capture had run long enough to have seen any
	// earlier packet of the Flow.
	settled
	// live: the entry is of a Flow that has not ended.
	live
	// fresh: the next record has no packet with a time yet. late: it has one that was
	// behind the clock or had no time; see margin.
	fresh
	late
	// announcedFirst, announcedSecond: the endpoint was announced as the service.
	announcedFirst
	announcedSecond
	// steady: answered, under way, and not over.
	steady
)

// life is how long a Flow lives without packets: an index into Table.lives.
type life uint8

const (
	unanswered life = iota // Attempt, Rejected
	connected              // Established, with TCP
	exchanging             // the rest
	lingering              // over
	lives
)

// begin notes what the first packet alone tells.
func (g *progress) begin(p *Packet) {
	if p.Marks&Reverse != 0 {
		g.facts |= secondBegan
	}
	switch p.Key.Transport() {
	case TCP:
		if p.Flags&(SYN|ACK|RST) != SYN {
			g.facts |= midstream
		}
	case SCTP, DCCP:
		if p.Marks&Request == 0 {
			g.facts |= midstream
		}
	}
}

// reopens reports whether p opens another Flow than the current one. A SYN that repeats an
// unanswered or half-answered one does not: only SYNs and SYN-ACKs came before it.
func (g *progress) reopens(p *Packet) bool {
	opening := p.Marks&Request != 0
	if p.Key.Transport() == TCP {
		opening = p.Flags&(SYN|ACK|RST) == SYN
	}
	return opening && g.facts&(begun|over) != 0
}

// accepts reports whether p accepts what another packet asked for, which makes its sender a
// service.
func (p *Packet) accepts() bool {
	return p.Flags&(SYN|ACK|RST) == SYN|ACK || p.Marks&Response != 0
}

// routine reports whether p is one of the packets that make up most of a long conversation,
// in which step would find nothing new.
func (g *progress) routine(p *Packet) bool {
	const unusual = ^(Reverse | Data)
	from := p.Marks & Reverse
	known := g.flags[from] &^ (SYN | FIN | RST)
	if p.Marks&unusual != 0 || p.Flags&^known != 0 || g.facts&(steady|fresh|late) != steady {
		return false
	}
	letter := uint16(0)
	switch {
	case p.Marks&Data != 0:
		letter = letterD
	case p.Flags&ACK != 0:
		letter = letterA
	}
	return letter&^(g.letters>>(int(from)*letters)) == 0
}

// step takes in a packet from side from; sent has each side's counts, this packet included.
func (g *progress) step(p *Packet, from int, sent *[2]Count) {
	g.flags[from] |= p.Flags
	if p.Marks&Group != 0 {
		g.facts |= groupSecond >> from
	}
	t := p.Key.Transport()
	if t == TCP {
		g.tcp(p, from, sent)
	} else {
		g.datagram(t, p, from, sent)
	}
	g.note(p, from)
	g.life = g.lifeOf(t)
	if g.state == Established && g.facts&(begun|over) == begun {
		g.facts |= steady
	} else {
		g.facts &^= steady
	}
}

// tcp follows a connection (RFC 9293 section 3.5, seen from outside).
func (g *progress) tcp(p *Packet, from int, sent *[2]Count) {
	switch p.Flags & (SYN | ACK | RST) {
	case SYN:
		g.open(from)
		g.facts &^= midstream // the SYN-ACK was captured before its SYN
	case SYN | ACK:
		g.open(1 - from)
	default:
		g.facts |= begun
	}
	if p.Flags&RST != 0 {
		g.reset(from, sent)
		return
	}
	if g.facts&over != 0 {
		g.answerLate(sent)
		return
	}
	g.answer(sent, p.Marks&Data != 0 && p.Flags&SYN == 0)
	if g.flags[0]&g.flags[1]&FIN != 0 {
		g.state = Closed
		g.facts |= over
	}
}

// reset takes in an RST: it ends the Flow, and before any answer it is a refusal, unless
// the only side that has sent anything so far is giving up.
func (g *progress) reset(from int, sent *[2]Count) {
	switch g.state {
	case Established:
		g.state = Reset
	case Attempt, OneWay:
		if sent[1-from].Packets > 0 || sent[from].Packets == 1 {
			g.state = Rejected
		}
	}
	g.facts |= over
}

// datagram follows the transports that have no flags.
func (g *progress) datagram(t Transport, p *Packet, from int, sent *[2]Count) {
	goesOn := p.Marks&Data != 0
	if p.Flags&RST != 0 { // SCTP ABORT, DCCP Reset
		g.facts |= begun
		g.reset(from, sent)
		return
	}
	if g.facts&over != 0 {
		g.answerLate(sent)
		return
	}
	switch {
	case t == UDP || t == UDPLite:
		g.facts |= begun // no packet opens such a Flow
		goesOn = sent[from].Packets > 2
	case p.Marks&Request != 0:
		g.open(from)
		g.facts &^= midstream
		goesOn = false
	case p.Marks&Response != 0:
		g.open(1 - from)
		goesOn = false
	default:
		g.facts |= begun
	}
	g.answer(sent, goesOn)
}

// answer derives the state of a Flow that is not over from who has sent, and from whether
// an unanswered side goes on after its opening.
func (g *progress) answer(sent *[2]Count, goesOn bool) {
	switch {
	case g.state == Established:
	case sent[0].Packets > 0 && sent[1].Packets > 0:
		g.state = Established
	case goesOn && g.state == Attempt:
		g.state = OneWay
	}
}

// answerLate is answer for a Flow that is over: a side that has given up without an answer
// may still get one that was already on its way.
func (g *progress) answerLate(sent *[2]Count) {
	if (g.state == Attempt || g.state == OneWay) && sent[0].Packets > 0 && sent[1].Packets > 0 {
		g.state = Reset
	}
}

// unreachable takes in an ICMP error about a packet from side from.
func (g *progress) unreachable(t Transport, from int, sent *[2]Count) {
	if sent[from].Packets > 0 && sent[1-from].Packets == 0 && g.facts&over == 0 {
		g.state = Rejected
		g.life = g.lifeOf(t)
	}
}

// open notes the initiator, once: in a simultaneous open it is the first to send a SYN.
func (g *progress) open(initiator int) {
	if g.facts&opened == 0 {
		g.facts |= opened | secondOpened*facts(initiator)
	}
}

func (g *progress) lifeOf(t Transport) life {
	switch {
	case g.facts&over != 0:
		return lingering
	case g.state == Attempt || g.state == Rejected:
		return unanswered
	case g.state == Established && t == TCP:
		return connected
	}
	return exchanging
}

// The letters of a history, as in Zeek's conn.log: S H A D F R for SYN, SYN-ACK, ACK alone,
// data, FIN, RST. One packet's letters come in this order.
const letters = 6 // per side

// spelling has the letters by their codes, the first endpoint's and then the second's: once
// for a source that is the first endpoint, once for one that is the second.
var spelling = [2]string{"\x00SHADFRshadfr\x00\x00\x00", "\x00shadfrSHADFR\x00\x00\x00"}

const (
	letterS = 1 << iota
	letterH
	letterA
	letterD
	letterF
	letterR
)

// note adds the letters that p brings for the first time.
func (g *progress) note(p *Packet, from int) {
	seen := uint16(lettersOf[p.Flags])
	if p.Marks&Data != 0 {
		seen = seen&^letterA | letterD
	}
	fresh := seen << (from * letters) &^ g.letters
	for ; fresh != 0; fresh &= fresh - 1 {
		code := uint64(bits.TrailingZeros16(fresh))
		g.history |= (code + 1) << (4 * bits.OnesCount16(g.letters))
		g.letters |= fresh & -fresh
	}
}

// lettersOf has the letters for each set of flags.
var lettersOf = func() (all [256]uint8) {
	for i := range all {
		f, seen := TCPFlags(i), uint8(0)
		switch {
		case f&(SYN|ACK) == SYN|ACK:
			seen = letterH
		case f&SYN != 0:
			seen = letterS
		case f&(FIN|RST|ACK) == ACK:
			seen = letterA
		}
		if f&FIN != 0 {
			seen |= letterF
		}
		if f&RST != 0 {
			seen |= letterR
		}
		all[i] = seen
	}
	return all
}()

// spell writes the history, with the source's letters in upper case, and returns its
// length.
func (g *progress) spell(text *[16]byte, source int) (n uint8) {
	alphabet := spelling[source&1]
	for h := g.history; h != 0; h >>= 4 {
		text[n&15] = alphabet[h&15]
		n++
	}
	return n
}
