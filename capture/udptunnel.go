package capture

import (
	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

// A port number proves nothing: a packet on a tunnel's port may be a client's DNS
// query. So the methods here check all that such a tunnel must have, and end the walk
// without a fault if something is missing: it stays a Flow like any other.

// udpTunnels has the tunnel that a UDP port is assigned to or commonly used for.
var udpTunnels = map[uint16]gopacket.LayerType{
	4789:  layerVXLAN,
	8472:  layerVXLAN, // Linux used it before 4789 was assigned
	4790:  layerVXLANGPE,
	6081:  layerGeneve,
	2152:  layerGTPU, // version 1
	3386:  layerGTPU, // version 0
	3544:  layerTeredo,
	5072:  layerAYIYA,
	5247:  layerCAPWAP,
	1701:  layerL2TP,
	4341:  layerLISP,
	37008: layerTZSP,
	6635:  layerMPLSOverUDP,
	4754:  layerGREOverUDP,
}

// readOn has a bit for each UDP port on which more than the header is read: a tunnel, or a
// control Flow's announcements. Both ports of each datagram are looked up.
var readOn = func() (all [1 << 16 / 64]uint64) {
	copy(all[:], controlPorts[:])
	for port := range udpTunnels {
		all[port/64] |= 1 << (port % 64)
	}
	return all
}()

func readsOn(port uint16) bool { return readOn[port/64]>>(port%64)&1 != 0 }

// udpTunnel returns the tunnel of a port, or zero.
func udpTunnel(port uint16) gopacket.LayerType {
	if !readsOn(port) {
		return gopacket.LayerTypeZero
	}
	return udpTunnels[port]
}

// try goes on to the tunnel that one of the ports of a UDP datagram may belong to.
func (d *digest) try(src, dst uint16, payload []byte) error {
	if d.tunnels == Outer {
		return nil
	}
	next := udpTunnel(dst)
	if next == gopacket.LayerTypeZero {
		next = udpTunnel(src)
	}
	d.tried = true
	d.next, d.payload = next, payload
	return nil
}

// vxlan reads a VXLAN header with a network identifier (RFC 7348 section 5).
func (d *digest) vxlan(data []byte) error {
	const identified = 0x08
	if len(data) < 8 || data[0]&identified == 0 {
		return nil
	}
	return d.through(via{flow.VXLAN, be.Uint32(data[4:]) >> 8, true}, layerEthernet, data[8:])
}

// vxlanGPE reads a VXLAN header that names what it carries (draft-ietf-nvo3-vxlan-gpe).
func (d *digest) vxlanGPE(data []byte) error {
	const identified, protocol = 0x08, 0x04
	if len(data) < 8 || data[0]&(identified|protocol) != identified|protocol {
		return nil
	}
	return d.through(via{flow.VXLANGPE, be.Uint32(data[4:]) >> 8, true}, nshProtocol(data[3]), data[8:])
}

// geneve reads a Geneve header of version 0 with its options (RFC 8926 section 3.4).
func (d *digest) geneve(data []byte) error {
	if len(data) < 8 || data[0]>>6 != 0 {
		return nil
	}
	length := 8 + 4*int(data[0]&0x3f)
	if length > len(data) {
		return nil
	}
	return d.through(via{flow.Geneve, be.Uint32(data[4:]) >> 8, true}, etherType(be.Uint16(data[2:])), data[length:])
}

// gtpu reads a GTP-U header that carries a user's packet: of version 1, with its extension
// headers (3GPP TS 29.281 section 5), or of version 0 (3GPP TS 29.060).
func (d *digest) gtpu(data []byte) error {
	const version, version1, version0, userPacket = 0xf0, 0x30, 0x10, 0xff
	if len(data) < 8 || data[1] != userPacket {
		return nil
	}
	header, id := 0, uint32(0)
	switch data[0] & version {
	case version1:
		header, id = gtpHeader(data), be.Uint32(data[4:])
	case version0:
		header = 20
	}
	if header == 0 || len(data) <= header {
		return nil
	}
	next, payload := layerRaw, data[header:]
	if bridged(payload) && !d.fits(payload) {
		next = layerEthernet
	}
	return d.through(via{kind: flow.GTPU, id: id}, next, payload)
}

// gtpHeader returns the length of a version 1 header, or 0 if it does not end within data.
func gtpHeader(data []byte) int {
	const extended, optional = 0x04, 0x07
	if data[0]&optional == 0 {
		return 8
	}
	header := 12
	if len(data) < header {
		return 0
	}
	for data[0]&extended != 0 && data[header-1] != 0 {
		if len(data) == header {
			return 0
		}
		length := 4 * int(data[header])
		if length == 0 || header+length > len(data) {
			return 0
		}
		header += length
	}
	return header
}

// teredo skips Teredo's authentication and origin (RFC 4380 section 5.1.1). An IPv6 packet
// follows, at least one address of which is Teredo's or link-local.
func (d *digest) teredo(data []byte) error {
	const authentication, origin = 1, 0
	if len(data) >= 4 && be.Uint16(data) == authentication {
		data = data[min(len(data), 13+int(data[2])+int(data[3])):]
	}
	if len(data) >= 8 && be.Uint16(data) == origin {
		data = data[8:]
	}
	if len(data) < 40 || !teredoAddress(data[8:]) && !teredoAddress(data[24:]) {
		return nil
	}
	return d.through(via{kind: flow.Teredo}, layerIPv6, data)
}

// teredoAddress reports whether an address is in 2001::/32, or link-local.
func teredoAddress(a []byte) bool {
	return be.Uint32(a) == 0x20010000 || be.Uint16(a)&0xffc0 == 0xfe80
}

// ayiya reads an AYIYA header with identity and signature
// (draft-massar-v6ops-ayiya), whose last field is an IP protocol.
func (d *digest) ayiya(data []byte) error {
	const forward, ipv4, ipv6 = 1, 4, 41
	if len(data) < 8 || data[2]&0xf != forward || data[3] != ipv4 && data[3] != ipv6 {
		return nil
	}
	next := layerIPv6
	if data[3] == ipv4 {
		next = layerIPv4
	}
	header := 8 + 1<<(data[0]>>4) + 4*int(data[1]>>4)
	return d.through(via{kind: flow.AYIYA}, next, data[min(len(data), header):])
}

// capwap reads the header of an unencrypted data packet (RFC 5415 section 4.3), which carries an
// 802.11 or an Ethernet frame.
func (d *digest) capwap(data []byte) error {
	const native, radio80211, keepAlive, fragment = 0x01, 0x02, 0x08, 0x80
	if len(data) < 8 || data[0] != 0 {
		return nil
	}
	length := 4 * int(data[1]>>3)
	if length < 8 || length > len(data) || data[3]&keepAlive != 0 || be.Uint16(data[6:])>>3 != 0 {
		return nil // the last condition: a later fragment
	}
	d.parted = d.parted || data[3]&fragment != 0
	next := layerEthernet
	if data[2]&native != 0 {
		if data[2]&0x3e != radio80211 {
			return nil
		}
		next = layerIEEE80211Swapped
	}
	return d.through(via{kind: flow.CAPWAP}, next, data[length:])
}

// l2tp reads the header of an L2TP version 2 data message (RFC 2661 section 3.1), which
// carries PPP. The sessions of version 3 do not say what they carry.
func (d *digest) l2tp(data []byte) error {
	const control, length, sequence, offset, reserved, version = 0x8000, 0x4000, 0x0800, 0x0200, 0x34f0, 0x000f
	if len(data) < 2 {
		return nil
	}
	flags, header := be.Uint16(data), 2
	if flags&(control|reserved) != 0 || flags&version != 2 {
		return nil
	}
	if flags&length != 0 {
		header += 2
	}
	if len(data) < header+4 {
		return nil
	}
	v := via{kind: flow.L2TP, id: be.Uint32(data[header:])}
	header += 4
	if flags&sequence != 0 {
		header += 4
	}
	if flags&offset != 0 {
		if len(data) < header+2 {
			return nil
		}
		header += 2 + int(be.Uint16(data[header:]))
	}
	return d.through(v, layerPPP, data[min(len(data), header):])
}

// lisp reads the header of a LISP data packet (RFC 9300 section 5.1).
func (d *digest) lisp(data []byte) error {
	const instance = 0x08
	if len(data) < 8 {
		return nil
	}
	v := via{kind: flow.LISP, shared: true}
	if data[0]&instance != 0 {
		v.id = be.Uint32(data[4:]) >> 8
	}
	return d.through(v, layerRaw, data[8:])
}

// tzsp reads a TaZmen Sniffer header and its tags. A frame that was captured elsewhere
// follows.
func (d *digest) tzsp(data []byte) error {
	const version, received, transmitted, padding, end = 1, 0, 1, 0, 1
	if len(data) < 4 || data[0] != version || data[1] != received && data[1] != transmitted {
		return nil
	}
	next := tzspProtocol(be.Uint16(data[2:]))
	for at := 4; at < len(data); {
		switch data[at] {
		case end:
			return d.through(via{kind: flow.TZSP}, next, data[at+1:])
		case padding:
			at++
		default:
			if at+1 == len(data) {
				return nil
			}
			at += 2 + int(data[at+1])
		}
	}
	return nil
}

// tzspProtocol returns the layer for TZSP's number of an encapsulation.
func tzspProtocol(number uint16) gopacket.LayerType {
	switch number {
	case 1:
		return layerEthernet
	case 18:
		return layerIEEE80211
	case 119:
		return layerPrism
	case 127:
		return layerAVS
	}
	return gopacket.LayerTypeZero
}

// mplsOverUDP begins a label stack in UDP (RFC 7510).
func (d *digest) mplsOverUDP(data []byte) error {
	return d.through(via{kind: flow.MPLSOverUDP}, layerMPLS, data)
}

// greOverUDP begins a GRE header in UDP (RFC 8086).
func (d *digest) greOverUDP(data []byte) error {
	return d.through(via{kind: flow.GREOverUDP}, layerGRE, data)
}
