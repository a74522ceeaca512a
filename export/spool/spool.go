package spool

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/export/sink"
)

// Options are the settings of a Spool. Their zero values are the defaults.
type Options struct {
	Max  int64         // octets of all segments; 0: DefaultMax
	Full sink.Overflow // what Append does when Max is reached
	// Report is called with what a person should know but nothing has to stop for, one
	// call at a time. May be nil.
	Report func(error)
}

// The default and the lowest Max of a Spool, in octets.
const (
	DefaultMax = 4 << 30
	MinMax     = 1 << 20
)

// Parse reads the argument of --spool: DIR[?max=SIZE&full=block|drop-oldest].
func Parse(text string) (dir string, o Options, err error) {
	dir, query, _ := strings.Cut(text, "?")
	s, err := sink.ParseSettings(query)
	if err != nil {
		return dir, o, err
	}
	o.Max = s.Octets("max", DefaultMax)
	o.Full = s.Overflow("full")
	switch err = s.Err(); {
	case err != nil:
	case dir == "":
		err = errors.New("the name of a folder must come first")
	case o.Max < MinMax:
		err = fmt.Errorf("max=%d: at least %d octets", o.Max, MinMax)
	}
	return dir, o, err
}

// ErrInUse means that another process uses the folder as its spool.
var ErrInUse = errors.New("another process uses this spool")

// A Spool is a folder of records. Its methods may be called from several goroutines.
type Spool struct {
	dir     string
	o       Options
	segment int64 // octets at which a segment is full at the latest
	closing chan struct{}
	lock    *os.File

	appending sync.Mutex // guards what only Append uses
	active    *os.File   // file of the last segment, while it is written to
	packed    []byte     // memory for compressed blocks
	full      int64      // octets at which the last segment is full

	mu       sync.Mutex // guards the rest
	room     *sync.Cond
	segments []*segment // in the order of their numbers; gaps do not matter
	last     uint32     // the highest number given to a segment so far
	cursors  []*Cursor
	recent   []*block   // the last blocks written that not every cursor has read, in order
	held     int64      // octets of their memory
	octets   int64      // of all segments
	spare    int64      // octets of the spare file; 0: there is none
	tail     int64      // octets that the active file had as the spare one; 0: there is nothing to cut off
	gone     []*segment // no longer in segments, but their files are still to be removed
	released bool
	told     bool  // it was reported that the spool is full
	failed   error // of other work than writing records, for Append and Close to return
	counts   Counts

	background sync.WaitGroup // syncing
	syncing    sync.Mutex     // one file at a time
	reporting  sync.Mutex
}

// Counts are the counters of a Spool.
type Counts struct {
	Full      uint64 // how often Append found it full
	CutOctets uint64 // cut off by Open after the last whole block of a segment
}

// Open opens the spool in a folder, which it creates if there is none, and reads all of
// it. The error wraps ErrInUse if another process uses the folder.
func Open(dir string, o Options) (_ *Spool, err error) {
	if o.Max == 0 {
		o.Max = DefaultMax
	}
	const fullSegment = 64 << 20
	s := &Spool{dir: dir, o: o, segment: min(fullSegment, o.Max/16), closing: make(chan struct{})}
	s.room = sync.NewCond(&s.mu)
	defer func() {
		if err != nil {
			err = fmt.Errorf("open spool %s: %w", dir, bare(err))
		}
	}()
	// What went over the network is nobody else's business.
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if s.lock, err = os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.lock.Close()
		}
	}()
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse
		}
		return nil, err
	}
	if err := s.recover(); err != nil {
		for _, c := range s.cursors {
			c.file.Close()
		}
		return nil, err
	}
	return s, nil
}

// recover reads what earlier runs left in the folder.
func (s *Spool) recover() (err error) {
	if s.cursors, err = listCursors(s); err != nil {
		return err
	}
	if err := os.Remove(s.sparePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if s.segments, err = listSegments(s.dir); err != nil {
		return err
	}
	see := func(place position, p *packed) {
		for _, c := range s.cursors {
			if c.format == string(p.format) {
				c.see(place, p)
			}
		}
	}
	for _, g := range s.segments {
		cut, err := g.recover(see)
		if err != nil {
			return err
		}
		if cut > 0 {
			s.counts.CutOctets += uint64(cut)
			s.report(fmt.Errorf("spool %s: cut %d octets of incomplete records from %s", s.dir, cut, filepath.Base(g.path)))
		}
		g.sealed = true
		s.octets += g.size
		s.last = g.number
	}
	reusable := true
	for _, c := range s.cursors {
		s.last = max(s.last, c.pos.number)
		if n := len(s.segments); n > 0 && s.segments[n-1].end().before(c.pos) {
			reusable = false // after a power cut: what the cursor had passed is not there
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trim()
	s.sweep()
	if n := len(s.segments); reusable && n > 0 {
		g := s.segments[n-1]
		g.sealed = g.size < headSize // the file is no segment at all
	}
	for _, g := range s.segments { // a run that was killed has not synced them
		s.syncLater(g)
	}
	return nil
}

func (g *segment) end() position { return at(g.number, g.size) }

// Counts returns the counts as of now.
func (s *Spool) Counts() Counts {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.counts
}

// Bounds of what is done at once, and of what is kept in memory to be read, in octets.
const (
	appendSize = 1 << 20  // of a block, if Append is given as many
	recentSize = 64 << 20 // for cursors close behind; slower ones read from the disk
	// lagging is how far behind a cursor can be before new blocks are written to stay a while.
	lagging = recentSize / 2
	// briefSegment is the size of a segment that is soon gone: its file stays in a core's
	// cache until it is reused.
	briefSegment = 4 << 20
)

// Append writes records, whose bodies are in the named format, for every cursor of that
// format. When it returns without an error, the records outlive the process, or the
// cursors have counted them as dropped, because there was no room and none to wait for.
func (s *Spool) Append(format string, records []sink.Record) error {
	s.appending.Lock()
	defer s.appending.Unlock()
	for len(records) > 0 {
		n, err := s.append(format, records)
		if err != nil {
			return fmt.Errorf("write to spool %s: %w", s.dir, bare(err))
		}
		records = records[n:]
	}
	return nil
}

// append writes one block, and returns how many of the records are in it.
func (s *Spool) append(format string, records []sink.Record) (n int, err error) {
	size := 0
	for n < len(records) && int64(size) < min(appendSize, s.segment) {
		size += entrySize(&records[n])
		n++
	}
	k := newBlock(format, size)
	defer k.release()
	for i := range records[:n] {
		if err := k.add(&records[i]); err != nil {
			return 0, err
		}
	}
	stored := byte(plain)
	s.full = min(s.segment, briefSegment)
	if s.behind(format) > lagging {
		stored, s.full = packedS2, s.segment
	}
	out := k.form(stored, s.packed)
	if stored == packedS2 {
		s.packed = out
	}
	return n, s.write(k, out)
}

// behind returns how many octets wait for the cursor of a format that is farthest
// behind. A cursor that no sink uses is as far behind as can be.
func (s *Spool) behind(format string) (octets int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.cursors {
		switch {
		case c.format != format:
		case !c.attached:
			return math.MaxInt64
		default:
			octets = max(octets, c.waiting.octets)
		}
	}
	return octets
}

// write writes a block, given also as it is stored in a segment, after the last one. It gives
// up the lock while it writes to the file: only Append writes, one call at a time.
func (s *Spool) write(k *block, out []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for tries := 0; ; tries++ {
		err := errFull
		var g *segment
		if s.octets <= headSize || s.octets+k.size <= s.o.Max {
			if g, err = s.reserve(k.size); err == nil {
				offset := g.size
				s.mu.Unlock()
				sign(out, g.number)
				if _, err = s.active.WriteAt(out, offset); err != nil {
					s.active.Truncate(offset) // half a block would hide those after it
				}
				s.mu.Lock()
			}
		}
		switch {
		case err == nil:
			s.publish(g, k)
			return s.failed
		case err != errFull && !errors.Is(err, syscall.ENOSPC) && !errors.Is(err, syscall.EDQUOT):
			return err
		}
		if err != errFull && s.shed() {
			tries--
			continue
		}
		if tries == 0 {
			s.counts.Full++
			s.tellFull(err)
		}
		if !s.makeWay() {
			for _, c := range s.cursors {
				c.miss(k.format, k.tally)
			}
			return nil
		}
	}
}

var errFull = errors.New("full")

// reserve returns the segment that takes this many more octets, with its file open.
func (s *Spool) reserve(size int64) (*segment, error) {
	g := s.unsealed()
	if g != nil && g.size > headSize && g.size+size > s.full {
		s.seal()
		g = nil
	}
	if g != nil && s.active != nil {
		return g, nil
	}
	if g != nil {
		f, err := os.OpenFile(g.path, os.O_WRONLY, 0)
		s.active = f
		return g, err
	}
	g = &segment{number: s.last + 1, size: headSize, counts: make(map[string]tally)}
	g.path = segmentPath(s.dir, g.number)
	f, err := s.newFile(g.path)
	if err != nil {
		return nil, err
	}
	s.active = f
	s.segments = append(s.segments, g)
	s.last = g.number
	s.octets += g.size
	return g, nil
}

// newFile makes the file of an empty segment, from the spare file if there is one: writing
// over what the kernel has in memory takes a third of the time, and may never reach the
// disk.
func (s *Spool) newFile(path string) (*os.File, error) {
	begin := append([]byte(magic), end[:]...)
	if s.spare > 0 {
		f, err := os.OpenFile(s.sparePath(), os.O_WRONLY, 0)
		if err == nil {
			if _, err = f.WriteAt(begin, 0); err == nil {
				err = os.Rename(s.sparePath(), path)
			}
			if err != nil {
				f.Close()
			}
		}
		if err == nil {
			s.tail, s.spare = s.spare, 0
			return f, nil
		}
		s.shed() // the spare file is no use: do without
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	if _, err := f.Write(begin); err != nil {
		f.Close()
		os.Remove(path)
		return nil, err
	}
	return f, nil
}

func (s *Spool) sparePath() string { return filepath.Join(s.dir, "spare") }

// shed frees what is on the disk but belongs to no segment, and reports whether there was
// any. A file becomes the spare one only while the spool is at most half full, so there is
// room for it, and the next segment takes it.
func (s *Spool) shed() bool {
	spare := s.spare > 0
	if spare {
		os.Remove(s.sparePath()) // if this fails, the next Open tries again
		s.spare = 0
	}
	return s.cutTail() || spare
}

// cutTail cuts off what follows the end of the active segment, and reports whether there was any.
func (s *Spool) cutTail() bool {
	g := s.unsealed()
	some := g != nil && s.tail > g.size
	if some {
		s.active.Truncate(g.size) // if this fails, the mark of the end says the same
	}
	s.tail = 0
	return some
}

// unsealed returns the last segment, or nil if nothing more may be written to it.
func (s *Spool) unsealed() *segment {
	if n := len(s.segments); n > 0 && !s.segments[n-1].sealed {
		return s.segments[n-1]
	}
	return nil
}

// publish lets the cursors know of a block that was written.
func (s *Spool) publish(g *segment, k *block) {
	k.place = g.end()
	g.size += k.size
	s.octets += k.size
	sum := g.counts[k.format]
	sum.add(k.tally)
	g.counts[k.format] = sum
	for _, c := range s.cursors {
		c.published(g, k.format, k.tally)
	}
	s.recent = append(s.recent, k.share())
	s.held += int64(cap(k.buf))
	s.forgetRecent()
}

// forgetRecent releases the oldest blocks in memory: those that no sink of this run will
// read any more, and others while too many octets are held.
func (s *Spool) forgetRecent() {
	n := 0
	for _, k := range s.recent {
		wanted := slices.ContainsFunc(s.cursors, func(c *Cursor) bool {
			return c.attached && c.format == k.format && !k.place.before(c.pos.block())
		})
		if wanted && s.held <= recentSize {
			break
		}
		s.held -= int64(cap(k.buf))
		k.release()
		n++
	}
	s.recent = slices.Delete(s.recent, 0, n)
}

// recentBlock returns the block at a place, with one more user, or nil if it is not in memory.
func (s *Spool) recentBlock(place position) *block {
	s.mu.Lock()
	defer s.mu.Unlock()
	i, found := slices.BinarySearchFunc(s.recent, place, func(k *block, p position) int {
		switch {
		case k.place.before(p):
			return -1
		case p.before(k.place):
			return 1
		}
		return 0
	})
	if !found {
		return nil
	}
	return s.recent[i].share()
}

// seal ends the last segment, unless it is empty.
func (s *Spool) seal() {
	g := s.unsealed()
	if g == nil || g.size == headSize {
		return
	}
	s.cutTail()
	g.sealed = true
	if s.active != nil {
		s.failed = errors.Join(s.failed, s.active.Close())
		s.active = nil
	}
	s.syncLater(g)
}

// syncAfter is how long a full segment has to be delivered before it is synced: most are
// gone by then.
const syncAfter = time.Second

// syncLater syncs a segment in the background, after syncAfter or when the spool is closed.
func (s *Spool) syncLater(g *segment) {
	s.background.Go(func() {
		select {
		case <-time.After(syncAfter):
		case <-s.closing:
		}
		s.syncing.Lock()
		defer s.syncing.Unlock()
		err := s.sync(g)
		s.mu.Lock()
		s.failed = errors.Join(s.failed, err)
		s.mu.Unlock()
	})
}

// sync syncs a segment's file and the folder, unless the segment has been taken out.
func (s *Spool) sync(g *segment) error {
	gone := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return g.gone
	}
	if gone() {
		return nil
	}
	f, err := os.Open(g.path)
	if err != nil {
		if gone() {
			return nil
		}
		return err
	}
	defer f.Close()
	return errors.Join(f.Sync(), syncDir(s.dir))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// makeWay makes room, or waits until there may be some. It returns false if there is none
// and nothing to wait for.
func (s *Spool) makeWay() bool {
	s.seal()
	freed := s.trim()
	if !freed && s.o.Full == sink.DropOldest {
		if len(s.segments) == 0 || s.segments[0] == s.unsealed() { // which is empty, or seal would have ended it
			return false // something else has filled the disk
		}
		s.dropOldest()
		freed = true
	}
	switch {
	case freed:
		s.sweep()
	case s.released:
		return false
	default:
		// Room on the disk may appear without any notice.
		defer time.AfterFunc(time.Second, s.room.Broadcast).Stop()
		s.room.Wait()
	}
	return true
}

// dropOldest takes out the oldest segment, although cursors still want it.
func (s *Spool) dropOldest() {
	g := s.segments[0]
	s.forget()
	for _, c := range s.cursors {
		c.lose(g)
	}
}

// trim takes out the segments that every cursor has passed.
func (s *Spool) trim() (some bool) {
	for _, c := range s.cursors {
		c.hop()
	}
	passed := func(g *segment) bool {
		for _, c := range s.cursors {
			if c.floor().before(g.end()) {
				return false
			}
		}
		return g.sealed
	}
	for len(s.segments) > 0 && passed(s.segments[0]) {
		s.forget()
		some = true
	}
	return some
}

// forget takes out the first segment.
func (s *Spool) forget() {
	g := s.segments[0]
	g.gone = true
	s.octets -= g.size
	s.segments = slices.Delete(s.segments, 0, 1)
	s.gone = append(s.gone, g)
}

// sweep removes the files of the segments that were taken out, and may keep one as the
// spare file. It gives up the lock while it removes them: a large file takes time.
func (s *Spool) sweep() {
	gone := s.gone
	s.gone = nil
	if n := len(gone); n > 0 && s.spare == 0 && gone[n-1].size >= min(s.segment, briefSegment)/2 && s.octets <= s.o.Max/2 {
		if os.Rename(gone[n-1].path, s.sparePath()) == nil {
			s.spare = gone[n-1].size
			gone = gone[:n-1]
		}
	}
	if len(gone) == 0 {
		s.room.Broadcast()
		return
	}
	s.mu.Unlock()
	var failed error
	for _, g := range gone {
		failed = errors.Join(failed, os.Remove(g.path))
	}
	s.mu.Lock()
	s.failed = errors.Join(s.failed, failed)
	s.room.Broadcast()
}

// release ends all waiting for room, now and later.
func (s *Spool) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released = true
	s.room.Broadcast()
}

// tellFull reports, once, that the spool is full and what happens to records now.
func (s *Spool) tellFull(err error) {
	if s.told {
		return
	}
	s.told = true
	what := "new records wait until a sink has delivered some"
	if s.o.Full == sink.DropOldest {
		what = "the oldest records are dropped to make room for new ones"
	}
	if c := s.absent(); s.o.Full == sink.Block && c != nil {
		what = fmt.Sprintf("new records wait for %s, which this run does not deliver to: stop this run, and then start one that does or remove %s", c.name, c.path())
	}
	if err == errFull {
		err = fmt.Errorf("full, with %d octets", s.octets)
	} else if s.o.Full == sink.DropOldest {
		what += ", and the new ones too if that is not enough"
	}
	s.report(fmt.Errorf("spool %s: %w: %s", s.dir, bare(err), what))
}

func (s *Spool) report(err error) {
	if s.o.Report != nil {
		s.reporting.Lock()
		defer s.reporting.Unlock()
		s.o.Report(err)
	}
}

// absent returns a cursor that keeps the oldest segment, if this run delivers to none of
// those that do: then waiting makes no room. Otherwise it returns nil.
func (s *Spool) absent() (who *Cursor) {
	if len(s.segments) == 0 {
		return nil
	}
	end := s.segments[0].end()
	for _, c := range s.cursors {
		if c.floor().before(end) {
			if c.attached {
				return nil
			}
			who = c
		}
	}
	return who
}

// Close syncs everything and leaves the folder to others. From then on, neither Append nor
// any method of a cursor may be called.
func (s *Spool) Close() error {
	s.mu.Lock()
	s.seal()
	s.trim()
	s.sweep()
	s.mu.Unlock()
	close(s.closing)
	s.background.Wait()
	failed := s.failed
	s.shed()
	if s.active != nil { // the last segment has no block
		failed = errors.Join(failed, s.active.Close())
	}
	for _, c := range s.cursors {
		failed = errors.Join(failed, c.close())
	}
	failed = errors.Join(failed, syncDir(s.dir), s.lock.Close())
	if failed != nil {
		return fmt.Errorf("close spool %s: %w", s.dir, bare(failed))
	}
	return nil
}

// bare strips operation and path from a file error, for a message that already names the
// folder. It does so for each of several joined errors, and keeps only one of those with
// the same text.
func bare(err error) error {
	type several interface{ Unwrap() []error }
	if joined, ok := err.(several); ok {
		var all []error
		for _, e := range joined.Unwrap() {
			parts := []error{bare(e)}
			if joined, ok := parts[0].(several); ok {
				parts = joined.Unwrap()
			}
			for _, part := range parts {
				if !slices.ContainsFunc(all, func(e error) bool { return e.Error() == part.Error() }) {
					all = append(all, part)
				}
			}
		}
		return errors.Join(all...)
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}
