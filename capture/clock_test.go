package capture

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

// slowClock is newClock and nanoseconds in numbers without bounds.
func slowClock(resolution byte, offset int64, ticks uint64) int64 {
	base, exponent := int64(10), int64(resolution&^0x80)
	if resolution&0x80 != 0 {
		base = 2
	}
	n := new(big.Int).SetUint64(ticks)
	n.Mul(n, big.NewInt(1e9))
	n.Div(n, new(big.Int).Exp(big.NewInt(base), big.NewInt(exponent), nil))
	n.Add(n, new(big.Int).Mul(big.NewInt(offset), big.NewInt(1e9)))
	switch {
	case n.Cmp(big.NewInt(math.MaxInt64)) > 0:
		return math.MaxInt64
	case n.Cmp(big.NewInt(math.MinInt64)) < 0:
		return math.MinInt64
	}
	return n.Int64()
}

func TestClockAgreesWithSlowTwin(t *testing.T) {
	ticks := []uint64{0, 1, 999, 1e9, 1700000000_123456, 1700000000_123456789, 1<<63 - 1, 1 << 63, 1<<64 - 1}
	offsets := []int64{0, 1, -1, 3600, -1700000000, 9223372036, -9223372037, math.MaxInt64, math.MinInt64, math.MinInt64 + 1}
	random := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		ticks = append(ticks, random.Uint64()>>random.IntN(64))
		offsets = append(offsets, int64(random.Uint64())>>random.IntN(64))
	}
	for resolution := range 256 {
		for _, offset := range offsets {
			c := newClock(byte(resolution), offset)
			for _, n := range ticks {
				if got, want := c.nanoseconds(n), slowClock(byte(resolution), offset, n); got != want {
					t.Fatalf("resolution %#x, offset %d, %d ticks: got %d, want %d", resolution, offset, n, got, want)
				}
			}
		}
	}
}
