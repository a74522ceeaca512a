package main

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// TestMutations cuts captures anywhere and changes octets in them: whatever a file
// contains, compressed or not, the program ends soon and cleanly, with counters that keep
// the law. The captures are those of the folder, if it exists, and our own.
func TestMutations(t *testing.T) {
	names := ownCaptures(t)
	if dir, ok := captureFolder(); ok {
		for _, folder := range []string{"real", "malformed"} {
			names = append(names, capturesIn(t, dir, folder)...)
		}
	}
	mutations, limit := 2000, time.Second
	if testing.Short() { // under the race detector, which makes it ten times slower
		mutations, limit = 200, 20*time.Second
	}
	random := rand.New(rand.NewPCG(3, 4))
	broken := filepath.Join(t.TempDir(), "broken")
	for i := range mutations {
		name := names[random.IntN(len(names))]
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		pack := packers[i%len(packers)]
		inside := random.IntN(2) == 0
		if !inside {
			data = packed(t, pack, data)
		}
		what := mutate(data, random)
		if inside {
			what.data = packed(t, pack, what.data)
		}
		if err := os.WriteFile(broken, what.data, 0o666); err != nil {
			t.Fatal(err)
		}
		// Processor time, which a busy machine does not stretch: a second of it is a
		// hundred times what such a file takes.
		begin := processorTime()
		holdLaw(t, broken)
		if took := processorTime() - begin; took > limit {
			t.Errorf("took %v", took)
		}
		if t.Failed() {
			t.Fatalf("mutation %d of %s, packer %d, inside %t: %s", i, filepath.Base(name), i%len(packers), inside, what.done)
		}
	}
}

// packers compress a capture, or leave it as it is.
var packers = []func(io.Writer) (io.WriteCloser, error){
	nil,
	func(w io.Writer) (io.WriteCloser, error) { return gzip.NewWriter(w), nil },
	nil,
	func(w io.Writer) (io.WriteCloser, error) { return zstd.NewWriter(w) },
	nil,
	func(w io.Writer) (io.WriteCloser, error) { return lz4.NewWriter(w), nil },
}

func packed(t *testing.T, pack func(io.Writer) (io.WriteCloser, error), data []byte) []byte {
	t.Helper()
	if pack == nil {
		return data
	}
	var b bytes.Buffer
	w, err := pack(&b)
	if err == nil {
		_, err = w.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

type mutation struct {
	data []byte
	done string
}

// mutate breaks a file in one of the ways in which files break.
func mutate(data []byte, random *rand.Rand) mutation {
	switch at := random.IntN(len(data) + 1); random.IntN(3) {
	case 0:
		data = data[:at]
		return mutation{data, fmt.Sprintf("cut at %d", at)}
	case 1: // a few octets anywhere: lengths, magic numbers, addresses
		n := 1 + random.IntN(20)
		for range n {
			if len(data) > 0 {
				data[random.IntN(len(data))] = byte(random.Uint32())
			}
		}
		return mutation{data, fmt.Sprintf("%d octets changed", n)}
	default: // a run of octets, most often all ones or all zeros
		fill := []byte{0, 0xff, byte(random.Uint32())}[random.IntN(3)]
		end := min(len(data), at+1+random.IntN(16))
		for i := at; i < end; i++ {
			data[i] = fill
		}
		return mutation{data, fmt.Sprintf("octets %d to %d are %#x", at, end, fill)}
	}
}

// ownCaptures are the repository's.
func ownCaptures(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join("..", "..", "testdata", "*.pcap*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no captures of our own: %v", err)
	}
	return names
}
