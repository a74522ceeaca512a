//go:build siem

package siem

import (
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/export/spool"
	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// TestKilledInARun ends the command with SIGKILL at random moments of a run, and starts
// it again with the packets that follow. What it had accepted is then in its spool, or at
// the receiver already: all of that must be at the receiver in the end, and the last
// run's balance must account for what was left in the spool.
func TestKilledInARun(t *testing.T) {
	records, kills := 50_000, 5
	if *soak {
		records, kills = 1_000_000, 20
	}
	s, _ := serve(t, receiver.Kafka)
	const topic = "killed-run"
	to := "kafka://" + s.Addr("tcp") + "/" + topic
	output(t, "kcat", "-L", "-b", s.Addr("tcp"), "-t", topic) // asking for a topic makes it
	dir := filepath.Join(t.TempDir(), "spool")
	random := rand.New(rand.NewPCG(5, uint64(records)))

	accepted := ids{}
	part := records / (kills + 1)
	for life := range kills {
		r := start(t, "-q", "-r", "-", "--no-alerts", "--to", to, "--spool", dir)
		input := append(fileHeader[:len(fileHeader):len(fileHeader)], packets(life*part, part, none)...)
		at := len(input)/4 + random.IntN(len(input)/2)
		r.feed(input[:at])
		rest := make(chan struct{})
		go func() {
			defer close(rest)
			r.in.Write(input[at:]) // fails when the command is gone
		}()
		// sometimes while records come in, sometimes while the last ones go out
		time.Sleep(time.Duration(random.IntN([]int{100, 1500}[life%2])) * time.Millisecond)
		r.cmd.Process.Kill()
		<-rest
		r.cmd.Wait()
		waiting := spooled(t, dir, to)
		for id := range waiting {
			accepted[id]++
		}
		t.Logf("killed after %d octets of %d: %d records in the spool", at, len(input), len(waiting))
	}
	left := spooled(t, dir, to)
	last := capture(t, kills*part, part, none)
	for id := range idsOf(t, last) {
		accepted[id]++
	}
	b := start(t, "-q", "-r", last, "--no-alerts", "--to", to, "--spool", dir).all()
	if b.Found < len(left) || b.Accepted != part {
		t.Errorf("the spool had %d records and %d were to come, and the balance says %+v", len(left), part, b)
	}
	if n := len(spooled(t, dir, to)); n != 0 {
		t.Errorf("%d records are in the spool after all was delivered", n)
	}
	// as librdkafka reads it
	got := idsIn(output(t, "kcat", "-C", "-q", "-e", "-b", s.Addr("tcp"), "-t", topic, "-X", "topic.auto.offset.reset=earliest"))
	missing := 0
	for id := range accepted {
		if got[id] == 0 {
			missing++
		}
	}
	if missing > 0 {
		t.Errorf("%d of %d accepted records never arrived", missing, len(accepted))
	}
	t.Logf("%d records arrived, %d of them more than once; %d were accepted for certain", len(got), got.twice(), len(accepted))
	for life := range kills + 1 {
		for id := range idsOf(t, capture(t, life*part, part, none)) {
			delete(got, id)
		}
	}
	if len(got) > 0 {
		t.Errorf("%d records arrived that are in no capture", len(got))
	}
}

// spooled returns what waits in a spool for a destination. It reads a copy of it.
func spooled(t *testing.T, dir, to string) ids {
	t.Helper()
	copied := filepath.Join(t.TempDir(), "copy")
	if out, err := exec.Command("cp", "-r", dir, copied).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer os.RemoveAll(copied)
	s, err := spool.Open(copied, spool.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	c, err := s.Cursor(to, "ecs")
	if err != nil {
		t.Fatal(err)
	}
	found := ids{}
	var b sink.Batch
	for {
		waiting, _, _ := c.Ready()
		if waiting == 0 {
			return found
		}
		c.Take(&b, sink.Limits{Records: 10000, Octets: 16 << 20, Record: 16 << 20, Parallel: 1})
		for _, r := range b.Records {
			found[string(r.ID)]++
		}
	}
}

// TestSilence sends to receivers that take connections, read, and never answer. Memory
// stays within its bound, whether the queue blocks the reading or drops records.
func TestSilence(t *testing.T) {
	seconds := 10
	if *soak {
		seconds = 300
	}
	const queue, sinks = 16, 4 // MiB each
	for _, overflow := range []string{"block", "drop-oldest"} {
		t.Run(overflow, func(t *testing.T) {
			addr := silent(t)
			settings := fmt.Sprintf("queue=%dMiB&overflow=%s&timeout=5s&", queue, overflow)
			r := start(t, "-q", "-r", "-", "--no-alerts", "--drain-timeout", "1s",
				"--to", "kafka://"+addr+"/silent?"+settings,
				"--to", "opensearch+http://"+addr+"/silent?"+settings,
				"--to", "splunk-hec+http://"+addr+"?"+settings,
				"--to", "http+http://"+addr+"/silent?"+settings)
			r.feed(fileHeader)
			stop := make(chan struct{})
			fed := make(chan int)
			go func() {
				const step = 5000
				n := 0
				for ; ; n += step {
					select {
					case <-stop:
						fed <- n
						return
					default:
						r.in.Write(packets(n, step, none))
					}
				}
			}()
			// at most twice what the queues hold, under way or garbage, and the table of Flows
			const bound = (2*queue*sinks + 128) << 20
			highest := 0
			for range seconds * 2 {
				time.Sleep(500 * time.Millisecond)
				highest = max(highest, r.rss())
			}
			if highest > bound {
				t.Errorf("%d MiB of memory, more than %d", highest>>20, bound>>20)
			}
			r.cmd.Process.Kill() // a write may wait for ever
			close(stop)
			t.Logf("%d MiB of memory at most, with %d Flows in %d s", highest>>20, <-fed, seconds)
		})
	}
}

// silent listens, reads, and never answers.
func silent(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // closed
			}
			go func() {
				io.Copy(io.Discard, c)
				c.Close()
			}()
		}
	}()
	return l.Addr().String()
}
