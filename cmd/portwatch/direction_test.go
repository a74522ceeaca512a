package main

import (
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// TestDirectionMidstream scores the direction of TCP conversations whose first
// packets are missing, as in a capture that began too late. Truth is who sent
// the SYN; every conversation loses its first 3 to 20 packets.
func TestDirectionMidstream(t *testing.T) {
	dir := captures(t)
	names, err := filepath.Glob(filepath.Join(dir, "real", "*.*cap*"))
	if err != nil || len(names) == 0 {
		t.Fatalf("no capture in %s: %v", dir, err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	rules, lower := newScore(), newScore()
	byMethod := map[string]*score{}
	for _, name := range names {
		truth := readTruth(t, filepath.Join(dir, "truth", filepath.Base(name)+".tsv.gz"), "O")
		for key, v := range cutVerdicts(t, name, truth, random) {
			c := truth[key]
			service := servicePort(c)
			rules.add(service, v.initiator == c.initiator)
			method := v.direction.Method.String() + ", " + v.direction.Confidence.String()
			if byMethod[method] == nil {
				byMethod[method] = newScore()
			}
			byMethod[method].add(service, v.initiator == c.initiator)
			lower.add(service, c.endpoints[c.initiator].Port() > c.endpoints[1-c.initiator].Port())
			if v.initiator != c.initiator {
				t.Logf("wrong: %s: %s: by %s", filepath.Base(name), key, method)
			}
		}
	}
	for _, method := range slices.Sorted(maps.Keys(byMethod)) {
		t.Logf("%-24s %v", method, byMethod[method])
	}
	t.Logf("%-24s %v", "all rules", rules)
	t.Logf("%-24s %v", "lower port alone", lower)
	if rules.conversations() < lower.conversations() || rules.ports() < lower.ports() {
		t.Errorf("the rules are worse than the lower port alone")
	}
}

// servicePort is the responder's port; all data connections of FTP are one.
func servicePort(c *conversation) uint16 {
	if c.hint == "ftp-data" {
		return 20
	}
	return c.endpoints[1-c.initiator].Port()
}

// A score counts right verdicts by service port.
type score map[uint16]*[2]int // wrong, right

func newScore() *score { return &score{} }

func (s score) add(port uint16, right bool) {
	if s[port] == nil {
		s[port] = new([2]int)
	}
	if right {
		s[port][1]++
	} else {
		s[port][0]++
	}
}

// conversations is the share of right ones among all, ports the mean of the
// shares of each service port; in percent.
func (s score) conversations() float64 {
	var sum [2]int
	for _, n := range s {
		sum[0] += n[0]
		sum[1] += n[1]
	}
	return 100 * float64(sum[1]) / float64(sum[0]+sum[1])
}

func (s score) ports() float64 {
	var sum float64
	for _, n := range s {
		sum += 100 * float64(n[1]) / float64(n[0]+n[1])
	}
	return sum / float64(len(s))
}

func (s score) String() string {
	n := 0
	for _, p := range s {
		n += p[0] + p[1]
	}
	return fmt.Sprintf("%4d conversations, %5.1f%% right; %3d service ports, %5.1f%% in their mean", n, s.conversations(), len(s), s.ports())
}

// A cutVerdict is who portwatch took for the initiator.
type cutVerdict struct {
	initiator int
	direction flow.Direction
}

// cutVerdicts meters a capture without the beginnings of its TCP conversations.
func cutVerdicts(t *testing.T, name string, truth map[string]*conversation, random *rand.Rand) map[string]cutVerdict {
	file, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := capture.NewDecoder(capture.DecoderOptions{Tunnels: capture.Outer})
	table := flow.NewTable(flow.Options{Assigned: assigned(registry.Embedded())})
	keyOf := func(p *flow.Packet) string {
		a, b := p.Key.Endpoints()
		key, _ := conversationKey(p.Key.Transport().String(), a, b)
		return key
	}
	left := map[string]int{} // packets to drop
	for _, key := range slices.Sorted(maps.Keys(truth)) {
		if c := truth[key]; c.initiator >= 0 && c.bySYN {
			left[key] = 3 + random.IntN(18)
		}
	}
	judged := maps.Clone(left)
	var frame capture.Frame
	var batch, kept flow.Batch
	for {
		err := file.Next(&frame)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		batch.Reset()
		kept.Reset()
		decoder.Decode(&frame, &batch)
		kept.Tunnels = batch.Tunnels
		for i := range batch.Packets {
			p := &batch.Packets[i]
			if key := keyOf(p); left[key] > 0 {
				left[key]--
			} else {
				kept.Packets = append(kept.Packets, *p)
			}
		}
		table.Add(&kept)
	}
	table.Flush()
	verdicts := map[string]cutVerdict{}
	var r flow.Record
	for table.Next(&r) {
		key, swapped := conversationKey(r.Transport.String(), r.Source.Endpoint, r.Destination.Endpoint)
		if _, first := verdicts[key]; first || judged[key] == 0 {
			continue
		}
		v := cutVerdict{direction: r.Direction}
		if swapped {
			v.initiator = 1
		}
		verdicts[key] = v
	}
	return verdicts
}
