package sink

// A Queue holds the records that wait for one receiver, in order. Its methods may be
// called from several goroutines, but Take from only one at a time.
type Queue interface {
	// Ready returns how many records wait, the octets of their bodies, and whether the
	// queue has ended: no more will come.
	Ready() (records int, octets int64, ended bool)
	// Changed receives a value after Ready has more to report.
	Changed() <-chan struct{}
	// Take puts the next records into the batch, as many as the limits allow and at
	// least one if any waits, unless it cannot be read for the moment. They are the
	// batch's until Done or Return.
	Take(b *Batch, l Limits)
	// Done says that every record of the batch is settled.
	Done(b *Batch)
	// Return says that left records of the batch are not settled, and will not be in this
	// run.
	Return(b *Batch, left int)
	// Release says that nothing more will be taken: nobody need wait for room.
	Release()
	// Counts returns the counts as of now.
	Counts() QueueCounts
}

// QueueCounts account for every record that a queue was given. Each one found or accepted
// was dropped, waits, or was taken.
type QueueCounts struct {
	Found    uint64 // from earlier runs
	Accepted uint64
	Dropped  uint64 // for lack of room, or because what was kept is damaged
	Missed   uint64 // the part of Dropped that came after Release and was not kept
	Waiting  uint64 // includes those that were returned
	Kept     bool   // what waits is kept for the next run
}

// A Batch is a number of records to deliver, and the memory that they point to.
type Batch struct {
	Records []Record
	Data    []byte
	From    uint64 // for the queue's own use
}

// full reports whether so many records and octets make a whole batch.
func (l Limits) full(records int, octets int64) bool {
	return records >= l.Records || octets >= int64(l.Octets)
}

// Room reports whether a batch that already has so many records and octets has room for
// one more body. An empty batch has room for any.
func (l Limits) Room(records, octets, body int) bool {
	return records == 0 || records < l.Records && octets+body <= l.Octets
}

// first returns the leading records that fit into one batch: none if the first one is too
// large for the receiver.
func (l Limits) first(records []Record) []Record {
	octets := 0
	for n := range records {
		body := len(records[n].Body)
		if body > l.Record || !l.Room(n, octets, body) {
			return records[:n]
		}
		octets += body
	}
	return records
}
