package flow

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
)

// An origin is what, besides its Key and its tunnel, sets a Flow apart from all others.
type origin struct {
	observer string
	opened   int64  // the clock at the first packet
	first    uint64 // that packet's ordinal
}

// flowID hashes Key, tunnel, and origin.
func flowID(k *Key, tunnel *Tunnel, o *origin) [16]byte {
	var space [2*(4+32+8) + 8 + binary.MaxVarintLen64 + 64]byte // append outgrows it if the observer's id is longer
	sum := sha256.Sum256(appendIdentity(space[:0], k, tunnel, o))
	return [16]byte(sum[:])
}

// appendIdentity appends what flowID hashes. Each part tells the length of what follows it,
// and what few Flows have takes no room in the others, so that outside tunnels even IPv6
// fits into a single block of SHA-256, which holds up to 55 octets.
func appendIdentity(b []byte, k *Key, tunnel *Tunnel, o *origin) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(k.network)<<8|uint32(tunnel.Type))
	b = k.appendAddresses(b)
	b = binary.BigEndian.AppendUint32(b, uint32(k.ports>>32))
	n, outer, inner := k.VLANs()
	if n > 0 {
		b = binary.BigEndian.AppendUint16(b, outer)
	}
	if n > 1 {
		b = binary.BigEndian.AppendUint16(b, inner)
	}
	if tunnel.Type != 0 {
		b = binary.BigEndian.AppendUint32(b, tunnel.ID)
		b = append(b, tunnel.Outer.Version())
		b = tunnel.Outer.appendAddresses(b)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(o.opened))
	b = binary.AppendUvarint(b, o.first)
	return append(b, o.observer...)
}

// ID returns the same 128 bits for every record of a Flow: a hash over the observer's id,
// the Key, the tunnel, and the time and ordinal of the first packet. Each call computes it
// anew.
func (r *Record) ID() [16]byte {
	return flowID(&r.Key, &r.Tunnel, &r.origin)
}

// CommunityID returns the SHA-1 of the Flow's Community ID v1 with seed 0; see
// AppendCommunityID. Each call computes it anew.
func (r *Record) CommunityID() [20]byte {
	return communityID(&r.Key, uint8(r.Transport), hasCommunityPorts(r.Transport))
}

// CommunityID returns that of the outer level, without ports where that level has none.
func (t *Tunnel) CommunityID() [20]byte {
	return communityID(&t.Outer, t.OuterProtocol, hasCommunityPorts(t.Outer.Transport()))
}

// appendAddresses appends both addresses, 4 or 16 octets each.
func (k *Key) appendAddresses(b []byte) []byte {
	if k.Version() == 4 {
		b = binary.BigEndian.AppendUint32(b, uint32(k.addr[1]))
		return binary.BigEndian.AppendUint32(b, uint32(k.addr[3]))
	}
	for _, word := range k.addr {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	return b
}

// communityID is version 1 of the Community ID with seed 0, before base64.
func communityID(k *Key, protocol uint8, ports bool) [20]byte {
	var space [2 + 2*16 + 2 + 4]byte
	return sha1.Sum(appendCommunity(space[:0], k, protocol, ports))
}

// appendCommunity appends what a Community ID is the SHA-1 of: seed, addresses, protocol, a
// zero octet and, with ports, the ports. See github.com/corelight/community-id-spec.
func appendCommunity(b []byte, k *Key, protocol uint8, ports bool) []byte {
	b = k.appendAddresses(append(b, 0, 0))
	b = append(b, protocol, 0)
	if ports {
		b = binary.BigEndian.AppendUint32(b, uint32(k.ports>>32))
	}
	return b
}

// hasCommunityPorts reports whether version 1 uses the transport's ports.
func hasCommunityPorts(t Transport) bool { return t == TCP || t == UDP || t == SCTP }

// AppendCommunityID appends a Community ID in its published form: "1:" and the
// base64 of the SHA-1.
func AppendCommunityID(dst []byte, id [20]byte) []byte { return appendCommunityID(dst, &id) }

// appendCommunityID takes a pointer: copies of 20 octets are made in two moves that overlap,
// and a copy of such a copy has to wait for them.
func appendCommunityID(dst []byte, id *[20]byte) []byte {
	dst = append(dst, '1', ':')
	dst = appendBase64(dst, binary.BigEndian.Uint64(id[0:]))
	dst = appendBase64(dst, binary.BigEndian.Uint64(id[6:]))
	dst = appendBase64(dst, binary.BigEndian.Uint64(id[12:]))
	last := uint32(id[18])<<16 | uint32(id[19])<<8
	return append(dst, base64Digits[last>>18], base64Digits[last>>12&63], base64Digits[last>>6&63], '=')
}

// appendBase64 appends the upper six octets of a word in base64.
func appendBase64(dst []byte, word uint64) []byte {
	text := uint64(base64Pairs[word>>52]) | uint64(base64Pairs[word>>40&4095])<<16 |
		uint64(base64Pairs[word>>28&4095])<<32 | uint64(base64Pairs[word>>16&4095])<<48
	return binary.LittleEndian.AppendUint64(dst, text)
}

// base64Digits are those of RFC 4648 section 4.
const base64Digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Pairs has all pairs of digits, the first one in the lower octet.
var base64Pairs = func() (t [4096]uint16) {
	for i := range t {
		t[i] = uint16(base64Digits[i>>6]) | uint16(base64Digits[i&63])<<8
	}
	return t
}()
