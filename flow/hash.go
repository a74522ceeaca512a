package flow

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// seed makes the hash of a table's index its own, so that nobody who knows this
// source can send packets whose Keys collide.
type seed [8]uint64

func newSeed() (s seed) {
	var b [8 * len(s)]byte
	rand.Read(b[:]) // never fails
	for i := range s {
		s[i] = binary.NativeEndian.Uint64(b[8*i:])
	}
	return s
}

// hash mixes the words of a Key, each with a secret of its own.
func (s *seed) hash(k *Key) uint64 {
	h := mix(k.addr[0]^s[0], k.addr[1]^s[1])
	h ^= mix(k.addr[2]^s[2], k.addr[3]^s[3])
	h ^= mix(k.ports^s[4], k.network^s[5])
	return mix(h^s[6], k.tunnel^s[7])
}

// mix folds the 128-bit product of two words into one.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// fixed are the constants of the hashes that must not differ from run to run:
// the binary digits of pi's fraction.
var fixed = [...]uint64{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0}

// partitions is how many parts a table has. Which one a Key belongs to follows
// from its endpoints and its transport alone: it decides who makes room when
// the table is full, and so must not depend on a seed, a tunnel's identity,
// which has one, included.
const partitions = 64

func partitionOf(k *Key) uint8 {
	h := mix(k.addr[0]^fixed[0], k.addr[1]^fixed[1])
	h ^= mix(k.addr[2]^fixed[1], k.addr[3]^fixed[2])
	h = mix(h^k.ports>>32, k.network&0xffff^fixed[0])
	return uint8(h >> 58)
}
