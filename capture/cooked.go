package capture

import "github.com/google/gopacket"

// This file reads the headers that an operating system or a capturing program
// puts in place of a link header, or around one.

// Link types that only this package refers to.
const (
	linkUser2   LinkType = 149 // Apple wrote PKTAP into files under this number
	linkMPacket LinkType = 274 // Ethernet with preamble
)

// capped skips a header that states its own length.
func (d *digest) capped(length uint32, next gopacket.LayerType, data []byte) error {
	if uint64(length) > uint64(len(data)) {
		return errLink
	}
	return d.link(next, data[length:])
}

// sll reads Linux's cooked header, version 1.
func (d *digest) sll(data []byte) error {
	if len(data) < 16 {
		return errLink
	}
	d.broadcast = be.Uint16(data) == sllBroadcast
	return d.cooked(be.Uint16(data[2:]), be.Uint16(data[14:]), data[16:])
}

// sll2 reads Linux's cooked header, version 2.
func (d *digest) sll2(data []byte) error {
	if len(data) < 20 {
		return errLink
	}
	d.broadcast = data[10] == sllBroadcast
	return d.cooked(be.Uint16(data[8:]), be.Uint16(data), data[20:])
}

// sllBroadcast is the packet type of frames to the link's broadcast address.
const sllBroadcast = 1

// cooked continues after a cooked header. Its protocol field is an EtherType, or one
// of Linux's ETH_P_ numbers, unless the kind of device (ARPHRD_) says otherwise.
func (d *digest) cooked(device, protocol uint16, payload []byte) error {
	switch device {
	case 770: // ARPHRD_FRAD
		return d.link(layerFrameRelay, payload)
	case 803: // ARPHRD_IEEE80211_RADIOTAP
		return d.link(layerRadiotap, payload)
	case 824: // ARPHRD_NETLINK: the field is a netlink family
		return d.link(layerNoIP, payload)
	}
	switch protocol {
	case 0x0004: // ETH_P_802_2
		return d.link(layerLLC, payload)
	case 0x0003: // ETH_P_ALL: an Ethernet header follows
		return d.link(layerEthernet, payload)
	case 0x0007, 0x0008: // ETH_P_WAN_PPP, ETH_P_PPP_MP
		return d.link(layerPPP, payload)
	}
	return d.link(etherType(protocol), payload)
}

// null reads BSD's loopback header, whose address family is in the byte order of the
// capturing machine. In OpenBSD's it is in network byte order, and files of other
// systems say LOOP where they mean NULL.
func (d *digest) null(data []byte) error {
	if len(data) < 4 {
		return errLink
	}
	family := be.Uint32(data)
	if family>>16 != 0 {
		family = le.Uint32(data)
	}
	if family > maxLength && family <= 0xffff { // some writers put an EtherType there
		return d.link(etherType(uint16(family)), data[4:])
	}
	return d.family(family, data[4:])
}

// family continues after an address family. That of IPv6 differs between systems.
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

// enc reads the header of OpenBSD's encapsulating interface: family, SPI, flags.
func (d *digest) enc(data []byte) error {
	if len(data) < 12 {
		return errLink
	}
	family := be.Uint32(data)
	if family>>16 != 0 {
		family = le.Uint32(data)
	}
	return d.family(family, data[12:])
}

// pflog reads the header of BSD's packet filter log: its length, which is
// padded to four octets, and the family.
func (d *digest) pflog(data []byte) error {
	if len(data) < 2 {
		return errLink
	}
	length := (int(data[0]) + 3) &^ 3
	if length < 4 || length > len(data) {
		return errLink
	}
	return d.family(uint32(data[1]), data[length:])
}

// ipnet reads the header of Solaris's IP interfaces; its version is 1.
func (d *digest) ipnet(data []byte) error {
	if len(data) < 24 || data[0] != 1 {
		return errLink
	}
	return d.family(uint32(data[1]), data[24:])
}

// nflog walks through the attributes of a Linux netlink log to the one that holds the packet.
// Attributes are in the byte order of the capturing machine.
func (d *digest) nflog(data []byte) error {
	const payload, kind = 9, 0x7fff
	if len(data) < 8 {
		return errLink
	}
	family, data := data[0], data[4:]
	order := le.Uint16
	if first := int(order(data)); first < 4 || first > len(data) {
		order = be.Uint16
	}
	for len(data) >= 4 {
		length := int(order(data))
		if length < 4 || length > len(data) {
			return errLink
		}
		if order(data[2:])&kind == payload {
			return d.family(uint32(family), data[4:length])
		}
		data = data[min(len(data), (length+3)&^3):]
	}
	return nil
}

// pktap reads the header of Apple's packet tap, which names the link type of the packet that
// follows. Numbers are in the byte order of the capturing machine, a Mac.
func (d *digest) pktap(data []byte) error {
	const header, packet = 108, 1
	if len(data) < header {
		return errLink
	}
	length, kind, link := le.Uint32(data), le.Uint32(data[4:]), le.Uint32(data[8:])
	if length < header || link > 0xffff {
		return errLink
	}
	if kind != packet {
		return nil
	}
	return d.capped(length, linkLayer(LinkType(link)), data)
}

// user2 reads a frame of a link type that is free for private use. It is taken for
// Apple's packet tap only if it cannot be anything else.
func (d *digest) user2(data []byte) error {
	const header, packet = 108, 1
	if len(data) >= header && le.Uint32(data) == header && le.Uint32(data[4:]) == packet {
		return d.link(layerPKTAP, data)
	}
	d.class = UnknownLink
	return nil
}

// juniper returns a method that reads what Juniper's routers put before the link header,
// which is next: a magic number, flags, and extensions.
func juniper(next gopacket.LayerType) func(*digest, []byte) error {
	return func(d *digest, data []byte) error {
		const magic, extended, noLink, family = 0x4d4743, 0x80, 0x02, 4
		if len(data) < 4 || be.Uint32(data)>>8 != magic {
			return errLink
		}
		flags, length := data[3], uint32(4)
		if flags&extended != 0 {
			if len(data) < 6 {
				return errLink
			}
			length += 2 + uint32(be.Uint16(data[4:]))
		}
		if flags&noLink != 0 {
			return d.capped(length+family, layerRaw, data)
		}
		return d.capped(length, next, data)
	}
}

// juniperCell returns a method that reads what a router's ATM interface delivers after a
// cookie of that many octets: LLC, an NLPID, an IP packet, or management of the circuit.
func juniperCell(cookie int) func(*digest, []byte) error {
	return func(d *digest, data []byte) error {
		const management1, management2, unnumbered = 0x80, 0x70, 0x03
		if len(data) < cookie+4 {
			return errLink
		}
		if cookie == 4 && data[0] == management1 || cookie == 8 && data[7]&management2 != 0 {
			return nil
		}
		data = data[cookie:]
		switch {
		case data[0] == unnumbered:
			return d.networkID(data[1], data[2:])
		case data[2] == unnumbered:
			return d.link(layerLLC, data)
		case data[0]>>4 == 4 || data[0]>>4 == 6:
			return d.link(layerRaw, data)
		}
		return nil
	}
}

// erf reads a record of Endace's format with its extension headers.
func (d *digest) erf(data []byte) error {
	const header, more, kind = 16, 0x80, 0x7f
	if len(data) < header {
		return errLink
	}
	length := header
	for extension := data[8]; extension&more != 0; length += 8 {
		if length+8 > len(data) {
			return errLink
		}
		extension = data[length]
	}
	data, record := data[length:], data[8]&kind
	switch record { // a colour or a hash changes only the header of a record
	case 1, 10, 15, 19: // HDLC over POS
		return d.link(layerHDLC, data)
	case 2, 11, 16, 20: // Ethernet, after an offset and padding
		return d.link(layerEthernet, data[min(len(data), 2):])
	case 22:
		return d.link(layerIPv4, data)
	case 23:
		return d.link(layerIPv6, data)
	}
	return nil
}
