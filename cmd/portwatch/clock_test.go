package main

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/capture"
)

// saveIPv4 writes a savefile of packets, each given as "SECONDS SOURCE DESTINATION" with the
// endpoints of a datagram or the addresses of an ICMP echo.
func saveIPv4(t *testing.T, packets ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "clock.pcap")
	s, err := capture.NewSaver(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range packets {
		var seconds float64
		var source, destination string
		if _, err := fmt.Sscan(text, &seconds, &source, &destination); err != nil {
			t.Fatal(err)
		}
		b := []byte{0, 2, 0, 0, 0, 1, 0, 2, 0, 0, 0, 2, 8, 0, 0x45, 0, 0, 28, 0, 0, 0, 0, 64, 1, 0, 0}
		payload := []byte{8, 0, 0, 0, 0, 1, 0, 1}
		if strings.Contains(source, ":") {
			from, to := netip.MustParseAddrPort(source), netip.MustParseAddrPort(destination)
			source, destination = from.Addr().String(), to.Addr().String()
			b[14+9] = 17
			payload = binary.BigEndian.AppendUint16(nil, from.Port())
			payload = append(binary.BigEndian.AppendUint16(payload, to.Port()), 0, 8, 0, 0)
		}
		b = append(b, netip.MustParseAddr(source).AsSlice()...)
		b = append(b, netip.MustParseAddr(destination).AsSlice()...)
		b = append(b, payload...)
		const began = 1_700_000_000
		f := capture.Frame{Data: b, Length: uint32(len(b)), Time: began*1e9 + int64(seconds*1e9), Link: capture.LinkEthernet}
		if err := s.Write(&f); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestClockWithoutPorts: packets of any kind move the clock.
func TestClockWithoutPorts(t *testing.T) {
	for _, test := range []struct {
		name    string
		packets []string
		want    string
	}{
		{"behind the last datagram", []string{"0 10.0.0.1:40001 10.0.0.2:40002", "600 10.0.0.1 10.0.0.2"}, `"end_reason":"idle-timeout"`},
		{"not long behind it", []string{"0 10.0.0.1:40001 10.0.0.2:40002", "20 10.0.0.1 10.0.0.2"}, `"end_reason":"forced-end"`},
		{"before the first one", []string{"0 10.0.0.1 10.0.0.2", "120 10.0.0.1:40001 10.0.0.2:40002"}, `"method":"first-packet","confidence":"medium"`},
		{"none before it", []string{"120 10.0.0.1:40001 10.0.0.2:40002"}, `"method":"first-packet","confidence":"low"`},
	} {
		for _, workers := range []string{"1", "2"} {
			out, stderr, status := runCommand(t, "-q", "-o", "ecs", "--no-alerts", "--workers", workers, "-r", saveIPv4(t, test.packets...))
			if status != exitDone || !strings.Contains(string(out), test.want) {
				t.Errorf("%s: status %d, %s%s, want %s", test.name, status, out, stderr, test.want)
			}
		}
	}
}

// TestClockBefore1970: a time before the epoch is one like any other, for Flows and for alerts,
// also where each packet is handed over alone.
func TestClockBefore1970(t *testing.T) {
	path := saveIPv4(t, "-1.8e9 10.0.0.1:40001 10.0.0.2:4", "-1799999990 10.0.0.1:40001 10.0.0.2:4", "-1799999900 10.0.0.1:40002 10.0.0.2:4")
	out, stderr, status := runCommand(t, "-q", "-o", "ecs", "-l", "-c", "3", "-r", path)
	if status != exitDone {
		t.Errorf("status %d, %s", status, stderr)
	}
	for _, once := range []string{`"end_reason":"idle-timeout"`, `"end_reason":"forced-end"`, `"update":false`, `"update":true`} {
		if n := strings.Count(string(out), once); n != 1 {
			t.Errorf("%d times %s in %s", n, once, out)
		}
	}
}

// TestDurationOfCenturies: packets whose times lie further apart than nanoseconds reach make
// the longest duration there is, and none that is negative.
func TestDurationOfCenturies(t *testing.T) {
	path := saveIPv4(t, "7e9 10.0.0.1:40001 10.0.0.2:4", "-9e9 10.0.0.1:40001 10.0.0.2:4")
	stats := filepath.Join(t.TempDir(), "stats")
	for format, want := range map[string]int{
		`ecs "duration":9223372036854775807`: 2, `ocsf "duration":9223372036854,`: 2, `zeek "duration":9223372036.854775,`: 1,
	} {
		format, text, _ := strings.Cut(format, " ")
		out, stderr, status := runCommand(t, "-q", "-o", format, "--stats", stats, "-r", path)
		if n := strings.Count(string(out), text); status != exitDone || n != want {
			t.Errorf("status %d, %d times %s in %s%s, want %d: record and alert", status, n, text, out, stderr, want)
		}
		for _, part := range []string{`"capture":9223372036.854776`, `"late_packets":1,`} {
			if counts := string(contents(stats)); !strings.Contains(counts, part) {
				t.Errorf("no %s in %s", part, counts)
			}
		}
	}
}

// TestWaited: live, packets are sent on a tenth of a second after the last ones were, also when
// the clock is set back.
func TestWaited(t *testing.T) {
	var r run
	for _, step := range []struct {
		time   time.Duration // of the newest packet
		waited bool
	}{
		{time.Hour, true},
		{time.Hour + 50*time.Millisecond, false},
		{time.Hour + 101*time.Millisecond, true},
		{time.Hour + 150*time.Millisecond, false},
		{time.Minute, true},
		{time.Minute + time.Millisecond, false},
	} {
		if waited := r.waited([]capture.Frame{{}, {Time: int64(step.time)}}); waited != step.waited {
			t.Errorf("%v: waited is %t", step.time, waited)
		}
	}
}

// TestLiveClockWithoutPorts: on a link that is never silent, but has nothing with ports on it,
// Flows end in time, and the file of -w has what came.
func TestLiveClockWithoutPorts(t *testing.T) {
	space := newNamespace(t)
	packets := []string{"0 10.0.0.1:40001 10.0.0.2:40002"}
	for i := range 500 {
		packets = append(packets, fmt.Sprintf("%.2f 10.0.0.1 10.0.0.2", 0.02*float64(i+1)))
	}
	path := saveIPv4(t, packets...)
	records, saved := filepath.Join(t.TempDir(), "records"), filepath.Join(t.TempDir(), "saved.pcap")
	stop := space.portwatch(t, "-i", "pw1", "-q", "-o", "none", "--no-alerts", "--idle-timeout", "1s",
		"--to", "file:"+records+"?format=ecs", "-w", saved)
	replay := space.command("tcpreplay", "--intf1=pw0", path)
	if err := replay.Start(); err != nil {
		t.Fatal(err)
	}
	defer replay.Wait()
	defer replay.Process.Kill()
	began := time.Now()
	waitFor(t, func() bool { return len(contents(records)) > 0 })
	if took := time.Since(began); took > 9*time.Second { // the replay takes 10
		t.Errorf("the record came after %v: it waits for silence", took)
	}
	if len(contents(saved)) < 1000 {
		t.Errorf("the file has %d octets", len(contents(saved)))
	}
	stop()
}
