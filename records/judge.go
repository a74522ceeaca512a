package records

import (
	"bytes"
	"strconv"
	"strings"

	"github.com/portwatch/portwatch/flow"
)

// judge tells which side is the service, and what became of the Flow.
func (d *Reader) judge(r *Record, kind dialect, t flow.Transport, source, destination flow.Endpoint) {
	s := &d.scan
	var sent sides
	sent.read(s, kind)
	direction, reversed := d.told(kind, t, &sent, source, destination)
	if direction.Method == 0 {
		direction, reversed = flow.DirectionOf(t, source, destination, d.assigned)
	}
	f := &r.Flow
	f.Transport, f.Direction, r.Reversed = t, direction, reversed
	f.Source.Endpoint, f.Destination.Endpoint = source, destination
	f.Source.Flags, f.Destination.Flags = sent.flags[0], sent.flags[1]
	if reversed {
		f.Source, f.Destination = f.Destination, f.Source
	}
	f.Version = 6
	if source.Addr().Is4() {
		f.Version = 4
	}
	sent.payload(t, f.Version)
	switch {
	case kind == zeek && s.has(state):
		f.State = sent.zeekState(t, s.bytes(state))
	case kind == vpc && s.is(state, "REJECT"):
		f.State = flow.Rejected
	case sent.both:
		f.State = sent.state(t)
	default:
		f.State = sent.half(t, reversed)
	}
}

// sides are what both sides sent, the record's source first.
type sides struct {
	packets [2]uint64
	octets  [2]uint64
	data    [2]bool // payload, of TCP
	flags   [2]flow.TCPFlags
	flagged bool // flags are known
	both    bool // it is a record of both directions
}

func (v *sides) read(s *scanner, kind dialect) {
	v.packets[0], _ = s.number(sourcePackets)
	v.packets[1], v.both = s.number(destinationPackets)
	v.both = v.both || kind == zeek || kind == eve
	v.octets[0], _ = s.number(sourceOctets)
	v.octets[1], _ = s.number(destinationOctets)
	radix := 10
	if kind == eve {
		radix = 16 // "1b"
	}
	v.flagged = s.has(sourceFlags)
	v.flags[0] = parseFlags(s.bytes(sourceFlags), radix)
	v.flags[1] = parseFlags(s.bytes(destinationFlags), radix)
}

// payload tells who sent payload: more than the longest headers have, of IP and of TCP
// with options. No count makes the product overflow: the division is looked at first.
func (v *sides) payload(t flow.Transport, version uint8) {
	header := uint64(20 + 60)
	if version == 6 {
		header = 40 + 60
	}
	for i := range v.data {
		v.data[i] = t == flow.TCP && v.octets[i]/header >= v.packets[i] && v.octets[i] > header*v.packets[i]
	}
}

// parseFlags reads flags: a number, or nfdump's letters and points.
func parseFlags(text []byte, radix int) (flags flow.TCPFlags) {
	if digits, hex := bytes.CutPrefix(text, []byte("0x")); hex {
		text, radix = digits, 16
	}
	if len(text) == 0 {
		return 0
	}
	if n, err := strconv.ParseUint(string(text), radix, 16); err == nil {
		return flow.TCPFlags(n) // IPFIX has 16 bits, the upper ones of them not flags
	}
	const letters = "FSRPAUEC" // from the lowest bit on
	for _, c := range text {
		if bit := strings.IndexByte(letters, c); bit >= 0 {
			flags |= 1 << bit
		}
	}
	return flags
}

// told is the direction that the record itself tells; no method: it does not.
func (d *Reader) told(kind dialect, t flow.Transport, v *sides, source, destination flow.Endpoint) (_ flow.Direction, reversed bool) {
	s := &d.scan
	handshake := flow.Direction{Method: flow.Handshake, Confidence: flow.High}
	first := flow.Direction{Method: flow.FirstPacket, Confidence: flow.Medium}
	said := flow.Direction{Method: flow.Told, Confidence: flow.Medium}
	datagrams := t == flow.UDP || t == flow.UDPLite
	switch kind {
	case zeek:
		h := s.bytes(history)
		// ^ in front: Zeek took the sides for exchanged, and exchanged them.
		h = bytes.TrimPrefix(h, []byte("^"))
		switch {
		case t == flow.TCP && (bytes.HasPrefix(h, []byte("S")) || bytes.IndexByte(h, 'h') >= 0):
			return handshake, false
		case datagrams:
			return first, false
		case t != flow.TCP:
			return said, false
		}
	case eve:
		const both = flow.SYN | flow.ACK
		switch {
		case t == flow.TCP && v.flags[0]&flow.SYN != 0 && (v.flags[0]&both == flow.SYN || v.flags[1]&both == both):
			return handshake, false
		case !s.has(event): // somebody's who has Suricata's names
		case datagrams:
			return first, false
		case t != flow.TCP:
			return said, false
		}
	case ecs:
		switch first, second := s.isClient(source), s.isClient(destination); {
		case first != second:
			return said, second
		case initiatorIsSource(s):
			return said, false
		}
	case netflow:
		if t == flow.TCP && v.flags[0]&(flow.SYN|flow.ACK) == flow.SYN {
			return handshake, false
		}
	case vpc:
		// AWS sets SYN for a packet with SYN alone, both for one with SYN and ACK, and
		// ACK for no other.
		if t == flow.TCP && v.flags[0]&flow.SYN != 0 {
			return handshake, v.flags[0]&flow.ACK != 0
		}
	}
	return flow.Direction{}, false
}

// isClient reports whether a side is what the record has as client. Behind a proxy that is
// neither of them.
func (s *scanner) isClient(side flow.Endpoint) bool {
	port, is := parseUint(s.bytes(clientPort))
	if !is || port != uint64(side.Port()) {
		return false
	}
	a, is := parseAddr(s.bytes(clientAddr))
	return !s.has(clientAddr) || is && a.Unmap() == side.Addr().Unmap()
}

// initiatorIsSource knows the products that fill source with the initiator.
func initiatorIsSource(s *scanner) bool {
	switch string(s.bytes(product)) {
	case "portwatch", "zeek", "suricata", "network_traffic":
		return true
	}
	return s.is(agent, "packetbeat")
}

// zeekState translates conn_state, as base/protocols/conn/main.zeek explains it.
func (v *sides) zeekState(t flow.Transport, state []byte) flow.State {
	switch string(state) {
	case "SF":
		if t == flow.TCP {
			return flow.Closed
		}
		return flow.Established
	case "S1", "S2", "S3":
		return flow.Established
	case "RSTO", "RSTR", "RSTRH":
		return flow.Reset
	case "REJ":
		return flow.Rejected
	case "RSTOS0", "SH":
		return flow.Attempt
	case "SHR":
		if t == flow.TCP {
			return flow.Established // the responder's SYN-ACK was seen
		}
	case "S0":
		if t == flow.TCP {
			return flow.Attempt
		}
	}
	return v.state(t)
}

// state tells the state from what both directions show.
func (v *sides) state(t flow.Transport) flow.State {
	answered := v.packets[0] > 0 && v.packets[1] > 0
	if t == flow.TCP && v.flagged {
		switch any := v.flags[0] | v.flags[1]; {
		case any&flow.RST != 0 && v.flags[1]&flow.SYN == 0 && v.flags[0]&(flow.SYN|flow.ACK) == flow.SYN:
			return flow.Rejected
		case any&flow.RST != 0 && answered:
			return flow.Reset
		case v.flags[0]&v.flags[1]&flow.FIN != 0:
			return flow.Closed
		}
	}
	switch {
	case answered:
		return flow.Established
	case t == flow.TCP && (v.data[0] || v.data[1]), t != flow.TCP && v.packets[0]+v.packets[1] > 2:
		return flow.OneWay
	}
	return flow.Attempt
}

// half tells the state from one direction; fromService: the service's. A service that
// sends has answered, and a client that acknowledges or sends payload was: TCP sends it
// once it was answered.
func (v *sides) half(t flow.Transport, fromService bool) flow.State {
	flags := v.flags[0]
	switch {
	case t == flow.TCP && fromService && flags&flow.RST != 0 && flags&flow.SYN == 0 && v.packets[0] <= 1:
		return flow.Rejected
	case t == flow.TCP && flags&flow.RST != 0 && (fromService || flags&flow.ACK != 0):
		return flow.Reset
	case fromService, t == flow.TCP && (flags&flow.ACK != 0 || v.data[0]):
		return flow.Established
	case t != flow.TCP && v.packets[0] > 2:
		return flow.OneWay
	}
	return flow.Attempt
}
