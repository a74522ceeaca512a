package sink

import (
	"context"
	"fmt"
	"time"
)

// Wait waits until everything that the queue has received so far is settled: delivered,
// or in the dead-letter file. An error says that some of it is lost, or was not settled
// when the delivery or ctx ended. After a Wait without an error, a source that keeps its
// records need not keep these any longer.
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
			ended = true // what was settled last has not been counted yet
		case <-tick.C:
		}
	}
}
