package export

import (
	"slices"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// Zeek writes records as JSON lines of Zeek 8.2's conn.log: the fields of Conn::Info
// in base/protocols/conn/main.zeek, community_id, vlan and inner_vlan of its policy
// scripts, and after them the portwatch object.
//
// Whatever headers and ports cannot tell is left out, as Zeek leaves out fields that
// are not set: service, which is for confirmed protocols; orig_bytes and resp_bytes,
// which count payload by sequence numbers; missed_bytes; local_orig and local_resp, for
// lack of a list of local networks; and tunnel_parents, which would need the uid of the
// outer Flow.
//
// duration covers all packets, whereas Zeek leaves out those after a FIN that have no
// payload. A Flow with several records has several lines with one uid. Each has the
// times and counts of what came since the one before it, so that they add up.
type Zeek struct {
	object *object
}

// NewZeek returns a format for records that were annotated from reg.
func NewZeek(reg *registry.Registry, o Options) *Zeek {
	return &Zeek{newObject(reg, o)}
}

// Append appends r as one line. sequence counts the records of the run: a gap tells
// the receiver of a loss.
func (z *Zeek) Append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	f, e := r.Flow, z.object
	e.render(r)
	dst = slices.Grow(dst, typicalSize)
	dst = append(dst, `{"ts":`...)
	dst = appendMicros(dst, f.Start)
	dst = append(dst, `,"uid":"`...)
	dst = append32(dst, &e.id)
	dst = append(dst, `","id.orig_h":"`...)
	dst = e.source.append(dst)
	dst = append(dst, `","id.orig_p":`...)
	dst = appendUint(dst, uint64(f.Source.Port()))
	dst = append(dst, `,"id.resp_h":"`...)
	dst = e.destination.append(dst)
	dst = append(dst, `","id.resp_p":`...)
	dst = appendUint(dst, uint64(f.Destination.Port()))
	dst = append(dst, `,"proto":"`...)
	dst = append(dst, transportProto(f.Transport)...)
	dst = append(dst, '"')
	if f.End > f.Start {
		dst = append(dst, `,"duration":`...)
		dst = appendMicros(dst, int64(f.Duration()))
	}
	dst = append(dst, `,"conn_state":"`...)
	dst = append(dst, connState(f)...)
	dst = append(dst, '"')
	if f.HistoryLen > 0 {
		dst = append(dst, `,"history":"`...)
		dst = append(dst, f.History[:f.HistoryLen]...)
		dst = append(dst, '"')
	}
	dst = e.appendConnSize(dst, f)
	return e.append(dst, r, sequence)
}

// appendConnSize appends the counts, and the fields that follow them in Zeek.
func (e *ECS) appendConnSize(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"orig_pkts":`...)
	dst = appendUint(dst, f.Source.Packets)
	dst = append(dst, `,"orig_ip_bytes":`...)
	dst = appendUint(dst, f.Source.Octets)
	dst = append(dst, `,"resp_pkts":`...)
	dst = appendUint(dst, f.Destination.Packets)
	dst = append(dst, `,"resp_ip_bytes":`...)
	dst = appendUint(dst, f.Destination.Octets)
	dst = append(dst, `,"ip_proto":`...)
	dst = appendUint(dst, uint64(f.Transport))
	dst = append(dst, `,"community_id":"`...)
	dst = e.hasher.AppendCommunityID(dst)
	dst = append(dst, '"')
	if f.VLANs > 0 {
		dst = append(dst, `,"vlan":`...)
		dst = appendUint(dst, uint64(f.VLAN[0]))
	}
	if f.VLANs > 1 {
		dst = append(dst, `,"inner_vlan":`...)
		dst = appendUint(dst, uint64(f.VLAN[1]))
	}
	return dst
}

// transportProto returns t's value in Zeek's enumeration transport_proto, which has no
// value for the other transports.
func transportProto(t flow.Transport) string {
	switch t {
	case flow.TCP:
		return "tcp"
	case flow.UDP:
		return "udp"
	}
	return "unknown_transport"
}

// connState returns conn_state as the function conn_state in main.zeek decides it.
func connState(f *flow.Record) string {
	switch f.Transport {
	case flow.TCP:
		return tcpConnState(f.History[:f.HistoryLen])
	case flow.UDP:
		return udpConnState(f.Source.Total.Packets > 0, f.Destination.Total.Packets > 0)
	}
	return "OTH"
}

func udpConnState(originator, responder bool) string {
	switch {
	case originator && responder:
		return "SF"
	case originator:
		return "S0"
	case responder:
		return "SHR"
	}
	return "OTH"
}

// tcpConnState replays a history, whose letters are the events on which Zeek's states
// depend. It differs from Zeek if a second occurrence of a letter would matter, or if
// Zeek took the other side for the originator.
func tcpConnState(history []byte) string {
	var orig, resp zeekEndpoint
	payload := false
	for _, letter := range history {
		if letter < 'a' {
			orig.step(&resp, letter, true)
		} else {
			resp.step(&orig, letter-('a'-'A'), false)
		}
		payload = payload || letter == 'D' || letter == 'd'
	}
	o, r := orig.state, resp.state
	switch {
	case r == zeekReset:
		switch {
		case o == zeekSynSent || o == zeekSynAckSent || o == zeekReset && !payload:
			return "REJ"
		case o <= zeekPartial:
			return "RSTRH"
		}
		return "RSTR"
	case o == zeekReset:
		switch {
		case r > zeekPartial:
			return "RSTO"
		case gaveUp(history):
			return "RSTOS0"
		}
		return "OTH"
	case r == zeekClosed && o == zeekClosed:
		return "SF"
	case o == zeekClosed:
		if r <= zeekPartial {
			return "SH"
		}
		return "S2"
	case r == zeekClosed:
		if o <= zeekPartial {
			return "SHR"
		}
		return "S3"
	case o == zeekSynSent && r == zeekInactive:
		return "S0"
	case o == zeekEstablished && r == zeekEstablished:
		return "S1"
	}
	return "OTH"
}

// gaveUp reports whether main.zeek's /\^?S[^HAFGIQ]*R.*/ matches. Of its letters, our
// histories have only those below.
func gaveUp(history []byte) bool {
	if len(history) == 0 || history[0] != 'S' {
		return false
	}
	for _, letter := range history[1:] {
		switch letter {
		case 'R':
			return true
		case 'H', 'A', 'F':
			return false
		}
	}
	return false
}

// zeekState is the state of a TCP endpoint in Zeek.
type zeekState uint8

const (
	zeekInactive zeekState = iota
	zeekPartial            // main.zeek calls this state and the one before it inactive
	zeekSynSent
	zeekSynAckSent
	zeekEstablished
	zeekClosed
	zeekReset
)

type zeekEndpoint struct{ state, before zeekState }

func (e *zeekEndpoint) set(s zeekState) { e.before, e.state = e.state, s }

// step updates e, which sent a packet with this letter, as UpdateStateMachine in Zeek's
// TCPSessionAdapter.cc does.
func (e *zeekEndpoint) step(peer *zeekEndpoint, letter byte, originator bool) {
	switch e.state {
	case zeekInactive:
		e.wake(peer, letter, originator)
	case zeekSynSent, zeekSynAckSent:
		switch letter {
		case 'F':
			e.set(zeekClosed)
		case 'R':
			e.set(zeekReset)
		}
	case zeekEstablished, zeekPartial:
		switch letter {
		case 'S':
			if e.state == zeekPartial && peer.state == zeekInactive {
				e.set(zeekSynSent)
			}
		case 'F':
			e.set(zeekClosed)
			if peer.state == zeekReset && peer.before == zeekClosed {
				peer.set(zeekClosed) // it sent FIN, then RST: a normal end after all
			}
		case 'R':
			e.set(zeekReset)
		}
	case zeekClosed:
		if letter == 'R' && peer.state != zeekClosed {
			e.set(zeekReset)
		}
	}
}

// wake updates e for its first packet.
func (e *zeekEndpoint) wake(peer *zeekEndpoint, letter byte, originator bool) {
	switch letter {
	case 'S', 'H':
		switch {
		case !originator:
			if peer.state == zeekSynSent {
				peer.set(zeekEstablished)
			}
			e.set(zeekEstablished)
		case letter == 'H':
			e.set(zeekSynAckSent)
		default:
			e.set(zeekSynSent)
		}
	case 'F':
		e.set(zeekClosed)
	case 'R':
		e.set(zeekReset)
	default: // A, D
		switch {
		case !originator && letter == 'A' && peer.state == zeekSynSent:
			// Some hosts acknowledge a SYN before they answer it.
		case peer.state == zeekEstablished:
			e.set(zeekEstablished)
		default:
			e.set(zeekPartial)
		}
	}
}
