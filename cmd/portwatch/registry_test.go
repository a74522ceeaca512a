package main

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/registry"
)

// csvOf is a whole registry file with some rows.
func csvOf(rows ...string) string {
	lines := append([]string{strings.Join(registry.Columns[:], ",")}, rows...)
	return strings.Join(append(lines, ",49151,,IANA Reserved,,,,,,,,"), "\n") + "\n"
}

func tempFile(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestExport(t *testing.T) {
	emptyCache(t)
	tsv := ask(t, registryCommand, "export", "-o", "tsv")
	lines := strings.Split(strings.TrimSuffix(tsv.stdout, "\n"), "\n")
	if len(lines) != 1+4*65536 || tsv.status != exitDone {
		t.Fatalf("status %d, %d lines", tsv.status, len(lines))
	}
	records, err := csv.NewReader(strings.NewReader(ask(t, registryCommand, "export", "-o", "csv").stdout)).ReadAll()
	if err != nil || len(records) != len(lines) {
		t.Fatalf("%d records (%v)", len(records), err)
	}
	objects := json.NewDecoder(strings.NewReader(ask(t, registryCommand, "export", "-o", "json").stdout))
	for i, line := range lines {
		cells := strings.Split(line, "\t")
		if !slices.Equal(cells, records[i]) {
			t.Fatalf("line %d: tsv %q, csv %q", i, cells, records[i])
		}
		if i == 0 {
			continue
		}
		var p pairJSON
		if err := objects.Decode(&p); err != nil {
			t.Fatal(err)
		}
		if p.Transport != cells[0] || p.Status != cells[3] || strings.Join(p.Services, "|") != cells[5] ||
			strings.Join(p.RegisteredOn, ",") != cells[6] || (p.Unauthorized != nil) != (cells[7] == "1") {
			t.Fatalf("line %d: tsv %q, json %+v", i, cells, p)
		}
	}
	for n, want := range map[int]string{
		0:                 "transport\tport\tclass\tstatus\tservice\tservices\tregistered_on\tunauthorized",
		1:                 "tcp\t0\tsystem\treserved\t\t\t\t0",
		1 + 80:            "tcp\t80\tsystem\tassigned\thttp\thttp|www|www-http\tudp,sctp\t0",
		1 + 65536 + 42000: "udp\t42000\tuser\tunassigned\t\t\t\t1",
		1 + 2*65536 + 25:  "sctp\t25\tsystem\tunassigned\t\t\ttcp,udp\t0",
		4 * 65536:         "dccp\t65535\tdynamic\tdynamic\t\t\t\t0",
	} {
		if lines[n] != want {
			t.Errorf("line %d: %q, want %q", n, lines[n], want)
		}
	}
}

func TestSearch(t *testing.T) {
	emptyCache(t)
	want := []string{}
	for row := range registry.Embedded().Rows() {
		fields := row.Fields()
		if strings.Contains(strings.ToLower(strings.Join(fields[:], "\x00")), "430") {
			want = append(want, strings.Join(fields[:], "\x00"))
		}
	}
	got := ask(t, registryCommand, "search", "430", "-o", "csv")
	records, err := csv.NewReader(strings.NewReader(got.stdout)).ReadAll()
	if err != nil || !slices.Equal(records[0], registry.Columns[:]) {
		t.Fatalf("%q (%v)", got.stdout, err)
	}
	var rows []string
	for _, record := range records[1:] {
		rows = append(rows, strings.Join(record, "\x00"))
	}
	if !slices.Equal(rows, want) || len(want) < 20 {
		t.Errorf("%d rows, want %d", len(rows), len(want))
	}

	text := ask(t, registryCommand, "search", "  WIDESPREAD   use  (added")
	if want := `SERVICE   PORT  TRANSPORT  DESCRIPTION
bhoetty   351   tcp        bhoetty
    assignment notes: This entry records an unassigned but widespread use (added 5/21/97)
`; !strings.HasPrefix(text.stdout, want) {
		t.Errorf("%s\nwant\n%s", text.stdout, want)
	}
}

func TestSearchFitsTerminal(t *testing.T) {
	emptyCache(t)
	var out bytes.Buffer
	q := newQuery("", &out, &out)
	q.width = 60
	if status := q.run([]string{"conscious decision"}, q.search()); status != exitDone {
		t.Fatal(out.String())
	}
	for line := range strings.Lines(out.String()) {
		if n := len([]rune(strings.TrimSuffix(line, "\n"))); n > 60 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	if !strings.Contains(out.String(), "conscious decision") {
		t.Errorf("the text cannot be seen:\n%s", out.String())
	}
}

// TestSearchOnNarrowTerminals: no terminal is too narrow for something to be shown.
func TestSearchOnNarrowTerminals(t *testing.T) {
	emptyCache(t)
	for width := 1; width < 40; width++ {
		var out bytes.Buffer
		q := newQuery("", &out, &out)
		q.width = width
		if status := q.run([]string{"_postel"}, q.search()); status != exitDone || out.Len() == 0 {
			t.Errorf("%d columns: status %d, %q", width, status, out.String())
		}
	}
}

func TestInfo(t *testing.T) {
	emptyCache(t)
	text := ask(t, registryCommand, "info")
	for _, want := range []string{
		"  date              2026-08-17\n  source            built in\n  sha256            4bbf00ef4dd194ea",
		"  rows              14533, of them 1070 without a port\n",
		"tcp        6155      250       42738       9             16384    175\n",
		"dccp       199       44        48900       9             16384    133\n",
	} {
		if !strings.Contains(text.stdout, want) {
			t.Errorf("%s\nlacks %q", text.stdout, want)
		}
	}
	var j infoJSON
	if err := json.Unmarshal([]byte(ask(t, registryCommand, "info", "--json").stdout), &j); err != nil {
		t.Fatal(err)
	}
	if j.Rows != 14533 || j.Transports["udp"].Reserved != 635 {
		t.Errorf("%+v", j)
	}
}

func TestDiff(t *testing.T) {
	emptyCache(t)
	old := tempFile(t, "old.csv", csvOf("gone,6,udp,Text,,,,,,,,", "old-name,7,tcp,Text,,,,,,,,", "kept,8,tcp,Text,[A],,,,,,,"))
	new := tempFile(t, "new.csv", csvOf("new-name,7,tcp,Text,,,,,,,,", "kept,8,tcp,Text,[B],,,,,,Known Unauthorized Use on 8,"))
	got := ask(t, registryCommand, "diff", old, new)
	if _, after, _ := strings.Cut(got.stdout, "file "+new+"\n"); after != `3 pairs answer differently; 1 rows added, 2 removed, 1 changed

PAIR   OLD                   NEW
6/udp  assigned to gone      unassigned
7/tcp  assigned to old-name  assigned to new-name
8/tcp  assigned to kept      assigned to kept; unauthorized use reported

   SERVICE   PORT  TRANSPORT  DESCRIPTION
+  new-name  7     tcp        Text
-  gone      6     udp        Text
-  old-name  7     tcp        Text
~  kept      8     tcp        Text
     assignee: "[B]", was "[A]"
     unauthorized use reported: "Known Unauthorized Use on 8", was ""
` {
		t.Errorf("status %d: %s%s", got.status, got.stderr, got.stdout)
	}
	if same := ask(t, registryCommand, "diff", old, "--registry", old); !strings.HasSuffix(same.stdout,
		"0 pairs answer differently; 0 rows added, 0 removed, 0 changed\n") {
		t.Errorf("a file and itself: %s%s", same.stderr, same.stdout)
	}
}

func TestVerify(t *testing.T) {
	emptyCache(t)
	whole := tempFile(t, "whole.csv", csvOf("a,7,tcp,Text,,,2026-01-02,,,,,"))
	got := ask(t, registryCommand, "verify", whole)
	if !strings.HasPrefix(got.stdout, whole+": no error; 2 rows of 2026-01-02, sha256 ") || got.stderr != "" || got.status != exitDone {
		t.Errorf("whole: %+v", got)
	}
	cut := tempFile(t, "cut.csv", strings.TrimSuffix(csvOf(), "\n"))
	got = ask(t, registryCommand, "verify", cut)
	if !strings.Contains(got.stderr, "warning: registry "+cut+": the last line has no line break") || got.status != exitDone {
		t.Errorf("cut: %+v", got)
	}
	wrong := tempFile(t, "wrong.csv", csvOf("a,80-7,tcp,Text,,,,,,,,"))
	got = ask(t, registryCommand, "verify", wrong)
	if !strings.HasPrefix(got.stderr, "portwatch: read registry wrong.csv: row 1, line 2: port range \"80-7\" runs backwards\n  try: ") ||
		got.stdout != "" || got.status != exitFailed {
		t.Errorf("wrong: %+v", got)
	}
}

func TestRegistryUsage(t *testing.T) {
	emptyCache(t)
	for args, want := range map[string]struct {
		status int
		says   string
	}{
		"":                      {exitUsage, "registry needs a command"},
		"find":                  {exitUsage, "registry find: no such command\n  try: info, search"},
		"--help":                {exitDone, "Usage:"},
		"search --help":         {exitDone, "Usage:"},
		"search":                {exitUsage, "registry search needs a text"},
		"search -o tsv x":       {exitUsage, "unknown format"},
		"export -o xml":         {exitUsage, "registry export -o xml: unknown format\n  try: formats: tsv, csv, json"},
		"export all":            {exitUsage, "registry export takes no argument"},
		"info x":                {exitUsage, "registry info takes no argument"},
		"diff":                  {exitUsage, "registry diff needs one or two files"},
		"diff a b --registry c": {exitUsage, "exclude each other"},
		"verify":                {exitUsage, "registry verify needs one file"},
		"verify nowhere.csv":    {exitFailed, "open registry nowhere.csv: no such file or directory\n  try: "},
		"update now":            {exitUsage, "registry update takes no argument"},
		"search qqqqqqq":        {exitFailed, "no row has this text"},
		"info --registry .":     {exitFailed, "is a directory"},
	} {
		got := ask(t, registryCommand, strings.Fields(args)...)
		if got.status != want.status || !strings.Contains(got.stdout+got.stderr, want.says) {
			t.Errorf("registry %s: %+v\nwant %+v", args, got, want)
		}
	}
}

// newerCSV is the embedded registry with one more row, dated 2100.
func newerCSV() string {
	var b strings.Builder
	w := csv.NewWriter(&b)
	w.Write(registry.Columns[:])
	w.Write([]string{"tomorrow", "25", "sctp", "Text", "", "", "2100-01-01", "", "", "", "", ""})
	for row := range registry.Embedded().Rows() {
		fields := row.Fields()
		w.Write(fields[:])
	}
	w.Flush()
	return b.String()
}

func TestUpdateCommand(t *testing.T) {
	file := emptyCache(t)
	newer := newerCSV()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write([]byte(newer))
	}))
	defer server.Close()
	from := "--from=" + server.URL + "/r.csv"

	got := ask(t, registryCommand, "update", from)
	if want := "IANA's registry of 2100-01-01, 14534 rows, is in " + file + "\nagainst that of 2026-08-17: 1 pairs answer differently; 1 rows added, 0 removed, 0 changed\n"; got.stdout != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
	if got := ask(t, registryCommand, "update", from); got.stdout != "up to date: IANA's registry of 2100-01-01, 14534 rows\n" {
		t.Errorf("again: %+v", got)
	}
	if got := ask(t, lookupCommand, "25/sctp"); !strings.HasPrefix(got.stdout, "25/sctp  assigned to tomorrow\n") {
		t.Errorf("the cache does not answer: %+v", got)
	}
	if got := ask(t, registryCommand, "info"); !strings.Contains(got.stdout, "source            cache "+file) {
		t.Errorf("info: %+v", got)
	}
	if got := ask(t, lookupCommand, "--offline", "25/sctp"); !strings.HasPrefix(got.stdout, "25/sctp  unassigned") {
		t.Errorf("--offline looks into the cache: %+v", got)
	}

	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	got = ask(t, lookupCommand, "25/sctp")
	if !strings.HasPrefix(got.stdout, "25/sctp  unassigned") || got.status != exitDone ||
		!strings.Contains(got.stderr, "warning: cached registry "+file+": damaged registry snapshot; using the built-in one of 2026-08-17\n") {
		t.Errorf("a damaged cache: %+v", got)
	}
}

// A cached registry that the server has not changed since is not necessarily the one in use.
func TestUpdateUnchangedAndOld(t *testing.T) {
	emptyCache(t)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"1"`)
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Write([]byte(csvOf("a,7,tcp,Text,,,1999-01-01,,,,,")))
	}))
	defer server.Close()
	from := "--from=" + server.URL
	if got := ask(t, registryCommand, "update", from, "--force"); got.status != exitDone {
		t.Fatalf("%+v", got)
	}
	got := ask(t, registryCommand, "update", from)
	if want := "up to date: IANA's registry of 1999-01-01, 2 rows\nit is not used: the built-in registry of 2026-08-17 is not older; --registry FILE uses any\n"; got.stdout != want {
		t.Errorf("%+v\nwant %s", got, want)
	}
}

// A registry whose rows have no dates has none itself.
func TestUpdateWithoutDate(t *testing.T) {
	file := emptyCache(t)
	one, other := tempFile(t, "one.csv", csvOf("a,7,tcp,,,,,,,,,")), tempFile(t, "other.csv", csvOf("b,7,tcp,,,,,,,,,"))
	const unused = "it is not used: the built-in registry of 2026-08-17 is not older; --registry FILE uses any\n"
	for _, tt := range []struct{ from, want string }{
		{one, "up to date: IANA's registry of no date, 2 rows\n" + unused},
		{other, "IANA's registry of no date, 2 rows, is in " + file + "\n" +
			"against that of no date: 1 pairs answer differently; 1 rows added, 1 removed, 0 changed\n" + unused},
	} {
		if got := ask(t, registryCommand, "update", "--from", tt.from, "--registry", one, "--force"); got.stdout != tt.want {
			t.Errorf("%+v\nwant %s", got, tt.want)
		}
	}
}

func TestUpdateRefuses(t *testing.T) {
	file := emptyCache(t)
	small := tempFile(t, "small.csv", csvOf("a,7,tcp,Text,,,2100-01-01,,,,,"))
	got := ask(t, registryCommand, "update", "--from", small)
	if got.status != exitFailed || !strings.Contains(got.stderr, "refused "+small+": it has 2 rows, the registry in use 14533\n  try: --force") {
		t.Errorf("smaller: %+v", got)
	}
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the cache was written: %v", err)
	}
	old := tempFile(t, "old.csv", csvOf("a,7,tcp,Text,,,1999-01-01,,,,,"))
	got = ask(t, registryCommand, "update", "--from", old, "--force")
	if got.status != exitDone || !strings.Contains(got.stdout, "it is not used: the built-in registry of 2026-08-17 is not older") {
		t.Errorf("older by force: %+v", got)
	}
	cut := tempFile(t, "cut.csv", strings.TrimRight(csvOf("a,7,tcp,Text,,,1999-01-01,,,,,"), "\r\n"))
	got = ask(t, registryCommand, "update", "--from", cut, "--force")
	if got.status != exitDone || got.stderr != "portwatch: warning: registry "+cut+": the last line has no line break: the end may be missing\n" {
		t.Errorf("cut, by force: %+v", got)
	}
	for _, from := range []string{"file://" + small, "ftp://host/r.csv"} {
		got := ask(t, registryCommand, "update", "--from", from)
		if got.status != exitFailed || !strings.Contains(got.stderr, "fetch "+from+": neither an http or https URL nor the name of a file\n  try: ") {
			t.Errorf("%s: %+v", from, got)
		}
	}
	if got := ask(t, registryCommand, "update", "--from", small+".missing"); got.status != exitFailed ||
		!strings.Contains(got.stderr, "no such file or directory\n  try: ") {
		t.Errorf("missing: %+v", got)
	}
}
