package sink

import (
	"slices"
	"sync"
)

// Memory is a [Queue] of records that wait in memory.
type Memory struct {
	max      int64
	overflow Overflow
	changed  chan struct{}

	mu       sync.Mutex
	room     *sync.Cond
	slabs    []*slab
	spare    []*slab // at most as many as were ever in use at once
	records  int
	octets   int64 // of bodies
	size     int64 // of all that waits, overhead included
	ended    bool
	released bool
	returned uint64
	counts   QueueCounts // without Waiting
}

// A slab holds records that wait, and what they point to.
type slab struct {
	data    []byte // never grown
	records []Record
	next    int // index of the first record not taken yet
}

const (
	slabSize = 256 << 10
	// overhead is roughly what a record takes besides its octets.
	overhead = 128
)

// NewMemory returns an empty queue whose records may take so many octets.
func NewMemory(octets int64, overflow Overflow) *Memory {
	q := &Memory{max: octets, overflow: overflow, changed: make(chan struct{}, 1)}
	q.room = sync.NewCond(&q.mu)
	return q
}

// Put adds copies of records. If the queue is full, it waits for room or drops the
// oldest.
func (q *Memory) Put(records []Record) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.counts.Accepted += uint64(len(records))
	for i := range records {
		r := &records[i]
		size := r.size()
		for q.records > 0 && q.size+size > q.max {
			if q.released {
				break
			}
			if q.overflow == DropOldest {
				q.counts.Dropped++
				q.pop()
				continue
			}
			q.notify()
			q.room.Wait()
		}
		if q.released {
			q.counts.Dropped++
			q.counts.Missed++
			continue
		}
		q.push(r)
	}
	q.notify()
}

func (r *Record) size() int64 { return int64(len(r.ID) + len(r.Key) + len(r.Body) + overhead) }

func (q *Memory) push(r *Record) {
	need := len(r.ID) + len(r.Key) + len(r.Body)
	n := len(q.slabs)
	if n == 0 || cap(q.slabs[n-1].data)-len(q.slabs[n-1].data) < need {
		q.slabs = append(q.slabs, q.newSlab(need))
		n++
	}
	s := q.slabs[n-1]
	s.records = append(s.records, s.copy(r))
	q.records++
	q.octets += int64(len(r.Body))
	q.size += r.size()
}

func (q *Memory) newSlab(need int) *slab {
	if n := len(q.spare); n > 0 && need <= slabSize {
		s := q.spare[n-1]
		q.spare = q.spare[:n-1]
		return s
	}
	return &slab{data: make([]byte, 0, max(need, slabSize))}
}

// copy returns a copy of the record whose octets are in the slab.
func (s *slab) copy(r *Record) Record {
	kept := *r
	kept.ID, kept.Key, kept.Body = s.keep(r.ID), s.keep(r.Key), s.keep(r.Body)
	return kept
}

func (s *slab) keep(b []byte) []byte {
	start := len(s.data)
	s.data = append(s.data, b...)
	return s.data[start:len(s.data):len(s.data)]
}

// pop removes and returns the oldest record, which is valid until the next push.
func (q *Memory) pop() *Record {
	s := q.slabs[0]
	r := &s.records[s.next]
	q.records--
	q.octets -= int64(len(r.Body))
	q.size -= r.size()
	if s.next++; s.next == len(s.records) {
		q.slabs = slices.Delete(q.slabs, 0, 1)
		if cap(s.data) == slabSize {
			s.data, s.records, s.next = s.data[:0], s.records[:0], 0
			q.spare = append(q.spare, s)
		}
	}
	return r
}

func (q *Memory) notify() {
	select {
	case q.changed <- struct{}{}:
	default:
	}
}

// End says that there will be no further Put.
func (q *Memory) End() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.ended = true
	q.notify()
}

// Ready implements [Queue].
func (q *Memory) Ready() (records int, octets int64, ended bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.records, q.octets, q.ended
}

// Changed implements [Queue].
func (q *Memory) Changed() <-chan struct{} { return q.changed }

// Take implements [Queue].
func (q *Memory) Take(b *Batch, l Limits) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := slab{data: b.Data[:0], records: b.Records[:0]}
	// Reserve all memory first: what the records point to must not move as the batch
	// grows.
	n, octets, need := 0, 0, 0
	for r := range q.each {
		if !l.Room(n, octets, len(r.Body)) {
			break
		}
		n++
		octets += len(r.Body)
		need += len(r.ID) + len(r.Key) + len(r.Body)
	}
	if cap(s.data) < need {
		s.data = make([]byte, 0, need)
	}
	for range n {
		s.records = append(s.records, s.copy(q.pop()))
	}
	b.Data, b.Records = s.data, s.records
	q.room.Broadcast()
}

// each yields the records that wait.
func (q *Memory) each(yield func(*Record) bool) {
	for _, s := range q.slabs {
		for i := s.next; i < len(s.records); i++ {
			if !yield(&s.records[i]) {
				return
			}
		}
	}
}

// Done implements [Queue].
func (q *Memory) Done(*Batch) {}

// Return implements [Queue].
func (q *Memory) Return(_ *Batch, left int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.returned += uint64(left)
}

// Release implements [Queue].
func (q *Memory) Release() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.released = true
	q.room.Broadcast()
}

// Counts implements [Queue].
func (q *Memory) Counts() QueueCounts {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := q.counts
	counts.Waiting = uint64(q.records) + q.returned
	return counts
}
