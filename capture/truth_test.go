package capture

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// disagreements are the captures that we and tshark read differently, and why.
// One that agrees after all fails the test: it must leave the list.
var disagreements = map[string]string{}

// capturesFolder returns the folder of real captures and what tshark says of them,
// which is too large to be part of the repository.
func capturesFolder(t *testing.T) string {
	t.Helper()
	folder := os.Getenv("PORTWATCH_CAPTURES")
	if folder == "" {
		folder = "../../shared/captures"
	}
	if _, err := os.Stat(folder); err != nil {
		t.Skipf("NOT TESTED: no captures to compare with: %v (PORTWATCH_CAPTURES names their folder)", err)
	}
	return folder
}

// TestTruth compares the classes of all packets, and packets and octets of all
// conversations, with what tshark read in the same captures.
func TestTruth(t *testing.T) {
	folder := capturesFolder(t)
	files, err := filepath.Glob(filepath.Join(folder, "truth", "*.tsv.gz"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no truth files in %s: %v", folder, err)
	}
	agree := 0
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".tsv.gz")
		t.Run(name, func(t *testing.T) {
			want := readTruth(t, file)
			got := measure(filepath.Join(folder, "real", name), len(want.inner) > 0 || want.classes["tunnelled"] > 0)
			differences := got.differences(want)
			reason, expected := disagreements[name]
			switch {
			case len(differences) == 0 && expected:
				t.Errorf("agrees, and yet is listed as a disagreement: %s", reason)
			case len(differences) == 0:
				agree++
			case expected:
				t.Logf("%d differences: %s", len(differences), reason)
			default:
				t.Errorf("%d differences:\n%s", len(differences), strings.Join(differences[:min(len(differences), 20)], "\n"))
			}
		})
	}
	t.Logf("truth: %d of %d captures agree", agree, len(files))
}

// TestMalformed decodes what broke other programs: every packet is in exactly one class, and
// none makes a layer fail in a way that nobody foresaw.
func TestMalformed(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(capturesFolder(t), "malformed", "*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no malformed captures: %v", err)
	}
	decoded := 0
	for _, name := range files {
		d := NewDecoder(DecoderOptions{})
		var batch flow.Batch
		read := uint64(0)
		for frame := range framesOf(name) {
			read++
			batch.Reset()
			d.one(frame, &batch)
		}
		if c := d.Counters(); c.Read() != read || c.Panics != 0 {
			t.Errorf("%s: %d packets in classes, %d read; %d panics", name, c.Read(), read, c.Panics)
		}
		decoded += int(read)
	}
	t.Logf("%d packets of %d files", decoded, len(files))
	if decoded == 0 {
		t.Error("no packet was decoded")
	}
}

// TestMutated changes and cuts real frames at random, the same way every time: each is still
// in exactly one class, of a bounded number of levels, and no layer panics.
func TestMutated(t *testing.T) {
	folder := capturesFolder(t)
	random := rand.New(rand.NewPCG(1, 2))
	for _, set := range []string{"real", "malformed"} {
		files, err := filepath.Glob(filepath.Join(folder, set, "*cap*"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no %s captures: %v", set, err)
		}
		for _, name := range files {
			d := NewDecoder(DecoderOptions{})
			decoded := uint64(0)
			for frame := range framesOf(name) {
				var batch flow.Batch
				mutate(random, frame)
				d.one(frame, &batch)
				decoded++
				if len(batch.Tunnels) > maxNesting {
					t.Fatalf("%s: %d tunnels in a frame: %x", name, len(batch.Tunnels), frame.Data)
				}
			}
			if c := d.Counters(); c.Read() != decoded || c.Panics != 0 {
				t.Errorf("%s: %d packets in classes, %d read; %d panics", name, c.Read(), decoded, c.Panics)
			}
		}
	}
}

// mutate changes a few octets of the headers, and cuts one frame of four.
func mutate(random *rand.Rand, f *Frame) {
	data := bytes.Clone(f.Data)
	if len(data) == 0 {
		return
	}
	for range 1 + random.IntN(4) {
		data[random.IntN(min(len(data), 120))] = byte(random.Uint32())
	}
	if random.IntN(4) == 0 {
		data = data[:random.IntN(len(data))]
	}
	f.Data = slices.Clip(data)
}

// framesOf are the frames of a savefile, as far as it can be read.
func framesOf(name string) iter.Seq[*Frame] {
	return func(yield func(*Frame) bool) {
		file, err := OpenFile(name)
		if err != nil {
			return
		}
		defer file.Close()
		var frame Frame
		for file.Next(&frame) == nil && yield(&frame) {
		}
	}
}

// A truth is what is known of one capture: by tshark, or by us.
type truth struct {
	classes      map[string]uint64
	outer, inner conversations
}

// conversations have the packets of each pair of endpoints. Their keys have
// neither VLAN nor tunnel.
type conversations map[flow.Key]*conversation

// A conversation counts what the Key's first endpoint sent, and what the second.
type conversation [2]sent

type sent struct{ packets, octets, laterFragments uint64 }

// at returns the conversation of two endpoints, and the index of the first one.
func (c conversations) at(t flow.Transport, from, to netip.AddrPort) (*conversation, int) {
	key, reverse := flow.KeyOf(t, from, to)
	if c[key] == nil {
		c[key] = new(conversation)
	}
	if reverse {
		return c[key], 1
	}
	return c[key], 0
}

// add counts packets of a batch.
func (c conversations) add(packets []flow.Packet) {
	for _, p := range packets {
		if p.Marks&flow.Unreachable != 0 {
			continue
		}
		from, to := p.Key.Endpoints()
		if p.Marks&flow.Reverse != 0 {
			from, to = to, from
		}
		conversation, sender := c.at(p.Key.Transport(), from, to)
		n := &conversation[sender]
		if p.Marks&flow.LaterFragment != 0 {
			n.laterFragments++
			continue
		}
		n.packets++
		n.octets += uint64(p.Octets)
	}
}

// differences tells where got and want differ, a line each.
func (got *truth) differences(want *truth) (lines []string) {
	for class := range want.classes {
		if g, w := got.classes[class], want.classes[class]; g != w && class != "tunnelled" {
			lines = append(lines, fmt.Sprintf("%s: %d, tshark %d", class, g, w))
		}
	}
	lines = append(lines, got.outer.differences("outer", want.outer)...)
	return append(lines, got.inner.differences("inner", want.inner)...)
}

func (got conversations) differences(view string, want conversations) (lines []string) {
	describe := func(key flow.Key, c *conversation) string {
		a, b := key.Endpoints()
		return fmt.Sprintf("%s %s %s %s %v", view, key.Transport(), a, b, *c)
	}
	for key, w := range want {
		switch g := got[key]; {
		case g == nil:
			lines = append(lines, describe(key, w)+" is missing")
		case *g != *w:
			lines = append(lines, describe(key, g)+fmt.Sprintf(", tshark %v", *w))
		}
	}
	for key, g := range got {
		if want[key] == nil {
			lines = append(lines, describe(key, g)+" is unknown to tshark")
		}
	}
	return lines
}

// measure decodes a capture twice: for all levels and, where there are
// tunnels, for the innermost ones.
func measure(name string, tunnels bool) *truth {
	got := &truth{outer: make(conversations), inner: make(conversations)}
	decoder := NewDecoder(DecoderOptions{Tunnels: Outer})
	decodeFile(name, decoder, func(packets []flow.Packet) { got.outer.add(packets) })
	if tunnels {
		inner := NewDecoder(DecoderOptions{Tunnels: Inner})
		decodeFile(name, inner, func(packets []flow.Packet) { got.inner.add(packets) })
	}
	c := decoder.Counters()
	got.classes = map[string]uint64{
		"packets":       c.Read(),
		"port_packets":  c.Packets[WithPorts],
		"icmp":          c.Packets[ICMP],
		"other_ip":      c.Packets[OtherIP],
		"frag_no_ports": c.Packets[LaterFragment],
		"l4_bad":        c.Packets[BadTransport],
		"ip_bad":        c.Packets[BadIP],
		"non_ip":        c.Packets[NonIP] + c.Packets[UnknownLink],
	}
	return got
}

// decodeFile decodes every frame of a savefile.
func decodeFile(name string, d *Decoder, each func([]flow.Packet)) {
	var batch flow.Batch
	for frame := range framesOf(name) {
		batch.Reset()
		d.one(frame, &batch)
		each(batch.Packets)
	}
}

// readTruth reads what tshark says of a capture.
func readTruth(t *testing.T, name string) *truth {
	t.Helper()
	file, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	plain, err := gzip.NewReader(file)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	want := &truth{classes: make(map[string]uint64), outer: make(conversations), inner: make(conversations)}
	lines := bufio.NewScanner(plain)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		switch fields[0] {
		case "C":
			switch fields[1] {
			case "packets", "port_packets", "icmp", "other_ip", "frag_no_ports", "l4_bad", "ip_bad", "non_ip", "tunnelled":
				want.classes[fields[1]] = number(t, fields[2])
			}
		case "O":
			want.outer.read(t, fields[1:])
		case "I":
			want.inner.read(t, fields[1:])
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return want
}

// read adds a line of a table of conversations.
func (c conversations) read(t *testing.T, fields []string) {
	t.Helper()
	transports := map[string]flow.Transport{
		"tcp": flow.TCP, "udp": flow.UDP, "udplite": flow.UDPLite, "sctp": flow.SCTP, "dccp": flow.DCCP,
	}
	a, b := endpoint(t, fields[1], fields[2]), endpoint(t, fields[3], fields[4])
	conversation, first := c.at(transports[fields[0]], a, b)
	conversation[first] = sent{number(t, fields[5]), number(t, fields[9]), number(t, fields[19])}
	if a != b {
		conversation[1-first] = sent{number(t, fields[6]), number(t, fields[10]), number(t, fields[20])}
	}
}

func endpoint(t *testing.T, address, port string) netip.AddrPort {
	t.Helper()
	a, err := netip.ParseAddr(address)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(a, uint16(number(t, port)))
}

func number(t *testing.T, s string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
