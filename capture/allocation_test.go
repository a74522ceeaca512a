package capture

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/portwatch/portwatch/flow"
)

// The bound of docs/limits.md on what reading and decoding a savefile allocates in all: so
// much at once, and so many octets for each octet of the file or, where that is more, of its
// packets.
const (
	allocatedAtOnce = 16 << 20
	allocatedEach   = 8
	// More than 8 MiB of window are for a frame of which 64 KiB have come, or all.
	allocatedLargeWindows = 32<<20 + 128<<20 + 1<<20
)

func checkAllocation(t *testing.T, what string, data []byte) {
	t.Helper()
	all, octets, windows := allocated(data)
	bound := allocatedAtOnce + allocatedEach*max(uint64(len(data)), octets)
	if windows {
		bound += allocatedLargeWindows
	}
	if all > bound {
		t.Errorf("%s: a file of %d octets, with %d in its packets, took %d, more than %d", what, len(data), octets, all, bound)
	}
}

// allocated is what reading a savefile allocates, and how many octets its packets have.
// windows tells that the file may have larger ones than others.
func allocated(data []byte) (all, octets uint64, windows bool) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := newFile(bytes.NewReader(data), "x", nil, -1)
	if err == nil {
		windows = f.compression == "zstd" && len(data) >= zstdEvidence
		decoder := NewDecoder(DecoderOptions{})
		frames := make([]Frame, 8)
		var batch flow.Batch
		for n, err := f.Read(frames); err == nil; n, err = f.Read(frames) {
			batch.Reset()
			decoder.Decode(frames[:n], &batch)
			for i := range n {
				octets += uint64(len(frames[i].Data))
			}
		}
		f.Close()
	}
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc, octets, windows
}

// TestAllocation cuts captures anywhere, changes octets of theirs, and compresses them before
// or after that.
func TestAllocation(t *testing.T) {
	names, err := filepath.Glob("../testdata/*.pcap*")
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures of our own: %v", err)
	}
	for _, folder := range []string{"real", "malformed"} {
		found, err := filepath.Glob(filepath.Join(capturesFolder(t), folder, "*.*cap*"))
		if err != nil || len(found) == 0 {
			t.Fatalf("no captures in %s: %v", folder, err)
		}
		names = append(names, found...)
	}
	random := rand.New(rand.NewPCG(5, 6))
	mutations := 2000
	if testing.Short() {
		mutations = 200
	}
	for i := range mutations {
		name, method := names[random.IntN(len(names))], []string{"", "gzip", "zstd", "lz4"}[i%4]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		inside := i%8 < 4
		if inside {
			data = mutated(data, random)
		}
		if method != "" {
			data = compressors[method](data)
		}
		if !inside {
			data = mutated(data, random)
		}
		if checkAllocation(t, filepath.Base(name)+" "+method, data); t.Failed() {
			t.Fatalf("mutation %d", i)
		}
	}
}

// mutated cuts data, changes a few octets, or does both to its beginning, where the claims are.
func mutated(data []byte, random *rand.Rand) []byte {
	data = slices.Clone(data)
	kind := random.IntN(3)
	if kind == 0 {
		data = data[:random.IntN(len(data)+1)]
	}
	if kind == 1 {
		data = data[:min(len(data), random.IntN(200))]
	}
	if kind > 0 && len(data) > 0 {
		for range 1 + random.IntN(8) {
			data[random.IntN(len(data))] = byte(random.Uint32())
		}
	}
	return data
}

// TestClaims reads files that claim far more than they have.
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
	manyFaces := newNgFile(lsbFirst)
	for range MaxInterfaces {
		manyFaces.face(1, 1<<32-1)
	}
	pcap := newPcapFile(lsbFirst, magicMicro, 1)
	for name, data := range map[string][]byte{
		"a window, and nothing in it":      header(0, largest),
		"a window for one octet":           append(header(0, largest), raw...),
		"a segment of 128 MiB":             append(single, raw...),
		"larger and larger windows":        growing,
		"windows of any size":              larger,
		"a frame to skip":                  append(binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(nil, magicSkippable), 1<<32-1), header(0, largest)...),
		"LZ4 blocks of 4 MiB":              compressors["lz4"](nil)[:7],
		"a packet of 16 MiB":               pcap.claim(0, 0, MaxPacket, MaxPacket, nil).data,
		"a block of 17 MiB":                append(newNgFile(lsbFirst).data, 6, 0, 0, 0, 0, 0, 0x10, 1, 0, 0, 0, 0),
		"a block of 4 GiB to skip":         append(newNgFile(lsbFirst).data, 9, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0),
		"all the interfaces there may be":  manyFaces.data,
		"a name in gzip that does not end": append([]byte{0x1f, 0x8b, 8, 8, 0, 0, 0, 0, 0, 3}, bytes.Repeat([]byte{'x'}, 1<<20)...),
	} {
		checkAllocation(t, name, data)
	}
}

// TestWindows reads frames whose windows are rewritten, from those that refer to what is 16 MiB
// before, to small and empty ones.
func TestWindows(t *testing.T) {
	random := rand.New(rand.NewPCG(7, 8))
	file := newPcapFile(lsbFirst, magicMicro, 147)
	for i := range 6 {
		data := make([]byte, MaxPacket/4)
		for j := 0; i < 4 && j < len(data); j += 8 {
			binary.LittleEndian.PutUint64(data[j:], random.Uint64())
		}
		if i == 5 { // the first one again
			copy(data, file.data[pcapFileHeader+pcapPacketHeader:])
		}
		file.claim(uint32(i), 0, MaxPacket/4, MaxPacket/4, data)
	}
	want := mustRead(t, file.data)
	for name, options := range map[string][]zstd.EOption{
		"1 KiB":   {zstd.WithWindowSize(zstd.MinWindowSize), zstd.WithEncoderLevel(zstd.SpeedFastest)},
		"2 MiB":   {zstd.WithWindowSize(2 << 20), zstd.WithEncoderCRC(false)},
		"128 MiB": {zstd.WithWindowSize(128 << 20)},
		"single":  {zstd.WithWindowSize(128 << 20), zstd.WithSingleSegment(true)},
	} {
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, append(options, zstd.WithEncoderConcurrency(1))...)
		if err != nil {
			t.Fatal(err)
		}
		if name == "single" {
			w.ResetContentSize(&packed, int64(len(file.data)))
		}
		w.Write(file.data)
		w.Close()
		if frames, err := readAll(packed.Bytes()); len(frames) != len(want) || !sameFrames(frames, want) {
			t.Errorf("%s: %d frames of %d, %v", name, len(frames), len(want), err)
		}
	}
	for n := 0; n < 700; n += 7 {
		for _, more := range [][]byte{nil, compressors["zstd"](nil)} {
			data := append(noise(0), bytes.Repeat([]byte{7}, n)...)
			if got, err := decompressed(append(append(compressors["zstd"](data), more...), compressors["zstd"](data)...)); err != nil || !bytes.Equal(got, append(data, data...)) {
				t.Fatalf("%d octets: %d, %v", 2*len(data), len(got), err)
			}
		}
	}
}

func decompressed(data []byte) ([]byte, error) {
	src, _, err := decompress(bufio.NewReaderSize(bytes.NewReader(data), 64<<10))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(src)
}
