package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/pflag"

	"github.com/portwatch/portwatch/registry"
)

// A query is one run of a command that asks the registry and prints the answer.
type query struct {
	flags  *pflag.FlagSet
	usage  string
	stdout *bufio.Writer // its errors appear when it is flushed
	stderr io.Writer
	width  int // of the terminal; 0: unlimited

	registry string
	offline  bool
	help     bool
}

func newQuery(usage string, stdout, stderr io.Writer) *query {
	q := &query{
		flags:  pflag.NewFlagSet("", pflag.ContinueOnError),
		usage:  usage,
		stdout: bufio.NewWriterSize(stdout, 64<<10),
		stderr: stderr,
	}
	if f, ok := stdout.(*os.File); ok {
		q.width = screenOf(f).width
	}
	q.flags.Usage = func() {}
	q.flags.StringVar(&q.registry, "registry", "", "")
	q.flags.BoolVar(&q.offline, "offline", false, "")
	q.flags.BoolVarP(&q.help, "help", "h", false, "")
	return q
}

// run reads the options, calls ask to print the answer for the remaining arguments,
// and returns the exit status.
func (q *query) run(args []string, ask func(args []string) error) int {
	signal.Reset(os.Interrupt, syscall.SIGTERM) // there is nothing to end cleanly
	if err := q.flags.Parse(args); err != nil {
		return q.fail(usageError{err.Error(), "the same command with --help lists the options"})
	}
	if q.help {
		q.stdout.WriteString(q.usage)
	} else if err := checkEmpty(q.flags); err != nil {
		return q.fail(err)
	} else if err := ask(q.flags.Args()); err != nil {
		q.stdout.Flush()
		return q.fail(err)
	}
	if err := q.stdout.Flush(); err != nil && !isClosedPipe(err) {
		return q.fail(fmt.Errorf("write to standard output: %w", cause(err)))
	}
	return exitDone
}

func (q *query) fail(err error) int {
	report(q.stderr, err)
	return statusOf(err)
}

// open returns the registry in use and where it comes from.
func (q *query) open() (*registry.Registry, string, error) {
	return findRegistry(q.registry, q.offline, q.stderr)
}

func (q *query) printf(format string, args ...any) { fmt.Fprintf(q.stdout, format, args...) }

// printJSON prints v on a line of its own.
func (q *query) printJSON(v any) error {
	e := json.NewEncoder(q.stdout)
	e.SetEscapeHTML(false)
	return e.Encode(v)
}

// printTable prints rows of cells in columns as wide as their widest cell. Lines
// are cut to the terminal's width.
func (q *query) printTable(rows [][]string) {
	widths := columnWidths(rows)
	for _, cells := range rows {
		q.printCells(widths, cells)
	}
}

func columnWidths(rows [][]string) (widths []int) {
	for _, cells := range rows {
		for i, cell := range cells {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	return widths
}

func (q *query) printCells(widths []int, cells []string) {
	var line strings.Builder
	for i, cell := range cells {
		fmt.Fprintf(&line, "%-*s  ", widths[i], printable(cell))
	}
	q.printf("%s\n", q.clip(strings.TrimRight(line.String(), " ")))
}

func (q *query) clip(line string) string {
	if q.width == 0 || utf8.RuneCountInString(line) <= q.width {
		return line
	}
	return string([]rune(line)[:q.width-1]) + "…"
}

const labelWidth = 18

// printFact prints a label and a text, wrapped to the terminal's width. It prints
// nothing for an empty text.
func (q *query) printFact(label, text string) {
	if text == "" {
		return
	}
	label = fmt.Sprintf("  %-*s", labelWidth, label)
	for _, line := range wrap(printable(text), q.width-len(label)) {
		q.printf("%s%s\n", label, line)
		label = strings.Repeat(" ", len(label))
	}
}

// wrap breaks a text between words into lines of at most width characters, unless a
// word is longer. If width is too small to be readable, it does not break the text.
func wrap(text string, width int) (lines []string) {
	if width < 20 {
		return []string{text}
	}
	line := ""
	for _, word := range strings.Fields(text) {
		switch {
		case line == "":
			line = word
		case utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// printable replaces characters that could control a terminal: a registry file is input.
func printable(s string) string {
	return strings.Map(func(c rune) rune {
		if unicode.IsPrint(c) {
			return c
		}
		return utf8.RuneError
	}, s)
}
