package capture

import (
	"math"
	"math/bits"
)

// ngClock turns the timestamps of a pcapng interface into Unix nanoseconds:
// ticks * factor / divisor, or >> shift, plus the offset. At most one of
// divisor and shift is in use.
type ngClock struct {
	factor  uint64 // nanoseconds in a tick, or in 2^shift ticks; 0: ticks so short that every timestamp is less than a nanosecond
	divisor uint64 // ticks in a nanosecond, where a tick is shorter than that; else 1
	shift   uint8
	offset  int64 // seconds (if_tsoffset)
}

// newClock reads if_tsresol (draft-ietf-opsawg-pcapng section 4.2): the units
// in a second are a power of 10, or of 2 if the highest bit is set.
func newClock(resolution byte, offset int64) ngClock {
	c := ngClock{divisor: 1, offset: offset}
	switch exponent := resolution &^ 0x80; {
	case resolution&0x80 != 0:
		c.factor, c.shift = 1e9, exponent
	case exponent <= 9:
		c.factor = pow10(9 - exponent)
	case exponent-9 <= 19:
		c.factor, c.divisor = 1, pow10(exponent-9)
	}
	return c
}

// pow10 is 10^n for n up to 19.
func pow10(n byte) uint64 {
	p := uint64(1)
	for ; n > 0; n-- {
		p *= 10
	}
	return p
}

// nanoseconds converts a timestamp, rounding down. A time outside the range of
// int64 (before 1677, after 2262) becomes the nearest one inside.
func (c *ngClock) nanoseconds(ticks uint64) int64 {
	high, low := bits.Mul64(ticks, c.factor)
	if c.shift > 0 {
		high, low = shiftRight(high, low, c.shift)
	}
	if c.divisor > 1 { // then high is 0, as the factor is 1
		low /= c.divisor
	}
	if c.offset != 0 {
		return c.addOffset(high, low)
	}
	return saturate(high, low)
}

// addOffset adds the offset, which may bring a time that is out of range back
// into it.
func (c *ngClock) addOffset(high, low uint64) int64 {
	if c.offset < 0 {
		h, l := bits.Mul64(uint64(-(c.offset+1))+1, 1e9) // -MinInt64 does not fit into an int64
		low, borrow := bits.Sub64(low, l, 0)
		high, borrow = bits.Sub64(high, h, borrow)
		switch {
		case borrow == 0:
			return saturate(high, low)
		case high != math.MaxUint64 || low < 1<<63:
			return math.MinInt64
		}
		return int64(low)
	}
	h, l := bits.Mul64(uint64(c.offset), 1e9)
	low, carry := bits.Add64(low, l, 0)
	high, carry = bits.Add64(high, h, carry)
	if carry != 0 {
		return math.MaxInt64
	}
	return saturate(high, low)
}

func saturate(high, low uint64) int64 {
	if high != 0 || low > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(low)
}

// shiftRight shifts a 128-bit number by 1 to 127 bits.
func shiftRight(high, low uint64, n uint8) (uint64, uint64) {
	if n >= 64 {
		return 0, high >> (n - 64)
	}
	return high >> n, high<<(64-n) | low>>n
}
