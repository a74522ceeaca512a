package export

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// plain reports whether an octet stands for itself in a JSON string.
func plain(c byte) bool { return ' ' <= c && c < 0x7f && c != '"' && c != '\\' }

// appendString appends s as a JSON string (RFC 8259 section 7). Octets that are
// not UTF-8 become U+FFFD. Besides what the RFC demands, it escapes what can harm
// later readers: DEL and the C1 controls, which control a terminal, and the line
// separators U+2028 and U+2029, which end a line in JavaScript.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	done := 0 // s[:done] has been appended
	for i := 0; ; {
		for i+8 <= len(s) && allPlain(eight(s[i:i+8])) {
			i += 8
		}
		if rest := len(s) - 8; rest >= 0 && i > rest && allPlain(eight(s[rest:])) {
			i = len(s)
		}
		for i < len(s) && plain(s[i]) {
			i++
		}
		if i == len(s) {
			break
		}
		r, size := decodeRune(s[i:])
		if r > 0x9f && r != '\u2028' && r != '\u2029' && (r != utf8.RuneError || size > 1) {
			i += size
			continue
		}
		dst = append(dst, s[done:i]...)
		dst = appendEscape(dst, r)
		i += size
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}

// eight returns the first eight octets of s as a word.
func eight[S string | []byte](s S) uint64 {
	_ = s[7]
	return uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 |
		uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
}

// allPlain reports whether all eight octets are certainly plain. In each expression the
// top bit of an octet says that it is not; a borrow from the octet below can set more of
// these bits, so plain octets are sometimes not recognized.
func allPlain(w uint64) bool {
	const each, top = 0x0101010101010101, 0x8080808080808080
	low := w - ' '*each
	quote, backslash := w^'"'*each-each, w^'\\'*each-each
	high := w + each // DEL and above
	return (w|low|quote|backslash|high)&top == 0
}

func decodeRune[S string | []byte](s S) (rune, int) {
	if len(s) > utf8.UTFMax {
		s = s[:utf8.UTFMax]
	}
	return utf8.DecodeRuneInString(string(s)) // no allocation: the string does not escape
}

// appendEscape appends the escape of a character of the Basic Multilingual Plane.
func appendEscape(dst []byte, r rune) []byte {
	switch r {
	case '"', '\\':
		return append(dst, '\\', byte(r))
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u',
		hexDigits[r>>12&15], hexDigits[r>>8&15], hexDigits[r>>4&15], hexDigits[r&15])
}

// appendStrings appends a JSON array of strings.
func appendStrings(dst []byte, all []string) []byte {
	dst = append(dst, '[')
	for i, s := range all {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, s)
	}
	return append(dst, ']')
}
