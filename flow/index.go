package flow

import (
	"crypto/rand"
	"encoding/binary"
	"math/bits"
)

// An index finds the entry of a Key: open addressing with linear probing. A slot is 0, or
// the upper half of the Key's hash (the tag) above the entry's number; an entry is read
// only if its tag matches. The tag also tells where the slot belongs, so growing and
// removing touch no entry.
type index struct {
	slots []uint64
	shift uint8 // of a tag, to the slot where it belongs
	used  int
	room  int // how many entries there may be before it grows
	// early is by how many 512ths of its slots there is less room than three quarters. It
	// differs between the indexes of a table, which would otherwise all grow at a time.
	early int
}

func newIndex(early int) (x index) {
	x.early = early
	x.grow()
	return x
}

const smallestIndex = 16 // slots

func tagOf(hash uint64) uint32 { return uint32(hash >> 32) }

func slotOf(tag uint32, entry uint32) uint64 { return uint64(tag)<<32 | uint64(entry) }

// find returns the number of k's entry, or 0.
func (x *index) find(tag uint32, k *Key, entries *slab[entry]) uint32 {
	mask := len(x.slots) - 1
	for i := int(tag >> x.shift); ; i++ {
		slot := x.slots[i&mask]
		if slot == 0 {
			return 0
		}
		if uint32(slot>>32) == tag && entries.at(uint32(slot)).key.equals(k) {
			return uint32(slot)
		}
	}
}

// insert adds an entry whose Key is not in the index.
func (x *index) insert(tag uint32, entry uint32) {
	if x.used >= x.room {
		x.grow()
	}
	x.put(slotOf(tag, entry))
	x.used++
}

func (x *index) put(slot uint64) {
	mask := len(x.slots) - 1
	i := x.home(slot)
	for x.slots[i&mask] != 0 {
		i++
	}
	x.slots[i&mask] = slot
}

func (x *index) home(slot uint64) int { return int(uint32(slot>>32) >> x.shift) }

// grow doubles the slots. Each partition of a table has an index of its own, so no packet
// waits until all of them have grown.
func (x *index) grow() { x.resize(max(smallestIndex, 2*len(x.slots))) }

// resize changes the number of slots to n, a power of two.
func (x *index) resize(n int) {
	old := x.slots
	x.slots = make([]uint64, n)
	// put reads before it writes: without this, the system would map every page twice, and
	// interrupt all cores for the second time.
	clear(x.slots)
	x.shift = uint8(32 - bits.TrailingZeros(uint(n)))
	x.room = n*3/4 - n/512*x.early
	for _, slot := range old {
		if slot != 0 {
			x.put(slot)
		}
	}
}

// remove takes an entry out and moves up those behind it, as if it had never been there. An
// index that has become nearly empty shrinks.
func (x *index) remove(tag uint32, entry uint32) {
	mask := len(x.slots) - 1
	hole := int(tag>>x.shift) & mask
	for x.slots[hole] != slotOf(tag, entry) {
		hole = (hole + 1) & mask
	}
	x.used--
	for i := (hole + 1) & mask; x.slots[i] != 0; i = (i + 1) & mask {
		// A slot may move to the hole unless it belongs behind the hole.
		if (i-x.home(x.slots[i]))&mask >= (i-hole)&mask {
			x.slots[hole] = x.slots[i]
			hole = i
		}
	}
	x.slots[hole] = 0
	if x.used*8 < len(x.slots) && len(x.slots) > smallestIndex {
		x.resize(len(x.slots) / 2)
	}
}

// touch reads the slot where a tag belongs.
func (x *index) touch(tag uint32) uint64 { return x.slots[tag>>x.shift] }

// guess returns the number of the entry that find will look at first, or 0.
func (x *index) guess(tag uint32) uint32 {
	mask := len(x.slots) - 1
	for i := int(tag >> x.shift); ; i++ {
		slot := x.slots[i&mask]
		if slot == 0 || uint32(slot>>32) == tag {
			return uint32(slot)
		}
	}
}

// seed makes the hash of each table's index different, so that knowing this source is not
// enough to send packets whose Keys collide.
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
	h ^= mix(k.ports^s[4], k.tunnel^s[5])
	return mix(h^s[6], k.network^s[7])
}

// mix folds the 128-bit product of two words into one.
func mix(a, b uint64) uint64 {
	hi, lo := bits.Mul64(a, b)
	return hi ^ lo
}

// fixed holds the constants of the hashes that must not differ from run to run: the binary
// digits of pi's fraction.
var fixed = [...]uint64{0x243f6a8885a308d3, 0x13198a2e03707344, 0xa4093822299f31d0}

// partitions is how many parts a table has. A Key's partition follows from its endpoints
// and transport alone: it decides which Flows make room when the table is full, and so must
// not depend on a seed, nor on a tunnel's identity, which has one.
const partitions = 64

func partitionOf(k *Key) uint8 {
	h := mix(k.addr[0]^fixed[0], k.addr[1]^fixed[1])
	h ^= mix(k.addr[2]^fixed[1], k.addr[3]^fixed[2])
	h = mix(h^k.ports>>32, k.network&0xffff^fixed[0])
	return uint8(h >> 58)
}
