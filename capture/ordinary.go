package capture

import "github.com/portwatch/portwatch/flow"

// ordinary reads most frames in one go: Ethernet, then unfragmented IPv4 without options or
// IPv6 without extension headers, then TCP or UDP after which nothing more is read, all with
// complete headers. For any other frame it returns false and changes nothing: the layers read
// it step by step. For an ordinary one they would give the same result (TestOrdinary).
func (d *digest) ordinary(data []byte) bool {
	const link, network, least = 14, 20, 8
	if len(data) < link+network+least || d.in.Link != LinkEthernet {
		return false
	}
	h := (*[link + network + least]byte)(data)
	if kind := be.Uint32(h[12:]); kind&^0xff != 0x0800_45_00 { // EtherType, version, length of the header
		return kind>>12 == 0x86dd_6 && d.ordinaryIPv6(data)
	}
	const more, offset, firstGroup = 0x2000, 0x1fff, 224 << 24
	total, dst, ports := uint32(be.Uint16(h[16:])), be.Uint32(h[30:]), be.Uint32(h[34:])
	if be.Uint16(h[20:])&(more|offset) != 0 {
		return false
	}
	var marks flow.Marks
	if (h[0]&1 != 0 || dst >= firstGroup) && isGroup(dst, toAll(data)) {
		marks = flow.Group
	}
	var flags flow.TCPFlags
	t := flow.Transport(h[23])
	switch t {
	case flow.TCP:
		const header = 20
		if len(data) < link+network+header || total < network+header {
			return false
		}
		flags = flow.TCPFlags(data[link+network+13])
		if total > network+max(header, uint32(data[link+network+12]>>4*4)) {
			if control(uint16(ports>>16)) || control(uint16(ports)) {
				return false
			}
			marks |= flow.Data
		}
	case flow.UDP:
		length := be.Uint16(h[link+network+4:])
		if total < network+least || length == 0 || readsOn(uint16(ports>>16)) || readsOn(uint16(ports)) {
			return false
		}
		if length > least {
			marks |= flow.Data
		}
	default:
		return false
	}
	d.class = WithPorts
	p := d.batch.Extend()
	if p.Key.SetIPv4(t, be.Uint32(h[26:]), dst, ports) {
		marks |= flow.Reverse
	}
	p.Time, p.Octets, p.Tunnel, p.Flags, p.Marks = d.in.Time, total, 0, flags, marks|d.timeless
	return true
}

// ordinaryIPv6 is the other half of ordinary. Code that they have in common is repeated: in a
// function of its own, it would make ordinary cost a tenth more for each packet.
func (d *digest) ordinaryIPv6(data []byte) bool {
	const link, network, least = 14, 40, 8
	if len(data) < link+network+least {
		return false
	}
	h := (*[link + network + least]byte)(data)
	length, ports := uint32(be.Uint16(h[18:])), be.Uint32(h[54:])
	var marks flow.Marks
	if h[38] == 0xff {
		marks = flow.Group
	}
	var flags flow.TCPFlags
	t := flow.Transport(h[20])
	switch t {
	case flow.TCP:
		const header = 20
		if len(data) < link+network+header || length < header {
			return false
		}
		flags = flow.TCPFlags(data[link+network+13])
		if length > max(header, uint32(data[link+network+12]>>4*4)) {
			if control(uint16(ports>>16)) || control(uint16(ports)) {
				return false
			}
			marks |= flow.Data
		}
	case flow.UDP:
		claimed := be.Uint16(h[link+network+4:])
		if length < least || claimed == 0 || readsOn(uint16(ports>>16)) || readsOn(uint16(ports)) {
			return false
		}
		if claimed > least {
			marks |= flow.Data
		}
	default:
		return false
	}
	d.class = WithPorts
	p := d.batch.Extend()
	src, dst := [2]uint64{be.Uint64(h[22:]), be.Uint64(h[30:])}, [2]uint64{be.Uint64(h[38:]), be.Uint64(h[46:])}
	if p.Key.Set(6, t, &src, &dst, ports, 0, 0, 0) {
		marks |= flow.Reverse
	}
	p.Time, p.Octets, p.Tunnel, p.Flags, p.Marks = d.in.Time, network+length, 0, flags, marks|d.timeless
	return true
}
