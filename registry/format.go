package registry

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/bits"
	"regexp"
	"strings"
)

// The compact form of a Registry. Numbers are unsigned varints; a string is its
// length in octets, then the octets; a text is the place of a string in the texts.
//
//	magic    "portwatch registry 1\n"
//	date     string, YYYY-MM-DD
//	sha256   32 octets, of the source that the rows were read from
//	texts    number of octets, then strings, each once, the first one empty
//	entries  number of entries, number of names in all of them, then each:
//	         status octet, registered-on octet, note text, number of names, name texts
//	pairs    for each transport: runs (number of ports, entry) that add up to 65536
//	rows     number of rows, then each: 16 bits (little-endian), one for each column
//	         that differs from the row before, then these fields: the first port,
//	         then twice the number of ports, plus one for a single port written as
//	         a range; an octet for the transports; a text for the rest
//	crc      CRC-32 (IEEE) of everything before, 4 octets, little-endian
//
// The answers (entries, pairs) could be made from the rows again. They are stored so
// that opening does not even have to look at the rows.
const magic = "portwatch registry 1\n"

const (
	shaSize    = 32
	crcSize    = 4
	maxEntries = 1 << 16 // what the index of a Registry can address
)

// errCorrupt is the error for every damaged snapshot.
var errCorrupt = errors.New("damaged registry snapshot")

// encode writes the compact form. sha256 is in hexadecimal.
func encode(date, sha256 string, rows []Row) (string, error) {
	sum, err := hex.DecodeString(sha256)
	if err != nil || len(sum) != shaSize {
		return "", fmt.Errorf("bad sha256 %q", sha256)
	}
	of, err := answersOf(rows)
	if err != nil {
		return "", err
	}
	texts := newTexts()
	answers, err := appendAnswers(nil, texts, of)
	if err != nil {
		return "", err
	}
	packed := appendRows(nil, texts, rows)

	b := []byte(magic)
	b = appendString(b, date)
	b = append(b, sum...)
	b = appendString(b, string(texts.all))
	b = append(b, answers...)
	b = append(b, packed...)
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	return string(b), nil
}

// texts collects strings, each once. The place of a string is its index in all.
type texts struct {
	all    []byte
	places map[string]uint64
}

func newTexts() *texts {
	t := &texts{places: make(map[string]uint64)}
	t.place("") // is 0
	return t
}

func (t *texts) place(s string) uint64 {
	s = withoutAddresses(s)
	at, known := t.places[s]
	if !known {
		at = uint64(len(t.all))
		t.places[s] = at
		t.all = appendString(t.all, s)
	}
	return at
}

// address matches an email address, which four rows have in a reference or a note.
// The registry writes & for @.
var address = regexp.MustCompile(`<[^<>\s]+&[^<>\s]+>`)

// withoutAddresses removes people's addresses from a field: they are IANA's to
// publish. The names stay.
func withoutAddresses(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	return fold(address.ReplaceAllString(s, ""))
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendAnswers appends the entries in the order of their first pair, and the
// pairs as runs with the same entry.
func appendAnswers(b []byte, texts *texts, answers *pairs[answer]) ([]byte, error) {
	var entries, runs []byte
	numbers := make(map[string]uint64) // of the entries, by their packed form
	names := 0
	for t := range answers {
		of := &answers[t]
		for first, next := 0, 0; first < len(of); first = next {
			for next = first + 1; next < len(of) && of[next].equal(&of[first]); {
				next++
			}
			packed := appendEntry(nil, texts, &of[first])
			number, known := numbers[string(packed)]
			if !known {
				number = uint64(len(numbers))
				numbers[string(packed)] = number
				entries = append(entries, packed...)
				names += len(of[first].services)
			}
			runs = binary.AppendUvarint(runs, uint64(next-first))
			runs = binary.AppendUvarint(runs, number)
		}
	}
	if len(numbers) > maxEntries {
		return nil, fmt.Errorf("%d different answers, more than %d", len(numbers), maxEntries)
	}
	b = binary.AppendUvarint(b, uint64(len(numbers)))
	b = binary.AppendUvarint(b, uint64(names))
	return append(append(b, entries...), runs...), nil
}

func appendEntry(b []byte, texts *texts, a *answer) []byte {
	b = append(b, byte(a.status), byte(a.on))
	b = binary.AppendUvarint(b, texts.place(a.note))
	b = binary.AppendUvarint(b, uint64(len(a.services)))
	for _, s := range a.services {
		b = binary.AppendUvarint(b, texts.place(s))
	}
	return b
}

func appendRows(b []byte, texts *texts, rows []Row) []byte {
	b = binary.AppendUvarint(b, uint64(len(rows)))
	var before Row
	for i := range rows {
		b = appendRow(b, texts, &before, &rows[i])
		before = rows[i]
	}
	return b
}

func appendRow(b []byte, texts *texts, before, r *Row) []byte {
	var differs uint16
	start := len(b)
	b = append(b, 0, 0)
	for column := range Columns {
		end := len(b)
		switch column {
		case portColumn:
			if r.Ports != before.Ports {
				b = appendPorts(b, r.Ports)
			}
		case transportColumn:
			if r.Transports != before.Transports {
				b = append(b, byte(r.Transports))
			}
		default:
			if s := *r.text(column); s != *before.text(column) {
				b = binary.AppendUvarint(b, texts.place(s))
			}
		}
		if len(b) > end {
			differs |= 1 << column
		}
	}
	binary.LittleEndian.PutUint16(b[start:], differs)
	return b
}

func appendPorts(b []byte, p Ports) []byte {
	count := uint64(p.Count) << 1
	if p.twice {
		count++
	}
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.First)), count)
}

// Decode opens the compact form that Encoded returned. Whatever data holds, the
// result is an error or a Registry whose methods all work.
func Decode(data []byte) (*Registry, error) {
	end := len(data) - crcSize
	if end < len(magic) || string(data[:len(magic)]) != magic {
		return nil, errors.New("not a registry snapshot of this version")
	}
	if crc32.ChecksumIEEE(data[:end]) != binary.LittleEndian.Uint32(data[end:]) {
		return nil, errCorrupt
	}
	r, err := open(string(data))
	if err != nil {
		return nil, err
	}
	if err := r.checkRows(); err != nil {
		return nil, err
	}
	return r, nil
}

// checkRows checks that every row can be read and that nothing follows the last one.
func (r *Registry) checkRows() error {
	d, p := r.rows, packedRow{}
	for range r.rowCount {
		d.row(&p)
		if _, ok := p.unpack(d.texts); !ok {
			return errCorrupt
		}
	}
	if d.bad || d.left() > 0 {
		return errCorrupt
	}
	return nil
}

// open reads the answers. It trusts the magic, the checksum and the rows.
func open(data string) (*Registry, error) {
	d := &decoder{data: data[:len(data)-crcSize], at: len(magic)}
	r := &Registry{data: data}
	r.date = d.string(d.number())
	r.sha256 = hex.EncodeToString([]byte(d.string(shaSize)))
	d.texts = d.string(d.number())
	r.entries = d.entries()
	d.index(&r.index, len(r.entries))
	r.rowCount = d.count(2)
	r.rows = *d
	if d.bad {
		return nil, errCorrupt
	}
	return r, nil
}

// A decoder reads the compact form from its front. At the first value that cannot
// be right, it turns bad and stays so: every later read returns zero.
type decoder struct {
	data  string
	at    int
	texts string
	bad   bool
}

func (d *decoder) left() int { return len(d.data) - d.at }

func (d *decoder) fail() { d.at, d.bad = len(d.data), true }

func (d *decoder) octet() byte {
	if d.left() == 0 {
		d.fail()
		return 0
	}
	d.at++
	return d.data[d.at-1]
}

// number reads a varint of at most 28 bits, more than a source of MaxSource octets
// can need. Opening spends its time here, so this is not a loop.
func (d *decoder) number() int {
	s := d.data[d.at:]
	switch {
	case len(s) > 0 && s[0] < 0x80:
		d.at++
		return int(s[0])
	case len(s) > 1 && s[1] < 0x80:
		d.at += 2
		return int(s[0]&0x7f) | int(s[1])<<7
	case len(s) > 2 && s[2] < 0x80:
		d.at += 3
		return int(s[0]&0x7f) | int(s[1]&0x7f)<<7 | int(s[2])<<14
	case len(s) > 3 && s[3] < 0x80:
		d.at += 4
		return int(s[0]&0x7f) | int(s[1]&0x7f)<<7 | int(s[2]&0x7f)<<14 | int(s[3])<<21
	}
	d.fail()
	return 0
}

// count reads how many items of at least size octets follow. It refuses more
// than the rest has room for, so that a wrong number cannot demand much memory.
func (d *decoder) count(size int) int {
	n := d.number()
	if n > d.left()/size {
		d.fail()
		return 0
	}
	return n
}

func (d *decoder) string(n int) string {
	if n > d.left() {
		d.fail()
		return ""
	}
	d.at += n
	return d.data[d.at-n : d.at]
}

// text reads the place of a text, and returns the text.
func (d *decoder) text() string {
	at := d.number()
	if at == 0 {
		return ""
	}
	s, ok := textAt(d.texts, at)
	if !ok {
		d.fail()
	}
	return s
}

func textAt(texts string, at int) (s string, ok bool) {
	if at > len(texts) {
		return "", false
	}
	d := decoder{data: texts, at: at}
	s = d.string(d.number())
	return s, !d.bad
}

func (d *decoder) entries() []Entry {
	entries := make([]Entry, d.count(4))
	total := d.count(1)
	names := make([]string, 0, total)
	for i := range entries {
		e := &entries[i]
		e.Status = Status(d.octet())
		e.on = TransportSet(d.octet())
		e.note = d.text()
		first := len(names)
		for range d.count(1) {
			names = append(names, d.text())
		}
		e.services = names[first:len(names):len(names)]
		if e.Status > DynamicStatus || e.on > AllTransports {
			d.fail()
		}
	}
	if len(entries) > maxEntries || len(names) != total {
		d.fail()
	}
	return entries
}

// index reads the runs into the index that Lookup uses.
func (d *decoder) index(x *index, entries int) {
	alike := make(map[int]uint16) // by entry: the leaf whose pairs all have it
	for t := range x.pages {
		run, entry := 0, 0
		for page := range x.pages[t] {
			whole := run >= leafSize
			at, known := alike[entry]
			if whole && known {
				run -= leafSize
			} else {
				at = x.grow()
				for i := range x.leaves[at] {
					if run == 0 {
						run, entry = d.number(), d.number()
						if run == 0 || entry >= entries {
							d.fail()
							return
						}
					}
					x.leaves[at][i] = uint16(entry)
					run--
				}
				if whole {
					alike[entry] = at
				}
			}
			x.pages[t][page] = at
		}
		if run > 0 {
			d.fail()
		}
	}
}

// A packedRow is a row with the places of its texts.
type packedRow struct {
	ports      Ports
	transports TransportSet
	texts      [len(Columns)]uint32
}

// row turns r from the previous row into the next one.
func (d *decoder) row(r *packedRow) {
	differs := uint16(d.octet()) | uint16(d.octet())<<8
	if differs >= 1<<len(Columns) {
		d.fail()
		return
	}
	for ; differs != 0; differs &= differs - 1 {
		switch column := bits.TrailingZeros16(differs); column {
		case portColumn:
			r.ports = d.ports()
		case transportColumn:
			r.transports = d.transports()
		default:
			r.texts[column] = uint32(d.number())
		}
	}
}

func (d *decoder) ports() Ports {
	first, count := d.number(), d.number()
	twice := count&1 != 0
	count >>= 1
	if first > 65535 || first+count > 65536 || count == 0 && first > 0 || twice && count != 1 {
		d.fail()
		return Ports{}
	}
	return Ports{uint16(first), uint32(count), twice}
}

// transports reads one transport, or all.
func (d *decoder) transports() TransportSet {
	s := TransportSet(d.octet())
	if s != AllTransports && (s > AllTransports || len(s.List()) != 1) {
		d.fail()
	}
	return s
}

// unpack returns the row with its texts, and whether all of them exist.
func (p *packedRow) unpack(texts string) (r Row, ok bool) {
	r.Ports, r.Transports = p.ports, p.transports
	for column, at := range p.texts {
		if at == 0 {
			continue
		}
		if *r.text(column), ok = textAt(texts, int(at)); !ok {
			return r, false
		}
	}
	return r, r.Transports != 0
}
