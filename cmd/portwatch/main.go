// Portwatch reads packets, meters them into bidirectional Flows, says what
// IANA's registry says of their ports, and flags the services that stand on
// ports nobody registered or whose unauthorized use IANA reports.
package main

import (
	"context"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	collectLate()
	// The first signal ends the run in good order; a second one later kills as usual.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { defuse(stop) })
	// A closed pipe is an error of its write, not the end of the process: other
	// outputs may live.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// defuse lets the next signals kill, but not one that comes with the first: timeout(1) sends
// one to its child and another to its group.
func defuse(stop func()) {
	time.Sleep(time.Second)
	stop()
}

// collectLate lets the garbage collector begin when as much memory is in use as a run
// takes anyhow. It would begin at 4 MB, and mark the registry, which stays, again at 8
// and at 16. It changes nothing where GOGC or GOMEMLIMIT are set.
func collectLate() {
	const enough = 32 << 20
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(enough)
	first := new([64]byte) // the first cycle finds it unused
	runtime.AddCleanup(first, func(int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}, 0)
}
