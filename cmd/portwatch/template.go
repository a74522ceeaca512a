package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/portwatch/portwatch/export/template"
)

const templateUsage = `Usage:
  portwatch template          list the templates
  portwatch template NAME     print what a receiver of records must import

docs/siem has a page for each receiver: how to import the template, what to query.

Examples:
  portwatch template opensearch | curl -fsS -X PUT --data-binary @- \
      -H 'Content-Type: application/json' \
      http://localhost:9200/_index_template/portwatch
  portwatch template clickhouse | clickhouse-client --multiquery
  portwatch template splunk | tar -x -C "$SPLUNK_HOME/etc/apps"
`

// templateCommand runs "portwatch template" with the arguments after this word, and
// returns the exit status.
func templateCommand(args []string, stdout *os.File, stderr io.Writer) int {
	fail := func(message, hint string) int {
		report(stderr, usageError{message, hint})
		return exitUsage
	}
	switch {
	case len(args) == 0:
		return write(stdout, stderr, templateList())
	case len(args) > 1:
		return fail("template needs one name", "portwatch template lists them")
	case args[0] == "-h" || args[0] == "--help":
		return write(stdout, stderr, templateUsage)
	}
	t := template.Find(args[0])
	if t == nil {
		return fail(fmt.Sprintf("template %s: no such template", args[0]), strings.Join(templateNames(), ", "))
	}
	if t.IsArchive() && screenOf(stdout).terminal {
		return fail(fmt.Sprintf("template %s: a tar archive, and standard output is a terminal", args[0]),
			fmt.Sprintf("portwatch template %s | tar -xv", args[0]))
	}
	var text bytes.Buffer
	if err := t.Write(&text); err != nil {
		report(stderr, err)
		return exitFailed
	}
	return write(stdout, stderr, text.String())
}

func templateNames() (names []string) {
	for _, t := range template.All {
		names = append(append(names, t.Name), t.Also...)
	}
	return names
}

// templateList returns a line for each template; one with several names appears once.
func templateList() string {
	var rows [][2]string
	width := 0
	for _, t := range template.All {
		names := strings.Join(append([]string{t.Name}, t.Also...), ", ")
		rows = append(rows, [2]string{names, t.About})
		width = max(width, len(names))
	}
	var list strings.Builder
	for _, row := range rows {
		fmt.Fprintf(&list, "%-*s  %s\n", width, row[0], row[1])
	}
	return list.String()
}
