package flow

import (
	"encoding/binary"
	"net/netip"
)

// Key is the Flow Key (RFC 7011 section 2): two endpoints without order, the
// transport, the outer VLANs and the tunnel. Both directions of a conversation
// have the same Key; Packet.Marks tells them apart.
//
// It is packed into seven words without padding, so that == compares words and a
// table of Keys holds no pointer; the benchmark BenchmarkTable asked for it.
type Key struct {
	addr      [4]uint64 // first endpoint, second endpoint; IPv4 in the last four octets
	ports     uint32    // first endpoint's port in the upper half
	vlan      [2]uint16 // outermost first; zero where there is none
	transport Transport
	version   uint8 // 4 or 6
	vlans     uint8 // how many tags the frame had
	_         uint8
	tunnel    uint64 // identity of the tunnel; 0 outside of one
}

// KeyOf builds the Key of a packet from src to dst, and reports whether the
// sender is the Key's second endpoint. Both addresses are of one version.
func KeyOf(t Transport, src, dst Endpoint) (k Key, reverse bool) {
	k.transport, k.version = t, 6
	if src.Addr().Is4() {
		k.version = 4
	}
	s, d := src.Addr().As16(), dst.Addr().As16()
	if k.version == 4 {
		s[10], s[11], d[10], d[11] = 0, 0, 0, 0
	}
	reverse = k.SetEndpoints(
		[2]uint64{binary.BigEndian.Uint64(s[:]), binary.BigEndian.Uint64(s[8:])},
		[2]uint64{binary.BigEndian.Uint64(d[:]), binary.BigEndian.Uint64(d[8:])},
		src.Port(), dst.Port())
	return k, reverse
}

// SetEndpoints sets both endpoints of a packet, addresses as big-endian words,
// in the Key's own order. It reports whether that order has the sender second.
func (k *Key) SetEndpoints(src, dst [2]uint64, srcPort, dstPort uint16) (reverse bool) {
	reverse = src[0] > dst[0] || src[0] == dst[0] &&
		(src[1] > dst[1] || src[1] == dst[1] && srcPort > dstPort)
	if reverse {
		src, dst, srcPort, dstPort = dst, src, dstPort, srcPort
	}
	k.addr = [4]uint64{src[0], src[1], dst[0], dst[1]}
	k.ports = uint32(srcPort)<<16 | uint32(dstPort)
	return reverse
}

// SetNetwork sets the IP version (4 or 6) and the transport.
func (k *Key) SetNetwork(version uint8, t Transport) { k.version, k.transport = version, t }

// SetVLANs sets how many tags the frame had and the ids of the outer two.
func (k *Key) SetVLANs(n uint8, outer, inner uint16) { k.vlans, k.vlan = n, [2]uint16{outer, inner} }

// SetTunnel sets the identity of the tunnel around, any number but 0.
func (k *Key) SetTunnel(id uint64) { k.tunnel = id }

// Transport returns the transport protocol.
func (k *Key) Transport() Transport { return k.transport }

// Version returns the IP version, 4 or 6.
func (k *Key) Version() uint8 { return k.version }

// VLANs returns how many tags the frame had and the ids of the outer two.
func (k *Key) VLANs() (n uint8, outer, inner uint16) { return k.vlans, k.vlan[0], k.vlan[1] }

// Endpoints returns both endpoints in the Key's own order: by address, then port.
func (k *Key) Endpoints() (first, second Endpoint) {
	return netip.AddrPortFrom(k.address(0), uint16(k.ports>>16)),
		netip.AddrPortFrom(k.address(2), uint16(k.ports))
}

func (k *Key) address(i int) netip.Addr {
	if k.version == 4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.addr[i+1]))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], k.addr[i])
	binary.BigEndian.PutUint64(b[8:], k.addr[i+1])
	return netip.AddrFrom16(b)
}
