package sink

import "context"

// A Kind tells what a record is about: event.dataset of ECS.
type Kind uint8

const (
	Flow Kind = iota
	Alert
	kinds = iota
)

// String returns the word that syslog has as MSGID, and Kafka as header.
func (k Kind) String() string {
	switch k {
	case Flow:
		return "flow"
	case Alert:
		return "alert"
	}
	return "unknown"
}

// A Record is one rendered record, and what its delivery needs to know of it.
type Record struct {
	Kind Kind
	// Severity is 0-100: that of the most severe finding, 0 without one.
	Severity uint8
	// Time is @timestamp, in nanoseconds since the Unix epoch.
	Time int64
	// ID is event.id: the same for every delivery of the record.
	ID []byte
	// Key is the Community ID: records with one belong together. May be empty.
	Key []byte
	// Body is the record in the sink's format, without a line end.
	Body []byte
}

// A Verdict is what became of one record of a batch.
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

// A Receiver is one place that records are delivered to, in one protocol. It keeps
// no record after Deliver has returned, and neither queues nor waits between tries:
// that is the work of whoever calls it.
type Receiver interface {
	// Deliver sends the records and waits until the receiver has said what it did with
	// them. It sets verdicts[i] for records[i]; both are as long. What is still Pending
	// when it returns will be tried again. An error says why: it is told to the user,
	// and the next try waits; Deliver may connect anew then. Records and what they
	// point to stay the caller's, and are valid until Deliver returns, which it does
	// soon after ctx has ended.
	//
	// Limits().Parallel calls may run at once, each with records of its own.
	Deliver(ctx context.Context, records []Record, verdicts []Verdict) error
	// Limits say what batches the receiver wants. They do not change.
	Limits() Limits
	// Close ends connections. No Deliver runs then, or comes after.
	Close() error
}

// An alarming Receiver knows in the middle of a Deliver, which goes on, that its receiver
// is out of reach. It tells that at any time, as often as it likes.
type alarming interface {
	alarm(tell func(error)) // called before the first Deliver
}

// Limits are the bounds of a batch. None is 0.
type Limits struct {
	Records  int // in a batch
	Octets   int // of bodies in a batch, unless one record alone has more
	Record   int // octets of one body; a larger one is rejected before it is sent
	Parallel int // batches under way at once; 1 keeps the order of records
}
