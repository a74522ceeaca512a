package flow

import (
	"encoding/binary"
	"net/netip"
)

// Key is the Flow Key (RFC 7011 section 2): the unordered pair of endpoints, the transport,
// the outer VLANs and the tunnel. Both directions of a conversation have the same Key;
// Packet.Marks tells them apart.
//
// It is seven words without padding, so that it can be hashed and compared word by word,
// and a table of Keys holds no pointer; BenchmarkTable asked for it.
type Key struct {
	// addr is the first endpoint's address, then the second's, as big-endian words; an IPv4
	// address takes the last four octets of its two words.
	addr [4]uint64
	// ports holds, 16 bits each from the top: first endpoint's port, second endpoint's
	// port, outer VLAN id, inner VLAN id.
	ports uint64
	// network holds, 8 bits each from the top of its low half: unused, number of VLAN tags,
	// IP version, transport.
	network uint64
	// tunnel is the identity of the surrounding tunnel; 0 outside of one.
	tunnel uint64
}

// KeyOf builds the Key of a packet from src to dst, and reports whether the sender is the
// Key's second endpoint. Both addresses must be of the same IP version.
func KeyOf(t Transport, src, dst Endpoint) (k Key, reverse bool) {
	version := uint8(6)
	if src.Addr().Is4() {
		version = 4
	}
	from, to := addressWords(src.Addr()), addressWords(dst.Addr())
	reverse = k.Set(version, t, &from, &to, uint32(src.Port())<<16|uint32(dst.Port()), 0, 0, 0)
	return k, reverse
}

func addressWords(a netip.Addr) [2]uint64 {
	if a.Is4() {
		b := a.As4()
		return [2]uint64{0, uint64(binary.BigEndian.Uint32(b[:]))}
	}
	b := a.As16()
	return [2]uint64{binary.BigEndian.Uint64(b[:]), binary.BigEndian.Uint64(b[8:])}
}

// Set makes k the Key of a packet, and reports whether the sender is its second endpoint.
// src and dst are big-endian words, with an IPv4 address in the last four octets; ports has
// the source's port above the destination's; tags is how many VLAN tags the frame had;
// vlans has the ids of the outer two, the outer above the inner; tunnel is the identity of
// the surrounding tunnel, or 0.
func (k *Key) Set(version uint8, t Transport, src, dst *[2]uint64, ports uint32, tags uint8, vlans uint32, tunnel uint64) (reverse bool) {
	reverse = src[0] > dst[0] || src[0] == dst[0] &&
		(src[1] > dst[1] || src[1] == dst[1] && ports>>16 > ports&0xffff)
	if reverse {
		src, dst, ports = dst, src, ports<<16|ports>>16
	}
	k.addr[0], k.addr[1], k.addr[2], k.addr[3] = src[0], src[1], dst[0], dst[1]
	k.ports = uint64(ports)<<32 | uint64(vlans)
	k.network = uint64(tags)<<16 | uint64(version)<<8 | uint64(t)
	k.tunnel = tunnel
	return reverse
}

// SetIPv4 is Set for IPv4 without VLANs or tunnel.
func (k *Key) SetIPv4(t Transport, src, dst, ports uint32) (reverse bool) {
	from, to := uint64(src)<<16|uint64(ports>>16), uint64(dst)<<16|uint64(ports&0xffff)
	reverse = from > to
	if reverse {
		src, dst, ports = dst, src, ports<<16|ports>>16
	}
	k.addr[0], k.addr[1], k.addr[2], k.addr[3] = 0, uint64(src), 0, uint64(dst)
	k.ports = uint64(ports) << 32
	k.network = 4<<8 | uint64(t)
	k.tunnel = 0
	return reverse
}

// SetVLANs sets how many tags the frame had and the ids of the outer two.
func (k *Key) SetVLANs(n uint8, outer, inner uint16) {
	k.network = k.network&0xffff | uint64(n)<<16
	k.ports = k.ports&^0xffff_ffff | uint64(outer)<<16 | uint64(inner)
}

// SetTunnel sets the identity of the surrounding tunnel; 0 stands for none.
func (k *Key) SetTunnel(id uint64) { k.tunnel = id }

// Transport returns the transport protocol.
func (k *Key) Transport() Transport { return Transport(k.network) }

// Version returns the IP version, 4 or 6.
func (k *Key) Version() uint8 { return uint8(k.network >> 8) }

// VLANs returns how many tags the frame had and the ids of the outer two.
func (k *Key) VLANs() (n uint8, outer, inner uint16) {
	return uint8(k.network >> 16), uint16(k.ports >> 16), uint16(k.ports)
}

// equals is ==, but without a call that compares memory.
func (k *Key) equals(o *Key) bool {
	return (k.addr[1]^o.addr[1])|(k.addr[3]^o.addr[3])|(k.ports^o.ports)|(k.network^o.network)|
		(k.addr[0]^o.addr[0])|(k.addr[2]^o.addr[2])|(k.tunnel^o.tunnel) == 0 // ^ and | have the same precedence
}

// Endpoints returns both endpoints in the Key's own order: by address, then port.
func (k *Key) Endpoints() (first, second Endpoint) { return k.endpoint(0), k.endpoint(1) }

// endpoint returns the first (0) or the second (1) endpoint.
func (k *Key) endpoint(side int) Endpoint {
	return netip.AddrPortFrom(k.address(side), k.port(side))
}

func (k *Key) port(side int) uint16 { return uint16(k.ports >> (48 - 16*side)) }

func (k *Key) address(side int) netip.Addr {
	if k.Version() == 4 {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(k.addr[2*side+1]))
		return netip.AddrFrom4(b)
	}
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], k.addr[2*side])
	binary.BigEndian.PutUint64(b[8:], k.addr[2*side+1])
	return netip.AddrFrom16(b)
}
