package records

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// A Record is what one line says of a Flow.
type Record struct {
	Class Class

	// Body is the record as a JSON object: the line itself, or what a line of text was
	// made into. Body[End] is the object's closing brace: a further member goes before
	// it.
	Body []byte
	End  int

	// Flow has transport, endpoints, direction and state, where Class is Annotatable.
	// Its Source is the initiator, which the record may have as its destination:
	// Reversed says so.
	Flow     flow.Record
	Reversed bool

	values *scanner
}

// Class says what can be done with a line that was read.
type Class uint8

// The classes. Only the first one has ports to annotate.
const (
	Annotatable  Class = iota
	WithoutPorts       // of a protocol without ports, such as ICMP
	OtherType          // an event that is no flow, or a flow log's line without data
	Annotated          // it has the member portwatch: from here or from portwatch itself
)

// A Format is a kind of record that a Reader can be told to expect.
type Format uint8

// The formats. Auto looks at each line.
const (
	Auto Format = iota
	ECS
	Zeek
	EVE
	NetFlow
	VPC
)

// Formats are the names of the formats, by number.
var Formats = []string{Auto: "auto", ECS: "ecs", Zeek: "zeek", EVE: "eve", NetFlow: "netflow", VPC: "vpc"}

// A Reader reads lines. It is not for concurrent use.
type Reader struct {
	format   Format
	assigned func(flow.Transport, uint16) bool

	scan scanner
	body []byte // what lines of text are made into
}

// NewReader returns a Reader of one format, or of all. assigned is
// [flow.Options].Assigned.
func NewReader(format Format, assigned func(flow.Transport, uint16) bool) *Reader {
	return &Reader{format: format, assigned: assigned}
}

// Read fills r from a line without its end; head is nil or what the head above the
// line says. An error says why the line cannot be read, and r has nothing then. The
// line is not changed. r points into it and into the Reader, and is valid until the
// Reader reads again.
func (d *Reader) Read(r *Record, line []byte, head *Head) error {
	*r = Record{Body: line, values: &d.scan}
	if len(line) > MaxLine {
		*r = Record{}
		return errTooLong
	}
	if text := bytes.TrimLeft(line, " \t"); len(text) == 0 || text[0] != '{' {
		body, err := d.object(line, head)
		if err != nil {
			*r = Record{}
			return err
		}
		r.Body = body
	}
	if err := d.scan.scan(r.Body); err != nil {
		*r = Record{}
		return err
	}
	r.End = d.scan.end
	class, err := d.classify(r)
	if err != nil {
		*r = Record{}
		return err
	}
	r.Class = class
	return nil
}

var errTooLong = fmt.Errorf("longer than %d octets", MaxLine)

// classify takes what a scanned record says.
func (d *Reader) classify(r *Record) (Class, error) {
	s := &d.scan
	if s.ours {
		return Annotated, nil
	}
	kind, err := d.kind()
	if err != nil {
		return 0, err
	}
	if kind == eve && s.has(event) && !s.is(event, "flow") || kind == vpc && s.has(status) && !s.is(status, "OK") {
		return OtherType, nil
	}
	if kind == ecs && s.has(eventKind) && !s.is(eventKind, "event") && !(s.has(sourcePort) && s.has(destinationPort)) {
		return OtherType, nil // an alert or a metric, that need not be of one Flow
	}
	if kind == zeek && !s.has(transportName) && !s.has(transportNumber) {
		return OtherType, nil // http.log and most others of Zeek's
	}
	t, ported, err := d.transport(kind)
	if err != nil {
		return 0, err
	}
	if !ported {
		return WithoutPorts, nil
	}
	source, err := d.endpoint("source", sourceAddr, sourcePort)
	if err != nil {
		return 0, err
	}
	destination, err := d.endpoint("destination", destinationAddr, destinationPort)
	if err != nil {
		return 0, err
	}
	if mapped(source) && mapped(destination) {
		source, destination = unmap(source), unmap(destination)
	}
	if source.Addr().Is4() != destination.Addr().Is4() {
		return 0, errors.New("its addresses are of two IP versions")
	}
	d.judge(r, kind, t, source, destination)
	return Annotatable, nil
}

// kind decides whose record it is, by the names that only its own kind has.
func (d *Reader) kind() (dialect, error) {
	s := &d.scan
	if d.format != Auto {
		kind := [...]dialect{ECS: ecs, Zeek: zeek, EVE: eve, NetFlow: netflow, VPC: vpc}[d.format]
		if s.dialects&kind == 0 {
			return 0, fmt.Errorf("no names of a record of %s", Formats[d.format])
		}
		return kind, nil
	}
	for _, kind := range [...]dialect{zeek, ecs, eve, netflow, vpc} {
		if s.dialects&kind != 0 {
			return kind, nil
		}
	}
	return 0, errors.New("no names of a flow record of " + strings.Join(Formats[1:], ", "))
}

// transport returns the transport; ported: it is one whose ports the registry has.
func (d *Reader) transport(kind dialect) (t flow.Transport, ported bool, err error) {
	s := &d.scan
	for _, slot := range [...]slot{transportNumber, transportName} {
		word := s.bytes(slot)
		if len(word) == 0 {
			continue
		}
		switch n, ok := parseUint(word); {
		case ok && n <= math.MaxUint8:
			t = flow.Transport(n)
			return t, t.String() != "unknown", nil
		case ok || s.line[s.values[slot].from] != '"': // 256, 6.0
			return 0, false, errors.New("transport: " + s.quote(slot))
		}
		for _, t := range [...]flow.Transport{flow.TCP, flow.UDP, flow.SCTP, flow.DCCP, flow.UDPLite} {
			if name := t.String(); len(word) == len(name) && strings.EqualFold(string(word), name) {
				return t, true, nil
			}
		}
		if slot == transportNumber && len(s.bytes(transportName)) > 0 {
			continue // somebody else's "protocol"
		}
		return 0, false, nil // icmp, ipv6-icmp, gre, ...
	}
	if kind == ecs && !s.has(sourcePort) && !s.has(destinationPort) {
		return 0, false, nil
	}
	return 0, false, errors.New("no transport")
}

// endpoint reads one side.
func (d *Reader) endpoint(side string, addr, port slot) (flow.Endpoint, error) {
	s := &d.scan
	n, ok := parseUint(s.bytes(port))
	if !ok || n > math.MaxUint16 {
		return flow.Endpoint{}, fmt.Errorf("%s port: %s", side, s.quote(port))
	}
	a, ok := parseAddr(s.bytes(addr))
	if !ok {
		return flow.Endpoint{}, fmt.Errorf("%s address: %s", side, s.quote(addr))
	}
	return netip.AddrPortFrom(a, uint16(n)), nil
}

// mapped reports whether an address is one of IPv4, or an IPv6 address that has one inside
// (RFC 4291 section 2.5.5.2). Opposite an IPv6 address that is one as well.
func mapped(e flow.Endpoint) bool { return e.Addr().Is4() || e.Addr().Is4In6() }

func unmap(e flow.Endpoint) flow.Endpoint { return netip.AddrPortFrom(e.Addr().Unmap(), e.Port()) }

// parseAddr reads an address; its zone, if any, is of no use to anybody else.
func parseAddr(text []byte) (netip.Addr, bool) {
	if a, ok := parseAddr4(text); ok {
		return a, true
	}
	a, err := netip.ParseAddr(string(text))
	return a.WithZone(""), err == nil
}

// parseAddr4 reads the usual form of an IPv4 address, without an allocation.
func parseAddr4(text []byte) (netip.Addr, bool) {
	var b [4]byte
	i, part, digits := 0, 0, 0
	for _, c := range text {
		switch {
		case c == '.' && digits > 0 && i < 3:
			b[i] = byte(part)
			i, part, digits = i+1, 0, 0
		case c-'0' < 10 && (digits == 0 || part > 0):
			part, digits = part*10+int(c-'0'), digits+1
			if part > math.MaxUint8 {
				return netip.Addr{}, false
			}
		default:
			return netip.Addr{}, false
		}
	}
	b[i] = byte(part)
	return netip.AddrFrom4(b), i == 3 && digits > 0
}

// has reports whether a value is there and is not null.
func (s *scanner) has(i slot) bool {
	v := s.values[i]
	return v.to > v.from && s.line[v.from] != 'n'
}

// bytes returns a value: of a string its text, of all else what stands there.
func (s *scanner) bytes(i slot) []byte {
	if !s.has(i) {
		return nil
	}
	v := s.line[s.values[i].from:s.values[i].to]
	if v[0] != '"' {
		return v
	}
	if bytes.IndexByte(v, '\\') >= 0 {
		return []byte(unquote(v))
	}
	return v[1 : len(v)-1]
}

// is compares a value.
func (s *scanner) is(i slot, word string) bool { return string(s.bytes(i)) == word }

// number reads a count; known: the value is there, and is a count.
func (s *scanner) number(i slot) (n uint64, known bool) { return parseUint(s.bytes(i)) }

// parseUint reads a count, which has 18 digits at most.
func parseUint(text []byte) (n uint64, ok bool) {
	if len(text) == 0 || len(text) > 18 {
		return 0, false
	}
	for _, c := range text {
		if c-'0' > 9 {
			return 0, false
		}
		n = n*10 + uint64(c-'0')
	}
	return n, true
}

// quote tells of a value in an error, briefly.
func (s *scanner) quote(i slot) string {
	if !s.has(i) {
		return "there is none"
	}
	const enough = 64
	v := s.bytes(i)
	return strconv.Quote(string(v[:min(len(v), enough)]))
}

// Time returns when the Flow was seen, in nanoseconds since the Unix epoch, as the
// record says it; ok: it does. A date without a zone is local time: nfdump and pmacct
// write those.
func (r *Record) Time() (ns int64, ok bool) {
	text := string(r.values.bytes(seen))
	if len(text) > len("2006-") && text[4] == '-' {
		return parseDate(text)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	n, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || n < 0 {
		return 0, false
	}
	// In seconds, milliseconds (ECS allows them), microseconds or nanoseconds: by its size.
	unit := int64(1)
	switch {
	case n < 1e11:
		unit = 1e9
	case n < 1e14:
		unit = 1e6
	case n < 1e17:
		unit = 1e3
	}
	if n > math.MaxInt64/unit {
		return 0, false // later than 2262
	}
	if unit == 1e9 {
		ns, err = strconv.ParseInt((fraction + "000000000")[:9], 10, 64)
	}
	ns += n * unit
	return ns, err == nil && ns >= 0
}

// parseDate reads a time that begins with a year, as RFC 3339 writes it or nearly so.
func parseDate(text string) (ns int64, ok bool) {
	for _, layout := range []string{
		time.RFC3339,
		"2006-01-02T15:04:05-0700", // Suricata
		"2006-01-02T15:04:05",      // nfdump
		"2006-01-02 15:04:05",      // pmacct
	} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			ns = t.UnixNano()
			return ns, time.Unix(0, ns).Equal(t) // else before 1677 or after 2262
		}
	}
	return 0, false
}

// Flagged reports whether a record that is Annotated has a finding, or is an alert, which
// has no list of findings.
func (r *Record) Flagged() bool {
	list := r.values.bytes(findings)
	return r.Class == Annotated && (len(list) == 0 || len(bytes.Trim(list, "[] \t\r\n")) > 0)
}

// AppendCommunityID appends the Community ID: the record's own, else the one of its
// endpoints.
func (r *Record) AppendCommunityID(dst []byte) []byte {
	if r.values.has(communityID) {
		return append(dst, r.values.bytes(communityID)...)
	}
	if r.Class != Annotatable {
		return dst
	}
	f := r.Flow
	f.Key, _ = flow.KeyOf(f.Transport, f.Source.Endpoint, f.Destination.Endpoint)
	return flow.AppendCommunityID(dst, f.CommunityID())
}
