package capture

import "github.com/google/gopacket"

// ipProtocols has the layer that each IP protocol number announces. Extension headers
// (RFC 7045) are IPv6's; one that an IPv4 header announces is read as what it claims to be.
var ipProtocols = [256]gopacket.LayerType{
	6:   layerTCP,
	17:  layerUDP,
	33:  layerDCCP,
	132: layerSCTP,
	136: layerUDPLite,
	1:   layerICMPv4,
	58:  layerICMPv6,
	0:   layerHopByHop,
	43:  layerExtension, // routing
	60:  layerExtension, // destination options
	135: layerExtension, // mobility
	139: layerExtension, // HIP
	140: layerExtension, // Shim6
	44:  layerFragment,
	51:  layerAuthentication,
	4:   layerIPv4,
	41:  layerIPv6,
	47:  layerGRE,
	97:  layerEtherIP,
	137: layerMPLSInIP,
	143: layerEthernetInIP,
}

// enter begins a level for an IP header. The caller sets its addresses afterwards.
func (d *digest) enter(version uint8, octets uint32, group bool) {
	d.depth++
	d.ip.version, d.ip.octets, d.ip.group = version, octets, group
	d.broadcast, d.begins, d.jumbo = false, false, false
}

// ipv4 reads an IPv4 header (RFC 791 section 3.1). A header whose options are cut
// still tells what the packet is.
func (d *digest) ipv4(data []byte) error {
	if len(data) < 20 || data[0]>>4 != 4 {
		return errIPv4
	}
	header := uint32(data[0]&15) * 4
	total := uint32(be.Uint16(data[2:]))
	if total == 0 {
		total = d.rest(data) // the sender left segmentation to its network card
	}
	if header < 20 || total < header || d.tried && !d.parted && total > d.rest(data) {
		return errIPv4
	}
	dst := be.Uint32(data[16:])
	if d.depth > 0 {
		if err := d.nest(4); err != nil {
			return err
		}
	}
	d.enter(4, total, isGroup(dst, d.broadcast))
	d.ip.src[0], d.ip.src[1] = 0, uint64(be.Uint32(data[12:]))
	d.ip.dst[0], d.ip.dst[1] = 0, uint64(dst)
	d.segment = total - header
	const more, offset = 0x2000, 0x1fff
	switch id, fragment := uint32(be.Uint16(data[4:])), be.Uint16(data[6:]); {
	case fragment&offset != 0:
		return d.laterFragment(id, data[9])
	case fragment&more != 0:
		d.firstFragment(id, data[9])
	}
	end := min(len(data), int(total)) // beyond it is padding, such as Ethernet's
	return d.protocol(data[9], data[min(end, int(header)):end])
}

// isGroup reports whether an IPv4 address has many receivers: multicast, limited broadcast
// or, in a broadcast frame, one that can be the broadcast address of a network of four
// addresses or more (RFC 919 section 7).
func isGroup(address uint32, broadcast bool) bool {
	return address>>28 == 14 || address == 1<<32-1 || broadcast && address&3 == 3
}

// upTo cuts off what lies beyond a header's own length, such as Ethernet's padding.
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
	jumbo := length == 0
	if jumbo {
		length = d.rest(data) - header
	}
	if d.tried && !d.parted && header+length > d.rest(data) {
		return errIPv6
	}
	if d.depth > 0 {
		if err := d.nest(6); err != nil {
			return err
		}
	}
	d.enter(6, header+length, data[24] == 0xff)
	d.jumbo = jumbo
	d.ip.src[0], d.ip.src[1] = be.Uint64(data[8:]), be.Uint64(data[16:])
	d.ip.dst[0], d.ip.dst[1] = be.Uint64(data[24:]), be.Uint64(data[32:])
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

// extension reads an extension header that states its length in the common way
// (RFC 6564 section 4).
func (d *digest) extension(data []byte) error {
	if len(data) < 2 {
		return errExtension
	}
	return d.behind(data, 8+8*uint32(data[1]))
}

// authentication reads an IPsec AH (RFC 4302 section 2), which encrypts nothing.
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
		return nil // IPv4 has fragments of its own: such a header can only be sent to confuse
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

// behind goes on to what data, an extension header of header octets, announces.
func (d *digest) behind(data []byte, header uint32) error {
	d.segment -= min(d.segment, header)
	return d.protocol(data[0], data[min(len(data), int(header)):])
}
