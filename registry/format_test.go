package registry

import (
	"bytes"
	"encoding/binary"
	"encoding/csv"
	"hash/crc32"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The embedded answers must be those that the embedded rows give, in this version's form.
func TestSnapshotIsCanonical(t *testing.T) {
	r, err := Decode([]byte(snapshot))
	if err != nil {
		t.Fatal(err)
	}
	again, err := encode(r.Date(), r.SHA256(), slices.Collect(r.Rows()))
	if err != nil {
		t.Fatal(err)
	}
	if again != snapshot {
		t.Errorf("decoded and encoded again, the snapshot differs: run go generate")
	}
}

// small is a small Registry with everything that the form can hold.
func small(t testing.TB) string {
	r, _, err := Parse(strings.NewReader(wholeCSV(
		"http,80,tcp,World Wide Web HTTP,[A],[B],1992,2021-10-01,[RFC9110],,,Defined TXT keys: u=<username>\n"+
			"www,80,tcp,World Wide Web HTTP,[A],[B],,,,,,\"This is a duplicate of the \"\"http\"\" service\"\n"+
			",81,,Unassigned,,,,,,,Known Unauthorized Use on 81,\n,82-82,,Unassigned,,,,,,,,\n"+
			"discard,9,dccp,Discard,,,,,,1145656131,,\nrdp,,,Remote Desktop,,,,,,,,\n")), "small.csv")
	if err != nil {
		t.Fatal(err)
	}
	return r.Encoded()
}

// sealed adds the magic and the checksum, without which Decode would reject the body.
func sealed(body []byte) []byte {
	b := append([]byte(magic), body...)
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
}

func TestDecodeErrors(t *testing.T) {
	good := []byte(small(t))
	if _, err := Decode(good); err != nil {
		t.Fatal(err)
	}
	for end := range good {
		if r, err := Decode(good[:end]); r != nil || err == nil {
			t.Fatalf("cut at %d: %v, %v", end, r, err)
		}
	}
	for i := range good {
		bad := slices.Clone(good)
		bad[i] ^= 0x10
		if r, err := Decode(bad); r != nil || err == nil {
			t.Fatalf("octet %d changed: %v, %v", i, r, err)
		}
	}
	body := good[len(magic) : len(good)-crcSize]
	for end := range body {
		if r, err := Decode(sealed(body[:end])); r != nil || err == nil {
			t.Fatalf("cut at %d and sealed: %v, %v", end, r, err)
		}
	}
	if r, err := Decode(sealed(append(slices.Clone(body), 0))); r != nil || err == nil {
		t.Errorf("one octet more: %v, %v", r, err)
	}
}

// TestNumber: what was appended is read, up to 28 bits.
func TestNumber(t *testing.T) {
	for bit := range 28 {
		for _, n := range []int{1 << bit, 1<<(bit+1) - 1} {
			d := decoder{data: string(binary.AppendUvarint(nil, uint64(n)))}
			if got := d.number(); got != n || d.bad || d.left() != 0 {
				t.Errorf("%d is read as %d, %d octets are left", n, got, d.left())
			}
		}
	}
	if d := (decoder{data: string(binary.AppendUvarint(nil, 1<<28))}); d.number() != 0 || !d.bad {
		t.Error("29 bits are read")
	}
}

// use calls all methods that read what Decode accepted.
func use(t *testing.T, r *Registry) {
	for _, transport := range Transports {
		for port := 0; port < 1<<16; port += 13 {
			e := r.Lookup(transport, uint16(port))
			if e == nil || e.Status > DynamicStatus || int(r.Index(transport, uint16(port))) >= r.Entries() {
				t.Fatalf("%d/%v: entry %+v", port, transport, e)
			}
			_, _, _ = e.Service(), e.RegisteredOn(), e.Services()
		}
	}
	n := 0
	for row := range r.Rows() {
		n++
		if len(row.Transports.List()) == 0 || !row.Contains(row.Notes) {
			t.Fatalf("row %+v", row)
		}
	}
	if n != r.Len() {
		t.Fatalf("%d rows, Len says %d", n, r.Len())
	}
}

func FuzzDecode(f *testing.F) {
	good := []byte(small(f))
	body := good[len(magic) : len(good)-crcSize]
	f.Add(body)
	f.Add(body[:len(body)/2])
	f.Add([]byte{})
	f.Add([]byte("\x00" + strings.Repeat("\x01", shaSize) + "\xff\xff\xff\x7f"))
	f.Fuzz(func(t *testing.T, body []byte) {
		r, err := Decode(sealed(body))
		if (r == nil) == (err == nil) {
			t.Fatalf("%v, %v: want one of them", r, err)
		}
		if err == nil {
			use(t, r)
		}
	})
}

// fuzzParse is the property of both parsers: an error, or rows that written as CSV
// read as the same rows.
func fuzzParse(t *testing.T, data []byte) {
	s, err := parse(data)
	if (s == nil) == (err == nil) {
		t.Fatalf("%v, %v: want a source or an error", s, err)
	}
	if err != nil {
		return
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(Columns[:])
	for _, row := range s.rows {
		fields := row.Fields()
		w.Write(fields[:])
	}
	w.Flush()
	if again, err := parse(b.Bytes()); err != nil || !slices.Equal(again.rows, s.rows) {
		t.Fatalf("rows %+v\nread as %+v (%v)", s.rows, again, err)
	}
}

func FuzzParseCSV(f *testing.F) {
	f.Add([]byte(wholeCSV("http,80,tcp,\"World, \"\"Wide\"\"\r\nWeb\",[A],[B],1992,2021-10-01,[RFC9110],,,Note\r\n")))
	f.Add([]byte(wholeCSV("x11,6000-6063,tcp,,,,,,,,Known Unauthorized Use on port 6003,\n")))
	f.Add([]byte(wholeCSV("a,80-7,tcp,,,,,,,,,\r\n")))
	f.Add([]byte("\ufeff" + head))
	f.Add([]byte(head + "\"open"))
	f.Fuzz(func(t *testing.T, source []byte) { fuzzParse(t, source) })
}

func FuzzParseXML(f *testing.F) {
	f.Add([]byte(wholeXML(`<record date="2001-01-01"><name>a</name><protocol>tcp</protocol><number>1-2</number>` +
		`<xref type="rfc" data="rfc1"/><note>b <xref type="person" data="C"/><br/></note></record>`)))
	f.Add([]byte(wholeXML("<record><name/><number>65536</number></record>")))
	f.Add([]byte(wholeXML("<!-- -->")[:200]))
	f.Add([]byte("<!DOCTYPE html><html>"))
	f.Fuzz(func(t *testing.T, source []byte) { fuzzParse(t, source) })
}

// TestNoAddresses: the snapshot names people, and leaves their addresses to IANA.
func TestNoAddresses(t *testing.T) {
	address := regexp.MustCompile(`[\w.+-]+[&@][\w-]+\.[\w.-]+`)
	for row := range Embedded().Rows() {
		for i, field := range row.Fields() {
			if found := address.FindString(field); found != "" {
				t.Errorf("%s of %s %s: %s", Columns[i], row.Service, row.Ports, found)
			}
		}
	}
}

func TestEmbeddedDate(t *testing.T) {
	if got, want := EmbeddedDate(), Embedded().Date(); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
