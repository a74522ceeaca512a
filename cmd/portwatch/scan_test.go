package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
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

// scan yields a SYN scan of all ports from 1 on, one every 100 µs: three are open, the other odd
// ones refuse, and the even ones are behind a firewall that answers nothing.
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

// TestScan: a scan is attempts, not services, and not severe.
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

// probes yields packets of a scan.
type probes func(yield func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64))

// savefile writes the packets as a capture, and returns its name.
func (p probes) savefile(t *testing.T) string {
	t.Helper()
	var file bytes.Buffer
	le, be := binary.LittleEndian, binary.BigEndian
	file.Write(le.AppendUint32(le.AppendUint32(nil, 0xa1b2c3d4), 2|4<<16))
	file.Write(append(make([]byte, 8), 0, 0, 4, 0, 101, 0, 0, 0)) // snapshot length, LINKTYPE_RAW
	p(func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64) {
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
	return name
}

// TestScanSummary: the summary of a scan is only a few lines long.
func TestScanSummary(t *testing.T) {
	_, got, status := runCommand(t, "-o", "none", "-r", probes(scan).savefile(t))
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

// sweep is a SYN to one port of each of 65,536 hosts, none of which answers.
func sweep(yield func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64)) {
	for host := range 65536 {
		addr := netip.AddrFrom4([4]byte{198, 18, byte(host >> 8), byte(host)})
		yield(scanner, netip.AddrPortFrom(addr, 42000), flow.SYN, int64(host)*100)
	}
}

// tarpit is a SYN scan of a host that accepts on every port.
func tarpit(yield func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64)) {
	for port := 1; port <= 65535; port++ {
		target, now := netip.AddrPortFrom(scanned, uint16(port)), int64(port)*100
		yield(scanner, target, flow.SYN, now)
		yield(target, scanner, flow.SYN|flow.ACK, now+20)
		yield(scanner, target, flow.RST, now+40)
	}
}

// TestScanAlerts: no scan, however wide, makes more than a few alerts, and a scan that
// finds nothing makes no severe one.
func TestScanAlerts(t *testing.T) {
	type counts map[string]int
	for _, test := range []struct {
		name     string
		probes   probes
		states   counts
		severity int // at most
		scopes   counts
	}{
		{"ports of a host", scan, counts{"attempt": 32765, "rejected": 32767, "reset": 3}, 20, counts{"attempts": 6}},
		{"hosts", sweep, counts{"attempt": 65536}, 20, counts{"attempts": 4, "sweep": 4}},
		{"tarpit", tarpit, counts{"reset": 65535}, 60, counts{"service": 12, "services": 6}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stats := filepath.Join(t.TempDir(), "stats.json")
			stdout, stderr, status := runCommand(t, "-o", "ecs", "--stats", stats, "-r", test.probes.savefile(t))
			if lines := bytes.Count(stderr, []byte("\n")); status != exitDone || lines >= 40 {
				t.Errorf("exit status %d, a summary of %d lines:\n%s", status, lines, stderr)
			}
			states, scopes, alerts := counts{}, counts{}, uint64(0)
			for line := range bytes.Lines(stdout) {
				var r struct {
					Event struct {
						Kind               string
						Severity, Sequence int
					}
					Portwatch struct {
						Flow  struct{ State string }
						Alert struct{ Scope string }
					}
				}
				if err := json.Unmarshal(line, &r); err != nil {
					t.Fatalf("%v in %s", err, line)
				}
				if r.Event.Severity > test.severity {
					t.Errorf("severity %d in %s", r.Event.Severity, line)
				}
				numbers, one := states, r.Portwatch.Flow.State
				if r.Event.Kind == "alert" {
					numbers, one = scopes, r.Portwatch.Alert.Scope
					alerts++
				}
				numbers[one]++
				if total := sum(numbers); r.Event.Sequence != total {
					t.Fatalf("number %d of its kind has sequence %d", total, r.Event.Sequence)
				}
			}
			if !maps.Equal(states, test.states) || !maps.Equal(scopes, test.scopes) || alerts >= 20 {
				t.Errorf("states %v, alerts %v, want %v and %v", states, scopes, test.states, test.scopes)
			}
			if c := readCounters(t, stats); c.Alerts["opened"]+c.Alerts["updated"] != alerts {
				t.Errorf("%d alerts were written, %v counted", alerts, c.Alerts)
			}
		})
	}
}

// services is a thousand services, each used twice, half an hour apart.
func services(yield func(from, to netip.AddrPort, flags flow.TCPFlags, micros int64)) {
	for i := range 2000 {
		client := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), 51514)
		service := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 9, byte(i % 1000 >> 8), byte(i % 1000)}), 42001)
		now := int64(i) * 900_000
		yield(client, service, flow.SYN, now)
		yield(service, client, flow.SYN|flow.ACK, now+20)
		yield(client, service, flow.RST, now+40)
	}
}

// TestManyAlerts: an opening and an update for each service, even if more of them come
// at once than a chunk has room for; the same bytes with any number of cores.
func TestManyAlerts(t *testing.T) {
	capture := probes(services).savefile(t)
	want, _, status := runCommand(t, "-q", "-o", "ecs", "--workers", "1", "-r", capture)
	if status != exitDone {
		t.Fatalf("exit status %d", status)
	}
	for _, workers := range []string{"2", "4"} {
		if got, _, _ := runCommand(t, "-q", "-o", "ecs", "--workers", workers, "-r", capture); !bytes.Equal(got, want) {
			t.Errorf("%s workers write %d octets, one writes %d, or others", workers, len(got), len(want))
		}
	}
	ids := map[string]int{}
	for line := range bytes.Lines(want) {
		if id := regexp.MustCompile(`"dataset":"portwatch.alert".*?"id":"([0-9a-f]+)-([01])"`).FindSubmatch(line); id != nil {
			ids[string(id[1])] += 1 + 9*int(id[2][0]-'0')
		}
	}
	if len(ids) != 1000 {
		t.Errorf("%d alerts, want one of each service", len(ids))
	}
	for id, seen := range ids {
		if seen != 11 {
			t.Errorf("alert %s: %d openings, %d updates", id, seen%10, seen/10)
		}
	}
}

func sum(counts map[string]int) (n int) {
	for _, one := range counts {
		n += one
	}
	return n
}
