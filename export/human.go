package export

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// appendThousands appends n with a comma between groups of three digits.
func appendThousands(dst []byte, n uint64) []byte {
	if n < 1000 {
		return appendUint(dst, n)
	}
	dst = appendThousands(dst, n/1000)
	return appendPair(append(dst, ',', byte('0'+n%1000/100)), n%100)
}

// appendScaled appends n in at most five characters, scaled by powers of 1000: 999,
// 1.0k, 18.2k, 182k, 1.8M. It rounds down, so that no number looks larger than it is.
func appendScaled(dst []byte, n uint64) []byte {
	if n < 1000 {
		return appendUint(dst, n)
	}
	units := "kMGTPE"
	unit := 0
	for ; n >= 1000_000; n /= 1000 {
		unit++
	}
	dst = appendUint(dst, n/1000)
	if n < 100_000 {
		dst = append(dst, '.', byte('0'+n%1000/100))
	}
	return append(dst, units[unit])
}

// appendSpan appends a duration as a person would say it: 0.12 s, 12.3 s, 4 min
// 5 s, 2 h 3 min, 3 d 4 h.
func appendSpan(dst []byte, d time.Duration) []byte {
	switch {
	case d < 10*time.Second:
		return append(strconv.AppendFloat(dst, d.Seconds(), 'f', 2, 64), " s"...)
	case d < time.Minute:
		return append(strconv.AppendFloat(dst, d.Seconds(), 'f', 1, 64), " s"...)
	case d < time.Hour:
		return appendUnits(dst, d, time.Minute, " min ", time.Second, " s")
	case d < 24*time.Hour:
		return appendUnits(dst, d, time.Hour, " h ", time.Minute, " min")
	}
	return appendUnits(dst, d, 24*time.Hour, " d ", time.Hour, " h")
}

func appendUnits(dst []byte, d, large time.Duration, largeName string, small time.Duration, smallName string) []byte {
	dst = strconv.AppendInt(dst, int64(d/large), 10)
	dst = append(dst, largeName...)
	dst = strconv.AppendInt(dst, int64(d%large/small), 10)
	return append(dst, smallName...)
}

// appendPrintable appends s with everything replaced by U+FFFD that is not a
// letter, mark, number, symbol, punctuation or plain space. Text from a registry
// file thus cannot control a terminal: no control characters of C0 or C1, no
// direction marks, nothing invisible.
func appendPrintable[S string | []byte](dst []byte, s S) []byte {
	for i := 0; ; {
		start := i
		for i < len(s) && ' ' <= s[i] && s[i] < 0x7f {
			i++
		}
		dst = append(dst, s[start:i]...)
		if i == len(s) {
			return dst
		}
		r, size := decodeRune(s[i:])
		if !unicode.IsPrint(r) {
			r = utf8.RuneError
		}
		dst = utf8.AppendRune(dst, r)
		i += size
	}
}
