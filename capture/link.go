package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"
)

// linkLayers has the layer that a frame of each link type begins with. A link
// type without one is counted as UnknownLink.
var linkLayers = [...]gopacket.LayerType{
	LinkNull:      layerNull,
	LinkEthernet:  layerEthernet,
	LinkPPP:       layerPPP,
	LinkRaw12:     layerRaw,
	LinkRaw14:     layerRaw,
	LinkPPPEther:  layerPPPoE,
	LinkRaw:       layerRaw,
	LinkLoop:      layerLoop,
	LinkLinuxSLL:  layerSLL,
	LinkMPLS:      layerMPLS,
	LinkIPv4:      layerIPv4,
	LinkIPv6:      layerIPv6,
	LinkLinuxSLL2: layerSLL2,
}

// etherType returns the layer behind an EtherType (IANA's "IEEE 802 Numbers"),
// zero for one that carries no IP.
func etherType(t uint16) gopacket.LayerType {
	switch t {
	case 0x0800:
		return layerIPv4
	case 0x86dd:
		return layerIPv6
	case 0x8100, 0x88a8, 0x9100, 0x9200: // the last two were QinQ before 802.1ad
		return layerVLAN
	case 0x8847, 0x8848:
		return layerMPLS
	case 0x8864:
		return layerPPPoE
	case 0x8870: // 802.3 frames longer than 1500 octets
		return layerLLC
	}
	return gopacket.LayerTypeZero
}

// maxLength is the largest value of an 802.3 length field; EtherTypes begin at
// 1536, and nothing is between.
const maxLength = 1500

// typeOrLength goes on behind a field that is an EtherType or an 802.3 length.
func (d *digest) typeOrLength(field uint16, payload []byte) error {
	if field > maxLength {
		return d.link(etherType(field), payload)
	}
	return d.link(layerLLC, payload[:min(len(payload), int(field))])
}

// ethernet reads an Ethernet II or IEEE 802.3 header.
func (d *digest) ethernet(data []byte) error {
	if len(data) < 14 {
		return errLink
	}
	d.broadcast = be.Uint32(data) == 0xffffffff && be.Uint16(data[4:]) == 0xffff
	return d.typeOrLength(be.Uint16(data[12:]), data[14:])
}

// vlan reads what follows the type of an IEEE 802.1Q tag.
func (d *digest) vlan(data []byte) error {
	if len(data) < 4 {
		return errVLAN
	}
	d.tag(be.Uint16(data) & 0xfff)
	return d.typeOrLength(be.Uint16(data[2:]), data[4:])
}

// tag notes a VLAN of the frame. Tags inside of a tunnel are not the frame's,
// and id 0 is a priority, no VLAN (IEEE 802.1Q): senders use it as they like in
// either direction.
func (d *digest) tag(id uint16) {
	if d.depth > 0 || id == 0 {
		return
	}
	if d.tags < 2 {
		d.vlans[d.tags] = id
	}
	if d.tags < 255 {
		d.tags++
	}
}

// llc reads an IEEE 802.2 header, and SNAP's where that follows (RFC 1042).
func (d *digest) llc(data []byte) error {
	const ip, snap, unnumbered = 0x06, 0xaa, 0x03
	if len(data) < 3 {
		return errLLC
	}
	if data[2] != unnumbered {
		return nil
	}
	switch {
	case data[0] == ip:
		return d.link(layerIPv4, data[3:])
	case data[0] == snap && data[1] == snap:
		return d.snap(data[3:])
	}
	return nil
}

// snap reads an organization and the protocol number that it gave.
func (d *digest) snap(data []byte) error {
	if len(data) < 5 {
		return errLLC
	}
	organization, protocol := be.Uint32(data)>>8, be.Uint16(data[3:])
	switch organization {
	case 0x000000, 0x0000f8: // EtherTypes; the second as bridges translate them (802.1H)
		return d.link(etherType(protocol), data[5:])
	}
	return nil
}

// sll reads Linux's cooked header, version 1.
func (d *digest) sll(data []byte) error {
	if len(data) < 16 {
		return errLink
	}
	d.broadcast = be.Uint16(data) == sllBroadcast
	return d.cooked(be.Uint16(data[14:]), data[16:])
}

// sll2 reads Linux's cooked header, version 2.
func (d *digest) sll2(data []byte) error {
	if len(data) < 20 {
		return errLink
	}
	d.broadcast = data[10] == sllBroadcast
	return d.cooked(be.Uint16(data), data[20:])
}

// sllBroadcast is the packet type of frames to the link's broadcast address.
const sllBroadcast = 1

// cooked goes on behind a cooked header, whose protocol field is an EtherType or one of
// Linux's ETH_P_ numbers below.
func (d *digest) cooked(protocol uint16, payload []byte) error {
	switch protocol {
	case 0x0004: // ETH_P_802_2
		return d.link(layerLLC, payload)
	case 0x0003: // ETH_P_ALL: seen with an Ethernet header
		return d.link(layerEthernet, payload)
	case 0x0007, 0x0008: // ETH_P_WAN_PPP, ETH_P_PPP_MP
		return d.link(layerPPP, payload)
	}
	return d.link(etherType(protocol), payload)
}

// null reads BSD's loopback header, whose family is in the byte order of the
// machine that captured.
func (d *digest) null(data []byte) error {
	if len(data) < 4 {
		return errLink
	}
	family := be.Uint32(data)
	if family>>16 != 0 {
		family = binary.LittleEndian.Uint32(data)
	}
	return d.family(family, data[4:])
}

// loop reads OpenBSD's loopback header, whose family is in network byte order.
// Files of other systems say LOOP and mean NULL.
func (d *digest) loop(data []byte) error { return d.null(data) }

// family goes on behind an address family, IPv6's being different on each system.
func (d *digest) family(family uint32, payload []byte) error {
	switch family {
	case 2:
		return d.link(layerIPv4, payload)
	case 10, // Linux
		23, // Windows
		24, // NetBSD, OpenBSD, BSD/OS, Npcap
		26, // Solaris
		28, // FreeBSD, DragonFly
		30: // macOS
		return d.link(layerIPv6, payload)
	}
	return nil
}

// raw tells IPv4 from IPv6 by the version in the first octet.
func (d *digest) raw(data []byte) error {
	switch {
	case len(data) > 0 && data[0]>>4 == 4:
		return d.link(layerIPv4, data)
	case len(data) > 0 && data[0]>>4 == 6:
		return d.link(layerIPv6, data)
	}
	return errLink
}

// pppoe reads the header of a PPPoE session (RFC 2516 section 4).
func (d *digest) pppoe(data []byte) error {
	const version1type1, session = 0x11, 0
	if len(data) < 6 || data[0] != version1type1 {
		return errPPP
	}
	if data[1] != session {
		return nil
	}
	length := int(be.Uint16(data[4:]))
	return d.link(layerPPP, data[6:min(len(data), 6+length)])
}

// ppp reads PPP with or without the address and control octets of HDLC-like framing (RFC
// 1662), with a protocol number of one octet or two (RFC 1661 section 6.5).
func (d *digest) ppp(data []byte) error {
	if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 {
		data = data[2:]
	}
	switch {
	case len(data) >= 1 && data[0]&1 == 1:
		return d.link(pppProtocol(uint16(data[0])), data[1:])
	case len(data) >= 2:
		return d.link(pppProtocol(be.Uint16(data)), data[2:])
	}
	return errPPP
}

// pppProtocol returns the layer behind a number of IANA's "PPP DLL Protocol Numbers".
func pppProtocol(number uint16) gopacket.LayerType {
	switch number {
	case 0x0021:
		return layerIPv4
	case 0x0057:
		return layerIPv6
	case 0x0281, 0x0283:
		return layerMPLS
	}
	return gopacket.LayerTypeZero
}

// mpls reads a label stack (RFC 3032). Nothing in it says what is below: IP is
// told by its version, which no other payload may look like (RFC 4385 section 3).
func (d *digest) mpls(data []byte) error {
	for bottom := false; !bottom; data = data[4:] {
		if len(data) < 4 {
			return errMPLS
		}
		bottom = data[2]&1 == 1
	}
	if len(data) > 0 && (data[0]>>4 == 4 || data[0]>>4 == 6) {
		return d.link(layerRaw, data)
	}
	return nil
}
