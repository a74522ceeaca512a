package capture

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/testdata/compressed"
)

// The bound of docs/limits.md on what reading and decoding a savefile allocates in all: an
// amount at once, and a number of octets for each octet of the file or of its packets,
// whichever are more.
const (
	allocatedAtOnce = 16 << 20
	allocatedEach   = 8
	// Only a frame of which 64 KiB have come, or all, gets a window of more than 8 MiB.
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

// allocated returns what reading a savefile allocates, and how many octets its packets have.
// windows says that its compression may use a window of more than 8 MiB.
func allocated(data []byte) (all, octets uint64, windows bool) {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f, err := newFile(bytes.NewReader(data), "x", nil, -1)
	if err == nil {
		windows = f.compression == "zstd" && len(data) >= 64<<10
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

// TestAllocation cuts captures anywhere and changes octets in them, and compresses them before
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
			data = compressed.By[method](data)
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
	manyFaces := newNgFile(lsbFirst)
	for range MaxInterfaces {
		manyFaces.face(1, 1<<32-1)
	}
	pcap := newPcapFile(lsbFirst, magicMicro, 1)
	for name, data := range map[string][]byte{
		"a packet of 16 MiB":              pcap.claim(0, 0, MaxPacket, MaxPacket, nil).data,
		"a block of 17 MiB":               append(newNgFile(lsbFirst).data, 6, 0, 0, 0, 0, 0, 0x10, 1, 0, 0, 0, 0),
		"a block of 4 GiB to skip":        append(newNgFile(lsbFirst).data, 9, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0),
		"all the interfaces there may be": manyFaces.data,
	} {
		checkAllocation(t, name, data)
	}
}
