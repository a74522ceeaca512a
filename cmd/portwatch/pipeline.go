package main

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/flow"
)

// A pipeline is what packets pass through after the reader:
//
//	reader --load--> meter --chunk--> tagger --chunk--> renderers --chunk--> writer
//
// A single meter owns the Flows and decides the order of the records, and a single tagger
// their numbers, so that the output does not depend on the number of cores: renderers only
// turn records that already have their numbers into bytes. The crew decides who does the
// work of a stage.
type pipeline struct {
	meter  *meter
	tagger *tagger
	writer *writer
	load   *load // being filled by the reader

	// The arrows, and the ways back. Each has room for all loads or chunks, so that sending
	// never waits.
	loads, spare                  chan *load
	untagged, unrendered, inOrder chan *chunk
	free                          chan *chunk
	unmade                        int // chunks that have not been needed yet
	texts                         texts

	toTag, toWrite *chunk // the next ones

	crew *crew
}

// A load is a run of packets on its way from the reader to the meter.
type load struct {
	flow.Batch
	now  int64 // not 0: no packet came until this time on the wall, Unix nanoseconds
	last bool  // no packet follows these

	// The times of the run's first frame, if it comes before these packets, and of its newest,
	// if no packets follow: frames without packets move the clock, too. 0: not set.
	began, ended int64
}

// A chunk is a run of records on its way from the meter to the writer.
type chunk struct {
	ends     *flow.Ends // of the meter
	flows    [chunkSize]flow.Record
	records  [chunkSize]annotate.Record
	numbers  [chunkSize]uint64 // event.sequence; 0: the record is not to be written
	n        int               // records
	now      int64             // not 0: after the records, nothing came until this time on the wall
	last     bool              // no record follows these
	alerts   []placedAlert
	text     [][]byte // by rendering; rendered in parallel unless inOrder; from texts
	texts    *texts
	marks    []*marks // by rendering, of the records in text; nil without sinks
	rendered atomic.Bool
}

// A placedAlert is an alert in the order of the output.
type placedAlert struct {
	annotate.Alert
	behind int    // follows this many of the chunk's records
	number uint64 // event.sequence
}

const (
	// loadSize is how many packets go to the meter at once: enough to make handing
	// them over cheap, few enough to stay in a core's cache.
	loadSize  = 512
	chunkSize = 128
	// usualOctets is more than most records need in any format. The system provides
	// memory only for what is used of it.
	usualOctets = 2 << 10
	// inFlight is how many loads there are. With few, reader and meter wait for each
	// other and sleep, and waking up takes as long as two loads: with 4 instead of 16
	// a run took a quarter longer.
	inFlight = 16
)

// newPipeline starts a pipeline with a crew of the given number of workers. The reader is
// one of them, except live with several workers, when it only reads: a device does not wait.
// The last stage is w.
func newPipeline(workers int, live bool, m *meter, t *tagger, w *writer) *pipeline {
	loads, chunks := 1, 1 // a single worker still has in its cache what it just made
	if workers > 1 {
		loads, chunks = inFlight, 16+4*workers // with fewer, the stages wait for one another
	}
	p := &pipeline{
		meter: m, tagger: t, writer: w, load: new(load),
		loads: make(chan *load, loads), spare: make(chan *load, loads),
		untagged: make(chan *chunk, chunks), unrendered: make(chan *chunk, chunks),
		inOrder: make(chan *chunk, chunks), free: make(chan *chunk, chunks),
		unmade: chunks,
	}
	for range loads - 1 {
		p.spare <- new(load)
	}
	p.crew = newCrew(p, workers, live && workers > 1)
	return p
}

// send hands over the load and replaces it with an empty one. The reader prepares it while
// the meter has others to meter; a meter that waits for this one prepares it itself.
func (p *pipeline) send() {
	if len(p.loads) > 0 {
		p.meter.table.Prepare(&p.load.Batch)
	}
	p.loads <- p.load
	p.crew.ring()
	p.load = p.crew.nextLoad()
}

// finish ends all Flows at the time of the newest frame, writes their records, and waits
// until that is done.
func (p *pipeline) finish(ended int64) {
	p.load.last, p.load.ended = true, ended
	p.loads <- p.load
	p.crew.ring()
	p.crew.finish()
}

// canMeter reports whether there is something to meter: a new load, or a chunk for what
// ended in the last one. Like canTag and canWrite, it fetches that.
func (p *pipeline) canMeter() bool {
	m := p.meter
	if m.load != nil {
		if m.chunk == nil {
			m.chunk = p.emptyChunk()
		}
		return m.chunk != nil
	}
	select {
	case m.load = <-p.loads:
		m.fresh = true
	default:
	}
	return m.fresh
}

// canTag reports whether there is a chunk to tag. The previous one is already tagged.
func (p *pipeline) canTag() bool {
	select {
	case p.toTag = <-p.untagged:
		return true
	default:
		return false
	}
}

// canWrite reports whether the next chunk to write is rendered.
func (p *pipeline) canWrite() bool {
	if p.toWrite == nil {
		select {
		case p.toWrite = <-p.inOrder:
		default:
			return false
		}
	}
	return p.toWrite.rendered.Load()
}

// emptyChunk returns an empty chunk, or nil if there is none.
func (p *pipeline) emptyChunk() *chunk {
	select {
	case c := <-p.free:
		return c
	default:
	}
	if p.unmade == 0 {
		return nil
	}
	p.unmade--
	return newChunk(p.writer.renderings, &p.texts)
}

func (l *load) reset() *load {
	l.Reset()
	l.now, l.last, l.began, l.ended = 0, false, 0, 0
	return l
}

func newChunk(renderings []*rendering, texts *texts) *chunk {
	n := len(renderings)
	c := &chunk{ends: flow.NewEnds(chunkSize), text: make([][]byte, n), texts: texts, marks: make([]*marks, n)}
	// Memory that is read before it is written is mapped twice, and the second time interrupts
	// all cores; even a check for nil reads.
	clear(c.flows[:])
	clear(c.records[:])
	for i, d := range renderings {
		if len(d.sinks) > 0 {
			c.marks[i] = new(marks)
		}
	}
	return c
}

// reset empties a chunk. It does not keep the memory that thousands of alerts at once took.
func (c *chunk) reset() *chunk {
	c.ends.Reset()
	c.n, c.now, c.last = 0, 0, false
	c.rendered.Store(false)
	for i, text := range c.text {
		c.texts.put(text)
		c.text[i] = nil
	}
	if c.alerts = c.alerts[:0]; cap(c.alerts) > chunkSize {
		c.alerts = nil
		for _, m := range c.marks {
			if m != nil {
				*m = marks{}
			}
		}
	}
	return c
}

// render turns the records into bytes. The writer renders where the format is nil.
func (c *chunk) render(formats []format) {
	for i, f := range formats {
		if f != nil {
			c.text[i] = c.append(c.texts.take(), f, c.marks[i].reset())
		}
	}
}

// texts are buffers that no chunk uses. The last one that came back goes out first: a core
// probably still has it in its cache, which has no room for those of all chunks.
type texts struct {
	mutex sync.Mutex
	free  [][]byte
}

// take returns an empty buffer.
func (t *texts) take() []byte {
	t.mutex.Lock()
	defer t.mutex.Unlock()
	n := len(t.free)
	if n == 0 {
		return make([]byte, 0, chunkSize*usualOctets)
	}
	text := t.free[n-1]
	t.free = t.free[:n-1]
	return text
}

// put takes a buffer back, or nil. It does not keep one that thousands of alerts at once have
// made large.
func (t *texts) put(text []byte) {
	if text == nil || cap(text) > 4*chunkSize*usualOctets {
		return
	}
	t.mutex.Lock()
	defer t.mutex.Unlock()
	t.free = append(t.free, text[:0])
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

// A meter turns packets into what is known of the Flows that have ended, in order.
type meter struct {
	table *flow.Table
	eager bool // records do not wait for others

	load  *load         // its records are still to be taken
	fresh bool          // the load is still to be metered
	chunk *chunk        // being filled
	flows atomic.Uint64 // so far, for the progress line
}

// add meters the load, unless that was done. Its records are still to be taken.
func (m *meter) add() {
	if !m.fresh {
		return
	}
	m.fresh = false
	if m.load.began != 0 {
		m.table.Advance(m.load.began)
	}
	m.table.Add(&m.load.Batch)
	if m.load.now != 0 {
		m.table.Advance(m.load.now)
	}
	if m.load.last {
		m.table.Advance(m.load.ended)
		m.table.Flush()
	}
	m.flows.Store(m.table.Stats().Created)
}

// endLoad lets go of the load, whose records were all taken, and reports whether the chunk
// should go on although it has room.
func (m *meter) endLoad() bool {
	l, c := m.load, m.chunk
	c.now, c.last = l.now, l.last
	m.load = nil
	return l.last || m.eager && (c.ends.Len() > 0 || l.now != 0)
}

// A tagger decides which side of a Flow is the service, annotates the records of chunks
// in order, and gathers alerts.
type tagger struct {
	judge     *flow.Judge
	annotator *annotate.Annotator
	alerts    *annotate.Alerts // nil if none are wanted
	flagged   bool             // only records with a finding are written

	number   uint64 // number of the last record to write
	alert    uint64 // number of the last alert
	found    export.Findings
	findings atomic.Uint64 // their sum, for the progress line
}

func (t *tagger) tag(c *chunk) {
	t.judge.Judge(c.ends)
	c.n = c.ends.Len()
	for i := range c.n {
		c.ends.Record(i, &c.flows[i])
		r := &c.records[i]
		t.annotator.Annotate(r, &c.flows[i])
		t.found.Add(r)
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
	t.findings.Store(t.found.Sum())
}

// takeAlerts puts the alerts that are due after the given number of the chunk's records.
func (t *tagger) takeAlerts(c *chunk, behind int) {
	if !t.alerts.Due() {
		return
	}
	var a annotate.Alert
	for t.alerts.Next(&a) {
		t.alert++
		c.alerts = append(c.alerts, placedAlert{a, behind, t.alert})
	}
}

// A writer writes chunks to their outputs, in order.
type writer struct {
	renderings []*rendering
	summary    *export.Summary // nil if it will not be shown
	progress   *progress       // must not be drawn into a record
	stop       func()          // ends the reading when writing has become useless
	failed     error

	// Whoever clears saving then checks unread, and whoever sets unread checks saving, so
	// that the run ends when the last output has lost its reader.
	saving atomic.Bool // packets go to a file, or a pipe that is still read, which wants all of them
	unread atomic.Bool // no output for records is left, or there was none
}

// begin writes what goes above the first record.
func (w *writer) begin() {
	for _, d := range w.renderings {
		f := d.format
		if f == nil {
			f = d.newFormat()
		}
		w.fail(d.write(header(f), true, w.progress))
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
			c.text[i] = c.append(c.texts.take(), d.format, nil)
		}
		if len(c.text[i]) > 0 {
			w.fail(d.deliver(c.marks[i].split(c.text[i])))
			w.fail(d.write(c.text[i], false, w.progress))
		}
	}
}

// fail notes an error and ends the reading. A reader that went away is not an
// error, and ends it only if it was the last one and nothing is saved.
func (w *writer) fail(err error) {
	if err == nil {
		return
	}
	if rest, unread := splitUnread(err); unread {
		w.unread.Store(!w.lives())
		if !w.unread.Load() || w.saving.Load() {
			if err = rest; err == nil {
				return
			}
		}
	}
	w.failed = errors.Join(w.failed, err)
	w.stop()
}

// lives reports whether any place or sink is left.
func (w *writer) lives() bool {
	return slices.ContainsFunc(w.renderings, func(d *rendering) bool { return len(d.places)+len(d.sinks) > 0 })
}

// close closes all places.
func (w *writer) close() error {
	for _, d := range w.renderings {
		w.failed = errors.Join(w.failed, d.close())
	}
	return w.failed
}
