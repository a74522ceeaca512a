package export

import "unicode/utf8"

const hexDigits = "0123456789abcdef"

// plain tells the octets that stand for themselves in a JSON string.
func plain(c byte) bool { return ' ' <= c && c < 0x7f && c != '"' && c != '\\' }

// appendString appends s as a JSON string (RFC 8259 section 7). Octets that are
// not UTF-8 become U+FFFD. Beside what the RFC demands, it escapes what hurts a
// reader further on: DEL and the C1 controls, which steer a terminal, and the
// line separators U+2028 and U+2029, which end a line in JavaScript.
func appendString[S string | []byte](dst []byte, s S) []byte {
	dst = append(dst, '"')
	done := 0 // s[:done] is appended
	for i := 0; ; {
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

func decodeRune[S string | []byte](s S) (rune, int) {
	if len(s) > utf8.UTFMax {
		s = s[:utf8.UTFMax]
	}
	return utf8.DecodeRuneInString(string(s)) // does not escape: no allocation
}

// appendEscape appends one character of the Basic Multilingual Plane, escaped.
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
