package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// options is the command line of a metering run, as typed.
type options struct {
	devices    []string
	files      []string
	filter     string // the BPF expression, wherever it came from
	filterFile string
	count      uint64
	snaplen    int
	notPromisc bool
	lineBuffer bool
	save       string

	output   string // -o; empty until resolved
	to       []string
	targets  []target // to, parsed
	spool    string
	letters  string // --dead-letter
	drain    time.Duration
	quiet    bool
	verbose  bool
	flagged  bool
	utc      bool
	stats    string
	exitCode bool
	observer string

	alertWindow time.Duration
	noAlerts    bool

	registry string
	offline  bool
	idle     time.Duration
	active   time.Duration
	maxFlows int
	noVLAN   bool
	tunnels  string
	workers  int
	list     bool
	version  bool
	help     bool
	numeric  bool // accepted out of habit: addresses are never resolved
}

// flags binds the options to their names. Short names are tcpdump's, if tcpdump
// has the option.
func (o *options) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("portwatch", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringArrayVarP(&o.devices, "interface", "i", nil, "capture live from `IF`: a name, a number of -D, or any")
	f.StringArrayVarP(&o.files, "read", "r", nil, "read the savefile `FILE`, - for standard input")
	f.StringVarP(&o.filterFile, "filter-file", "F", "", "take the BPF expression from `FILE`")
	f.Uint64VarP(&o.count, "count", "c", 0, "stop after `N` packets")
	f.IntVarP(&o.snaplen, "snapshot-length", "s", defaultSnaplen, "capture at most `N` octets of a packet")
	f.BoolVarP(&o.notPromisc, "no-promiscuous-mode", "p", false, "leave the interface out of promiscuous mode")
	f.BoolVarP(&o.lineBuffer, "line-buffered", "l", false, "write every record at once")
	f.StringVarP(&o.save, "write", "w", "", "also save the packets to `FILE`")
	f.BoolVarP(&o.list, "list-interfaces", "D", false, "list the devices")
	f.BoolVarP(&o.numeric, "numeric", "n", false, "accepted as in tcpdump; addresses are never resolved")
	f.StringVarP(&o.output, "output", "o", "", "`FORMAT` of standard output")
	f.StringArrayVar(&o.to, "to", nil, "write records to `URL` as well")
	f.StringVar(&o.spool, "spool", "", "keep what sinks have not delivered yet in `DIR`")
	f.StringVar(&o.letters, "dead-letter", "", "write records that a sink rejected to `FILE`")
	f.DurationVar(&o.drain, "drain-timeout", 30*time.Second, "at the end, wait for sinks for `TIME`")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no progress and no summary")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "report more of what happens")
	f.BoolVar(&o.flagged, "flagged", false, "only Flows with a finding")
	f.BoolVar(&o.utc, "utc", false, "times of the text output in UTC")
	f.StringVar(&o.stats, "stats", "", "write the closing counters to `FILE` as JSON")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 3 if there are findings")
	f.StringVar(&o.observer, "observer", "", "`NAME` of this sensor in records and Flow ids")
	f.DurationVar(&o.alertWindow, "alert-window", annotate.DefaultAlertWindow, "gather the findings of `TIME` in one alert")
	f.BoolVar(&o.noAlerts, "no-alerts", false, "write records only, no alerts")
	f.StringVar(&o.registry, "registry", "", "take the registry from `FILE`, IANA's CSV or XML")
	f.BoolVar(&o.offline, "offline", false, "never use the cache of `registry update`")
	f.DurationVar(&o.idle, "idle-timeout", flow.DefaultIdleTimeout, "end a Flow without packets for `TIME`")
	f.DurationVar(&o.active, "active-timeout", flow.DefaultActiveTimeout, "report a long Flow every `TIME`")
	f.IntVar(&o.maxFlows, "max-flows", flow.DefaultMaxFlows, "meter at most `N` Flows at a time")
	f.BoolVar(&o.noVLAN, "ignore-vlan", false, "leave the VLAN out of the Flow Key")
	f.StringVar(&o.tunnels, "tunnels", "both", "which `LEVELS` of tunnelled packets make Flows: both, outer or inner")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "use `N` cores; the output does not depend on it")
	f.BoolVar(&o.version, "version", false, "print the version")
	f.BoolVarP(&o.help, "help", "h", false, "print this help")
	return f
}

const defaultSnaplen = 262144 // tcpdump's own

// parseOptions reads the command line of a metering run. Every error is a
// usageError.
func parseOptions(args []string) (*options, error) {
	o := new(options)
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return nil, usageError{err.Error(), "portwatch --help lists the options"}
	}
	if o.help || o.version || o.list {
		return o, nil
	}
	if err := checkEmpty(f); err != nil {
		return nil, err
	}
	o.filter = strings.Join(f.Args(), " ")
	return o, o.check(f)
}

// checkEmpty finds an option whose value is empty, for instance from an unset shell
// variable: the run would not be the one that was meant. Only an observer may have no name.
func checkEmpty(f *pflag.FlagSet) (err error) {
	f.Visit(func(flag *pflag.Flag) {
		empty := flag.Value.Type() == "string" && flag.Value.String() == ""
		if list, ok := flag.Value.(pflag.SliceValue); ok {
			empty = slices.Contains(list.GetSlice(), "")
		}
		if empty && flag.Name != "observer" {
			err = usageError{fmt.Sprintf("--%s: its value is empty", flag.Name), "give a value, or leave the option out"}
		}
	})
	return err
}

// check finds contradictions between options, before anything is opened.
func (o *options) check(f *pflag.FlagSet) error {
	switch {
	case len(o.devices) == 0 && len(o.files) == 0:
		return errNoInput
	case len(o.devices) > 0 && len(o.files) > 0:
		return usageError{"-i and -r exclude each other", "read live traffic or savefiles, not both at once"}
	case o.filterFile != "" && o.filter != "":
		return usageError{"-F and a BPF expression exclude each other", "put the whole expression in one of them"}
	case o.quiet && o.verbose:
		return usageError{"-q and -v exclude each other", "one of them"}
	case o.snaplen < 0 || o.snaplen > defaultSnaplen:
		return usageError{fmt.Sprintf("-s %d: the snapshot length is 0 to %d octets", o.snaplen, defaultSnaplen), "0 means all of it"}
	case o.idle <= 0 || o.active <= 0:
		return usageError{"--idle-timeout and --active-timeout must be above 0", "a duration is typed as 90s, 5m or 1h30m"}
	case o.alertWindow <= 0:
		return usageError{"--alert-window must be above 0", "--no-alerts turns alerts off"}
	case o.noAlerts && f.Changed("alert-window"):
		return usageError{"--alert-window and --no-alerts exclude each other", "one of them"}
	case o.maxFlows < 1:
		return usageError{fmt.Sprintf("--max-flows %d: at least one Flow must fit", o.maxFlows), "a number from 1; the default is 1000000"}
	case !slices.Contains(tunnelWords, o.tunnels):
		return usageError{fmt.Sprintf("--tunnels %s: unknown choice", o.tunnels), "one of " + strings.Join(tunnelWords, ", ")}
	case f.Changed("count") && o.count == 0:
		return usageError{"-c 0: the count must be above 0", "without -c all packets are read"}
	}
	if err := o.checkWorkers(); err != nil {
		return err
	}
	if n := countOf(o.files, "-"); n > 1 {
		return usageError{"-r -: standard input can be read only once", "one -r -, and the other savefiles by name"}
	} else if n == 1 && screenOf(os.Stdin).terminal {
		return usageError{"-r -: standard input is a terminal", "zcat capture.pcap.gz | portwatch -r -"}
	}
	if o.snaplen == 0 {
		o.snaplen = defaultSnaplen
	}
	if o.output != "" && o.output != "none" && !slices.Contains(formats, o.output) {
		return usageError{fmt.Sprintf("-o %s: unknown format", o.output), "formats: " + strings.Join(formats, ", ") + ", none"}
	}
	for _, to := range o.to {
		t, err := o.parseTarget(to)
		if err != nil {
			return err
		}
		o.targets = append(o.targets, t)
	}
	if err := o.checkSinks(); err != nil {
		return err
	}
	if o.save == "-" && o.recordsToStandardOutput() {
		return usageError{"-w - and records both need standard output", "add -o none, or send the records elsewhere with --to file:PATH"}
	}
	return nil
}

// maxWorkers is more than any machine has cores, yet few enough to start.
const maxWorkers = 4096

func (o *options) checkWorkers() error {
	if o.workers < 1 || o.workers > maxWorkers {
		return usageError{fmt.Sprintf("--workers %d: must be from 1 to %d", o.workers, maxWorkers), "leave it out to use all cores"}
	}
	return nil
}

// recordsToStandardOutput reports whether records go to standard output, by -o, by --to or
// by default.
func (o *options) recordsToStandardOutput() bool {
	return o.output != "" && o.output != "none" || len(o.to) == 0 && o.output == "" ||
		slices.ContainsFunc(o.targets, func(t target) bool { return t.path == "-" })
}

func countOf(list []string, s string) (n int) {
	for _, x := range list {
		if x == s {
			n++
		}
	}
	return n
}

// tunnelWords are the values of --tunnels, in the order of capture.Tunnels.
var tunnelWords = []string{capture.Both: "both", capture.Outer: "outer", capture.Inner: "inner"}

// maxFilter is how long the file of -F may be.
const maxFilter = 1 << 20

// readFilter reads the BPF expression from the file of -F. As in tcpdump, a comment runs
// from a # to the end of its line.
func (o *options) readFilter() error {
	if o.filterFile == "" {
		return nil
	}
	f, err := os.Open(o.filterFile)
	var text []byte
	if err == nil {
		defer f.Close()
		text, err = io.ReadAll(io.LimitReader(f, maxFilter+1))
	}
	switch {
	case err != nil:
	case len(text) > maxFilter:
		err = fmt.Errorf("longer than %d octets", maxFilter)
	case bytes.IndexByte(text, 0) >= 0: // libpcap would stop reading there
		err = errors.New("it contains an octet of value 0, which no expression can")
	}
	if err != nil {
		return fmt.Errorf("read filter %s: %w", o.filterFile, cause(err))
	}
	var filter strings.Builder
	for line := range strings.Lines(string(text)) {
		line, _, _ = strings.Cut(line, "#")
		filter.WriteString(strings.TrimRight(line, "\r\n") + "\n")
	}
	o.filter = strings.TrimSpace(filter.String())
	return nil
}

// blame names the file of -F in an error about its expression.
func (o *options) blame(err error) error {
	if _, ok := errors.AsType[*capture.FilterError](err); ok && o.filterFile != "" {
		return failure{fmt.Errorf("read filter %s: %w", o.filterFile, err), "pcap-filter(7), which describes the language"}
	}
	return err
}

var errNoInput = errors.New("neither -i nor -r")

// wordsWithoutInput is the error for words without -i or -r: a savefile, an expression, or a
// subcommand that is mistyped or comes after an option.
func wordsWithoutInput(words string) error {
	if first, _, _ := strings.Cut(words, " "); slices.Contains(subcommands, first) {
		return usageError{first + " must be the first argument", "portwatch " + words + ", and options after that"}
	}
	hint := "-i DEVICE or -r FILE before an expression; the subcommands are " + strings.Join(subcommands, ", ")
	if isFile(words) {
		hint = eachSavefile
	}
	return usageError{words + ": " + errNoInput.Error() + " says what to read", hint}
}

const usage = `portwatch meters packets into flows and says what IANA registered for the ports.

Usage:
  portwatch [options] -i IF [-i IF ...] [BPF expression]
  portwatch [options] -r FILE [-r FILE ...] [BPF expression]
  portwatch annotate --from SOURCE [--to URL] ...
  portwatch lookup PORT[/TRANSPORT] | NAME ...
  portwatch registry info | search | export | diff | update | verify ...
  portwatch template [NAME]
  portwatch completion bash | zsh | fish

Input:
  -i, --interface IF         capture live: a device name, its -D number, or any
  -r, --read FILE            read a savefile: pcap or pcapng, plain, gzip, zstd
                             or lz4; - is standard input; several are merged by
                             time
  -F, --filter-file FILE     read the BPF expression from a file
  -c, --count N              stop after N packets that passed the filter
  -s, --snapshot-length N    octets to capture of each packet (262144)
  -p, --no-promiscuous-mode  capture only this host's packets
  -w, --write FILE           also save the packets that passed the filter
  -D, --list-interfaces      list devices with their addresses and state

Output:
  -o, --output FORMAT        of standard output: text; ecs, ocsf, zeek or eve
                             (JSON lines); cef, leef, csv; none. By default,
                             text on a terminal, otherwise ecs
      --to URL               write records to file:PATH or -, as ecs or what
                             ?format= after it says, or deliver them to a sink;
                             without -o, nothing goes to standard output
      --flagged              only flows with a finding
      --utc                  show times in UTC in text output
  -l, --line-buffered        write every record at once
  -q, --quiet                no progress and no summary
  -v, --verbose              report more of what happens
      --stats FILE           write closing counters as JSON; - is standard error
      --exit-code            exit with 3 if there are findings
      --alert-window TIME    findings about one service, or one scan, make one
                             alert in this time, and one with their totals (1h);
                             text, csv and zeek have no alerts
      --no-alerts            write records only
      --observer NAME        this sensor's name, in records and in flow ids

Delivery to sinks:
      --spool DIR            keep records on disk until they are delivered, even
                             across restarts; DIR?max=4GiB&full=drop-oldest
      --dead-letter FILE     for records that a sink rejects (default: in the
                             spool, else portwatch-dead-letter.jsonl)
      --drain-timeout TIME   at the end, give up a sink that takes nothing for
                             this long (30s)

Flows:
      --idle-timeout TIME    end a TCP flow that has no packets for this long
                             (5m); at most 60s if not TCP or without an answer,
                             30s for mere attempts
      --active-timeout TIME  report a long flow every TIME (30m)
      --max-flows N          flows in memory at a time (1000000)
      --ignore-vlan          for mirrors that tag each direction differently
      --tunnels LEVELS       flows of tunnelled packets: both, outer or inner
      --workers N            cores to use (all); does not affect the output

Registry:
      --registry FILE        IANA's CSV or XML instead of the built-in snapshot
      --offline              never use the cache of 'registry update'

Other:
  -n, --numeric              accepted as in tcpdump; addresses are never resolved
      --version              print the version and the date of the registry
  -h, --help                 print this help

Examples:
  portwatch -i eth0                          show a device's flows on screen
  portwatch -nr office.pcap 'tcp port 80'    a savefile, filtered as in tcpdump
  portwatch -r office.pcap --flagged         only flows with findings
  zcat big.pcap.gz | portwatch -r - -o ecs --stats - > flows.jsonl
  portwatch annotate --from conn.log         annotate other programs' records
  portwatch lookup 42000                     what IANA says of a port
  portwatch registry search modbus           registry rows with that text
  portwatch template opensearch              what OpenSearch must import

Exit status: 0 done, 1 failed, 2 wrong usage, 3 findings (with --exit-code).
A registered port proves neither the service nor good intent: IANA says so.
`
