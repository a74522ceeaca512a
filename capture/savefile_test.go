package capture

import (
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// save writes frames to a new file and returns its name.
func save(t *testing.T, frames ...Frame) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "saved")
	s, err := NewSaver(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := range frames {
		if err := s.Write(&frames[i]); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return name
}

// ether is a frame of Ethernet at a time.
func ether(time int64, n int) Frame {
	return Frame{Data: payload(int(time&7), n), Time: time, Length: uint32(2 * n), Link: LinkEthernet}
}

// What is saved reads back the same, and is pcap as long as that will do.
func TestSaver(t *testing.T) {
	cooked := ether(1700000000_000000003, 70)
	cooked.Link = LinkLinuxSLL2
	checked := ether(1700000000_000000004, 70)
	checked.FCS = 4
	timeless := Frame{Data: payload(5, 33), Length: 33, Timeless: true, Link: LinkEthernet}
	cutTimeless := Frame{Data: payload(5, 33), Length: 99, Timeless: true, Link: LinkRaw}
	first, second := ether(1700000000_000000001, 60), ether(1600000000_999999999, 0)
	for _, test := range []struct {
		name   string
		frames []Frame
		pcapng bool
	}{
		{"nothing", nil, false},
		{"one link type", []Frame{first, second}, false},
		{"beyond 8 bits", []Frame{cooked}, false},
		{"frame check sequence", []Frame{checked, checked}, false},
		{"two link types", []Frame{first, second, cooked, first}, true},
		{"with and without frame check sequence", []Frame{first, checked, first}, true},
		{"no time", []Frame{timeless}, true},
		{"no time and cut", []Frame{first, cutTimeless, timeless, first, cooked, timeless}, true},
		{"before 1970", []Frame{first, ether(-1, 9), ether(-1e9, 9), ether(math.MinInt64, 9), first}, true},
		{"after 2106", []Frame{ether(1e9<<32-1, 9), ether(1e9<<32, 9), ether(math.MaxInt64, 9)}, true},
	} {
		name := save(t, test.frames...)
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got := mustRead(t, data)
		for i := range got {
			got[i].Interface = 0
		}
		if !sameFrames(got, test.frames) {
			t.Errorf("%s:\n got  %+v\n want %+v", test.name, got, test.frames)
		}
		if isPcapng(data) != test.pcapng {
			t.Errorf("%s: pcapng is %v", test.name, isPcapng(data))
		}
		judge(t, test.name, name, test.frames)
		if left, _ := filepath.Glob(name + "*"); len(left) != 1 {
			t.Errorf("%s: files left: %v", test.name, left)
		}
	}
}

// The length of a frame check sequence is octets in pairs in pcap, and bits in pcapng.
func TestSaverFrameCheckSequence(t *testing.T) {
	checked, cooked := ether(1700000000_000000000, 64), ether(1700000000_000000001, 64)
	checked.FCS, cooked.Link = 4, LinkLinuxSLL2
	for _, test := range []struct {
		frames []Frame
		want   string
	}{
		{[]Frame{checked}, "\x01\x00\x00\x24"},
		{[]Frame{checked, cooked}, "\x0d\x00\x01\x00\x20\x00\x00\x00"},
	} {
		data, err := os.ReadFile(save(t, test.frames...))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(data[:128]), test.want) {
			t.Errorf("% x is not in % x", test.want, data[:128])
		}
	}
}

// judge asks tshark what it reads in a file.
func judge(t *testing.T, test, name string, want []Frame) {
	t.Helper()
	if _, err := exec.LookPath("tshark"); err != nil {
		t.Logf("NOT JUDGED: %v", err)
		return
	}
	var complaints strings.Builder
	cmd := exec.Command("tshark", "-n", "-r", name, "-T", "fields", "-e", "frame.len", "-e", "frame.cap_len", "-e", "frame.time_epoch")
	cmd.Stderr = &complaints
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("%s: tshark: %v: %s", test, err, complaints.String())
		return
	}
	lines := strings.Split(strings.TrimSuffix(string(out), "\n"), "\n")
	if len(want) == 0 {
		lines = lines[1:]
	}
	if len(lines) != len(want) {
		t.Errorf("%s: tshark reads %d packets of %d", test, len(lines), len(want))
		return
	}
	for i, line := range lines {
		fields := strings.Split(line, "\t")
		f := want[i]
		if fields[0] != strconv.Itoa(int(f.Length)) || fields[1] != strconv.Itoa(len(f.Data)) {
			t.Errorf("%s: packet %d: tshark reads %s", test, i+1, line)
		}
		if f.Timeless != (fields[2] == "") {
			t.Errorf("%s: packet %d: tshark has the time %q", test, i+1, fields[2])
		}
		if f.Timeless || f.Time < 0 {
			continue // tshark writes negative times in more than one way
		}
		nanoseconds := strings.Replace(fields[2], ".", "", 1)
		if nanoseconds != strconv.FormatInt(f.Time, 10) {
			t.Errorf("%s: packet %d: tshark has the time %s, not %d", test, i+1, nanoseconds, f.Time)
		}
	}
}

// A file keeps its mode and its place behind a link when it becomes pcapng.
func TestSaverRewritesInPlace(t *testing.T) {
	dir := t.TempDir()
	name, link := filepath.Join(dir, "x.pcap"), filepath.Join(dir, "link.pcap")
	if err := errors.Join(os.WriteFile(name, []byte("old"), 0o640), os.Symlink("x.pcap", link)); err != nil {
		t.Fatal(err)
	}
	s, err := NewSaver(link)
	if err != nil {
		t.Fatal(err)
	}
	a, b := ether(1, 5), ether(2, 5)
	b.Link = LinkRaw
	if err := errors.Join(s.Write(&a), s.Write(&b), s.Close()); err != nil {
		t.Fatal(err)
	}
	data, _ := os.ReadFile(name)
	if got := mustRead(t, data); len(got) != 2 || !isPcapng(data) {
		t.Errorf("%d frames", len(got))
	}
	info, err := os.Lstat(name)
	if err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v", err)
	}
}

// An error names the file that was asked for, even after a conversion, when the file was
// created under another name.
func TestSaverNamesItsFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcap")
	a, b := ether(1, 5), ether(2, 5)
	b.Link = LinkRaw
	for _, frames := range [][]Frame{{a}, {a, b}} {
		s, err := NewSaver(name)
		if err != nil {
			t.Fatal(err)
		}
		for i := range frames {
			err = errors.Join(err, s.Write(&frames[i]))
		}
		if err = errors.Join(err, s.file.Close()); err != nil {
			t.Fatal(err)
		}
		want := "write " + name + ": file already closed"
		if err := s.Flush(); err == nil || err.Error() != want {
			t.Errorf("%d frames: flush: %v, want %s", len(frames), err, want)
		}
		want += "\nclose " + name + ": file already closed"
		if err := s.Close(); err == nil || err.Error() != want {
			t.Errorf("%d frames: close: %v, want %s", len(frames), err, want)
		}
	}
}

// saverToPipe gives what comes through the pipe when the Saver is closed.
func saverToPipe(t *testing.T) (s *Saver, name string, got chan []byte) {
	t.Helper()
	name = filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	got = make(chan []byte)
	go func() {
		r, _ := os.Open(name)
		data, _ := io.ReadAll(r)
		got <- data
	}()
	s, err := NewSaver(name)
	if err != nil {
		t.Fatal(err)
	}
	return s, name, got
}

// Through a pipe, too, what pcap cannot hold from the beginning is pcapng.
func TestSaverToPipeBeginsAsPcapng(t *testing.T) {
	s, _, got := saverToPipe(t)
	timeless := Frame{Data: payload(5, 33), Length: 33, Timeless: true, Link: LinkRaw}
	timed := ether(1700000000_000000003, 70)
	if err := errors.Join(s.Write(&timeless), s.Write(&timed), s.Close()); err != nil {
		t.Error(err)
	}
	frames := mustRead(t, <-got)
	if timed.Interface = 1; !sameFrames(frames, []Frame{timeless, timed}) {
		t.Errorf("got %+v", frames)
	}
}

func TestSaverToPipe(t *testing.T) {
	s, name, got := saverToPipe(t)
	a, b := ether(1, 5), ether(2, 5)
	b.Link = LinkRaw
	if err := s.Write(&a); err != nil {
		t.Fatal(err)
	}
	err := s.Write(&b)
	if !errors.Is(err, ErrMixed) || !strings.HasPrefix(err.Error(), "write "+name+": a pcap file holds one link type") {
		t.Errorf("second link type: %v", err)
	}
	if again := s.Write(&a); again != err {
		t.Errorf("then: %v", again)
	}
	if again := s.Close(); !errors.Is(again, ErrMixed) {
		t.Errorf("close: %v", again)
	}
	if frames := mustRead(t, <-got); len(frames) != 1 {
		t.Errorf("%d frames came through the pipe", len(frames))
	}
}

func TestSaverErrors(t *testing.T) {
	dir := t.TempDir()
	gone := filepath.Join(dir, "gone.pcap")
	s, err := NewSaver(gone)
	if err != nil {
		t.Fatal(err)
	}
	first, second := ether(1, 60), ether(2, 60)
	second.Link = LinkRaw
	err = errors.Join(s.Write(&first), os.Remove(gone))
	if err != nil {
		t.Fatal(err)
	}
	err = s.Write(&second)
	if !errors.Is(err, fs.ErrNotExist) || !strings.HasPrefix(err.Error(), "convert "+gone+" to pcapng: ") {
		t.Errorf("converted, and gone: %v", err)
	}
	s.Close()
	if s, err = NewSaver(gone); err != nil {
		t.Fatal(err)
	}
	moved := filepath.Join(dir, "moved.pcap")
	if err := errors.Join(s.Write(&first), os.Rename(gone, moved), os.WriteFile(gone, []byte("of others"), 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := s.Write(&second); err == nil || err.Error() != "convert "+gone+" to pcapng: another file has taken its name" {
		t.Errorf("converted, and replaced: %v", err)
	}
	s.Close()
	if data, _ := os.ReadFile(gone); string(data) != "of others" {
		t.Errorf("another's file has now %q", data)
	}
	if data, _ := os.ReadFile(moved); len(mustRead(t, data)) != 1 {
		t.Error("what was saved before is not in the file that was renamed")
	}
	if _, err := NewSaver(dir); err == nil || err.Error() != "open "+dir+": is a directory" {
		t.Errorf("folder: %v", err)
	}
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("NOT TESTED: a full disk: this system has no /dev/full")
	}
	const want = "write /dev/full: no space left on device"
	if s, err = NewSaver("/dev/full"); err != nil {
		t.Fatal(err)
	}
	f := ether(1, 60)
	if err := errors.Join(s.Write(&f), s.Write(&f)); err != nil {
		t.Errorf("before it was flushed: %v", err)
	}
	if err := s.Flush(); !errors.Is(err, syscall.ENOSPC) || err.Error() != want {
		t.Errorf("flush: %v", err)
	}
	if err := s.Close(); !errors.Is(err, syscall.ENOSPC) || err.Error() != want {
		t.Errorf("close: %v", err)
	}
	s, _ = NewSaver("/dev/full")
	for range 10000 {
		if err = s.Write(&f); err != nil {
			break
		}
	}
	if err == nil || err.Error() != want {
		t.Errorf("write: %v", err)
	}
	s.Close()
}

func TestSaverAllocatesNothing(t *testing.T) {
	for _, ng := range []bool{false, true} {
		s, err := NewSaver(os.DevNull)
		if err != nil {
			t.Fatal(err)
		}
		if s.ng = ng; ng {
			s.begun = true
			s.section()
		}
		f := ether(1700000000_000000001, 61)
		if n := testing.AllocsPerRun(5000, func() { err = errors.Join(s.Write(&f)) }); n != 0 || err != nil {
			t.Errorf("pcapng %v: %v allocations a packet, %v", ng, n, err)
		}
		s.Close()
	}
}
