//go:build linux || darwin || freebsd

package cache

import (
	"errors"
	"os"
	"os/signal"
	"syscall"
	"testing"
)

// A limit on the size of files stands in for a full disk: the write fails partway in
// the same way.
func TestFullDisk(t *testing.T) {
	s := &site{body: source("2026-09-01", "a")}
	c, o := Cache{t.TempDir()}, Options{From: serve(t, s)}
	if _, err := update(c, o); err != nil {
		t.Fatal(err)
	}
	s.body = source("2026-09-02", "a", "b")

	signal.Ignore(syscall.SIGXFSZ)
	defer signal.Reset(syscall.SIGXFSZ)
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	small := limit
	small.Cur = 100
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &small); err != nil {
		t.Fatal(err)
	}
	_, err := update(c, o)
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit); err != nil {
		t.Fatal(err)
	}
	if !errors.Is(err, syscall.EFBIG) {
		t.Fatalf("%v, want EFBIG", err)
	}
	holds(t, c, "2026-09-01")
	if _, err := os.Stat(c.Path() + ".new"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished file is still there: %v", err)
	}
	if _, err := update(c, o); err != nil {
		t.Fatalf("with room again: %v", err)
	}
	holds(t, c, "2026-09-02")
}
