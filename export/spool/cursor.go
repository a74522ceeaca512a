package spool

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/export/sink"
)

// A Cursor is one sink's place in a spool: a [sink.Queue] of the records in the
// sink's format. Every record before the place in its file is settled.
type Cursor struct {
	spool        *Spool
	name, format string
	file         *os.File
	attached     bool // a sink of this run uses it
	changed      chan struct{}

	// Only Take uses these.
	current *block // the one that pos is in the middle of; nil: pos is at the start of a block
	window  window
	told    bool // it was reported that too many files are open

	// The rest is guarded by spool.mu.
	pos     position // of the record to be taken next
	left    tally    // from pos to the end of its segment
	waiting tally    // from pos on
	flights []flight // batches that are not settled
	takes   uint64   // batches taken so far
	saved   position // the last one written to the file
	slot    int64    // the one to be written next: 0 or 1
	ended   bool
	counts  sink.QueueCounts // without Waiting
}

// A flight is a batch that is not settled: its mark, where it begins, the blocks that its
// records point into, and how many of the records were returned.
type flight struct {
	mark     uint64
	from     position
	blocks   []*block
	returned uint64
}

// Cursor returns the cursor of the sink with this name for records in this format. A
// new one begins after the last record. The names of all cursors must differ.
func (s *Spool) Cursor(name, format string) (*Cursor, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cursors {
		if c.name == name && c.format == format {
			c.attached = true
			return c, nil
		}
	}
	if strings.Contains(name+format, "\n") {
		return nil, fmt.Errorf("sink name %q has more than one line", name)
	}
	c := newCursor(s, name, format)
	c.attached = true
	c.pos = at(s.last, math.MaxUint32)
	if n := len(s.segments); n > 0 {
		c.pos = s.segments[n-1].end()
	}
	if err := c.create(); err != nil {
		return nil, fmt.Errorf("spool %s: %w", s.dir, bare(err))
	}
	s.cursors = append(s.cursors, c)
	return c, nil
}

// A Left is a cursor that no sink of this run uses. Its records stay in the spool.
type Left struct {
	Name, Format string
	Records      uint64
	File         string // once it is removed, nothing is kept for the sink
}

// Left returns the cursors that no sink of this run uses and that have records.
func (s *Spool) Left() []Left {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []Left
	for _, c := range s.cursors {
		if !c.attached && c.waiting.records > 0 {
			list = append(list, Left{c.name, c.format, uint64(c.waiting.records), c.path()})
		}
	}
	return list
}

func newCursor(s *Spool, name, format string) *Cursor {
	return &Cursor{
		spool: s, name: name, format: format, changed: make(chan struct{}, 1),
		window: window{step: 256 << 10}, counts: sink.QueueCounts{Kept: true},
	}
}

// A cursor's file holds its position in two slots, each with a checksum. A new position
// is written over the older one, so that one is whole whatever happens. The cursor's name
// and format follow.
const slotSize = 3*(10+1) + 8 + 1

// earlierSlot matches the position as written by versions that did not compress.
var earlierSlot = regexp.MustCompile(`^\d{20} [0-9a-f]{8}\n`)

const cursorSuffix = ".cursor"

func (c *Cursor) path() string {
	sum := sha256.Sum256([]byte(c.name + "\n" + c.format))
	return filepath.Join(c.spool.dir, fmt.Sprintf("%x%s", sum[:8], cursorSuffix))
}

func appendSlot(dst []byte, p position) []byte {
	start := len(dst)
	dst = fmt.Appendf(dst, "%010d %010d %010d", p.number, p.offset, p.inside)
	return fmt.Appendf(dst, " %08x\n", crc32.Checksum(dst[start:], castagnoli))
}

func parseSlot(slot string) (p position, whole bool) {
	if _, err := fmt.Sscanf(slot, "%d %d %d", &p.number, &p.offset, &p.inside); err != nil {
		return position{}, false
	}
	return p, string(appendSlot(nil, p)) == slot
}

func (c *Cursor) create() error {
	text := appendSlot(appendSlot(nil, c.pos), c.pos)
	text = fmt.Appendf(text, "%s\n%s\n", c.name, c.format)
	path := c.path()
	f, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err = errors.Join(err, f.Sync()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		f.Close()
		return err
	}
	c.file, c.saved = f, c.pos
	return nil
}

// listCursors reads the cursors of a spool's folder.
func listCursors(s *Spool) ([]*Cursor, error) {
	paths, err := filesWith(s.dir, cursorSuffix)
	if err != nil {
		return nil, err
	}
	var list []*Cursor
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return list, err
		}
		c, err := parseCursor(s, string(text))
		if err == nil && c.path() != path {
			err = errLostPlace
		}
		switch {
		case err == errEarlier: // as are all other files: none is named
			return list, err
		case err != nil:
			return list, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		if c.file, err = os.OpenFile(path, os.O_WRONLY, 0); err != nil {
			return list, err
		}
		list = append(list, c)
	}
	return list, nil
}

// errLostPlace means that a cursor's file does not say how far its sink has got.
var errLostPlace = errors.New("damaged: if this file is removed, its sink starts with new records, and those that wait for it are discarded")

func parseCursor(s *Spool, text string) (*Cursor, error) {
	if earlierSlot.MatchString(text) {
		return nil, errEarlier
	}
	if len(text) < 2*slotSize {
		return nil, errLostPlace
	}
	names := strings.Split(text[2*slotSize:], "\n")
	if len(names) != 3 || names[2] != "" {
		return nil, errLostPlace
	}
	c := newCursor(s, names[0], names[1])
	some := false
	for i := range int64(2) {
		p, whole := parseSlot(text[i*slotSize:][:slotSize])
		if whole && (!some || c.pos.before(p)) {
			c.pos, c.slot, some = p, 1-i, true
		}
	}
	if !some {
		return nil, errLostPlace
	}
	c.saved = c.pos
	return c, nil
}

// see counts the records that wait for the cursor in a block of its format that an earlier
// run left.
func (c *Cursor) see(place position, p *packed) {
	t := p.tally
	switch {
	case !place.before(c.pos): // all of the block waits
	case place == c.pos.block():
		if k, err := p.unpack(place); err == nil {
			rest, err := k.behind(c.pos.inside)
			k.release()
			if err == nil {
				t = rest
				break
			}
		}
		c.pos = place // it is unknown which of its records were settled
	default:
		return
	}
	c.waiting.add(t)
	if place.number == c.pos.number {
		c.left.add(t)
	}
	c.counts.Found += uint64(t.records)
}

func (c *Cursor) notify() {
	select {
	case c.changed <- struct{}{}:
	default:
	}
}

// published counts records that were written to the last segment, if the cursor wants them.
func (c *Cursor) published(g *segment, format string, t tally) {
	if c.format != format {
		return
	}
	c.counts.Accepted += uint64(t.records)
	c.waiting.add(t)
	if c.pos.number == g.number {
		c.left.add(t)
	}
	c.notify()
}

// Idle reports whether the spool has no record for the sink, and no other sink gets
// records in its format.
func (c *Cursor) Idle() bool {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	another := func(o *Cursor) bool { return o != c && o.format == c.format }
	return c.waiting.records == 0 && len(c.flights) == 0 && !slices.ContainsFunc(s.cursors, another)
}

// Passed counts records that the sink of an idle cursor got without the spool.
func (c *Cursor) Passed(n int) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	c.counts.Accepted += uint64(n)
}

// miss counts records for which there was no room.
func (c *Cursor) miss(format string, t tally) {
	if c.format != format {
		return
	}
	c.counts.Accepted += uint64(t.records)
	c.counts.Dropped += uint64(t.records)
	if c.spool.released {
		c.counts.Missed += uint64(t.records)
	}
}

// lose takes a segment, until now the first one, away from the cursor. The cursor has
// hopped, so it is not before the segment. What was returned there no longer waits for the
// next run.
func (c *Cursor) lose(g *segment) {
	if c.pos.number <= g.number {
		c.skip(g)
	}
	for i := range c.flights {
		if f := &c.flights[i]; f.from.number == g.number {
			c.counts.Dropped += f.returned
			f.returned = 0
		}
	}
}

// skip gives up what is left for the cursor in its segment.
func (c *Cursor) skip(g *segment) {
	c.counts.Dropped += uint64(c.left.records)
	c.waiting.subtract(c.left)
	c.pos, c.left = g.end(), tally{}
}

// hop moves a cursor that has nothing left in its segment to the next one that has
// something for it, or else to the end of the last one.
func (c *Cursor) hop() {
	for _, g := range c.spool.segments {
		if c.left.records > 0 {
			return
		}
		switch {
		case g.number == c.pos.number:
			c.pos = g.end()
		case g.number > c.pos.number:
			c.pos, c.left = at(g.number, headSize), g.counts[c.format]
			if c.left.records == 0 {
				c.pos = g.end()
			}
		}
	}
}

// floor returns the place before which every record is settled.
func (c *Cursor) floor() position {
	floor := c.pos
	for _, f := range c.flights {
		if f.from.before(floor) {
			floor = f.from
		}
	}
	return floor
}

// Ready implements [sink.Queue].
func (c *Cursor) Ready() (records int, octets int64, ended bool) {
	c.spool.mu.Lock()
	defer c.spool.mu.Unlock()
	return int(c.waiting.records), c.waiting.octets, c.ended
}

// Changed implements [sink.Queue].
func (c *Cursor) Changed() <-chan struct{} { return c.changed }

// End says that no more records will be appended.
func (c *Cursor) End() {
	c.spool.mu.Lock()
	defer c.spool.mu.Unlock()
	c.ended = true
	c.notify()
}

// Take implements [sink.Queue].
func (c *Cursor) Take(b *sink.Batch, l sink.Limits) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Records = b.Records[:0]
	for len(b.Records) == 0 && c.waiting.records > 0 {
		c.hop()
		i := slices.IndexFunc(s.segments, func(g *segment) bool { return g.number == c.pos.number })
		g := s.segments[i]
		f, size := flight{from: c.pos}, g.size
		s.mu.Unlock()
		next, octets, err := c.read(b, &f, g, size, l)
		s.mu.Lock()
		if c.pos != f.from { // a full spool has dropped the segment
			b.Records = b.Records[:0]
			f.release()
			continue
		}
		if n := len(b.Records); n > 0 {
			c.takes++
			f.mark, b.From = c.takes, c.takes
			c.flights = append(c.flights, f)
			t := tally{int64(n), octets}
			c.left.subtract(t)
			c.waiting.subtract(t)
		} else {
			f.release()
		}
		c.pos = next
		s.forgetRecent()
		switch {
		case err == nil:
		case errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE):
			// Nothing is damaged: it can be read once another file has been closed.
			told := c.told
			c.told = true
			s.mu.Unlock()
			if !told {
				s.report(fmt.Errorf("spool %s: read %s: %w: trying again", s.dir, filepath.Base(g.path), bare(err)))
			}
			time.Sleep(openAgain)
			s.mu.Lock()
			return
		default:
			err = fmt.Errorf("spool %s: read %s: %w: %d records for %s are lost",
				s.dir, filepath.Base(g.path), bare(err), c.left.records, c.name)
			c.skip(g)
			s.mu.Unlock()
			s.report(err)
			s.mu.Lock()
		}
	}
}

// openAgain is how long Take waits when too many files are open.
const openAgain = 100 * time.Millisecond

// read fills the batch with records from the flight's beginning on, in a segment of this
// many octets, and returns the place after them and the octets of their bodies. An error
// means that what follows cannot be read.
func (c *Cursor) read(b *sink.Batch, f *flight, g *segment, size int64, l sink.Limits) (next position, octets int64, err error) {
	c.window.end = size
	defer c.window.close()
	var current *block // the one that next is in the middle of
	defer func() {
		c.current.release()
		c.current = current
	}()
	for next = f.from; int64(next.offset) < size; {
		k, octetsOfBlock, err := c.block(g, next.block())
		if err != nil {
			return next, octets, err
		}
		if k != nil {
			f.blocks = append(f.blocks, k)
			for int(next.inside) < len(k.data) {
				r, n, err := parseEntry(k.data[next.inside:])
				if err != nil {
					return next, octets, err
				}
				if !l.Room(len(b.Records), int(octets), len(r.Body)) {
					current = k.share()
					return next, octets, nil
				}
				b.Records = append(b.Records, r)
				octets += int64(len(r.Body))
				next.inside += uint32(n)
			}
		}
		next = at(g.number, int64(next.offset)+octetsOfBlock)
	}
	if len(b.Records) == 0 {
		err = errDamaged // something should have been left here
	}
	return next, octets, err
}

// block returns a block of a segment, for the caller to release, and its octets in the
// segment. The block is nil if its records are in another format. What was written a
// moment ago comes from memory.
func (c *Cursor) block(g *segment, place position) (*block, int64, error) {
	k := c.current
	if k != nil && k.place == place {
		return k.share(), k.size, nil
	}
	if k = c.spool.recentBlock(place); k != nil {
		size := k.size
		if k.format != c.format {
			k.release()
			k = nil
		}
		return k, size, nil
	}
	if c.window.file == nil {
		// Opened each time: a file that is held open takes up room on the disk even after
		// it was removed.
		f, err := os.Open(g.path)
		if err != nil {
			return nil, 0, err
		}
		c.window.file = f
	}
	p, err := c.window.block(int64(place.offset), place.number)
	if err != nil || string(p.format) != c.format {
		return nil, p.size, err
	}
	k, err = p.unpack(place)
	return k, p.size, err
}

// Done implements [sink.Queue].
func (c *Cursor) Done(b *sink.Batch) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	i := c.flight(b)
	c.flights[i].release()
	c.flights = slices.Delete(c.flights, i, i+1)
	s.trim()
	s.failed = errors.Join(s.failed, c.save())
	s.sweep()
}

// flight returns the index of a batch among those that are not settled.
func (c *Cursor) flight(b *sink.Batch) int {
	return slices.IndexFunc(c.flights, func(f flight) bool { return f.mark == b.From })
}

// release gives up the blocks that the batch's records point into.
func (f *flight) release() {
	for _, k := range f.blocks {
		k.release()
	}
	f.blocks = nil
}

// save writes the place before which everything is settled to the cursor's file.
func (c *Cursor) save() error {
	floor := c.floor()
	if floor == c.saved {
		return nil
	}
	if _, err := c.file.WriteAt(appendSlot(nil, floor), c.slot*slotSize); err != nil {
		return fmt.Errorf("write cursor of %s: %w", c.name, bare(err))
	}
	c.saved, c.slot = floor, 1-c.slot
	return nil
}

// Return implements [sink.Queue].
func (c *Cursor) Return(b *sink.Batch, left int) {
	s := c.spool
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &c.flights[c.flight(b)]
	f.release()
	if len(s.segments) > 0 && f.from.number >= s.segments[0].number {
		f.returned = uint64(left)
	} else {
		c.counts.Dropped += uint64(left)
	}
}

// Release implements [sink.Queue].
func (c *Cursor) Release() { c.spool.release() }

// Counts implements [sink.Queue].
func (c *Cursor) Counts() sink.QueueCounts {
	c.spool.mu.Lock()
	defer c.spool.mu.Unlock()
	counts := c.counts
	counts.Waiting = uint64(c.waiting.records)
	for _, f := range c.flights {
		counts.Waiting += f.returned
	}
	return counts
}

func (c *Cursor) close() error {
	return errors.Join(c.save(), c.file.Sync(), c.file.Close())
}
