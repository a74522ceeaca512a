package flow

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
)

// identityLength is the length of what a Flow's ID is a hash of, without the
// observer's id behind it: Key, tunnel, time, ordinal.
const identityLength = 6*8 + (1 + 4 + 4*8 + 1) + 2*8

// flowID hashes what sets a Flow apart from all others. The time is the clock's
// at the first packet.
func (t *Table) flowID(e *entry) (id [16]byte) {
	var tunnel Tunnel
	if e.rare != 0 {
		x := t.rares.at(e.rare)
		if x.sequence > 0 {
			return x.id
		}
		tunnel = x.tunnel
	}
	b := t.identity[:0]
	for _, word := range e.key.addr {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	b = binary.BigEndian.AppendUint64(b, e.key.ports)
	b = binary.BigEndian.AppendUint64(b, e.key.network)
	b = append(b, byte(tunnel.Type))
	b = binary.BigEndian.AppendUint32(b, tunnel.ID)
	for _, word := range tunnel.Outer.addr {
		b = binary.BigEndian.AppendUint64(b, word)
	}
	b = append(b, tunnel.Outer.Version())
	b = binary.BigEndian.AppendUint64(b, uint64(e.opened))
	binary.BigEndian.AppendUint64(b, e.first)
	sum := sha256.Sum256(t.identity)
	return [16]byte(sum[:16])
}

// communityID is version 1 of the Community ID with seed 0, before base64: the
// SHA-1 of seed, addresses, protocol, a zero octet and, with ports, the ports.
// See github.com/corelight/community-id-spec.
func communityID(k *Key, protocol uint8, ports bool) [20]byte {
	var space [2 + 2*16 + 2 + 4]byte
	b := space[:2]
	for i := range 4 {
		if k.Version() == 4 {
			if i%2 == 1 {
				b = binary.BigEndian.AppendUint32(b, uint32(k.addr[i]))
			}
			continue
		}
		b = binary.BigEndian.AppendUint64(b, k.addr[i])
	}
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
