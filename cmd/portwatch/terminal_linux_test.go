package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// openTerminal returns a terminal of so many columns, and what ends its use and says what was
// written there.
func openTerminal(t *testing.T, columns uint16) (*os.File, func() string) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skipf("SKIPPED: no terminal can be made here: %v", err)
	}
	t.Cleanup(func() { master.Close() })
	control := int(master.Fd())
	if err := unix.IoctlSetPointerInt(control, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(control, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tty.Close() })
	if err := unix.IoctlSetWinsize(control, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns}); err != nil {
		t.Fatal(err)
	}
	written := make(chan string, 1)
	go func() {
		var b bytes.Buffer
		b.ReadFrom(master) // until the other end is closed
		written <- b.String()
	}()
	return tty, func() string {
		tty.Close()
		return <-written
	}
}

var escapes = regexp.MustCompile("\x1b\\[[0-9;]*[a-zA-Z]")

// TestTerminal: a terminal gets text as wide as it is, in colour where that is wanted, and a
// file beside it all of the text, without colour.
func TestTerminal(t *testing.T) {
	capture := filepath.Join("..", "..", "testdata", "office.pcap")
	whole, _, _ := runCommand(t, "-q", "--offline", "--utc", "-r", capture, "-o", "text")
	const columns = 70
	for _, test := range []struct {
		term, noColor string
		color         bool
	}{
		{"xterm", "", true},
		{"xterm", "1", false},
		{"dumb", "", false},
	} {
		t.Setenv("TERM", test.term)
		t.Setenv("NO_COLOR", test.noColor)
		for _, args := range [][]string{nil, {"-o", "text"}, {"--to", "-?format=text"}} {
			file := filepath.Join(t.TempDir(), "file")
			tty, written := openTerminal(t, columns)
			args = append(args, "--offline", "--utc", "-r", capture)
			if args[0] != "--offline" {
				args = append(args, "--to", "file:"+file+"?format=text")
			}
			if status := command(context.Background(), args, tty, tty); status != exitDone {
				t.Errorf("%q: status %d", args, status)
			}
			text := written()
			if color := escapes.MatchString(text); color != test.color {
				t.Errorf("TERM=%s NO_COLOR=%s %q: colour is %t", test.term, test.noColor, args, color)
			}
			text = escapes.ReplaceAllString(text, "")
			records, summary, found := strings.Cut(text, "444 packets, ")
			if !found || !strings.HasPrefix(records, "TIME ") {
				t.Errorf("%q: no records and summary: %q", args, text)
			}
			_, tables, _ := strings.Cut(summary, "\n")
			for line := range strings.Lines(records + tables) {
				n := utf8.RuneCountInString(strings.TrimRight(line, "\r\n"))
				if n > columns && !strings.HasPrefix(line, "! findings:") {
					t.Errorf("%q: %d columns: %s", args, n, line)
				}
			}
			if args[0] != "--offline" && !bytes.Equal(contents(file), whole) {
				t.Errorf("%q: the file has %s", args, contents(file))
			}
		}
	}
}

// TestTerminalAsInput: nobody types a capture, or looks at an archive.
func TestTerminalAsInput(t *testing.T) {
	for args, want := range map[string]string{
		"-r -":              "-r -: standard input is a terminal",
		"annotate --from -": "--from -: standard input is a terminal",
		"template splunk":   "template splunk: a tar archive, and standard output is a terminal",
	} {
		tty, written := openTerminal(t, 100)
		c := program(strings.Fields(args)...)
		c.Stdin, c.Stdout = tty, tty
		var stderr bytes.Buffer
		c.Stderr = &stderr
		c.Run()
		if status := c.ProcessState.ExitCode(); status != exitUsage || !strings.HasPrefix(stderr.String(), "portwatch: "+want+"\n  try: ") {
			t.Errorf("%s: status %d, %s%s", args, status, &stderr, written())
		}
	}
}
