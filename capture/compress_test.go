package capture

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/portwatch/portwatch/testdata/compressed"
)

// noise is a pcap file that does not compress to almost nothing.
func noise(packets int) []byte {
	random := rand.New(rand.NewPCG(3, 4))
	file := newPcapFile(lsbFirst, magicMicro, 1)
	for i := range packets {
		data := make([]byte, 50)
		for j := range data {
			data[j] = byte(random.IntN(20))
		}
		file.claim(uint32(i), 0, 50, 50, data)
	}
	return file.data
}

func TestCompressed(t *testing.T) {
	for name, s := range samples() {
		want := mustRead(t, s.data)
		for method, compress := range compressed.By {
			packed := compress(s.data)
			first, second := compress(s.data[:len(s.data)/2]), compress(s.data[len(s.data)/2:])
			for kind, data := range map[string][]byte{
				"one stream":          packed,
				"two joined":          slices.Concat(first, second),
				"an empty one inside": slices.Concat(first, compress(nil), second),
				"padded with zeros":   append(slices.Clone(packed), make([]byte, 1000)...),
				"padded with four":    append(slices.Clone(packed), make([]byte, 4)...),
			} {
				if got := mustRead(t, data); !sameFrames(got, want) {
					t.Errorf("%s, %s, %s: %d frames of %d", name, method, kind, len(got), len(want))
				}
				got, err := readFrom(iotest.OneByteReader(bytes.NewReader(data)))
				if err != io.EOF || !sameFrames(got, want) {
					t.Errorf("%s, %s, %s, octet by octet: %d frames of %d, %v", name, method, kind, len(got), len(want), err)
				}
			}
		}
	}
}

// A compressed capture cut anywhere gives some of the first packets, then
// says that it is cut.
func TestCompressedCutAnywhere(t *testing.T) {
	data := noise(20)
	all := mustRead(t, data)
	for method, compress := range compressed.By {
		packed := slices.Concat(compress(data[:600]), compress(data[600:]))
		most := 0
		for cut := 1; cut < len(packed); cut++ {
			frames, err := readAll(packed[:cut])
			if len(frames) > len(all) || !sameFrames(frames, all[:len(frames)]) {
				t.Fatalf("%s cut at %d: %d frames, and not the first ones", method, cut, len(frames))
			}
			if !errors.Is(err, ErrTruncated) {
				t.Errorf("%s cut at %d: %v", method, cut, err)
			}
			most = max(most, len(frames))
		}
		if most < 8 { // what the first of the two members holds
			t.Errorf("%s: no more than %d packets were delivered from a cut file", method, most)
		}
	}
}

func TestRubbishAfterCompressed(t *testing.T) {
	data := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 60, 60).data
	for method, compress := range compressed.By {
		for _, rubbish := range []string{"rubbish", "\x00\x00\x00\x00rubbish", "\x00\x00\x00\x00\x00\x00\x00\x00r"} {
			frames, err := readAll(append(compress(data), rubbish...))
			want := "read x (" + method + "): offset 100: packet 2: rubbish after the end of the " + method + " stream"
			if len(frames) != 1 || err.Error() != want {
				t.Errorf("%s and %q: %d frames, %v", method, rubbish, len(frames), err)
			}
		}
	}
}

func TestBrokenStreams(t *testing.T) {
	data := noise(400)
	for method, compress := range compressed.By {
		packed := compress(data)
		packed[len(packed)-6] ^= 0xff // in or before the checksum of every format
		_, err := readAll(packed)
		if _, ok := errors.AsType[*FormatError](err); !ok || !strings.Contains(err.Error(), "broken "+method+" stream: ") {
			t.Errorf("%s: %v", method, err)
		}
	}
	packed := compressed.By["gzip"]([]byte("no capture"))
	_, err := readAll(packed)
	if want := `read x (gzip): not a pcap or pcapng file (it starts with the text "no capture")`; err == nil || err.Error() != want {
		t.Errorf("text inside gzip: %v", err)
	}
}
