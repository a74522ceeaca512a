package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// TestLaw reads every available capture, above all broken ones, and checks the law
// of the counters: a packet is in exactly one class, and the packets of the
// outermost Flows add up.
func TestLaw(t *testing.T) {
	dir := captures(t)
	for _, folder := range []string{"real", "malformed"} {
		for _, name := range capturesIn(t, dir, folder) {
			t.Run(filepath.Base(name), func(t *testing.T) { holdLaw(t, name) })
		}
	}
}

// counters are what --stats writes, as far as the law speaks of it.
type counters struct {
	Packets              map[string]uint64
	LaterFragmentsJoined uint64 `json:"later_fragments_joined"`
	Flows                struct {
		Created, Exported uint64
		ByEndReason       map[string]uint64 `json:"by_end_reason"`
	}
	Alerts, Limits map[string]uint64
}

func readCounters(t *testing.T, name string) (c counters) {
	t.Helper()
	line, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(line, &c); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	return c
}

func holdLaw(t *testing.T, capture string) {
	stats := filepath.Join(t.TempDir(), "stats.json")
	stdout, stderr, status := runCommand(t, "-q", "-o", "ecs", "--no-alerts", "--stats", stats, "-r", capture)
	if status != exitDone && (status != exitFailed || len(stderr) == 0) {
		t.Errorf("exit status %d, and on standard error %q", status, stderr)
	}
	if _, err := os.Stat(stats); status == exitFailed && os.IsNotExist(err) {
		return // no capture at all: there is nothing to count
	}
	c := readCounters(t, stats)
	var sum uint64
	for class, n := range c.Packets {
		if class != "read" {
			sum += n
		}
	}
	if sum != c.Packets["read"] {
		t.Errorf("the classes have %d packets, %d were read: %v", sum, c.Packets["read"], c.Packets)
	}
	if c.Limits["decoder_panics"] != 0 {
		t.Errorf("%d packets were more than the decoder could bear", c.Limits["decoder_panics"])
	}
	var records, outermost uint64
	for line := range bytes.Lines(stdout) {
		var r struct {
			Network   struct{ Packets uint64 }
			Portwatch struct{ Tunnel *struct{} }
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		records++
		if r.Portwatch.Tunnel == nil {
			outermost += r.Network.Packets
		}
	}
	if want := c.Packets["with_ports"] + c.LaterFragmentsJoined; outermost != want {
		t.Errorf("the outermost Flows have %d packets, want %d", outermost, want)
	}
	var ended uint64
	for _, n := range c.Flows.ByEndReason {
		ended += n
	}
	if records != c.Flows.Exported || records != ended {
		t.Errorf("%d records were written, %d counted as exported, %d by end reason", records, c.Flows.Exported, ended)
	}
}

// TestHalves reads a capture as two files: nothing in the output may show it.
func TestHalves(t *testing.T) {
	whole := filepath.Join("..", "..", "testdata", "office.pcap")
	data, err := os.ReadFile(whole)
	if err != nil {
		t.Fatal(err)
	}
	const fileHeader, packetHeader = 24, 16
	cut := fileHeader
	for cut < len(data)/2 {
		cut += packetHeader + int(binary.LittleEndian.Uint32(data[cut+8:]))
	}
	dir := t.TempDir()
	first, second := filepath.Join(dir, "1.pcap"), filepath.Join(dir, "2.pcap")
	if err := os.WriteFile(first, data[:cut], 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(second, append(data[:fileHeader:fileHeader], data[cut:]...), 0o666); err != nil {
		t.Fatal(err)
	}
	want, _, _ := runCommand(t, "-q", "-o", "ecs", "-r", whole)
	got, stderr, status := runCommand(t, "-q", "-o", "ecs", "-r", first, "-r", second)
	if status != exitDone || !bytes.Equal(got, want) || len(want) == 0 {
		t.Errorf("two halves give %d octets of records, the whole %d; status %d %s", len(got), len(want), status, stderr)
	}
}
