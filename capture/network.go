package capture

import "github.com/google/gopacket"

// protocolLayer returns the layer behind an IP protocol number, zero for one that
// is counted and not opened. Extension headers (RFC 7045) are IPv6's; where an
// IPv4 header announces one it is read as what it says to be.
func protocolLayer(number uint8) gopacket.LayerType {
	switch number {
	case 6:
		return layerTCP
	case 17:
		return layerUDP
	case 33:
		return layerDCCP
	case 132:
		return layerSCTP
	case 136:
		return layerUDPLite
	case 1:
		return layerICMPv4
	case 58:
		return layerICMPv6
	case 0:
		return layerHopByHop
	case 43, 60, 135, 139, 140: // routing, destination options, mobility, HIP, Shim6
		return layerExtension
	case 44:
		return layerFragment
	case 51:
		return layerAuthentication
	case 4:
		return layerIPv4
	case 41:
		return layerIPv6
	case 47:
		return layerGRE
	case 97:
		return layerEtherIP
	case 137:
		return layerMPLSInIP
	case 143:
		return layerEthernetInIP
	}
	return gopacket.LayerTypeZero
}

// enter begins a level: an IP header was read, and lies in all levels before.
func (d *digest) enter(n network) error {
	switch {
	case d.depth > 0 && d.tunnels == Outer:
		return errOuterOnly
	case d.depth == maxNesting:
		return errNesting
	}
	if d.depth > 0 {
		d.nest(n.version)
	}
	d.depth++
	d.ip = n
	d.broadcast, d.begins = false, false
	return nil
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1). One whose options are cut is
// good enough to tell what the packet is.
func (d *digest) ipv4(data []byte) error {
	if len(data) < 20 || data[0]>>4 != 4 {
		return errIPv4
	}
	header := uint32(data[0]&15) * 4
	total := uint32(be.Uint16(data[2:]))
	if total == 0 {
		total = d.rest(data) // the sender's network card was to cut it to size
	}
	if header < 20 || total < header || d.tried && total > d.rest(data) {
		return errIPv4
	}
	dst := be.Uint32(data[16:])
	err := d.enter(network{
		src:     [2]uint64{0, uint64(be.Uint32(data[12:]))},
		dst:     [2]uint64{0, uint64(dst)},
		octets:  total,
		version: 4,
		group:   dst>>28 == 14 || dst == 1<<32-1 || d.broadcast && directed(dst),
	})
	if err != nil {
		return err
	}
	d.segment = total - header
	const more, offset = 0x2000, 0x1fff
	switch id, fragment := uint32(be.Uint16(data[4:])), be.Uint16(data[6:]); {
	case fragment&offset != 0:
		return d.laterFragment(id, data[9])
	case fragment&more != 0:
		d.firstFragment(id, data[9])
	}
	return d.protocol(data[9], upTo(data, total)[min(len(data), int(header)):])
}

// directed reports whether an IPv4 address can be the broadcast address of a
// network of four addresses or more (RFC 919 section 7).
func directed(address uint32) bool { return address&3 == 3 }

// upTo cuts off what lies behind a header's own length, such as Ethernet's padding.
func upTo(data []byte, length uint32) []byte {
	return data[:min(uint64(len(data)), uint64(length))]
}

// ipv6 reads the fixed IPv6 header (RFC 8200 section 3).
func (d *digest) ipv6(data []byte) error {
	const header = 40
	if len(data) < header || data[0]>>4 != 6 {
		return errIPv6
	}
	length := uint32(be.Uint16(data[4:]))
	d.jumbo = length == 0
	if d.jumbo {
		length = d.rest(data) - header
	}
	if d.tried && header+length > d.rest(data) {
		return errIPv6
	}
	err := d.enter(network{
		src:     [2]uint64{be.Uint64(data[8:]), be.Uint64(data[16:])},
		dst:     [2]uint64{be.Uint64(data[24:]), be.Uint64(data[32:])},
		octets:  header + length,
		version: 6,
		group:   data[24] == 0xff,
	})
	if err != nil {
		return err
	}
	d.segment = length
	return d.protocol(data[6], upTo(data, header+length)[header:])
}

// hopByHop reads the one extension header that can hold the real length of
// a packet of more than 65,575 octets (RFC 2675 section 2).
func (d *digest) hopByHop(data []byte) error {
	const jumboPayload = 0xc2
	if d.jumbo && len(data) >= 8 && data[2] == jumboPayload && data[3] == 4 {
		length := be.Uint32(data[4:])
		length = min(length, 1<<32-1-40)
		d.segment, d.ip.octets = length, 40+length
		data = upTo(data, length)
	}
	return d.extension(data)
}

// extension reads an extension header that says how long it is in the common
// way (RFC 6564 section 4).
func (d *digest) extension(data []byte) error {
	if len(data) < 2 {
		return errExtension
	}
	return d.behind(data, 8+8*uint32(data[1]))
}

// authentication walks through an IPsec AH (RFC 4302 section 2), which hides nothing.
func (d *digest) authentication(data []byte) error {
	if len(data) < 2 {
		return errExtension
	}
	return d.behind(data, 8+4*uint32(data[1]))
}

// fragment reads an IPv6 fragment header (RFC 8200 section 4.5).
func (d *digest) fragment(data []byte) error {
	if len(data) < 8 {
		return errExtension
	}
	if d.ip.version == 4 {
		return nil // IPv4 has its own fragments: this is confusion, sent to confuse
	}
	const more, offset = 1, 0xfff8
	switch id, fragment := be.Uint32(data[4:]), be.Uint16(data[2:]); {
	case fragment&offset != 0:
		return d.laterFragment(id, data[0])
	case fragment&more != 0:
		d.firstFragment(id, data[0])
	}
	return d.behind(data, 8)
}

// behind goes on to the next header that data, an extension header, announces.
func (d *digest) behind(data []byte, header uint32) error {
	d.segment -= min(d.segment, header)
	return d.protocol(data[0], data[min(len(data), int(header)):])
}
