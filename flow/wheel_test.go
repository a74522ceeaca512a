package flow

import (
	"testing"
	"time"
)

// However often entries leave their buckets early, and come back under numbers that were
// left somewhere, the wheel holds few stale numbers and loses no entry.
func TestWheelTidies(t *testing.T) {
	const entries = 1000
	var (
		w       wheel
		margins slab[margin]
		most    int
	)
	for i := uint32(1); i <= entries; i++ {
		margins.reach(i)
		w.add(margins.at(i), i, 0)
	}
	for turn := range int64(3000) {
		for i := uint32(1); i <= entries; i++ {
			w.remove(margins.at(i))
			w.add(margins.at(i), i, turn*int64(i)%500*int64(time.Second))
		}
		most = max(most, w.numbers)
		w.tidy(&margins)
	}
	if bound := 2*entries + leafLength*wheelTicks + entries; most > bound || most < bound/2 {
		t.Errorf("%d numbers in the wheel, want at most %d, and about as many", most, bound)
	}
	if w.leaves.top > 2*wheelTicks+entries {
		t.Errorf("%d leaves for %d entries", w.leaves.top, entries)
	}
	seen := map[uint32]int{}
	w.advance(&margins, int64(600*time.Second), func(due []uint32) {
		for _, i := range due {
			seen[i]++
		}
	})
	for i := uint32(1); i <= entries; i++ {
		if seen[i] != 1 {
			t.Fatalf("entry %d was due %d times, want once", i, seen[i])
		}
	}
	if w.entries != 0 || len(seen) != entries {
		t.Errorf("%d entries left, %d seen", w.entries, len(seen))
	}
}
