package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portwatch/portwatch/capture"
)

// TestProgress: the line is drawn when its time has come, and not before.
func TestProgress(t *testing.T) {
	office := filepath.Join("..", "..", "testdata", "office.pcap")
	f, err := capture.OpenFile(office)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	tty, err := os.Create(filepath.Join(t.TempDir(), "tty"))
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	_, size := f.Progress()
	p := newProgress(tty, []*capture.File{f})
	p.show(size/2, 1000, 30, 7) // too early
	p.hide()
	p.unhide() // otherwise the others would wait
	p.next = time.Now()
	p.show(size/2, 1000, 30, 7)
	p.hide()
	p.unhide()
	drawn, err := os.ReadFile(tty.Name())
	if err != nil {
		t.Fatal(err)
	}
	const end = "\r\x1b[K"
	if line := string(drawn); strings.Count(line, "flows") != 1 || !strings.Contains(line, " 50.") || !strings.Contains(line, "30 flows, 7 findings") || strings.Contains(line, " 0 packets/s") || !strings.HasSuffix(line, end) {
		t.Errorf("drawn: %q", line)
	}
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() { os.WriteFile(pipe, contents(office), 0) }()
	endless, err := capture.OpenFile(pipe)
	if err != nil {
		t.Fatal(err)
	}
	defer endless.Close()
	for _, files := range [][]*capture.File{nil, {endless}, {f, endless}} {
		if p := newProgress(tty, files); p != nil {
			t.Errorf("there is a line for %d files", len(files))
		}
	}
}

// A fullDisk takes nothing and, when closed, waits for a goroutine that warns.
type fullDisk struct{ warned *progress }

func (fullDisk) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func (f fullDisk) Close() error {
	f.warned.hide()
	f.warned.unhide()
	return nil
}

// TestProgressBetweenRecords: a record on a terminal replaces the line, whichever other place
// wanted the format first, and whatever becomes of that place.
func TestProgressBetweenRecords(t *testing.T) {
	tty, err := os.Create(filepath.Join(t.TempDir(), "tty"))
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	p := &progress{tty: tty, drawn: true}
	d := &rendering{places: []*place{
		{name: "full", w: fullDisk{p}}, {name: "terminal", w: nopCloser{tty}, terminal: true}, {name: "full", w: fullDisk{p}},
	}}
	written := make(chan error)
	go func() { written <- d.write([]byte("a record\n"), false, p) }()
	select {
	case err = <-written:
	case <-time.After(10 * time.Second):
		t.Fatal("the warning and the record wait for one another")
	}
	drawn, _ := os.ReadFile(tty.Name())
	if string(drawn) != "\r\x1b[Ka record\n" || !errors.Is(err, syscall.ENOSPC) || len(d.places) != 1 {
		t.Errorf("drawn: %q; %v, %d places are left", drawn, err, len(d.places))
	}
	p.drawn = true
	(&run{stderr: tty, progress: p}).warn(errors.New("so it is"))
	if all := contents(tty.Name()); string(all[len(drawn):]) != "\r\x1b[Kportwatch: warning: so it is\n" {
		t.Errorf("the warning stands beside the line: %q", all)
	}
}
