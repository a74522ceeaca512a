package main

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/bench/traffic"
)

// soak runs the long forms of tests, if it is set: make soak.
var soak = os.Getenv("PORTWATCH_SOAK") != ""

// A taker is a receiver over HTTP that remembers the records it has taken. answer
// may do something else.
type taker struct {
	*httptest.Server
	answer func(w http.ResponseWriter, take func())

	mu     sync.Mutex
	bodies map[string][]byte // by event.id
	times  map[string]int    // how often each came
}

func newTaker(t *testing.T) *taker {
	r := &taker{bodies: make(map[string][]byte), times: make(map[string]int)}
	r.answer = func(_ http.ResponseWriter, take func()) { take() }
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := r.read(q)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		r.mu.Lock()
		answer := r.answer
		r.mu.Unlock()
		answer(w, func() { r.take(t, body) })
	}))
	t.Cleanup(r.Close)
	return r
}

// to is what --to takes.
func (r *taker) to() string { return "http+" + r.URL + "/" }

func (r *taker) read(q *http.Request) ([]byte, error) {
	var body io.Reader = q.Body
	if q.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, err
		}
		body = z
	}
	return io.ReadAll(body)
}

func (r *taker) take(t *testing.T, body []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for line := range bytes.Lines(body) {
		id := eventID(line)
		if id == "" {
			t.Errorf("no record: %.200q", line)
		}
		r.bodies[id] = bytes.Clone(line)
		r.times[id]++
	}
}

// eventID returns the event.id of a line, or "" if the line is not whole.
func eventID(line []byte) string {
	var record struct{ Event struct{ ID string } }
	if json.Unmarshal(line, &record) != nil {
		return ""
	}
	return record.Event.ID
}

// delivered are the counters of one sink.
type delivered struct {
	Name                                                  string
	Found, Accepted, Delivered, Dropped, Retries, Outages uint64
	InSpool                                               uint64 `json:"in_spool"`
	DeadLettered                                          uint64 `json:"dead_lettered"`
}

// balances reads the counters of all sinks, which have to add up.
func balances(t *testing.T, path string) []delivered {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var counters struct {
		Delivery struct {
			Sinks []delivered
			Spool map[string]uint64
		}
	}
	if err := json.Unmarshal(text, &counters); err != nil {
		t.Fatal(err)
	}
	for _, b := range counters.Delivery.Sinks {
		if b.Found+b.Accepted != b.Delivered+b.InSpool+b.DeadLettered+b.Dropped {
			t.Errorf("does not add up: %+v", b)
		}
	}
	return counters.Delivery.Sinks
}

// flows writes a capture with about the given number of Flows.
func flows(t *testing.T, n int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flows.pcap")
	if _, err := traffic.Create(path, func(w io.Writer) (traffic.Made, error) { return traffic.Flows(w, n) }); err != nil {
		t.Fatal(err)
	}
	return path
}

// portwatch is the program as a process of its own.
func portwatch(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], append([]string{"-q", "--offline"}, args...)...)
	c.Env = append(os.Environ(), "PORTWATCH_TEST_MAIN=1")
	c.Stderr = new(bytes.Buffer)
	return c
}

// begin starts a command, and returns what it reads as standard input.
func begin(t *testing.T, c *exec.Cmd) io.WriteCloser {
	t.Helper()
	in, err := c.StdinPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Process.Kill() })
	return in
}

// TestDelivery: each sink gets what standard output gets, records and alerts, once, whatever
// the number of workers, with a spool and without one, which makes one of a rotated file;
// also where there is more than a sink is handed at once.
func TestDelivery(t *testing.T) {
	office, many := filepath.Join("..", "..", "testdata", "office.pcap"), flows(t, 3*chunkSize)
	for _, test := range []struct {
		capture, workers string
		spooled          bool
	}{
		{office, "1", false},
		{office, "1", true},
		{office, "3", false},
		{office, "3", true},
		{many, "1", false},
		{many, "1", true},
	} {
		takers, sinks := []*taker{newTaker(t), newTaker(t)}, 2
		dir := t.TempDir()
		stats, file, rotated := filepath.Join(dir, "stats.json"), filepath.Join(dir, "file"), filepath.Join(dir, "rotated")
		args := []string{"-q", "--offline", "-r", test.capture, "-o", "ecs", "--to", "file:" + rotated + "?rotate=1GiB", "--to", takers[0].to(),
			"--to", takers[1].to(), "--to", "file:" + file, "--workers", test.workers, "--stats", stats}
		if test.spooled {
			args = append(args, "--spool", filepath.Join(dir, "spool"))
			sinks++
		}
		stdout, stderr, status := runCommand(t, args...)
		if status != exitDone || len(stderr) > 0 {
			t.Fatalf("status %d: %s", status, stderr)
		}
		for _, name := range []string{rotated, file} {
			if got := contents(name); !bytes.Equal(got, stdout) {
				t.Errorf("%s has %d octets of %d", name, len(got), len(stdout))
			}
		}
		n := bytes.Count(stdout, []byte("\n"))
		for _, r := range takers {
			for line := range bytes.Lines(stdout) {
				id := eventID(line)
				if got := r.bodies[id]; !bytes.Equal(got, line) || r.times[id] != 1 {
					t.Errorf("got %d times %.200q for %.200q", r.times[id], got, line)
				}
			}
			if n == 0 || n != len(r.bodies) {
				t.Errorf("%d lines, %d records", n, len(r.bodies))
			}
		}
		all := balances(t, stats)
		if len(all) != sinks {
			t.Errorf("%d sinks: %+v", sinks, all)
		}
		for _, b := range all {
			if b.Delivered != uint64(n) {
				t.Errorf("%d lines: %+v", n, b)
			}
		}
	}
}

// TestRejected: what the dead-letter file says about each record is what the record
// itself says. The file is in the spool, unless it is named.
func TestRejected(t *testing.T) {
	r := newTaker(t)
	r.answer = func(w http.ResponseWriter, _ func()) { w.WriteHeader(http.StatusBadRequest) }
	dir := t.TempDir()
	stats, named := filepath.Join(dir, "stats.json"), filepath.Join(dir, "dead.jsonl")
	for dead, args := range map[string][]string{
		named: {"--dead-letter", named},
		filepath.Join(dir, "spool", "dead-letter.jsonl"): {"--spool", filepath.Join(dir, "spool")},
	} {
		_, stderr, status := runCommand(t, append(args, "-q", "--offline", "-r", filepath.Join("..", "..", "testdata", "office.pcap"),
			"--to", r.to(), "--stats", stats)...)
		if status != exitDone {
			t.Fatalf("status %d: %s", status, stderr)
		}
		text, err := os.ReadFile(dead)
		if err != nil {
			t.Fatal(err)
		}
		kinds := make(map[string]int)
		for line := range bytes.Lines(text) {
			var letter struct{ Sink, Kind, ID, Format, Body string }
			if err := json.Unmarshal(line, &letter); err != nil {
				t.Fatal(err)
			}
			kinds[letter.Kind]++
			if letter.ID != eventID([]byte(letter.Body)) || letter.Format != "ecs" || "http+"+r.URL+"/" != letter.Sink ||
				!strings.Contains(letter.Body, `"dataset":"portwatch.`+letter.Kind+`"`) {
				t.Errorf("%+v", letter)
			}
		}
		b := balances(t, stats)[0]
		if kinds["flow"] == 0 || kinds["alert"] == 0 || int(b.DeadLettered) != kinds["flow"]+kinds["alert"] {
			t.Errorf("%v: %+v", kinds, b)
		}
	}
}

// TestUnreachable: without a spool records are lost at the end, which is an error;
// with one they are delivered by the next run.
func TestUnreachable(t *testing.T) {
	office := filepath.Join("..", "..", "testdata", "office.pcap")
	r := newTaker(t)
	gone := "http+http://127.0.0.1:1/"
	dir := filepath.Join(t.TempDir(), "spool")
	stats := filepath.Join(t.TempDir(), "stats.json")
	_, stderr, status := runCommand(t, "-q", "-r", office, "--to", gone, "--drain-timeout", "50ms", "--stats", stats)
	b := balances(t, stats)[0]
	if status != exitFailed || b.Dropped == 0 || b.Delivered != 0 ||
		!bytes.Contains(stderr, fmt.Appendf(nil, "portwatch: %d records were not delivered to %s: ", b.Dropped, gone)) {
		t.Errorf("status %d, %+v: %s", status, b, stderr)
	}
	_, stderr, status = runCommand(t, "-q", "-r", office, "--to", gone, "--drain-timeout", "50ms", "--stats", stats, "--spool", dir)
	left := balances(t, stats)[0].InSpool
	if status != exitDone || left != b.Dropped || !bytes.Contains(stderr, []byte("they stay in the spool")) {
		t.Errorf("status %d, %d in spool: %s", status, left, stderr)
	}
	// Not to the sink that the records wait for.
	_, stderr, status = runCommand(t, "-q", "-r", office, "--to", r.to(), "--stats", stats, "--spool", dir)
	if status != exitDone || !bytes.Contains(stderr, fmt.Appendf(nil, "%d records wait for %s", left, gone)) {
		t.Errorf("status %d: %s", status, stderr)
	}
	_, stderr, status = runCommand(t, "-q", "-r", office, "--to", r.to()+"?name="+strings.ReplaceAll(gone, "+", "%2B"), "--stats", stats, "--spool", dir)
	b = balances(t, stats)[0]
	if status != exitDone || b.Found != 2*left || b.Delivered != 3*left || b.InSpool != 0 {
		t.Errorf("status %d, %+v: %s", status, b, stderr)
	}
}

// TestFullSpool: a full spool does what its settings say, and reports and counts it.
func TestFullSpool(t *testing.T) {
	dir := t.TempDir()
	stats := filepath.Join(dir, "stats.json")
	_, stderr, status := runCommand(t, "-q", "--offline", "-r", flows(t, 2000), "--to", "http+http://127.0.0.1:1/", "--drain-timeout", "50ms",
		"--spool", filepath.Join(dir, "spool?max=1MiB&full=drop-oldest"), "--stats", stats)
	if b := balances(t, stats)[0]; status != exitDone || b.Dropped == 0 || b.InSpool == 0 {
		t.Errorf("status %d, %+v", status, b)
	}
	if !bytes.Contains(stderr, []byte("the oldest records are dropped")) || !regexp.MustCompile(`"full":[1-9]`).Match(contents(stats)) {
		t.Errorf("%s%s", stderr, contents(stats))
	}
}

// TestSpooledFile rotates files with a spool, which a file that has room does not need:
// no record is missing and no line is cut.
func TestSpooledFile(t *testing.T) {
	dir := t.TempDir()
	capture, stats := flows(t, 1000), dir+"/stats.json"
	stdout, stderr, status := runCommand(t, "-q", "--offline", "-r", capture, "-o", "ecs",
		"--to", "file:"+dir+"/flows.jsonl?rotate=200KiB", "--spool", dir+"/spool", "--stats", stats)
	if status != exitDone {
		t.Fatalf("status %d: %s", status, stderr)
	}
	names, err := filepath.Glob(dir + "/flows.jsonl*")
	if err != nil || len(names) < 5 {
		t.Fatalf("%d files: %v", len(names), err)
	}
	slices.Sort(names)
	var got []byte
	for _, name := range append(names[1:], names[0]) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, text...)
	}
	if !bytes.Equal(got, stdout) {
		t.Errorf("%d octets in the files, %d on standard output", len(got), len(stdout))
	}
	const firstSegment = "0000000001 "
	if places, _ := filepath.Glob(dir + "/spool/*.cursor"); len(places) != 1 || bytes.Contains(contents(places[0]), []byte(firstSegment)) {
		t.Errorf("the spool was used: %v", places)
	}
	if b := balances(t, stats)[0]; b.Name != "file:"+dir+"/flows.jsonl" || b.Accepted != uint64(bytes.Count(stdout, []byte("\n"))) {
		t.Errorf("%+v", b)
	}
}

// TestRetryFor: timeout limits how long a receiver may take to answer, and retry-for how long
// a record is retried before it goes to the dead-letter file.
func TestRetryFor(t *testing.T) {
	silent := newTaker(t)
	over := make(chan struct{})
	defer close(over)
	silent.answer = func(http.ResponseWriter, func()) { <-over }
	dir := t.TempDir()
	stats := filepath.Join(dir, "stats.json")
	_, stderr, status := runCommand(t, "-q", "--offline", "-r", filepath.Join("..", "..", "testdata", "office.pcap"),
		"--to", silent.to()+"?timeout=50ms&retry-for=100ms", "--dead-letter", filepath.Join(dir, "dead.jsonl"), "--stats", stats)
	if b := balances(t, stats)[0]; status != exitDone || b.DeadLettered == 0 || b.DeadLettered != b.Accepted {
		t.Errorf("status %d, %+v: %s", status, b, stderr)
	}
}

// TestFullDisk fills the disk that a file is on, and makes room later: what the file had
// no room for waits in the spool, and everything is there at the end, once and in order.
func TestFullDisk(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: a disk of two MiB needs root; run the tests with sudo")
	}
	disk, dir := t.TempDir(), t.TempDir()
	mount := func(options string) {
		if out, err := exec.Command("mount", "-t", "tmpfs", "-o", options, "portwatch-test", disk).CombinedOutput(); err != nil {
			t.Fatalf("mount: %v: %s", err, out)
		}
	}
	mount("size=2m")
	defer exec.Command("umount", disk).Run()
	capture := flows(t, 5000)
	want, _, _ := runCommand(t, "-q", "--offline", "-r", capture, "-o", "ecs")
	path, stats := filepath.Join(disk, "flows.jsonl"), filepath.Join(dir, "stats.json")
	c := portwatch("-r", capture, "--to", "file:"+path+"?rotate=1GiB", "--spool", filepath.Join(dir, "spool"), "--stats", stats)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	for spooled := false; !spooled; time.Sleep(10 * time.Millisecond) {
		segments, _ := filepath.Glob(filepath.Join(dir, "spool", "*.segment"))
		if spooled = len(segments) > 0; !spooled && time.Since(began) > time.Minute {
			c.Process.Kill()
			c.Wait()
			t.Fatalf("nothing came to the spool: %s", c.Stderr)
		}
	}
	time.Sleep(100 * time.Millisecond)
	mount("remount,size=100m")
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, c.Stderr)
	}
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d octets in the file, want %d: %v", len(got), len(want), err)
	}
	b := balances(t, stats)[0]
	if b.Delivered != uint64(bytes.Count(want, []byte("\n"))) || b.Accepted != b.Delivered || b.Outages != 1 {
		t.Errorf("%+v", b)
	}
	for _, told := range []string{"no space left on device", "is back after"} {
		if !strings.Contains(fmt.Sprint(c.Stderr), told) {
			t.Errorf("%q is not told: %s", told, c.Stderr)
		}
	}
}

// TestKill kills the program at random moments while it delivers to a receiver that
// now and then fails, or takes records without confirming them: everything that was
// accepted arrives.
//
// A file in the same run shows what was accepted: it gets a record after the spool.
func TestKill(t *testing.T) {
	kills, size := 20, 5000
	switch {
	case soak:
		size = 50_000 // a million records in all
	case testing.Short():
		kills = 5
	}
	capture := flows(t, size)
	r := newTaker(t)
	sour := func(w http.ResponseWriter, take func()) {
		switch rand.IntN(20) {
		case 0:
			w.WriteHeader(http.StatusServiceUnavailable)
		case 1:
			take()
			panic(http.ErrAbortHandler) // taken, but not confirmed
		default:
			take()
		}
	}
	dir := t.TempDir()
	stats := filepath.Join(dir, "stats.json")
	run := func(n int) *exec.Cmd {
		return portwatch("-r", capture, "--observer", fmt.Sprint("run-", n), "--to", r.to(), "--spool", filepath.Join(dir, "spool"),
			"--to", "file:"+filepath.Join(dir, fmt.Sprint("accepted-", n)), "--stats", stats,
			"--drain-timeout", "5m") // a busy disk is no failure
	}
	began := time.Now()
	if err := run(0).Run(); err != nil {
		t.Fatal(err)
	}
	whole := time.Since(began)
	r.mu.Lock()
	r.answer = sour
	r.mu.Unlock()
	if n := balances(t, stats)[0].Delivered; n < uint64(size) {
		t.Fatalf("%d records of %d Flows", n, size)
	}
	killed := 0
	for n := 1; n <= kills; n++ {
		c := run(n)
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(rand.Int64N(int64(whole))))
		c.Process.Kill()
		var exit *exec.ExitError
		if err := c.Wait(); errors.As(err, &exit) && !exit.Exited() {
			killed++
		}
	}
	last := run(kills + 1)
	if err := last.Run(); err != nil {
		t.Fatalf("%v: %s", err, last.Stderr)
	}
	b := balances(t, stats)[0]
	if b.InSpool != 0 || b.Dropped != 0 || b.DeadLettered != 0 {
		t.Errorf("%+v", b)
	}
	accepted, missing := 0, 0
	for n := range kills + 2 {
		for _, id := range idsIn(t, filepath.Join(dir, fmt.Sprint("accepted-", n))) {
			accepted++
			if r.times[id] == 0 {
				missing++
			}
		}
	}
	twice := 0
	for _, n := range r.times {
		if n > 1 {
			twice++
		}
	}
	if missing > 0 || killed < kills/4 {
		t.Errorf("of %d accepted records %d are missing, after %d kills", accepted, missing, killed)
	}
	t.Logf("%d kills, %d records seen to be accepted, %d arrived, %d more than once, %d found by the last run",
		killed, accepted, len(r.times), twice, b.Found)
}

// idsIn reads the ids of the whole lines of a file, none if it does not exist.
func idsIn(t *testing.T, path string) (ids []string) {
	t.Helper()
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if id := eventID(lines.Bytes()); id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// TestSilence has a receiver that accepts connections and never answers: memory
// stays within the queue's bound, the run ends in time, and everything that was not
// delivered is counted. The long form goes on for ten minutes.
func TestSilence(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	go func() {
		for {
			c, err := silent.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	var peak [2]int64 // without the sink, and with it
	size := 50_000    // about 100 MB of records
	began := time.Now()
	for round := 0; round == 0 || soak && time.Since(began) < 10*time.Minute; round++ {
		capture := flows(t, size)
		stats := filepath.Join(t.TempDir(), "stats.json")
		for i, args := range [][]string{
			{"-r", capture, "-o", "ecs"},
			{"-r", capture, "--to", "http+http://" + silent.Addr().String() + "/?overflow=drop-oldest&queue=4MiB&timeout=10s",
				"--drain-timeout", "500ms", "--stats", stats},
		} {
			c := portwatch(args...)
			err := c.Run()
			if failed := err != nil; failed != (i == 1) {
				t.Fatalf("%v: %s", err, c.Stderr)
			}
			peak[i] = max(peak[i], c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
		}
		b := balances(t, stats)[0]
		if b.Delivered != 0 || b.Dropped != b.Accepted || b.Accepted < uint64(size) {
			t.Errorf("%+v", b)
		}
	}
	// The queue, two batches of 4 MiB, each plain and compressed, and the collector's share.
	if more := peak[1] - peak[0]; more > 60<<20 {
		t.Errorf("the silent sink takes %d MiB", more>>20)
	}
}

// TestHangup renames a file and sends SIGHUP while records come.
func TestHangup(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "flows.csv")
	c := portwatch("-r", "-", "-l", "--to", "file:"+path+"?format=csv", "--idle-timeout", "20ms")
	in := begin(t, c)
	capture, err := os.ReadFile(flows(t, 20_000))
	if err != nil {
		t.Fatal(err)
	}
	half := len(capture) / 2
	in.Write(capture[:half])
	waitFor(t, func() bool { return bytes.Count(contents(path), []byte("\n")) > 1 })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	c.Process.Signal(syscall.SIGHUP)
	time.Sleep(50 * time.Millisecond)
	in.Write(capture[half:])
	in.Close()
	if err := c.Wait(); err != nil {
		t.Fatalf("%v: %s", err, c.Stderr)
	}
	for _, name := range []string{path + ".1", path} {
		text := contents(name)
		if !bytes.HasPrefix(text, []byte("event.start,")) || !bytes.HasSuffix(text, []byte("\n")) || bytes.Count(text, []byte("\n")) < 2 {
			t.Errorf("%s: %d octets, %.40q", name, len(text), text)
		}
	}
}

// TestHangupWhileDraining: SIGHUP ends nothing even during the sinks' grace period.
func TestHangupWhileDraining(t *testing.T) {
	dir := t.TempDir()
	path, stats := filepath.Join(dir, "flows.jsonl"), filepath.Join(dir, "stats.json")
	c := portwatch("-r", flows(t, 100), "-o", "none", "--to", "file:"+path, "--to", "http+http://127.0.0.1:1/",
		"--dead-letter", filepath.Join(dir, "dead.jsonl"), "--drain-timeout", "2s", "--stats", stats)
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer c.Process.Kill()
	waitFor(t, func() bool { return bytes.Count(contents(path), []byte("\n")) >= 100 })
	time.Sleep(300 * time.Millisecond) // until the run is over, which nothing shows
	c.Process.Signal(syscall.SIGHUP)
	if c.Wait(); c.ProcessState.ExitCode() != exitFailed {
		t.Fatalf("%v: %s", c.ProcessState, c.Stderr)
	}
	if len(contents(stats)) == 0 {
		t.Error("no counters")
	}
}

// contents is what a file has now.
func contents(path string) []byte {
	text, _ := os.ReadFile(path)
	return text
}

func waitFor(t *testing.T, so func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !so(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("waited in vain")
		}
	}
}

// TestSignalEndsDelivery: after SIGTERM a receiver that takes nothing, or keeps taking a
// little, has the grace period and no more; one that is away has none. What waits stays in
// the spool.
func TestSignalEndsDelivery(t *testing.T) {
	capture, err := os.ReadFile(flows(t, 2000)) // more than the pipe holds
	if err != nil {
		t.Fatal(err)
	}
	silent, slow := newTaker(t), newTaker(t)
	over := make(chan struct{})
	defer close(over)
	silent.answer = func(http.ResponseWriter, func()) { <-over }
	slow.answer = func(_ http.ResponseWriter, take func()) {
		time.Sleep(50 * time.Millisecond)
		take()
	}
	for to, grace := range map[string]string{
		silent.to():                               "200ms",
		"http+http://127.0.0.1:1/":                "1m",
		slow.to() + "?batch-records=1&parallel=1": "200ms",
	} {
		dir := t.TempDir()
		stats := filepath.Join(dir, "stats.json")
		c := portwatch("-r", "-", "--to", to, "--spool", filepath.Join(dir, "spool"), "--drain-timeout", grace, "--stats", stats)
		in := begin(t, c)
		in.Write(capture)
		c.Process.Signal(syscall.SIGTERM)
		began := time.Now()
		if err := c.Wait(); err != nil {
			t.Errorf("%v: %s", err, c.Stderr)
		}
		if took := time.Since(began); took > 10*time.Second {
			t.Errorf("%s: the end took %v", to, took)
		}
		b := balances(t, stats)[0]
		if b.InSpool < 100 || b.InSpool+b.Delivered != b.Accepted || b.Delivered > 0 && !strings.HasPrefix(to, slow.to()) {
			t.Errorf("%s: %+v", to, b)
		}
	}
}
