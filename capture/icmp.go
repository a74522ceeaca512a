package capture

import "github.com/portwatch/portwatch/flow"

// icmpv4 looks for a destination unreachable message (RFC 792) and the packet
// that it quotes.
func (d *digest) icmpv4(data []byte) error {
	const unreachable, fragmentationNeeded = 3, 4
	if len(data) < 8 {
		return errICMP
	}
	// "Fragmentation needed" asks for smaller packets, and refuses nothing.
	if data[0] == unreachable && data[1] != fragmentationNeeded {
		d.quoted4(data[8:])
	}
	return nil
}

// icmpv6 does the same for ICMPv6 (RFC 4443 section 3.1).
func (d *digest) icmpv6(data []byte) error {
	const unreachable = 1
	if len(data) < 8 {
		return errICMP
	}
	if data[0] == unreachable {
		d.quoted6(data[8:])
	}
	return nil
}

// quoted4 signals that a quoted IPv4 packet did not arrive, unless it is a later fragment.
func (d *digest) quoted4(data []byte) {
	const offset = 0x1fff
	if len(data) < 20 || data[0]>>4 != 4 || be.Uint16(data[6:])&offset != 0 {
		return
	}
	header := int(data[0]&15) * 4
	if header < 20 || len(data) < header {
		return
	}
	d.unreachable(network{
		src:      [2]uint64{0, uint64(be.Uint32(data[12:]))},
		dst:      [2]uint64{0, uint64(be.Uint32(data[16:]))},
		version:  4,
		protocol: data[9],
	}, data[header:])
}

// quoted6 signals that a quoted IPv6 packet did not arrive, if it has no extension headers:
// packets that ask for a service have none.
func (d *digest) quoted6(data []byte) {
	if len(data) < 40 || data[0]>>4 != 6 {
		return
	}
	d.unreachable(network{
		src:      [2]uint64{be.Uint64(data[8:]), be.Uint64(data[16:])},
		dst:      [2]uint64{be.Uint64(data[24:]), be.Uint64(data[32:])},
		version:  6,
		protocol: data[6],
	}, data[40:])
}

// unreachable appends the signal that the packet with header ip did not arrive. Errors take
// the same way as the packet, so VLANs and tunnel are those of the current level.
func (d *digest) unreachable(ip network, data []byte) {
	t := flow.Transport(ip.protocol)
	switch t {
	case flow.TCP, flow.UDP, flow.UDPLite, flow.SCTP, flow.DCCP:
	default:
		return
	}
	if len(data) < 4 {
		return
	}
	p := d.add(d.in.Time)
	p.Octets, p.Flags = 0, 0
	p.Marks = flow.Unreachable | d.timeless | d.key(&p.Key, &ip, t, be.Uint32(data))
}
