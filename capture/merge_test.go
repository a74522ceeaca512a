package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/testdata/compressed"
)

// open reads a capture from memory under a name.
func open(t *testing.T, name string, data []byte) *File {
	t.Helper()
	f, err := newFile(bytes.NewReader(data), name, nil, int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// timed is a pcap file with a packet at each of the seconds; its name's first
// letter is their content.
func timed(t *testing.T, name string, seconds ...uint32) *File {
	file := newPcapFile(lsbFirst, magicMicro, 1)
	for _, s := range seconds {
		file.claim(s, 0, 1, 1, []byte(name[:1]))
	}
	return open(t, name, file.data)
}

// loose is a pcapng file with a packet at each of the seconds, and one
// without time for each 0.
func loose(t *testing.T, name string, seconds ...uint32) *File {
	file := newNgFile(lsbFirst).face(1, 0, []byte{9, 0, 1, 0, 0, 0, 0, 0})
	for _, s := range seconds {
		if s == 0 {
			file.simple(1, 1)
		} else {
			file.enhanced(0, uint64(s), 1, 1)
		}
		file.data[len(file.data)-8] = name[0] // the first octet of the data in both kinds, padded to 4
	}
	return open(t, name, file.data)
}

func TestMergeOrder(t *testing.T) {
	for _, test := range []struct {
		name  string
		files []*File
		want  string // the packets' files
	}{
		{"none", nil, ""},
		{"one", []*File{timed(t, "a", 3, 1, 2)}, "aaa"},
		{"one after the other", []*File{timed(t, "a", 1, 2), timed(t, "b", 3, 4)}, "aabb"},
		{"in the wrong order", []*File{timed(t, "a", 3, 4), timed(t, "b", 1, 2)}, "bbaa"},
		{"interleaved", []*File{timed(t, "a", 1, 4, 5), timed(t, "b", 2, 3, 6)}, "abbaab"},
		{"ties go by file", []*File{timed(t, "a", 2, 2), timed(t, "b", 1, 2, 2), timed(t, "c", 2)}, "baabbc"},
		{"each on its next packet", []*File{timed(t, "a", 9, 1, 1), timed(t, "b", 5, 10)}, "baaab"},
		{"an empty file", []*File{timed(t, "a"), timed(t, "b", 1), timed(t, "c")}, "b"},
		{"no time at all", []*File{loose(t, "a", 0, 0), loose(t, "b", 0, 0)}, "aabb"},
		{"no time inside", []*File{loose(t, "a", 1, 0, 4), loose(t, "b", 2, 0, 3)}, "aabbba"},
		{"no time first", []*File{loose(t, "a", 1, 5), loose(t, "b", 0, 2), loose(t, "c", 3)}, "acabb"},
	} {
		frames, err := drain(Merge(test.files...))
		var got strings.Builder
		for _, f := range frames {
			got.Write(f.Data)
		}
		if got.String() != test.want || err != io.EOF {
			t.Errorf("%s: %s, not %s (%v)", test.name, got.String(), test.want, err)
		}
	}
}

// A capture whose time never runs backwards is the same again when it was
// split anywhere, packets without time included.
func TestMergeOfParts(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	for range 200 {
		var all []uint32
		for now := uint32(1); len(all) < 30; now += uint32(random.IntN(3)) {
			all = append(all, now*uint32(random.IntN(5)&1))
		}
		first, second := random.IntN(30), random.IntN(30)
		first, second = min(first, second), max(first, second)
		want, _ := drain(loose(t, "x", all...))
		got, err := drain(Merge(loose(t, "x", all[:first]...), loose(t, "x", all[first:second]...), loose(t, "x", all[second:]...)))
		if err != io.EOF || !sameFrames(got, want) {
			t.Fatalf("split of %v at %d and %d differs", all, first, second)
		}
	}
}

// The files of a merge may have any order of packets: none is lost, and those
// of one file stay in its order.
func TestMergeLosesNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	for range 200 {
		var files []*File
		sizes := make([]int, 1+random.IntN(6))
		for i := range sizes {
			seconds := make([]uint32, random.IntN(20))
			for j := range seconds {
				seconds[j] = uint32(random.IntN(8))
			}
			sizes[i] = len(seconds)
			files = append(files, loose(t, string(rune('a'+i)), seconds...))
		}
		m := Merge(files...)
		frames, err := drain(m)
		seen := make([]int, len(sizes))
		for _, f := range frames {
			seen[f.Data[0]-'a']++
		}
		if err != io.EOF || !slices.Equal(seen, sizes) || m.Stats().Packets != uint64(len(frames)) {
			t.Fatalf("%v packets of %v, %v", seen, sizes, err)
		}
	}
}

func TestMergeGoesOnWithoutBrokenFile(t *testing.T) {
	broken := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 9, 9).add(2, 0, 9, 9).data
	m := Merge(
		open(t, "first", broken[:len(broken)-1]),
		timed(t, "second", 1, 2, 3),
		open(t, "third", append(compressed.By["gzip"](broken), 'x')),
	)
	frames, err := drain(m)
	want := "read first: offset 49: packet 2: file is cut short: a packet of 25 octets, of which 24 are there\n" +
		"read third (gzip): offset 74: packet 3: rubbish after the end of the gzip stream"
	if len(frames) != 1+3+2 || err.Error() != want || !errors.Is(err, ErrTruncated) {
		t.Errorf("%d frames, %v", len(frames), err)
	}
	if again := m.Next(new(Frame)); again != err {
		t.Errorf("then %v", again)
	}
	if err := m.Close(); err != nil || m.Next(new(Frame)) != ErrClosed {
		t.Errorf("close: %v", err)
	}
}

// TestMergeStats: what files count by themselves is summed.
func TestMergeStats(t *testing.T) {
	var files []*File
	for _, n := range []uint64{1, 10} {
		file := newNgFile(lsbFirst).face(1, 0).enhanced(0, n, 1, 1)
		for range n {
			file.block(10, []byte("decryption secrets"))
		}
		body := append(file.order.AppendUint32(nil, 0), make([]byte, 8)...)
		body = append(append(body, file.option64(5, 2*n)...), file.option64(7, 3*n)...)
		files = append(files, open(t, "x", file.block(blockStatistics, body).data))
	}
	m := Merge(files...)
	_, err := drain(m)
	if s := m.Stats(); err != io.EOF || s.Packets != 2 || s.SkippedBlocks != 11 || s.InterfaceDrops != 22 || s.KernelDrops != 33 {
		t.Errorf("%+v, %v", s, err)
	}
}
