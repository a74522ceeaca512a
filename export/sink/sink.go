package sink

import "context"

// A Kind says what a record is about: event.dataset of ECS.
type Kind uint8

const (
	Flow Kind = iota
	Alert
	kinds = iota
)

// String returns the word that syslog carries as MSGID and Kafka as a header.
func (k Kind) String() string {
	switch k {
	case Flow:
		return "flow"
	case Alert:
		return "alert"
	}
	return "unknown"
}

// A Record is one rendered record, with what its delivery needs to know about it.
type Record struct {
	Kind Kind
	// Severity is that of the most severe finding, 0-100; 0 without one.
	Severity uint8
	// Time is @timestamp, in nanoseconds since the Unix epoch.
	Time int64
	// ID is event.id: the same for every delivery of the record.
	ID []byte
	// Key is the Community ID, which records that belong together share. May be empty.
	Key []byte
	// Body is the record in the sink's format, without a line end.
	Body []byte
}

// A Verdict says what became of one record of a batch.
type Verdict struct {
	State State
	// Reason says why a record was rejected, for the dead-letter file.
	Reason string
}

// State is the state of a record's delivery.
type State uint8

const (
	// Pending: not acknowledged. The record is sent again.
	Pending State = iota
	// Delivered: the receiver has it, from this or from an earlier delivery.
	Delivered
	// Rejected: the receiver will never take it. It goes to the dead-letter file.
	Rejected
)

// A Receiver is one destination for records, in one protocol. It keeps no record after
// Deliver has returned, and neither queues nor waits between tries: that is the caller's
// work.
type Receiver interface {
	// Deliver sends the records and waits until the receiver has said what it did with
	// them. It sets verdicts[i] for records[i]; both slices have the same length. What is
	// still Pending when it returns is tried again. An error says why: it is reported to
	// the user and delays the next try, for which Deliver may connect anew. The records
	// and what they point to remain the caller's, and are valid until Deliver returns,
	// which it does soon after ctx ends.
	//
	// Up to Limits().Parallel calls may run at once, each with its own records.
	Deliver(ctx context.Context, records []Record, verdicts []Verdict) error
	// Limits returns the bounds of the batches that the receiver wants. They never
	// change.
	Limits() Limits
	// Close ends the connections. No Deliver is running then, and none follows.
	Close() error
}

// alarming is a Receiver that may learn in the middle of a Deliver, which goes on, that
// the other end is unreachable. It says so at any time, as often as it likes.
type alarming interface {
	alarm(tell func(error)) // called before the first Deliver
}

// Limits are the bounds of a batch. None is 0.
type Limits struct {
	Records  int // in a batch
	Octets   int // of bodies in a batch, unless one record alone has more
	Record   int // octets of one body; a larger one is rejected before it is sent
	Parallel int // batches in flight at once; 1 keeps records in order
}
