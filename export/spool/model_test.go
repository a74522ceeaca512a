package spool

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/portwatch/portwatch/export/sink"
)

// FuzzSpool performs operations, made from the input, on a spool and on a model of it, which
// is slices in memory: what docs/delivery.md promises, as a program. After every operation
// both are compared. The seeds are pseudo-random. A failure lists the operations, and -run with
// the name of the input repeats them.
func FuzzSpool(f *testing.F) {
	for seed := range byte(12) {
		input := make([]byte, 600)
		rand.NewChaCha8([32]byte{seed}).Read(input)
		f.Add(input)
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		// In a bubble it is known when Append waits for room, and time passes only when an
		// operation lets it.
		synctest.Test(t, func(t *testing.T) { drive(t, input) })
	})
}

// A model holds what a spool should hold.
type model struct {
	t    *testing.T
	dice dice
	done []string // the operations, for the report of a failure

	spool *Spool
	dir   string
	runs  int
	o     Options
	alike bool     // records are of one size: blocks begin where others did in an earlier use of the file
	told  []string // what the spool has reported since the last take or open

	records  []sink.Record // all that there ever were, by number
	most     int64         // octets of the largest one
	segments []modelSegment
	sinks    []*modelSink
	append   *modelAppend // one that has not returned, or nil
	released bool
}

// A modelSegment is what was written to a file. Only the spool knows when one is full, so
// the model looks where the records went.
type modelSegment struct {
	number uint32
	blocks []modelBlock
	bad    []int64 // offsets of damaged octets
}

type modelBlock struct {
	begin, end int64
	format     string
	ids        []int
}

// A modelSink is a sink's place. Records are given by the numbers that they were made from,
// in order.
type modelSink struct {
	name, format string
	c            *Cursor
	attached     bool
	ended        bool
	news         bool // there are records that Changed must have told it of

	waiting []int
	batches []*modelBatch // under way, or returned

	found, accepted, settled, dropped, missed int
}

type modelBatch struct {
	sink.Batch
	segment  uint32
	ids      []int
	over     bool // returned
	returned int
}

// A modelAppend is a call of Append under way.
type modelAppend struct {
	format string
	rest   []int // not seen in a segment yet
	passed []int // not seen, although later ones were
	full   uint64
	room   bool // there was room for all, without dropping anything
	err    chan error
}

// dice are thrown with the numbers in the input, and with zeros after its end.
type dice []byte

// n returns a number below n, made of one octet.
func (d *dice) n(n int) int {
	if len(*d) == 0 {
		return 0
	}
	b := (*d)[0]
	*d = (*d)[1:]
	return int(b) % n
}

// far returns a number below n, made of three octets.
func (d *dice) far(n int64) int64 {
	return int64(d.n(256)<<16|d.n(256)<<8|d.n(256)) % n
}

func drive(t *testing.T, input []byte) {
	m := &model{t: t, dice: input, dir: t.TempDir()}
	m.o = Options{
		Max:    []int64{32 << 10, 128 << 10, MinMax}[m.dice.n(3)],
		Full:   []sink.Overflow{sink.Block, sink.DropOldest}[m.dice.n(2)],
		Report: func(err error) { m.told = append(m.told, err.Error()) },
	}
	m.alike = m.dice.n(2) == 1
	m.log("a spool of %d octets, drop-oldest %t, records alike %t", m.o.Max, m.o.Full == sink.DropOldest, m.alike)
	defer func() { m.leave() }()
	m.open()
	m.addSink()
	for len(m.dice) > 0 {
		m.step()
		m.compare()
	}
	m.drain()
}

// step does one operation.
func (m *model) step() {
	operations := []struct {
		share int
		do    func()
	}{
		{40, m.write},
		{40, m.take},
		{30, m.settle},
		{4, m.giveBack},
		{2, m.addSink},
		{2, m.pass},
		{1, m.end},
		{3, m.cold},
		{2, m.wait},
		{4, m.damage},
		{1, m.release},
		{3, m.closeAndOpen},
		{2, m.kill},
		{4, m.killInWrite},
		{4, m.killInSettle},
	}
	all := 0
	for _, o := range operations {
		all += o.share
	}
	n := m.dice.n(all)
	for _, o := range operations {
		if n -= o.share; n < 0 {
			o.do()
			return
		}
	}
}

func (m *model) log(format string, a ...any) { m.done = append(m.done, fmt.Sprintf(format, a...)) }

// fail ends the test, and logs what led to the failure.
func (m *model) fail(format string, a ...any) {
	m.t.Helper()
	m.t.Log("operations:\n" + strings.Join(m.done, "\n"))
	for _, g := range m.segments {
		m.t.Logf("segment %d, damaged at %v:", g.number, g.bad)
		for _, k := range g.blocks {
			m.t.Logf("\t%6d to %6d, %s: %d to %d", k.begin, k.end, k.format, k.ids[0], k.ids[len(k.ids)-1])
		}
	}
	m.t.Fatalf(format, a...)
}

func (m *model) must(err error) {
	m.t.Helper()
	if err != nil {
		m.fail("%v", err)
	}
}

func (m *model) octets(ids []int) (n int64) {
	for _, id := range ids {
		n += int64(len(m.records[id].Body))
	}
	return n
}

// end returns where the next block begins.
func (g *modelSegment) end() int64 {
	if n := len(g.blocks); n > 0 {
		return g.blocks[n-1].end
	}
	return headSize
}

// has returns the records in a format.
func (g *modelSegment) has(format string) (ids []int) {
	for _, k := range g.blocks {
		if k.format == format {
			ids = append(ids, k.ids...)
		}
	}
	return ids
}

// segmentOf returns the number of the segment that a record is in.
func (m *model) segmentOf(id int) uint32 {
	for _, g := range m.segments {
		for _, k := range g.blocks {
			if slices.Contains(k.ids, id) {
				return g.number
			}
		}
	}
	m.fail("record %d waits, and is in no segment", id)
	return 0
}

// wants reports whether a segment is kept for a sink: records that are not settled are there
// or before.
func (m *model) wants(k *modelSink, g *modelSegment) bool {
	for _, b := range k.batches {
		if b.segment <= g.number {
			return true
		}
	}
	return len(k.waiting) > 0 && m.segmentOf(k.waiting[0]) <= g.number
}

func (m *model) wanted(g *modelSegment) bool {
	return slices.ContainsFunc(m.sinks, func(k *modelSink) bool { return m.wants(k, g) })
}

// floor returns the first record that is not settled. Records from there on come again in
// the next run.
func (m *model) floor(k *modelSink) int {
	floor := len(m.records)
	if len(k.waiting) > 0 {
		floor = k.waiting[0]
	}
	for _, b := range k.batches {
		floor = min(floor, b.ids[0])
	}
	return floor
}

// Operations.

var modelFormats = []string{"ecs", "ocsf", "csv"}

// write appends some records. If the spool is full and blocks, the call is still under way
// while later operations take some.
func (m *model) write() {
	if m.append != nil {
		return
	}
	a := &modelAppend{format: modelFormats[m.dice.n(3)], full: m.spool.Counts().Full, err: make(chan error, 1)}
	first, size, most := len(m.records), int64(0), 1+m.dice.n(1+m.dice.n(60))
	for len(a.rest) < most && size < m.o.Max/4 { // no record is dropped for one of the same call
		id := len(m.records)
		r := record(id)
		if m.alike {
			r.Body = r.Body[:min(len(r.Body), 20)]
		}
		if most == 7 { // one record, which may be larger than the whole spool
			r.Body = make([]byte, int(m.o.Max)>>5<<m.dice.n(7))
			rand.NewChaCha8([32]byte{byte(id)}).Read(r.Body)
			most = 1
		}
		m.records = append(m.records, r)
		a.rest = append(a.rest, id)
		size += int64(entrySize(&r)) + 100 // as if it were in a block and a segment of its own
		m.most = max(m.most, int64(entrySize(&r)))
	}
	for _, g := range m.segments {
		size += g.end()
	}
	a.room = size <= m.o.Max
	m.log("append %s %d to %d, %d octets", a.format, first, len(m.records)-1, m.octets(a.rest))
	m.append = a
	list := m.records[first:]
	go func() { a.err <- m.spool.Append(a.format, list) }()
	m.look()
}

// look waits until nothing happens any more, and checks what became of the segments.
func (m *model) look() {
	m.t.Helper()
	synctest.Wait()
	m.spool.mu.Lock()
	type file struct {
		number uint32
		path   string
		size   int64
	}
	var files []file
	octets, some := int64(0), 0
	for _, g := range m.spool.segments {
		files = append(files, file{g.number, g.path, g.size})
		octets += g.size
		if g.size > headSize {
			some++
		}
	}
	counted := m.spool.octets
	m.spool.mu.Unlock()
	if octets != counted || octets > m.o.Max+headSize && some > 1 { // a single one may have a record of any size
		m.fail("%d octets in segments, %d counted", octets, counted)
	}
	// There may be a spare file as well, and each file has an end.
	if n := m.onDisk(); n > m.o.Max+max(m.o.Max/16, m.most)+1<<10 {
		m.fail("%d octets on the disk, %d in segments", n, octets)
	}
	for _, file := range files {
		i := slices.IndexFunc(m.segments, func(g modelSegment) bool { return g.number == file.number })
		if i < 0 {
			if n := len(m.segments); n > 0 && m.segments[n-1].number >= file.number {
				m.fail("new segment %d comes after segment %d", file.number, m.segments[n-1].number)
			}
			i = len(m.segments)
			m.segments = append(m.segments, modelSegment{number: file.number})
		}
		m.published(&m.segments[i], file.path, file.size)
	}
	for _, k := range m.sinks {
		select {
		case <-k.c.Changed():
		default:
			if k.news {
				m.fail("%s: new records, but Changed has no value", k.name)
			}
		}
		k.news = false
	}
	dropped, freed := false, int64(0)
	for len(m.segments) > 0 && (len(files) == 0 || m.segments[0].number != files[0].number) {
		g := m.segments[0]
		if m.wanted(&g) {
			m.drop(&g)
			dropped, freed = true, 0
		}
		freed += g.end()
		m.segments = m.segments[1:]
	}
	if dropped && octets+freed <= m.o.Max && len(m.append.passed) == 0 {
		m.fail("more was dropped than needed: %d octets are left, and there was room for %d more", octets, freed)
	}
	if len(files) != len(m.segments) {
		m.fail("the spool has segments %v, the model has %d", files, len(m.segments))
	}
	m.appended(dropped)
}

// onDisk adds up the sizes of all files except cursors.
func (m *model) onDisk() (octets int64) {
	m.t.Helper()
	entries, err := os.ReadDir(m.dir)
	m.must(err)
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), cursorSuffix) {
			continue
		}
		info, err := e.Info()
		m.must(err)
		octets += info.Size()
	}
	return octets
}

// published reads the new blocks of a segment.
func (m *model) published(g *modelSegment, path string, size int64) {
	m.t.Helper()
	if size <= g.end() {
		return
	}
	text, err := os.ReadFile(path)
	m.must(err)
	for size > g.end() {
		begin := g.end()
		p, err := parseBlock(text[begin:], g.number)
		m.must(err)
		k, err := p.unpack(at(g.number, begin))
		m.must(err)
		block := modelBlock{begin: begin, end: begin + p.size, format: k.format}
		for data := k.data; len(data) > 0; {
			r, n, err := parseEntry(data)
			m.must(err)
			block.ids = append(block.ids, m.same(&r))
			data = data[n:]
		}
		k.release()
		g.blocks = append(g.blocks, block)
		g.bad = slices.DeleteFunc(g.bad, func(x int64) bool { return x >= begin && x < block.end })

		a := m.append
		if a == nil || block.format != a.format {
			m.fail("nobody appended %+v", block)
		}
		for _, id := range block.ids {
			i := slices.Index(a.rest, id)
			if i < 0 {
				m.fail("record %d was written, want one of %v", id, a.rest)
			}
			a.passed = append(a.passed, a.rest[:i]...)
			a.rest = a.rest[i+1:]
		}
		for _, k := range m.sinks {
			if k.format == block.format {
				k.accepted += len(block.ids)
				k.waiting = append(k.waiting, block.ids...)
				k.news = true
			}
		}
	}
}

// same checks that a record is as it was appended, and returns its number.
func (m *model) same(r *sink.Record) (id int) {
	m.t.Helper()
	if fmt.Sscanf(string(r.ID), "id-%d", &id); id >= len(m.records) {
		m.fail("record %q was never appended", r.ID)
	}
	want := m.records[id]
	if r.Kind != want.Kind || r.Severity != want.Severity || r.Time != want.Time || !bytes.Equal(r.ID, want.ID) ||
		!bytes.Equal(r.Key, want.Key) || !bytes.Equal(r.Body, want.Body) {
		m.fail("record %q is not as it was", r.ID)
	}
	return id
}

// drop takes a segment away for lack of room: what waits there and what was returned there is
// dropped. A batch under way still belongs to its sink.
func (m *model) drop(g *modelSegment) {
	m.t.Helper()
	if m.append == nil || m.o.Full == sink.Block {
		m.fail("segment %d is gone", g.number)
	}
	m.log("\tsegment %d was dropped", g.number)
	for _, k := range m.sinks {
		here := g.has(k.format)
		all := len(k.waiting)
		k.waiting = slices.DeleteFunc(k.waiting, func(id int) bool { return slices.Contains(here, id) })
		k.dropped += all - len(k.waiting)
		for _, b := range k.batches {
			if b.segment == g.number {
				k.dropped += b.returned
				b.returned = 0
			}
		}
	}
}

// appended checks whether an append has returned. What it has not written by then was dropped.
func (m *model) appended(dropped bool) {
	m.t.Helper()
	a := m.append
	if a == nil {
		return
	}
	full := m.spool.Counts().Full > a.full
	if full && a.room || dropped && !full {
		m.fail("the spool was found full: %t, there was room: %t, a segment was dropped: %t", full, a.room, dropped)
	}
	returned := true
	select {
	case err := <-a.err:
		m.must(err)
		m.append = nil
	default:
		m.log("\twaits with %d records", len(a.rest))
		returned = false
	}
	wants := func(k *modelSink) bool { return k.format == a.format }
	missed := len(a.passed) + len(a.rest)
	switch {
	case !returned && (m.o.Full == sink.DropOldest || m.released):
		m.fail("append waits, but should return")
	case !slices.ContainsFunc(m.sinks, wants): // the first blocks may have been removed before they were seen
		return
	case !returned && len(a.passed) == 0:
		return
	case missed > 0 && !m.released:
		m.fail("records %v %v were not written", a.passed, a.rest)
	}
	for _, k := range m.sinks {
		if wants(k) {
			k.accepted += missed
			k.dropped += missed
			k.missed += missed
		}
	}
}

// sink chooses one of the sinks that this run delivers to, or returns nil if there is none.
func (m *model) sink() *modelSink {
	var list []*modelSink
	for _, k := range m.sinks {
		if k.attached {
			list = append(list, k)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return list[m.dice.n(len(list))]
}

// take checks that a sink gets the next records of one segment, as many as the limits allow.
// If the segment is damaged, they end there, and the rest is dropped and reported.
func (m *model) take() {
	if k := m.sink(); k != nil {
		m.takeOf(k, sink.Limits{Records: 1 + m.dice.n(40), Octets: 100 << m.dice.n(10)})
	}
}

func (m *model) takeOf(k *modelSink, l sink.Limits) {
	m.t.Helper()
	before := k.c.Counts()
	b := new(modelBatch)
	m.told = nil
	k.c.Take(&b.Batch, l)
	lost := int(k.c.Counts().Dropped - before.Dropped)
	for i := range b.Records {
		b.ids = append(b.ids, m.same(&b.Records[i]))
	}
	m.log("%s takes %v, %d lost", k.name, b.ids, lost)
	k.dropped += lost
	if lost > 0 && len(m.told) == 0 {
		m.fail("%d lost records were not reported", lost)
	}
	for len(k.waiting) > 0 && b.segment == 0 {
		g := m.segments[slices.IndexFunc(m.segments, func(g modelSegment) bool { return g.number == m.segmentOf(k.waiting[0]) })]
		here := 0 // of this segment
		for all := g.has(k.format); here < len(k.waiting) && slices.Contains(all, k.waiting[here]); here++ {
		}
		want, octets := 0, 0
		for want < here && l.Room(want, octets, len(m.records[k.waiting[want]].Body)) {
			octets += len(m.records[k.waiting[want]].Body)
			want++
		}
		got := 0
		for got < min(want, len(b.ids)) && b.ids[got] == k.waiting[got] {
			got++
		}
		if got > 0 {
			b.segment = g.number
		}
		if got < want && lost == 0 || got < len(b.ids) && got > 0 {
			m.fail("%s got %v, want %v", k.name, b.ids, k.waiting[:want])
		}
		rest := here - got
		if got == want && lost == 0 {
			rest = 0
		}
		if rest > 0 {
			m.damagedBefore(&g, k, k.waiting[:got], k.waiting[got])
		}
		lost -= rest
		k.waiting = k.waiting[got+rest:]
	}
	if lost != 0 || len(b.ids) > 0 && b.segment == 0 {
		m.fail("%s got %v, and %d more were lost than there were", k.name, b.ids, lost)
	}
	if len(b.ids) > 0 {
		k.batches = append(k.batches, b)
	}
}

// damagedBefore checks that there is damage between the last record that a sink got of a
// segment and the first that was lost.
func (m *model) damagedBefore(g *modelSegment, k *modelSink, got []int, lost int) {
	m.t.Helper()
	bad := false
	for _, block := range g.blocks {
		if len(got) > 0 && slices.Contains(block.ids, got[len(got)-1]) {
			bad = false
		}
		bad = bad || slices.ContainsFunc(g.bad, func(x int64) bool { return x >= block.begin && x < block.end })
		if slices.Contains(block.ids, lost) {
			break
		}
	}
	if !bad {
		m.fail("%s lost record %d and what follows in segment %d, which is not damaged there", k.name, lost, g.number)
	}
}

// underWay chooses a batch that is under way, and returns it with its sink, or nil.
func (m *model) underWay() (*modelSink, *modelBatch) {
	k := m.sink()
	if k == nil {
		return nil, nil
	}
	var list []*modelBatch
	for _, b := range k.batches {
		if !b.over {
			list = append(list, b)
		}
	}
	if len(list) == 0 {
		return nil, nil
	}
	return k, list[m.dice.n(len(list))]
}

// settle settles a batch. Then no segment may stay that nobody wants.
func (m *model) settle() {
	if k, b := m.underWay(); b != nil {
		m.settleOf(k, b)
	}
}

func (m *model) settleOf(k *modelSink, b *modelBatch) {
	m.t.Helper()
	m.log("%s settles %v", k.name, b.ids)
	for i := range b.Records { // they belong to the batch until now
		m.same(&b.Records[i])
	}
	k.settled += len(b.ids)
	k.batches = slices.DeleteFunc(k.batches, func(o *modelBatch) bool { return o == b })
	waits := m.append != nil // it may now have room, and write what nobody wants
	k.c.Done(&b.Batch)
	m.look()
	if !waits && len(m.segments) > 1 && !m.wanted(&m.segments[0]) {
		m.fail("segment %d stays, although nobody wants it", m.segments[0].number)
	}
	onDisk, err := filesWith(m.dir, segmentSuffix)
	m.must(err)
	if len(onDisk) != len(m.segments) {
		m.fail("%d segments, but their files are %q", len(m.segments), onDisk)
	}
}

// giveBack returns a batch, some of whose records may be settled. The others wait for the next
// run, unless their segment was dropped.
func (m *model) giveBack() {
	k, b := m.underWay()
	if b == nil {
		return
	}
	left := 1 + m.dice.n(len(b.ids))
	m.log("%s returns %d of %v", k.name, left, b.ids)
	k.c.Return(&b.Batch, left)
	k.settled += len(b.ids) - left
	b.over = true
	if len(m.segments) > 0 && b.segment >= m.segments[0].number {
		b.returned = left
	} else {
		k.dropped += left
	}
}

// addSink adds a sink, which gets the records that come from now on.
func (m *model) addSink() {
	if len(m.sinks) >= 4 {
		return
	}
	k := &modelSink{name: fmt.Sprint("sink-", len(m.sinks)), format: modelFormats[m.dice.n(2)], attached: true}
	if slices.ContainsFunc(m.sinks, func(o *modelSink) bool { return o.name == k.name }) {
		return
	}
	m.log("%s comes, for %s", k.name, k.format)
	var err error
	k.c, err = m.spool.Cursor(k.name, k.format)
	m.must(err)
	m.sinks = append(m.sinks, k)
}

// idle reports whether a sink has settled all records, and is the only one for its format.
func (m *model) idle(k *modelSink) bool {
	another := func(o *modelSink) bool { return o != k && o.format == k.format }
	return len(k.waiting) == 0 && len(k.batches) == 0 && !slices.ContainsFunc(m.sinks, another)
}

// pass gives records to an idle sink without the spool.
func (m *model) pass() {
	if k := m.sink(); k != nil && m.idle(k) {
		m.log("%s gets 3 without the spool", k.name)
		k.c.Passed(3)
		k.accepted += 3
		k.settled += 3
	}
}

func (m *model) end() {
	if k := m.sink(); k != nil {
		m.log("%s ends", k.name)
		k.c.End()
		k.ended = true
	}
}

// cold makes the spool forget what it has in memory, as happens when much is appended.
func (m *model) cold() {
	m.log("forget what is in memory")
	cold(m.spool)
	for _, k := range m.sinks {
		k.c.current.release()
		k.c.current = nil
	}
}

// wait lets segments be synced.
func (m *model) wait() {
	m.log("wait")
	time.Sleep(2 * syncAfter)
	m.look()
}

// damage changes an octet of a segment. Its block is lost, with all that follows in that file.
func (m *model) damage() {
	if len(m.segments) == 0 {
		return
	}
	g := &m.segments[max(0, len(m.segments)-1-m.dice.n(9))] // more often the last one
	x := m.dice.far(g.end())
	if slices.Contains(g.bad, x) {
		return
	}
	f, err := os.OpenFile(segmentPath(m.dir, g.number), os.O_RDWR, 0)
	m.must(err)
	defer f.Close()
	octet := make([]byte, 1)
	if _, err := f.ReadAt(octet, x); err == io.EOF { // it was cut off before
		return
	}
	octet[0] ^= 1 << m.dice.n(8)
	_, err = f.WriteAt(octet, x)
	m.must(err)
	g.bad = append(g.bad, x)
	m.log("segment %d is damaged at %d", g.number, x)
}

// release ends all waiting for room, now and later.
func (m *model) release() {
	m.log("release")
	m.released = true
	m.spool.release()
	m.look()
}

// closeAndOpen ends the run with Close. Then the folder has nothing but what somebody wants.
func (m *model) closeAndOpen() {
	if m.append != nil {
		m.release()
		m.compare()
	}
	m.log("close")
	m.must(m.spool.Close())
	m.spool = nil
	for len(m.segments) > 0 && !m.wanted(&m.segments[0]) {
		m.segments = m.segments[1:]
	}
	want := []string{"lock"}
	for _, g := range m.segments {
		if len(g.blocks) > 0 {
			want = append(want, filepath.Base(segmentPath("", g.number)))
		}
	}
	for _, k := range m.sinks {
		want = append(want, filepath.Base(k.c.path()))
	}
	files := m.files()
	maps.DeleteFunc(files, func(name string, text []byte) bool {
		return strings.HasSuffix(name, segmentSuffix) && len(text) <= int(headSize) // from a run that was killed, or all of it was cut off
	})
	got := slices.Sorted(maps.Keys(files))
	if slices.Sort(want); !slices.Equal(got, want) {
		m.fail("the folder has %q, want %q", got, want)
	}
	if len(m.sinks) > 1 && m.dice.n(10) == 0 { // a person gives up a sink
		i := m.dice.n(len(m.sinks))
		m.log("the file of %s is removed", m.sinks[i].name)
		m.must(os.Remove(m.sinks[i].c.path()))
		m.sinks = slices.Delete(m.sinks, i, i+1)
	}
	m.open()
}

// files returns the files of the spool's folder by name, with their contents.
func (m *model) files() map[string][]byte {
	entries, err := os.ReadDir(m.dir)
	m.must(err)
	files := make(map[string][]byte)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(m.dir, e.Name()))
		m.must(err)
		files[e.Name()] = text
	}
	return files
}

// leave ends the run. The folder must not be used any more.
func (m *model) leave() {
	if m.spool != nil {
		m.spool.release()
		synctest.Wait()
		abandon(m.spool)
	}
	m.spool, m.append = nil, nil
}

// kill ends the run and leaves the folder as it is.
func (m *model) kill() {
	m.log("kill")
	m.goOn(m.files())
}

// goOn begins a new run, in a new folder with these files.
func (m *model) goOn(files map[string][]byte) {
	m.leave()
	m.runs++
	m.must(os.RemoveAll(m.dir))
	m.dir = filepath.Join(filepath.Dir(m.dir), fmt.Sprint("run-", m.runs))
	m.must(os.Mkdir(m.dir, 0o700))
	for name, text := range files {
		m.must(os.WriteFile(filepath.Join(m.dir, name), text, 0o600))
	}
	m.open()
}

// killInWrite ends the run in the middle of writing the last block of an append: from there
// on, the file has what was there before.
func (m *model) killInWrite() {
	if m.append != nil {
		return
	}
	before, ends := m.files(), make(map[uint32]int64)
	for _, g := range m.segments {
		ends[g.number] = g.end()
	}
	m.write()
	after := m.files()
	if len(m.segments) == 0 {
		m.kill()
		return
	}
	g := &m.segments[len(m.segments)-1]
	end, old := ends[g.number]
	if !old {
		end = headSize
	}
	if g.end() == end { // nothing was written
		m.kill()
		return
	}
	name := filepath.Base(segmentPath("", g.number))
	beneath, old := before[name]
	if !old {
		beneath = append([]byte(magic), make([]byte, prefix)...)
		if spare := before["spare"]; len(spare) > len(beneath) {
			beneath = append(beneath, spare[len(beneath):]...)
		}
	}
	last := g.blocks[len(g.blocks)-1]
	cut := last.end // only the end is missing: what follows is from an earlier use of the file
	if m.dice.n(3) > 0 {
		cut = last.begin + m.dice.far(last.end+prefix-last.begin)
	}
	whole := after[name]
	torn := slices.Clone(whole[:cut])
	if int(cut) < len(beneath) {
		torn = append(torn, beneath[cut:]...)
	}
	m.log("kill when %d octets of %d were written from %d on", cut-last.begin, last.end-last.begin, last.begin)
	if !bytes.HasPrefix(torn, whole[:last.end]) {
		g.blocks = g.blocks[:len(g.blocks)-1]
	}
	after[name] = torn
	m.goOn(after)
}

// killInSettle ends the run while a batch is settled: the place was written, but the segments
// that nobody wants any more were not removed yet. Or it is a power cut: they were removed, but
// the place was not written.
func (m *model) killInSettle() {
	k, b := m.underWay()
	if b == nil {
		return
	}
	power := m.dice.n(2) == 1
	before, segments, sinks := m.files(), slices.Clone(m.segments), []*modelSink{}
	for _, k := range m.sinks {
		was := *k
		was.batches = slices.Clone(k.batches)
		sinks = append(sinks, &was)
	}
	waits := m.append != nil
	m.settleOf(k, b)
	if waits { // the append may have written since
		m.kill()
		return
	}
	m.log("kill in settle, before the place is written: %t", power)
	after := m.files()
	if power {
		m.sinks = sinks
	} else {
		m.segments = segments
	}
	files := make(map[string][]byte)
	for of, from := range map[bool]map[string][]byte{power: before, !power: after} {
		for name, text := range from {
			if strings.HasSuffix(name, cursorSuffix) == of {
				files[name] = text
			}
		}
	}
	m.goOn(files)
}

// open begins a run with what the last one has left. What follows damage is gone, and each sink
// finds everything from its first unsettled record on. Not all sinks are delivered to.
func (m *model) open() {
	m.t.Helper()
	cut := false
	for i := range m.segments {
		g := &m.segments[i]
		for _, x := range g.bad {
			n := slices.IndexFunc(g.blocks, func(k modelBlock) bool { return x < k.end })
			if n >= 0 {
				g.blocks, cut = g.blocks[:n:n], true
			}
		}
		g.blocks, g.bad = slices.Clip(g.blocks), nil
	}
	floors := make(map[*modelSink]int)
	for _, k := range m.sinks {
		floors[k] = m.floor(k)
	}
	for _, k := range m.sinks {
		*k = modelSink{name: k.name, format: k.format}
		for _, g := range m.segments {
			for _, id := range g.has(k.format) {
				if id >= floors[k] {
					k.waiting = append(k.waiting, id)
				}
			}
		}
		k.found = len(k.waiting)
	}
	m.told, m.released = nil, false
	var err error
	m.spool, err = Open(m.dir, m.o)
	m.must(err)
	if n := m.spool.Counts(); n.Full != 0 || (n.CutOctets > 0) != (len(m.told) > 0) || cut && n.CutOctets == 0 {
		m.fail("counts %+v after Open, reported %q, blocks were damaged: %t", n, m.told, cut)
	}
	if len(m.spool.cursors) != len(m.sinks) {
		m.fail("%d cursors, want %d", len(m.spool.cursors), len(m.sinks))
	}
	for _, k := range m.sinks {
		k.c = m.spool.cursors[slices.IndexFunc(m.spool.cursors, func(c *Cursor) bool { return c.name == k.name })]
		if k.attached = m.dice.n(5) > 0; k.attached {
			c, err := m.spool.Cursor(k.name, k.format)
			if m.must(err); c != k.c {
				m.fail("another cursor for %s", k.name)
			}
		}
		m.log("\topen, %s for %s from %d on, %t", k.name, k.format, floors[k], k.attached)
	}
	m.look()
	m.compare()
}

// compare checks each counter, and that the counts of each sink add up.
func (m *model) compare() {
	m.t.Helper()
	var left []Left
	for _, k := range m.sinks {
		underWay, returned := 0, 0
		for _, b := range k.batches {
			if returned += b.returned; !b.over {
				underWay += len(b.ids)
			}
		}
		got, want := k.c.Counts(), sink.QueueCounts{
			Found: uint64(k.found), Accepted: uint64(k.accepted), Dropped: uint64(k.dropped), Missed: uint64(k.missed),
			Waiting: uint64(len(k.waiting) + returned), Kept: true,
		}
		if got != want {
			m.fail("%s counts %+v, want %+v", k.name, got, want)
		}
		if got.Found+got.Accepted != uint64(k.settled+underWay)+got.Waiting+got.Dropped {
			m.fail("%s: counts %+v, with %d settled and %d under way, do not add up", k.name, got, k.settled, underWay)
		}
		n, octets, ended := k.c.Ready()
		if n != len(k.waiting) || octets != m.octets(k.waiting) || ended != k.ended {
			m.fail("%s has %d records of %d octets, end %t; want %d of %d, %t", k.name, n, octets, ended, len(k.waiting), m.octets(k.waiting), k.ended)
		}
		if idle := k.c.Idle(); idle != m.idle(k) {
			m.fail("%s is idle: %t", k.name, idle)
		}
		if !k.attached && len(k.waiting) > 0 {
			left = append(left, Left{k.name, k.format, uint64(len(k.waiting)), k.c.path()})
		}
	}
	got, byName := m.spool.Left(), func(a, b Left) int { return strings.Compare(a.Name, b.Name) }
	slices.SortFunc(got, byName)
	slices.SortFunc(left, byName)
	if !slices.Equal(got, left) {
		m.fail("Left returns %+v, want %+v", got, left)
	}
}

// drain delivers everything to every sink, and checks that nothing is left then.
func (m *model) drain() {
	m.closeAndOpen()
	for _, k := range m.sinks {
		if !k.attached {
			_, err := m.spool.Cursor(k.name, k.format)
			m.must(err)
			k.attached = true
		}
		for len(k.waiting) > 0 {
			m.takeOf(k, limits)
			for len(k.batches) > 0 {
				m.settleOf(k, k.batches[0])
			}
			m.compare()
		}
	}
	m.closeAndOpen()
	if slices.ContainsFunc(m.segments, func(g modelSegment) bool { return len(g.blocks) > 0 }) {
		m.fail("segments are left")
	}
}
