package capture

import "github.com/google/gopacket"

// linkLayers has the layer that a frame of each link type begins with. Frames of
// a link type without one are counted as UnknownLink.
var linkLayers = [...]gopacket.LayerType{
	LinkNull:            layerNull,
	LinkEthernet:        layerEthernet,
	LinkIEEE8025:        layerTokenRing,
	LinkARCNETBSD:       layerARCNETBSD,
	LinkPPP:             layerPPP,
	LinkFDDI:            layerFDDI,
	LinkRaw12:           layerRaw,
	LinkRaw14:           layerRaw,
	LinkPPPHDLC:         layerHDLC,
	LinkPPPEther:        layerPPPoE,
	LinkATMRFC1483:      layerLLC,
	LinkATMRFC1483DLT:   layerLLC,
	LinkRaw:             layerRaw,
	LinkCHDLC:           layerCHDLC,
	LinkIEEE80211:       layerIEEE80211,
	LinkATMCLIP:         layerATMCLIP,
	LinkSunATM:          layerSunATM,
	LinkFRelay:          layerFrameRelay,
	LinkLoop:            layerNull,
	LinkENC:             layerENC,
	LinkLinuxSLL:        layerSLL,
	LinkPFLog:           layerPFLog,
	LinkPrism:           layerPrism,
	LinkIPOverFC:        layerIPOverFC,
	LinkRadiotap:        layerRadiotap,
	LinkARCNETLinux:     layerARCNETLinux,
	LinkAppleIPOver1394: layerIPOver1394,
	LinkDOCSIS:          layerDOCSIS,
	LinkAVS:             layerAVS,
	LinkPPPPPPD:         layerPPPD,
	LinkJuniperGGSN:     layerJuniperGGSN,
	LinkJuniperATM2:     layerJuniperATM2,
	LinkJuniperATM1:     layerJuniperATM1,
	LinkJuniperPPPoE:    layerJuniperEther,
	LinkJuniperEther:    layerJuniperEther,
	LinkJuniperPPP:      layerJuniperPPP,
	LinkJuniperFRelay:   layerJuniperFRelay,
	LinkJuniperCHDLC:    layerJuniperCHDLC,
	LinkJuniperVoice:    layerJuniperVoice,
	LinkPPI:             layerPPI,
	LinkERF:             layerERF,
	LinkPPPWithDir:      layerPPPWithDir,
	LinkCHDLCWithDir:    layerCHDLCWithDir,
	LinkFRelayWithDir:   layerFRelayWithDir,
	LinkMPLS:            layerMPLS,
	LinkIPNET:           layerIPNET,
	LinkIPv4:            layerIPv4,
	LinkIPv6:            layerIPv6,
	LinkNFLog:           layerNFLog,
	LinkNetAnalyzer:     layerNetAnalyzer,
	LinkIPoIB:           layerIPoIB,
	LinkNetLink:         layerNoIP,
	LinkPKTAP:           layerPKTAP,
	LinkVSock:           layerNoIP,
	linkMPacket:         layerMPacket,
	LinkLinuxSLL2:       layerSLL2,

	linkUser2: layerUser2,
}

// linkLayer returns the layer of a link type, zero for one that is unknown.
func linkLayer(l LinkType) gopacket.LayerType {
	if int(l) < len(linkLayers) {
		return linkLayers[l]
	}
	return gopacket.LayerTypeZero
}

// etherType returns the layer that an EtherType announces (IANA's "IEEE 802
// Numbers"), zero for one that carries no IP.
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
	case 0x6558: // transparent bridging
		return layerEthernet
	case 0x88e7:
		return layerPBB
	case 0x8903:
		return layerFabricPath
	case 0x894f:
		return layerNSH
	case 0x22f3:
		return layerTRILL
	case 0x8926:
		return layerVNTag
	case 0x893f:
		return layerETag
	case 0x8909:
		return layerCiscoMetaData
	case 0x892f:
		return layerHSR
	case 0xf1c1:
		return layerRTag
	case 0x88e5:
		return layerMACsec
	case 0x4305:
		return layerBATMAN
	}
	return gopacket.LayerTypeZero
}

// maxLength is the largest value of an 802.3 length field; EtherTypes begin at
// 1536, and what is between is unused.
const maxLength = 1500

// typeOrLength continues after a field that is an EtherType or an 802.3 length.
func (d *digest) typeOrLength(field uint16, payload []byte) error {
	if field > maxLength {
		return d.link(etherType(field), payload)
	}
	return d.link(layerLLC, payload[:min(len(payload), int(field))])
}

// typeAtEnd returns a method that reads a header of fixed size whose last field is an
// EtherType.
func typeAtEnd(size int) func(*digest, []byte) error {
	return func(d *digest, data []byte) error {
		if len(data) < size {
			return errLink
		}
		return d.typeOrLength(be.Uint16(data[size-2:]), data[size:])
	}
}

// skip returns a method that skips a header of fixed size that is always followed by next.
func skip(size int, next gopacket.LayerType) func(*digest, []byte) error {
	return func(d *digest, data []byte) error {
		if len(data) < size {
			return errLink
		}
		return d.link(next, data[size:])
	}
}

// noIP ends the walk on a link that is known to carry no IP.
func (d *digest) noIP([]byte) error { return nil }

// ethernet reads an Ethernet II or IEEE 802.3 header.
func (d *digest) ethernet(data []byte) error {
	if len(data) < 14 {
		return errLink
	}
	d.broadcast = toAll(data)
	field := be.Uint16(data[12:])
	if field <= maxLength && interSwitch(data) {
		return d.link(layerISL, data)
	}
	return d.typeOrLength(field, data[14:])
}

// interSwitch reports whether data begins with the group address of Cisco's Inter-Switch Link.
func interSwitch(data []byte) bool {
	return (data[0] == 0x01 || data[0] == 0x03) && be.Uint32(data[1:]) == 0x000c0000
}

// isl reads the header of Cisco's Inter-Switch Link: its type is a part of the address, its
// VLAN has a field of its own, and a complete frame follows.
func (d *digest) isl(data []byte) error {
	const header, kind, ethernet = 26, 0xf0, 0
	if len(data) < header {
		return errVLAN
	}
	d.tag(be.Uint16(data[20:]) >> 1)
	if data[5]&kind != ethernet {
		return nil
	}
	return d.link(layerEthernet, data[header:])
}

// toAll reports whether data begins with the broadcast address of IEEE 802.
func toAll(data []byte) bool {
	return be.Uint32(data) == 0xffffffff && be.Uint16(data[4:]) == 0xffff
}

// vlan reads what follows the EtherType of an IEEE 802.1Q tag.
func (d *digest) vlan(data []byte) error {
	if len(data) < 4 {
		return errVLAN
	}
	d.tag(be.Uint16(data) & 0xfff)
	return d.typeOrLength(be.Uint16(data[2:]), data[4:])
}

// tag notes a VLAN of the frame. Tags inside a tunnel are not the frame's, and
// id 0 is a priority and no VLAN (IEEE 802.1Q), which each side of a Flow may
// send or leave out.
func (d *digest) tag(id uint16) {
	if d.depth > 0 || id == 0 {
		return
	}
	switch d.tags {
	case 0:
		d.vlans = uint32(id) << 16
	case 1:
		d.vlans |= uint32(id)
	}
	if d.tags < 255 {
		d.tags++
	}
}

// llc reads an IEEE 802.2 header, and the SNAP header that may follow (RFC 1042).
func (d *digest) llc(data []byte) error {
	const ip, snap, osi, unnumbered = 0x06, 0xaa, 0xfe, 0x03
	if len(data) < 3 {
		return errLLC
	}
	header := 4 // the control field has sequence numbers
	if data[2]&unnumbered == unnumbered {
		header = 3
	}
	payload := data[min(len(data), header):]
	switch {
	case data[0] == ip:
		return d.link(layerIPv4, payload)
	case data[0] == snap && data[1] == snap:
		const padding = 2 // aligns a bridged frame (RFC 2684 section 5.2)
		return d.snap(payload, padding)
	case data[0] == osi && data[1] == osi && len(payload) > 0: // RFC 2684 section 5.1
		return d.networkID(payload[0], payload[1:])
	}
	return nil
}

// snap reads an organization and the protocol number that it assigned. Some
// links put padding before a bridged Ethernet frame.
func (d *digest) snap(data []byte, padding int) error {
	if len(data) < 5 {
		return errLLC
	}
	organization, protocol, payload := be.Uint32(data)>>8, be.Uint16(data[3:]), data[5:]
	switch organization {
	case 0x000000, 0x0000f8: // EtherTypes; the second in frames that a bridge translated (802.1H)
		return d.link(etherType(protocol), payload)
	case 0x0080c2: // IEEE 802.1
		const withFCS, withoutFCS = 1, 7
		if protocol == withFCS || protocol == withoutFCS {
			return d.link(layerEthernet, payload[min(len(payload), padding):])
		}
	}
	return nil
}

// mpls reads a label stack (RFC 3032). Nothing in it says what it carries: IP is
// recognized by its version, and a control word by a zero in that place (RFC 4385
// section 3). An Ethernet address may begin like a version, too (RFC 8469 section 3).
func (d *digest) mpls(data []byte) error {
	for bottom := false; !bottom; data = data[4:] {
		if len(data) < 4 {
			return errMPLS
		}
		bottom = data[2]&1 == 1
	}
	switch {
	case len(data) == 0:
		return nil
	case (data[0]>>4 == 4 || data[0]>>4 == 6) && (d.fits(data) || !bridged(data)):
		return d.link(layerRaw, data)
	case len(data) > 4 && be.Uint16(data) == 0 && bridged(data[4:]) && !tagged(data):
		return d.link(layerEthernet, data[4:]) // after a control word (RFC 4448 section 4.6)
	case bridged(data):
		return d.link(layerEthernet, data)
	}
	return nil
}

// bridged reports whether data may be an Ethernet frame that carries IP, ARP or a VLAN tag.
func bridged(data []byte) bool {
	const arp = 0x0806
	if len(data) < 14 {
		return false
	}
	field := be.Uint16(data[12:])
	switch etherType(field) {
	case layerIPv4, layerIPv6, layerVLAN:
		return true
	}
	return field == arp
}

// tagged reports whether data, if it is a frame, has a VLAN tag. Such a frame can look like one
// after a control word: a tag is as long as that, and the address of a virtual router (RFC 9568
// section 7.3) begins like it.
func tagged(data []byte) bool { return len(data) >= 14 && etherType(be.Uint16(data[12:])) == layerVLAN }

// fits reports whether data can be an IP packet by its length fields, given its frame's length.
func (d *digest) fits(data []byte) bool {
	const ipv4, ipv6 = 20, 40
	header, length := uint32(ipv6), uint32(0)
	switch {
	case len(data) >= ipv4 && data[0]>>4 == 4:
		header, length = uint32(data[0]&15)*4, uint32(be.Uint16(data[2:]))
	case len(data) >= ipv6 && data[0]>>4 == 6:
		length = ipv6 + uint32(be.Uint16(data[4:]))
	default:
		return false
	}
	return header >= ipv4 && (length == 0 || length >= header) && (d.parted || length <= d.rest(data))
}

// nsh reads a Network Service Header (RFC 8300 section 2).
func (d *digest) nsh(data []byte) error {
	if len(data) < 8 {
		return errLink
	}
	length := int(data[1]&0x3f) * 4
	if length < 8 || length > len(data) {
		return errLink
	}
	return d.link(nshProtocol(data[3]), data[length:])
}

// nshProtocol returns the layer that a next protocol of NSH or VXLAN-GPE announces.
func nshProtocol(number uint8) gopacket.LayerType {
	switch number {
	case 1:
		return layerIPv4
	case 2:
		return layerIPv6
	case 3:
		return layerEthernet
	case 4:
		return layerNSH
	case 5:
		return layerMPLS
	}
	return gopacket.LayerTypeZero
}

// trill reads a TRILL header with its options (RFC 6325 section 3).
func (d *digest) trill(data []byte) error {
	if len(data) < 6 {
		return errLink
	}
	length := 6 + int(be.Uint16(data)>>6&0x1f)*4
	if length > len(data) {
		return errLink
	}
	return d.link(layerEthernet, data[length:])
}

// macsec reads a security tag (IEEE 802.1AE section 9.3). A frame that is only
// authenticated can be read like any other.
func (d *digest) macsec(data []byte) error {
	const secret, channel = 0x0c, 0x20 // encrypted or changed; a channel identifier follows
	if len(data) < 6 {
		return errLink
	}
	header := 6
	if data[0]&channel != 0 {
		header += 8
	}
	if data[0]&secret != 0 {
		return nil
	}
	if len(data) < header+2 {
		return errLink
	}
	return d.typeOrLength(be.Uint16(data[header:]), data[header+2:])
}

// batman reads a unicast header of the B.A.T.M.A.N. advanced mesh, version 15.
func (d *digest) batman(data []byte) error {
	const unicast, version, header = 0x40, 15, 10
	if len(data) < header {
		return errLink
	}
	if data[0] != unicast || data[1] != version {
		return nil
	}
	return d.link(layerEthernet, data[header:])
}

// tokenRing reads an IEEE 802.5 header and the route that may follow it.
func (d *digest) tokenRing(data []byte) error {
	const header, routed, llcFrame = 14, 0x80, 0x40
	if len(data) < header {
		return errLink
	}
	if data[1]&0xc0 != llcFrame {
		return nil
	}
	d.broadcast = toAll(data[2:])
	length := header
	if data[8]&routed != 0 && len(data) > header {
		length += int(data[header] & 0x1f)
	}
	return d.link(layerLLC, data[min(len(data), length):])
}

// fddi reads an FDDI header; only an LLC frame carries more.
func (d *digest) fddi(data []byte) error {
	if len(data) < 13 {
		return errLink
	}
	const asynchronous, synchronous = 0x50, 0xd0
	if kind := data[0] & 0xf0; kind != asynchronous && kind != synchronous {
		return nil
	}
	d.broadcast = toAll(data[1:])
	return d.link(layerLLC, data[13:])
}

// arcnetBSD reads an ARCNET header as BSD delivers it: receiver, sender, type.
func (d *digest) arcnetBSD(data []byte) error {
	if len(data) < 3 {
		return errLink
	}
	return d.arcnet(data[1], data[2], data[3:])
}

// arcnetLinux reads an ARCNET header as Linux delivers it, with an offset before the type.
func (d *digest) arcnetLinux(data []byte) error {
	if len(data) < 5 {
		return errLink
	}
	return d.arcnet(data[1], data[4], data[5:])
}

// arcnet continues after a protocol id. All but the two old ones (RFC 1051) are
// followed by a split flag and a sequence number (RFC 1201), twice in an exception
// packet; only the first part of a split packet has headers.
func (d *digest) arcnet(receiver, protocol uint8, data []byte) error {
	const oldIP, ip, ipv6, exception = 240, 212, 196, 0xff
	d.broadcast = receiver == 0
	if protocol == oldIP {
		return d.link(layerIPv4, data)
	}
	if len(data) >= 7 && data[0] == exception {
		data = data[4:]
	}
	if len(data) < 3 {
		return errLink
	}
	if part := data[0]; part != 0 && part&1 == 0 {
		return nil
	}
	switch protocol {
	case ip:
		return d.link(layerIPv4, data[3:])
	case ipv6:
		return d.link(layerIPv6, data[3:])
	}
	return nil
}

// ipoib reads the header of IP over InfiniBand (RFC 4391 section 6) after a global
// routing header or both addresses, which are as long.
func (d *digest) ipoib(data []byte) error {
	const addresses = 40
	if len(data) < addresses+4 {
		return errLink
	}
	return d.link(etherType(be.Uint16(data[addresses:])), data[addresses+4:])
}

// docsis reads a DOCSIS MAC header; only a packet PDU carries an Ethernet frame.
func (d *digest) docsis(data []byte) error {
	const header, packetPDU, extended = 6, 0, 1
	if len(data) < header {
		return errLink
	}
	if data[0]>>6 != packetPDU {
		return nil
	}
	length := header
	if data[0]&extended != 0 {
		length += int(data[1])
	}
	return d.link(layerEthernet, data[min(len(data), length):])
}
