package capture

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// table reads a tab-separated file with a header line, by file and column.
func table(t *testing.T, name string) map[string]map[string]string {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	columns := strings.Split(lines[0], "\t")
	rows := make(map[string]map[string]string)
	for _, line := range lines[1:] {
		row := make(map[string]string)
		for i, cell := range strings.Split(line, "\t") {
			row[columns[i]] = cell
		}
		rows[row[columns[0]]] = row
	}
	return rows
}

// tally is what can be compared between readers of a file.
type tally struct {
	packets, timeless, octets, captured int
	links, interfaces                   []int
	err                                 error
}

func count(name string) (c tally) {
	f, err := OpenFile(name)
	if err != nil {
		return tally{err: err}
	}
	defer f.Close()
	for frames := make([]Frame, 16); c.err == nil; {
		var n int
		n, c.err = f.Read(frames)
		for _, frame := range frames[:n] {
			c.packets++
			c.octets += int(frame.Length)
			c.captured += len(frame.Data)
			if frame.Timeless {
				c.timeless++
			}
			if !slices.Contains(c.links, int(frame.Link)) {
				c.links = append(c.links, int(frame.Link))
			}
			if !slices.Contains(c.interfaces, int(frame.Interface)) {
				c.interfaces = append(c.interfaces, int(frame.Interface))
			}
		}
	}
	slices.Sort(c.links)
	return c
}

// recounted are the columns that we count differently on purpose.
var recounted = map[string]map[string]string{
	// tshark numbers the interfaces of every section from 0 again; ours are
	// three in three sections.
	"gp__be_test201.pcapng": {"interfaces": "3"},
}

// Every real capture has the packets, octets and interfaces that tshark counts.
func TestRealCaptures(t *testing.T) {
	dir := capturesFolder(t)
	agree := 0
	rows := table(t, filepath.Join(dir, "truth", "COUNTS.tsv"))
	for name, row := range rows {
		c := count(filepath.Join(dir, "real", name))
		ok := c.err == io.EOF
		for column, got := range map[string]int{
			"packets":        c.packets,
			"no_timestamp":   c.timeless,
			"frame_bytes":    c.octets,
			"captured_bytes": c.captured,
			"interfaces":     len(c.interfaces),
		} {
			want := row[column]
			if ours := recounted[name][column]; ours != "" {
				want = ours
			}
			if strconv.Itoa(got) != want {
				t.Errorf("%s: %s is %d, not %s", name, column, got, want)
				ok = false
			}
		}
		if c.err != io.EOF {
			t.Errorf("%s: %v", name, c.err)
		}
		if ok {
			agree++
		}
	}
	t.Logf("%d of %d real captures agree with tshark in packets, packets without time, octets on the wire and captured, and interfaces", agree, len(rows))
}

// Of a broken capture we deliver at least what tshark does.
func TestMalformedCaptures(t *testing.T) {
	dir := capturesFolder(t)
	whole, rows := 0, table(t, filepath.Join(dir, "malformed", "INDEX.tsv"))
	for name, row := range rows {
		c := count(filepath.Join(dir, "malformed", name))
		want, _ := strconv.Atoi(row["packets"])
		if c.packets < want {
			t.Errorf("%s: %d packets, tshark reads %d (%v)", name, c.packets, want, c.err)
		}
		if _, ok := errors.AsType[*FormatError](c.err); c.err != io.EOF && !ok {
			t.Errorf("%s: %v is no FormatError", name, c.err)
		}
		if c.err == io.EOF {
			whole++
		} else {
			t.Logf("%s: %d packets (tshark: %d), then %v", name, c.packets, want, c.err)
		}
	}
	t.Logf("%d of %d malformed captures are whole files", whole, len(rows))
}
