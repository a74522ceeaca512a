package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestTruth compares the whole way from file to ECS record with what tshark read
// in captures of many kinds: every conversation, its packets and octets in both
// directions, and which side opened it.
func TestTruth(t *testing.T) {
	dir := captures(t)
	names := capturesIn(t, dir, "real")
	agree := 0
	for _, name := range names {
		base := filepath.Base(name)
		if t.Run(base, func(t *testing.T) { compareTruth(t, name, filepath.Join(dir, "truth", base+".tsv.gz")) }) {
			agree++
		}
	}
	t.Logf("truth: %d of %d captures agree in all conversations", agree, len(names))
}

// captures is the folder of captures that are not part of the repository.
func captures(t *testing.T) string {
	dir, ok := captureFolder()
	if !ok {
		t.Skipf("SKIPPED: no folder of reference captures at %s; PORTWATCH_CAPTURES names one", dir)
	}
	return dir
}

func captureFolder() (dir string, ok bool) {
	dir = os.Getenv("PORTWATCH_CAPTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "captures")
	}
	_, err := os.Stat(dir)
	return dir, err == nil
}

// capturesIn are the captures of one of its folders.
func capturesIn(t *testing.T, dir, folder string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, folder, "*.*cap*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no capture in %s of %s: %v", folder, dir, err)
	}
	return names
}

// differs are the captures where tshark and portwatch read something
// differently, and why.
var differs = map[string]string{}

func compareTruth(t *testing.T, capture, truth string) {
	if why, ok := differs[filepath.Base(capture)]; ok {
		t.Logf("read differently: %s", why)
		return
	}
	compareConversations(t, conversationsOf(t, capture, "outer"), readTruth(t, truth, "O"))
	if inner := readTruth(t, truth, "I"); len(inner) > 0 {
		compareConversations(t, conversationsOf(t, capture, "inner"), inner)
	}
}

func compareConversations(t *testing.T, got, want map[string]*conversation) {
	for key, w := range want {
		g := got[key]
		if g == nil {
			t.Errorf("%s: no record; want %d and %d packets", key, w.packets[0], w.packets[1])
			continue
		}
		if g.packets != w.packets || g.octets != w.octets {
			t.Errorf("%s: packets %v octets %v, want %v and %v", key, g.packets, g.octets, w.packets, w.octets)
		}
		if w.initiator >= 0 && g.sources[1-w.initiator] > 0 {
			t.Errorf("%s: %d of its Flows have the responder as their source", key, g.sources[1-w.initiator])
		}
		delete(got, key)
	}
	for key, g := range got {
		t.Errorf("%s: a conversation that tshark does not see, packets %v", key, g.packets)
	}
}

// A conversation is what one unordered pair of endpoints exchanged; index 0 is
// the smaller endpoint's side.
type conversation struct {
	endpoints       [2]netip.AddrPort
	packets, octets [2]uint64
	sources         [2]int // Flows that have this side as their source
	initiator       int    // of the truth: 0, 1, or -1 for unknown
	bySYN           bool   // the initiator is known by its SYN
	hint            string // tshark's name for the protocol above
}

func conversationKey(transport string, a, b netip.AddrPort) (key string, swapped bool) {
	if a.Compare(b) > 0 {
		a, b, swapped = b, a, true
	}
	return fmt.Sprintf("%s %s %s", transport, a, b), swapped
}

// readTruth reads the lines of one table: O has conversations by the outermost IP
// header, I by the innermost, in captures with tunnels.
func readTruth(t *testing.T, name, table string) map[string]*conversation {
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var columns map[string]int
	all := map[string]*conversation{}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), "\t")
		if cells[0] == "#"+table {
			columns = map[string]int{}
			for i, c := range cells {
				columns[c] = i
			}
		}
		if cells[0] != table {
			continue
		}
		number := func(column string) uint64 {
			n, err := strconv.ParseUint(cells[columns[column]], 10, 64)
			if err != nil {
				t.Fatalf("%s: column %s: %v", name, column, err)
			}
			return n
		}
		endpoint := func(side string) netip.AddrPort {
			return netip.AddrPortFrom(netip.MustParseAddr(cells[columns[side+"_addr"]]), uint16(number(side+"_port")))
		}
		a, b := endpoint("a"), endpoint("b")
		key, swapped := conversationKey(cells[columns["transport"]], a, b)
		c := &conversation{
			packets:   [2]uint64{number("pkts_ab"), number("pkts_ba")},
			octets:    [2]uint64{number("ip_bytes_ab"), number("ip_bytes_ba")},
			endpoints: [2]netip.AddrPort{a, b},
			initiator: strings.Index("AB", cells[columns["initiator"]]),
			bySYN:     cells[columns["initiator_by"]] == "syn",
			hint:      cells[columns["app_hint"]],
		}
		if swapped {
			c.endpoints[0], c.endpoints[1] = b, a
			c.packets[0], c.packets[1] = c.packets[1], c.packets[0]
			c.octets[0], c.octets[1] = c.octets[1], c.octets[0]
			if c.initiator >= 0 {
				c.initiator = 1 - c.initiator
			}
		}
		if a == b {
			c.initiator = -1
		}
		all[key] = c
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// conversationsOf runs the program on a capture and sums up its ECS records into
// conversations, without later fragments.
func conversationsOf(t *testing.T, capture, tunnels string) map[string]*conversation {
	stdout, _, status := runCommand(t, "-q", "-o", "ecs", "--no-alerts", "--tunnels", tunnels, "-r", capture)
	if status != exitDone {
		t.Fatalf("exit status %d", status)
	}
	all := map[string]*conversation{}
	for line := range bytes.Lines(stdout) {
		var r struct {
			Source, Destination struct {
				IP             netip.Addr
				Port           uint16
				Bytes, Packets uint64
			}
			Network   struct{ Transport string }
			Portwatch struct {
				Flow struct {
					LaterFragments struct {
						Source, Destination struct{ Packets, Bytes uint64 }
					} `json:"later_fragments"`
				}
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		a, b := netip.AddrPortFrom(r.Source.IP, r.Source.Port), netip.AddrPortFrom(r.Destination.IP, r.Destination.Port)
		key, swapped := conversationKey(r.Network.Transport, a, b)
		c := all[key]
		if c == nil {
			c = new(conversation)
			all[key] = c
		}
		from, to := 0, 1
		if swapped {
			from, to = 1, 0
		}
		later := r.Portwatch.Flow.LaterFragments
		c.packets[from] += r.Source.Packets - later.Source.Packets
		c.octets[from] += r.Source.Bytes - later.Source.Bytes
		c.packets[to] += r.Destination.Packets - later.Destination.Packets
		c.octets[to] += r.Destination.Bytes - later.Destination.Bytes
		c.sources[from]++
	}
	return all
}

// runCommand runs the program as a user types it, in this process.
func runCommand(t *testing.T, args ...string) (stdout, stderr []byte, status int) {
	t.Helper()
	open := func(name string) *os.File {
		f, err := os.Create(filepath.Join(t.TempDir(), name))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return f
	}
	out, err := open("stdout"), open("stderr")
	status = command(context.Background(), args, out, err)
	read := func(f *os.File) []byte {
		b, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return read(out), read(err), status
}
