package capture

import (
	"hash/maphash"

	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

// A via is a tunnel header between an IP header and the one inside.
type via struct {
	kind flow.TunnelType
	id   uint32
	// shared: both directions use the same id, so it tells tunnels apart.
	shared bool
}

// through notes the tunnel header that was read, and goes on to what it carries.
func (d *digest) through(v via, next gopacket.LayerType, payload []byte) error {
	d.via = v
	return d.link(next, payload)
}

// nest makes the current level the one around a new level, whose IP header has the given version.
func (d *digest) nest(version uint8) error {
	switch {
	case d.tunnels == Outer:
		return errOuterOnly
	case d.depth == maxNesting:
		return errNesting
	}
	if d.tunnels == Inner && d.begins && d.appended == d.depth {
		d.fragments.firsts.dropOldest(d.begun) // the level makes no Flow, and nor do its later fragments
	}
	if d.via.kind == 0 {
		d.via.kind = ipInIP(d.ip.version, version)
	}
	var outer flow.Key
	if d.appended == d.depth {
		outer = d.batch.Packets[len(d.batch.Packets)-1].Key
	} else {
		d.key(&outer, &d.ip, flow.Transport(d.ip.protocol), 0)
	}
	d.around = flow.Tunnel{Type: d.via.kind, ID: d.via.id, Outer: outer, OuterProtocol: d.ip.protocol}
	d.tunnel = 0
	d.identity = d.identify()
	d.via = via{}
	d.tried = false
	return nil
}

// ipInIP returns the type of a tunnel that has no header of its own.
func ipInIP(outer, inner uint8) flow.TunnelType {
	switch {
	case outer == 4 && inner == 4:
		return flow.IPIP
	case outer == 4:
		return flow.SixIn4
	case inner == 4:
		return flow.FourIn6
	}
	return flow.SixIn6
}

// tunnelSeed differs in each process, so that knowing the source is not enough to choose
// two tunnels that have the same identity.
var tunnelSeed = maphash.MakeSeed()

// identify returns a hash that tells the tunnel being entered from others, and is the
// same in both directions: of its type, its ends, its id if shared, and the tunnel
// around it. It is never 0.
func (d *digest) identify() uint64 {
	a, b := d.ip.src, d.ip.dst
	if a[0] > b[0] || a[0] == b[0] && a[1] > b[1] {
		a, b = b, a
	}
	id := uint64(d.via.kind) << 32
	if d.via.shared {
		id |= uint64(d.via.id)
	}
	var words [48]byte
	for i, word := range [...]uint64{a[0], a[1], b[0], b[1], id, d.identity} {
		le.PutUint64(words[8*i:], word)
	}
	return max(1, maphash.Bytes(tunnelSeed, words[:]))
}

// inside returns the index of the current level's tunnel as flow.Packet has it. The tunnel
// is appended only with the level's first packet: most of what is carried has no ports.
func (d *digest) inside() uint32 {
	if d.tunnel == 0 {
		d.batch.Tunnels = append(d.batch.Tunnels, d.around)
		d.tunnel = uint32(len(d.batch.Tunnels))
	}
	return d.tunnel
}

// A greHeader is a GRE header (RFC 2784, RFC 2890), version 1 (RFC 2637) included.
type greHeader struct {
	flags, protocol uint16
	key             uint32
	length          int
}

// The bits of greHeader.flags.
const (
	greChecksum        = 0x8000
	greRouting         = 0x4000
	greKey             = 0x2000
	greSequence        = 0x1000
	greAcknowledgment  = 0x0080
	greVersion         = 0x0007
	greEnhancedVersion = 1
)

// readGRE reads a header with all its optional fields, and reports whether it is whole.
func readGRE(data []byte) (h greHeader, ok bool) {
	if len(data) < 4 {
		return h, false
	}
	h.flags, h.protocol, h.length = be.Uint16(data), be.Uint16(data[2:]), 4
	if h.flags&(greChecksum|greRouting) != 0 {
		h.length += 4
	}
	if h.flags&greKey != 0 {
		if len(data) < h.length+4 {
			return h, false
		}
		h.key = be.Uint32(data[h.length:])
		h.length += 4
	}
	if h.flags&greSequence != 0 {
		h.length += 4
	}
	if h.flags&greVersion == greEnhancedVersion && h.flags&greAcknowledgment != 0 {
		h.length += 4
	}
	if h.flags&greRouting != 0 {
		routes, ok := greRoutes(data[min(len(data), h.length):])
		if !ok {
			return h, false
		}
		h.length += routes
	}
	return h, h.flags&greVersion <= greEnhancedVersion && h.length <= len(data)
}

// greRoutes returns the length of the source routes (RFC 1701), and whether they end.
func greRoutes(data []byte) (length int, ok bool) {
	for length+4 <= len(data) {
		route := int(data[length+3])
		length += 4 + route
		if route == 0 {
			return length, true
		}
	}
	return 0, false
}

// gre reads a GRE header, and tells apart the tunnels that are built on it.
func (d *digest) gre(data []byte) error {
	const ethernet, erspan, erspan3 = 0x6558, 0x88be, 0x22eb
	h, ok := readGRE(data)
	if !ok {
		return errTunnel
	}
	payload := data[h.length:]
	switch {
	case h.flags&greVersion == greEnhancedVersion:
		call := h.key & 0xffff // each side has chosen its own; the other half is a length
		return d.through(via{flow.PPTP, call, false}, greProtocol(h.protocol), payload)
	case h.protocol == erspan && h.flags&greSequence == 0: // type I has no header
		return d.through(via{flow.ERSPAN, 0, true}, layerEthernet, payload)
	case h.protocol == erspan:
		return d.erspan(payload, 8)
	case h.protocol == erspan3:
		return d.erspan(payload, 12)
	case h.protocol == ethernet && h.flags == greKey && virtualSubnet(h.key>>8):
		return d.through(via{flow.NVGRE, h.key >> 8, true}, layerEthernet, payload)
	}
	kind := flow.GRE
	if d.via.kind == flow.GREOverUDP {
		kind = flow.GREOverUDP
	}
	return d.through(via{kind, h.key, true}, greProtocol(h.protocol), payload)
}

// virtualSubnet reports whether NVGRE may use the number (RFC 7637 section 3.2).
// With another key, Ethernet in GRE is just Ethernet in GRE.
func virtualSubnet(id uint32) bool { return id >= 0x1000 && id < 0xffffff }

// greProtocol returns the layer that GRE's protocol type announces: an EtherType, or one of a
// few that only GRE has.
func greProtocol(protocol uint16) gopacket.LayerType {
	switch {
	case protocol == 0x880b:
		return layerPPP
	case protocol == 0x6559:
		return layerFrameRelay
	case protocol == 0x883e:
		return layerWCCP
	case protocol >= 0x8200 && protocol <= 0x83f0 && protocol&0xf == 0: // Aruba's access points
		return layerIEEE80211
	}
	return etherType(protocol)
}

// wccp reads a packet that a router redirected, with or without the header of
// WCCP version 2 before it.
func (d *digest) wccp(data []byte) error {
	if len(data) > 4 && data[0]>>4 != 4 {
		data = data[4:]
	}
	return d.link(layerIPv4, data)
}

// erspan reads an ERSPAN header of type II (eight octets) or III (twelve, and a
// platform-specific part).
func (d *digest) erspan(data []byte, header int) error {
	const session, platform, frameType, frameIP = 0x3ff, 1, 0x7c00, 2 << 10
	if len(data) < header {
		return errTunnel
	}
	v := via{flow.ERSPAN, uint32(be.Uint16(data[2:]) & session), true}
	next := layerEthernet
	if header == 12 {
		if be.Uint16(data[10:])&frameType == frameIP {
			next = layerRaw
		}
		if data[11]&platform != 0 {
			header += 8
		}
	}
	return d.through(v, next, data[min(len(data), header):])
}

// etherIP reads the header of Ethernet in IP (RFC 3378), whose version is 3.
func (d *digest) etherIP(data []byte) error {
	if len(data) < 2 || data[0]>>4 != 3 {
		return errTunnel
	}
	return d.through(via{kind: flow.EtherIP}, layerEthernet, data[2:])
}

// ethernetInIP begins an Ethernet frame directly in IP (RFC 8986 section 9).
func (d *digest) ethernetInIP(data []byte) error {
	return d.through(via{kind: flow.EthernetInIP}, layerEthernet, data)
}

// mplsInIP begins a label stack directly in IP (RFC 4023).
func (d *digest) mplsInIP(data []byte) error {
	return d.through(via{kind: flow.MPLSInIP}, layerMPLS, data)
}
