package flow

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// Whatever the numbers are, endings come into the same order as by comparing them.
func TestSortEndings(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 4))
	extremes := []int64{math.MinInt64, -1, 0, 1, math.MaxInt64 - 1, math.MaxInt64}
	for name, decided := range map[string]func() int64{
		"even":     func() int64 { return 1e18 + rng.Int64N(1<<tickBits) },
		"one time": func() int64 { return 7 },
		"two":      func() int64 { return rng.Int64N(2) },
		"extreme":  func() int64 { return extremes[rng.IntN(len(extremes))] },
		"skewed":   func() int64 { return int64(rng.Uint64() >> rng.UintN(64)) },
	} {
		for _, n := range []int{0, 1, fewEndings, fewEndings + 1, 1000, 50_000} {
			ends := make([]ending, n)
			for i, first := range rng.Perm(n) {
				ends[i] = ending{decided: decided(), first: uint64(first), entry: uint32(i)}
			}
			want := slices.SortedFunc(slices.Values(ends), compareEndings)
			if sortEndings(ends); !slices.Equal(ends, want) {
				t.Errorf("%s: %d endings are in another order", name, n)
			}
		}
	}
}
