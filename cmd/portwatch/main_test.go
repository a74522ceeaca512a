package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// TestMain makes the test binary the program itself if a test asks for it.
func TestMain(m *testing.M) {
	release = "v0.0.0-test" // golden files must not change with the commit
	if os.Getenv("PORTWATCH_TEST_MAIN") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"portwatch": main})
}

// TestScript runs the program as its users type it; testdata/script has one file
// for each subject. $DATA is the repository's folder of captures.
func TestScript(t *testing.T) {
	data, err := filepath.Abs(filepath.Join("..", "..", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"counter": counter,
		},
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			e.Setenv("HOME", e.WorkDir) // its cache must not answer for the built-in registry
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("TZ", "UTC")
			return os.Unsetenv("NO_COLOR")
		},
	})
}

// counter is a command of the scripts: counter FILE NAME VALUE checks that a counter,
// named with its path, has a value in a file that --stats wrote; with !, that it has
// another value.
func counter(ts *testscript.TestScript, negated bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: counter FILE NAME VALUE")
	}
	var value any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile(args[0])), &value))
	for name := range strings.SplitSeq(args[1], ".") {
		object, _ := value.(map[string]any)
		if value = object[name]; value == nil {
			ts.Fatalf("%s has no %s", args[0], args[1])
		}
	}
	if got := fmt.Sprint(value); (got == args[2]) == negated {
		ts.Fatalf("%s in %s is %s", args[1], args[0], got)
	}
}

// TestSignal interrupts the reading of a pipe that has become silent: the run ends
// cleanly, with everything that was read.
func TestSignal(t *testing.T) {
	// A signal that is caught here has its default action in a child, even under nohup.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	for _, signal := range []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(signal.String(), func(t *testing.T) { testSignal(t, signal) })
	}
}

func testSignal(t *testing.T, signal os.Signal) {
	capture, err := os.ReadFile(filepath.Join("..", "..", "testdata", "raw.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	const fileHeader = 24
	packets := capture[fileHeader:]
	stats := filepath.Join(t.TempDir(), "stats.json")
	c := exec.Command(os.Args[0], "-q", "-r", "-", "-o", "none", "--stats", stats)
	c.Env = append(os.Environ(), "PORTWATCH_TEST_MAIN=1")
	var stderr bytes.Buffer
	c.Stderr = &stderr
	in := begin(t, c)
	// More than a pipe holds: once it is written, the program reads.
	const pipeSize = 64 << 10
	if _, err := in.Write(append(capture[:fileHeader:fileHeader], bytes.Repeat(packets, 1+4*pipeSize/len(packets))...)); err != nil {
		t.Fatal(err)
	}
	for range 2 { // as timeout(1) does: to its child, and to the group
		if err := c.Process.Signal(signal); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	if n := readCounters(t, stats).Packets["read"]; n == 0 {
		t.Error("no packet was counted")
	}
}

// TestSignalBesideBrokenFile: what was wrong with one of several savefiles is told, also when
// a signal ends the reading of another.
func TestSignalBesideBrokenFile(t *testing.T) {
	capture := contents(filepath.Join("..", "..", "testdata", "raw.pcap"))
	const fileHeader, pipeSize = 24, 64 << 10
	c := portwatch("-r", filepath.Join("..", "..", "testdata", "cut.pcap"), "-r", "-", "-o", "none")
	in := begin(t, c)
	in.Write(capture)
	in.Write(bytes.Repeat(capture[fileHeader:], 4*pipeSize/len(capture))) // more than the pipe holds
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	c.Wait()
	if status := c.ProcessState.ExitCode(); status != exitFailed || !strings.Contains(fmt.Sprint(c.Stderr), "file is cut short") {
		t.Errorf("status %d: %s", status, c.Stderr)
	}
}

// TestSignalAtStart: a signal ends a run that still waits for a pipe to be opened or for its
// first octets, and the run has counted nothing.
func TestSignalAtStart(t *testing.T) {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP) // as in TestSignal
	t.Cleanup(func() { signal.Reset(syscall.SIGHUP) })     // after the parallel parts
	data := filepath.Join("..", "..", "testdata", "raw.pcap")
	for _, args := range []string{
		"-r PIPE -o none",
		"-r - -o none",
		"-r - -r PIPE -o none",
		"-r " + data + " -o none -w PIPE",
		"-r " + data + " --to file:PIPE",
		"annotate --from - --to file:PIPE",
	} {
		for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
			t.Run(signal.String()+" "+args, func(t *testing.T) {
				t.Parallel()
				testSignalAtStart(t, args, signal)
			})
		}
	}
}

func testSignalAtStart(t *testing.T, args string, signal syscall.Signal) {
	pipe, stats := filepath.Join(t.TempDir(), "pipe"), filepath.Join(t.TempDir(), "stats.json")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	var in [2]int // Go would make the ends of an os.Pipe non-blocking
	if err := syscall.Pipe(in[:]); err != nil {
		t.Fatal(err)
	}
	stdin := os.NewFile(uintptr(in[0]), "standard input")
	defer stdin.Close()
	defer syscall.Close(in[1])
	if strings.HasPrefix(args, "-r - -r") { // the first has begun
		syscall.Write(in[1], contents(filepath.Join("..", "..", "testdata", "raw.pcap")))
	}
	c := portwatch()
	c.Args = append(c.Args[:1], strings.Fields(strings.Replace(args, "PIPE", pipe, 1))...)
	c.Args = append(c.Args, "-q", "--offline", "--stats", stats)
	c.Stdin = stdin
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
	defer late.Stop()
	time.Sleep(300 * time.Millisecond) // for it to start: nothing shows from outside that it waits
	if err := c.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	if err := c.Wait(); err != nil || fmt.Sprint(c.Stderr) != "" {
		t.Errorf("%v: %s", err, c.Stderr)
	}
	if text := contents(stats); !bytes.HasPrefix(text, []byte(`{"packets":{"read":0,`)) && !bytes.HasPrefix(text, []byte(`{"lines":{"read":0,`)) {
		t.Errorf("counters %q", text)
	}
	if flags, err := unix.FcntlInt(uintptr(in[0]), unix.F_GETFL, 0); err != nil || flags&unix.O_NONBLOCK != 0 {
		t.Errorf("%v: who reads standard input next finds it non-blocking", err)
	}
}

// TestHangupAtStart: where records go to a file, SIGHUP ends nothing, also before anything is
// read.
func TestHangupAtStart(t *testing.T) {
	dir := t.TempDir()
	pipe, records := filepath.Join(dir, "pipe"), filepath.Join(dir, "records")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	c := portwatch("-r", pipe, "--to", "file:"+records)
	begin(t, c)
	time.Sleep(300 * time.Millisecond) // as above
	c.Process.Signal(syscall.SIGHUP)
	waitFor(t, func() bool { return feed(pipe, contents(filepath.Join("..", "..", "testdata", "raw.pcap"))) })
	if err := c.Wait(); err != nil || len(contents(records)) == 0 {
		t.Errorf("%v: %d octets: %s", err, len(contents(records)), c.Stderr)
	}
}

// feed writes to a named pipe, unless nobody has opened it for reading.
func feed(pipe string, octets []byte) bool {
	f, err := os.OpenFile(pipe, os.O_WRONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = f.Write(octets)
	return err == nil
}

// TestSavedBehindClosedOutput: if nobody reads the records any more, -w still gets all
// packets.
func TestSavedBehindClosedOutput(t *testing.T) {
	from, saved := flows(t, 300_000), filepath.Join(t.TempDir(), "saved.pcap")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	r.Close()
	defer w.Close()
	c := portwatch("-r", from, "-o", "ecs", "-w", saved)
	c.Stdout = w
	if err := c.Run(); err != nil {
		t.Fatalf("%v: %s", err, c.Stderr)
	}
	all, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.Stat(saved)
	if err != nil {
		t.Fatal(err)
	}
	if got.Size() != all.Size() {
		t.Errorf("%d octets of %d", got.Size(), all.Size())
	}
}

// TestSavedToPipe: the same holds for a pipe, until nobody reads that either.
func TestSavedToPipe(t *testing.T) {
	from := flows(t, 50_000)
	all, records, saved := contents(from), filepath.Join(t.TempDir(), "records"), filepath.Join(t.TempDir(), "saved")
	leave := func(pipe string) {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
		go func() {
			if f, err := os.Open(pipe); err == nil { // once it is opened for writing
				f.Close()
			}
		}()
	}
	leave(records)
	c := portwatch("-r", from, "-w", "-", "--to", "file:"+records, "--idle-timeout", "1ms")
	if got, err := c.Output(); err != nil || len(got) != len(all) {
		t.Errorf("%v: %d octets of %d: %s", err, len(got), len(all), c.Stderr)
	}
	os.Remove(records)
	leave(records)
	leave(saved)
	c = portwatch("-r", "-", "-w", saved, "--to", "file:"+records, "--idle-timeout", "1ms")
	in := begin(t, c)
	in.Write(all[:len(all)/2]) // and it stays open
	late := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
	defer late.Stop()
	in.Write(all[len(all)/2:])
	if err := c.Wait(); err != nil {
		t.Errorf("%v: %s", err, c.Stderr)
	}
}

// TestLineBuffered: with -l a record is written when it is due, and a packet saved when it has
// come, also if what comes through the pipe after that is nothing.
func TestLineBuffered(t *testing.T) {
	capture, err := os.ReadFile(filepath.Join("..", "..", "testdata", "office.pcap"))
	if err != nil {
		t.Fatal(err)
	}
	saved := filepath.Join(t.TempDir(), "saved.pcap")
	c := portwatch("-l", "-r", "-", "--idle-timeout", "1ms", "-w", saved)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in := begin(t, c)
	if _, err := in.Write(capture); err != nil {
		t.Fatal(err)
	}
	line := make(chan string)
	go func() {
		text, _ := bufio.NewReader(out).ReadString('\n')
		line <- text
	}()
	select {
	case text := <-line:
		if !strings.HasPrefix(text, `{"@timestamp":`) {
			t.Errorf("got %q", text)
		}
	case <-time.After(20 * time.Second):
		t.Error("no record came while the pipe was open")
	}
	waitFor(t, func() bool { return len(contents(saved)) == len(capture) })
	in.Close()
	c.Process.Kill()
	c.Wait()
}
