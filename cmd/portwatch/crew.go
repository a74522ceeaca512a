package main

import "sync"

// A crew does the work of a pipeline. No stage has a goroutine of its own: a worker does
// whatever there is to do. The reader is a worker too, and helps when it can read no
// further, so that nobody waits while there is work, whichever stage costs most.
// A crew of one is the reader alone.
type crew struct {
	*pipeline
	reader worker
	others sync.WaitGroup
	alone  bool // the reader is the only worker
	aside  bool // the reader leaves the work to the others

	metering, tagging, writing post
	posts                      sync.Mutex

	bell    chan struct{} // there may be work: wakes one sleeping worker
	written chan struct{} // closed when everything is written
}

// A post is a stage at which one worker works at a time.
type post struct {
	taken bool
	ready func() bool // fetches the next work and reports whether there is any; called with crew.posts held
	work  func()      // does what ready fetched
}

// A worker is one goroutine of the crew.
type worker struct {
	*crew
	formats []format
}

// newCrew starts the goroutines for the given number of workers. The reader counts as one
// of them, unless aside is set.
func newCrew(p *pipeline, workers int, aside bool) *crew {
	c := &crew{pipeline: p, alone: workers == 1, aside: aside, bell: make(chan struct{}, workers), written: make(chan struct{})}
	c.metering = post{ready: p.canMeter, work: c.meterSome}
	c.tagging = post{ready: p.canTag, work: c.tagNext}
	c.writing = post{ready: p.canWrite, work: c.writeNext}
	c.reader = worker{c, p.writer.parallelFormats()}
	if !aside {
		workers--
	}
	for range workers {
		w := worker{c, p.writer.parallelFormats()}
		c.others.Go(func() {
			w.until(c.done, func() bool { return w.at(&c.metering) || w.some() }, c.sleep)
		})
	}
	return c
}

// nextLoad returns an empty load for the reader, which works until there is one or, if it
// is alone, as long as there is work. It leaves metering to others while there is anything
// else to do, so that the table stays in one core's cache.
func (c *crew) nextLoad() (l *load) {
	if c.aside {
		return <-c.spare
	}
	if c.alone {
		for c.reader.someOrMeter() {
		}
		return <-c.spare
	}
	there := func() bool {
		if l == nil {
			select {
			case l = <-c.spare:
			default:
			}
		}
		return l != nil
	}
	c.reader.until(there, c.reader.someOrMeter, func() {
		select {
		case l = <-c.spare:
		case <-c.bell:
		}
	})
	return l
}

// finish works until everything is written.
func (c *crew) finish() {
	c.reader.until(c.done, c.reader.someOrMeter, c.sleep)
	c.others.Wait()
}

// done reports whether everything is written.
func (c *crew) done() bool {
	select {
	case <-c.written:
		return true
	default:
		return false
	}
}

// sleep returns when there may be something to do, or everything is written.
func (c *crew) sleep() {
	select {
	case <-c.bell:
	case <-c.written:
	}
}

// ring wakes a worker, because there may be something to do.
func (c *crew) ring() {
	select {
	case c.bell <- struct{}{}:
	default: // it already rings for everybody
	}
}

// until works until over reports true, and sleeps while there is nothing to do.
func (w worker) until(over, work func() bool, sleep func()) {
	worked := false
	for ; !over(); worked = true {
		if !work() {
			sleep()
		}
	}
	if worked { // there may be more work, which is now left to others
		w.ring()
	}
}

// some does some of the work after the meter, and reports whether there was any. Work that
// only one worker can do at a time goes first.
func (w worker) some() bool { return w.at(&w.tagging) || w.at(&w.writing) || w.renderNext() }

func (w worker) someOrMeter() bool { return w.some() || w.at(&w.metering) }

// at does the work of a post, if there is any and nobody works there. A worker that finds
// the post taken need not come back: whoever leaves it rings, so that it is checked again.
func (c *crew) at(p *post) bool {
	if !c.take(p) {
		return false
	}
	p.work()
	c.posts.Lock()
	p.taken = false
	c.posts.Unlock()
	c.ring()
	return true
}

func (c *crew) take(p *post) bool {
	c.posts.Lock()
	defer c.posts.Unlock()
	if p.taken || !p.ready() {
		return false
	}
	p.taken = true
	return true
}

// meterSome meters a load, and takes the Flows that have ended while there are chunks for
// them.
func (c *crew) meterSome() {
	m := c.meter
	m.add()
	for more := true; more; {
		if m.chunk == nil {
			if m.chunk = c.emptyChunk(); m.chunk == nil {
				return
			}
		}
		if more = m.table.Take(m.chunk.ends); more {
			c.passChunk()
		}
	}
	l := m.load
	if m.endLoad() {
		c.passChunk()
	}
	c.spare <- l.reset()
}

// passChunk hands the meter's chunk to the tagger.
func (c *crew) passChunk() {
	c.untagged <- c.meter.chunk
	c.meter.chunk = nil
	c.ring()
}

func (c *crew) tagNext() {
	c.tagger.tag(c.toTag)
	c.inOrder <- c.toTag
	c.unrendered <- c.toTag
}

func (c *crew) writeNext() {
	chunk := c.toWrite
	c.toWrite = nil
	c.writer.write(chunk)
	if chunk.last {
		close(c.written)
	}
	c.free <- chunk.reset()
}

// renderNext renders a chunk, if there is one. All workers can do that at the same time.
func (w worker) renderNext() bool {
	select {
	case chunk := <-w.unrendered:
		chunk.render(w.formats)
		chunk.rendered.Store(true)
		w.ring()
		return true
	default:
		return false
	}
}
