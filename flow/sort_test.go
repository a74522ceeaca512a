package flow

import (
	"cmp"
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

// However far apart the packets are, ages come into the same order as by comparing them.
func TestSortAges(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var x ages // used again and again, as by scan
	for _, n := range []int{0, 1, 2, 300, 20_000, 1000} {
		for bits := range 65 {
			x.all = x.all[:0]
			taken := map[uint64]bool{}
			for i := range min(n, 1<<min(bits, 20)) {
				last := rng.Uint64() >> (64 - bits)
				if bits == 64 && i < 2 {
					last = []uint64{0, math.MaxUint64}[i]
				}
				if !taken[last] {
					taken[last] = true
					x.all = append(x.all, age{last, uint64(i)})
				}
			}
			want := slices.SortedFunc(slices.Values(x.all), func(a, b age) int { return cmp.Compare(a.last, b.last) })
			if x.sort(); !slices.Equal(x.all, want) {
				t.Errorf("%d ages of %d bits are in another order", n, bits)
			}
		}
	}
}
