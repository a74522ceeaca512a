package annotate

import (
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// maxExact is the largest number that a distinct counts exactly.
const maxExact = 32

// A distinct counts the different things that it is shown: up to maxExact exactly,
// more of them by an estimate in 1 KiB (HyperLogLog; P. Flajolet and others, 2007)
// with a standard error of 3.3%.
type distinct struct {
	n      int // how many are in first
	first  [maxExact]uint64
	many   bool // first is too small, so sketch counts
	sketch *sketch
}

// A sketch holds, for each prefix of the hashes, one more than the longest run of
// zeros seen after it.
type sketch [1 << sketchBits]uint8

const sketchBits = 10

// add counts a thing by its hash.
func (d *distinct) add(hash uint64) {
	if d.many {
		d.sketch.add(hash)
		return
	}
	for _, known := range d.first[:d.n] {
		if known == hash {
			return
		}
	}
	if d.n < maxExact {
		d.first[d.n] = hash
		d.n++
		return
	}
	if d.sketch == nil {
		d.sketch = new(sketch)
	}
	*d.sketch = sketch{}
	d.many = true
	for _, known := range d.first {
		d.sketch.add(known)
	}
	d.sketch.add(hash)
}

func (d *distinct) number() Number {
	if d.many {
		return Number{N: d.sketch.estimate(), Estimated: true}
	}
	return Number{N: uint64(d.n)}
}

// reset forgets everything but keeps the memory.
func (d *distinct) reset() { d.n, d.many = 0, false }

func (s *sketch) add(hash uint64) {
	run := uint8(bits.LeadingZeros64(hash<<sketchBits|1<<(sketchBits-1))) + 1
	at := hash >> (64 - sketchBits)
	s[at] = max(s[at], run)
}

func (s *sketch) estimate() uint64 {
	const m = float64(len(s))
	sum, empty := 0.0, 0
	for _, run := range s {
		sum += math.Ldexp(1, -int(run))
		if run == 0 {
			empty++
		}
	}
	n := 0.7213 / (1 + 1.079/m) * m * m / sum
	if n <= 2.5*m && empty > 0 {
		n = m * math.Log(m/float64(empty)) // linear counting, which is more accurate here
	}
	return uint64(math.Round(n))
}

// hashAddr has no seed: the same addresses give the same estimate in every run.
func hashAddr(a netip.Addr) uint64 {
	b := a.As16()
	high, low := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	return mix(mix(high^0x9e3779b97f4a7c15) ^ low)
}

// mix is the finalizer of MurmurHash3 (A. Appleby): each input bit changes each output
// bit with a probability of one half.
func mix(x uint64) uint64 {
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	x *= 0xc4ceb9fe1a85ec53
	return x ^ x>>33
}

// A portSet is a set of port numbers.
type portSet [65536 / 64]uint64

// add adds a port and reports whether it is new.
func (p *portSet) add(port uint16) bool {
	word, bit := &p[port/64], uint64(1)<<(port%64)
	if *word&bit != 0 {
		return false
	}
	*word |= bit
	return true
}
