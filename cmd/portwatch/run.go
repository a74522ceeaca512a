package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// The exit statuses. If several apply, wrong usage goes before failure, and
// failure before findings.
const (
	exitDone     = 0
	exitFailed   = 1
	exitUsage    = 2
	exitFindings = 3
)

// command runs portwatch with the arguments after its name.
func command(ctx context.Context, args []string, stdout, stderr *os.File) int {
	if len(args) > 0 {
		switch args[0] {
		case "annotate":
			return annotateCommand(ctx, args[1:], stdout, stderr)
		case "lookup":
			return lookupCommand(args[1:], stdout, stderr)
		case "registry":
			return registryCommand(args[1:], stdout, stderr)
		case "template":
			return templateCommand(args[1:], stdout, stderr)
		case "completion":
			return completionCommand(args[1:], stdout, stderr)
		}
	}
	o, err := parseOptions(args)
	switch {
	case errors.Is(err, errNoInput):
		io.WriteString(stderr, usage)
		if o.filter != "" { // below the usage, where it will be seen
			report(stderr, wordsWithoutInput(o.filter))
		}
		return exitUsage
	case err != nil:
		report(stderr, err)
		return exitUsage
	case o.help:
		return write(stdout, stderr, usage)
	case o.version:
		return write(stdout, stderr, versionText())
	case o.list:
		return listDevices(stdout, stderr)
	}
	return meterCommand(ctx, o, stdout, stderr)
}

// meterCommand runs the pipeline and turns the outcome into a status.
func meterCommand(ctx context.Context, o *options, stdout, stderr *os.File) int {
	ctx, hangups, done := o.onHangup(ctx, screenOf(stderr).terminal)
	defer done()
	r, err := openUntil(ctx, func() (*run, error) { return newRun(o, stdout, stderr) })
	if err != nil {
		if errors.Is(err, context.Canceled) && slices.Contains(o.files, "-") {
			capture.ReleaseStandardInput()
		}
		none := export.Counts{Limits: limits(&flow.Stats{}, 0, &annotate.AlertStats{}, &capture.Counters{})}
		return notBegun(err, o.stats, none.AppendJSON(nil), stderr)
	}
	go r.sinks.reopen(hangups)
	err, unread := splitUnread(errors.Join(r.cut, r.meter(ctx), r.close()))
	if unread && err == nil {
		return exitDone
	}
	if !o.quiet && !unread {
		stderr.Write(r.writer.summary.Append(nil, &r.counts))
	}
	if o.verbose {
		r.reportVerbose()
	}
	reportAll(stderr, err)
	switch {
	case err != nil:
		return statusOf(err)
	case o.exitCode && r.pipeline.tagger.found.Sum() > 0:
		return exitFindings
	}
	return exitDone
}

// openUntil calls open, but ends at a signal: open may wait until somebody opens or writes a
// pipe that is to be read, or opens one that is to be written.
func openUntil[R any](ctx context.Context, open func() (*R, error)) (*R, error) {
	const enough = time.Second // for an open that waits for nobody
	var r *R
	var err error
	opened := make(chan struct{})
	go func() {
		defer close(opened)
		r, err = open()
	}()
	select {
	case <-opened:
		return r, err
	case <-ctx.Done():
	}
	select {
	case <-opened:
		return r, err
	case <-time.After(enough):
		return nil, ctx.Err()
	}
}

// notBegun reports why a run could not begin, unless a signal ended it. Unless the options
// are wrong, its counters, all zero, replace those that an earlier run left.
func notBegun(err error, stats string, counters []byte, stderr *os.File) int {
	status := statusOf(err)
	if errors.Is(err, context.Canceled) {
		status, err = exitDone, nil
	}
	if status != exitUsage {
		if failed := writeCounters(stats, counters, stderr); failed != nil {
			status, err = exitFailed, errors.Join(err, failed)
		}
	}
	reportAll(stderr, err)
	return status
}

// A source gives packets: a device, a savefile, or several of them as one.
type source interface {
	Read([]capture.Frame) (int, error)
	Stats() capture.Stats
	Close() error
}

// A run is one observation: the reader and everything around it. The pipeline is
// what comes after the reader.
type run struct {
	options *options
	stderr  *os.File

	registry     *registry.Registry
	registryFrom string // in words

	source   source
	live     bool
	files    []*capture.File // what source reads, unless it is live
	cut      error           // savefiles that end within their header: the others are read
	filter   *capture.Filter
	saver    *capture.Saver // nil without -w
	decoder  *capture.Decoder
	pipeline *pipeline
	writer   *writer
	sinks    *sinks
	progress *progress

	started  time.Time
	span     span  // of the packets' times
	handed   int64 // live: when packets were last sent on, as the time of the newest packet
	filtered uint64
	passed   uint64 // packets that the filter let through
	counts   export.Counts
	stopped  atomic.Bool
	until    atomic.Int64 // live: the time of a signal, or 0; what came before it is still read
}

// batchTime is how long a live packet waits for others to be sent on with it.
const batchTime = int64(100 * time.Millisecond)

// newRun builds the stages, so that whatever can fail without looking at the traffic
// fails before any is read.
func newRun(o *options, stdout, stderr *os.File) (_ *run, err error) {
	r := &run{options: o, stderr: stderr, live: len(o.devices) > 0, started: time.Now()}
	if err := o.checkFiles(stdout); err != nil { // before anything is written
		return nil, err
	}
	if err := o.readFilter(); err != nil {
		return nil, err
	}
	r.filter, err = capture.NewFilter(o.filter)
	if bad, ok := errors.AsType[*capture.FilterError](err); err != nil && !(ok && r.live && bad.WantsNetmask()) {
		return nil, o.blame(err)
	}
	if r.sinks, err = o.openSinks(r.warn); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.sinks.abandon()
		}
	}()
	reg, from, err := findRegistry(o.registry, o.offline, stderr)
	if err != nil {
		return nil, err
	}
	r.registry, r.registryFrom = reg, from
	if err := r.openSource(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.source.Close()
		}
	}()
	r.writer = &writer{stop: r.stop}
	if !o.quiet { // before the outputs: their files may warn from now on
		r.writer.summary = export.NewSummary()
		tty := screenOf(stderr)
		r.writer.summary.Width = tty.width
		if tty.terminal {
			r.progress = newProgress(stderr, r.files)
			r.writer.progress = r.progress
		}
	}
	if r.writer.renderings, err = o.outputs(stdout, reg, r.sinks); err != nil {
		return nil, err
	}
	r.writer.unread.Store(len(r.writer.renderings) == 0)
	r.writer.saving.Store(o.save != "")
	if o.save != "" {
		if r.saver, err = capture.NewSaver(o.save); err != nil {
			return nil, err
		}
	}
	r.decoder = capture.NewDecoder(capture.DecoderOptions{Tunnels: capture.Tunnels(slices.Index(tunnelWords, o.tunnels))})
	m := &meter{
		table: flow.NewTable(flow.Options{
			IdleTimeout: o.idle, ActiveTimeout: o.active, MaxFlows: o.maxFlows,
			IgnoreVLAN: o.noVLAN, ObserverID: o.observer,
		}),
		eager: r.live || o.lineBuffer,
	}
	t := &tagger{judge: flow.NewJudge(assigned(reg)), annotator: annotate.New(reg), flagged: o.flagged}
	if !o.noAlerts {
		t.alerts = annotate.NewAlerts(o.alertWindow)
	}
	r.pipeline = newPipeline(o.workers, r.live, m, t, r.writer)
	r.sinks.begin()
	return r, nil
}

// assigned returns what the registry contributes to the judgement of directions. A
// port with reported unauthorized use counts as a service's port too.
func assigned(reg *registry.Registry) func(flow.Transport, uint16) bool {
	expected := make([]bool, reg.Entries()) // by number: the entries themselves are many times as large
	for i := range expected {
		e := reg.Entry(uint16(i))
		_, used := e.UnauthorizedUse()
		expected[i] = used || e.Status == registry.Assigned
	}
	return func(t flow.Transport, port uint16) bool {
		return expected[reg.Index(annotate.RegistryTransport(t), port)]
	}
}

// openSource opens what -i or -r names.
func (r *run) openSource() error {
	o := r.options
	if r.live {
		live, err := capture.OpenLive(capture.LiveOptions{
			Devices: o.devices, SnapLen: o.snaplen, NotPromiscuous: o.notPromisc, Filter: o.filter,
		})
		if err != nil {
			return o.blame(err)
		}
		r.source, o.devices = live, live.Names()
		return nil
	}
	for _, name := range o.files {
		f, err := capture.OpenFile(name)
		if errors.Is(err, capture.ErrTruncated) {
			r.cut = errors.Join(r.cut, err)
			continue
		}
		if err != nil {
			for _, f := range r.files {
				f.Close()
			}
			return err
		}
		r.files = append(r.files, f)
	}
	if len(r.files) == 0 {
		return r.cut
	}
	r.source = r.files[0]
	if len(r.files) > 1 {
		r.source = capture.Merge(r.files...)
	}
	return nil
}

// meter reads the source to its end, or until ctx ends or nobody reads the output any
// more, and writes what was metered.
func (r *run) meter(ctx context.Context) error {
	defer context.AfterFunc(ctx, r.interrupt)()
	context.AfterFunc(ctx, r.sinks.limit)
	r.writer.begin()
	failed := r.read()
	r.sinks.hurry()
	r.pipeline.finish(r.span.last)
	return failed
}

// interrupt ends the reading once everything that has come so far is read: a device holds
// packets for us. That takes at most a second, if the rest of the pipeline keeps up.
func (r *run) interrupt() {
	const enough = time.Second
	if !r.live {
		r.stop()
		return
	}
	r.until.Store(time.Now().UnixNano())
	time.AfterFunc(enough, r.stop)
}

// interrupted reports whether everything that came before an interrupt has been read. That is
// so if the newest of the frames just read is late enough that the packets of other devices
// were read too, or if none came for as long as the kernel gathers packets before it hands
// them over.
func (r *run) interrupted(frames []capture.Frame) bool {
	until := r.until.Load()
	if until == 0 {
		return false
	}
	if len(frames) == 0 {
		return time.Now().UnixNano() > until+2*batchTime
	}
	return frames[len(frames)-1].Time > until+batchTime
}

// stop ends the reading; it is called from another goroutine.
func (r *run) stop() {
	r.stopped.Store(true)
	if r.live {
		r.source.Close()
	}
	for _, f := range r.files {
		f.Interrupt()
	}
}

// readSize is how many packets are read at once, if there are that many: few enough that their
// headers are still in the cache when they are decoded.
const readSize = 64

// read passes packets on until the source has no more.
func (r *run) read() error {
	var space [readSize]capture.Frame
	for !r.stopped.Load() && (r.options.count == 0 || r.passed < r.options.count) {
		frames := space[:]
		if left := r.options.count - r.passed; r.options.count > 0 && left < readSize { // read none after the last that counts
			frames = frames[:left]
		}
		n, err := r.source.Read(frames)
		switch {
		case err == nil:
			err = r.packets(frames[:n])
		case errors.Is(err, capture.ErrTick):
			err = r.tick(time.Now().UnixNano())
		}
		switch {
		case err == nil && r.interrupted(frames[:n]):
			return nil
		case err == nil:
		case err == io.EOF:
			return nil
		case r.stopped.Load() && errors.Is(err, capture.ErrClosed): // keep the errors of other files
			return errors.Join(slices.DeleteFunc(flatten(err), func(e error) bool { return errors.Is(e, capture.ErrClosed) })...)
		default:
			return err
		}
	}
	return nil
}

// tick tells the stages that no packet with ports came until now, and flushes the file of
// -w.
func (r *run) tick(now int64) error {
	r.pipeline.load.now = now
	r.pipeline.send()
	return r.flush()
}

// packets passes packets on to the table.
func (r *run) packets(frames []capture.Frame) error {
	if !r.live && !r.filter.MatchesAll() { // live, the kernel filters
		frames = r.matching(frames)
	}
	var failed error
	for i := 0; i < len(frames) && r.saver != nil; i++ {
		if failed = r.checkSaved(r.saver.Write(&frames[i])); failed != nil {
			frames = frames[:i] // these are saved, so they count
		}
	}
	r.passed += uint64(len(frames))
	span := r.span
	for i := range frames {
		if f := &frames[i]; !f.Timeless {
			if !span.some {
				r.pipeline.load.began = f.Time
			}
			span.include(f.Time)
		}
	}
	r.span = span
	batch := &r.pipeline.load.Batch
	r.decoder.Decode(frames, batch)
	if failed != nil {
		return failed
	}
	waited := r.live && r.waited(frames)
	if waited && len(batch.Packets) == 0 {
		return r.tick(r.handed)
	}
	if len(batch.Packets) >= loadSize || r.options.lineBuffer && len(batch.Packets) > 0 || waited {
		r.pipeline.send()
		r.showProgress()
	}
	if waited || r.options.lineBuffer {
		return r.flush()
	}
	return nil
}

// waited reports whether packets have waited long enough, by the times of all frames,
// including those without ports, and if so begins to wait anew.
func (r *run) waited(frames []capture.Frame) bool {
	newest := frames[len(frames)-1].Time
	if newest-r.handed <= batchTime && r.handed-newest <= batchTime {
		return false
	}
	r.handed = newest
	return true
}

// checkSaved takes the result of a write to the file of -w, and closes the file if it failed.
func (r *run) checkSaved(err error) error {
	if err == nil {
		return nil
	}
	r.saver.Close() // returns the same error
	r.saver = nil
	return r.saveFailure(err)
}

// saveFailure returns the error that ends the run after one of the file of -w, or nil: a pipe
// that nobody reads any more ends it only if nobody reads records either.
func (r *run) saveFailure(err error) error {
	if !isClosedPipe(err) {
		return err
	}
	r.writer.saving.Store(false)
	if r.writer.unread.Load() {
		return errNobodyReads
	}
	return nil
}

// flush flushes the file of -w, because others may be reading it.
func (r *run) flush() error {
	if r.saver == nil {
		return nil
	}
	return r.checkSaved(r.saver.Flush())
}

// matching moves the frames that the filter lets through to the front, and returns them.
func (r *run) matching(frames []capture.Frame) []capture.Frame {
	kept := frames[:0]
	for i := range frames {
		match, err := r.filter.Matches(&frames[i])
		if err != nil { // the filter cannot judge this link type; returned once for each
			r.warn(err)
		}
		if match {
			kept = append(kept, frames[i])
		}
	}
	r.filtered += uint64(len(frames) - len(kept))
	return kept
}

// warn reports something that does not end the run.
func (r *run) warn(err error) {
	r.progress.hide()
	defer r.progress.unhide()
	warn(r.stderr, "%v", err)
}

// close ends every stage and gathers the counters.
func (r *run) close() error {
	r.progress.hide() // for good: nothing shows it any more
	r.progress.unhide()
	failed := r.source.Close()
	if r.saver != nil {
		failed = errors.Join(failed, r.saveFailure(r.saver.Close()))
	}
	failed = errors.Join(failed, r.writer.close(), r.sinks.close())
	r.count()
	return errors.Join(failed, writeCounters(r.options.stats, r.counts.AppendJSON(nil), r.stderr))
}

// reportVerbose writes what -v adds to the closing report.
func (r *run) reportVerbose() {
	d := r.decoder.Counters()
	for _, fault := range slices.Sorted(maps.Keys(d.Faults)) {
		fmt.Fprintf(r.stderr, "  broken or cut: %s of %d packets\n", fault, d.Faults[fault])
	}
	if n := r.source.Stats().SkippedBlocks; n > 0 {
		fmt.Fprintf(r.stderr, "  %d blocks of the savefiles are not packets\n", n)
	}
	for _, d := range r.writer.renderings {
		for _, p := range d.places {
			fmt.Fprintf(r.stderr, "  %d records as %s to %s\n", r.pipeline.tagger.number, d.name, p.name)
		}
	}
	if !r.options.noAlerts {
		fmt.Fprintf(r.stderr, "  %d alerts opened, %d updated\n", r.counts.Alerts.Opened, r.counts.Alerts.Updated)
	}
	fmt.Fprintf(r.stderr, "  registry of %s, sha256 %s, %s\n", dateOf(r.registry), r.registry.SHA256(), r.registryFrom)
	fmt.Fprintf(r.stderr, "  %.2f s of processor time, %d cores\n", r.counts.Seconds.CPU.Seconds(), r.options.workers)
}

// count collects the stages' counters into those of the run.
func (r *run) count() {
	c := &r.counts
	d := r.decoder.Counters()
	c.Packets = export.PacketCounts{
		Read:           d.Read(),
		WithPorts:      d.Packets[capture.WithPorts],
		ICMP:           d.Packets[capture.ICMP],
		OtherIP:        d.Packets[capture.OtherIP],
		LaterFragments: d.Packets[capture.LaterFragment],
		BadTransport:   d.Packets[capture.BadTransport],
		BadIP:          d.Packets[capture.BadIP],
		NonIP:          d.Packets[capture.NonIP],
		UnknownLink:    d.Packets[capture.UnknownLink],
	}
	c.BytesRead = d.Octets
	c.LaterFragmentsJoined = d.LaterFragmentsJoined
	c.Filtered = r.filtered
	for link, n := range d.Links {
		c.LinkTypes = append(c.LinkTypes, export.Named{Name: link.String(), Count: n})
	}
	slices.SortFunc(c.LinkTypes, func(a, b export.Named) int { return strings.Compare(a.Name, b.Name) })

	t := r.pipeline.meter.table.Stats()
	c.Findings = r.pipeline.tagger.found
	c.Flows.Created, c.Flows.Exported = t.Created, t.Exported
	copy(c.Flows.ByReason[:], t.ByEndReason[:])
	var alerts annotate.AlertStats
	if a := r.pipeline.tagger.alerts; a != nil {
		alerts = a.Stats()
	}
	c.Alerts.Opened, c.Alerts.Updated = alerts.Opened, alerts.Updated
	c.Limits = limits(&t, r.pipeline.tagger.judge.Forgotten(), &alerts, &d)
	c.Delivery = r.sinks.counts()
	s := r.source.Stats()
	c.Drops.Kernel, c.Drops.Interface = s.KernelDrops, s.InterfaceDrops
	c.Live = r.live
	c.Seconds.Wall = time.Since(r.started)
	c.Seconds.CPU = processorTime()
	c.Seconds.Capture = r.span.duration()
}

// limits returns how often each bound was hit.
func limits(t *flow.Stats, forgotten uint64, alerts *annotate.AlertStats, d *capture.Counters) []export.Named {
	return []export.Named{
		{Name: "max_flows", Count: t.Limits.MaxFlows},
		{Name: "learned_endpoints", Count: forgotten},
		{Name: "announced_endpoints", Count: t.Limits.AnnouncedEndpoints},
		{Name: "late_packets", Count: t.Limits.Late},
		{Name: "alerts", Count: alerts.CutShort},
		{Name: "alert_attempts", Count: alerts.Uncounted},
		{Name: "nesting", Count: d.Limits["nesting"]},
		{Name: "headers", Count: d.Limits["headers"]},
		{Name: "fragments", Count: d.Limits["fragments"]},
		{Name: "decoder_panics", Count: d.Panics},
	}
}

// writeCounters writes the closing counters to where --stats says.
func writeCounters(path string, line []byte, stderr io.Writer) error {
	switch path {
	case "":
		return nil
	case "-":
		_, err := stderr.Write(line)
		return err
	}
	if err := os.WriteFile(path, line, 0o666); err != nil {
		return fmt.Errorf("write counters to %s: %w", path, cause(err))
	}
	return nil
}

// showProgress shows on the terminal how far the reading has come.
func (r *run) showProgress() {
	var position int64
	for _, f := range r.files {
		read, _ := f.Progress()
		position += read
	}
	p := r.pipeline
	r.progress.show(position, r.passed, p.meter.flows.Load(), p.tagger.findings.Load())
}

// A span reaches from the smallest to the largest time that was included in it.
type span struct {
	first, last int64
	some        bool
}

func (s *span) include(t int64) {
	if !s.some {
		*s = span{t, t, true}
	}
	s.first, s.last = min(s.first, t), max(s.last, t)
}

func (s *span) duration() time.Duration { return flow.Between(s.first, s.last) }

// processorTime returns what the process has used so far, in user and system mode.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
