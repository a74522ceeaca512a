package sink

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

// DeliveryOptions are the options of a Delivery.
type DeliveryOptions struct {
	Name   string // as users know the sink, without secrets
	Format string // of the bodies

	RetryFor time.Duration // how long a record is tried; 0: forever
	Timeout  time.Duration // of one try; 0: none
	// LongestWait bounds the wait between two tries; 0: ten seconds. The wait is random:
	// up to a fiftieth of this at first, then up to twice as much each time, so that many
	// sensors that lost the same receiver do not all come back at once.
	LongestWait time.Duration

	DeadLetter *DeadLetter
	// Report gets what a person should know during the delivery: that the receiver is
	// unreachable, that it is back, and, once, that it rejected a record. It may be
	// called at any time until Close has returned.
	Report func(error)
}

const defaultLongestWait = 10 * time.Second

// A Delivery takes records from a queue, has a receiver deliver them, tries again those
// that were not delivered, and keeps the Balance. It runs until the queue has ended and
// everything is settled, or until it gives up.
type Delivery struct {
	o        DeliveryOptions
	receiver Receiver
	queue    Queue
	limits   Limits
	ctx      context.Context
	giveUp   context.CancelFunc
	workers  sync.WaitGroup
	done     chan struct{} // closed when the workers have ended

	passed  []Verdict     // of the last Pass
	taking  sync.Mutex    // held by the one worker that takes
	settled chan struct{} // receives a value after a batch was settled

	mu           sync.Mutex
	underWay     int // batches
	delivered    uint64
	deadLettered uint64
	dropped      uint64 // rejected, but no dead-letter file took them
	retries      uint64
	outages      uint64
	progress     time.Time     // when something was last settled
	outage       *outage       // nil: the receiver is reachable
	told         time.Time     // when the last outage was reported
	leaving      bool          // Leave was called
	back         chan struct{} // closed when the receiver is back
	failed       error
}

// An outage is a time without progress.
type outage struct {
	since time.Time
	cause error
	told  string // the cause as reported, without digits; empty: not reported
}

// NewDelivery starts to deliver.
func NewDelivery(r Receiver, q Queue, o DeliveryOptions) *Delivery {
	d := &Delivery{
		o: o, receiver: r, queue: q, limits: r.Limits(), progress: time.Now(),
		done: make(chan struct{}), settled: make(chan struct{}, 1), back: make(chan struct{}),
	}
	if o.LongestWait == 0 {
		d.o.LongestWait = defaultLongestWait
	}
	if a, ok := r.(alarming); ok {
		a.alarm(d.missed)
	}
	d.ctx, d.giveUp = context.WithCancel(context.Background())
	for range d.limits.Parallel {
		d.workers.Go(d.work)
	}
	go func() {
		d.workers.Wait()
		close(d.done)
	}()
	return d
}

// work delivers one batch after another.
func (d *Delivery) work() {
	var b Batch
	var verdicts []Verdict // grows with the batches: limits may be huge
	for d.take(&b) {
		verdicts = slices.Grow(verdicts[:0], len(b.Records))
		if left := d.deliver(b.Records, verdicts); left > 0 {
			d.queue.Return(&b, left)
		} else {
			d.queue.Done(&b)
		}
		d.mu.Lock()
		d.underWay--
		d.mu.Unlock()
		select {
		case d.settled <- struct{}{}:
		default:
		}
	}
}

// linger is how long records wait for others to join them while other batches are under
// way. An idle receiver gets at once what there is.
const linger = 200 * time.Millisecond

// take waits for a batch. It returns false when there will be no more.
func (d *Delivery) take(b *Batch) bool {
	d.taking.Lock()
	defer d.taking.Unlock()
	var lingered <-chan time.Time
	enough := false
	for d.ctx.Err() == nil {
		records, octets, ended := d.queue.Ready()
		switch {
		case records == 0 && ended:
			return false
		case records == 0:
			lingered = nil
		case ended || enough || d.limits.full(records, octets) || d.idle():
			if d.queue.Take(b, d.limits); len(b.Records) > 0 {
				d.mu.Lock()
				d.underWay++
				d.mu.Unlock()
				return true
			}
			continue
		case lingered == nil:
			lingered = time.After(linger)
		}
		select {
		case <-d.queue.Changed():
		case <-d.settled:
		case <-lingered:
			enough = true
		case <-d.ctx.Done():
		}
	}
	return false
}

// Pass delivers records that bypass the queue, which must be empty, and returns how many
// of them the receiver took: the caller puts the rest into the queue. It is for a
// receiver that takes records in order and keeps them as safe as the queue does. Calls
// must not overlap.
func (d *Delivery) Pass(records []Record) (taken int) {
	for taken < len(records) {
		batch := d.limits.first(records[taken:])
		d.passed = slices.Grow(d.passed[:0], len(batch))[:len(batch)]
		clear(d.passed)
		if len(batch) > 0 {
			d.try(batch, d.passed) // an error will recur with the queue's first batch
		}
		n := 0
		for n < len(batch) && d.passed[n].State == Delivered {
			n++
		}
		taken += n
		if n == 0 || n < len(batch) {
			break
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delivered += uint64(taken)
	if taken > 0 {
		d.progress = time.Now()
	}
	return taken
}

func (d *Delivery) idle() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.underWay == 0
}

// deliver tries until all records are settled or it gives up, and returns how many are
// not settled. It changes their order.
func (d *Delivery) deliver(records []Record, verdicts []Verdict) (left int) {
	records = d.refuseTooLarge(records)
	began := time.Now()
	for wait := d.o.LongestWait / 50; len(records) > 0; {
		verdicts = slices.Grow(verdicts[:0], len(records))[:len(records)]
		clear(verdicts)
		err := d.try(records, verdicts)
		n := len(records)
		records = d.settle(records, verdicts)
		switch {
		case len(records) < n:
			d.reached()
			wait = d.o.LongestWait / 50
		case d.ctx.Err() != nil:
			return n
		case err == nil:
			err = fmt.Errorf("none of %d records was taken", n)
			fallthrough
		default:
			d.missed(err)
		}
		if len(records) == 0 {
			break
		}
		least := askedFor(err)
		if d.o.RetryFor > 0 {
			left := d.o.RetryFor - time.Since(began)
			if left < 0 {
				d.reject(records, fmt.Sprintf("not delivered in %v: %s", d.o.RetryFor, causeOf(err)))
				return 0
			}
			least = min(least, left)
		}
		if !d.pause(wait, least) {
			break
		}
		wait = min(2*wait, d.o.LongestWait)
	}
	return len(records)
}

// askedFor returns how long the receiver asked to be left alone; see httpclient.go.
func askedFor(err error) time.Duration {
	var asks interface{ RetryAfter() time.Duration }
	if errors.As(err, &asks) {
		return asks.RetryAfter()
	}
	return 0
}

// causeOf returns the text of an error, which may be nil if a part of the batch was
// taken.
func causeOf(err error) string {
	if err == nil {
		return "the receiver did not say why"
	}
	return err.Error()
}

// refuseTooLarge rejects the records that are too large for the receiver, and returns the
// rest.
func (d *Delivery) refuseTooLarge(records []Record) []Record {
	fit := records[:0]
	for i := range records {
		r := records[i]
		if len(r.Body) > d.limits.Record {
			d.reject(records[i:i+1], fmt.Sprintf("%d octets, more than the %d that the receiver takes", len(r.Body), d.limits.Record))
			continue
		}
		fit = append(fit, r)
	}
	return fit
}

// try delivers once.
func (d *Delivery) try(records []Record, verdicts []Verdict) error {
	ctx, cancel := d.ctx, context.CancelFunc(func() {})
	if d.o.Timeout > 0 {
		ctx, cancel = context.WithTimeout(ctx, d.o.Timeout)
	}
	defer cancel()
	err := d.receiver.Deliver(ctx, records, verdicts)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = fmt.Errorf("no answer within %v", d.o.Timeout)
	}
	return err
}

// settle counts the verdicts and returns the records that are still pending.
func (d *Delivery) settle(records []Record, verdicts []Verdict) []Record {
	pending := records[:0]
	delivered := uint64(0)
	for i := range records {
		switch verdicts[i].State {
		case Delivered:
			delivered++
		case Rejected:
			d.reject(records[i:i+1], verdicts[i].Reason)
		default:
			pending = append(pending, records[i])
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.delivered += delivered
	if delivered > 0 {
		d.progress = time.Now()
	}
	d.retries += uint64(len(pending))
	return pending
}

// reject writes records to the dead-letter file.
func (d *Delivery) reject(records []Record, reason string) {
	for i := range records {
		err := d.o.DeadLetter.Write(d.o.Name, d.o.Format, &records[i], reason)
		d.mu.Lock()
		d.progress = time.Now()
		first := false
		if err != nil {
			d.dropped++
			first = d.failed == nil
			d.failed = err
		} else {
			d.deadLettered++
			first = d.deadLettered == 1
		}
		d.mu.Unlock()
		switch {
		case !first:
		case err != nil:
			d.report(fmt.Errorf("record that %s rejected is lost: %w", d.o.Name, err))
		default:
			d.report(fmt.Errorf("first record that %s rejected is in %s: %s", d.o.Name, d.o.DeadLetter.Path(), shortReason(reason)))
		}
	}
}

// pause waits before the next try: least, and a random part of bound after it. It returns
// false when there is to be no next try.
func (d *Delivery) pause(bound, least time.Duration) bool {
	t := time.NewTimer(least + rand.N(bound))
	defer t.Stop()
	var back chan struct{} // nil: a wait that the receiver asked for holds, even if another worker gets through
	if least == 0 {
		d.mu.Lock()
		back = d.back
		d.mu.Unlock()
	}
	select {
	case <-t.C:
	case <-back: // another worker got through
	case <-d.ctx.Done():
	}
	return d.ctx.Err() == nil
}

// quiet is the least time between two reports of an outage: a receiver that comes and
// goes must not fill a log.
const quiet = time.Minute

// missed notes a try that has settled nothing so far. It reports the first one, and one
// with another cause than before: whoever starts a receiver that was down may have to
// learn that it wants a password.
func (d *Delivery) missed(err error) {
	d.mu.Lock()
	if d.outage == nil {
		d.outage = &outage{since: time.Now()}
		d.outages++
	}
	d.outage.cause = err
	cause := withoutNumbers(err.Error())
	tell := d.outage.told != cause && time.Since(d.told) > quiet
	if tell {
		d.outage.told, d.told = cause, time.Now()
	}
	d.mu.Unlock()
	if tell {
		d.report(fmt.Errorf("cannot deliver to %s, trying again: %w", d.o.Name, err))
	}
}

// withoutNumbers removes what differs between two failures with the same cause, such as
// our own port.
func withoutNumbers(text string) string {
	return strings.Map(func(r rune) rune {
		if '0' <= r && r <= '9' {
			return -1
		}
		return r
	}, text)
}

// reached notes a try that settled something.
func (d *Delivery) reached() {
	d.mu.Lock()
	over := d.outage
	if over != nil {
		d.outage = nil
		close(d.back)
		d.back = make(chan struct{})
	}
	d.mu.Unlock()
	if over != nil && over.told != "" {
		d.report(fmt.Errorf("%s is back after %v", d.o.Name, time.Since(over.since).Round(time.Millisecond)))
	}
}

func (d *Delivery) report(err error) {
	if d.o.Report != nil {
		d.o.Report(err)
	}
}

// Hurry says that the end is near: once nothing has been settled for the grace while
// something waits, the delivery gives up.
func (d *Delivery) Hurry(grace time.Duration) {
	begun := time.Now()
	go func() {
		tick := time.NewTicker(max(min(grace/20, linger), time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-d.done:
				return
			case <-tick.C:
			}
			waiting, _, ended := d.queue.Ready()
			safe := ended && d.queue.Counts().Kept
			d.mu.Lock()
			idle := waiting == 0 && d.underWay == 0
			still := time.Since(later(begun, d.progress)) > grace
			leave := d.leaving && safe && d.outage != nil
			d.mu.Unlock()
			switch {
			case idle: // what comes later has the whole grace
				begun = time.Now()
			case still || leave:
				d.GiveUp()
				return
			}
		}
	}()
}

// Leave says, in addition to Hurry, that the user wants the run to end: once the queue
// has ended, what it keeps for the next run does not wait for an unreachable receiver.
func (d *Delivery) Leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.leaving = true
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// GiveUp ends the delivery, whatever still waits.
func (d *Delivery) GiveUp() {
	d.giveUp()
	d.queue.Release()
}

// Close waits until everything is settled or the delivery has given up, and closes the
// receiver. The queue must have ended, or Close may never return. The error says what was
// lost.
func (d *Delivery) Close() (Balance, error) {
	<-d.done
	d.giveUp()
	failed := d.receiver.Close()
	if failed != nil {
		failed = fmt.Errorf("close %s: %w", d.o.Name, failed)
	}
	b := d.balance()
	counts := d.queue.Counts()
	if d.dropped > 0 {
		failed = errors.Join(failed, fmt.Errorf("%d records that %s rejected are lost: %w", d.dropped, d.o.Name, d.failed))
	}
	if counts.Missed > 0 {
		failed = errors.Join(failed, fmt.Errorf("%d records for %s came after it was given up, and are lost", counts.Missed, d.o.Name))
	}
	if counts.Waiting > 0 {
		cause := errors.New("there was no time left")
		d.mu.Lock() // an alarming receiver may still report
		if d.outage != nil {
			cause = d.outage.cause
		}
		d.mu.Unlock()
		err := fmt.Errorf("%d records were not delivered to %s: %w", counts.Waiting, d.o.Name, cause)
		if !counts.Kept {
			return b, errors.Join(failed, err)
		}
		d.report(fmt.Errorf("%w; they stay in the spool", err))
	}
	return b, failed
}

// A Balance says what became of the records of one sink. At the end of a run
// Found + Accepted = Delivered + InSpool + DeadLettered + Dropped.
type Balance struct {
	Name         string // of the sink
	Found        uint64 // in the spool, from earlier runs
	Accepted     uint64 // in this run
	Delivered    uint64 // confirmed by the receiver
	InSpool      uint64 // for the next run
	DeadLettered uint64 // in the dead-letter file
	Dropped      uint64 // by a full queue or spool, by the end of the run, by damage
	Retries      uint64 // how often a record had to be sent again
	Outages      uint64 // how often the receiver became unreachable
}

func (d *Delivery) balance() Balance {
	c := d.queue.Counts()
	d.mu.Lock()
	defer d.mu.Unlock()
	b := Balance{
		Name: d.o.Name, Found: c.Found, Accepted: c.Accepted, Delivered: d.delivered,
		DeadLettered: d.deadLettered, Dropped: c.Dropped + d.dropped, Retries: d.retries, Outages: d.outages,
	}
	if c.Kept {
		b.InSpool = c.Waiting
	} else {
		b.Dropped += c.Waiting
	}
	return b
}
