package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// TestWorkers wants the same bytes from any number of cores, in every format.
func TestWorkers(t *testing.T) {
	names := append(ownCaptures(t), flows(t, 3*chunkSize))
	if dir, ok := captureFolder(); ok && !testing.Short() {
		names = append(names, capturesIn(t, dir, "real")...)
	}
	for _, name := range names {
		for _, format := range formats {
			want, _, _ := runCommand(t, "-q", "--utc", "--workers", "1", "-o", format, "-r", name)
			for _, workers := range []int{2, 8} {
				got, _, _ := runCommand(t, "-q", "--utc", "--workers", fmt.Sprint(workers), "-o", format, "-r", name)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: %d workers write %d octets of %s, one writes %d, or others", name, workers, len(got), format, len(want))
				}
			}
		}
	}
}

// TestFlagged: of many records those with a finding are written, and no others.
func TestFlagged(t *testing.T) {
	path := flows(t, 2000)
	for _, workers := range []string{"1", "3"} {
		args := []string{"-q", "--offline", "--no-alerts", "-r", path, "-o", "ecs", "--workers", workers}
		all, _, _ := runCommand(t, args...)
		flagged, _, _ := runCommand(t, append(args, "--flagged")...)
		lines, finding := []byte("\n"), []byte(`"findings":[{`)
		want, got := bytes.Count(all, finding), bytes.Count(flagged, lines)
		if got != want || bytes.Count(flagged, finding) != want || want == 0 || want == bytes.Count(all, lines) {
			t.Errorf("%s workers: %d lines, want %d of %d", workers, got, want, bytes.Count(all, lines))
		}
	}
}

// TestNothingIsLeftLying: what has ended is written while the reader waits for more,
// whatever the number of workers and wherever a load is when the pipe falls silent.
func TestNothingIsLeftLying(t *testing.T) {
	const idle = 20 * time.Millisecond
	path := flows(t, 20_000)
	packets, before, want := lastDue(t, path, idle)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	last := len(beginning(whole, packets-1))
	whole = beginning(whole, packets)
	if err := os.WriteFile(path, whole, 0o666); err != nil {
		t.Fatal(err)
	}
	all, _, _ := runCommand(t, "-q", "-r", path, "-o", "ecs", "--no-alerts", "--idle-timeout", idle.String())
	if most := bytes.Count(all, []byte("\n")); want < most/2 || want == most {
		t.Fatalf("%d of %d records are due before the end: no good test", want, most)
	}
	for _, workers := range []string{"1", "2", "3", "8"} {
		out, err := os.Create(filepath.Join(t.TempDir(), workers))
		if err != nil {
			t.Fatal(err)
		}
		c := portwatch("-r", "-", "-l", "-o", "ecs", "--no-alerts", "--idle-timeout", idle.String(), "--workers", workers)
		c.Stdout = out
		in := begin(t, c)
		written := func() int { return bytes.Count(contents(out.Name()), []byte("\n")) }
		in.Write(whole[:last])
		waitFor(t, func() bool { return written() >= before })
		in.Write(whole[last:]) // by now all may be asleep
		waitFor(t, func() bool { return written() >= want })
		if n := written(); n != want {
			t.Errorf("%s workers: %d records are written, %d were due", workers, n, want)
		}
		in.Close()
		if err := c.Wait(); err != nil {
			t.Errorf("%s workers: %v: %s", workers, err, c.Stderr)
		}
		if !bytes.Equal(contents(out.Name()), all) {
			t.Errorf("%s workers write something else from a pipe", workers)
		}
		out.Close()
	}
}

// writes tells of each Write.
type writes chan int

func (w writes) Write(b []byte) (int, error) { w <- len(b); return len(b), nil }
func (writes) Close() error                  { return nil }

// TestEachLoadIsWritten is the same without a pipe, so often that workers meet at every turn:
// what a load ends is written while the reader waits for the next one.
func TestEachLoadIsWritten(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8 * runtime.NumCPU()))
	loads := 20_000
	if testing.Short() {
		loads = 2000
	}
	for _, workers := range []int{1, 2, 3, 8} {
		out := make(writes, 1)
		w := &writer{renderings: []*rendering{{newFormat: newECS, places: []*place{{w: out}}}}}
		p := newPipeline(workers, false, &meter{table: flow.NewTable(flow.Options{}), eager: true}, newTagger(), w)
		key, _ := flow.KeyOf(flow.TCP, scanner, netip.AddrPortFrom(scanned, 443))
		for i := range loads {
			now := int64(i+1) * int64(time.Hour)
			p.load.Packets = append(p.load.Packets, flow.Packet{Key: key, Time: now, Flags: flow.SYN, Octets: 40})
			p.load.now = now + int64(time.Minute)
			p.send()
			select {
			case <-out:
			case <-time.After(20 * time.Second):
				t.Fatalf("%d workers: the record of load %d is not written", workers, i)
			}
		}
		p.finish(0)
	}
}

// lastDue is the last of a savefile's packets with which records become due, and how many
// records are, before it and with it.
func lastDue(t *testing.T, path string, idle time.Duration) (packets, before, records int) {
	t.Helper()
	f, err := capture.OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var (
		frame   capture.Frame
		batch   flow.Batch
		record  flow.Record
		decoder = capture.NewDecoder(capture.DecoderOptions{})
		table   = flow.NewTable(flow.Options{IdleTimeout: idle})
	)
	for n := 1; f.Next(&frame) == nil; n++ {
		batch.Reset()
		decoder.Decode([]capture.Frame{frame}, &batch)
		table.Add(&batch)
		for all := records; table.Next(&record); records++ {
			packets, before = n, all
		}
	}
	return packets, before, records
}

// beginning returns the header of a pcap file and the given number of its packets.
func beginning(capture []byte, packets int) []byte {
	end := 24
	for range packets {
		end += 16 + int(binary.LittleEndian.Uint32(capture[end+8:]))
	}
	return capture[:end]
}

// TestCrewEnds runs the program so often that workers meet in every possible way: none may
// sleep while there is work, or forever. With more threads than cores, each may be stopped
// at any point.
func TestCrewEnds(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(8 * runtime.NumCPU()))
	runs := 1000
	if testing.Short() {
		runs = 100
	}
	name := filepath.Join("..", "..", "testdata", "office.pcap")
	want, _, _ := runCommand(t, "-q", "-o", "csv", "-r", name, "--workers", "1")
	for i := range runs {
		got := make(chan []byte, 1)
		workers := fmt.Sprint([...]int{2, 3, 8}[i%3])
		go func() {
			text, _, _ := runCommand(t, "-q", "-o", "csv", "-r", name, "--workers", workers)
			got <- text
		}()
		select {
		case text := <-got:
			if !bytes.Equal(text, want) {
				t.Fatalf("%s workers, run %d: %d octets, want %d", workers, i, len(text), len(want))
			}
		case <-time.After(time.Minute):
			t.Fatalf("%s workers, run %d: no end", workers, i)
		}
	}
}
