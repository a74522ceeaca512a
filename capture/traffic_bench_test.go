package capture_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"slices"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/testdata/bench/traffic"
)

// BenchmarkFile reads whole captures: what every packet costs before anything is done with it.
func BenchmarkFile(b *testing.B) {
	captures := traffic.Captures(b, "../testdata")
	for _, c := range captures {
		b.Run("capture="+c.Name+"/form=pcap", func(b *testing.B) { benchmarkFile(b, c, c.Path) })
	}
	mix := captures[len(captures)-1]
	for _, form := range []struct {
		name string
		to   func(io.Writer) io.WriteCloser
	}{
		{"gzip", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }},
		{"zstd", func(w io.Writer) io.WriteCloser {
			z, err := zstd.NewWriter(w)
			if err != nil {
				b.Fatal(err)
			}
			return z
		}},
		{"lz4", func(w io.Writer) io.WriteCloser { return lz4.NewWriter(w) }},
	} {
		path := compress(b, mix.Path, form.to)
		b.Run("capture=mix/form="+form.name, func(b *testing.B) { benchmarkFile(b, mix, path) })
	}
}

// compress writes a compressed copy of a file.
func compress(b *testing.B, name string, to func(io.Writer) io.WriteCloser) string {
	b.Helper()
	plain, err := os.ReadFile(name)
	if err != nil {
		b.Fatal(err)
	}
	var small bytes.Buffer
	w := to(&small)
	if _, err := w.Write(plain); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	path := name + ".compressed"
	if err := os.WriteFile(path, small.Bytes(), 0o600); err != nil {
		b.Fatal(err)
	}
	return path
}

// benchmarkFile reads a form of a capture at path; its octets are those of the plain one.
func benchmarkFile(b *testing.B, c traffic.Capture, path string) {
	info, err := os.Stat(c.Path)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(info.Size())
	b.ReportAllocs()
	for b.Loop() {
		file, err := capture.OpenFile(path)
		if err != nil {
			b.Fatal(err)
		}
		readAll(b, file, c.Packets)
	}
	traffic.Report(b, c.Packets)
}

// A source is a File or a Merged.
type source interface {
	Next(*capture.Frame) error
	Close() error
}

// readAll reads a source to its end, which comes after so many packets.
func readAll(b *testing.B, s source, packets int) {
	var f capture.Frame
	var err error
	n := 0
	for err = s.Next(&f); err == nil; err = s.Next(&f) {
		n++
	}
	if err != io.EOF || n != packets {
		b.Fatalf("%d packets, want %d; %v", n, packets, err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMerge reads one capture four times at once, so that each packet is compared with three.
func BenchmarkMerge(b *testing.B) {
	const files = 4
	c := traffic.Captures(b, "../testdata")[0]
	b.ReportAllocs()
	for b.Loop() {
		var opened []*capture.File
		for range files {
			file, err := capture.OpenFile(c.Path)
			if err != nil {
				b.Fatal(err)
			}
			opened = append(opened, file)
		}
		readAll(b, capture.Merge(opened...), files*c.Packets)
	}
	traffic.Report(b, files*c.Packets)
}

// BenchmarkDecoder decodes the first packets of each capture, which lie in memory.
func BenchmarkDecoder(b *testing.B) {
	const packets, batchSize = 20_000, 512
	for _, c := range traffic.Captures(b, "../testdata") {
		frames := first(b, c, packets)
		b.Run("capture="+c.Name, func(b *testing.B) {
			d := capture.NewDecoder(capture.DecoderOptions{})
			var batch flow.Batch
			b.ReportAllocs()
			for b.Loop() {
				for run := range slices.Chunk(frames, batchSize) {
					batch.Reset()
					d.Decode(run, &batch)
				}
			}
			traffic.Report(b, len(frames))
		})
	}
}

// first reads so many frames of a capture.
func first(b *testing.B, c traffic.Capture, packets int) []capture.Frame {
	b.Helper()
	file, err := capture.OpenFile(c.Path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	frames := make([]capture.Frame, packets)
	for i := range frames {
		if err := file.Next(&frames[i]); err != nil {
			b.Fatal(err)
		}
		frames[i].Data = bytes.Clone(frames[i].Data)
	}
	return frames
}
