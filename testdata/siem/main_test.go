//go:build siem

package siem

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

var soak = flag.Bool("soak", false, "run the long forms, an hour of them")

// The command, and a savefile with IPv4 and IPv6, and findings of every rule.
var portwatch, office string

func TestMain(m *testing.M) {
	flag.Parse()
	path, err := filepath.Abs("../../bin/portwatch")
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "make build comes first:", err)
		os.Exit(1)
	}
	portwatch = path
	office = filepath.Join(filepath.Dir(path), "../testdata/office.pcap")
	os.Exit(m.Run())
}

// serve starts a receiver, and stops it at the end of the test. Its output is shown if
// the test failed.
func serve(t testing.TB, make func(dir string, a receiver.Authority) (*receiver.Server, error)) (*receiver.Server, receiver.Authority) {
	t.Helper()
	s, a := prepare(t, make)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	return s, a
}

// prepare is serve, without starting the receiver.
func prepare(t testing.TB, make func(dir string, a receiver.Authority) (*receiver.Server, error)) (*receiver.Server, receiver.Authority) {
	t.Helper()
	dir := t.TempDir()
	a, err := receiver.NewAuthority(dir)
	if err != nil {
		t.Fatal(err)
	}
	s, err := make(dir, a)
	if errors.Is(err, receiver.ErrMissing) {
		t.Skipf("NOT TESTED: %v", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Stop()
		if t.Failed() {
			t.Logf("the receiver's last words:\n%s", s.Log())
		}
	})
	return s, a
}

// otherCA returns the certificate of an authority that signed nothing.
func otherCA(t testing.TB) string {
	t.Helper()
	a, err := receiver.NewAuthority(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return a.CA
}

// A run is one run of the command. It reads savefiles by name, or packets that the test
// feeds it.
type run struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	err   lockedBuffer
	stats string
}

// start starts the command with what every run here has.
func start(t testing.TB, args ...string) *run {
	t.Helper()
	r := &run{t: t, stats: filepath.Join(t.TempDir(), "stats.json")}
	r.cmd = exec.Command(portwatch, append([]string{"--stats", r.stats, "--drain-timeout", "2m"}, args...)...)
	r.cmd.Dir = t.TempDir() // for a dead-letter file
	r.cmd.Env = append(os.Environ(), "PORTWATCH_SPLUNK_TOKEN="+receiver.HECToken)
	r.cmd.Stderr = &r.err
	r.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	in, err := r.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.in = in
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.cmd.Process.Kill()
		if t.Failed() {
			t.Logf("%s\n%s", r.cmd, &r.err)
		}
	})
	return r
}

// feed writes packets to the command's standard input.
func (r *run) feed(packets []byte) {
	r.t.Helper()
	if _, err := r.in.Write(packets); err != nil {
		r.t.Fatalf("feed: %v\n%s", err, &r.err)
	}
}

// A balance is what became of the records of one sink.
type balance struct {
	Name                                string
	Found, Accepted, Delivered, Dropped int
	InSpool                             int `json:"in_spool"`
	DeadLettered                        int `json:"dead_lettered"`
	Retries, Outages                    int
}

// end waits for the command and returns the balance of its first sink, which must add up.
func (r *run) end() balance {
	r.t.Helper()
	r.in.Close()
	err := r.cmd.Wait()
	text, err2 := os.ReadFile(r.stats)
	if err2 != nil {
		r.t.Fatalf("%v, %v\n%s", err, err2, &r.err)
	}
	var stats struct {
		Delivery struct{ Sinks []balance }
	}
	if err := json.Unmarshal(text, &stats); err != nil || len(stats.Delivery.Sinks) == 0 {
		r.t.Fatalf("no balance (%v) in %s\n%s", err, text, &r.err)
	}
	b := stats.Delivery.Sinks[0]
	if b.Found+b.Accepted != b.Delivered+b.InSpool+b.DeadLettered+b.Dropped {
		r.t.Errorf("the balance does not add up: %+v", b)
	}
	return b
}

// all is end, and wants everything delivered and status 0.
func (r *run) all() balance {
	r.t.Helper()
	b := r.end()
	if b.Delivered != b.Found+b.Accepted || b.Delivered == 0 {
		r.t.Errorf("not everything was delivered: %+v", b)
	}
	if status := r.cmd.ProcessState.ExitCode(); status != 0 {
		r.t.Errorf("status %d", status)
	}
	return b
}

// deadLetters returns the dead-letter file of a run without a spool.
func (r *run) deadLetters() string {
	text, err := os.ReadFile(filepath.Join(r.cmd.Dir, "portwatch-dead-letter.jsonl"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		r.t.Fatal(err)
	}
	return string(text)
}

// rss returns the octets of memory that the command has.
func (r *run) rss() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", r.cmd.Process.Pid))
	var size, resident int
	if err == nil {
		_, err = fmt.Sscan(string(text), &size, &resident)
	}
	if err != nil {
		r.t.Fatal(err)
	}
	return resident * os.Getpagesize()
}

// A lockedBuffer collects a process's output, to be read while it runs.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// ids counts how often each event.id is in a text.
type ids map[string]int

// idsIn finds what looks like an event.id, of a Flow's record or an alert's: 32
// hexadecimal digits, a hyphen, a number. Nothing else in a record looks like that.
func idsIn(text []byte) ids {
	found := ids{}
	for {
		hyphen := bytes.IndexByte(text, '-')
		if hyphen < 0 {
			return found
		}
		end := hyphen + 1
		for end < len(text) && '0' <= text[end] && text[end] <= '9' {
			end++
		}
		if hyphen >= 32 && end > hyphen+1 && bytes.IndexFunc(text[hyphen-32:hyphen], notHex) < 0 {
			found[string(text[hyphen-32:end])]++
		}
		text = text[end:]
	}
}

func notHex(r rune) bool { return !('0' <= r && r <= '9' || 'a' <= r && r <= 'f') }

// idsOf asks the command for the ids of a capture's records.
func idsOf(t testing.TB, capture string) ids {
	t.Helper()
	return idsWith(t, capture, "--no-alerts")
}

// idsWith is idsOf with other options; without --no-alerts, the alerts are among them.
func idsWith(t testing.TB, capture string, options ...string) ids {
	t.Helper()
	out := output(t, portwatch, append([]string{"-q", "-r", capture, "-o", "ecs"}, options...)...)
	found := idsIn(out)
	if lines := bytes.Count(out, []byte("\n")); lines != len(found) {
		t.Fatalf("%d records and %d ids", lines, len(found))
	}
	return found
}

// twice counts ids that came more than once.
func (f ids) twice() (n int) {
	for _, count := range f {
		if count > 1 {
			n++
		}
	}
	return n
}

// compare wants the records at the receiver to be exactly those that were sent.
func compare(t testing.TB, got, want ids) {
	t.Helper()
	var missing, foreign []string
	for id := range want {
		if got[id] == 0 {
			missing = append(missing, id)
		}
	}
	for id := range got {
		if want[id] == 0 {
			foreign = append(foreign, id)
		}
	}
	if len(missing) > 0 || len(foreign) > 0 {
		t.Errorf("%d of %d records are missing at the receiver, %d are foreign: %q %q",
			len(missing), len(want), len(foreign), missing[:min(3, len(missing))], foreign[:min(3, len(foreign))])
	}
	if n := got.twice(); n > 0 {
		t.Logf("%d of %d records came more than once", n, len(want))
	}
}

// eventually calls a function until it returns nil.
func eventually(t testing.TB, patience time.Duration, ask func() error) {
	t.Helper()
	limit := time.Now().Add(patience)
	for {
		err := ask()
		if err == nil {
			return
		}
		if time.Now().After(limit) {
			t.Fatalf("after %v: %v", patience, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// output runs a program and returns its output.
func output(t testing.TB, name string, args ...string) []byte {
	t.Helper()
	c := exec.Command(name, args...)
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", c, err, &errs)
	}
	return out
}
