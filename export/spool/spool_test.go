package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"

	"github.com/portwatch/portwatch/export/sink"
)

var limits = sink.Limits{Records: 10, Octets: 4096, Record: 1 << 20, Parallel: 4}

// open opens a spool, whose lock is released at the end of the test.
func open(t *testing.T, dir string, o Options) *Spool {
	t.Helper()
	if o.Report == nil {
		o.Report = func(err error) { t.Log(err) }
	}
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		select {
		case <-s.closing:
		default:
			abandon(s)
		}
	})
	return s
}

// abandon kills a spool whose folder nobody will look at.
func abandon(s *Spool) {
	s.mu.Lock()
	for _, g := range s.segments {
		g.gone = true // and takes no time to be synced
	}
	s.mu.Unlock()
	kill(s)
}

// kill leaves the spool as a process does that is killed.
func kill(s *Spool) {
	if s.active != nil {
		s.active.Close()
	}
	close(s.closing)
	s.background.Wait()
	for _, c := range s.cursors {
		c.file.Close()
	}
	s.lock.Close()
}

// cold removes the last blocks from memory, so that they are read from the disk.
func cold(s *Spool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.recent {
		k.release()
	}
	s.recent, s.held = nil, 0
}

func cursor(t *testing.T, s *Spool, name, format string) *Cursor {
	t.Helper()
	c, err := s.Cursor(name, format)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// record has everything that an entry can have, made from its number. It does not
// become much smaller when it is compressed.
func record(i int) sink.Record {
	filler := make([]byte, i%900)
	rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}).Read(filler)
	return sink.Record{
		Kind: sink.Kind(i % 2), Severity: uint8(i), Time: int64(i) * 1e9,
		ID: fmt.Append(nil, "id-", i), Key: fmt.Append(nil, "key-", i%7),
		Body: fmt.Appendf(nil, `{"record":%d,"filler":"%s"}`, i, filler),
	}
}

func records(from, to int) (list []sink.Record) {
	for i := from; i < to; i++ {
		list = append(list, record(i))
	}
	return list
}

func write(t *testing.T, s *Spool, format string, list []sink.Record) {
	t.Helper()
	if err := s.Append(format, list); err != nil {
		t.Fatal(err)
	}
}

// take takes all that waits and returns the ids, in order.
func take(t *testing.T, c *Cursor) (ids []string) {
	t.Helper()
	var b sink.Batch
	for n, _, _ := c.Ready(); n > 0; n, _, _ = c.Ready() {
		c.Take(&b, limits)
		for _, r := range b.Records {
			ids = append(ids, string(r.ID))
		}
		c.Done(&b)
	}
	if n, octets, _ := c.Ready(); n != 0 || octets != 0 {
		t.Errorf("%d records of %d octets wait when all are taken", n, octets)
	}
	return ids
}

func ids(from, to int) (list []string) {
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint("id-", i))
	}
	return list
}

func wantIDs(t *testing.T, got, want []string) {
	t.Helper()
	if slices.Equal(got, want) {
		return
	}
	same := 0
	for same < min(len(got), len(want)) && got[same] == want[same] {
		same++
	}
	few := func(list []string) []string { return list[same:min(same+5, len(list))] }
	t.Errorf("got %d records, want %d; behind the first %d that are right %q, not %q", len(got), len(want), same, few(got), few(want))
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWholeRecordsComeBack takes, from memory and from the disk, batches that are
// smaller than blocks and such that are larger.
func TestWholeRecordsComeBack(t *testing.T) {
	for _, from := range []string{"memory", "disk"} {
		for _, step := range []int{1, 3, 300} {
			t.Run(fmt.Sprint(from, " ", step), func(t *testing.T) { comeBack(t, from == "disk", step) })
		}
	}
}

func comeBack(t *testing.T, disk bool, step int) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	want := records(0, 300)
	for i := 0; i < len(want); i += step {
		write(t, s, "ecs", want[i:i+step])
		write(t, s, "other", records(1000, 1002))
	}
	if disk {
		cold(s)
	}
	var got []sink.Record
	for n, _, _ := c.Ready(); n > 0; n, _, _ = c.Ready() {
		var b sink.Batch
		c.Take(&b, limits)
		for i := range b.Records { // they are the batch's until Done
			r := &b.Records[i]
			if cap(r.ID) > len(r.ID) || cap(r.Key) > len(r.Key) || cap(r.Body) > len(r.Body) {
				t.Error("what is appended to a record would stand in the next one")
			}
			r.ID, r.Key, r.Body = bytes.Clone(r.ID), bytes.Clone(r.Key), bytes.Clone(r.Body)
		}
		octets := 0
		for _, r := range b.Records {
			octets += len(r.Body)
		}
		if len(b.Records) > limits.Records || octets > limits.Octets && len(b.Records) > 1 {
			t.Errorf("a batch of %d records with %d octets", len(b.Records), octets)
		}
		got = append(got, b.Records...)
		c.Done(&b)
	}
	same := func(a, b sink.Record) bool {
		return a.Kind == b.Kind && a.Severity == b.Severity && a.Time == b.Time && bytes.Equal(a.ID, b.ID) &&
			bytes.Equal(a.Key, b.Key) && bytes.Equal(a.Body, b.Body)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("%d records came back, and not as they were", len(got))
	}
}

// TestLargeBlocks reads blocks from the disk that lie across the end of what is read at
// once, and such that are larger.
func TestLargeBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	for i := range 12 {
		r := record(i)
		r.Body = make([]byte, 100<<10*(1+i%4))
		write(t, s, "ecs", []sink.Record{r})
	}
	cold(s)
	wantIDs(t, take(t, c), ids(0, 12))
	s = open(t, t.TempDir(), Options{Max: MinMax}) // than all that the spool may have
	c = cursor(t, s, "a", "ecs")
	for i := range 3 {
		r := record(i)
		r.Body = make([]byte, 2*MinMax)
		write(t, s, "ecs", []sink.Record{r})
		wantIDs(t, take(t, c), ids(i, i+1))
	}
}

// TestBlocksAreGivenBack: memory of records is used again as soon as nobody has them.
func TestBlocksAreGivenBack(t *testing.T) {
	for _, from := range []string{"memory", "disk"} {
		t.Run(from, func(t *testing.T) {
			s := open(t, t.TempDir(), Options{})
			ecs, other := cursor(t, s, "a", "ecs"), cursor(t, s, "b", "other")
			for i := 0; i < 100; i += 25 {
				write(t, s, "ecs", records(i, i+25))
				write(t, s, "other", records(i, i+25))
			}
			seen := slices.Clone(s.recent)
			for _, k := range seen {
				if k.users.Load() != 1 || k.size > appendSize {
					t.Errorf("%d users before any is read", k.users.Load())
				}
			}
			if from == "disk" {
				cold(s)
			}
			for batches, c := range []*Cursor{ecs, other} {
				for n, _, _ := c.Ready(); n > 0; n, _, _ = c.Ready() {
					var b sink.Batch
					c.Take(&b, sink.Limits{Records: 7 + 93*batches, Octets: 1 << 20})
					seen = append(seen, c.flights[len(c.flights)-1].blocks...)
					if n < 50 {
						c.Return(&b, 1)
						continue
					}
					c.Done(&b)
				}
			}
			if len(s.recent) != 0 || s.held != 0 {
				t.Errorf("%d blocks with %d octets are kept", len(s.recent), s.held)
			}
			for i, k := range seen {
				if n := k.users.Load(); n != 0 {
					t.Errorf("block %d of %d has %d users", i, len(seen), n)
				}
			}
		})
	}
}

// TestUnwanted: what no sink of this run will read is not kept in memory.
func TestUnwanted(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	cursor(t, s, "a", "ecs")
	cursor(t, s, "gone", "ocsf").attached = false
	for _, format := range []string{"ocsf", "csv", "ecs", "csv"} {
		write(t, s, format, records(0, 10))
	}
	if len(s.recent) != 2 || s.recent[0].format != "ecs" { // and one behind it
		t.Errorf("%d blocks are kept", len(s.recent))
	}
}

// TestManyAtOnce: what is appended at once is no larger block than may be read at once.
func TestManyAtOnce(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 5000))
	for _, k := range s.recent {
		if k.size > appendSize+1<<10 {
			t.Errorf("a block of %d octets", k.size)
		}
	}
	wantIDs(t, take(t, c), ids(0, 5000))
}

// TestCursors has a fast sink, a slow one, one of another format, and one that
// comes later: each gets its own records, and segments go when the last has passed.
func TestCursors(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax})
	fast, slow, other := cursor(t, s, "fast", "ecs"), cursor(t, s, "slow", "ecs"), cursor(t, s, "other", "ocsf")
	write(t, s, "ecs", records(0, 500))
	write(t, s, "ocsf", records(1000, 1010))
	late := cursor(t, s, "late", "ecs")
	write(t, s, "ecs", records(500, 1000))
	wantIDs(t, take(t, fast), ids(0, 1000))
	wantIDs(t, take(t, late), ids(500, 1000))
	if n := len(segments(t, dir)); n < 5 {
		t.Errorf("%d segments while one cursor is at the beginning", n)
	}
	wantIDs(t, take(t, slow), ids(0, 1000))
	write(t, s, "ocsf", records(1010, 1020)) // behind what the others have taken
	wantIDs(t, take(t, other), ids(1000, 1020))
	if n := len(segments(t, dir)); n > 1 {
		t.Errorf("%d segments when all have passed", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if n := len(segments(t, dir)); n != 0 {
		t.Errorf("%d segments after the end", n)
	}
	if files := openFiles(t, dir); len(files) != 0 {
		t.Errorf("open are %q after the end", files)
	}
}

// TestUnsettledComeAgain: batches are settled in any order, and everything from the first
// unsettled one on comes again.
func TestUnsettledComeAgain(t *testing.T) {
	for _, end := range []string{"close", "kill"} {
		t.Run(end, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{})
			c := cursor(t, s, "a", "ecs")
			write(t, s, "ecs", records(0, 100))
			batches := make([]sink.Batch, 4)
			for i := range batches {
				c.Take(&batches[i], sink.Limits{Records: 10, Octets: 1 << 20})
			}
			c.Done(&batches[3])
			c.Done(&batches[0])
			c.Return(&batches[1], 10)
			c.Return(&batches[2], 3)
			if n := c.Counts(); n.Accepted != 100 || n.Waiting != 60+13 {
				t.Errorf("%+v", n)
			}
			if end == "close" {
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			} else {
				kill(s)
			}
			s = open(t, dir, Options{})
			c = cursor(t, s, "a", "ecs")
			if n := c.Counts(); n.Found != 90 || n.Waiting != 90 || n.Accepted != 0 {
				t.Errorf("%+v", n)
			}
			write(t, s, "ecs", records(100, 110))
			wantIDs(t, take(t, c), ids(10, 110))
		})
	}
}

// TestUnsettledStays: the segment of a batch that is not settled stays, however many behind
// it are done with.
func TestUnsettledStays(t *testing.T) {
	for _, returned := range []bool{false, true} {
		dir := t.TempDir()
		s := open(t, dir, Options{Max: MinMax})
		c := cursor(t, s, "a", "ecs")
		write(t, s, "ecs", records(0, 1000))
		var b sink.Batch
		c.Take(&b, limits)
		wantIDs(t, take(t, c), ids(len(b.Records), 1000))
		if returned {
			c.Return(&b, 3)
		}
		kill(s)
		s = open(t, dir, Options{Max: MinMax})
		c = cursor(t, s, "a", "ecs")
		wantIDs(t, take(t, c), ids(0, 1000))
		if n := len(segments(t, dir)); n > 1 {
			t.Errorf("%d segments when all is settled", n)
		}
	}
}

func TestTornTail(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "a", "ecs")
	for i := range 20 {
		write(t, s, "ecs", records(i, i+1))
	}
	kill(s)
	path := segments(t, dir)[0]
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = bytes.TrimSuffix(whole, end[:])
	k := newBlock("ecs", 0)
	if err := k.add(&sink.Record{Body: []byte("never whole")}); err != nil {
		t.Fatal(err)
	}
	last := k.form(packedS2, nil)
	sign(last, 1)
	last = last[:k.size]
	for cut := range len(last) {
		if err := os.WriteFile(path, append(whole[:len(whole):len(whole)], last[:cut]...), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, dir, Options{})
		if n := s.Counts().CutOctets; n != uint64(cut) {
			t.Errorf("%d octets of %d cut", n, cut)
		}
		if info, err := os.Stat(path); err != nil || info.Size() != int64(len(whole)) {
			t.Errorf("%d octets behind the whole blocks stay, or %v", info.Size()-int64(len(whole)), err)
		}
		c := cursor(t, s, "a", "ecs")
		if n := c.Counts().Waiting; n != 20 {
			t.Errorf("%d records wait", n)
		}
		kill(s)
	}
	s = open(t, dir, Options{})
	write(t, s, "ecs", records(20, 30))
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(0, 30))
}

// TestCut: what is cut behind the whole blocks of several segments is told of each, and
// counted in all.
func TestCut(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax})
	cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 500))
	kill(s)
	for i, path := range segments(t, dir)[:3] {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, text[:len(text)-1-i], 0o600); err != nil { // a part of its end
			t.Fatal(err)
		}
	}
	var told []string
	s = open(t, dir, Options{Max: MinMax, Report: func(err error) { told = append(told, err.Error()) }})
	if n := s.Counts().CutOctets; n != 7+6+5 || len(told) != 3 || told[2] != fmt.Sprintf("spool %s: cut 5 octets of records that were not whole from 0000000003.segment", dir) {
		t.Errorf("%d octets were cut, told %q", n, told)
	}
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(0, 500))
}

// TestDamage has an octet turned in the middle of the first segment of several,
// before the spool is opened and while it is, or the file cut there, or removed: what is whole before
// it and in other segments comes, the rest is counted.
func TestDamage(t *testing.T) {
	for when, why := range map[string]string{"before": "not whole", "while": "damaged", "cut": "unexpected EOF", "gone": "no such file"} {
		t.Run(when, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{Max: MinMax})
			c := cursor(t, s, "a", "ecs")
			for i := 0; i < 600; i += 10 {
				write(t, s, "ecs", records(i, i+10))
			}
			cold(s)
			if when == "before" {
				kill(s)
			}
			f, err := os.OpenFile(segments(t, dir)[0], os.O_RDWR, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			switch when {
			case "cut":
				f.Truncate(s.segment / 2)
			case "gone":
				os.Remove(f.Name())
			default:
				f.WriteAt([]byte{0xff}, s.segment/2)
			}
			var told []string
			tell := func(err error) { told = append(told, err.Error()) }
			if when == "before" {
				s = open(t, dir, Options{Max: MinMax, Report: tell})
				c = cursor(t, s, "a", "ecs")
			} else {
				s.o.Report = tell
			}
			got := take(t, c)
			lost := 600 - len(got)
			if lost == 0 || lost == 600 || len(told) != 1 || !strings.Contains(told[0], why) {
				t.Fatalf("%d records lost, told %q", lost, told)
			}
			if (got[0] == "id-0") == (when == "gone") {
				t.Errorf("what stands before the damage did not come")
			}
			n := slices.IndexFunc(got, func(id string) bool { return id == fmt.Sprint("id-", 599) })
			if n != len(got)-1 {
				t.Errorf("the other segments did not come")
			}
			if when != "before" && c.Counts().Dropped != uint64(lost) || when == "before" && s.Counts().CutOctets == 0 {
				t.Errorf("lost %d, counted %+v %+v", lost, c.Counts(), s.Counts())
			}
		})
	}
}

// TestTooManyFiles: a segment that cannot be opened as long as others have too many files
// open is not damaged, and nothing of it is lost.
func TestTooManyFiles(t *testing.T) {
	var told []string
	s := open(t, t.TempDir(), Options{Report: func(err error) { told = append(told, err.Error()) }})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 20))
	cold(s)
	var before syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	few := before
	few.Cur = 3
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &few); err != nil {
		t.Fatal(err)
	}
	var b sink.Batch
	for range 2 {
		c.Take(&b, limits)
	}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	want := fmt.Sprintf("spool %s: read 0000000001.segment: too many open files: trying again", s.dir)
	if n := c.Counts(); len(b.Records) != 0 || n.Dropped != 0 || n.Waiting != 20 || len(told) != 1 || told[0] != want {
		t.Errorf("%d records, %+v, told %q, want %q", len(b.Records), n, told, want)
	}
	wantIDs(t, take(t, c), ids(0, 20))
}

// TestLessThanCounted: what was counted and is not there is lost, and nobody waits for it.
func TestLessThanCounted(t *testing.T) {
	var told []string
	s := open(t, t.TempDir(), Options{Report: func(err error) { told = append(told, err.Error()) }})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 20))
	s.trim() // and the cursor stands in the segment
	c.left.add(tally{3, 100})
	c.waiting.add(tally{3, 100})
	var got []string
	for n, _, _ := c.Ready(); n > 0; n, _, _ = c.Ready() {
		var b sink.Batch
		if c.Take(&b, limits); len(b.Records) > 0 {
			for _, r := range b.Records {
				got = append(got, string(r.ID))
			}
			c.Done(&b)
		}
	}
	wantIDs(t, got, ids(0, 20))
	want := fmt.Sprintf("spool %s: read 0000000001.segment: damaged: 3 records of a are lost", s.dir)
	if n := c.Counts(); n.Dropped != 3 || len(told) != 1 || told[0] != want {
		t.Errorf("%+v, told %q, want %q", n, told, want)
	}
}

// A badDisk cannot read what lies behind so many octets.
type badDisk struct {
	io.ReaderAt
	good int64
}

func (d badDisk) ReadAt(b []byte, offset int64) (int, error) {
	if offset+int64(len(b)) <= d.good {
		return d.ReaderAt.ReadAt(b, offset)
	}
	n, _ := d.ReaderAt.ReadAt(b[:max(0, d.good-offset)], offset)
	return n, syscall.EIO
}

// TestUnreadable: a read error at the start is not damage, at which a segment would be cut;
// and files that are no segments are left alone.
func TestUnreadable(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 10))
	write(t, s, "ecs", records(10, 20))
	kill(s)
	segment := segments(t, dir)[0]
	text, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	for good, want := range map[int64]int{0: 0, headSize: 0, int64(len(text)) - 100: 1} {
		seen := 0
		_, whole, err := scan(badDisk{bytes.NewReader(text), good}, int64(len(text)), 1, func(int64, *packed) { seen++ })
		if !errors.Is(err, syscall.EIO) || whole || seen != want {
			t.Errorf("%d octets can be read: %d blocks, want %d; %v, %v", good, seen, want, whole, err)
		}
	}
	for _, name := range []string{"1.segment", "0000000002.segment.old", "x.segment"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("of others"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{})
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(0, 20))
	if n := s.Counts().CutOctets; n != 0 {
		t.Errorf("%d octets were cut", n)
	}
	kill(s)
	if err := errors.Join(os.Remove(segment), os.Mkdir(segment, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder for a segment: %v", err)
	}
	another := filepath.Join(dir, "ff"+cursorSuffix) // behind the other
	if err := errors.Join(os.Remove(segment), os.Mkdir(another, 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, syscall.EISDIR) {
		t.Errorf("a folder for a cursor: %v", err)
	}
	if err := errors.Join(os.Remove(another), os.MkdirAll(filepath.Join(dir, "spare", "full"), 0o700)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); !errors.Is(err, syscall.ENOTEMPTY) {
		t.Errorf("a folder for the spare file: %v", err)
	}
	if files := openFiles(t, dir); len(files) != 0 {
		t.Errorf("open are %q", files)
	}
}

func TestOnlyOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || err.Error() != fmt.Sprintf("open spool %s: %v", dir, ErrInUse) {
		t.Errorf("%v", err)
	}
	if files := openFiles(t, dir); len(files) != 1 { // of the one that has it
		t.Errorf("open are %q", files)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

// openFiles are those of some folders that this process has open.
func openFiles(t *testing.T, dirs ...string) (list []string) {
	t.Helper()
	files, err := filepath.Glob("/proc/self/fd/*")
	if err != nil || len(files) == 0 {
		t.Fatal("no list of open files: ", err)
	}
	for _, f := range files {
		name, _ := os.Readlink(f)
		if slices.ContainsFunc(dirs, func(dir string) bool { return strings.HasPrefix(name, dir) }) {
			list = append(list, name)
		}
	}
	return list
}

// TestPrivate: what the spool has is nobody else's business.
func TestPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "spool")
	s := open(t, dir, Options{Max: MinMax})
	cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 500))
	for _, path := range append(segments(t, dir), filepath.Dir(dir), dir, filepath.Join(dir, "lock"), s.cursors[0].path()) {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

// TestFullBlocks: who appends waits until records were taken, and nobody takes any
// before the spool is full.
func TestFullBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	all := records(0, 5000)
	done := make(chan error, 1)
	go func() {
		for i := range 50 {
			if err := s.Append("ecs", all[i*100:i*100+100]); err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for s.Counts().Full == 0 {
		select {
		case err := <-done:
			t.Fatalf("all were appended, and it was never full: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	var got []string
	for ended := false; !ended; {
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			ended = true
		case <-time.After(20 * time.Millisecond):
			s.mu.Lock()
			if s.octets > MinMax {
				t.Errorf("%d octets", s.octets)
			}
			s.mu.Unlock()
		}
		got = append(got, take(t, c)...)
	}
	wantIDs(t, got, ids(0, 5000))
}

// TestReleasedNeverBlocks fills a spool from which nothing is taken any more.
func TestReleasedNeverBlocks(t *testing.T) {
	s := open(t, t.TempDir(), Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	time.AfterFunc(20*time.Millisecond, c.Release)
	other := cursor(t, s, "b", "ocsf")
	for range 50 {
		write(t, s, "ecs", []sink.Record{{Body: make([]byte, 50<<10)}})
	}
	if n := c.Counts(); n.Accepted != 50 || n.Dropped == 0 || n.Waiting+n.Dropped != 50 || n.Missed != n.Dropped || s.Counts().Full != n.Dropped {
		t.Errorf("%+v, %+v", n, s.Counts())
	}
	if n := other.Counts(); n != (sink.QueueCounts{Kept: true}) {
		t.Errorf("of another format: %+v", n)
	}
}

func TestFullDropsOldest(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
	dead, half := cursor(t, s, "dead", "ecs"), cursor(t, s, "half", "ecs")
	var got []string
	var b, late, first, second sink.Batch
	write(t, s, "ecs", records(0, 100))
	half.Take(&b, limits) // never settled
	dead.Take(&first, limits)
	dead.Done(&first)
	dead.Take(&second, limits)
	dead.Return(&second, len(second.Records)) // while its segment is there
	for i := 1; i < 60; i++ {
		write(t, s, "ecs", records(i*100, i*100+100))
		switch {
		case i%2 == 0:
			got = append(got, take(t, half)...)
		case i == 57:
			half.Take(&late, limits)
			half.Return(&late, len(late.Records)) // its segment stays
		}
	}
	got = append(got, take(t, half)...)
	if n := half.Counts(); n.Accepted != 6000 || n.Dropped != 0 || int(n.Waiting) != len(late.Records) || len(got)+len(b.Records)+len(late.Records) != 6000 {
		t.Errorf("the one that keeps up: %+v, and got %d", n, len(got))
	}
	half.Return(&b, len(b.Records)) // its segment is gone
	if n := half.Counts(); int(n.Dropped) != len(b.Records) {
		t.Errorf("returned %d: %+v", len(b.Records), n)
	}
	n := dead.Counts()
	taken := len(first.Records)
	if n.Accepted != 6000 || n.Dropped == 0 || taken+int(n.Dropped+n.Waiting) != 6000 {
		t.Errorf("the one that does not: %+v", n)
	}
	wantIDs(t, take(t, dead), ids(taken+int(n.Dropped), 6000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReturnedToNothing: a batch that comes back when not one segment is left is lost.
func TestReturnedToNothing(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 20))
	var b sink.Batch
	c.Take(&b, limits)
	s.mu.Lock()
	s.seal()
	s.dropOldest()
	s.mu.Unlock()
	c.Return(&b, len(b.Records))
	if n := c.Counts(); n.Accepted != 20 || n.Dropped != 20 || n.Waiting != 0 {
		t.Errorf("%+v", n)
	}
}

// TestFullIsTold: once, what becomes of records now, and who can do something about it.
func TestFullIsTold(t *testing.T) {
	type sinks []struct {
		name     string
		attached bool
		has      string // done or taken what it can
	}
	for _, test := range []struct {
		what  string
		full  sink.Overflow
		sinks sinks
		want  string // behind the octets
	}{
		{"one waits", sink.Block, sinks{{"a", true, ""}}, "new records wait until a sink has delivered some"},
		{"one is gone", sink.Block, sinks{{"a", false, ""}}, "new records wait for a, which this run does not deliver to: end it, and deliver there or remove "},
		{"one is gone, one keeps up", sink.Block, sinks{{"a", false, ""}, {"b", true, "done"}}, "new records wait for a, which"},
		{"one keeps up, one is gone", sink.Block, sinks{{"b", true, "done"}, {"a", false, ""}}, "new records wait for a, which"},
		{"one is gone, one waits", sink.Block, sinks{{"a", false, ""}, {"b", true, ""}}, "new records wait until"},
		{"one waits, one is gone", sink.Block, sinks{{"b", true, ""}, {"a", false, ""}}, "new records wait until"},
		{"one is gone, one has not settled", sink.Block, sinks{{"a", false, ""}, {"b", true, "taken"}}, "new records wait until"},
		{"drops, one is gone", sink.DropOldest, sinks{{"a", false, ""}}, "the oldest records make room for new ones"},
	} {
		t.Run(test.what, func(t *testing.T) {
			var told []string
			s := open(t, t.TempDir(), Options{Max: MinMax, Full: test.full, Report: func(err error) { told = append(told, err.Error()) }})
			var cursors []*Cursor
			for _, k := range test.sinks {
				c := cursor(t, s, k.name, "ecs")
				c.attached = k.attached
				cursors = append(cursors, c)
			}
			s.release() // nobody waits in this test
			r := sink.Record{Body: make([]byte, 60<<10)}
			rand.NewChaCha8([32]byte{}).Read(r.Body)
			for i := range 20 {
				write(t, s, "ecs", []sink.Record{r})
				for j, k := range test.sinks {
					switch k.has {
					case "done":
						take(t, cursors[j])
					case "taken":
						cursors[j].Take(new(sink.Batch), limits)
					}
				}
				if i == 15 && len(told) != 0 {
					t.Fatalf("told too early %q", told)
				}
			}
			if len(told) != 1 {
				t.Fatalf("told %q", told)
			}
			octets := int64(0)
			rest, _ := strings.CutPrefix(told[0], "spool "+s.dir+": full, with ")
			fmt.Sscan(rest, &octets)
			_, rest, _ = strings.Cut(rest, " octets: ")
			if octets < MinMax-int64(len(r.Body))-1<<10 || octets > MinMax || !strings.HasPrefix(rest, test.want) {
				t.Errorf("told %q, want %q", told, test.want)
			}
			if strings.HasSuffix(test.want, " ") && !strings.HasSuffix(rest, test.want+cursors[0].path()) {
				t.Errorf("told %q, and not what to remove", told)
			}
		})
	}
}

// TestNobodyToTell: a spool may have nobody who hears of what happens.
func TestNobodyToTell(t *testing.T) {
	s, err := Open(t.TempDir(), Options{Max: MinMax, Full: sink.DropOldest})
	if err != nil {
		t.Fatal(err)
	}
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 3000))
	if n := c.Counts(); n.Dropped == 0 {
		t.Errorf("%+v", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestDroppedWhileRead: a full spool drops the segment that a sink is reading. What was read
// of it counts as dropped, and is not delivered as well.
func TestDroppedWhileRead(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 5))
	inMemory := s.recent // this block alone: reading has begun in memory
	write(t, s, "ecs", records(5, 10))
	write(t, s, "ecs", records(10, 500))
	s.mu.Lock()
	s.recent = inMemory
	s.mu.Unlock()
	// Opening a pipe for reading blocks until it is opened for writing.
	first, pipe := segments(t, dir)[0], filepath.Join(dir, "pipe")
	if err := errors.Join(os.Remove(first), syscall.Mkfifo(first, 0o600), os.Link(first, pipe)); err != nil {
		t.Fatal(err)
	}
	var got sink.Batch
	taken := make(chan struct{})
	go func() {
		defer close(taken)
		c.Take(&got, limits)
	}()
	time.Sleep(20 * time.Millisecond)
	next := 500
	for c.Counts().Dropped == 0 {
		write(t, s, "ecs", records(next, next+100))
		next += 100
	}
	w, err := os.OpenFile(pipe, os.O_RDWR, 0) // does not block, even if nobody reads
	if err != nil {
		t.Fatal(err)
	}
	<-taken
	w.Close()
	n := c.Counts()
	if len(got.Records) == 0 || string(got.Records[0].ID) != fmt.Sprint("id-", n.Dropped) {
		t.Fatalf("took %d records, and %d were dropped", len(got.Records), n.Dropped)
	}
	all := int(n.Dropped) + len(got.Records)
	c.Done(&got)
	wantIDs(t, take(t, c), ids(all, next))
}

// smallDisk returns the folder of one with two MiB.
func smallDisk(t *testing.T) (dir string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a disk of two MiB needs root; run the tests with sudo")
	}
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=2m", "portwatch-test", dir).CombinedOutput(); err != nil {
		t.Fatalf("mount: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("umount", "-l", dir).Run() })
	return dir
}

// TestSpareMakesRoom: on a disk that others have filled, what is no segment's goes before a
// record does, and a segment that cannot begin leaves nothing.
func TestSpareMakesRoom(t *testing.T) {
	disk := smallDisk(t)
	s, c := spare(t, filepath.Join(disk, "spool"), Options{Max: MinMax, Full: sink.DropOldest})
	f, err := os.Create(filepath.Join(disk, "others"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fill := func() {
		for block := make([]byte, 4096); err == nil; {
			_, err = f.Write(block)
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(err)
		}
		err = nil
	}
	fill()
	r := record(0)
	r.Body = make([]byte, 20<<10)
	write(t, s, "ecs", []sink.Record{r})
	if n, full := c.Counts(), s.Counts().Full; n.Dropped != 0 || full != 0 || s.spare != 0 {
		t.Errorf("%+v, %d times full, %d spare octets", n, full, s.spare)
	}
	wantIDs(t, take(t, c), ids(0, 1))
	s.mu.Lock()
	s.seal()
	s.trim()
	s.sweep()
	s.shed()
	s.mu.Unlock()
	fill()
	before := len(openFiles(t, disk))
	write(t, s, "ecs", []sink.Record{r})
	if n, full := c.Counts(), s.Counts().Full; n.Dropped != 1 || full != 1 {
		t.Errorf("%+v, %d times full", n, full)
	}
	if files := segments(t, s.dir); len(files) != 0 || len(openFiles(t, disk)) != before {
		t.Errorf("%q stay, open are %q", files, openFiles(t, disk))
	}
}

// TestDiskGetsRoom: who waits for room on a disk that others have filled goes on when they
// have made some, of which nobody tells.
func TestDiskGetsRoom(t *testing.T) {
	disk := smallDisk(t)
	var told []string
	s := open(t, filepath.Join(disk, "spool"), Options{Report: func(err error) { told = append(told, err.Error()) }})
	c := cursor(t, s, "a", "ecs")
	r := record(0)
	r.Body = make([]byte, 500<<10)
	others := filepath.Join(disk, "others")
	if err := os.WriteFile(others, make([]byte, 4<<20), 0o600); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- s.Append("ecs", []sink.Record{r}) }()
	for s.Counts().Full == 0 {
		time.Sleep(time.Millisecond)
	}
	os.Remove(others)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if want := "no space left on device: new records wait until a sink has delivered some"; len(told) != 1 || !strings.HasSuffix(told[0], want) {
		t.Errorf("told %q", told)
	}
	wantIDs(t, take(t, c), ids(0, 1))
	if n := s.Counts().Full; n != 1 {
		t.Errorf("%d times full", n)
	}
}

// TestOthersFillTheDisk: where there is nothing to drop but a new record, it is dropped at
// once, and no file is made again and again for it.
func TestOthersFillTheDisk(t *testing.T) {
	disk := smallDisk(t)
	var told []string
	o := Options{Max: 4 << 20, Full: sink.DropOldest, Report: func(err error) { told = append(told, err.Error()) }}
	s := open(t, filepath.Join(disk, "spool"), o)
	c := cursor(t, s, "a", "ecs")
	others := filepath.Join(disk, "others")
	if err := os.WriteFile(others, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	large := record(0)
	large.Body = make([]byte, 1<<20) // a little too large, and more than a segment should have
	write(t, s, "ecs", []sink.Record{large})
	if n := c.Counts(); n.Accepted != 1 || n.Dropped != 1 || n.Missed != 0 || s.last != 1 {
		t.Errorf("%+v, behind %d segments", n, s.last)
	}
	if want := "no space left on device: the oldest records make room for new ones, which are dropped where that is not enough"; len(told) != 1 || !strings.HasSuffix(told[0], want) {
		t.Errorf("told %q", told)
	}
	if info, err := os.Stat(s.segments[0].path); err != nil || info.Size() != headSize {
		t.Errorf("%d octets of what had no room stay, or %v", info.Size()-headSize, err)
	}
	os.Remove(others)
	write(t, s, "ecs", []sink.Record{large, record(1)})
	if s.last != 2 {
		t.Errorf("%d segments", s.last)
	}
	wantIDs(t, take(t, c), ids(0, 2))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestLeft: a cursor that no sink uses any more keeps its records, and is reported.
func TestLeft(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 10))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	b := cursor(t, s, "b", "ecs")
	write(t, s, "ecs", records(10, 20))
	wantIDs(t, take(t, b), ids(10, 20)) // from the middle of a segment on
	left := s.Left()
	if len(left) != 1 || left[0].Name != "a" || left[0].Format != "ecs" || left[0].Records != 20 {
		t.Fatalf("%+v", left)
	}
	if _, err := os.Stat(left[0].File); err != nil {
		t.Errorf("the file to remove: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	c := cursor(t, s, "a", "ecs")
	if left := s.Left(); len(left) != 0 {
		t.Errorf("a sink that is still there is reported: %+v", left)
	}
	wantIDs(t, take(t, c), ids(0, 20))
}

// TestLetGo: without its cursor nothing is kept for a sink, and the room is there at once.
func TestLetGo(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 3000))
	if err := errors.Join(s.Close(), os.Remove(c.path())); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{Max: MinMax, Report: func(err error) { t.Error(err) }})
	if list := segments(t, dir); len(list) != 0 {
		t.Errorf("%q stay", list)
	}
	c = cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(3000, 3400))
	if n := s.Counts().Full; n != 0 {
		t.Errorf("%d times full", n)
	}
	wantIDs(t, take(t, c), ids(3000, 3400))
}

// TestFormats: one name may have a place for each of several formats, and a sink that comes
// later begins behind what went before, also where nothing of that is left.
func TestFormats(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "a", "ecs")
	cursor(t, s, "a", "ocsf")
	write(t, s, "ecs", records(0, 30))
	write(t, s, "ocsf", records(100, 107))
	write(t, s, "ecs", records(30, 40))
	kill(s)
	s = open(t, dir, Options{})
	ecs, ocsf := cursor(t, s, "a", "ecs"), cursor(t, s, "a", "ocsf")
	for c, want := range map[*Cursor]uint64{ecs: 40, ocsf: 7} {
		if n := c.Counts(); n.Found != want || n.Waiting != want || n.Accepted != 0 || !n.Kept {
			t.Errorf("%s: %+v, want %d", c.format, n, want)
		}
	}
	wantIDs(t, take(t, ocsf), ids(100, 107))
	wantIDs(t, take(t, ecs), ids(0, 40))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{Max: MinMax})
	ecs = cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 1000)) // several segments, of which the first go
	take(t, ecs)
	write(t, s, "ecs", records(1000, 1010))
	kill(s)
	s = open(t, dir, Options{})
	ocsf = cursor(t, s, "a", "ocsf")
	write(t, s, "ocsf", records(107, 110))
	wantIDs(t, take(t, ocsf), ids(107, 110))
	take(t, cursor(t, s, "a", "ecs"))
	kill(s)
	files := make(map[string][]byte)
	for _, path := range segments(t, dir) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[path] = text
	}
	s = open(t, dir, Options{})
	cursor(t, s, "late", "ecs")
	if n := len(s.segments); n != 0 || len(files) == 0 || len(segments(t, dir)) != 0 {
		t.Fatalf("%d segments, whose files had to go: %q of %d", n, segments(t, dir), len(files))
	}
	kill(s)
	for path, text := range files { // the power went before the disk had heard of it
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s = open(t, dir, Options{})
	write(t, s, "ecs", records(200, 210))
	late := cursor(t, s, "late", "ecs")
	wantIDs(t, take(t, late), ids(200, 210))
	for _, name := range []string{"a\nb", "a\n"} {
		if _, err := s.Cursor(name, "ecs"); err == nil {
			t.Errorf("%q is a name", name)
		}
		if _, err := s.Cursor("a", name); err == nil {
			t.Errorf("%q is a format", name)
		}
	}
}

// TestRuns has runs that take a part or all, and end in either way: each goes on where the
// one before has ended, and none loses what it is told to keep.
func TestRuns(t *testing.T) {
	dir := t.TempDir()
	var got []string
	const runs = 40
	for run := range runs {
		s := open(t, dir, Options{})
		c := cursor(t, s, "a", "ecs")
		write(t, s, "ecs", records(run*20, run*20+20))
		if n := len(s.segments); n != 1 {
			t.Fatalf("run %d: %d segments", run, n)
		}
		for range run % 5 {
			var b sink.Batch
			if c.Take(&b, sink.Limits{Records: 8, Octets: 1 << 20}); len(b.Records) == 0 {
				break
			}
			for _, r := range b.Records {
				got = append(got, string(r.ID))
			}
			c.Done(&b)
		}
		if run%8 == 0 || run == runs-1 {
			got = append(got, take(t, c)...)
		}
		if run%3 == 0 {
			kill(s)
		} else if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	wantIDs(t, got, ids(0, runs*20))
}

// TestFullAfterRestart: what an earlier run has left counts towards the bound.
func TestFullAfterRestart(t *testing.T) {
	dir := t.TempDir()
	for run := range 4 {
		s := open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
		cursor(t, s, "a", "ecs")
		write(t, s, "ecs", records(run*1000, run*1000+1500))
		kill(s)
		octets := int64(0)
		for _, path := range append(segments(t, dir), s.sparePath()) {
			info, err := os.Stat(path)
			if err != nil && path != s.sparePath() {
				t.Fatal(err)
			}
			if err == nil {
				octets += info.Size()
			}
		}
		if octets > MinMax+1<<10 { // each has a begin and an end
			t.Errorf("run %d: %d octets", run, octets)
		}
	}
}

// TestIdle: a cursor with a batch that is not settled is not idle.
func TestIdle(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 5))
	if c.Idle() {
		t.Error("idle while records wait")
	}
	var b sink.Batch
	c.Take(&b, limits)
	if n, _, _ := c.Ready(); n != 0 || c.Idle() {
		t.Errorf("%d records wait, idle is %v", n, c.Idle())
	}
	c.Done(&b)
	if !c.Idle() {
		t.Error("not idle")
	}
	if cursor(t, s, "a", "ocsf"); !c.Idle() {
		t.Error("not idle beside a sink of another format")
	}
	if cursor(t, s, "b", "ecs"); c.Idle() {
		t.Error("idle beside another sink that wants the records")
	}
	c.Passed(3)
	if n := c.Counts(); n.Accepted != 5+3 || n.Waiting != 0 {
		t.Errorf("%+v", n)
	}
}

// TestChanged: who waits for records hears of them, and of the end, also when it was busy.
func TestChanged(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	c := cursor(t, s, "a", "ecs")
	changed := func() bool {
		select {
		case <-c.Changed():
			return true
		default:
			return false
		}
	}
	write(t, s, "other", records(0, 5))
	if changed() {
		t.Error("for records of another format")
	}
	write(t, s, "ecs", records(0, 5))
	write(t, s, "ecs", records(5, 10))
	if _, octets, ended := c.Ready(); !changed() || changed() || ended || octets != int64(len(record(0).Body)*10+0+1+2+3+4+5+6+7+8+9) {
		t.Errorf("records, %d octets, ended is %v", octets, ended)
	}
	c.End()
	if n, _, ended := c.Ready(); !changed() || !ended || n != 10 {
		t.Errorf("the end, with %d records, is %v", n, ended)
	}
}

// TestLostSegments is a power cut: the cursor's file is newer than what is left of the
// segments. New records must not be written before the cursor's position, nor to a file
// that is no segment.
func TestLostSegments(t *testing.T) {
	for _, size := range []int64{0, 1, headSize, 1000} {
		for _, taken := range []bool{false, true} {
			for _, whole := range []int{0, 5} { // records in a segment before
				t.Run(fmt.Sprint(size, " ", taken, " ", whole), func(t *testing.T) { lostSegments(t, size, taken, whole) })
			}
		}
	}
}

func lostSegments(t *testing.T, size int64, taken bool, whole int) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	c := cursor(t, s, "a", "ecs")
	cursor(t, s, "slow", "ecs")
	for i := range 20 {
		if i == whole {
			s.mu.Lock()
			s.seal()
			s.mu.Unlock()
		}
		write(t, s, "ecs", records(i, i+1))
	}
	if taken {
		take(t, c)
	}
	kill(s)
	files := segments(t, dir)
	if err := os.Truncate(files[len(files)-1], size); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{})
	cursor(t, s, "a", "ecs")
	rest := int(cursor(t, s, "slow", "ecs").Counts().Waiting)
	if (rest == whole) != (size <= headSize) || rest == 20 {
		t.Errorf("%d of 20 records are left", rest)
	}
	write(t, s, "ecs", records(20, 40))
	kill(s)
	s = open(t, dir, Options{})
	all := append(ids(0, rest), ids(20, 40)...)
	wantIDs(t, take(t, cursor(t, s, "slow", "ecs")), all)
	if taken {
		all = all[rest:]
	}
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), all)
}

// TestNoCursor: a cursor that cannot be made safely is none, and leaves no file open.
func TestNoCursor(t *testing.T) {
	for what, spoil := range map[string]func(path string) error{
		"no space left on device": func(path string) error { return os.Symlink("/dev/full", path+".new") },
		"invalid argument":        func(path string) error { return os.Symlink("/dev/null", path+".new") }, // it cannot be synced
		"is a directory":          func(path string) error { return os.Mkdir(path+".new", 0o700) },
		"file exists":             func(path string) error { return os.MkdirAll(filepath.Join(path, "full"), 0o700) },
	} {
		t.Run(what, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, Options{})
			if err := spoil(newCursor(s, "a", "ecs").path()); err != nil {
				t.Fatal(err)
			}
			before := len(openFiles(t, dir, "/dev/"))
			if _, err := s.Cursor("a", "ecs"); err == nil || !strings.HasPrefix(err.Error(), "spool "+dir+": ") || !strings.Contains(err.Error(), ": "+what) ||
				what != "file exists" && !strings.HasPrefix(err.Error(), "spool "+dir+": "+what) {
				t.Errorf("%v", err)
			}
			if n := len(openFiles(t, dir, "/dev/")); n != before || len(s.cursors) != 0 {
				t.Errorf("%d files open, and %d before; %d cursors", n, before, len(s.cursors))
			}
		})
	}
}

// TestTornPlace: a cursor's newest place that is not whole leaves the one before, from its
// first run on.
func TestTornPlace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "slow", "ecs")
	write(t, s, "ecs", records(0, 10))
	if err := os.WriteFile(newCursor(s, "a", "ecs").path()+".new", make([]byte, 1000), 0o600); err != nil { // of one who was killed
		t.Fatal(err)
	}
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(10, 100))
	before, err := os.ReadFile(c.path())
	if err != nil {
		t.Fatal(err)
	}
	for done := 10; done < 80; {
		var b sink.Batch
		c.Take(&b, limits)
		c.Done(&b)
		kill(s)
		text, err := os.ReadFile(c.path())
		if err != nil {
			t.Fatal(err)
		}
		torn := bytes.Clone(text)
		for i := range torn {
			if torn[i] != before[i] {
				torn[i] ^= 1
				break
			}
		}
		if err := os.WriteFile(c.path(), torn, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{})
		wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(done, 100))
		kill(s)
		if err := os.WriteFile(c.path(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{})
		c = cursor(t, s, "a", "ecs")
		before = text
		done += len(b.Records)
	}
}

// TestPlaceInside: a cursor whose place lies where no record begins gets all of that block.
func TestPlaceInside(t *testing.T) {
	for _, inside := range []uint32{0, 7, 1 << 20} {
		dir := t.TempDir()
		s := open(t, dir, Options{})
		c := cursor(t, s, "a", "ecs")
		write(t, s, "ecs", records(0, 10))
		place := s.recent[0].place
		write(t, s, "ecs", records(10, 20))
		kill(s)
		place.inside = inside
		text := fmt.Appendf(appendSlot(appendSlot(nil, place), place), "a\necs\n")
		if err := os.WriteFile(c.path(), text, 0o600); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir, Options{})
		c = cursor(t, s, "a", "ecs")
		if n := c.Counts(); n.Found != 20 || n.Waiting != 20 {
			t.Errorf("%d octets into the block: %+v", inside, n)
		}
		wantIDs(t, take(t, c), ids(0, 20))
	}
}

// TestPlaceInTheEnd: a place that could not be written comes to the file in the end.
func TestPlaceInTheEnd(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 50))
	var b sink.Batch
	c.Take(&b, limits)
	file := c.file
	var err error
	if c.file, err = os.OpenFile("/dev/full", os.O_WRONLY, 0); err != nil {
		t.Fatal(err)
	}
	c.Done(&b)
	c.file.Close()
	c.file = file
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v", err)
	}
	s = open(t, dir, Options{})
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(len(b.Records), 50))
}

func TestDamagedCursor(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 50))
	var first, second sink.Batch
	c.Take(&first, limits)
	c.Take(&second, limits)
	c.Done(&first)
	c.Done(&second)
	kill(s)
	text, err := os.ReadFile(c.path())
	if err != nil {
		t.Fatal(err)
	}
	newer := 0
	if string(text[:slotSize]) < string(text[slotSize:2*slotSize]) {
		newer = slotSize
	}
	whole := bytes.Clone(text)
	text[newer+3] ^= 1
	if err := os.WriteFile(c.path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, Options{}) // the older position: the second batch comes again
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(len(first.Records), 50))
	kill(s)
	text[slotSize-newer+3] ^= 1
	if err := os.WriteFile(c.path(), text, 0o600); err != nil {
		t.Fatal(err)
	}
	longer := append(bytes.Clone(whole), 'x')
	for size := range len(longer) + 1 {
		damaged := longer[:size]
		if size == len(whole) {
			damaged = text // neither position is whole
		}
		if err := os.WriteFile(c.path(), damaged, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "damaged: without this file") {
			t.Errorf("%d octets: %v", size, err)
		}
	}
	another := filepath.Join(dir, "ff"+cursorSuffix)
	if err := errors.Join(os.WriteFile(c.path(), whole, 0o600), os.WriteFile(another, whole, 0o600)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "ff.cursor: damaged") {
		t.Errorf("two files of one cursor: %v", err)
	}
	if files := openFiles(t, dir); len(files) != 0 {
		t.Errorf("open are %q", files)
	}
}

func TestParse(t *testing.T) {
	dir, o, err := Parse("/var/spool/x?max=100MiB&full=drop-oldest")
	if dir != "/var/spool/x" || o.Max != 100<<20 || o.Full != sink.DropOldest || err != nil {
		t.Errorf("%s %+v %v", dir, o, err)
	}
	for max, segment := range map[string]int64{"1MiB": 64 << 10, "512MiB": 32 << 20, "1GiB": 64 << 20, "16GiB": 64 << 20} {
		_, o, err := Parse("x?max=" + max)
		if err != nil {
			t.Errorf("%s: %v", max, err)
		}
		if s := open(t, t.TempDir(), o); s.segment != segment {
			t.Errorf("%s: a segment of %d octets, want %d", max, s.segment, segment)
		}
	}
	for text, want := range map[string]string{
		"": "folder", "?max=1GiB": "folder", "x?max=1KiB": "at least", "x?max=1048575": "at least", "x?full=maybe": "full",
		"x?min=3": "min", "x?max=%zz": "question mark", "?max=1KiB&full=maybe": "full",
	} {
		if _, _, err := Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, and nothing of %q", text, err, want)
		}
	}
}

func TestTooLarge(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	const longest = 1<<16 - 1 // of an ID and of a key
	for _, test := range []struct {
		format string
		record sink.Record
		want   error
	}{
		{"ecs", sink.Record{Body: make([]byte, maxEntry)}, errTooLarge},
		{"ecs", sink.Record{ID: make([]byte, longest+1)}, errTooLarge},
		{"ecs", sink.Record{Key: make([]byte, longest+1)}, errTooLarge},
		{strings.Repeat("f", 256), sink.Record{}, errTooLarge},
		{strings.Repeat("f", 255), sink.Record{ID: make([]byte, longest), Key: make([]byte, longest)}, nil},
	} {
		if err := s.Append(test.format, []sink.Record{test.record}); !errors.Is(err, test.want) {
			t.Errorf("%d, %d, %d and %d octets: %v", len(test.format), len(test.record.ID), len(test.record.Key), len(test.record.Body), err)
		}
	}
	if err := s.Append("ecs", []sink.Record{{Body: make([]byte, maxEntry-100)}}); err != nil {
		t.Errorf("%v", err)
	}
}

// TestBadHead has heads with impossible values and a correct checksum.
func TestBadHead(t *testing.T) {
	for _, test := range []struct {
		size, says int
		format     byte
		want       error
	}{
		{0, 0, 0, errDamaged}, {fixedHead - 1, fixedHead - 1, 0, errDamaged}, {fixedHead, fixedHead, 1, errDamaged},
		{fixedHead, maxBlock + 1, 0, errDamaged}, {fixedHead, maxBlock, 0, errShort}, {fixedHead, fixedHead, 0, nil},
	} {
		head := make([]byte, prefix+fixedHead)
		binary.LittleEndian.PutUint32(head[4:], uint32(test.says))
		head[prefix+fixedHead-1] = test.format
		b := append(head[:prefix+test.size], end[:]...)
		sign(b, 1)
		if _, err := parseBlock(b[:prefix+test.size], 1); err != test.want {
			t.Errorf("%+v: %v", test, err)
		}
	}
	k := newBlock("ecs", 0)
	r := record(1)
	k.add(&r)
	out := k.form(plain, nil)
	sign(out, 1)
	for number, want := range map[uint32]error{1: nil, 2: errDamaged} { // of the file's earlier life
		if _, err := parseBlock(out, number); err != want {
			t.Errorf("a block of segment 1 in segment %d: %v", number, err)
		}
	}
	for inside, want := range map[int]error{len(k.data): nil, len(k.data) + 1: errDamaged} {
		if sum, err := k.behind(uint32(inside)); sum != (tally{}) || err != want {
			t.Errorf("from %d of %d octets: %v, %v", inside, len(k.data), sum, err)
		}
	}
}

// FuzzScan damages a segment in one place: a block comes back as it was or not at
// all, and every block before the damage does.
func FuzzScan(f *testing.F) {
	segment := []byte(magic)
	var ends []int64
	var entries [][]byte
	for i := range 8 {
		k := newBlock("ecs", 0)
		for j := range 3 {
			r := record(i*37 + j)
			k.add(&r)
		}
		out := k.form(byte(i%2), nil)
		sign(out, 1)
		segment = append(segment, out[:k.size]...)
		ends = append(ends, int64(len(segment)))
		entries = append(entries, k.data)
	}
	f.Add(uint16(0), uint16(0), []byte{})
	f.Add(uint16(3), uint16(2), []byte("xx"))
	f.Add(uint16(8), uint16(8), []byte("\xff\xff\xff\xff\xff\xff\xff\xff"))
	f.Add(uint16(12), uint16(4), []byte{0, 0, 0, 0})
	f.Add(uint16(300), uint16(65535), []byte{})
	f.Add(uint16(ends[2]), uint16(0), segment[headSize:ends[0]])
	f.Fuzz(func(t *testing.T, from, cut uint16, put []byte) {
		begin := min(int(from), len(segment))
		end := min(begin+int(cut), len(segment))
		damaged := slices.Concat(segment[:begin], put, segment[end:])
		var got [][]byte
		last, _, err := scan(bytes.NewReader(damaged), int64(len(damaged)), 1, func(offset int64, p *packed) {
			k, err := p.unpack(at(1, offset))
			if err != nil {
				t.Fatalf("a block with the right checksum at %d: %v", offset, err)
			}
			got = append(got, bytes.Clone(k.data))
			k.release()
		})
		if err != nil && err != errEarlier {
			t.Fatalf("an error of reading what is in memory: %v", err)
		}
		if last > int64(len(damaged)) {
			t.Fatalf("the end is at %d of %d", last, len(damaged))
		}
		for i, at := range ends {
			if at > int64(begin) {
				break
			}
			if i >= len(got) || !bytes.Equal(got[i], entries[i]) {
				t.Fatalf("block %d was whole before the damage at %d, and did not come back", i, begin)
			}
		}
	})
}

// FuzzUnpack unpacks a block with a correct checksum that the spool did not write: it is
// damaged, or has as many records as it claims.
func FuzzUnpack(f *testing.F) {
	k := newBlock("ecs", 0)
	for i := range 5 {
		r := record(i * 100)
		k.add(&r)
	}
	f.Add(uint32(k.records), uint32(k.octets), k.data, true)
	f.Add(uint32(4), uint32(k.octets), k.data, true)
	f.Add(uint32(1), uint32(0), k.data[:fixedEntry], true)
	f.Add(uint32(1), uint32(0), k.data[:fixedEntry-1], true)
	f.Add(uint32(k.records), uint32(k.octets), k.data[:len(k.data)-1], true)
	f.Add(uint32(0), uint32(0), []byte{}, true)
	f.Add(uint32(5), uint32(5), []byte("\xff\xff\xff\xff\x0f"), false) // 4 GiB, it says
	f.Fuzz(func(t *testing.T, records, octets uint32, entries []byte, pack bool) {
		p := packed{size: 1, stored: packedS2, format: []byte("ecs"), tally: tally{int64(records), int64(octets)}, entries: entries}
		if pack {
			p.entries = s2.Encode(nil, entries)
		}
		k, err := p.unpack(at(1, headSize))
		if err != nil {
			if err != errDamaged || k != nil {
				t.Fatalf("%v, %v", k, err)
			}
			return
		}
		n := 0
		for data := k.data; len(data) > 0; n++ {
			_, octets, err := parseEntry(data)
			if err != nil {
				t.Fatal(err)
			}
			data = data[octets:]
		}
		if n != int(records) {
			t.Fatalf("%d records, and it says %d", n, records)
		}
		k.release()
	})
}

// TestSpare: the file of a segment that all have passed is the next one. What it had
// before never comes back, and is nothing that was cut; a full segment ends with its last block.
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
			t.Fatal("no file was used again")
		}
	}
	write(t, s, "ecs", records(next, next+2))
	size, path := s.unsealed().size, s.unsealed().path
	if info, err := os.Stat(path); err != nil || info.Size() <= size+int64(len(end)) {
		t.Fatalf("%v, %v: nothing is behind its %d octets", info, err, size)
	}
	if err := stop(s); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || exact && info.Size() != size {
		t.Errorf("%d octets behind the last block, %v", info.Size()-size, err)
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

// TestSegments: those that will soon be gone are small, others are not.
func TestSegments(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	cursor(t, s, "a", "ecs")
	r := sink.Record{Body: make([]byte, 500<<10)}
	rand.NewChaCha8([32]byte{}).Read(r.Body) // does not become smaller
	for range 2 * (recentSize - 16<<20) / len(r.Body) {
		write(t, s, "ecs", []sink.Record{r})
	}
	large := 0
	for i, g := range s.segments {
		switch {
		case g.size > briefSegment:
			large++
		case g.size < briefSegment-1<<20 && i < len(s.segments)-1:
			t.Errorf("%d octets are a segment", g.size)
		}
	}
	memory := int64(0)
	for _, k := range s.recent {
		memory += int64(cap(k.buf))
	}
	if memory != s.held || memory > recentSize || memory < recentSize*3/4 {
		t.Errorf("%d octets are in memory, of which it knows %d", memory, s.held)
	}
	if n := len(s.segments); n < lagging/briefSegment || n > 2+lagging/briefSegment || large != 1 {
		t.Errorf("%d segments, %d of them large", n, large)
	}
}

// TestEarlierForm: a spool of the form before is refused, and stays as it is.
func TestEarlierForm(t *testing.T) {
	for name, text := range map[string]string{
		"0000000001.segment":      "pwspool1\x12\x34\x56\x78 and so on",
		"d1c1a5bd0c4fe6d5.cursor": "00000000004294967304 5a8d3b4c\n00000000004294967304 5a8d3b4c\na\necs\n",
	} {
		dir := t.TempDir()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(dir, Options{}); !errors.Is(err, errEarlier) {
			t.Errorf("%s: %v", name, err)
		}
		if now, err := os.ReadFile(path); string(now) != text {
			t.Errorf("%s is now %q, %v", name, now, err)
		}
	}
}

// TestRemovedSegmentsTakeNoRoom: no removed file is kept open, which would keep its
// octets on a full disk.
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

// spare makes a spool whose next segment has a file already, and whose active one has not
// come to be like that.
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

// TestSpareTakesRoom: what is full has not more on the disk than it may, and what is not is
// not told to be.
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
			t.Errorf("%d octets of room, in all: %+v", room, n)
		}
	}
}

// TestNoSpare: the file of a small segment is not worth keeping, and beside segments that
// have half of the size there is no room for one.
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
			t.Errorf("a spare file stays in the end: %v", err)
		}
	}
}

// TestShed: what is no segment's goes once.
func TestShed(t *testing.T) {
	s := open(t, t.TempDir(), Options{Max: MinMax})
	c := cursor(t, s, "a", "ecs")
	for next := 0; s.tail == 0; next += 20 {
		write(t, s, "ecs", records(next, next+20))
		take(t, c)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spare = 0 // what is behind the active segment goes alone, too
	if first, second := s.shed(), s.shed(); !first || second {
		t.Errorf("%v, then %v", first, second)
	}
	if info, err := os.Stat(s.unsealed().path); err != nil || info.Size() != s.unsealed().size {
		t.Errorf("%d octets stay, or %v", info.Size()-s.unsealed().size, err)
	}
}

// TestNewFile: the spare file is used once, and one that is not there or cannot be moved is
// none. What fails leaves nothing behind.
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

// TestKilledBeforeTheFirstBlock: what a file had in its earlier life is nothing that was cut.
func TestKilledBeforeTheFirstBlock(t *testing.T) {
	dir := t.TempDir()
	s, _ := spare(t, dir, Options{Max: MinMax})
	f, err := s.newFile(segmentPath(dir, s.last+1))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() < s.segment/2 {
		t.Fatalf("it has no earlier life: %v, %v", info.Size(), err)
	}
	f.Close()
	kill(s)
	s = open(t, dir, Options{Max: MinMax})
	if n := s.Counts().CutOctets; n != 0 {
		t.Errorf("%d octets were cut", n)
	}
	write(t, s, "ecs", records(0, 20))
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(0, 20))
}

// TestLargeBehindAKill: an empty spool takes a record that is larger than all that it may have, also
// where it has a segment in which nothing was written yet.
func TestLargeBehindAKill(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
	cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 20))
	f, err := s.newFile(segmentPath(dir, s.last+1))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	kill(s)
	s = open(t, dir, Options{Max: MinMax, Full: sink.DropOldest})
	c := cursor(t, s, "a", "ecs")
	wantIDs(t, take(t, c), ids(0, 20))
	large := record(20)
	large.Body = make([]byte, 2*MinMax)
	write(t, s, "ecs", []sink.Record{large})
	wantIDs(t, take(t, c), ids(20, 21))
	if n := c.Counts(); n.Dropped != 0 {
		t.Errorf("%+v", n)
	}
}

// TestFailedWrites: what fails in the background, and what is no want of room, ends the
// run, and is told in the end.
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
		append error // that comes next
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
		}, nil, syscall.EINVAL, ""}, // it cannot be synced either
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
			c.Take(&b, limits) // both go with it
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

// TestSynced: at the end every segment that is left is brought to the disk, whichever run
// has written it. One that is not there any more cannot be, which tells that it was tried.
func TestSynced(t *testing.T) {
	for _, test := range []struct {
		what          string
		before, after int // records of a run that was killed, and of the next one
		file          int // that is lost
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
				t.Errorf("%d of %d files is lost: %v", test.file, len(files), err)
			}
		})
	}
}

// TestSync: a segment is on the disk when its file and the folder are, and one that was
// removed need not be.
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

// TestEmptyEnd: a spool that has nothing ends with its folder on the disk.
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

// TestBare: what several files of the folder suffer alike is said once.
func TestBare(t *testing.T) {
	gone := func(name string) error { return &os.PathError{Op: "open", Path: name, Err: os.ErrNotExist} }
	err := bare(errors.Join(errors.Join(gone("a"), io.ErrShortWrite), gone("b")))
	if got, want := err.Error(), "file does not exist\nshort write"; got != want || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q, want %q", got, want)
	}
}
