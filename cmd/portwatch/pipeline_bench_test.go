package main

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
	"github.com/portwatch/portwatch/testdata/bench/traffic"
)

// BenchmarkCommand is portwatch as typed, including its start, on one core and on all of them.
func BenchmarkCommand(b *testing.B) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer null.Close()
	for _, c := range traffic.Captures(b, "../../testdata") {
		for _, output := range []string{"none", "ecs", "text"} {
			for _, workers := range []string{"1", "all"} {
				b.Run("capture="+c.Name+"/output="+output+"/workers="+workers, func(b *testing.B) {
					args := []string{"-q", "--offline", "-r", c.Path, "-o", output}
					if workers != "all" {
						args = append(args, "--workers", workers)
					}
					b.ReportAllocs()
					for b.Loop() {
						if status := command(context.Background(), args, null, os.Stderr); status != exitDone {
							b.Fatalf("status %d", status)
						}
					}
					traffic.Report(b, c.Packets)
				})
			}
		}
	}
}

// BenchmarkStages takes the packets through one more stage each time: the difference between
// two figures is what the stage costs in its place.
func BenchmarkStages(b *testing.B) {
	reg := registry.Embedded()
	for _, c := range traffic.Captures(b, "../../testdata") {
		for last, name := range stageNames {
			b.Run("capture="+c.Name+"/upto="+name, func(b *testing.B) {
				b.ReportAllocs()
				records := 0
				for b.Loop() {
					records = newStages(b, c.Path, reg, last).run(b)
				}
				traffic.Report(b, c.Packets)
				b.ReportMetric(float64(records)/float64(c.Packets), "records/packet")
			})
		}
	}
}

var stageNames = []string{"read", "decode", "meter", "annotate", "ecs", "text"}

const (
	stageRead = iota
	stageDecode
	stageMeter
	stageAnnotate
	stageECS
	stageText // instead of ECS
)

// stages are those of the pipeline, without what surrounds them.
type stages struct {
	last      int
	file      *capture.File
	decoder   *capture.Decoder
	batch     flow.Batch
	table     *flow.Table
	annotator *annotate.Annotator
	format    format
	out       []byte
}

func newStages(b *testing.B, path string, reg *registry.Registry, last int) *stages {
	file, err := capture.OpenFile(path)
	if err != nil {
		b.Fatal(err)
	}
	s := &stages{last: last, file: file, decoder: capture.NewDecoder(capture.DecoderOptions{})}
	s.table = flow.NewTable(flow.Options{Assigned: assigned(reg)})
	s.annotator = annotate.New(reg)
	s.format = export.NewECS(reg, export.Options{})
	if last == stageText {
		s.format = export.NewText(export.TextOptions{})
	}
	return s
}

// run takes the whole file through the stages and counts the records.
func (s *stages) run(b *testing.B) (records int) {
	defer s.file.Close()
	frames := make([]capture.Frame, readSize)
	for {
		n, err := s.file.Read(frames)
		if err == io.EOF {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		if s.last < stageDecode {
			continue
		}
		s.decoder.Decode(frames[:n], &s.batch)
		if len(s.batch.Packets) >= loadSize {
			records += s.meter()
		}
	}
	if s.last < stageMeter {
		return 0
	}
	records += s.meter()
	s.table.Flush()
	return records + s.drain()
}

func (s *stages) meter() (records int) {
	if s.last >= stageMeter {
		s.table.Add(&s.batch)
		records = s.drain()
	}
	s.batch.Reset()
	return records
}

func (s *stages) drain() (records int) {
	var r flow.Record
	var annotated annotate.Record
	for ; s.table.Next(&r); records++ {
		if s.last >= stageAnnotate {
			s.annotator.Annotate(&annotated, &r)
		}
		if s.last >= stageECS {
			s.out = s.format.Append(s.out[:0], &annotated, uint64(records))
		}
	}
	return records
}
