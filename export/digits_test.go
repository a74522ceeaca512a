package export

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"
	"net/netip"
	"strconv"
	"testing"
	"time"
)

func TestUint(t *testing.T) {
	for n := range uint64(1_100_000) {
		if got := string(appendUint(nil, n)); got != strconv.FormatUint(n, 10) {
			t.Fatalf("%d: %q", n, got)
		}
	}
	for power := uint64(1_000_000); ; power *= 10 {
		for _, n := range []uint64{power - 1, power, power + 1, -power} {
			if got := string(appendUint([]byte("x"), n)); got != "x"+strconv.FormatUint(n, 10) {
				t.Errorf("%d: %q", n, got)
			}
		}
		if power == 1e19 {
			break
		}
	}
}

// TestAddr tries each octet and each group, and every set of groups that are zero.
func TestAddr(t *testing.T) {
	check := func(a netip.Addr) {
		t.Helper()
		if got := string(appendAddr([]byte("x"), a)); got != "x"+a.String() {
			t.Errorf("%s: %q", a, got)
		}
	}
	for i := range 256 {
		check(netip.AddrFrom4([4]byte{byte(i), 0, byte(255 - i), 10}))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for zeros := range 256 {
		for range 8 {
			var a [16]byte
			for group := range 8 {
				if zeros>>group&1 == 0 {
					binary.BigEndian.PutUint16(a[2*group:], 1+uint16(random.Uint32N(0xffff))>>random.Uint32N(16))
				}
			}
			check(netip.AddrFrom16(a))
		}
	}
	for group := range 1 << 16 {
		check(netip.AddrFrom16([16]byte{0: 0x20, 1: 1, 14: byte(group >> 8), 15: byte(group)}))
	}
	check(netip.MustParseAddr("::ffff:192.0.2.1"))
}

func TestHex(t *testing.T) {
	var text [32]byte
	for i := range 256 {
		bits := [16]byte{0: byte(i), 7: byte(i + 1), 15: byte(255 - i)}
		if putHex(&text, &bits); string(text[:]) != hex.EncodeToString(bits[:]) {
			t.Errorf("%x: %s", bits, text)
		}
	}
}

func FuzzStamp(f *testing.F) {
	for _, ns := range []int64{0, -1, 1, 999_999_999, noon.UnixNano(), -1 << 63, 1<<63 - 1, 951_782_400e9} {
		f.Add(ns)
	}
	f.Fuzz(func(t *testing.T, ns int64) {
		var s stamp
		for _, ns := range []int64{ns, ns ^ 1<<43, ns ^ 1<<31, ns ^ 1<<20, ns} { // most are on the day of the one before, or in its second
			want := time.Unix(0, ns).UTC().Format("2006-01-02T15:04:05.000000000Z07:00")
			if s.set(ns); string(s.text[:stampSize]) != want {
				t.Errorf("%d ns: %s, want %s", ns, s.text[:stampSize], want)
			}
		}
	})
}
