package sink

import (
	"context"
	"fmt"
	"time"
)

// Wait waits until everything that the queue has got so far is settled: delivered, or
// in the dead-letter file. An error says that some of it is lost, or not settled when
// the delivery or ctx ended. Whoever reads records from a place that keeps them may
// let go of them there after a Wait without an error.
func (d *Delivery) Wait(ctx context.Context) error {
	counts := d.queue.Counts()
	wanted := counts.Found + counts.Accepted
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for ended := false; ; {
		dropped := d.queue.Counts().Dropped
		d.mu.Lock()
		settled, lost := d.delivered+d.deadLettered, d.dropped+dropped
		d.mu.Unlock()
		switch {
		case lost > 0:
			return fmt.Errorf("%d records for %s are lost", lost, d.o.Name)
		case settled >= wanted:
			return nil
		case ended:
			return fmt.Errorf("%d records were not delivered to %s", wanted-settled, d.o.Name)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d records were not delivered to %s: %w", wanted-settled, d.o.Name, ctx.Err())
		case <-d.done:
			ended = true // what was settled last is not looked at yet
		case <-tick.C:
		}
	}
}
