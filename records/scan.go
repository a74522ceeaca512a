package records

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// maxDepth is how deep objects and arrays may be nested.
const maxDepth = 64

// A span is where a value lies in a line: from its first octet to behind its last.
// The zero span is that of no value.
type span struct{ from, to int }

// A scanner checks that a line is one JSON object (RFC 8259) and notes where the
// values are that say something of a Flow. It looks at each octet once.
type scanner struct {
	line []byte
	at   int

	values   [slots]span
	dialects dialect // whose names were seen
	end      int     // where the object's closing brace is
	ours     bool    // it has the member portwatch, or one with a point behind that
	path     [maxPath]byte
}

// scan scans a whole line.
func (s *scanner) scan(line []byte) error {
	s.line, s.at, s.dialects, s.end, s.ours = line, 0, 0, 0, false
	clear(s.values[:])
	if s.space() != '{' {
		return s.wanted("an object")
	}
	if err := s.object(0, 0); err != nil {
		return err
	}
	s.end = s.at - 1
	if s.space() != 0 || s.at < len(line) {
		return s.wanted("the end of the line")
	}
	return nil
}

func (s *scanner) wanted(what string) error {
	if s.at >= len(s.line) {
		return fmt.Errorf("the line ends where JSON wants %s", what)
	}
	return fmt.Errorf("octet %d is %q where JSON wants %s", s.at+1, s.line[s.at], what)
}

// space skips white space and returns the octet behind it, 0 at the end.
func (s *scanner) space() byte {
	for ; s.at < len(s.line); s.at++ {
		if c := s.line[s.at]; c > ' ' || c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return c
		}
	}
	return 0
}

// object scans an object from its opening brace on. The first n octets of path are
// the names above it, each with its point; n is 0 at the top, and negative where
// nobody asks for what is inside.
func (s *scanner) object(n, depth int) error {
	s.at++
	if s.space() == '}' {
		s.at++
		return nil
	}
	for {
		if s.space() != '"' {
			return s.wanted("a name")
		}
		name, plain, err := s.text()
		if err != nil {
			return err
		}
		if s.space() != ':' {
			return s.wanted("a colon")
		}
		s.at++
		if err := s.member(name, plain, n, depth); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.at++
		case '}':
			s.at++
			return nil
		default:
			return s.wanted("a comma or a closing brace")
		}
	}
}

// member scans the value of a name, and notes where it is.
func (s *scanner) member(name span, plain bool, n, depth int) error {
	if n < 0 {
		return s.value(-1, depth)
	}
	key := s.line[name.from+1 : name.to-1]
	if !plain {
		key = []byte(unquote(s.line[name.from:name.to]))
	}
	if rest, is := bytes.CutPrefix(key, []byte("portwatch")); n == 0 && is && (len(rest) == 0 || rest[0] == '.') {
		s.ours = true
	}
	if n+len(key) >= maxPath {
		return s.value(-1, depth)
	}
	below := -1
	if n > 0 {
		key = s.path[:n+copy(s.path[n:], key)]
	} else if isParent(key) {
		below = copy(s.path[:], key)
		s.path[below] = '.'
		below++
	}
	s.space()
	from := s.at
	if err := s.value(below, depth); err != nil {
		return err
	}
	if slot, d := slotOf(key); d != 0 {
		s.dialects |= d
		s.values[slot] = span{from, s.at}
	}
	return nil
}

// value scans any value; n is that of object.
func (s *scanner) value(n, depth int) error {
	switch c := s.space(); c {
	case '"':
		_, _, err := s.text()
		return err
	case '{', '[':
		if depth == maxDepth {
			return fmt.Errorf("more than %d levels of JSON", maxDepth)
		}
		if c == '{' {
			return s.object(n, depth+1)
		}
		return s.array(depth + 1)
	case 't':
		return s.literal("true")
	case 'f':
		return s.literal("false")
	case 'n':
		return s.literal("null")
	default:
		return s.numeral()
	}
}

func (s *scanner) array(depth int) error {
	s.at++
	if s.space() == ']' {
		s.at++
		return nil
	}
	for {
		if err := s.value(-1, depth); err != nil {
			return err
		}
		switch s.space() {
		case ',':
			s.at++
		case ']':
			s.at++
			return nil
		default:
			return s.wanted("a comma or a closing bracket")
		}
	}
}

func (s *scanner) literal(w string) error {
	if len(s.line)-s.at < len(w) || string(s.line[s.at:s.at+len(w)]) != w {
		return s.wanted("a value")
	}
	s.at += len(w)
	return nil
}

// numeral scans a number, as RFC 8259 section 6 has it.
func (s *scanner) numeral() error {
	if s.at < len(s.line) && s.line[s.at] == '-' {
		s.at++
	}
	if s.at < len(s.line) && s.line[s.at] == '0' {
		s.at++
	} else if s.digits() == 0 {
		return s.wanted("a value")
	}
	if s.at < len(s.line) && s.line[s.at] == '.' {
		s.at++
		if s.digits() == 0 {
			return s.wanted("a digit")
		}
	}
	if s.at < len(s.line) && s.line[s.at]|0x20 == 'e' {
		s.at++
		if s.at < len(s.line) && (s.line[s.at] == '+' || s.line[s.at] == '-') {
			s.at++
		}
		if s.digits() == 0 {
			return s.wanted("a digit")
		}
	}
	return nil
}

func (s *scanner) digits() (n int) {
	for ; s.at < len(s.line) && s.line[s.at]-'0' < 10; s.at++ {
		n++
	}
	return n
}

// stops tells the octets that need a look within a string.
var stops = func() (t [256]bool) {
	for c := range 0x20 {
		t[c] = true
	}
	t['"'], t['\\'] = true, true
	return t
}()

// text scans a string with its quotes; plain: it has no escapes.
func (s *scanner) text() (whole span, plain bool, err error) {
	line, i := s.line, s.at+1
	whole.from, plain = s.at, true
	for {
		for i < len(line) && !stops[line[i]] {
			i++
		}
		s.at = i
		switch {
		case i == len(line):
			return whole, plain, s.wanted("the end of a string")
		case line[i] == '"':
			s.at++
			whole.to = s.at
			return whole, plain, nil
		case line[i] != '\\':
			return whole, plain, s.wanted("an escape for it")
		}
		plain = false
		if i = s.escape(i + 1); i < 0 {
			return whole, plain, s.wanted("an escape that it has")
		}
	}
}

// escape returns where the text goes on behind an escape whose backslash is before
// i, and -1 where there is no such escape.
func (s *scanner) escape(i int) int {
	if i >= len(s.line) {
		return -1
	}
	switch s.line[i] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 1
	case 'u':
		if len(s.line)-i < 5 {
			return -1
		}
		for _, c := range s.line[i+1 : i+5] {
			if c-'0' > 9 && c|0x20-'a' > 5 {
				return -1
			}
		}
		return i + 5
	}
	return -1
}

// unquote returns the text of a string that was scanned.
func unquote(quoted []byte) string {
	var text string
	if json.Unmarshal(quoted, &text) != nil {
		return "" // cannot be: it was scanned
	}
	return text
}
