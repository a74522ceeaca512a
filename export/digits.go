package export

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"time"
)

// A record is mostly numbers. The functions here write them as strconv, encoding/hex,
// netip and time do, in half the time. They append a size that the compiler knows, and
// then cut the slice to the digits there are: that is cheaper than appending only those.

// triples has the numbers below 1000 as three digits, the first one in the lowest
// octet.
var triples = func() (t [1000]uint32) {
	for i := range t {
		n := uint32(i)
		t[i] = '0' + n/100 | ('0'+n/10%10)<<8 | ('0'+n%10)<<16
	}
	return t
}()

// smalls has the same numbers without leading zeros, and the number of digits in the
// highest octet.
var smalls = func() (t [1000]uint32) {
	for i := range t {
		switch n := triples[i]; {
		case i < 10:
			t[i] = n>>16 | 1<<24
		case i < 100:
			t[i] = n>>8 | 2<<24
		default:
			t[i] = n | 3<<24
		}
	}
	return t
}()

// quarters has the text of each octet of an IPv4 address with a dot after it, and the
// size of that text.
var quarters = func() (t [256]struct {
	text uint32
	size uint8
}) {
	for i := range t {
		n := smalls[i]
		size := n >> 24
		t[i].text, t[i].size = n&0xff_ffff|'.'<<(8*size), uint8(size+1)
	}
	return t
}()

// appendUint appends n in decimal.
func appendUint(dst []byte, n uint64) []byte {
	switch {
	case n < 1e3:
		t := smalls[n]
		return binary.LittleEndian.AppendUint32(dst, t)[:len(dst)+int(t>>24)]
	case n < 1e6:
		t := smalls[n/1e3]
		size := t >> 24
		text := uint64(t&0xff_ffff) | uint64(triples[n%1e3])<<(8*size)
		return binary.LittleEndian.AppendUint64(dst, text)[:len(dst)+int(size)+3]
	case n < 1e9:
		t := smalls[n/1e6]
		dst = binary.LittleEndian.AppendUint32(dst, t)[:len(dst)+int(t>>24)]
		text := uint64(triples[n/1e3%1e3]) | uint64(triples[n%1e3])<<24
		return binary.LittleEndian.AppendUint64(dst, text)[:len(dst)+6]
	}
	return appendTriple(appendUint(dst, n/1e3), n%1e3)
}

// appendTriple appends n, which is below 1000, as three digits.
func appendTriple(dst []byte, n uint64) []byte {
	return binary.LittleEndian.AppendUint32(dst, triples[n])[:len(dst)+3]
}

// appendPair appends n, which is below 100, as two digits.
func appendPair(dst []byte, n uint64) []byte {
	t := triples[n]
	return append(dst, byte(t>>8), byte(t>>16))
}

// hexPairs has the 256 octets as two hexadecimal digits, the first one in the lower
// octet.
var hexPairs = func() (t [256]uint16) {
	for i := range t {
		t[i] = uint16(hexDigits[i>>4]) | uint16(hexDigits[i&15])<<8
	}
	return t
}()

// putHex writes 128 bits as 32 hexadecimal digits.
func putHex(b *[32]byte, bits *[16]byte) {
	for i, octet := range bits {
		binary.LittleEndian.PutUint16(b[2*i:], hexPairs[octet])
	}
}

// appendAddr appends a as netip does. a has no zone.
func appendAddr(dst []byte, a netip.Addr) []byte {
	switch {
	case a.Is4():
		for _, octet := range a.As4() {
			q := &quarters[octet]
			dst = binary.LittleEndian.AppendUint32(dst, q.text)[:len(dst)+int(q.size)]
		}
		return dst[:len(dst)-1]
	case a.Is4In6():
		return a.AppendTo(dst)
	}
	return appendIPv6(dst, a.As16())
}

// appendIPv6 appends a by RFC 5952: no leading zeros, and :: for the longest
// run of zero groups, the first of equally long ones, but never for a single group.
func appendIPv6(dst []byte, a [16]byte) []byte {
	var zeros uint8 // a bit for each group that is 0
	for i := range 8 {
		if a[2*i]|a[2*i+1] == 0 {
			zeros |= 1 << i
		}
	}
	longest := longestRuns[zeros]
	for i := 0; i < 8; i++ {
		if i == longest.from {
			dst = append(dst, "::"...)
			if i = longest.to; i == 8 {
				break
			}
		} else if i > 0 {
			dst = append(dst, ':')
		}
		dst = appendGroup(dst, a[2*i], a[2*i+1])
	}
	return dst
}

// appendGroup appends 16 bits of an IPv6 address.
func appendGroup(dst []byte, high, low byte) []byte {
	size := (bits.Len16(uint16(high)<<8|uint16(low)|1) + 3) / 4
	digits := (uint32(hexPairs[high]) | uint32(hexPairs[low])<<16) >> (32 - 8*size)
	return append(dst, byte(digits), byte(digits>>8), byte(digits>>16), byte(digits>>24))[:len(dst)+size]
}

// run is the groups that :: stands for: from from up to, but not including, to.
type run struct{ from, to int }

// longestRuns has the run for each set of groups that are 0, a bit for each group.
var longestRuns = func() (t [256]run) {
	for zeros := range t {
		longest := run{8, 9} // none; its length of 1 rules out single groups
		for from := range 8 {
			to := from
			for zeros>>to&1 != 0 {
				to++
			}
			if to-from > longest.to-longest.from {
				longest = run{from, to}
			}
		}
		t[zeros] = longest
	}
	return t
}()

// An address is the text of an IP address, kept for repeated use.
type address struct {
	text [48]byte
	size int // of text
}

func (a *address) set(from netip.Addr) { a.size = len(appendAddr(a.text[:0], from)) }

// append appends the text; an IPv4 address takes a single move.
func (a *address) append(dst []byte) []byte {
	if a.size <= 16 {
		return append(dst, a.text[:16]...)[:len(dst)+a.size]
	}
	return append(dst, a.text[:a.size]...)
}

// A stamp is the text of a time by RFC 3339, in UTC and always with nine fractional
// digits: a column of them sorts as text, and no reader has to guess. It is set to one
// time after another, and nearly all of them are on the same day as the one before.
type stamp struct {
	day    int64    // since the Unix epoch
	second uint32   // of the day
	text   [32]byte // the first stampSize octets are the text
}

const stampSize = len("2006-01-02T15:04:05.000000000Z")

// set sets s to a time in nanoseconds since the Unix epoch.
func (s *stamp) set(ns int64) {
	const length = int64(24 * time.Hour)
	day, within := ns/length, ns%length
	if within < 0 {
		day, within = day-1, within+length
	}
	second, fraction := uint32(within/1e9), uint32(within%1e9)
	if day != s.day || s.text[0] == 0 {
		s.day, s.second = day, second
		time.Unix(0, ns).UTC().AppendFormat(s.text[:0], "2006-01-02T15:04:05.000000000Z")
		return
	}
	if second != s.second {
		s.second = second
		putPair(s.text[11:13], second/3600)
		putPair(s.text[14:16], second/60%60)
		putPair(s.text[17:19], second%60)
	}
	// Each store also writes to where the next one begins, the last one the Z.
	binary.LittleEndian.PutUint32(s.text[20:], triples[fraction/1e6])
	binary.LittleEndian.PutUint32(s.text[23:], triples[fraction/1e3%1e3])
	binary.LittleEndian.PutUint32(s.text[26:], triples[fraction%1e3]|'Z'<<24)
}

// append appends the text.
func (s *stamp) append(dst []byte) []byte {
	return append32(dst, &s.text)[:len(dst)+stampSize]
}

// append32 appends 32 octets in two moves; a single append of 32 would be a call.
func append32(dst []byte, text *[32]byte) []byte {
	return append(append(dst, text[:16]...), text[16:]...)
}

func putPair(b []byte, n uint32) {
	t := triples[n]
	b[0], b[1] = byte(t>>8), byte(t>>16)
}
