package capture

import (
	"errors"
	"io"
	"math"
)

// Merged is several savefiles read as one observation.
//
// The next packet is the oldest of the files' next packets; at equal times the
// earlier file goes first. A packet without time follows the packet before it
// in its file; at the start of a file, it waits until all earlier files have
// ended. So the parts of a split capture, given in order, yield the capture
// again.
type Merged struct {
	parts []part
	last  int   // the part whose packet was returned last: it must be advanced
	limit int64 // the smallest key of the other parts
	stats Stats
	errs  []error
	err   error // what Next returns from now on
}

// part is a file and its next packet.
type part struct {
	file  *File
	frame Frame
	key   int64 // when frame is due; meaningless if unordered
	// unordered: no packet of this file has had a time so far.
	unordered bool
	done      bool
}

// Merge reads the files together. It takes ownership of them: Close closes them.
func Merge(files ...*File) *Merged {
	m := &Merged{last: -1}
	for _, f := range files {
		m.parts = append(m.parts, part{file: f, unordered: true})
	}
	return m
}

// Next reads the next packet. A broken file does not end the reading: the
// others continue, and the final error is then that of the broken file in place
// of io.EOF, or the errors of all broken files joined.
func (m *Merged) Next(frame *Frame) error {
	if m.err != nil {
		return m.err
	}
	if m.last < 0 {
		for i := range m.parts {
			m.advance(i)
		}
		m.choose()
	} else if m.advance(m.last); !m.leads(&m.parts[m.last]) {
		m.choose()
	}
	if m.last < 0 {
		m.err = io.EOF
		if len(m.errs) > 0 {
			m.err = errors.Join(m.errs...)
		}
		return m.err
	}
	*frame = m.parts[m.last].frame
	m.stats.Packets++
	m.stats.Bytes += uint64(len(frame.Data))
	return nil
}

// Read reads the next packet into the first of frames.
func (m *Merged) Read(frames []Frame) (int, error) { return one(m.Next(&frames[0])) }

// advance reads the next packet of a part.
func (m *Merged) advance(i int) {
	p := &m.parts[i]
	if err := p.file.Next(&p.frame); err != nil {
		p.done = true
		if err != io.EOF {
			m.errs = append(m.errs, err)
		}
		return
	}
	if !p.frame.Timeless {
		p.key, p.unordered = p.frame.Time, false
	}
}

// leads reports whether a part's next packet is certainly due, without a look at
// the others: the usual case where files do not overlap.
func (m *Merged) leads(p *part) bool {
	return !p.done && !p.unordered && p.key < m.limit
}

// choose finds the part whose packet is due, and the limit up to which that
// part may go on.
func (m *Merged) choose() {
	m.last, m.limit = -1, math.MaxInt64
	for i := range m.parts {
		switch p := &m.parts[i]; {
		case p.done:
		case p.unordered:
			if m.last < 0 { // all before it have ended
				m.last, m.limit = i, math.MinInt64
				return
			}
		case m.last < 0:
			m.last = i
		case p.key < m.parts[m.last].key:
			m.limit = m.parts[m.last].key
			m.last = i
		default:
			m.limit = min(m.limit, p.key)
		}
	}
}

// Stats sums the counters of the files; packets and octets are those that
// Next returned.
func (m *Merged) Stats() Stats {
	s := m.stats
	for i := range m.parts {
		of := m.parts[i].file.Stats()
		s.KernelDrops += of.KernelDrops
		s.InterfaceDrops += of.InterfaceDrops
		s.SkippedBlocks += of.SkippedBlocks
	}
	return s
}

// Close closes the files. It returns what was wrong with those that have ended, too, where Next
// has not come to tell it.
func (m *Merged) Close() error {
	var errs []error
	for _, err := range m.errs {
		if m.err == nil && !errors.Is(err, ErrClosed) {
			errs = append(errs, err)
		}
	}
	m.err = ErrClosed
	for i := range m.parts {
		errs = append(errs, m.parts[i].file.Close())
	}
	return errors.Join(errs...)
}
