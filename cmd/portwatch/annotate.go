package main

import (
	"context"
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
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/records"
	"github.com/portwatch/portwatch/records/kafka"
)

// annotateOptions is the command line of "portwatch annotate". The options that it
// shares with metering are in options.
type annotateOptions struct {
	options
	from       []string
	fromFormat string
	fields     string

	format records.Format      // fromFormat, parsed
	head   *records.Head       // fields, parsed; nil without --fields
	kafka  []*sink.KafkaSource // for each of from; nil for a file
}

const annotateUsage = `Usage:
  portwatch annotate --from SOURCE [--from SOURCE ...] [options]

Reads flow records that other programs metered, adds what IANA's registry says
of both ports as an object named portwatch, and writes them as JSON lines. The
rest of a JSON record stays as it is, octet for octet; a line of text becomes a
JSON object with its own field names.

Sources:
      --from FILE            lines, plain or compressed with gzip, zstd or lz4;
                             - is standard input
      --from kafka://HOST[:PORT][,...]/TOPIC?group=NAME
                             a topic, shared with the other members of the group
                             (more settings: tls, sasl, session=45s)
      --from-format FORMAT   ecs, zeek, eve, netflow or vpc; by default detected
                             line by line
      --fields 'NAME ...'    fields of VPC flow log lines that have no header

Output:
      --to URL               file:PATH, - or a sink (see portwatch --help);
                             repeatable; by default standard output
      --flagged              only records with a finding
      --dead-letter FILE     for lines that cannot be read, and records that a
                             sink rejects (with a topic or a sink, by default
                             portwatch-dead-letter.jsonl)
      --drain-timeout TIME   at the end, give up a sink that takes nothing for
                             this long (30s)
  -q, --quiet                no summary
      --stats FILE           write closing counters as JSON; - is standard error
      --exit-code            exit with 3 if there are findings

Other:
      --workers N            cores to use (all); does not affect the output
      --registry FILE        IANA's CSV or XML instead of the registry in use
      --offline              never use the cache of 'registry update'
  -h, --help                 print this help

Records of other types, of protocols without ports, and those that already have
the object are passed on as they are, and counted. Lines that cannot be read are
reported with file, line and cause; the run then ends with status 1 when
everything else is done.

Examples:
  portwatch annotate --from conn.log.gz > annotated.jsonl
  tail -F eve.json | portwatch annotate --from - --flagged
  portwatch annotate --from 'kafka://broker/flows?group=portwatch' --to kafka://broker/annotated
  aws s3 cp s3://bucket/flow.log.gz - | portwatch annotate --from -

Exit status: 0 done, 1 failed or lines that cannot be read, 2 wrong usage,
3 findings (with --exit-code).
`

func (o *annotateOptions) flags() *pflag.FlagSet {
	f := pflag.NewFlagSet("portwatch annotate", pflag.ContinueOnError)
	f.SortFlags = false
	f.StringArrayVar(&o.from, "from", nil, "read records from `SOURCE`")
	f.StringVar(&o.fromFormat, "from-format", "auto", "`FORMAT` of the records")
	f.StringVar(&o.fields, "fields", "", "`NAMES` of the fields of VPC flow log lines")
	f.StringArrayVar(&o.to, "to", nil, "write records to `URL`")
	f.BoolVar(&o.flagged, "flagged", false, "only records with a finding")
	f.StringVar(&o.letters, "dead-letter", "", "write what cannot be read or delivered to `FILE`")
	f.DurationVar(&o.drain, "drain-timeout", 30*time.Second, "at the end, wait for sinks for `TIME`")
	f.BoolVarP(&o.quiet, "quiet", "q", false, "no summary")
	f.StringVar(&o.stats, "stats", "", "write the closing counters to `FILE` as JSON")
	f.BoolVar(&o.exitCode, "exit-code", false, "exit with 3 if there are findings")
	f.IntVar(&o.workers, "workers", runtime.GOMAXPROCS(0), "use `N` cores; the output does not depend on it")
	f.StringVar(&o.registry, "registry", "", "take the registry from `FILE`, IANA's CSV or XML")
	f.BoolVar(&o.offline, "offline", false, "never use the cache of `registry update`")
	f.BoolVarP(&o.help, "help", "h", false, "print this help")
	return f
}

const annotateHint = "portwatch annotate --help lists the options"

func parseAnnotateOptions(args []string) (*annotateOptions, error) {
	o := new(annotateOptions)
	f := o.flags()
	if err := f.Parse(args); err != nil {
		return nil, usageError{"annotate: " + err.Error(), annotateHint}
	}
	if o.help {
		return o, nil
	}
	if err := checkEmpty(f); err != nil {
		return nil, err
	}
	if f.NArg() > 0 {
		return nil, usageError{fmt.Sprintf("annotate: unexpected argument %q", f.Arg(0)), "--from " + f.Arg(0) + ", if you want to read it"}
	}
	return o, o.check()
}

// check finds contradictions between options, before anything is opened.
func (o *annotateOptions) check() error {
	format := slices.Index(records.Formats, o.fromFormat)
	o.format = records.Format(max(format, 0))
	switch {
	case len(o.from) == 0:
		return usageError{"annotate needs a source", "portwatch annotate --from conn.log, or --from - for standard input"}
	case format < 0:
		return usageError{fmt.Sprintf("--from-format %s: unknown format", o.fromFormat), "formats: " + strings.Join(records.Formats, ", ")}
	case countOf(o.from, "-") > 1:
		return usageError{"--from -: standard input can be read only once", "one --from -, and the others by name"}
	case slices.Contains(o.from, "-") && screenOf(os.Stdin).terminal:
		return usageError{"--from -: standard input is a terminal", "zcat conn.log.gz | portwatch annotate --from -"}
	}
	if err := o.checkWorkers(); err != nil {
		return err
	}
	if o.fields != "" {
		head, err := records.ParseFields(o.fields)
		if err != nil {
			return usageError{"--fields: " + err.Error(), "AWS's names, as --fields 'version srcaddr dstaddr srcport dstport protocol'"}
		}
		o.head = head
	}
	o.kafka = make([]*sink.KafkaSource, len(o.from))
	for i, from := range o.from {
		if !strings.HasPrefix(from, "kafka://") {
			continue
		}
		if len(o.from) > 1 {
			return usageError{"--from " + sink.WithoutSecrets(from) + ": a topic has no end, so nothing can be read after it", "one portwatch annotate for each source"}
		}
		s, err := sink.ParseKafkaSource(from)
		if err != nil {
			return usageError{"--from " + err.Error(), "--from 'kafka://broker:9092/flows?group=portwatch'"}
		}
		o.kafka[i] = s
	}
	if len(o.to) == 0 {
		o.to = []string{"-"}
	}
	sinks := 0
	for _, to := range o.to {
		t, err := o.parseTarget(to)
		if err != nil {
			return err
		}
		if t.format != "ecs" {
			return usageError{"--to " + to + ": annotate writes only JSON lines", "leave format= out"}
		}
		if t.sink != nil {
			sinks++
		}
		if t.sink != nil && t.sink.Overflow == sink.DropOldest {
			return usageError{"--to " + t.sink.Name + ": overflow=drop-oldest would lose records that their source still has", "overflow=block: annotate reads no faster than the sink takes"}
		}
		o.targets = append(o.targets, t)
	}
	if sinks > 0 {
		return o.checkSinks()
	}
	return nil
}

// annotateCommand runs "portwatch annotate" with the arguments after these words, and
// returns the exit status.
func annotateCommand(ctx context.Context, args []string, stdout, stderr *os.File) int {
	o, err := parseAnnotateOptions(args)
	switch {
	case err != nil:
		report(stderr, err)
		return exitUsage
	case o.help:
		return write(stdout, stderr, annotateUsage)
	}
	ctx, hangups, done := o.onHangup(ctx, screenOf(stderr).terminal)
	defer done()
	r, err := openUntil(ctx, func() (*annotateRun, error) { return newAnnotateRun(o, stdout, stderr) })
	if err != nil {
		return notBegun(err, o.stats, new(export.AnnotateCounts).AppendJSON(nil), stderr)
	}
	go r.sinks.reopen(hangups)
	err, unread := splitUnread(r.run(ctx))
	if unread && err == nil {
		return exitDone
	}
	if !o.quiet && !unread {
		stderr.Write(r.counts.Append(nil))
	}
	reportAll(stderr, err)
	switch {
	case err != nil:
		return statusOf(err)
	case o.exitCode && r.counts.Findings.Sum() > 0:
		return exitFindings
	}
	return exitDone
}

// An annotateRun is one run of annotate. A reader fills jobs with lines or messages,
// workers annotate them, and the writer outputs the jobs in the order in which they
// were read.
type annotateRun struct {
	options *annotateOptions
	stderr  *os.File
	output  rendering // the one form of the records, and where it goes
	sinks   *sinks
	delay   context.Context // ends so long after a signal that sinks are given up

	free  chan *job
	work  chan *job
	order chan *job

	newAnnotator func() *annotator // one for each worker

	counts  export.AnnotateCounts
	started time.Time
	told    int  // lines that cannot be read
	unkept  bool // the dead-letter file failed to take one of them
}

// A job is a block of lines, or some messages, and the result. A job with a barrier
// has nothing else.
type job struct {
	block    records.Block
	messages []kafka.Message
	topic    string // of the messages

	out     []byte
	marks   *marks
	rejects []reject
	counts  export.AnnotateCounts

	done    chan struct{}
	barrier chan bool // gets whether everything before it was delivered
}

// A reject is a line that cannot be read.
type reject struct {
	place string // file and line
	line  []byte
	cause error
}

const (
	jobsEach    = 4    // jobs per worker
	jobMessages = 1000 // the most messages of a topic in one job
	// settleTime is how long the last messages of a topic may take after a signal.
	settleTime = 10 * time.Second
)

// newAnnotateRun opens all outputs.
func newAnnotateRun(o *annotateOptions, stdout, stderr *os.File) (_ *annotateRun, err error) {
	r := &annotateRun{options: o, stderr: stderr, started: time.Now()}
	reg, _, err := findRegistry(o.registry, o.offline, stderr)
	if err != nil {
		return nil, err
	}
	o.files = o.from // they must not be overwritten
	if err := o.checkFiles(stdout); err != nil {
		return nil, err
	}
	if r.sinks, err = o.openSinks(r.warn); err != nil {
		return nil, err
	}
	for _, t := range o.targets {
		if t.sink != nil {
			if err := r.sinks.add(&r.output, t); err != nil {
				return nil, err
			}
			continue
		}
		p, _, err := t.open(stdout, nil, r.sinks)
		if err != nil {
			return nil, err
		}
		r.output.places = append(r.output.places, p)
	}
	r.newAnnotator = func() *annotator {
		return &annotator{
			reader: records.NewReader(o.format, assigned(reg)), annotate: annotate.New(reg),
			format: export.NewAnnotation(reg), flagged: o.flagged,
		}
	}
	n := jobsEach * o.workers
	r.free, r.work, r.order = make(chan *job, n), make(chan *job, n), make(chan *job, n+1)
	for range n {
		j := &job{done: make(chan struct{}, 1)}
		if len(r.output.sinks) > 0 {
			j.marks = new(marks)
		}
		r.free <- j
	}
	return r, nil
}

func (r *annotateRun) warn(err error) { warn(r.stderr, "%v", err) }

// run annotates until the sources end, or ctx does.
func (r *annotateRun) run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var abandon context.CancelFunc
	r.delay, abandon = context.WithCancel(context.Background())
	defer abandon()
	defer context.AfterFunc(ctx, func() { time.AfterFunc(settleTime, abandon) })()
	r.sinks.begin()
	defer context.AfterFunc(ctx, r.sinks.limit)()
	for range r.options.workers {
		go func() {
			a := r.newAnnotator()
			for j := range r.work {
				a.work(j)
				j.done <- struct{}{}
			}
		}()
	}
	read := make(chan error, 1)
	go func() {
		defer close(r.work)
		defer close(r.order)
		read <- r.read(ctx)
	}()
	written := r.write(ctx, stop)
	var failed error
	select {
	case failed = <-read:
	default: // the reader waits for input that does not come
	}
	r.sinks.hurry()
	failed = errors.Join(failed, written, r.output.close(), r.sinks.close())
	if n := r.counts.Unreadable; n > 0 {
		failed = errors.Join(failed, failure{fmt.Errorf("%d of %d lines cannot be read", n, r.counts.Lines),
			"--from-format, if they are of one kind; --dead-letter FILE keeps them"})
	}
	r.counts.Wall, r.counts.CPU = time.Since(r.started), processorTime()
	r.counts.Delivery = r.sinks.counts()
	return errors.Join(failed, writeCounters(r.options.stats, r.counts.AppendJSON(nil), r.stderr))
}

// read reads all sources.
func (r *annotateRun) read(ctx context.Context) error {
	var failed error
	for i, from := range r.options.from {
		var err error
		if s := r.options.kafka[i]; s != nil {
			err = r.readTopic(ctx, s)
		} else {
			err = r.readFile(ctx, from)
		}
		failed = errors.Join(failed, err) // the other sources are still read
	}
	return failed
}

func (r *annotateRun) readFile(ctx context.Context, name string) error {
	in, err := records.Open(name)
	if err != nil {
		return fmt.Errorf("open records %s: %w", name, cause(err))
	}
	defer in.Close()
	if name == "-" {
		name = "standard input"
	}
	lines := records.NewLines(in, name, r.options.head)
	before := 0
	for ctx.Err() == nil {
		j := <-r.free
		err = lines.Next(&j.block)
		heads := uint64(lines.Heads() - before)
		before += int(heads)
		j.counts = export.AnnotateCounts{Lines: heads, NoRecord: heads}
		r.order <- j
		r.work <- j
		if err != nil {
			break
		}
	}
	if err == io.EOF {
		return nil
	}
	return err
}

// readTopic reads a topic until ctx ends. Offsets are committed when the writer says
// that everything was delivered.
func (r *annotateRun) readTopic(ctx context.Context, s *sink.KafkaSource) error {
	c, err := kafka.NewConsumer(kafka.Options{
		Topic: s.Topic, Group: s.Group, Session: s.Session, Client: s.Client, Report: r.warn,
	})
	if err != nil {
		return err
	}
	defer c.Close()
	for {
		messages := c.Poll(ctx)
		if len(messages) == 0 {
			return nil
		}
		for some := range slices.Chunk(messages, jobMessages) {
			j := <-r.free
			j.messages, j.topic, j.counts = some, s.Topic, export.AnnotateCounts{}
			r.order <- j
			r.work <- j
		}
		barrier := make(chan bool, 1)
		r.order <- &job{barrier: barrier}
		if !<-barrier {
			return nil // the writer reports why
		}
		c.Commit(r.delay)
	}
}

// patience is how long the writer waits after a signal for a reader that may itself be
// waiting for input that does not come.
const patience = 200 * time.Millisecond

// write outputs what was read, in order, until there is no more. It calls stop when no
// output is left.
func (r *annotateRun) write(ctx context.Context, stop func()) error {
	var failed error
	done := ctx.Done()
	var late <-chan time.Time
	for {
		select {
		case j, more := <-r.order:
			if !more {
				return failed
			}
			if j.barrier != nil {
				if failed == nil {
					failed = r.settle()
				}
				j.barrier <- failed == nil
				continue
			}
			<-j.done
			failed = errors.Join(failed, r.put(j))
			if len(r.output.places)+len(r.output.sinks) == 0 {
				stop()
			}
			r.free <- j
			if late != nil { // wait anew: the time that this job took was not the reader's
				late = time.After(patience)
			}
		case <-done:
			done = nil
			if r.options.kafka[0] == nil { // a Kafka consumer ends by itself
				late = time.After(patience)
			}
		case <-late:
			if len(r.order) == 0 {
				return failed
			}
		}
	}
}

// put writes a job's records, and reports what cannot be read.
func (r *annotateRun) put(j *job) error {
	r.counts.Add(&j.counts)
	failed := r.output.write(j.out, false, nil)
	if len(r.output.places)+len(r.output.sinks) > 0 {
		failed, _ = splitUnread(failed) // the other outputs go on
	}
	failed = errors.Join(failed, r.output.deliver(j.marks.split(j.out)))
	for i := range j.rejects {
		failed = errors.Join(failed, r.reject(&j.rejects[i]))
	}
	return failed
}

// settle waits until everything that was output has been delivered.
func (r *annotateRun) settle() error {
	var failed error
	for _, v := range r.sinks.list {
		failed = errors.Join(failed, v.Wait(r.delay))
	}
	return failed
}

// toldRejects is how many lines that cannot be read are reported one by one.
const toldRejects = 10

// reject reports a line that cannot be read, and keeps it if that was asked for.
func (r *annotateRun) reject(x *reject) error {
	if r.told++; r.told <= toldRejects {
		r.warn(fmt.Errorf("%s: %w", x.place, x.cause))
		if r.told == toldRejects {
			r.warn(errors.New("further lines that cannot be read are only counted"))
		}
	}
	if r.options.letters == "" && r.options.kafka[0] == nil || r.unkept {
		return nil // its file still has it
	}
	err := r.sinks.letters.Write(x.place, r.options.fromFormat, &sink.Record{Body: x.line}, x.cause.Error())
	r.unkept = err != nil // reported only once
	return err
}
