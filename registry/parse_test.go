package registry

import (
	"encoding/csv"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

const head = "Service Name,Port Number,Transport Protocol,Description,Assignee,Contact,Registration Date," +
	"Modification Date,Reference,Service Code,Unauthorized Use Reported,Assignment Notes\r\n"

// wholeCSV adds a last row that avoids warnings.
func wholeCSV(rows string) string {
	return head + rows + ",49151,,IANA Reserved,,,,,,,,\r\n"
}

func wholeXML(records string) string {
	return `<?xml version="1.0" encoding="UTF-8"?>
<registry xmlns="http://www.iana.org/assignments" id="service-names-port-numbers">
  <updated>2026-08-17</updated>
` + records + `
  <record><description>IANA Reserved</description><number>49151</number></record>
  <people><person id="Jon_Postel"><name>Jon Postel</name><uri>mailto:jon&amp;example.org</uri></person></people>
</registry>
`
}

// parseRows parses a source without faults, and returns its rows except the last.
func parseRows(t *testing.T, source string) []Row {
	t.Helper()
	r, warnings, err := Parse(strings.NewReader(source), "test")
	if err != nil || len(warnings) > 0 {
		t.Fatalf("%v %v", warnings, err)
	}
	rows := slices.Collect(r.Rows())
	return rows[:len(rows)-1]
}

func TestParseCSV(t *testing.T) {
	rows := parseRows(t, "\ufeff"+strings.Replace(wholeCSV(
		"rdp,,,A  \"b\" \n c,,,,,,,,\n"+
			"\"cl/1\",172-173,udp,\"Said \"\"x\"\",\r\n\tand more\",[A_B],[C],1992,2001-02,[RFC1],7,yes,\"x, y\"\r\n"),
		`A  "b" `+"\n c", "Remote", 1))
	want := []Row{
		{Service: "rdp", Transports: AllTransports, Description: "Remote"},
		{Service: "cl/1", Ports: PortRange(172, 173), Transports: SetOf(UDP), Description: `Said "x", and more`,
			Assignee: "[A_B]", Contact: "[C]", Registered: "1992", Modified: "2001-02", Reference: "[RFC1]",
			ServiceCode: "7", Unauthorized: "yes", Notes: "x, y"},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("%+v\nwant\n%+v", rows, want)
	}
	old := strings.Replace(wholeCSV("x,1,tcp,,,,,,,,yes,\r\n"), "Unauthorized Use Reported", "Known Unauthorized Uses", 1)
	if got := parseRows(t, old); got[0].Unauthorized != "yes" {
		t.Errorf("older head: %+v", got)
	}
}

func TestParseXML(t *testing.T) {
	rows := parseRows(t, wholeXML(`
  <record date="2001-02" updated="2026-01-01">
    <number>172-173</number>
    <note>Was <xref type="person" data="X_Y"/>'s<br/><br/>See <xref type="rfc" data="rfc9900"/>
      <paragraph>a &lt;b&gt;</paragraph><paragraph>c</paragraph></note>
    <xref type="person" data="C"/>
    <xref type="rfc" data="rfc6335"/>
    <xref type="rfc" data="rfc8765">RFC8765, Section 6.1</xref>
    <assignee><xref type="person" data="A_B"/><xref type="person" data="A_C"/></assignee>
    <xref type="draft" data="draft-x-05" section="4">draft-x-05, Section 4</xref>
    <xref type="uri" data="http://x.example/"/>
    <xref type="uri" data="http://x.example/">TR-1</xref>
    <xref type="text">n/a</xref>
    <xref type="note" data="1"/>
    <xref type="person" data="D"/>
    <sc>7</sc> <unauthorized>yes
    </unauthorized>
    <protocol>udp</protocol><description> Two
 lines</description>
    <name>cl/1</name>
    <future>unknown elements are none of ours</future>
  </record>
  <record><name/><note/><description>Unassigned</description><number>7</number><xref type="person" data="P"/></record>`))
	want := []Row{
		{Service: "cl/1", Ports: PortRange(172, 173), Transports: SetOf(UDP), Description: "Two lines",
			Assignee: "[A_B][A_C]", Contact: "[C][D]", Registered: "2001-02", Modified: "2026-01-01",
			Reference:   "[RFC6335][RFC8765, Section 6.1][draft-x-05, Section 4][http://x.example/][TR-1][n/a][1]",
			ServiceCode: "7", Unauthorized: "yes", Notes: "Was [X_Y]'s See [RFC9900] a <b> c"},
		{Ports: PortRange(7, 7), Transports: AllTransports, Description: "Unassigned", Assignee: "[P]", Contact: "[P]"},
	}
	if !slices.Equal(rows, want) {
		t.Errorf("%+v\nwant\n%+v", rows, want)
	}
}

// The cost of a record must not grow with the square of the number of its elements.
func TestParseXMLOfManyElements(t *testing.T) {
	const most = 200 << 20 // octets; the answers take 44 MiB of them
	for name, record := range map[string]string{
		"notes":     strings.Repeat("<note>a</note>", 30_000),
		"contacts":  strings.Repeat(`<xref type="person" data="a"/>`, 30_000),
		"assignees": "<assignee>" + strings.Repeat(`<xref type="person" data="a"/>`, 30_000) + "</assignee>",
	} {
		source := wholeXML("<record><name>a</name>" + record + "</record>")
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		parseRows(t, source)
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > most {
			t.Errorf("%s: %d octets of XML took %d octets of memory, more than %d", name, len(source), n, most)
		}
	}
}

func TestParseErrors(t *testing.T) {
	for name, tt := range map[string]struct{ source, want string }{
		"empty":           {"", "t.csv: unknown header: not IANA's"},
		"HTML":            {"<!DOCTYPE html>\n<html><body>", "t.csv: the root element is <html>: not IANA's"},
		"untidy HTML":     {"<html lang=en><body>", "t.csv: XML syntax error on line 1"},
		"plain text":      {"Service Name and Transport Protocol Port Number Registry\n\n  tcpmux  1  tcp\n", "CSV or XML"},
		"other header":    {strings.Replace(head, "Port Number", "Port", 1), "t.csv: unknown header"},
		"not UTF-8":       {head + "a,1,tcp,,,,,,,,,\r\nb\xff,1,tcp,,,,,,,,,\r\n", "t.csv: line 3: not UTF-8"},
		"no row":          {head, "t.csv: no rows"},
		"an empty line":   {wholeCSV("a,1,tcp,\"x\r\ny\",,,,,,,,\r\n\r\nb,2,tcp,,,,,,,,,\r\n"), "t.csv: row 2, line 4: an empty line, not 12 columns"},
		"columns":         {wholeCSV("a,1,tcp,,,,,,,,\r\n"), "t.csv: row 1, line 2: 11 columns, not 12"},
		"open quote":      {head + "a,1,tcp,\"x,,,,,,,,\r\n", `t.csv: row 1, line 2: extraneous or missing " in quoted-field`},
		"backwards":       {wholeCSV("a,1,tcp,\"x\ny\",,,,,,,,\r\na,80-7,tcp,,,,,,,,,\r\n"), `t.csv: row 2, line 4: port range "80-7" runs backwards`},
		"port":            {wholeCSV("a,65536,tcp,,,,,,,,,\r\n"), `t.csv: row 1, line 2: "65536" is not a port number from 0 to 65535`},
		"negative port":   {wholeCSV("a,-1,tcp,,,,,,,,,\r\n"), `"" is not a port number`},
		"signed port":     {wholeCSV("a,+1,tcp,,,,,,,,,\r\n"), `"+1" is not a port number`},
		"stray quote":     {wholeCSV("a,\"1,tcp\r\n" + strings.Repeat("b,2,tcp,,,,,,,,,\r\n", 1000) + "\",tcp,,,,,,,,,\r\n"), `t.csv: row 1, line 2: "1,tcp b,2,tcp,,,,,,,,, b,2,tcp`},
		"transport":       {wholeCSV("a,1,icmp,,,,,,,,,\r\n"), `t.csv: row 1, line 2: unknown transport "icmp"`},
		"nothing":         {wholeCSV(",,tcp,text,,,,,,,,\r\n"), "t.csv: row 1, line 2: neither a service name nor a port"},
		"cut XML":         {strings.SplitAfter(wholeXML(""), "IANA Res")[0], "t.csv: row 1, line 5: not well-formed XML: unexpected EOF"},
		"cut between":     {strings.Split(wholeXML(""), "  <people>")[0], "t.csv: line 6: not well-formed XML: unexpected EOF"},
		"two roots":       {wholeXML("") + wholeXML("")[strings.Index(wholeXML(""), "<registry"):], "more than one root element"},
		"text after":      {wholeXML("") + "x", `text where an element is expected: "x"`},
		"another id":      {strings.Replace(wholeXML(""), "service-names-port-numbers", "protocol-numbers", 1), `the registry's id is "protocol-numbers"`},
		"no namespace":    {strings.Replace(wholeXML(""), ` xmlns="http://www.iana.org/assignments"`, "", 1), "the root element is <registry>"},
		"port in XML":     {wholeXML("<record/>\n"), "t.csv: row 1, line 4: neither"},
		"another charset": {`<?xml version="1.0" encoding="latin1"?><registry/>`, "not IANA's"},
		"wide ranges":     {wholeCSV(strings.Repeat("a,0-65535,,,,,,,,,,\r\n", 1000)), "t.csv: more than 32 rows cover 49151/tcp"},
		"many rows":       {wholeCSV(strings.Repeat("a,7,udp,,,,,,,,,\r\n", maxRows+1)), "t.csv: more than 32 rows cover 7/udp"},
		"wide reports":    {wholeCSV("a,7,,,,,,,,," + strings.Repeat("0-65535 ", 1000) + ",\r\n"), "t.csv: more than 32 reports of unauthorized use of 0/tcp"},
		"long reports":    {wholeCSV(",0-65535,,,,,,,,," + strings.Repeat("x", 1000) + ",\r\n,0-65535,,,,,,,,," + strings.Repeat("y", 1000) + ",\r\n"), "t.csv: more than 67108864 octets of notes on unauthorized use"},
		"deep XML":        {wholeXML("<a>" + strings.Repeat("<a>", 1000) + strings.Repeat("</a>", 1000) + "</a>"), "t.csv: line 4: more than 64 levels of XML"},
		"an entity":       {wholeXML("<record><name>&x;</name></record>"), "t.csv: row 1, line 4: not well-formed XML: invalid character entity &x;"},
	} {
		t.Run(name, func(t *testing.T) {
			r, _, err := Parse(strings.NewReader(tt.source), "dir/t.csv")
			if err == nil || r != nil {
				t.Fatalf("%v, %v; want no registry, and an error", r, err)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q\nlacks %q", err, tt.want)
			}
			if n := len(err.Error()); n > 200 {
				t.Errorf("error of %d octets: %.100q...", n, err)
			}
			if _, ok := errors.AsType[*RowError](err); !ok {
				t.Errorf("%T, not a *RowError", err)
			}
		})
	}
}

func TestParseFailingReader(t *testing.T) {
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if r, _, err := Parse(f, "folder"); r != nil || err == nil || err.Error() != "folder: is a directory" {
		t.Errorf("%v, %v", r, err)
	}
}

func TestWarnings(t *testing.T) {
	for name, tt := range map[string]struct {
		source string
		want   []Warning
	}{
		"whole":     {wholeCSV(""), nil},
		"no end":    {strings.TrimRight(wholeCSV(""), "\r\n"), []Warning{"the last line has no line break: the end may be missing"}},
		"no 49151":  {head + "a,1,tcp,,,,,,,,,\r\n", []Warning{"no row covers port 49151: the end may be missing"}},
		"cut twice": {head + "a,1,tcp,,,,,,,,,", []Warning{"no row covers port 49151: the end may be missing", "the last line has no line break: the end may be missing"}},
		"dynamic":   {wholeCSV("a,49152-49153,,,,,,,,,,\r\n"), []Warning{"row 1: ports 49152-49153 reach into the Dynamic Ports, which are never assigned"}},
	} {
		_, got, err := Parse(strings.NewReader(tt.source), name)
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q %v, want %q", name, got, err, tt.want)
		}
	}
}

func TestDate(t *testing.T) {
	for source, want := range map[string]string{
		wholeXML(""): "2026-08-17",
		wholeCSV("a,1,tcp,,,,1999-12-31,2026-02,,,,\r\nb,2,tcp,,,,2001-01-02,,,,,\r\n"): "2001-01-02",
		wholeCSV("a,1,tcp,,,,someday,,,,,\r\n"):                                         "",
	} {
		if r, _, err := Parse(strings.NewReader(source), "x"); err != nil || r.Date() != want {
			t.Errorf("date %q, want %q (%v)", r.Date(), want, err)
		}
	}
}

// Cases that a hand-made registry can have and IANA's does not.
func TestRules(t *testing.T) {
	r, _, err := Parse(strings.NewReader(wholeCSV(`x,50000,tcp,Row in the Dynamic Ports,,,,,,,,
,7,tcp,,,,,,,,,
y,8,tcp,,,,,,,,,
y,8,tcp,again,,,,,,,,
,9,udp,(RESERVED),,,,,,,see 2026 and 65536 and 10-9,
z,10,tcp,,,,,,,,port-11 [12] x13 14-15; 16,
z,,tcp,no port,,,,,,,18,
`)), "rules.csv")
	if err != nil {
		t.Fatal(err)
	}
	for pairName, want := range map[string]string{
		"50000/tcp": "dynamic",
		"7/tcp":     "unassigned",
		"8/tcp":     "assigned y",
		"9/udp":     "reserved",
		"2026/udp":  "unassigned flagged",
		"10/tcp":    "assigned z",
		"12/tcp":    "unassigned",
		"13/tcp":    "unassigned",
		"14/tcp":    "unassigned flagged",
		"15/tcp":    "unassigned flagged",
		"16/tcp":    "unassigned flagged",
		"18/tcp":    "unassigned",
	} {
		transport, port := pair(t, pairName)
		if got := describe(r.Lookup(transport, port)); got != want {
			t.Errorf("%s: %s, want %s", pairName, got, want)
		}
	}
}

// ianaFile opens one of IANA's own files, beside the repository.
func ianaFile(t *testing.T, name string) *os.File {
	t.Helper()
	path := filepath.Join("..", "..", "shared", "iana", name)
	f, err := os.Open(path)
	if err != nil {
		t.Skipf("IANA's own files are not there, so they were not compared: %v", err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// The snapshot must be all of IANA's XML, field by field.
func TestSnapshotIsOfXML(t *testing.T) {
	r, warnings, err := Parse(ianaFile(t, "service-names-port-numbers.xml"), "xml")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if r.Encoded() != Embedded().Encoded() {
		t.Errorf("the snapshot of %s is not what the XML of %s gives", Embedded().Date(), r.Date())
	}
}

// Reading IANA's CSV takes no more than a standard CSV reader and folded white space,
// except for the addresses of two people.
func TestCSVFields(t *testing.T) {
	f := ianaFile(t, "service-names-port-numbers.csv")
	records, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	r, warnings, err := Parse(f, "csv")
	if err != nil || len(warnings) > 0 {
		t.Fatal(warnings, err)
	}
	if r.Len() != len(records)-1 {
		t.Fatalf("%d rows, want %d", r.Len(), len(records)-1)
	}
	i := 1
	for row := range r.Rows() {
		for column, got := range row.Fields() {
			want := strings.Join(strings.Fields(records[i][column]), " ")
			if named, _, found := strings.Cut(want, " <xadmin&"); found {
				want = named + " 15 June 2009]" // the address is left out
			}
			want = strings.ReplaceAll(want, " <feil&kronos.nisd.cam.unisys.com>", "")
			if got != want {
				t.Errorf("row %d, %s: %q, want %q", i, Columns[column], got, want)
			}
		}
		i++
	}
}

// The CSV is half a year older than the XML. Any other difference would be a fault in
// reading one of them.
func TestCSVToXML(t *testing.T) {
	old, _, err := Parse(ianaFile(t, "service-names-port-numbers.csv"), "csv")
	if err != nil {
		t.Fatal(err)
	}
	d := Compare(old, Embedded())
	unnumbered := 0
	for _, row := range d.Added {
		if row.Ports.Empty() {
			unnumbered++
		}
	}
	got := []int{len(d.Pairs), len(d.Added), unnumbered, len(d.Removed), len(d.Changed)}
	if want := []int{17, 42, 15, 8, 30}; !slices.Equal(got, want) {
		t.Errorf("pairs, added, of them without port, removed, changed: %v, want %v", got, want)
	}
	if same := Compare(old, old); len(same.Pairs)+len(same.Added)+len(same.Removed)+len(same.Changed) > 0 {
		t.Errorf("a registry differs from itself: %+v", same)
	}
}
