package unpack

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/portwatch/portwatch/testdata/compressed"
)

func unpacked(r io.Reader) (data []byte, method string, err error) {
	src, method, err := NewReader(r)
	if err != nil {
		return nil, method, err
	}
	data, err = io.ReadAll(src)
	return data, method, err
}

// letters are octets that do not pack to almost nothing.
func letters(n int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte('a' + random.IntN(20))
	}
	return data
}

// skip is a frame that zstd and LZ4 pass over.
func skip(kind byte, octets int) []byte {
	frame := binary.LittleEndian.AppendUint32([]byte{kind, 0x2a, 0x4d, 0x18}, uint32(octets))
	return append(frame, letters(octets)...)
}

func TestReader(t *testing.T) {
	text, more := letters(1000), letters(300)
	both := slices.Concat(text, more)
	for method, pack := range compressed.By {
		streams := map[string][]byte{
			"one":                  pack(both),
			"two joined":           slices.Concat(pack(text), pack(more)),
			"an empty one between": slices.Concat(pack(text), pack(nil), pack(more)),
			"before zeros":         append(pack(both), make([]byte, 1000)...),
			"before four zeros":    append(pack(both), make([]byte, 4)...),
		}
		if method != "gzip" { // pzstd, for one, keeps sizes there
			streams["behind frames to skip"] = slices.Concat(skip(0x50, 4), skip(0x5f, 0), pack(both))
		}
		if method == "zstd" { // behind more than is looked at, it is that
			streams["behind much to skip"] = slices.Concat(skip(0x50, 2*bufferSize), pack(both))
		}
		for what, stream := range streams {
			for how, in := range map[string]io.Reader{"at once": bytes.NewReader(stream), "by octet": iotest.OneByteReader(bytes.NewReader(stream))} {
				got, as, err := unpacked(in)
				if err != nil || as != method || !bytes.Equal(got, both) {
					t.Errorf("%s, %s, %s: %d octets as %q, %v", method, what, how, len(got), as, err)
				}
			}
		}
	}
}

// TestPlain: what is not compressed is returned as it is.
func TestPlain(t *testing.T) {
	for _, text := range []string{"", "{", "\x1f\x8b", "\x28\xb5\x2f", "{1}\n", string(letters(200_000))} {
		got, method, err := unpacked(strings.NewReader(text))
		if err != nil || method != "" || string(got) != text {
			t.Errorf("%d octets: %d as %q, %v", len(text), len(got), method, err)
		}
	}
	broken := errors.New("broken")
	if got, _, err := unpacked(io.MultiReader(strings.NewReader("{1}\n"), iotest.ErrReader(broken))); string(got) != "{1}\n" || !errors.Is(err, broken) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestCut: what was whole before the cut is returned before the error.
func TestCut(t *testing.T) {
	text := letters(400)
	for method, pack := range compressed.By {
		first := pack(text[:250])
		stream := slices.Concat(first, pack(text[250:]))
		for cut := 4; cut < len(stream); cut++ {
			got, _, err := unpacked(bytes.NewReader(stream[:cut]))
			if cut == len(first) {
				if err != nil || !bytes.Equal(got, text[:250]) {
					t.Errorf("%s, the first of two: %d octets, %v", method, len(got), err)
				}
				continue
			}
			if !errors.Is(err, ErrTruncated) || !bytes.HasPrefix(text, got) ||
				cut > len(first) && len(got) < 250 || cut == len(stream)-1 && len(got) < len(text) { // of the checksum
				t.Errorf("%s, cut at %d of %d: %d octets, %v", method, cut, len(stream), len(got), err)
			}
		}
	}
}

// TestCutToSkip: a stream of one frame to skip is empty, and one that is cut in it has no end.
func TestCutToSkip(t *testing.T) {
	first := skip(0x52, 20)
	stream := slices.Concat(first, compressed.By["zstd"](letters(10)))
	for cut := 4; cut < len(first)+4; cut++ {
		got, method, err := unpacked(bytes.NewReader(stream[:cut]))
		if want := cut != len(first); len(got) != 0 || method != "zstd" || errors.Is(err, ErrTruncated) != want || (err != nil) != want {
			t.Errorf("cut at %d: %d octets as %q, %v", cut, len(got), method, err)
		}
	}
}

func TestErrors(t *testing.T) {
	text := letters(4000)
	for method, pack := range compressed.By {
		wrong := pack(text)
		wrong[len(wrong)-1] ^= 1 // of the checksum, or of the length
		for what, test := range map[string]struct {
			stream []byte
			want   string
		}{
			"rubbish behind it":       {append(pack(text), "rubbish"...), "rubbish after the end of the " + method + " stream"},
			"four octets behind it":   {append(pack(text), "rubb"...), "rubbish after the end of the " + method + " stream"},
			"rubbish behind zeros":    {append(pack(text), "\x00\x00\x00\x00rubbish"...), "rubbish after the end of the " + method + " stream"},
			"rubbish behind more":     {append(pack(text), "\x00\x00\x00\x00\x00\x00\x00\x00r"...), "rubbish after the end of the " + method + " stream"},
			"a checksum that is none": {wrong, "broken " + method + " stream: "},
		} {
			got, _, err := unpacked(bytes.NewReader(test.stream))
			if !bytes.Equal(got, text) || err == nil || !strings.HasPrefix(err.Error(), test.want) {
				t.Errorf("%s, %s: %d octets, %v", method, what, len(got), err)
			}
		}
	}
}

// TestDictionary: a dictionary is not there, however many octets its id has.
func TestDictionary(t *testing.T) {
	for flag, id := range [][]byte{1: {7}, 2: {7, 8}, 3: {7, 8, 9, 10}} {
		stream := append(binary.LittleEndian.AppendUint32(nil, magicZstd), byte(flag), 0)
		stream = slices.Concat(stream, id, []byte{1<<3 | 1, 0, 0, 'x'})
		got, _, err := unpacked(bytes.NewReader(stream))
		if want := len(id) > 0; errors.Is(err, zstd.ErrUnknownDictionary) != want || (string(got) == "x") == want {
			t.Errorf("an id of %d octets: %q, %v", len(id), got, err)
		}
	}
}

// TestBrokenReader: what a reader says of itself can be tested for, however the stream is compressed.
func TestBrokenReader(t *testing.T) {
	broken := errors.New("broken")
	for method, pack := range compressed.By {
		stream := pack(letters(4000))
		for _, n := range []int{4, 20, len(stream) - 1, len(stream)} {
			_, as, err := unpacked(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(broken)))
			if as != method || !errors.Is(err, broken) {
				t.Errorf("%s, behind %d of %d octets: as %q, %v", method, n, len(stream), as, err)
			}
		}
	}
}

// The programs that people compress with, at the settings that differ most.
func TestPrograms(t *testing.T) {
	text := letters(400_000)
	for _, command := range []string{
		"gzip -1", "gzip -9",
		"zstd -1", "zstd --ultra -22", "zstd --no-check", "zstd --long=27",
		"lz4 -1", "lz4 -9 -BD", "lz4 -l", "lz4 -B4 -BX --no-frame-crc", "lz4 --content-size",
	} {
		args := strings.Fields(command + " -c")
		if _, err := exec.LookPath(args[0]); err != nil {
			t.Logf("NOT TESTED: %s: %v", command, err)
			continue
		}
		cmd := exec.Command(args[0], args[1:]...)
		cmd.Stdin = bytes.NewReader(text)
		stream, err := cmd.Output()
		if err != nil {
			t.Errorf("%s: %v", command, err)
			continue
		}
		if got, method, err := unpacked(bytes.NewReader(stream)); err != nil || method != args[0] || !bytes.Equal(got, text) {
			t.Errorf("%s: %d octets of %d as %q, %v", command, len(got), len(text), method, err)
		}
	}
}

// TestClaims unpacks streams that claim far more than they have.
func TestClaims(t *testing.T) {
	header := func(descriptor, window byte, more ...byte) []byte {
		return append(append(binary.LittleEndian.AppendUint32(nil, magicZstd), descriptor, window), more...)
	}
	const largest = 17 << 3 // 128 MiB
	raw := []byte{1<<3 | 1, 0, 0, 'x'}
	single := header(zstdSingleSegment|2<<6, 0, 0, 0, 8) // its size has four octets
	var growing, larger []byte
	for i := range 5000 {
		growing = append(append(growing, header(0, byte(i%(14<<3)))...), raw...)
		larger = append(append(larger, header(0, byte(i%(18<<3)))...), raw...)
	}
	for name, stream := range map[string][]byte{
		"a window, and nothing in it":          header(0, largest),
		"a window for one octet":               append(header(0, largest), raw...),
		"a segment of 128 MiB":                 append(single, raw...),
		"a segment of 16 EiB":                  append(header(zstdSingleSegment|3<<6, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff), make([]byte, zstdEvidence)...),
		"windows behind an octet that repeats": slices.Concat(header(0, 0), []byte{0x43, 0x1f, 0, 'x'}, larger), // 1000 times
		"larger and larger windows":            growing,
		"windows of any size":                  larger,
		"windows behind a checksum":            slices.Concat(compressed.By["zstd"](letters(10)), larger),
		"windows behind a frame to skip":       slices.Concat(skip(0x50, 4), larger),
		"a frame to skip":                      append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, magicSkippable), 1<<32-1), header(0, largest)...),
		"LZ4 blocks of 4 MiB":                  compressed.By["lz4"](nil)[:7],
		"a name in gzip that does not end":     append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3}, bytes.Repeat([]byte{'x'}, 1<<20)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		src, _, err := NewReader(bytes.NewReader(stream))
		if err == nil {
			io.Copy(io.Discard, src)
		}
		runtime.ReadMemStats(&after)
		if took := after.TotalAlloc - before.TotalAlloc; took > 16<<20 {
			t.Errorf("%s: a stream of %d octets took %d", name, len(stream), took)
		}
	}
}

// TestWindows reads frames whose windows are rewritten, from ones that refer to 16 MiB before to
// small and empty ones.
func TestWindows(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	data := make([]byte, 24<<20)
	for j := 0; j < 16<<20; j += 8 {
		binary.LittleEndian.PutUint64(data[j:], random.Uint64())
	}
	copy(data[20<<20:], data[:4<<20]) // the first ones again, behind zeros
	for name, options := range map[string][]zstd.EOption{
		"1 KiB":   {zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderLevel(zstd.SpeedFastest)},
		"2 MiB":   {zstd.WithWindowSize(2 << 20), zstd.WithEncoderCRC(false)},
		"128 MiB": {zstd.WithWindowSize(128 << 20)},
		"single":  {zstd.WithWindowSize(128 << 20), zstd.WithSingleSegment(true)},
	} {
		var stream bytes.Buffer
		w, err := zstd.NewWriter(&stream, append(options, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		if name == "single" {
			w.ResetContentSize(&stream, int64(len(data)))
		}
		w.Write(data)
		w.Close()
		if got, _, err := unpacked(&stream); err != nil || !bytes.Equal(got, data) {
			t.Errorf("%s: %d octets of %d, %v", name, len(got), len(data), err)
		}
	}
	for _, test := range []struct {
		apart  int  // octets between two that are the same
		window byte // that the header claims, of what they are in
	}{{12 << 20, 13<<3 | 4}, {20 << 20, 14<<3 | 4}} {
		far := slices.Concat(data[:5000], make([]byte, test.apart), data[:5000])
		var stream bytes.Buffer
		w, err := zstd.NewWriter(&stream, zstd.WithWindowSize(128<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(far)
		w.Close()
		if stream.Len() > zstdEvidence || stream.Bytes()[zstdMagic]&zstdSingleSegment != 0 {
			t.Fatalf("a stream of %d octets, %x", stream.Len(), stream.Bytes()[:6])
		}
		stream.Bytes()[zstdMagic+1] = test.window
		if got, _, err := unpacked(&stream); err != nil || !bytes.Equal(got, far) {
			t.Errorf("%d octets apart in a window of %x: %d octets of %d, %v", test.apart, test.window, len(got), len(far), err)
		}
	}
	// What looks like a header within a block, wherever a piece of it may begin, stays as it is.
	within := slices.Clone(data[:100_000])
	for i := range 40 {
		copy(within[i*1001:], binary.LittleEndian.AppendUint32(nil, magicZstd))
		copy(within[i*1001+zstdMagic:], []byte{0, 1 << 3})
	}
	if stream := compressed.By["zstd"](within); !bytes.Contains(stream, within) {
		t.Error("octets at random are compressed")
	} else if got, _, err := unpacked(iotest.OneByteReader(bytes.NewReader(stream))); err != nil || !bytes.Equal(got, within) {
		t.Errorf("headers within a block: %d octets of %d, %v", len(got), len(within), err)
	}
	// More than the largest window comes of few octets, which refer to nothing so far back.
	repeated := append(binary.LittleEndian.AppendUint32(nil, magicZstd), 0, 14<<3)
	for range maxZstdWindow/zstdMaxBlock + 1 {
		repeated = append(repeated, 1<<1, 0, 0x10, 'x')
	}
	src, _, err := NewReader(bytes.NewReader(append(repeated, 1, 0, 0)))
	if n, failed := io.Copy(io.Discard, src); n != maxZstdWindow+zstdMaxBlock || err != nil || failed != nil {
		t.Errorf("%d octets of an x, %v, %v", n, err, failed)
	}
	for n := 24; n < 724; n += 7 {
		for _, more := range [][]byte{nil, compressed.By["zstd"](nil)} {
			data := append(letters(24), bytes.Repeat([]byte{7}, n-24)...)
			stream := slices.Concat(compressed.By["zstd"](data), more, compressed.By["zstd"](data))
			if got, _, err := unpacked(bytes.NewReader(stream)); err != nil || !bytes.Equal(got, slices.Concat(data, data)) {
				t.Fatalf("%d octets: %d, %v", 2*len(data), len(got), err)
			}
		}
	}
}
