package main

import (
	"encoding/binary"
	"slices"
)

// EtherTypes, and PPP protocol numbers.
const (
	typeIPv4  = 0x0800
	typeIPv6  = 0x86dd
	typeCTag  = 0x8100 // IEEE 802.1Q
	typeSTag  = 0x88a8 // IEEE 802.1ad
	typeMPLS  = 0x8847
	typePPPoE = 0x8864
	pppIPv4   = 0x0021
	pppIPv6   = 0x0057
)

var be = binary.BigEndian

// A wrapping puts an IP packet into other lower layers. It gets the two MAC addresses and the
// EtherType of the recorded frame, and returns the new frame.
type wrapping func(addresses []byte, etherType uint16, ip []byte) []byte

// wrap wraps a small, varied part of the recorded packets: DNS, SSH over IPv6, and two services on
// unassigned ports.
func wrap(recorded []packet, w wrapping) []packet {
	var wrapped []packet
	for _, p := range recorded {
		etherType, ip := be.Uint16(p.data[12:]), p.data[14:]
		if chosen(etherType, ip) {
			wrapped = append(wrapped, packet{p.time, w(p.data[:12], etherType, ip)})
		}
	}
	return wrapped
}

func chosen(etherType uint16, ip []byte) bool {
	var ports []byte
	switch {
	case etherType == typeIPv4 && (ip[9] == 6 || ip[9] == 17):
		ports = ip[int(ip[0]&15)*4:]
	case etherType == typeIPv6 && ip[6] == 6:
		ports = ip[40:]
	default:
		return false
	}
	wanted := []uint16{53, 42000, 42700}
	if etherType == typeIPv6 {
		wanted = []uint16{22}
	}
	return slices.Contains(wanted, be.Uint16(ports)) || slices.Contains(wanted, be.Uint16(ports[2:]))
}

// join returns its parts in one new slice.
func join(parts ...[]byte) []byte { return slices.Concat(parts...) }

func u16(v uint16) []byte { return be.AppendUint16(nil, v) }
func u32(v uint32) []byte { return be.AppendUint32(nil, v) }

// vlan tags IPv4 with VLAN 100 (IEEE 802.1Q), and IPv6 with 100 inside service VLAN 200 (802.1ad).
// The priority bits are set, because a reader must mask them.
func vlan(addresses []byte, etherType uint16, ip []byte) []byte {
	var service []byte
	if etherType == typeIPv6 {
		service = join(u16(typeSTag), u16(3<<13|200))
	}
	return join(addresses, service, u16(typeCTag), u16(5<<13|100), u16(etherType), ip)
}

// mpls puts two labels before the packet (RFC 3032); the second is the bottom of the stack.
func mpls(addresses []byte, _ uint16, ip []byte) []byte {
	return join(addresses, u16(typeMPLS), u32(16001<<12|64), u32(24005<<12|1<<8|63), ip)
}

func pppProtocol(etherType uint16) []byte {
	if etherType == typeIPv6 {
		return u16(pppIPv6)
	}
	return u16(pppIPv4)
}

// pppoe is the session stage of RFC 2516.
func pppoe(addresses []byte, etherType uint16, ip []byte) []byte {
	header := join([]byte{0x11, 0}, u16(0x2a), u16(uint16(2+len(ip))))
	return join(addresses, u16(typePPPoE), header, pppProtocol(etherType), ip)
}

// ppp omits address and control (RFC 1661 section 6.6) for IPv4 and includes them for IPv6.
func ppp(_ []byte, etherType uint16, ip []byte) []byte {
	var framing []byte
	if etherType == typeIPv6 {
		framing = []byte{0xff, 0x03}
	}
	return join(framing, pppProtocol(etherType), ip)
}

func raw(_ []byte, _ uint16, ip []byte) []byte { return slices.Clone(ip) }

// null puts the address family before the packet, in the byte order of the recording machine; loop
// puts it there in network order. 30 is AF_INET6 on macOS, 24 on OpenBSD, which uses LINKTYPE_LOOP.
func null(_ []byte, etherType uint16, ip []byte) []byte {
	return join(binary.LittleEndian.AppendUint32(nil, family(etherType, 30)), ip)
}

func loop(_ []byte, etherType uint16, ip []byte) []byte {
	return join(u32(family(etherType, 24)), ip)
}

func family(etherType uint16, ipv6 uint32) uint32 {
	if etherType == typeIPv6 {
		return ipv6
	}
	return 2
}
