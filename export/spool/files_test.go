package spool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/portwatch/portwatch/export/sink"
)

// TestSpare: the file of a segment that all cursors have passed is reused. What it had before
// never comes back, and does not count as cut off; a full segment's file ends with its last block.
func TestSpare(t *testing.T) {
	for how, end := range map[string]func(*Spool) error{
		"kill": func(s *Spool) error { kill(s); return nil },
		"full": func(s *Spool) error { s.seal(); kill(s); return nil },
		"end":  (*Spool).Close,
	} {
		t.Run(how, func(t *testing.T) { reuse(t, end, how != "kill") })
	}
}

func reuse(t *testing.T, stop func(*Spool) error, exact bool) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	next := 0
	for s.tail == 0 { // the active file is not a reused one yet
		write(t, s, "ecs", records(next, next+20))
		wantIDs(t, take(t, c), ids(next, next+20))
		if next += 20; next > 5000 {
			t.Fatal("no file was reused")
		}
	}
	write(t, s, "ecs", records(next, next+2))
	size, path := s.unsealed().size, s.unsealed().path
	if info, err := os.Stat(path); err != nil || info.Size() <= size+int64(len(end)) {
		t.Fatalf("%v, %v: nothing follows its %d octets", info, err, size)
	}
	if err := stop(s); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || exact && info.Size() != size {
		t.Errorf("%d octets after the last block, %v", info.Size()-size, err)
	}
	s = open(t, dir, Options{Max: MinMax})
	if n := s.Counts().CutOctets; n != 0 {
		t.Errorf("%d octets were cut", n)
	}
	c = cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(next+2, next+4))
	wantIDs(t, take(t, c), ids(next, next+4))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(s.sparePath()); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the spare file stays: %v", err)
	}
}

// TestCompressed: records that wait are compressed, those taken at once are not.
func TestCompressed(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c, fast := cursor(t, s, "a", "ecs"), cursor(t, s, "fast", "ecs")
	cursor(t, s, "gone", "ocsf").attached = false
	same := make([]sink.Record, 500)
	for i := range same {
		same[i] = sink.Record{ID: fmt.Append(nil, "id-", i), Body: bytes.Repeat([]byte("alike "), 300)}
	}
	grown := func(rounds int, taken bool) int64 {
		before := s.octets
		for range rounds {
			write(t, s, "ecs", same)
			take(t, fast)
			if taken {
				take(t, c)
			}
		}
		return s.octets - before
	}
	const octets = 500 * 1800
	if n := grown(1, true); n < octets {
		t.Errorf("%d octets for %d that are taken at once", n, octets)
	}
	if n := grown(2, false); n < 2*octets {
		t.Errorf("%d octets for %d that wait a moment", n, 2*octets)
	}
	take(t, c)
	before := s.octets
	if write(t, s, "ocsf", same); s.octets-before > octets/10 {
		t.Errorf("%d octets for %d that no sink of this run takes", s.octets-before, octets)
	}
	grown(40, false)
	if n := grown(20, false); n > 20*octets/10 {
		t.Errorf("%d octets for %d that wait", n, 20*octets)
	}
	if cap(s.packed) < octets/100 {
		t.Error("the memory of a compressed block is not used again")
	}
	if got := take(t, c); len(got) != 60*500 {
		t.Errorf("%d records came back", len(got))
	}
}

// TestSegments: segments that will soon be gone are small, and others are not.
func TestSegments(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	cursor(t, s, "a", "ecs")
	r := sink.Record{Body: make([]byte, 500<<10)}
	rand.NewChaCha8([32]byte{}).Read(r.Body) // so that compression does not make it smaller
	for range 2 * (recentSize - 16<<20) / len(r.Body) {
		write(t, s, "ecs", []sink.Record{r})
	}
	large := 0
	for i, g := range s.segments {
		switch {
		case g.size > briefSegment:
			large++
		case g.size < briefSegment-1<<20 && i < len(s.segments)-1:
			t.Errorf("a segment of %d octets", g.size)
		}
	}
	memory := int64(0)
	for _, k := range s.recent {
		memory += int64(cap(k.buf))
	}
	if memory != s.held || memory > recentSize || memory < recentSize*3/4 {
		t.Errorf("%d octets are in memory, but %d are counted", memory, s.held)
	}
	if n := len(s.segments); n < lagging/briefSegment || n > 2+lagging/briefSegment || large != 1 {
		t.Errorf("%d segments, %d of them large", n, large)
	}
}

// TestRemovedSegmentsTakeNoRoom: no removed file is kept open, since it would still take up
// room on the disk.
func TestRemovedSegmentsTakeNoRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 1000))
	cold(s)
	take(t, c)
	s.background.Wait()
	for _, name := range openFiles(t, dir) {
		if strings.HasSuffix(name, "(deleted)") {
			t.Errorf("still open: %s", name)
		}
	}
}

// spare makes a spool that has a spare file for its next segment, and whose active segment
// is not in a reused file.
func spare(t *testing.T, dir string, o Options) (*Spool, *Cursor) {
	t.Helper()
	s := open(t, dir, o)
	c := cursor(t, s, "a", "ecs")
	for next := 0; s.spare == 0; next += 20 {
		write(t, s, "ecs", records(next, next+20))
		take(t, c)
	}
	if info, err := os.Stat(s.sparePath()); err != nil || info.Size() < s.spare || s.tail != 0 {
		t.Fatalf("%v, %v, tail %d", info, err, s.tail)
	}
	return s, c
}

// TestSpareTakesRoom: with a spare file, too, a full spool has no more on the disk than it may,
// and a spool that is not full is not counted as full.
func TestSpareTakesRoom(t *testing.T) {
	for room, full := range map[int64]uint64{10 << 10: 0, -1 << 10: 1} {
		dir := t.TempDir()
		s, c := spare(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
		r := sink.Record{Body: make([]byte, MinMax-s.octets-room)}
		rand.NewChaCha8([32]byte{}).Read(r.Body)
		write(t, s, "ecs", []sink.Record{r})
		octets := int64(0)
		for _, path := range append(segments(t, dir), s.sparePath()) {
			if info, err := os.Stat(path); err == nil {
				octets += info.Size()
			}
		}
		if n := s.Counts().Full; n != full || octets > MinMax {
			t.Errorf("%d octets of room: %d times full, with %d octets", room, n, octets)
		}
		if n := c.Counts(); n.Dropped != 0 {
			t.Errorf("%d octets of room: %+v", room, n)
		}
	}
}

// TestNoSpare: the file of a small segment is not kept as a spare one, and there is no room
// for one if the other segments have more than half of the spool's size.
func TestNoSpare(t *testing.T) {
	for octets, kept := range map[int64]bool{MinMax / 64: false, MinMax / 4: true, MinMax * 3 / 4: false} {
		s := open(t, t.TempDir(), Options{Max: MinMax})
		c := cursor(t, s, "a", "ecs")
		for i := 0; s.octets < octets; i += 10 {
			write(t, s, "ecs", records(i, i+10))
		}
		s.mu.Lock()
		s.seal()
		s.mu.Unlock()
		for before := s.segments[0]; !before.gone; {
			var b sink.Batch
			c.Take(&b, limits)
			c.Done(&b)
		}
		if _, err := os.Stat(s.sparePath()); (s.spare > 0) != kept || (err == nil) != kept {
			t.Errorf("beside %d octets of %d: %d, %v", s.octets, octets, s.spare, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(s.sparePath()); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("the spare file stays after Close: %v", err)
		}
	}
}

// TestShed: shed frees what belongs to no segment, and then finds nothing more.
func TestShed(t *testing.T) {
	s := open(t, t.TempDir(), Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	for next := 0; s.tail == 0; next += 20 {
		write(t, s, "ecs", records(next, next+20))
		take(t, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = 0 // so that only the tail of the active segment is freed
	if first, second := s.shed(), s.shed(); !first || second {
		t.Errorf("%v, then %v", first, second)
	}
	if info, err := os.Stat(s.unsealed().path); err != nil || info.Size() != s.unsealed().size {
		t.Errorf("%d octets stay, or %v", info.Size()-s.unsealed().size, err)
	}
}

// TestNewFile: the spare file is used once, and newFile does without one that is missing or
// cannot be moved. A failure leaves nothing behind.
func TestNewFile(t *testing.T) {
	for _, test := range []struct {
		what  string
		spoil func(s *Spool, path string) error
		want  error
	}{
		{"a spare file", func(*Spool, string) error { return nil }, nil},
		{"none any more", func(s *Spool, _ string) error { return os.Remove(s.sparePath()) }, nil},
		{"a folder in its way", func(_ *Spool, path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) }, os.ErrExist},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := t.TempDir()
			s, _ := spare(t, dir, Options{Max: MinMax})
			path, before := segmentPath(dir, s.last+1), len(openFiles(t, dir))
			if err := test.spoil(s, path); err != nil {
				t.Fatal(err)
			}
			f, err := s.newFile(path)
			if !errors.Is(err, test.want) {
				t.Errorf("%v", err)
			}
			if f != nil {
				f.Close()
			}
			if _, err := os.Stat(s.sparePath()); s.spare != 0 || !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a spare file of %d octets, %v", s.spare, err)
			}
			if files := openFiles(t, dir); len(files) != before {
				t.Errorf("open are %q", files)
			}
		})
	}
}

// TestFailedWrites: a failure in the background, or one that is not for lack of room, ends
// the run, and Close returns it.
func TestFailedWrites(t *testing.T) {
	openAs := func(name string, flag int) *os.File {
		f, err := os.OpenFile(name, flag, 0)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	for _, test := range []struct {
		what   string
		spoil  func(s *Spool, c *Cursor)
		append error // of the next call
		close  error
		says   string
	}{
		{"nothing", func(*Spool, *Cursor) {}, nil, nil, ""},
		{"segment", func(s *Spool, _ *Cursor) { s.active = openAs(s.active.Name(), os.O_RDONLY) }, syscall.EBADF, nil, ""},
		{"cursor", func(_ *Spool, c *Cursor) {
			var b sink.Batch
			c.file = openAs("/dev/full", os.O_WRONLY)
			c.Take(&b, limits)
			c.Done(&b)
		}, syscall.ENOSPC, syscall.ENOSPC, "write cursor of a: "},
		{"cursor that stays where it is", func(_ *Spool, c *Cursor) {
			var first, second, third sink.Batch
			c.Take(&first, sink.Limits{Records: 1, Octets: 1 << 20})
			c.Take(&second, sink.Limits{Records: 1, Octets: 1 << 20})
			c.Take(&third, sink.Limits{Records: 1, Octets: 1 << 20})
			c.Done(&first)
			c.file = openAs("/dev/full", os.O_WRONLY)
			c.Done(&third)
		}, nil, syscall.EINVAL, ""}, // /dev/full cannot be synced either
		{"cursor in the end", func(_ *Spool, c *Cursor) { c.file = openAs("/dev/null", os.O_WRONLY) }, nil, syscall.EINVAL, ""},
		{"closed cursor", func(_ *Spool, c *Cursor) { c.file.Close() }, nil, os.ErrClosed, ""},
		{"closed segment", func(s *Spool, c *Cursor) {
			s.active.Close()
			s.mu.Lock()
			defer s.mu.Unlock()
			s.seal()
		}, os.ErrClosed, os.ErrClosed, ""},
		{"closed lock", func(s *Spool, c *Cursor) { s.lock.Close() }, nil, os.ErrClosed, ""},
		{"removed segment", func(s *Spool, c *Cursor) {
			s.mu.Lock()
			s.seal()
			s.mu.Unlock()
			os.Remove(s.segments[0].path)
			take(t, c)
		}, os.ErrNotExist, os.ErrNotExist, ""},
		{"removed segment, and one that is not", func(s *Spool, c *Cursor) {
			for range 2 {
				s.mu.Lock()
				s.seal()
				s.mu.Unlock()
				write(t, s, "ecs", records(30, 40))
			}
			var b sink.Batch
			c.Take(&b, limits) // when it is settled, both segments go
			first := s.segments[0].path
			take(t, c)
			os.Remove(first)
			c.Done(&b)
		}, os.ErrNotExist, os.ErrNotExist, ""},
		{"removed folder", func(s *Spool, c *Cursor) { s.dir += "/gone" }, nil, os.ErrNotExist, ""},
	} {
		t.Run(test.what, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			c := cursor(t, s, "a", "ecs")
			write(t, s, "ecs", records(0, 20))
			test.spoil(s, c)
			dir := s.dir
			for _, call := range []struct {
				name string
				got  error
				want error
			}{
				{"write to", s.Append("ecs", records(20, 30)), test.append}, {"close", s.Close(), test.close},
			} {
				if !errors.Is(call.got, call.want) || call.want != nil && !strings.HasPrefix(call.got.Error(), call.name+" spool "+dir+": "+test.says) {
					t.Errorf("%s: %v, want %v", call.name, call.got, call.want)
				}
			}
		})
	}
}

// TestSynced: Close syncs every segment that is left, whichever run has written it. A removed
// file cannot be synced, and the error shows that it was tried.
func TestSynced(t *testing.T) {
	for _, test := range []struct {
		what          string
		before, after int // records of a run that was killed, and of the next one
		file          int // which is removed
	}{
		{"full, of the run that was killed", 1500, 0, 0},
		{"the last of the run that was killed", 10, 0, 0},
		{"the last of the run that was killed, and full now", 10, 1500, 0},
		{"full", 10, 1500, 1},
		{"written to until the end", 10, 1500, 2},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{Max: 4 << 20})
			cursor(t, s, "a", "ecs")
			write(t, s, "ecs", records(0, test.before))
			kill(s)
			s = open(t, dir, Options{Max: 4 << 20})
			write(t, s, "ecs", records(test.before, test.before+test.after))
			files := segments(t, dir)
			os.Remove(files[test.file])
			if err := s.Close(); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("without file %d of %d: %v", test.file, len(files), err)
			}
		})
	}
}

// TestSync: sync syncs a segment's file and the folder, and does nothing for a segment that
// was removed.
func TestSync(t *testing.T) {
	const cannot = "/dev/null" // be synced
	for _, test := range []struct {
		what      string
		path, dir string
		gone      bool
		want      error
	}{
		{"a file", "file", ".", false, nil},
		{"no file", "none", ".", false, os.ErrNotExist},
		{"no file any more", "none", ".", true, nil},
		{"a bad file", cannot, ".", false, syscall.EINVAL},
		{"a bad file that nobody needs", cannot, ".", true, nil},
		{"no folder", "file", "none", false, os.ErrNotExist},
		{"a bad folder", "file", cannot, false, syscall.EINVAL},
	} {
		t.Run(test.what, func(t *testing.T) {
			dir := t.TempDir()
			t.Chdir(dir)
			if err := os.WriteFile("file", []byte(magic), 0o600); err != nil {
				t.Fatal(err)
			}
			before := len(openFiles(t, dir, "/dev/"))
			s := &Spool{dir: test.dir}
			if err := s.sync(&segment{path: test.path, gone: test.gone}); !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if files := openFiles(t, dir, "/dev/"); len(files) != before {
				t.Errorf("open are %q", files)
			}
		})
	}
}

// TestEmptyEnd: Close syncs the folder of an empty spool.
func TestEmptyEnd(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	before := len(openFiles(t, s.dir))
	s.mu.Lock()
	if _, err := s.reserve(100); err != nil || len(openFiles(t, s.dir)) != before+1 { // and nothing is written
		t.Fatal(err)
	}
	s.mu.Unlock()
	s.dir += "/gone"
	if err := s.Close(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
	if files := openFiles(t, strings.TrimSuffix(s.dir, "/gone")); len(files) != 0 {
		t.Errorf("open are %q", files)
	}
}

// TestBare: an error that several files of the folder share is named once.
func TestBare(t *testing.T) {
	gone := func(name string) error { return &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist} }
	err := bare(errors.Join(errors.Join(gone("a"), io.ErrShortWrite), gone("b")))
	if got, want := err.Error(), "file does not exist\nshort write"; got != want || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, want %q", got, want)
	}
}
