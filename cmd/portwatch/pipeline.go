package main

import (
	"errors"
	"sync"
	"sync/atomic"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/flow"
)

// A pipeline is the way of the packets behind the reader. With one worker each
// arrow is a call; with more it is a channel, and each stage has a goroutine:
//
//	reader --load--> meter --chunk--> tagger --chunk--> renderers --chunk--> writer
//
// One meter owns the Flows and decides the order of the records, and one tagger their
// numbers, so that what the writer gets does not depend on how many cores there are:
// renderers only turn records, which have their numbers by then, into bytes.
type pipeline struct {
	meter  *meter
	tagger *tagger
	writer *writer
	load   *load // that the reader fills
	loads  chan *load
	spare  chan *load // loads that the meter is done with
	ended  sync.WaitGroup
}

// A load is a run of packets on its way from the reader to the meter.
type load struct {
	flow.Batch
	now int64 // not 0: no packet came until this time on the wall, Unix nanoseconds
}

// A chunk is a run of records on its way from the meter to the writer.
type chunk struct {
	ends     *flow.Ends // of the meter
	flows    [chunkSize]flow.Record
	records  [chunkSize]annotate.Record
	numbers  [chunkSize]uint64 // event.sequence; 0: the record is not to be written
	n        int               // records
	now      int64             // not 0: behind the records, nothing came until this time on the wall
	last     bool              // no record comes behind these
	alerts   []placedAlert
	text     [][]byte // by rendering, those of them that need not be in order
	marks    []*marks // by rendering, of the records in text; nil where nobody wants them
	rendered chan struct{}
}

// A placedAlert is an alert in the order of the output.
type placedAlert struct {
	annotate.Alert
	behind int    // so many of the chunk's records
	number uint64 // event.sequence
}

const (
	// loadSize is how many packets go to the meter at once: enough to make a
	// change of goroutine cheap, few enough to stay in a core's cache.
	loadSize  = 512
	chunkSize = 128
	// usualOctets are more than most records have in any format. What is not used of
	// them is not taken from the system.
	usualOctets = 2 << 10
	// inFlight is how many loads there are. With few, reader and meter wait for each
	// other and sleep, and to be woken takes as long as two loads: with 4 in place of
	// 16 a run took a quarter longer.
	inFlight = 16
)

// newPipeline starts a pipeline that uses so many cores. Its last stage is w.
func newPipeline(workers int, m *meter, t *tagger, w *writer) *pipeline {
	p := &pipeline{meter: m, tagger: t, writer: w, load: new(load)}
	if workers == 1 {
		formats := w.parallelFormats()
		m.chunk = newChunk(w.renderings)
		m.pass = func(c *chunk) *chunk {
			t.tag(c)
			c.render(formats)
			w.write(c)
			return c.reset()
		}
		return p
	}
	p.loads, p.spare = make(chan *load, inFlight), make(chan *load, inFlight)
	for range inFlight - 1 {
		p.spare <- new(load)
	}
	// Few make the stages wait for one another; those that are not needed are not made.
	chunks := 8 + 4*workers
	free := make(chan *chunk, chunks)
	// All have room for all chunks there are: passing one on never waits.
	untagged, unrendered, inOrder := make(chan *chunk, chunks), make(chan *chunk, chunks), make(chan *chunk, chunks)
	m.chunk = newChunk(w.renderings)
	made := 1
	m.pass = func(c *chunk) *chunk {
		untagged <- c
		if len(free) == 0 && made < chunks {
			made++
			return newChunk(w.renderings)
		}
		return <-free
	}
	p.ended.Go(func() {
		defer close(untagged)
		for l := range p.loads {
			m.add(l)
			p.spare <- l.reset()
		}
		m.finish()
	})
	p.ended.Go(func() {
		defer close(unrendered)
		defer close(inOrder)
		for c := range untagged {
			t.tag(c)
			inOrder <- c
			unrendered <- c
		}
	})
	// As many as there are cores: where most Flows are short, both reader and meter
	// wait for the rendering, and with one renderer the other core would too.
	for range workers {
		formats := w.parallelFormats()
		p.ended.Go(func() {
			for c := range unrendered {
				c.render(formats)
				c.rendered <- struct{}{}
			}
		})
	}
	p.ended.Go(func() {
		for c := range inOrder {
			<-c.rendered
			w.write(c)
			free <- c.reset()
		}
	})
	return p
}

// send hands the load over and puts an empty one in its place.
func (p *pipeline) send() {
	if p.loads == nil {
		p.meter.add(p.load)
		p.load.reset()
		return
	}
	p.loads <- p.load
	p.load = <-p.spare
}

// finish ends all Flows, writes their records, and waits until that is done.
func (p *pipeline) finish() {
	p.send()
	if p.loads == nil {
		p.meter.finish()
		return
	}
	close(p.loads)
	p.ended.Wait()
}

func (l *load) reset() *load {
	l.Reset()
	l.now = 0
	return l
}

func newChunk(renderings []*rendering) *chunk {
	n := len(renderings)
	c := &chunk{ends: flow.NewEnds(chunkSize), text: make([][]byte, n), marks: make([]*marks, n), rendered: make(chan struct{}, 1)}
	for i, d := range renderings {
		if len(d.sinks) > 0 {
			c.marks[i] = new(marks)
		}
	}
	return c
}

// reset empties a chunk. What thousands of alerts at a time made of it is not kept.
func (c *chunk) reset() *chunk {
	c.ends.Reset()
	c.n, c.now = 0, 0
	if c.alerts = c.alerts[:0]; cap(c.alerts) > chunkSize {
		c.alerts = nil
		clear(c.text)
	}
	return c
}

// render turns the records into bytes. A format that is nil is the writer's.
func (c *chunk) render(formats []format) {
	for i, f := range formats {
		if f != nil {
			if c.text[i] == nil {
				c.text[i] = make([]byte, 0, chunkSize*usualOctets)
			}
			c.text[i] = c.append(c.text[i][:0], f, c.marks[i].reset())
		}
	}
}

func (c *chunk) append(dst []byte, f format, m *marks) []byte {
	var alerts []placedAlert
	alerting, ok := f.(alertingFormat)
	if ok {
		alerts = c.alerts
	}
	for i := range c.n + 1 {
		for ; len(alerts) > 0 && alerts[0].behind == i; alerts = alerts[1:] {
			dst = alerting.AppendAlert(dst, &alerts[0].Alert, alerts[0].number)
			m.alert(&alerts[0].Alert, len(dst))
		}
		if i < c.n && c.numbers[i] != 0 {
			dst = f.Append(dst, &c.records[i], c.numbers[i])
			m.flow(&c.records[i], len(dst))
		}
	}
	return dst
}

// A meter turns packets into what is known of Flows that have ended, in their order.
type meter struct {
	table *flow.Table
	eager bool // records wait for no others

	chunk *chunk              // that is being filled
	pass  func(*chunk) *chunk // hands it on, and returns an empty one
	flows atomic.Uint64       // so far, for the progress line
}

func (m *meter) add(l *load) {
	m.table.Add(&l.Batch)
	if l.now != 0 {
		m.table.Advance(l.now)
	}
	m.drain()
	m.chunk.now = l.now
	if m.eager && (len(m.chunk.ends.Flows) > 0 || l.now != 0) {
		m.chunk = m.pass(m.chunk)
	}
	m.flows.Store(m.table.Stats().Created)
}

// finish ends all Flows.
func (m *meter) finish() {
	m.table.Flush()
	m.drain()
	m.chunk.last = true
	m.chunk = m.pass(m.chunk)
}

// drain takes what has ended.
func (m *meter) drain() {
	for m.table.Take(m.chunk.ends) {
		m.chunk = m.pass(m.chunk)
	}
}

// A tagger tells which side of a Flow is the service, makes annotated records of
// chunks, in their order, and gathers alerts.
type tagger struct {
	judge     *flow.Judge
	annotator *annotate.Annotator
	alerts    *annotate.Alerts // nil: none are wanted
	flagged   bool             // only records with a finding are written

	number   uint64        // of the last record to be written
	alert    uint64        // of the last alert
	counts   export.Counts // of it, the findings
	findings atomic.Uint64 // their number, for the progress line
}

func (t *tagger) tag(c *chunk) {
	t.judge.Judge(c.ends)
	c.n = len(c.ends.Flows)
	for i := range c.n {
		c.ends.Flows[i].Record(&c.flows[i])
		r := &c.records[i]
		t.annotator.Annotate(r, &c.flows[i])
		t.counts.Count(r)
		c.numbers[i] = 0
		if !t.flagged || len(r.Findings) > 0 {
			t.number++
			c.numbers[i] = t.number
		}
		if t.alerts != nil {
			t.alerts.Add(r)
			t.takeAlerts(c, i+1)
		}
	}
	if t.alerts != nil {
		if c.now != 0 {
			t.alerts.Advance(c.now)
		}
		if c.last {
			t.alerts.Flush()
		}
		t.takeAlerts(c, c.n)
	}
	t.findings.Store(t.counts.Found())
}

// takeAlerts puts the alerts that are due behind so many of the chunk's records.
func (t *tagger) takeAlerts(c *chunk, behind int) {
	var a annotate.Alert
	for t.alerts.Next(&a) {
		t.alert++
		c.alerts = append(c.alerts, placedAlert{a, behind, t.alert})
	}
}

// A writer brings chunks to where they go, in their order.
type writer struct {
	renderings []*rendering
	summary    *export.Summary // nil: nobody reads it
	progress   *progress       // that must not be drawn into a record
	stop       func()          // ends the reading, when writing has become useless
	failed     error
}

// begin writes what stands above the first record.
func (w *writer) begin() {
	for _, d := range w.renderings {
		f := d.format
		if f == nil {
			f = d.newFormat()
		}
		w.show(d, header(f), true)
	}
}

// parallelFormats makes a format for each rendering that need not be in order.
func (w *writer) parallelFormats() []format {
	formats := make([]format, len(w.renderings))
	for i, d := range w.renderings {
		if !d.inOrder {
			formats[i] = d.newFormat()
		}
	}
	return formats
}

// write takes a chunk whose records are rendered.
func (w *writer) write(c *chunk) {
	if w.summary != nil {
		for i := range c.n {
			w.summary.Add(&c.records[i])
		}
	}
	for i, d := range w.renderings {
		if d.inOrder {
			c.text[i] = c.append(c.text[i][:0], d.format, nil)
		}
		if len(c.text[i]) > 0 {
			w.fail(d.deliver(c.marks[i].split(c.text[i])))
			w.show(d, c.text[i], false)
		}
	}
}

// show writes bytes of a rendering, on a terminal in place of the progress line.
func (w *writer) show(d *rendering, b []byte, header bool) {
	if d.screen.is {
		w.progress.hide()
		defer w.progress.unhide()
	}
	w.fail(d.write(b, header))
}

// fail notes an error and ends the reading. A reader that went away is no
// error, and ends it only when it was the last one.
func (w *writer) fail(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, errNobodyReads) {
		for _, d := range w.renderings {
			if len(d.places)+len(d.sinks) > 0 {
				return
			}
		}
	}
	w.failed = errors.Join(w.failed, err)
	w.stop()
}

// close closes all places.
func (w *writer) close() error {
	for _, d := range w.renderings {
		w.failed = errors.Join(w.failed, d.close())
	}
	return w.failed
}
