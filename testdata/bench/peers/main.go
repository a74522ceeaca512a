// Peers has portwatch and other programs read the same captures in turn, and prints how their times
// compare, as Markdown. Other work on the machine disturbs both runs of a pair alike, so it takes the
// ratio of two consecutive runs, and the median over several pairs.
//
//	go run ./testdata/bench/peers [-runs 5] [-only REGEXP] FOLDER
//
// FOLDER holds the captures of ./testdata/bench; bin/portwatch and bin/pcaploop must be built. `make
// bench-peers` does both. The contests are in contests.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("peers: ")
	runs := flag.Int("runs", 5, "`PAIRS` of runs for each figure")
	only := flag.String("only", "", "`REGEXP` that the names of a contest's two commands must match")
	limit := flag.Duration("limit", 10*time.Minute, "`TIME` after which a run is given up")
	bin := flag.String("bin", "bin", "`FOLDER` of portwatch and pcaploop")
	flag.Parse()
	if flag.NArg() != 1 || *runs < 1 {
		log.Fatal("usage: peers [-runs 5] [-only REGEXP] [-limit 10m] [-bin bin] FOLDER")
	}
	wanted, err := regexp.Compile(*only)
	if err != nil {
		log.Fatal(err)
	}
	sink, err := net.ListenPacket("udp", "127.0.0.1:0") // for programs that export to the network
	if err != nil {
		log.Fatal(err)
	}
	defer sink.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the first signal ends the contests; the tables show what was finished
	course := &course{ctx: ctx, folder: flag.Arg(0), bin: *bin, limit: *limit, port: sink.LocalAddr().(*net.UDPAddr).Port}
	chosen := choose(wanted)
	results, failed := course.hold(chosen, *runs)
	printMachine(*runs)
	printRatios(results)
	printTimes(course.times)
	if failed {
		log.Fatal("the tables are not complete, see above")
	}
}

// choose returns the wanted contests whose programs are installed, and complains loudly about the
// others.
func choose(wanted *regexp.Regexp) (chosen []contest) {
	gone := map[string]bool{}
	for _, c := range contests {
		if !wanted.MatchString(c.name()) {
			continue
		}
		missing := append(c.quicker.missing(exec.LookPath), c.slower.missing(exec.LookPath)...)
		if len(missing) == 0 {
			chosen = append(chosen, c)
		}
		for _, name := range missing {
			gone[name] = true
		}
	}
	for name := range gone {
		log.Printf("!! MISSING: %s. Its rows will not be in the table. On Debian: apt-get install %s", name, packages[name])
	}
	return chosen
}

func (c contest) name() string { return c.slower.name + " : " + c.quicker.name }

// A course is where contests are held.
type course struct {
	ctx    context.Context // ends them
	folder string          // of the captures
	bin    string
	port   int
	limit  time.Duration
	times  times
}

// A result is the outcome of one contest on one capture.
type result struct {
	contest, capture string
	wall, cpu        []float64 // ratios
}

// hold runs all contests. One that fails is reported and left out.
func (c *course) hold(chosen []contest, runs int) (results []result, failed bool) {
	for _, contest := range chosen {
		for _, name := range contest.captures {
			r, err := c.pairs(contest, name, runs)
			if c.ctx.Err() != nil {
				log.Print("!! INTERRUPTED: the tables have what was finished")
				return results, true
			}
			if err != nil {
				log.Printf("!! FAILED: %s, %s: %v", contest.name(), name, err)
				failed = true
				continue
			}
			results = append(results, r)
		}
	}
	return results, failed
}

// pairs runs the two commands of a contest in turn.
func (c *course) pairs(of contest, name string, runs int) (result, error) {
	r := result{contest: of.name(), capture: name}
	file := filepath.Join(c.folder, name+".pcap")
	packets, err := c.prepare(of, file)
	if err != nil {
		return r, err
	}
	for range runs {
		quicker, err := c.run(of.quicker, file)
		if err != nil {
			return r, err
		}
		slower, err := c.run(of.slower, file)
		if err != nil {
			return r, err
		}
		r.wall = append(r.wall, slower.wall/quicker.wall)
		r.cpu = append(r.cpu, slower.cpu/quicker.cpu)
		log.Printf("%s, %s: %.2f s : %.2f s = %.2f, CPU %.2f s : %.2f s = %.2f", r.contest, name,
			slower.wall, quicker.wall, slower.wall/quicker.wall, slower.cpu, quicker.cpu, slower.cpu/quicker.cpu)
		c.times.add(of.quicker, name, packets, quicker)
		c.times.add(of.slower, name, packets, slower)
	}
	return r, nil
}

// prepare counts the packets of a capture, which also brings it into the page cache, where both
// commands find it; and makes the compressed copies that the contest needs.
func (c *course) prepare(of contest, file string) (packets int, err error) {
	out, err := exec.Command(filepath.Join(c.bin, "pcaploop"), file).Output()
	if err != nil {
		return 0, fmt.Errorf("count the packets of %s: %w", file, err)
	}
	if _, err := fmt.Sscan(string(out), &packets); err != nil || packets == 0 {
		return 0, fmt.Errorf("%s: %s", file, out)
	}
	for suffix, program := range map[string]string{".gz": "gzip", ".zst": "zstd"} {
		if strings.Contains(of.quicker.shell, "{capture}"+suffix) {
			if err := compress(file, suffix, program); err != nil {
				return 0, err
			}
		}
	}
	return packets, nil
}

// compress makes a compressed copy unless there is one of the file as it is now: the programs give
// the copy the file's modification time.
func compress(file, suffix, program string) error {
	plain, err := os.Stat(file)
	if err != nil {
		return err
	}
	copied, err := os.Stat(file + suffix)
	if err == nil && !copied.ModTime().Before(plain.ModTime().Truncate(time.Second)) {
		return nil
	}
	log.Printf("compressing %s with %s", file, program)
	if out, err := exec.Command(program, "-qkf", file).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", program, err, out)
	}
	return nil
}

// run has a command read a file, with an empty folder to write to.
func (c *course) run(cmd command, file string) (figure, error) {
	out := filepath.Join(c.folder, "out")
	if err := os.RemoveAll(out); err != nil {
		return figure{}, err
	}
	if err := os.MkdirAll(out, 0o777); err != nil {
		return figure{}, err
	}
	defer os.RemoveAll(out)
	line := strings.NewReplacer("{capture}", file, "{out}", out, "{bin}", c.bin, "{port}", fmt.Sprint(c.port)).Replace(cmd.shell)
	f, err := measure(c.ctx, line, filepath.Join(out, "messages"), c.limit)
	if err != nil {
		return figure{}, fmt.Errorf("%s: %w", cmd.name, err)
	}
	return f, nil
}

// times are the figures of each command for each capture.
type times struct {
	rows    []string
	figures map[[2]string][]figure // per packet, by command and capture
}

func (t *times) add(c command, capture string, packets int, f figure) {
	if c.packets != 0 {
		packets = min(packets, c.packets)
	}
	if t.figures == nil {
		t.figures = map[[2]string][]figure{}
	}
	if !slices.Contains(t.rows, c.name) {
		t.rows = append(t.rows, c.name)
	}
	key := [2]string{c.name, capture}
	t.figures[key] = append(t.figures[key], figure{f.wall * 1e9 / float64(packets), f.cpu * 1e9 / float64(packets), f.peak})
}
