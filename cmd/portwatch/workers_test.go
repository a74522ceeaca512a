package main

import (
	"bytes"
	"fmt"
	"testing"
)

// TestWorkers wants the same bytes from any number of cores, in every format.
func TestWorkers(t *testing.T) {
	names := ownCaptures(t)
	if dir, ok := captureFolder(); ok && !testing.Short() {
		names = append(names, capturesIn(t, dir, "real")...)
	}
	for _, name := range names {
		for _, format := range formats {
			want, _, _ := runCommand(t, "-q", "--utc", "--workers", "1", "-o", format, "-r", name)
			for _, workers := range []int{2, 8} {
				got, _, _ := runCommand(t, "-q", "--utc", "--workers", fmt.Sprint(workers), "-o", format, "-r", name)
				if !bytes.Equal(got, want) {
					t.Errorf("%s: %d workers write %d octets of %s, one writes %d, or others", name, workers, len(got), format, len(want))
				}
			}
		}
	}
}
