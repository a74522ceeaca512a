package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestLiveReplay plays a capture of ours onto a pair of virtual devices in a
// network namespace of its own, and wants of the device what the file gives.
func TestLiveReplay(t *testing.T) {
	space := newNamespace(t)
	capture := filepath.Join("..", "..", "testdata", "office.pcap")
	out, stats := filepath.Join(t.TempDir(), "live.jsonl"), filepath.Join(t.TempDir(), "stats.json")
	stop := space.portwatch(t, "-i", "pw1", "-o", "none", "--no-alerts", "--to", "file:"+out, "--stats", stats, "ip or ip6")
	space.run(t, "tcpreplay", "--intf1=pw0", "--topspeed", capture)
	stderr := stop()
	want, _, status := runCommand(t, "-q", "-o", "ecs", "--no-alerts", "-r", capture, "ip or ip6")
	if status != exitDone {
		t.Fatalf("exit status %d", status)
	}
	got, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if g, w := flowLines(t, got), flowLines(t, want); !slices.Equal(g, w) {
		t.Errorf("live\n%s\nfrom the file\n%s", strings.Join(g, "\n"), strings.Join(w, "\n"))
	}
	if !bytes.Contains(stderr, []byte("packets")) {
		t.Errorf("no summary after the signal: %s", stderr)
	}
	readCounters(t, stats)
}

// A filter that needs a netmask is valid for a device, whatever libpcap then makes of it.
func TestLiveBroadcast(t *testing.T) {
	space := newNamespace(t)
	space.run(t, "ip", "address", "add", "192.0.2.1/24", "dev", "pw1")
	packets := saveIPv4(t, "1 192.0.2.7:1000 255.255.255.255:2000", "2 192.0.2.7:1000 192.0.2.9:2000")
	out := filepath.Join(t.TempDir(), "live.jsonl")
	stop := space.portwatch(t, "-q", "-i", "pw1", "--to", "file:"+out, "ip broadcast")
	space.run(t, "tcpreplay", "--intf1=pw0", "--topspeed", packets)
	if stderr := stop(); len(stderr) > 0 {
		t.Errorf("%s", stderr)
	}
	records, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(records, []byte("255.255.255.255")) || bytes.Contains(records, []byte("192.0.2.9")) {
		t.Errorf("not what was broadcast, and that alone: %s", records)
	}
}

// flowLines are what a replay must keep of each Flow, sorted: everything but
// times and what depends on them.
func flowLines(t *testing.T, records []byte) (all []string) {
	t.Helper()
	for line := range bytes.Lines(records) {
		type side struct {
			IP             string
			Port           uint16
			Packets, Bytes uint64
		}
		var r struct {
			Source, Destination side
			Network             struct{ Transport string }
			Tags                []string
			Portwatch           struct {
				Flow struct{ State, History string }
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		all = append(all, fmt.Sprint(r))
	}
	slices.Sort(all)
	return all
}

// A namespace is a network of its own, with the pair of devices pw0 and pw1.
type namespace string

func newNamespace(t testing.TB) namespace {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a network namespace needs root; run the tests with sudo")
	}
	for _, program := range []string{"ip", "tcpreplay"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("SKIPPED: this test needs %s (Debian: iproute2, tcpreplay): %v", program, err)
		}
	}
	space := namespace(fmt.Sprintf("portwatch-test-%d", os.Getpid()))
	if out, err := exec.Command("ip", "netns", "add", string(space)).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no network namespace can be made here: %v: %s", err, out)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", string(space)).Run() })
	// The kernel must send nothing of its own through the pair.
	space.run(t, "sysctl", "-qw", "net.ipv6.conf.all.disable_ipv6=1", "net.ipv6.conf.default.disable_ipv6=1")
	space.run(t, "ip", "link", "add", "pw0", "type", "veth", "peer", "name", "pw1")
	space.run(t, "ip", "link", "set", "pw0", "up")
	space.run(t, "ip", "link", "set", "pw1", "up")
	return space
}

func (space namespace) command(args ...string) *exec.Cmd {
	return exec.Command("ip", append([]string{"netns", "exec", string(space)}, args...)...)
}

func (space namespace) run(t testing.TB, args ...string) {
	t.Helper()
	if out, err := space.command(args...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(args, " "), err, out)
	}
}

// portwatch starts the program, waits until it captures, and returns a function that
// ends it as Ctrl-C does: cleanly and at once.
func (space namespace) portwatch(t *testing.T, args ...string) (stop func() []byte) {
	t.Helper()
	return space.start(t, space.command(append([]string{os.Args[0]}, args...)...))
}

// polls reports whether a thread of the process waits in poll.
func polls(pid int) bool {
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/wchan", pid))
	return slices.ContainsFunc(tasks, func(task string) bool {
		where, _ := os.ReadFile(task)
		return bytes.HasPrefix(where, []byte("poll_schedule_timeout"))
	})
}

func (space namespace) start(t testing.TB, c *exec.Cmd) (stop func() []byte) {
	t.Helper()
	c.Env = append(os.Environ(), "PORTWATCH_TEST_MAIN=1")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	// A packet socket in the namespace's list shows that the device is open, and a thread waiting
	// in poll(2) that it is being read: libpcap discards what came before it set the filter. If
	// the kernel does not show the latter, a second must do.
	begun := time.Now()
	for {
		list, err := space.command("cat", "/proc/net/packet").Output()
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Count(list, []byte("\n")) > 1 && (polls(c.Process.Pid) || time.Since(begun) > time.Second) {
			break
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("no device was opened: %s", &stderr)
		}
		time.Sleep(20 * time.Millisecond)
	}
	return func() []byte {
		begin := time.Now()
		if err := c.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("it ended with %v: %s", err, &stderr)
		}
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("Ctrl-C took %v", took)
		}
		return stderr.Bytes()
	}
}
