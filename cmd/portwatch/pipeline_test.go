package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// unregistered are the packets of two Flows to a port that is not registered.
func unregistered() (b flow.Batch) {
	for client := range uint16(2) {
		from, to := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), 40000+client), netip.MustParseAddrPort("10.0.0.9:42001")
		for _, flags := range []flow.TCPFlags{flow.SYN, flow.SYN | flow.ACK} {
			p := flow.Packet{Time: 1, Flags: flags, Octets: 60}
			var reverse bool
			if p.Key, reverse = flow.KeyOf(flow.TCP, from, to); reverse {
				p.Marks |= flow.Reverse
			}
			b.Packets = append(b.Packets, p)
			from, to = to, from
		}
	}
	return b
}

func newECS() format { return export.NewECS(registry.Embedded(), export.Options{}) }

func newTagger() *tagger {
	return &tagger{judge: flow.NewJudge(nil), annotator: annotate.New(registry.Embedded()), alerts: annotate.NewAlerts(time.Hour)}
}

// taggedFlows returns a tagger, and a chunk with what it made of them.
func taggedFlows() (*tagger, *chunk) {
	b, table := unregistered(), flow.NewTable(flow.Options{})
	table.Add(&b)
	table.Flush()
	tagger, flows := newTagger(), newChunk(nil, new(texts))
	table.Take(flows.ends)
	tagger.tag(flows)
	return tagger, flows
}

// TestAlertsWithoutFlows: on a device that has become silent, the wall clock ends the window
// of an alert.
func TestAlertsWithoutFlows(t *testing.T) {
	tagger, flows := taggedFlows()
	silence := newChunk(nil, new(texts))
	silence.now = int64(2 * time.Hour)
	tagger.tag(silence)
	if len(flows.alerts) != 1 || len(silence.alerts) != 1 || !silence.alerts[0].Update {
		t.Errorf("%d alerts with the Flows, %d behind them", len(flows.alerts), len(silence.alerts))
	}
	if n := tagger.findings.Load(); n != 2 {
		t.Errorf("the progress line is told of %d findings", n)
	}
}

// TestTicks: on a silent device, each stage gets to know the time on the wall, and what that
// ends is written at once: the Flows, and later the window of their alert.
func TestTicks(t *testing.T) {
	var out bytes.Buffer
	w := &writer{renderings: []*rendering{{newFormat: newECS, places: []*place{{w: nopCloser{&out}}}}}}
	p := newPipeline(1, false, &meter{table: flow.NewTable(flow.Options{}), eager: true}, newTagger(), w)
	p.load.Batch = unregistered()
	for _, test := range []struct {
		now                    time.Duration
		flows, opened, updated int // so far
	}{
		{0, 0, 0, 0},
		{time.Minute, 0, 0, 0},
		{10 * time.Minute, 2, 1, 0},
		{11 * time.Minute, 2, 1, 0},
		{2 * time.Hour, 2, 1, 1},
		{4 * time.Hour, 2, 1, 1},
	} {
		p.load.now = int64(test.now)
		p.send()
		for what, want := range map[string]int{
			`"dataset":"portwatch.flow"`: test.flows, `"update":false`: test.opened, `"update":true`: test.updated,
		} {
			if n := bytes.Count(out.Bytes(), []byte(what)); n != want {
				t.Errorf("%v: %d times %s, want %d", test.now, n, what, want)
			}
		}
		if n := p.meter.flows.Load(); n != 2 {
			t.Errorf("%v: the progress line is told of %d Flows", test.now, n)
		}
	}
}

// TestChunkForgets: what many alerts at a time take is not kept for chunks that have none.
func TestChunkForgets(t *testing.T) {
	_, flows := taggedFlows()
	c := newChunk([]*rendering{{sinks: []keeper{failing{}}}}, new(texts))
	for range 1000 {
		c.alerts = append(c.alerts, placedAlert{Alert: flows.alerts[0].Alert})
	}
	c.render([]format{newECS()})
	c.marks[0].split(c.text[0])
	if len(c.text[0]) == 0 || len(c.marks[0].records) != len(c.alerts) {
		t.Fatalf("%d octets, %d records of %d alerts", len(c.text[0]), len(c.marks[0].records), len(c.alerts))
	}
	c.reset()
	m := c.marks[0]
	if cap(c.alerts) > chunkSize || c.text[0] != nil || len(c.texts.free) > 0 || cap(m.list) > chunkSize || cap(m.names) > 0 || cap(m.records) > chunkSize {
		t.Errorf("kept: %d alerts, %d buffers, %d marks, %d octets of names, %d records",
			cap(c.alerts), len(c.texts.free), cap(m.list), cap(m.names), cap(m.records))
	}
}

// TestProfiledRecords: a record allocates nothing in the command as it is built either, for
// which the compiler is guided by default.pgo. With the calls of crypto in it, the state of each
// hash would go to the heap.
func TestProfiledRecords(t *testing.T) {
	_, c := taggedFlows()
	f := newECS()
	dst := f.Append(nil, &c.records[0], 1)
	h := flow.NewHasher() // allocates only if the race detector watches (a test in flow checks that)
	want := testing.AllocsPerRun(100, func() { h.Hash(c.records[0].Flow) })
	if n := testing.AllocsPerRun(100, func() { dst = f.Append(dst[:0], &c.records[0], 1) }); n != want {
		t.Errorf("%v allocations for a record, want %v", n, want)
	}
}

// TestTexts: the next chunk is rendered into the buffer that came back last.
func TestTexts(t *testing.T) {
	var x texts
	first, last := x.take(), x.take()
	x.put(first)
	x.put(append(last, "a record"...))
	x.put(nil) // of a chunk that was not rendered
	if text := x.take(); len(text) > 0 || &text[:1][0] != &last[:1][0] {
		t.Errorf("got %d octets, in another buffer than the last one", len(text))
	}
}

// failing is a place, or what keeps records for a sink.
type failing struct{ write, close error }

func (f failing) Write(b []byte) (int, error) { return len(b), f.write }
func (f failing) Close() error                { return f.close }
func (f failing) Put([]sink.Record) error     { return f.write }

// TestWriterFails: where records cannot go, the reading ends, and the cause is told.
func TestWriterFails(t *testing.T) {
	broken := errors.New("broken")
	for _, test := range []struct {
		name  string
		to    rendering
		stops bool
	}{
		{"place", rendering{places: []*place{{w: failing{write: broken}}}}, true},
		{"sink", rendering{sinks: []keeper{failing{write: broken}}}, true},
		{"place, at the end", rendering{places: []*place{{w: failing{close: broken}}}}, false},
		{"none", rendering{places: []*place{{w: failing{}}}, sinks: []keeper{failing{}}}, false},
	} {
		test.to.newFormat = newECS
		stopped := false
		w := &writer{renderings: []*rendering{&test.to}, stop: func() { stopped = true }}
		p := newPipeline(1, false, &meter{table: flow.NewTable(flow.Options{})}, newTagger(), w)
		p.load.Batch = unregistered()
		p.finish(0)
		if err := w.close(); errors.Is(err, broken) != (test.name != "none") || stopped != test.stops {
			t.Errorf("%s: %v, the reading has ended: %t", test.name, err, stopped)
		}
	}
}

// TestRecordsForSinks: what a sink gets to know of a record is what the record says itself.
func TestRecordsForSinks(t *testing.T) {
	_, flows := taggedFlows()
	flows.flows[1].Sequence = 3
	m, ecs := new(marks), export.NewECS(registry.Embedded(), export.Options{})
	text := flows.append(nil, ecs, m)
	m.split(text)
	records := m.split(text) // as for the next chunk
	var kinds []sink.Kind
	for _, r := range records {
		kinds = append(kinds, r.Kind)
	}
	if !slices.Equal(kinds, []sink.Kind{sink.Flow, sink.Alert, sink.Flow}) { // an alert follows the record that opened it
		t.Fatalf("%v", kinds)
	}
	for _, r := range records {
		var says struct {
			Timestamp time.Time `json:"@timestamp"`
			Event     struct {
				ID, Dataset string
				Severity    uint8
			}
			Network struct {
				CommunityID string `json:"community_id"`
			}
		}
		if err := json.Unmarshal(r.Body, &says); err != nil {
			t.Fatal(err)
		}
		e := says.Event
		if "portwatch."+r.Kind.String() != e.Dataset || string(r.ID) != e.ID || r.Severity != e.Severity || r.Severity == 0 ||
			!time.Unix(0, r.Time).Equal(says.Timestamp) || string(r.Key) != says.Network.CommunityID || len(r.Key) == 0 {
			t.Errorf("%s %s severity %d time %d key %s for %s", r.Kind, r.ID, r.Severity, r.Time, r.Key, r.Body)
		}
	}
}
