package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/export/spool"
	"github.com/portwatch/portwatch/flow"
)

// A keeper accepts records to deliver and keeps copies of them.
type keeper interface {
	Put(records []sink.Record) error
}

// deliver hands records to the keepers of the rendering's sinks.
func (d *rendering) deliver(records []sink.Record) error {
	var failed error
	for _, k := range d.sinks {
		failed = errors.Join(failed, k.Put(records))
	}
	return failed
}

// marks says where in a chunk's text its records are, and what a sink needs to know
// about each. A nil *marks records nothing.
type marks struct {
	list    []mark
	names   []byte // ids and keys, one after the other
	records []sink.Record
}

// A mark has the ends of its parts, which begin where the previous ones end.
type mark struct {
	kind         sink.Kind
	severity     uint8
	time         int64
	id, key, end int
}

func (m *marks) reset() *marks {
	if m != nil {
		m.list, m.names = m.list[:0], m.names[:0]
	}
	return m
}

// flow marks the record of a Flow whose text ends at end.
func (m *marks) flow(r *annotate.Record, end int) {
	if m == nil {
		return
	}
	id := r.Flow.ID()
	m.names = hex.AppendEncode(m.names, id[:])
	m.names = append(m.names, '-')
	m.names = strconv.AppendUint(m.names, uint64(r.Flow.Sequence), 10)
	m.add(mark{kind: sink.Flow, severity: uint8(r.Severity()), time: r.Flow.End, end: end}, r.Flow.CommunityID())
}

// alert marks an alert whose text ends at end.
func (m *marks) alert(a *annotate.Alert, end int) {
	if m == nil {
		return
	}
	m.names = a.AppendID(m.names)
	m.add(mark{kind: sink.Alert, severity: uint8(a.Severity), time: a.End, end: end}, a.CommunityID)
}

// add marks a record whose id was just appended to names.
func (m *marks) add(k mark, community [20]byte) {
	k.id = len(m.names)
	m.names = flow.AppendCommunityID(m.names, community)
	k.key = len(m.names)
	m.list = append(m.list, k)
}

// split returns the records of a text, each without its line break, which in CSV is CRLF.
func (m *marks) split(text []byte) []sink.Record {
	if m == nil {
		return nil
	}
	m.records = m.records[:0]
	name, start := 0, 0
	for _, k := range m.list {
		m.records = append(m.records, sink.Record{
			Kind: k.kind, Severity: k.severity, Time: k.time,
			ID: m.names[name:k.id], Key: m.names[k.id:k.key], Body: bytes.TrimSuffix(text[start:k.end-1], []byte("\r")),
		})
		name, start = k.key, k.end
	}
	return m.records
}

// sinks holds the deliveries of a run, what they share, and the files that records
// are written to.
type sinks struct {
	files   []*sink.File
	grace   time.Duration
	warn    func(error)
	spool   *spool.Spool // nil without --spool
	letters *sink.DeadLetter
	list    []*delivery

	balances []sink.Balance
}

// A delivery is one sink.
type delivery struct {
	*sink.Delivery
	target target
	queue  interface {
		sink.Queue
		End()
	}
}

// parseSink reads the URL of a sink.
func (o *options) parseSink(to string) (target, error) {
	t, r, err := sink.Open(to, o.observer, version())
	if err != nil {
		return target{}, usageError{fmt.Sprintf("--to %v", err), "docs/delivery.md lists every kind of sink"}
	}
	if t.Format == "text" || !slices.Contains(formats, t.Format) {
		return target{}, usageError{fmt.Sprintf("--to %s: a sink does not take the format %q", t.Name, t.Format),
			"formats: " + strings.Join(formats[1:], ", ") + "; text is for people"}
	}
	return target{format: t.Format, sink: t, receiver: r}, nil
}

// spoolFiles turns rotated files into sinks if there is a spool, so that the run waits
// for a full disk as for any receiver.
func (o *options) spoolFiles() error {
	if o.spool == "" {
		return nil
	}
	for i := range o.targets {
		t := &o.targets[i]
		if !t.file.Rotated() { // sinks never are
			continue
		}
		path, err := filepath.Abs(t.path)
		if err != nil {
			return err
		}
		t.sink = &sink.Target{Name: "file:" + path, Format: t.format}
	}
	return nil
}

// checkSinks finds contradictions between the options of delivery.
func (o *options) checkSinks() error {
	if err := o.spoolFiles(); err != nil {
		return err
	}
	names := make(map[string]bool)
	for _, t := range o.targets {
		if t.sink == nil {
			continue
		}
		if names[t.sink.Name] {
			return usageError{fmt.Sprintf("--to %s: two sinks with one name", t.sink.Name), "name=ANOTHER among the settings of one of them"}
		}
		names[t.sink.Name] = true
	}
	switch {
	case o.drain <= 0:
		return usageError{"--drain-timeout must be above 0", "a duration is typed as 90s, 5m or 1h30m"}
	case len(names) == 0 && o.spool != "":
		return usageError{"--spool without a sink", "--to with the URL of a sink, or a file with rotate= or every="}
	case len(names) == 0 && o.letters != "":
		return usageError{"--dead-letter without a sink", "--to with the URL of a sink"}
	}
	return nil
}

// defaultDeadLetter is the name of the dead-letter file if none is given.
const defaultDeadLetter = "dead-letter.jsonl"

// openSinks opens what the sinks share.
func (o *options) openSinks(warn func(error)) (*sinks, error) {
	s := &sinks{grace: o.drain, warn: warn}
	letters := "portwatch-" + defaultDeadLetter
	if o.spool != "" {
		dir, settings, err := spool.Parse(o.spool)
		if err != nil {
			return nil, usageError{fmt.Sprintf("--spool %s: %v", o.spool, err), "--spool '/var/spool/portwatch?max=4GiB&full=block'"}
		}
		settings.Report = warn
		if s.spool, err = spool.Open(dir, settings); err != nil {
			return nil, err
		}
		letters = filepath.Join(dir, defaultDeadLetter)
	}
	if o.letters != "" {
		letters = o.letters
	}
	var err error
	if s.letters, err = sink.ParseDeadLetter(letters); err != nil {
		s.abandon()
		return nil, usageError{fmt.Sprintf("--dead-letter %s: %v", letters, err), "--dead-letter 'FILE?max=1GiB'"}
	}
	return s, nil
}

// add sends a rendering's records to a sink, once begin is called.
func (s *sinks) add(d *rendering, t target) error {
	file := t.receiver == nil
	if file {
		f, err := s.openFile(t, header(d.newFormat()))
		if err != nil {
			return err
		}
		t.receiver = f.Receiver()
	}
	v := &delivery{target: t}
	s.list = append(s.list, v)
	if s.spool == nil {
		q := sink.NewMemory(t.sink.Queue, t.sink.Overflow)
		v.queue = q
		d.sinks = append(d.sinks, memoryKeeper{q})
		return nil
	}
	c, err := s.spool.Cursor(t.sink.Name, t.format)
	if err != nil {
		return err
	}
	v.queue = c
	if len(d.sinks) == 0 {
		k := &spoolKeeper{spool: s.spool, format: t.format}
		if file {
			k.file, k.cursor = v, c
		}
		d.sinks = append(d.sinks, k)
	}
	return nil
}

// openFile opens a file for records.
func (s *sinks) openFile(t target, header []byte) (*sink.File, error) {
	t.file.Header, t.file.Report = header, s.warn
	f, err := sink.OpenFile(t.path, t.file)
	if err != nil {
		return nil, t.fail(err)
	}
	s.files = append(s.files, f)
	return f, nil
}

// onHangup says what SIGHUP does, from before anything is opened until done is called. If
// records go to files, it is sent to hangups, so that they can be renamed. If there are no
// files, or a terminal hangs up, the first SIGHUP ends the run cleanly, as SIGTERM does, unless
// nohup ignores it.
func (o *options) onHangup(ctx context.Context, terminal bool) (_ context.Context, hangups chan os.Signal, done func()) {
	hangups = make(chan os.Signal, 1) // one that comes while files are opened waits there
	switch {
	case !terminal && slices.ContainsFunc(o.targets, target.isFile):
		signal.Notify(hangups, syscall.SIGHUP)
	case !signal.Ignored(syscall.SIGHUP):
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		context.AfterFunc(ctx, func() { defuse(stop) })
		return ctx, hangups, func() {
			stop()
			close(hangups)
		}
	}
	return ctx, hangups, func() {
		signal.Stop(hangups)
		close(hangups)
	}
}

// reopen makes the files open anew whenever SIGHUP comes.
func (s *sinks) reopen(hangups <-chan os.Signal) {
	for range hangups {
		for _, f := range s.files {
			f.Reopen()
		}
	}
}

// A memoryKeeper puts records where one sink finds them.
type memoryKeeper struct{ *sink.Memory }

func (k memoryKeeper) Put(records []sink.Record) error {
	k.Memory.Put(records)
	return nil
}

// A spoolKeeper puts records where all sinks of the format find them.
type spoolKeeper struct {
	spool  *spool.Spool
	format string
	file   *delivery // the first of these sinks, if it is a file
	cursor *spool.Cursor
}

// Put writes straight to a file if that is the only sink of the format and nothing waits for
// it: records are as safe there as in the spool, which gets what the file has no room for.
func (k *spoolKeeper) Put(records []sink.Record) error {
	if k.file != nil && k.cursor.Idle() {
		n := k.file.Pass(records)
		k.cursor.Passed(n)
		records = records[n:]
	}
	return k.spool.Append(k.format, records)
}

// begin starts the deliveries.
func (s *sinks) begin() {
	if s.spool != nil {
		for _, l := range s.spool.Left() {
			s.warn(fmt.Errorf("spool: %d records wait for %s (%s), which this run does not deliver to; remove %s to discard them",
				l.Records, l.Name, l.Format, l.File))
		}
	}
	for _, v := range s.list {
		t := v.target.sink
		v.Delivery = sink.NewDelivery(v.target.receiver, v.queue, sink.DeliveryOptions{
			Name: t.Name, Format: t.Format, RetryFor: t.RetryFor, Timeout: t.Timeout,
			DeadLetter: s.letters, Report: s.warn,
		})
	}
}

// hurry says that no more packets come: sinks that take nothing for the grace period are
// given up.
func (s *sinks) hurry() {
	for _, v := range s.list {
		v.Hurry(s.grace)
	}
}

// limit says that a signal came: sinks have the grace period and no more, and so has the
// compression of rotated files. What the spool has for a sink that is away is left for the next
// run, because nothing captures until then.
func (s *sinks) limit() {
	for _, v := range s.list {
		v.Leave()
	}
	time.AfterFunc(s.grace, func() {
		for _, v := range s.list {
			v.GiveUp()
		}
		for _, f := range s.files {
			f.GiveUp()
		}
	})
}

// close waits for the deliveries and closes everything.
func (s *sinks) close() error {
	s.balances = make([]sink.Balance, len(s.list))
	failed := make([]error, len(s.list), len(s.list)+2)
	var all sync.WaitGroup
	for i, v := range s.list {
		v.queue.End()
		all.Go(func() { s.balances[i], failed[i] = v.Close() })
	}
	all.Wait()
	failed = append(failed, s.letters.Close())
	if s.spool != nil {
		failed = append(failed, s.spool.Close())
	}
	return errors.Join(failed...)
}

// abandon closes the spool of a run that does not begin.
func (s *sinks) abandon() {
	if s.spool != nil {
		s.spool.Close()
	}
}

// counts returns the counters for the closing report.
func (s *sinks) counts() (c export.DeliveryCounts) {
	for _, b := range s.balances {
		c.Sinks = append(c.Sinks, export.SinkCounts(b))
	}
	if s.spool != nil {
		n := s.spool.Counts()
		c.Spool = []export.Named{{Name: "full", Count: n.Full}, {Name: "cut_octets", Count: n.CutOctets}}
	}
	return c
}
