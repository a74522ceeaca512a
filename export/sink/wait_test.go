package sink_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/export/sink"
)

// TestWait: a Wait ends when everything is settled and not before, and reports what was
// lost or given up.
func TestWait(t *testing.T) {
	take := make(chan struct{})
	r := newScript(wide, func(ctx context.Context, records []sink.Record, verdicts []sink.Verdict) error {
		select {
		case <-take:
		case <-ctx.Done():
			return ctx.Err()
		}
		all(ctx, records, verdicts)
		verdicts[0] = sink.Verdict{State: sink.Rejected, Reason: "one of each batch"}
		return nil
	})
	q := sink.NewMemory(1<<20, sink.Block)
	d := sink.NewDelivery(r, q, options(t, new(told)))
	if err := d.Wait(t.Context()); err != nil {
		t.Error(err) // of nothing
	}
	q.Put([]sink.Record{record(1, 0), record(2, 0), record(3, 0)})
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := d.Wait(short); err == nil || !strings.HasPrefix(err.Error(), "3 records were not delivered to test://: context") {
		t.Errorf("nothing was delivered, and Wait says %v", err)
	}
	close(take)
	if err := d.Wait(t.Context()); err != nil {
		t.Error(err)
	}
	if n := len(r.taken); n != 2 {
		t.Errorf("%d records were delivered", n)
	}
	q.End()
	if _, err := d.Close(); err != nil {
		t.Error(err)
	}
}

func TestWaitGivenUp(t *testing.T) {
	q := sink.NewMemory(1<<20, sink.Block)
	d := sink.NewDelivery(newScript(wide, away), q, options(t, new(told)))
	q.Put([]sink.Record{record(1, 0)})
	time.AfterFunc(20*time.Millisecond, d.GiveUp)
	if err := d.Wait(t.Context()); err == nil || err.Error() != "1 records were not delivered to test://" {
		t.Errorf("Wait says %v", err)
	}
	d.Close()
}

// TestWaitLost has a record that a queue dropped, and one that no dead-letter file took.
func TestWaitLost(t *testing.T) {
	o := options(t, new(told))
	o.DeadLetter, _ = sink.ParseDeadLetter(filepath.Join(t.TempDir(), "no", "folder"))
	q := sink.NewMemory(1, sink.DropOldest)
	q.Put([]sink.Record{record(1, 0), record(2, 0)})
	d := sink.NewDelivery(newScript(wide, func(_ context.Context, _ []sink.Record, verdicts []sink.Verdict) error {
		verdicts[0].State = sink.Rejected
		return nil
	}), q, o)
	q.End()
	d.Close()
	if err := d.Wait(t.Context()); err == nil || err.Error() != "2 records for test:// are lost" {
		t.Errorf("Wait says %v", err)
	}
}
