package flow

import (
	"cmp"
	"math"
	"math/bits"
	"slices"
)

// sortEndings puts endings into the order of records: by the time that decided
// them, then by their Flows' first packets.
//
// A flood ends thousands of Flows in a tick, and comparing them in pairs would cost as much
// as metering. But both numbers lie in a short range, spread about evenly. So the range is
// cut into even cells, about one per ending, every ending is swapped into its cell, and
// each cell is sorted in the same way, without further memory. Each level takes five to
// eight bits off a range, so there are few levels, whatever the numbers are.
func sortEndings(ends []ending) {
	if len(ends) <= fewEndings {
		insertEndings(ends)
		return
	}
	if slices.IsSortedFunc(ends, compareEndings) { // as the cells of Flush often are
		return
	}
	depth := min(bits.Len(uint(len(ends))), mostBits)
	c := cut(ends, depth)
	var all [2][1 << mostBits]uint32
	next, last := all[0][:1<<depth], all[1][:1<<depth]
	for i := range ends {
		last[c.of(&ends[i])]++
	}
	sum := uint32(0)
	for i, n := range last {
		next[i] = sum
		sum += n
		last[i] = sum
	}
	for i := range next {
		for next[i] < last[i] {
			here := next[i]
			home := c.of(&ends[here])
			ends[here], ends[next[home]] = ends[next[home]], ends[here]
			next[home]++
		}
	}
	begin := uint32(0)
	for _, end := range last {
		if end-begin > 1 {
			sortEndings(ends[begin:end])
		}
		begin = end
	}
}

// fewEndings is how many endings are still sorted in pairs.
const fewEndings = 24

// insertEndings sorts a few endings by insertion.
func insertEndings(ends []ending) {
	for i := 1; i < len(ends); i++ {
		e, at := ends[i], i
		for ; at > 0 && compareEndings(e, ends[at-1]) < 0; at-- {
			ends[at] = ends[at-1]
		}
		ends[at] = e
	}
}

func compareEndings(a, b ending) int {
	if a.decided != b.decided {
		return cmp.Compare(a.decided, b.decided)
	}
	return cmp.Compare(a.first, b.first)
}

const mostBits = 8 // of the number of cells

// A cutting tells which cell an ending belongs to.
type cutting struct {
	byFirst bool // all endings were decided on at one time
	low     uint64
	shift   int
}

// cut spreads endings over 1<<depth cells.
func cut(ends []ending, depth int) cutting {
	low, high := ends[0].decided, ends[0].decided
	first, end := ends[0].first, ends[0].first
	for i := range ends {
		e := &ends[i]
		low, high = min(low, e.decided), max(high, e.decided)
		first, end = min(first, e.first), max(end, e.first)
	}
	if low < high {
		return cutting{low: uint64(low), shift: narrow(uint64(high-low), depth)}
	}
	return cutting{byFirst: true, low: first, shift: narrow(end-first, depth)}
}

// narrow returns how far a span must be shifted to have at most depth bits.
func narrow(span uint64, depth int) int { return max(0, bits.Len64(span)-depth) }

func (c *cutting) of(e *ending) uint8 {
	if c.byFirst {
		return uint8((e.first - c.low) >> c.shift)
	}
	return uint8((uint64(e.decided) - c.low) >> c.shift)
}

// An age tells when a Flow had its last packet, and which slot of its index is the Flow's.
type age struct {
	last uint64 // that packet's ordinal
	slot uint64
}

// ages are sorted by last packets, of which no two are the same.
type ages struct{ all, spare []age }

// sort distributes by some bits after others, from the lowest on. How long that takes depends
// on how far the packets are apart, but on nothing else that a sender could choose.
func (x *ages) sort() {
	low, high := uint64(math.MaxUint64), uint64(0)
	for i := range x.all {
		low, high = min(low, x.all[i].last), max(high, x.all[i].last)
	}
	const digit = 11 // bits
	for shift := 0; len(x.all) > 0 && (high-low)>>shift > 0; shift += digit {
		of := func(a *age) int { return int((a.last - low) >> shift % (1 << digit)) }
		var begins [1 << digit]uint32
		for i := range x.all {
			begins[of(&x.all[i])]++
		}
		sum := uint32(0)
		for i, n := range begins {
			begins[i] = sum
			sum += n
		}
		sorted := slices.Grow(x.spare[:0], len(x.all))[:len(x.all)]
		for i := range x.all {
			at := &begins[of(&x.all[i])]
			sorted[*at] = x.all[i]
			*at++
		}
		x.all, x.spare = sorted, x.all
	}
}
