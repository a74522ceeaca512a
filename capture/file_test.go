package capture

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
)

// samples are small captures of every kind, with where their packets end and
// where else a file may end without being cut.
func samples() map[string]struct {
	data   []byte
	ends   []int // ends of packets
	proper []int // offsets at which the file may end
} {
	type sample = struct {
		data   []byte
		ends   []int
		proper []int
	}
	all := make(map[string]sample)
	for name, file := range map[string]*pcapFile{
		"pcap":                 newPcapFile(lsbFirst, magicMicro, 1),
		"pcap, big-endian, ns": newPcapFile(msbFirst, magicNano, 276),
		"pcap, modified":       newPcapFile(lsbFirst, magicModified, 113),
	} {
		for i, n := range []int{60, 0, 1, 90} {
			file.add(uint32(i), uint32(i), n, 2*n)
		}
		all[name] = sample{file.data, file.ends[1:], file.ends}
	}
	ng := newNgFile(lsbFirst)
	ng.face(1, 64, ng.option(9, []byte{9}), ng.option(0, nil))
	ng.enhanced(0, 1<<40, 60, 60).simple(7, 7)
	ng.block(0xbad, make([]byte, 33))
	ng.section(msbFirst).face(276, 0).obsolete(0, 0, 12, 5, 9).enhanced(0, 13, 0, 0, ng.option(1, []byte("end")))
	all["pcapng"] = sample{ng.data, ng.ends, ng.blocks}
	return all
}

// A capture cut anywhere gives exactly the packets that are whole, then io.EOF if
// it may end there, else an error that says it is cut short.
func TestCutAnywhere(t *testing.T) {
	for name, s := range samples() {
		all := mustRead(t, s.data)
		if len(all) != len(s.ends) {
			t.Fatalf("%s: %d packets", name, len(all))
		}
		for cut := range s.data {
			whole := 0
			for whole < len(s.ends) && s.ends[whole] <= cut {
				whole++
			}
			frames, err := readAll(s.data[:cut])
			if !sameFrames(frames, all[:whole]) {
				t.Errorf("%s cut at %d: %d frames, not %d", name, cut, len(frames), whole)
			}
			if slices.Contains(s.proper, cut) {
				if err != io.EOF {
					t.Errorf("%s cut at %d, between packets: %v", name, cut, err)
				}
				continue
			}
			bad, ok := errors.AsType[*FormatError](err)
			if !ok || !errors.Is(err, ErrTruncated) || bad.File != "x" {
				t.Errorf("%s cut at %d: %v", name, cut, err)
				continue
			}
			if cut >= s.proper[0] && (bad.Packet != uint64(whole+1) || !slices.Contains(s.proper, int(bad.Offset)) || int(bad.Offset) > cut) {
				t.Errorf("%s cut at %d: offset %d, packet %d", name, cut, bad.Offset, bad.Packet)
			}
		}
	}
}

// However small the portions in which a file comes, its frames are the same.
func TestPortions(t *testing.T) {
	for name, s := range samples() {
		want := mustRead(t, s.data)
		for kind, r := range map[string]io.Reader{
			"octet by octet":          iotest.OneByteReader(bytes.NewReader(s.data)),
			"halves":                  iotest.HalfReader(bytes.NewReader(s.data)),
			"data together with EOF":  iotest.DataErrReader(bytes.NewReader(s.data)),
			"with reads that do none": &hesitant{r: bytes.NewReader(s.data)},
		} {
			if got, err := readFrom(r); err != io.EOF || !sameFrames(got, want) {
				t.Errorf("%s, %s: %d frames of %d, %v", name, kind, len(got), len(want), err)
			}
		}
	}
}

// hesitant returns nothing at every other call.
type hesitant struct {
	r     io.Reader
	calls int
}

func (h *hesitant) Read(p []byte) (int, error) {
	if h.calls++; h.calls%2 == 1 {
		return 0, nil
	}
	return h.r.Read(p)
}

func TestReaderThatNeverReads(t *testing.T) {
	_, err := readFrom(iotest.ErrReader(nil))
	if !errors.Is(err, io.ErrNoProgress) {
		t.Errorf("error %v", err)
	}
}

// An error of the device is passed on, after the packets before it.
func TestReadError(t *testing.T) {
	file := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 9, 9)
	r := io.MultiReader(bytes.NewReader(file.data), bytes.NewReader(make([]byte, 5)), iotest.ErrReader(syscall.EIO))
	frames, err := readFrom(r)
	if want := "read x: offset 49: packet 2: input/output error"; len(frames) != 1 || err.Error() != want || !errors.Is(err, syscall.EIO) || errors.Is(err, ErrTruncated) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
}

// What a user is told, word for word; <DIR> stands for the folder.
func TestFileErrors(t *testing.T) {
	dir := t.TempDir()
	pcap := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 60, 60).add(2, 0, 60, 60).data
	for _, test := range []struct {
		name, content string
		want          string
		is            error
	}{
		{"empty.pcap", "", "read <DIR>/empty.pcap: file is cut short: it is empty", ErrTruncated},
		{"three.pcap", "\xd4\xc3\xb2", "read <DIR>/three.pcap: file is cut short: a magic number of 4 octets, of which 3 are there", ErrTruncated},
		{"header.pcap", string(pcap[:20]), "read <DIR>/header.pcap: file is cut short: the file header of 24 octets, of which 20 are there", ErrTruncated},
		{"cut.pcap", string(pcap[:150]), "read <DIR>/cut.pcap: offset 100: packet 2: file is cut short: a packet of 76 octets, of which 50 are there", ErrTruncated},
		{"inhead.pcap", string(pcap[:107]), "read <DIR>/inhead.pcap: offset 100: packet 2: file is cut short: a packet header of 16 octets, of which 7 are there", ErrTruncated},
		{"cut.pcapng", "\n\r\r\n\x1c\x00\x00\x00\x4d\x3c\x2b\x1a\x01\x00", "read <DIR>/cut.pcapng: file is cut short: a block of 28 octets, of which 14 are there", ErrTruncated},
		{"long.pcap", string(pcap[:24]) + strings.Repeat("\xff", 40), "read <DIR>/long.pcap: offset 24: packet 1: packet claims 4294967295 captured octets, more than 16777216", nil},
		{"notes.txt", "Dear diary, today we", `read <DIR>/notes.txt: not a pcap or pcapng file (it starts with the text "Dear diary, toda")`, ErrNotCapture},
		{"x.bin", "\x01\x02\x03\x04\x05", "read <DIR>/x.bin: not a pcap or pcapng file (it starts with the octets 01 02 03 04)", ErrNotCapture},
		{"x.snoop", "snoop\x00\x00\x00\x00\x00\x00\x02", "read <DIR>/x.snoop: not a pcap or pcapng file (it starts like a snoop capture)", ErrNotCapture},
		{"x.xz", "\xfd7zXZ\x00", "read <DIR>/x.xz: not a pcap or pcapng file (it starts like an xz file)", ErrNotCapture},
	} {
		name := filepath.Join(dir, test.name)
		if err := os.WriteFile(name, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := OpenFile(name)
		if err == nil {
			_, err = drain(f)
			f.Close()
		}
		if got := strings.ReplaceAll(err.Error(), dir, "<DIR>"); got != test.want {
			t.Errorf("%s:\n got  %s\n want %s", test.name, got, test.want)
		}
		if test.is != nil && !errors.Is(err, test.is) {
			t.Errorf("%s: does not wrap %q", test.name, test.is)
		}
	}

	_, err := OpenFile(dir)
	if want := "read " + dir + ": is a directory"; err == nil || err.Error() != want {
		t.Errorf("folder: %v", err)
	}
	missing := filepath.Join(dir, "missing.pcap")
	_, err = OpenFile(missing)
	if want := "open " + missing + ": no such file or directory"; err == nil || err.Error() != want || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing file: %v", err)
	}
}

// After an error Next returns the same one, and after Close ErrClosed.
func TestAfterTheEnd(t *testing.T) {
	name := filepath.Join(t.TempDir(), "x.pcap")
	data := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 60, 60).data
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if frames, err := drain(f); len(frames) != 1 || err != io.EOF {
		t.Fatalf("%d frames, %v", len(frames), err)
	}
	if err := f.Next(new(Frame)); err != io.EOF {
		t.Errorf("after the end: %v", err)
	}
	if read, size := f.Progress(); read != int64(len(data)) || size != read {
		t.Errorf("progress %d of %d, the file has %d", read, size, len(data))
	}
	if s := f.Stats(); s.Packets != 1 || s.Bytes != 60 {
		t.Errorf("stats %+v", s)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Errorf("close: %v", err)
	}
	if err := f.Next(new(Frame)); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

func TestStandardInput(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin := os.Stdin
	os.Stdin = r
	defer func() { os.Stdin = stdin }()
	go func() {
		w.Write(newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 60, 60).data[:90])
		w.Close()
	}()
	f, err := OpenFile("-")
	if err != nil {
		t.Fatal(err)
	}
	if _, size := f.Progress(); size != -1 {
		t.Errorf("a pipe has size %d", size)
	}
	_, err = drain(f)
	want := "read standard input: offset 24: packet 1: file is cut short: a packet of 76 octets, of which 66 are there"
	if err.Error() != want {
		t.Errorf("error %v", err)
	}
}

// A packet is delivered when it is there, without waiting for what follows.
func TestPipeIsNotHeldBack(t *testing.T) {
	r, w := io.Pipe()
	file := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 60, 60)
	go w.Write(file.data)
	f, err := newFile(r, "x", nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Next(new(Frame)); err != nil { // would hang
		t.Fatal(err)
	}
}

// Lengths in a short file cannot make us allocate what they claim.
func TestClaimsAllocateNothing(t *testing.T) {
	skipped := newNgFile(lsbFirst)
	lsbFirst.PutUint32(skipped.block(0xbad, make([]byte, 60)).data[28+4:], 0x7ffffffc)
	read := newNgFile(lsbFirst).face(1, 0)
	lsbFirst.PutUint32(read.enhanced(0, 1, 60, 60).data[48+4:], MaxBlock)
	for name, data := range map[string][]byte{
		"pcap":                   newPcapFile(lsbFirst, magicMicro, 1).claim(1, 0, MaxPacket, 1, make([]byte, 60)).data,
		"pcapng block":           read.data,
		"pcapng block of 2 GiB":  skipped.data,
		"zstd window of 256 MiB": {0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x90, 0x01, 0x00, 0x00},
		"zstd content of 2^62":   {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0x40, 1, 0, 0},
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		frames, err := readAll(data)
		runtime.ReadMemStats(&after)
		if grown := after.TotalAlloc - before.TotalAlloc; grown > 2<<20 {
			t.Errorf("%s: %d octets allocated for %d", name, grown, len(data))
		}
		if len(frames) != 0 || err == io.EOF {
			t.Errorf("%s: %d frames, %v", name, len(frames), err)
		}
	}
}

// No packet costs an allocation, whatever the format.
func TestNextAllocatesNothing(t *testing.T) {
	const packets = 4000
	pcap, swapped, ng := newPcapFile(lsbFirst, magicMicro, 1), newPcapFile(msbFirst, magicNano, 1), newNgFile(lsbFirst).face(1, 0)
	for i := range packets {
		pcap.add(uint32(i), 0, 400, 400)
		swapped.add(uint32(i), 0, 400, 400)
		ng.enhanced(0, uint64(i), 400, 400)
	}
	for name, data := range map[string][]byte{"pcap": pcap.data, "big-endian": swapped.data, "pcapng": ng.data} {
		f, err := newFile(bytes.NewReader(data), name, nil, -1)
		if err != nil {
			t.Fatal(err)
		}
		var frame Frame
		allocations := testing.AllocsPerRun(packets-100, func() {
			if err := f.Next(&frame); err != nil {
				t.Fatal(err)
			}
		})
		if allocations != 0 {
			t.Errorf("%s: %v allocations a packet", name, allocations)
		}
	}
}

func BenchmarkNext(b *testing.B) {
	const packets = 20000
	pcap, ng := newPcapFile(lsbFirst, magicMicro, 1), newNgFile(lsbFirst).face(1, 0)
	for i := range packets {
		pcap.add(uint32(i), 0, 60, 60)
		ng.enhanced(0, uint64(i), 60, 60)
	}
	for name, data := range map[string][]byte{"pcap": pcap.data, "pcapng": ng.data} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			var frame Frame
			err := io.EOF
			var f *File
			for range b.N {
				if err == io.EOF {
					f, err = newFile(bytes.NewReader(data), name, nil, -1)
				}
				if err == nil {
					err = f.Next(&frame)
				}
				if err != nil && err != io.EOF {
					b.Fatal(err)
				}
			}
			b.ReportMetric(math.Round(b.Elapsed().Seconds()*1e10/float64(b.N))/10, "ns/packet")
		})
	}
}
