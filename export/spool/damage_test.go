package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/klauspost/compress/s2"
	"github.com/portwatch/portwatch/export/sink"
)

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
			t.Errorf("%d octets after the whole blocks stay, or %v", info.Size()-int64(len(whole)), err)
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

// TestCut: what is cut off after the whole blocks of several segments is reported for each
// segment, and counted in total.
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
		if err := os.WriteFile(path, text[:len(text)-1-i], 0o600); err != nil { // a part of the end mark
			t.Fatal(err)
		}
	}
	var told []string
	s = open(t, dir, Options{Max: MinMax, Report: func(err error) { told = append(told, err.Error()) }})
	if n := s.Counts().CutOctets; n != 7+6+5 || len(told) != 3 || told[2] != fmt.Sprintf("spool %s: cut 5 octets of incomplete records from 0000000003.segment", dir) {
		t.Errorf("%d octets were cut, reported %q", n, told)
	}
	wantIDs(t, take(t, cursor(t, s, "a", "ecs")), ids(0, 500))
}

// TestDamage changes an octet in the middle of the first segment of several, before the
// spool is opened and while it is open, or cuts or removes that file: what is whole before
// the damage and in other segments comes, and the rest is counted.
func TestDamage(t *testing.T) {
	for when, why := range map[string]string{"before": "incomplete", "while": "damaged", "cut": "unexpected EOF", "gone": "no such file"} {
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
				t.Errorf("the records before the damage did not come")
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

// TestTooManyFiles: a segment that cannot be opened because too many files are open is not
// damaged, and none of its records are lost.
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

// TestLessThanCounted: records that were counted but are not there are lost, and nobody waits
// for them.
func TestLessThanCounted(t *testing.T) {
	var told []string
	s := open(t, t.TempDir(), Options{Report: func(err error) { told = append(told, err.Error()) }})
	c := cursor(t, s, "a", "ecs")
	write(t, s, "ecs", records(0, 20))
	s.trim() // which moves the cursor into the segment
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
	want := fmt.Sprintf("spool %s: read 0000000001.segment: damaged: 3 records for a are lost", s.dir)
	if n := c.Counts(); n.Dropped != 3 || len(told) != 1 || told[0] != want {
		t.Errorf("%+v, told %q, want %q", n, told, want)
	}
}

// A badDisk cannot read what follows its first octets.
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

// TestUnreadable: a read error in Open is not damage, for which the segment would be cut;
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
	another := filepath.Join(dir, "ff"+cursorSuffix) // after the other one
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

// TestNoCursor: a cursor that cannot be safely created does not exist, and leaves no file open.
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

// TestTornPlace: if a cursor's newest place is incomplete, the one before it counts, from the
// first run on.
func TestTornPlace(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	cursor(t, s, "slow", "ecs")
	write(t, s, "ecs", records(0, 10))
	if err := os.WriteFile(newCursor(s, "a", "ecs").path()+".new", make([]byte, 1000), 0o600); err != nil { // left by a run that was killed
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

// TestPlaceInTheEnd: Close writes a place that could not be written before.
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
		if _, err := Open(dir, Options{}); err == nil || !strings.Contains(err.Error(), "damaged: if this file is removed") {
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
	for number, want := range map[uint32]error{1: nil, 2: errDamaged} { // from an earlier use of the file
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
	f.Add(uint32(5), uint32(5), []byte("\xff\xff\xff\xff\x0f"), false) // it claims 4 GiB
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
			t.Fatalf("%d records, but the block claims %d", n, records)
		}
		k.release()
	})
}

// TestEarlierForm: a spool in the earlier format is refused, and stays as it is.
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

// TestKilledBeforeTheFirstBlock: what is left from an earlier use of a file does not count as
// cut off.
func TestKilledBeforeTheFirstBlock(t *testing.T) {
	dir := t.TempDir()
	s, _ := spare(t, dir, Options{Max: MinMax})
	f, err := s.newFile(segmentPath(dir, s.last+1))
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() < s.segment/2 {
		t.Fatalf("the file was not used before: %v octets, %v", info.Size(), err)
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
