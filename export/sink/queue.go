package sink

// A Queue has the records that wait for one receiver, in their order. Its methods
// may be called by several goroutines, those that take by one at a time.
type Queue interface {
	// Ready tells how many records wait, how many octets their bodies have, and
	// whether that is the end: no more will come.
	Ready() (records int, octets int64, ended bool)
	// Changed receives after Ready has come to tell more.
	Changed() <-chan struct{}
	// Take puts the next records into the batch, as many as the limits allow and at
	// least one if any waits. They are the batch's until Done or Return.
	Take(b *Batch, l Limits)
	// Done says that every record of the batch is settled.
	Done(b *Batch)
	// Return says that so many records of the batch are not settled, and will not be
	// in this run.
	Return(b *Batch, left int)
	// Release says that nothing is taken any more: whoever waits for room need not.
	Release()
	// Counts are as of now.
	Counts() QueueCounts
}

// QueueCounts have every record that a queue was to keep. What was found and
// accepted is dropped, waits, or was taken.
type QueueCounts struct {
	Found    uint64 // left by earlier runs
	Accepted uint64
	Dropped  uint64 // for want of room, or by damage of what was kept
	Missed   uint64 // of Dropped: those that came after Release and were not kept
	Waiting  uint64 // those that were returned are among them
	Kept     bool   // what waits is there for the next run
}

// A Batch is some records on their way, and the memory that they point to.
type Batch struct {
	Records []Record
	Data    []byte
	From    uint64 // the queue's own mark
}

// full tells whether so many records and octets are a whole batch.
func (l Limits) full(records int, octets int64) bool {
	return records >= l.Records || octets >= int64(l.Octets)
}

// Room tells whether one more body has room in a batch that has so much already. A batch
// without records has room for any.
func (l Limits) Room(records, octets, body int) bool {
	return records == 0 || records < l.Records && octets+body <= l.Octets
}

// first returns as many of the records as are one batch: none, if the next one is too
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
