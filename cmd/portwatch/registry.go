package main

import (
	"cmp"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/portwatch/portwatch/registry"
	"github.com/portwatch/portwatch/registry/cache"
)

// findRegistry returns the registry to use, and in words where it comes from: a
// file, or the newer of the cached and the embedded one. It warns of a damaged
// cache on stderr, as of other things.
func findRegistry(file string, offline bool, stderr io.Writer) (r *registry.Registry, from string, err error) {
	if file != "" {
		r, warnings, err := parseRegistry(file)
		for _, w := range warnings {
			warn(stderr, "registry %s: %s", file, w)
		}
		return r, "file " + file, err
	}
	embedded := registry.Embedded()
	if offline {
		return embedded, "built in", nil
	}
	c, err := cache.Default()
	if err != nil {
		return embedded, "built in", nil // no home, no cache
	}
	cached, err := c.Newer(embedded.Date())
	if err != nil {
		warn(stderr, "cached registry %s: %v; using the built-in one of %s", c.Path(), cause(err), embedded.Date())
	}
	if cached == nil {
		return embedded, "built in", nil
	}
	return cached, "cache " + c.Path(), nil
}

func parseRegistry(file string) (*registry.Registry, []registry.Warning, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, nil, failure{fmt.Errorf("open registry %s: %w", file, cause(err)), registryHint}
	}
	defer f.Close()
	r, warnings, err := registry.Parse(f, file)
	if err != nil {
		return nil, nil, failure{fmt.Errorf("read registry %w", err), registryHint}
	}
	return r, warnings, nil
}

// dateOf returns a registry's date for a message: a hand-made registry may have none.
func dateOf(r *registry.Registry) string { return cmp.Or(r.Date(), "no date") }

const registryHint = "IANA's CSV or XML, for instance from " + cache.Source

const registryUsage = `Usage:
  portwatch registry info [--json]              which registry answers, and what it holds
  portwatch registry search TEXT [-o csv]       the rows with TEXT in any of the twelve fields
  portwatch registry export [-o tsv|csv|json]   the answer for each (transport, port)
  portwatch registry diff OLD [NEW]             what changed from OLD to NEW, or to the one in use
  portwatch registry update [--from URL|FILE]   fetch IANA's newest into your cache
  portwatch registry verify FILE                read IANA's CSV or XML and say what is wrong

Options of all:
      --registry FILE   IANA's CSV or XML instead of the registry in use
      --offline         never use the cache of 'registry update'
  -h, --help            print this help

Options of update:
      --force           accept one older or much smaller than the one in use

The registry in use is the built-in snapshot, or the cached one if that is newer.

Examples:
  portwatch registry search 430
  portwatch registry search -o csv widespread use > rows.csv
  portwatch registry export -o tsv | awk -F'\t' '$3 == "system" && $8'
  portwatch registry diff last-year.csv
  portwatch registry update && portwatch registry info
`

// registryCommand runs "portwatch registry" with the arguments after these words,
// and returns the exit status.
func registryCommand(args []string, stdout, stderr io.Writer) int {
	q := newQuery(registryUsage, stdout, stderr)
	words := strings.Join(wordsOf["registry"], ", ")
	if len(args) == 0 {
		return q.fail(usageError{"registry needs a command: " + words, "portwatch registry --help"})
	}
	if command, known := q.commands()[args[0]]; known {
		return q.run(args[1:], command())
	}
	return q.run(args, func([]string) error {
		return usageError{fmt.Sprintf("registry %s: no such command", args[0]), words}
	})
}

// commands returns the commands of "portwatch registry". Each adds its options, and returns
// the function that does the work.
func (q *query) commands() map[string]func() func([]string) error {
	return map[string]func() func([]string) error{
		"info":   q.info,
		"search": q.search,
		"export": q.export,
		"diff":   q.diff,
		"update": q.update,
		"verify": q.verify,
	}
}

// noArguments checks the arguments of a command that takes only options.
func noArguments(command string, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Sprintf("registry %s takes no arguments, but got %q", command, args[0]), "portwatch registry --help"}
	}
	return nil
}

// infoJSON is what "registry info --json" prints.
type infoJSON struct {
	Date            string               `json:"date"`
	Source          string               `json:"source"`
	SHA256          string               `json:"sha256"`
	Rows            int                  `json:"rows"`
	RowsWithoutPort int                  `json:"rows_without_port"`
	Services        int                  `json:"services"`
	Transports      map[string]countJSON `json:"transports"`
}

// countJSON counts the pairs of one transport.
type countJSON struct {
	Assigned     int `json:"assigned"`
	Reserved     int `json:"reserved"`
	Unassigned   int `json:"unassigned"`
	Deregistered int `json:"deregistered"`
	Dynamic      int `json:"dynamic"`
	Unauthorized int `json:"unauthorized"`
}

func (q *query) info() func([]string) error {
	asJSON := q.flags.Bool("json", false, "")
	return func(args []string) error {
		if err := noArguments("info", args); err != nil {
			return err
		}
		r, from, err := q.open()
		if err != nil {
			return err
		}
		j := infoOf(r, from)
		if *asJSON {
			return q.printJSON(j)
		}
		q.printInfo(&j)
		return nil
	}
}

func infoOf(r *registry.Registry, from string) infoJSON {
	j := infoJSON{
		Date: r.Date(), Source: from, SHA256: r.SHA256(), Rows: r.Len(),
		Transports: make(map[string]countJSON),
	}
	names := make(map[string]bool)
	for row := range r.Rows() {
		if row.Ports.Empty() {
			j.RowsWithoutPort++
		}
		if row.Service != "" {
			names[row.Service] = true
		}
	}
	j.Services = len(names)
	for _, t := range registry.Transports {
		j.Transports[t.String()] = countPairs(r, t)
	}
	return j
}

func countPairs(r *registry.Registry, t registry.Transport) (c countJSON) {
	for port := range 1 << 16 {
		e := r.Lookup(t, uint16(port))
		switch e.Status {
		case registry.Assigned:
			c.Assigned++
		case registry.Reserved:
			c.Reserved++
		case registry.Unassigned:
			c.Unassigned++
		case registry.Deregistered:
			c.Deregistered++
		case registry.DynamicStatus:
			c.Dynamic++
		}
		if _, reported := e.UnauthorizedUse(); reported {
			c.Unauthorized++
		}
	}
	return c
}

func (q *query) printInfo(j *infoJSON) {
	q.printf("IANA's Service Name and Transport Protocol Port Number Registry\n")
	q.printFact("date", j.Date)
	q.printFact("source", j.Source)
	q.printFact("sha256", j.SHA256+" (of IANA's file)")
	q.printFact("rows", fmt.Sprintf("%d, of them %d without a port", j.Rows, j.RowsWithoutPort))
	q.printFact("service names", fmt.Sprint(j.Services))
	q.printf("\n")
	table := [][]string{{"TRANSPORT", "ASSIGNED", "RESERVED", "UNASSIGNED", "DEREGISTERED", "DYNAMIC", "UNAUTHORIZED USE REPORTED"}}
	for _, t := range registry.Transports {
		c := j.Transports[t.String()]
		row := []string{t.String()}
		for _, n := range []int{c.Assigned, c.Reserved, c.Unassigned, c.Deregistered, c.Dynamic, c.Unauthorized} {
			row = append(row, fmt.Sprint(n))
		}
		table = append(table, row)
	}
	q.printTable(table)
}

func (q *query) search() func([]string) error {
	output := q.flags.StringP("output", "o", "text", "")
	return func(args []string) error {
		text := strings.Join(strings.Fields(strings.Join(args, " ")), " ")
		if text == "" {
			return usageError{"registry search needs a text", "portwatch registry search 430"}
		}
		if *output != "text" && *output != "csv" {
			return usageError{fmt.Sprintf("registry search -o %s: unknown format", *output), "formats: text, csv"}
		}
		r, _, err := q.open()
		if err != nil {
			return err
		}
		var rows []registry.Row
		for row := range r.Rows() {
			if row.Contains(text) {
				rows = append(rows, row)
			}
		}
		if *output == "csv" {
			q.printCSV(rows)
			return nil // a failed write is reported at the end
		}
		if len(rows) == 0 {
			return failure{fmt.Errorf("registry search %s: no row has this text", text), "a shorter text; case does not matter"}
		}
		q.printRows(rows, text)
		return nil
	}
}

// printCSV prints rows as in IANA's CSV, with its header.
func (q *query) printCSV(rows []registry.Row) {
	w := csv.NewWriter(q.stdout)
	w.Write(registry.Columns[:])
	for i := range rows {
		fields := rows[i].Fields()
		w.Write(fields[:])
	}
	w.Flush()
}

// shownColumns is how many of the registry's columns a listing has.
const shownColumns = 4

// printRows lists rows in columns. If the columns of a row do not contain the text,
// the fields that do are printed below it.
func (q *query) printRows(rows []registry.Row, text string) {
	table := [][]string{{"SERVICE", "PORT", "TRANSPORT", "DESCRIPTION"}}
	for i := range rows {
		fields := rows[i].Fields()
		table = append(table, fields[:shownColumns])
	}
	widths := columnWidths(table)
	for i, cells := range table {
		q.printCells(widths, cells)
		if i == 0 {
			continue
		}
		fields := rows[i-1].Fields()
		if slices.ContainsFunc(cells, func(s string) bool { return indexFold(s, text) >= 0 }) {
			continue
		}
		for column, s := range fields[shownColumns:] {
			if at := indexFold(s, text); at >= 0 {
				label := strings.ToLower(registry.Columns[shownColumns+column])
				q.printf("%s\n", q.clip("    "+label+": "+printable(q.excerpt(s, at))))
			}
		}
	}
}

// indexFold is strings.Index, but ignores case.
func indexFold(s, text string) int { return strings.Index(strings.ToLower(s), strings.ToLower(text)) }

// excerpt cuts off the front of a long text, so that what is at an index can be seen
// on a terminal.
func (q *query) excerpt(s string, at int) string {
	const lead = 10
	if q.width == 0 || at < max(lead, q.width/2) || at > len(s) {
		return s
	}
	return "…" + strings.ToValidUTF8(s[at-lead:], "")
}

func (q *query) verify() func([]string) error {
	return func(args []string) error {
		if len(args) != 1 {
			return usageError{"registry verify needs one file", "portwatch registry verify service-names-port-numbers.xml"}
		}
		r, warnings, err := parseRegistry(args[0])
		if err != nil {
			return err
		}
		for _, w := range warnings {
			warn(q.stderr, "registry %s: %s", args[0], w)
		}
		verdict := "no error"
		switch n := len(warnings); {
		case n == 1:
			verdict = "no error, and 1 warning"
		case n > 1:
			verdict = fmt.Sprintf("no error, and %d warnings", n)
		}
		q.printf("%s: %s; %d rows of %s, sha256 %s\n", args[0], verdict, r.Len(), dateOf(r), r.SHA256())
		return nil
	}
}
