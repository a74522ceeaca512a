package flow

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// flowID hashes what sets a Flow apart from all others: Key, tunnel, time and
// ordinal of the first packet, observer. The time is the clock's. What comes
// first tells the length of what comes behind it.
func (t *Table) flowID(i uint32) [16]byte {
	e, m := t.entries.at(i), t.margins.at(i)
	var tunnel Tunnel
	if m.rare != 0 {
		x := t.rares.at(m.rare)
		if x.sequence > 0 {
			return x.id
		}
		tunnel = x.tunnel
	}
	b := binary.BigEndian.AppendUint32(t.identity[:0], uint32(e.key.network)<<8|uint32(tunnel.Type))
	b = e.key.appendAddresses(b)
	b = binary.BigEndian.AppendUint64(b, e.key.ports)
	if tunnel.Type != 0 {
		b = binary.BigEndian.AppendUint32(b, tunnel.ID)
		b = append(b, tunnel.Outer.Version())
		b = tunnel.Outer.appendAddresses(b)
	}
	b = binary.BigEndian.AppendUint64(b, uint64(e.opened))
	b = binary.BigEndian.AppendUint64(b, m.first)
	t.identity = append(b, t.observer...)
	sum := sha256.Sum256(t.identity)
	return [16]byte(sum[:16])
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

// communityID is version 1 of the Community ID with seed 0, before base64: the
// SHA-1 of seed, addresses, protocol, a zero octet and, with ports, the ports.
// See github.com/corelight/community-id-spec.
func communityID(k *Key, protocol uint8, ports bool) [20]byte {
	var space [2 + 2*16 + 2 + 4]byte
	b := k.appendAddresses(space[:2])
	b = append(b, protocol, 0)
	if ports {
		b = binary.BigEndian.AppendUint32(b, uint32(k.ports>>32))
	}
	return sha1.Sum(b)
}

// hasCommunityPorts reports whether version 1 knows the transport's ports.
func hasCommunityPorts(t Transport) bool { return t == TCP || t == UDP || t == SCTP }

// AppendCommunityID appends a Community ID in its published form: "1:" and the
// base64 of the SHA-1.
func AppendCommunityID(dst []byte, id [20]byte) []byte {
	dst = append(dst, "1:"...)
	return base64.StdEncoding.AppendEncode(dst, id[:])
}
