package main

import (
	"bytes"
	"encoding/binary"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

var (
	scanner = netip.MustParseAddrPort("203.0.113.9:54321")
	scanned = netip.MustParseAddr("192.0.2.10")
)

// scan yields a SYN scan of all ports from 1 on, a port each 100 µs: of those three are open, the
// other odd ones refuse, and behind the even ones is a firewall that answers nothing.
func scan(yield func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64)) {
	for port := 1; port <= 65535; port++ {
		target, now := netip.AddrPortFrom(scanned, uint16(port)), int64(port)*100
		yield(scanner, target, flow.SYN, now)
		switch {
		case port == 22 || port == 80 || port == 443:
			yield(target, scanner, flow.SYN|flow.ACK, now+20)
			yield(scanner, target, flow.RST, now+40)
		case port%2 == 1:
			yield(target, scanner, flow.RST|flow.ACK, now+20)
		}
	}
}

// TestScan: a scan is attempts, not services, and nothing to be called for at night.
func TestScan(t *testing.T) {
	var batch flow.Batch
	scan(func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64) {
		k, reverse := flow.KeyOf(flow.TCP, from, to)
		p := flow.Packet{Key: k, Time: micros * 1000, Octets: 40, Flags: flags}
		if reverse {
			p.Marks = flow.Reverse
		}
		batch.Packets = append(batch.Packets, p)
	})
	reg := registry.Embedded()
	table, annotator := flow.NewTable(flow.Options{Assigned: assigned(reg)}), annotate.New(reg)
	table.Add(&batch)
	table.Flush()
	states := map[flow.State]int{}
	var r flow.Record
	var annotated annotate.Record
	for table.Next(&r) {
		annotator.Annotate(&annotated, &r)
		states[r.State]++
		if r.Source.Endpoint != scanner || r.Direction.Method != flow.Handshake {
			t.Fatalf("%v -> %v by %v", r.Source.Endpoint, r.Destination.Endpoint, r.Direction.Method)
		}
		if severity := annotated.Severity(); severity > 20 {
			t.Errorf("%v: severity %d, state %v", r.Destination.Endpoint, severity, r.State)
		}
	}
	want := map[flow.State]int{flow.Attempt: 32765, flow.Rejected: 32767, flow.Reset: 3}
	if !maps.Equal(states, want) {
		t.Errorf("states %v, want %v", states, want)
	}
}

// TestScanSummary: a person reads a few lines about it.
func TestScanSummary(t *testing.T) {
	var file bytes.Buffer
	le, be := binary.LittleEndian, binary.BigEndian
	file.Write(le.AppendUint32(le.AppendUint32(nil, 0xa1b2c3d4), 2|4<<16))
	file.Write(append(make([]byte, 8), 0, 0, 4, 0, 101, 0, 0, 0)) // snapshot length, LINKTYPE_RAW
	scan(func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64) {
		b := le.AppendUint32(nil, uint32(1_800_000_000+micros/1e6))
		b = le.AppendUint32(b, uint32(micros%1e6))
		b = append(b, 40, 0, 0, 0, 40, 0, 0, 0)
		b = append(b, 0x45, 0, 0, 40, 0, 0, 0, 0, 64, 6, 0, 0)
		b = append(append(b, from.Addr().AsSlice()...), to.Addr().AsSlice()...)
		b = be.AppendUint16(be.AppendUint16(b, from.Port()), to.Port())
		file.Write(append(b, 0, 0, 0, 0, 0, 0, 0, 0, 5<<4, byte(flags), 4, 0, 0, 0, 0, 0))
	})
	name := filepath.Join(t.TempDir(), "scan.pcap")
	if err := os.WriteFile(name, file.Bytes(), 0o666); err != nil {
		t.Fatal(err)
	}
	_, got, status := runCommand(t, "-o", "none", "-r", name)
	if status != exitDone {
		t.Fatalf("exit status %d: %s", status, got)
	}
	got = regexp.MustCompile(`read in .*`).ReplaceAll(got, []byte("read in TIME"))
	golden := filepath.Join("testdata", "scan.golden")
	if *update {
		if err := os.WriteFile(golden, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
