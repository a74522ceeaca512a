package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/capture"
)

// TestProgress: the line is drawn when its time has come, and not before.
func TestProgress(t *testing.T) {
	f, err := capture.OpenFile(filepath.Join("..", "..", "testdata", "office.pcap"))
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
	p.unhide() // or the others would wait
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
	if p := newProgress(tty, nil); p != nil {
		t.Error("there is a line for no files")
	}
}
