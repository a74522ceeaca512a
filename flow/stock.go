package flow

import "sync/atomic"

// A stock holds the memory that a table will need when it grows: a chunk of entries and one of
// margins. The system provides new memory a page at a time, when it is first written, and
// takes a microsecond or two for each. Prepare writes it on its core, so that Add need not
// wait. Nothing but speed depends on what is in stock.
type stock struct {
	made    atomic.Pointer[supply]
	growing atomic.Bool // the table has needed more than the first chunk, as few captures do
}

// A supply is room for the same numbers of entries and margins.
type supply struct {
	entries [chunkLength]entry
	margins [chunkLength]margin
}

// fill makes a supply for a growing table, unless there is one.
func (s *stock) fill() {
	if !s.growing.Load() || s.made.Load() != nil {
		return
	}
	x := new(supply)
	clear(x.entries[:])
	clear(x.margins[:])
	s.made.Store(x)
}

// restock takes what is in stock, if the table has used up what it took before.
func (t *Table) restock() {
	if t.entries.next != nil {
		return
	}
	if x := t.stock.made.Swap(nil); x != nil {
		t.entries.next, t.margins.next = &x.entries, &x.margins
	}
	t.stock.growing.Store(len(t.entries.chunks) > 1)
}
