package records

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Head says what the fields of lines of text are. It does not change once lines
// have been read by it.
type Head struct {
	separator string
	names     []string
	kinds     []kind
	// Of Zeek's TSV: what stands for no value, and for an empty one, and between the
	// values of a set.
	unset, empty, within string
	zeek                 bool
}

// kind is how a field is written in JSON.
type kind uint8

const (
	textKind kind = iota
	numberKind
	boolKind
	textsKind // a set or vector
	numbersKind
	boolsKind
)

// vpcFields are the fields of AWS VPC flow logs to version 10; those of version 2,
// in this order, are the default. Numbers are true.
var vpcFields = map[string]bool{
	"version": true, "account-id": false, "interface-id": false, "srcaddr": false, "dstaddr": false,
	"srcport": true, "dstport": true, "protocol": true, "packets": true, "bytes": true, "start": true,
	"end": true, "action": false, "log-status": false,
	"vpc-id": false, "subnet-id": false, "instance-id": false, "tcp-flags": true, "type": false,
	"pkt-srcaddr": false, "pkt-dstaddr": false,
	"region": false, "az-id": false, "sublocation-type": false, "sublocation-id": false,
	"pkt-src-aws-service": false, "pkt-dst-aws-service": false, "flow-direction": false, "traffic-path": true,
	"ecs-cluster-arn": false, "ecs-cluster-name": false, "ecs-container-instance-arn": false,
	"ecs-container-instance-id": false, "ecs-container-id": false, "ecs-second-container-id": false,
	"ecs-service-name": false, "ecs-task-definition-arn": false, "ecs-task-arn": false, "ecs-task-id": false,
	"reject-reason": false, "resource-id": false, "encryption-status": true,
}

const vpcDefault = "version account-id interface-id srcaddr dstaddr srcport dstport protocol packets bytes start end action log-status"

var defaultHead = mustVPC(vpcDefault)

func mustVPC(fields string) *Head {
	h, err := ParseFields(fields)
	if err != nil {
		panic(err)
	}
	return h
}

// ParseFields returns the Head of VPC flow log lines whose fields are these, by
// AWS's names, separated by white space; ${...} around a name is how AWS itself
// writes a format.
func ParseFields(fields string) (*Head, error) {
	h := &Head{separator: " ", unset: "-"}
	for _, name := range strings.Fields(fields) {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "${"), "}")
		number, known := vpcFields[name]
		switch {
		case !known:
			return nil, fmt.Errorf("%q is no field of a VPC flow log", name)
		case slices.Contains(h.names, name):
			return nil, fmt.Errorf("the field %s is there twice", name)
		}
		h.names = append(h.names, name)
		if number {
			h.kinds = append(h.kinds, numberKind)
		} else {
			h.kinds = append(h.kinds, textKind)
		}
	}
	if len(h.names) == 0 {
		return nil, errors.New("no fields")
	}
	return h, nil
}

// maybeHead reports whether a line that begins with c can be part of a head: it is
// neither JSON nor a line of values.
func maybeHead(c byte) bool { return c == '#' || 'a' <= c && c <= 'z' }

// read takes in a line of a head. It returns the Head as it is then, and whether the
// line was part of one.
func (h *Head) read(line []byte) (*Head, bool) {
	line = bytes.TrimRight(line, "\r\n")
	if len(line) > 0 && line[0] != '#' {
		first, _, _ := bytes.Cut(line, []byte(" "))
		if _, known := vpcFields[string(first)]; !known {
			return h, false
		}
		head, err := ParseFields(string(line))
		if err != nil {
			return h, false
		}
		return head, true
	}
	return h.readZeek(string(line)), true
}

// readZeek takes in one of the lines above a log in TSV: #separator, #set_separator,
// #empty_field, #unset_field, #path, #open, #fields, #types; and #close below it.
func (h *Head) readZeek(line string) *Head {
	next := Head{separator: "\t", unset: "-", empty: "(empty)", within: ",", zeek: true}
	if h != nil && h.zeek {
		next = *h
	}
	if escaped, found := strings.CutPrefix(line, "#separator "); found {
		next = Head{separator: unescape(escaped), unset: "-", empty: "(empty)", within: ",", zeek: true}
		return &next
	}
	name, value, found := strings.Cut(line, next.separator)
	if !found || next.separator == "" {
		return h
	}
	switch name {
	case "#set_separator":
		next.within = value
	case "#empty_field":
		next.empty = value
	case "#unset_field":
		next.unset = value
	case "#fields":
		next.names, next.kinds = strings.Split(value, next.separator), nil
	case "#types":
		next.kinds = nil
		for _, word := range strings.Split(value, next.separator) {
			next.kinds = append(next.kinds, zeekKind(word))
		}
	default:
		return h // says nothing of the fields, or is a comment in a flow log
	}
	return &next
}

// zeekKind returns how Zeek's JSON writer writes a type.
func zeekKind(word string) kind {
	of, within := kind(0), word
	if _, inner, found := strings.Cut(word, "["); found { // set[addr], vector[count]
		of, within = textsKind, strings.TrimSuffix(inner, "]")
	}
	switch within {
	case "count", "int", "port", "double", "time", "interval":
		return of + numberKind
	case "bool":
		return of + boolKind
	}
	return of + textKind
}

// object makes a line of text into a JSON object. Fields without a value are left
// out.
func (d *Reader) object(line []byte, head *Head) ([]byte, error) {
	line = bytes.TrimRight(line, "\r")
	switch {
	case len(bytes.TrimSpace(line)) == 0:
		return nil, errors.New("an empty line")
	case head == nil && line[0]-'0' < 10:
		head = defaultHead
	case head == nil:
		return nil, errors.New("neither JSON nor a line of values, nor is there a head above it")
	case head.names == nil:
		return nil, errors.New("the head above it has no #fields")
	}
	dst := append(d.body[:0], '{')
	rest, n := line, 0
	for more := true; more; n++ {
		var value []byte
		value, rest, more = bytes.Cut(rest, []byte(head.separator))
		if n >= len(head.names) {
			continue
		}
		dst = head.appendMember(dst, n, value)
	}
	d.body = append(dst, '}')
	if n != len(head.names) {
		return nil, fmt.Errorf("%d fields, and %d in the head", n, len(head.names))
	}
	return d.body, nil
}

// appendMember appends a field, unless it has no value.
func (h *Head) appendMember(dst []byte, n int, value []byte) []byte {
	if string(value) == h.unset {
		return dst
	}
	if len(dst) > 1 {
		dst = append(dst, ',')
	}
	dst = appendString(dst, h.names[n])
	dst = append(dst, ':')
	k := textKind
	if n < len(h.kinds) {
		k = h.kinds[n]
	}
	if k < textsKind {
		return h.appendValue(dst, k, value)
	}
	dst = append(dst, '[')
	if string(value) != h.empty {
		for i, v := range bytes.Split(value, []byte(h.within)) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = h.appendValue(dst, k-textsKind, v)
		}
	}
	return append(dst, ']')
}

// appendValue appends a value. One that is not what its type says stays a text.
func (h *Head) appendValue(dst []byte, k kind, value []byte) []byte {
	switch {
	case k == numberKind && isNumber(value):
		return append(dst, value...)
	case k == boolKind && string(value) == "T":
		return append(dst, "true"...)
	case k == boolKind && string(value) == "F":
		return append(dst, "false"...)
	case h.zeek && string(value) == h.empty:
		return append(dst, `""`...)
	case h.zeek && bytes.IndexByte(value, '\\') >= 0:
		return appendString(dst, unescape(string(value)))
	}
	return appendString(dst, value)
}

func isNumber(value []byte) bool {
	s := scanner{line: value}
	return s.numeral() == nil && s.at == len(value)
}

// unescape takes Zeek's \xHH and \\ out of a text.
func unescape(text string) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] == '\\' && i+1 < len(text) {
			if text[i+1] == '\\' {
				i++
			} else if i+3 < len(text) && text[i+1] == 'x' {
				if n, err := strconv.ParseUint(text[i+2:i+4], 16, 8); err == nil {
					b.WriteByte(byte(n))
					i += 3
					continue
				}
			}
		}
		b.WriteByte(text[i])
	}
	return b.String()
}
