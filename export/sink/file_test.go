package sink

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
)

// linesOf returns all lines of the rotated files, in their order, and of the file.
func linesOf(t *testing.T, f *File) (text string, files int) {
	t.Helper()
	names, err := f.rotatedFiles()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, f.path) {
		file, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var r io.Reader = file
		switch {
		case strings.HasSuffix(name, ".gz"):
			r, err = gzip.NewReader(file)
		case strings.HasSuffix(name, ".zst"):
			r, err = zstd.NewReader(file)
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if len(b) > 0 && b[len(b)-1] != '\n' {
			t.Errorf("%s ends with half a line", name)
		}
		text += string(b)
	}
	return text, len(names)
}

// TestFileGivesUp: who has no time for the compression of a large file leaves it as it is, and
// the next run compresses it.
func TestFileGivesUp(t *testing.T) {
	for _, compress := range []string{"gzip", "zstd"} {
		path := filepath.Join(t.TempDir(), "flows.jsonl")
		rotated := path + ".20261124T230000Z"
		if err := os.WriteFile(rotated, nil, 0o666); err != nil {
			t.Fatal(err)
		}
		const minutes = 1 << 40 // of compressing: a hole in the file takes no disk
		if err := os.Truncate(rotated, minutes); err != nil {
			t.Fatal(err)
		}
		open := func() *File {
			f, err := OpenFile(path, FileOptions{Rotate: 1000, Compress: compress, Report: func(err error) { t.Error(err) }})
			if err != nil {
				t.Fatal(err)
			}
			return f
		}
		begun := func() bool {
			_, err := os.Stat(rotated + suffixes[compress] + unfinished)
			return err == nil
		}
		f := open()
		for !begun() {
			time.Sleep(time.Millisecond)
		}
		f.GiveUp()
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if info, err := os.Stat(rotated); err != nil || info.Size() != minutes || begun() {
			t.Errorf("%s: %v, and a part is there: %t", compress, err, begun())
		}
		if err := os.Truncate(rotated, 1000); err != nil {
			t.Fatal(err)
		}
		if err := open().Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(rotated + suffixes[compress]); err != nil {
			t.Error(err)
		}
	}
}

func TestFileRotation(t *testing.T) {
	for _, compress := range []string{"", "gzip", "zstd"} {
		f, err := OpenFile(filepath.Join(t.TempDir(), "flows.jsonl"), FileOptions{Rotate: 1000, Compress: compress,
			Report: func(err error) { t.Error(err) }})
		if err != nil {
			t.Fatal(err)
		}
		var want strings.Builder
		for i := range 100 {
			line := fmt.Appendf(nil, "line %d %s\n", i, strings.Repeat("x", i))
			want.Write(line)
			if n, err := f.Write(line); n != len(line) || err != nil {
				t.Fatal(n, err)
			}
		}
		if _, err := f.Write(append(bytes.Repeat([]byte("y"), 5000), '\n')); err != nil { // larger than a file
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		got, files := linesOf(t, f)
		if got != want.String()+strings.Repeat("y", 5000)+"\n" || files < 7 {
			t.Errorf("%q: %d files, %d octets of %d", compress, files, len(got), want.Len())
		}
		names, _ := f.rotatedFiles()
		for _, name := range names {
			if isCompressed(name) != (compress != "") {
				t.Errorf("%q: %s", compress, name)
			}
		}
	}
}

// TestFileLongLine: each file has at least one line, and only one with a line can be
// full.
func TestFileLongLine(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "x"), FileOptions{Rotate: 15, Header: []byte("head\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"longer than a file\n", "a\n", "b\n"} {
		if _, err := io.WriteString(f, line); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	if got, files := linesOf(t, f); got != "head\nlonger than a file\nhead\na\nb\n" || files != 1 {
		t.Errorf("%d files: %q", files, got)
	}
}

func TestFileKeep(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "flows.jsonl"), FileOptions{Rotate: 10, Keep: 3, Header: []byte("head\n")})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 20 {
		if _, err := fmt.Fprintf(f, "line %d\n", i); err != nil {
			t.Fatal(err)
		}
	}
	f.Close()
	want := "head\nline 16\nhead\nline 17\nhead\nline 18\nhead\nline 19\n"
	if got, files := linesOf(t, f); got != want || files != 3 {
		t.Errorf("%d files: %q", files, got)
	}
}

func TestFileEvery(t *testing.T) {
	f, err := OpenFile(filepath.Join(t.TempDir(), "x"), FileOptions{Every: 20 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		time.Sleep(25 * time.Millisecond)
		fmt.Fprintf(f, "line %d\n", i)
	}
	f.Close()
	// The first file is empty when its time is over, so it is kept.
	if got, files := linesOf(t, f); files != 3 || strings.Count(got, "\n") != 4 {
		t.Errorf("%d files: %q", files, got)
	}
}

// TestFileEveryRun: what an earlier run wrote in an earlier period is rotated by the
// first record, even if no run lasts a whole period.
func TestFileEveryRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	var f *File
	for run := range 3 {
		var err error
		if f, err = OpenFile(path, FileOptions{Every: time.Hour}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(f, "line %d\n", run)
		f.Close()
		if run == 0 {
			hourAgo := time.Now().Add(-time.Hour)
			if err := os.Chtimes(path, hourAgo, hourAgo); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got, files := linesOf(t, f); files != 1 || got != "line 0\nline 1\nline 2\n" {
		t.Errorf("%d files: %q", files, got)
	}
}

// TestFileAfterKill: an earlier run has left half a line and an uncompressed file.
func TestFileAfterKill(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	os.WriteFile(path, []byte("whole\nhal"), 0o666)
	os.WriteFile(path+".20261124T230000Z", []byte("before\n"), 0o666)
	f, err := OpenFile(path, FileOptions{Rotate: 1 << 20, Compress: "zstd", Header: []byte("head\n")})
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "next")
	f.Close()
	if got, _ := linesOf(t, f); got != "before\nwhole\nnext\n" {
		t.Errorf("%q", got)
	}
	if names, _ := f.rotatedFiles(); len(names) != 1 || !isCompressed(names[0]) {
		t.Errorf("%v", names)
	}
}

func TestFileReopen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	os.WriteFile(path, []byte("old\n"), 0o666)
	f, err := OpenFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "one")
	os.Rename(path, path+".1")
	fmt.Fprintln(f, "two")
	f.Reopen()
	fmt.Fprintln(f, "three")
	f.Reopen() // nobody has renamed it: it goes on
	fmt.Fprintln(f, "four")
	for name, want := range map[string]string{path + ".1": "one\ntwo\n", path: "three\nfour\n"} {
		if got, err := os.ReadFile(name); string(got) != want || err != nil {
			t.Errorf("%s: %q %v", name, got, err)
		}
	}
}

// TestFileFolderGone: if a file cannot be reopened, the next line tries again.
func TestFileFolderGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "log")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "x")
	f, err := OpenFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "one")
	os.Rename(dir, dir+".old")
	f.Reopen()
	for range 2 {
		if _, err := fmt.Fprintln(f, "two"); !errors.Is(err, os.ErrNotExist) {
			t.Fatalf("no folder, and %v", err)
		}
	}
	os.Mkdir(dir, 0o777)
	fmt.Fprintln(f, "three")
	if got, err := os.ReadFile(path); string(got) != "three\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestFileCloseFails: what a file system says only when a file is closed is told, also where
// another one takes its place, and the next line goes there.
func TestFileCloseFails(t *testing.T) {
	for name, o := range map[string]FileOptions{"reopened": {}, "rotated": {Rotate: 1}} {
		f, err := OpenFile(filepath.Join(t.TempDir(), "x"), o)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		fmt.Fprintln(f, "one")
		f.file.Close() // so that closing it fails
		if !o.Rotated() {
			f.Reopen()
		}
		if _, err := fmt.Fprintln(f, "two"); !errors.Is(err, os.ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := fmt.Fprintln(f, "three"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestFileCut: where others cut the file, as logrotate's copytruncate does, no hole is
// left in place of the lines.
func TestFileCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := OpenFile(path, FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "one")
	if err := os.Truncate(path, 0); err != nil {
		t.Fatal(err)
	}
	fmt.Fprintln(f, "two")
	if got, err := os.ReadFile(path); string(got) != "two\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
}

// TestFileRemoved: if somebody removes the file before it is full, the next one is begun,
// and that is reported.
func TestFileRemoved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	var said []string
	f, err := OpenFile(path, FileOptions{Rotate: 10, Report: func(err error) { said = append(said, err.Error()) }})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fmt.Fprintln(f, "one line")
	os.Remove(path)
	if _, err := fmt.Fprintln(f, "another"); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); string(got) != "another\n" || err != nil {
		t.Errorf("%q %v", got, err)
	}
	if len(said) != 1 || !strings.Contains(said[0], "removed or renamed") {
		t.Errorf("said %q", said)
	}
}

func TestFileReceiver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x")
	f, err := OpenFile(path, FileOptions{Rotate: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	r := f.Receiver()
	verdicts := make([]Verdict, 2)
	if err := r.Deliver(context.Background(), []Record{{Body: []byte("a")}, {Body: []byte("b")}}, verdicts); err != nil || verdicts[1].State != Delivered {
		t.Errorf("%v %v", err, verdicts)
	}
	r.Close()
	if got, _ := os.ReadFile(path); string(got) != "a\nb\n" {
		t.Errorf("%q", got)
	}
	full, err := OpenFile("/dev/full", FileOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	verdicts = make([]Verdict, 1)
	if err := full.Receiver().Deliver(context.Background(), []Record{{Body: []byte("a")}}, verdicts); err == nil || verdicts[0].State != Pending {
		t.Errorf("%v %v", err, verdicts)
	}
}

func TestParseFileOptions(t *testing.T) {
	s, _ := ParseSettings("rotate=100MiB&every=1h&keep=24&compress=zstd")
	o, err := ParseFileOptions(s)
	if o.Rotate != 100<<20 || o.Every != time.Hour || o.Keep != 24 || o.Compress != "zstd" || err != nil {
		t.Errorf("%+v %v", o, err)
	}
	for query, want := range map[string]string{
		"keep=3": "rotated", "compress=gzip": "rotated", "rotate=1h": "a size", "every=3": "a time", "rotate=1&keep=-1": "keep=-1",
		"rotate=1&compress=lz4": "compress=lz4: one of zstd, gzip",
	} {
		s, _ := ParseSettings(query)
		if _, err := ParseFileOptions(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", query, err, want)
		}
	}
	if _, err := OpenFile(filepath.Join(t.TempDir(), "no", "x"), FileOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
