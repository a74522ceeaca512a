package flow

import "math/bits"

// An index finds the entry of a Key: open addressing with linear probing. A
// slot is the upper half of the Key's hash (the tag) above the entry's number,
// or 0; entries are looked at where the tag is right only. The tag also tells
// where the slot belongs, so that growing and removing touch no entry.
type index struct {
	slots []uint64
	shift uint8 // of a tag, to the slot where it belongs
	used  int
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
		if uint32(slot>>32) == tag && entries.at(uint32(slot)).key == *k {
			return uint32(slot)
		}
	}
}

// insert adds an entry whose Key is not there.
func (x *index) insert(tag uint32, entry uint32) {
	if x.used*4 >= len(x.slots)*3 {
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

// grow doubles the slots. A table's index grows in as many steps as it has
// partitions, so that no packet waits for all of them.
func (x *index) grow() {
	old := x.slots
	x.slots = make([]uint64, max(smallestIndex, 2*len(old)))
	x.shift = uint8(32 - bits.TrailingZeros(uint(len(x.slots))))
	for _, slot := range old {
		if slot != 0 {
			x.put(slot)
		}
	}
}

// remove takes an entry out, and moves those behind it up, as if it had never
// been there.
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
}

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
