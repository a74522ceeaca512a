package spool

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/portwatch/portwatch/export/sink"
)

// TestFullBlocks: Append waits until records were taken, and none are taken before the spool
// is full.
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
			t.Fatalf("all records were appended, but the spool was never full: %v", err)
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
	dead.Return(&second, len(second.Records)) // while its segment is still there
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
		t.Errorf("the sink that keeps up: %+v, and got %d", n, len(got))
	}
	half.Return(&b, len(b.Records)) // its segment is gone
	if n := half.Counts(); int(n.Dropped) != len(b.Records) {
		t.Errorf("returned %d: %+v", len(b.Records), n)
	}
	n := dead.Counts()
	taken := len(first.Records)
	if n.Accepted != 6000 || n.Dropped == 0 || taken+int(n.Dropped+n.Waiting) != 6000 {
		t.Errorf("the sink that does not: %+v", n)
	}
	wantIDs(t, take(t, dead), ids(taken+int(n.Dropped), 6000))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestReturnedToNothing: a batch that is returned when no segment is left is lost.
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

// TestFullIsTold: a full spool reports once what happens to records now, and what to do.
func TestFullIsTold(t *testing.T) {
	type sinks []struct {
		name     string
		attached bool
		has      string // "done" or "taken": what it does with all that it can get
	}
	for _, test := range []struct {
		what  string
		full  sink.Overflow
		sinks sinks
		want  string // after the octets
	}{
		{"one waits", sink.Block, sinks{{"a", true, ""}}, "new records wait until a sink has delivered some"},
		{"one is gone", sink.Block, sinks{{"a", false, ""}}, "new records wait for a, which this run does not deliver to: stop this run, and then start one that does or remove "},
		{"one is gone, one keeps up", sink.Block, sinks{{"a", false, ""}, {"b", true, "done"}}, "new records wait for a, which"},
		{"one keeps up, one is gone", sink.Block, sinks{{"b", true, "done"}, {"a", false, ""}}, "new records wait for a, which"},
		{"one is gone, one waits", sink.Block, sinks{{"a", false, ""}, {"b", true, ""}}, "new records wait until"},
		{"one waits, one is gone", sink.Block, sinks{{"b", true, ""}, {"a", false, ""}}, "new records wait until"},
		{"one is gone, one has not settled", sink.Block, sinks{{"a", false, ""}, {"b", true, "taken"}}, "new records wait until"},
		{"drops, one is gone", sink.DropOldest, sinks{{"a", false, ""}}, "the oldest records are dropped to make room for new ones"},
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
					t.Fatalf("reported too early: %q", told)
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
				t.Errorf("reported %q, want the file to remove at its end", told)
			}
		})
	}
}

// TestNobodyToTell: a spool works without Report.
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

// smallDisk returns the folder of a disk of two MiB.
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

// TestSpareMakesRoom: on a disk that something else has filled, what belongs to no segment is
// freed before a record is dropped, and a segment that cannot be begun leaves nothing behind.
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

// TestDiskGetsRoom: Append, waiting for room on a disk that something else has filled, goes on
// when there is some, without being told.
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

// TestOthersFillTheDisk: if there is nothing to drop but a new record, it is dropped at once,
// and files are not made for it again and again.
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
		t.Errorf("%+v, after %d segments", n, s.last)
	}
	if want := "no space left on device: the oldest records are dropped to make room for new ones, and the new ones too if that is not enough"; len(told) != 1 || !strings.HasSuffix(told[0], want) {
		t.Errorf("told %q", told)
	}
	if info, err := os.Stat(s.segments[0].path); err != nil || info.Size() != headSize {
		t.Errorf("%d octets of the dropped record stay, or %v", info.Size()-headSize, err)
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
		if octets > MinMax+1<<10 { // each file has a head and an end mark
			t.Errorf("run %d: %d octets", run, octets)
		}
	}
}

// TestLargeBehindAKill: an empty spool takes a record that is larger than the spool may be, even
// if it has a segment to which nothing was written yet.
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
