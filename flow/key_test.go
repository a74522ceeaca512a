package flow

import (
	"math/rand/v2"
	"testing"
)

// TestKeyEquals compares equals with ==, on Keys that have few bits set, and so differ in
// few.
func TestKeyEquals(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	sparse := func() (k Key) {
		for _, word := range []*uint64{&k.addr[0], &k.addr[1], &k.addr[2], &k.addr[3], &k.ports, &k.network, &k.tunnel} {
			*word = r.Uint64() & r.Uint64() & r.Uint64() & 0xf
		}
		return k
	}
	for range 1_000_000 {
		a, b := sparse(), sparse()
		if r.IntN(2) == 0 { // differing in one word, or in none
			b = a
			*[]*uint64{&b.addr[0], &b.addr[1], &b.addr[2], &b.addr[3], &b.ports, &b.network, &b.tunnel}[r.IntN(7)] = r.Uint64N(4)
		}
		if got, want := a.equals(&b), a == b; got != want {
			t.Fatalf("equals is %t for\n%+v and\n%+v", got, a, b)
		}
	}
}
