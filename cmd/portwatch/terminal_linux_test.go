package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// openTerminal returns a terminal of the given width, and a function that closes it and returns
// what was written there.
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

// TestTerminal: a terminal gets text as wide as itself, in colour if that is wanted, and a file
// in the same run gets the whole text without colour.
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

// TestTerminalProgress: while savefiles are read, a terminal has one line that shows how far
// that has come. It gives way to records, and nothing of it is left at the end.
func TestTerminalProgress(t *testing.T) {
	const columns = 120
	saved := filepath.Join(t.TempDir(), "saved")
	if err := syscall.Mkfifo(saved, 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"--offline", "--utc", "--workers", "1", "--idle-timeout", "1ms", "-w", saved}
	for range 20 { // together more than the pipe holds
		args = append(args, "-r", filepath.Join("..", "..", "testdata", "office.pcap"))
	}
	run := func(args []string) string {
		tty, written := openTerminal(t, columns)
		var reader sync.WaitGroup
		reader.Go(func() {
			pipe, err := os.Open(saved)
			if err != nil {
				t.Error(err)
				return
			}
			defer pipe.Close()
			io.CopyN(io.Discard, pipe, 1000) // packets: the program has begun
			time.Sleep(progressEvery)        // the pipe is full, and the line is due
			io.Copy(io.Discard, pipe)
		})
		if status := command(context.Background(), args, tty, tty); status != exitDone {
			t.Errorf("%q: status %d", args, status)
		}
		reader.Wait()
		return strings.ReplaceAll(written(), "\r\n", "\n")
	}
	t.Setenv("NO_COLOR", "1")
	t.Setenv("TERM", "dumb")
	records := run(append(args, "-q"))
	if text := run(args); strings.Contains(text, "\r") || !strings.HasPrefix(text, records) {
		t.Errorf("with TERM=dumb: %q", text)
	}
	t.Setenv("TERM", "xterm")
	began := time.Now()
	text := run(args)
	most := int(time.Since(began) / progressEvery)
	drawn := regexp.MustCompile(`\r[^\r\n\x1b]+`).FindAllString(text, -1)
	if len(drawn) == 0 || len(drawn) > most {
		t.Errorf("the line was drawn %d times, at most %d are due", len(drawn), most)
	}
	whole := regexp.MustCompile(`^\r[0-9.]+ MiB / [0-9.]+ MiB \[=+> *\] [0-9.]+%  .*  [1-9][0-9]* packets/s  [1-9][0-9]* flows, [0-9]+ findings$`)
	for _, line := range drawn {
		if len(line) != len("\r")+columns || !whole.MatchString(line) {
			t.Errorf("drawn: %q", line)
		}
	}
	line := regexp.MustCompile(`(\r[^\r\n\x1b]+)+\r\x1b\[K`)
	text = line.ReplaceAllString(text, "")
	if strings.Contains(text, "\r") || !strings.HasPrefix(text, records) {
		t.Errorf("without the line: %q", text)
	}
	text = line.ReplaceAllString(run(append(args, "-o", "none")), "")
	if strings.Contains(text, "\r") || !strings.HasPrefix(text, "8,880 packets, ") {
		t.Errorf("without the line, and records: %q", text)
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
	for _, args := range []string{"-q --offline -o none -r ../../testdata/raw.pcap", "annotate -q --offline --from ../../testdata/flows/nfdump.jsonl"} {
		tty, _ := openTerminal(t, 100)
		c := program(strings.Fields(args)...)
		c.Stdin = tty
		if err := c.Run(); err != nil { // standard input is not read
			t.Errorf("%s: %v", args, err)
		}
	}
}

// TestWarningAtStart: what is wrong with the rotated files of an earlier run is told in the
// background, maybe before the run has begun. The race detector sees what that could disturb.
func TestWarningAtStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "flows.jsonl")
	const rotated = ".20261124T230000Z"
	if err := os.WriteFile(path+rotated, []byte("{}\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+rotated+".zst.part", 0o777); err != nil { // in the way
		t.Fatal(err)
	}
	tty, written := openTerminal(t, 120)
	args := []string{"--offline", "-r", filepath.Join("..", "..", "testdata", "office.pcap"), "--to", "file:" + path + "?rotate=1MiB&compress=zstd"}
	if status := command(context.Background(), args, tty, tty); status != exitDone {
		t.Errorf("status %d", status)
	}
	if text := written(); !strings.Contains(text, "warning: compress ") {
		t.Errorf("no warning: %q", text)
	}
}
