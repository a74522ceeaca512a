package spool

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

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

// abandon kills a spool whose folder is not looked at afterwards.
func abandon(s *Spool) {
	s.mu.Lock()
	for _, g := range s.segments {
		g.gone = true // so that no time is spent on syncing it
	}
	s.mu.Unlock()
	kill(s)
}

// kill leaves the spool as a killed process does.
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

// record returns a record that has everything an entry can have, made from its number.
// Compression does not make it much smaller.
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

// take takes everything that waits and returns the ids, in order.
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
	t.Errorf("got %d records, want %d; the first %d are right, then got %q, want %q", len(got), len(want), same, few(got), few(want))
}

func segments(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "*"+segmentSuffix))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestWholeRecordsComeBack takes batches that are smaller than blocks, and larger ones,
// from memory and from the disk.
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
		for i := range b.Records { // they belong to the batch until Done
			r := &b.Records[i]
			if cap(r.ID) > len(r.ID) || cap(r.Key) > len(r.Key) || cap(r.Body) > len(r.Body) {
				t.Error("appending to a record would overwrite the next one")
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
		t.Errorf("%d records came back, but not as they were", len(got))
	}
}

// TestLargeBlocks reads blocks from the disk that cross the end of what is read at once,
// and blocks that are larger than that.
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
	s = open(t, t.TempDir(), Options{Max: MinMax}) // one block is larger than the spool may be
	c = cursor(t, s, "a", "ecs")
	for i := range 3 {
		r := record(i)
		r.Body = make([]byte, 2*MinMax)
		write(t, s, "ecs", []sink.Record{r})
		wantIDs(t, take(t, c), ids(i, i+1))
	}
}

// TestBlocksAreGivenBack: the memory of records is reused as soon as nobody uses them.
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

// TestManyAtOnce: many records appended at once make no block too large to be read at once.
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

// TestCursors has a fast sink, a slow one, one of another format, and one that comes
// later: each gets its own records, and segments are removed when the last has passed.
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
	write(t, s, "ocsf", records(1010, 1020)) // after what the others have taken
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

// TestUnsettledStays: the segment of a batch that is not settled stays, however many later
// ones are settled.
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

func TestOnlyOneProcess(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrInUse) || err.Error() != fmt.Sprintf("open spool %s: %v", dir, ErrInUse) {
		t.Errorf("%v", err)
	}
	if files := openFiles(t, dir); len(files) != 1 { // those of the spool that is in use
		t.Errorf("open are %q", files)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	open(t, dir, Options{})
}

// openFiles returns the files of some folders that this process has open.
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

// TestPrivate: only the owner may read what is in the spool.
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

// TestLetGo: without its cursor's file nothing is kept for a sink, and there is room at once.
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
// later begins after all earlier records, even if none of them is left.
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
	write(t, s, "ecs", records(0, 1000)) // several segments, and the first ones are removed
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
		t.Fatalf("%d segments, want none; files are %q, of %d before", n, segments(t, dir), len(files))
	}
	kill(s)
	for path, text := range files { // as after a power cut before their removal reached the disk
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
			t.Errorf("name %q is accepted", name)
		}
		if _, err := s.Cursor("a", name); err == nil {
			t.Errorf("format %q is accepted", name)
		}
	}
}

// TestRuns has runs that take some records or all, and are closed or killed: each goes on
// where the one before ended, and none loses what it is to keep.
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

// TestChanged: a sink that waits hears of new records and of the end, even if it was busy.
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
