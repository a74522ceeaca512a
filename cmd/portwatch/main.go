// Portwatch reads packets, meters them into bidirectional Flows, reports what
// IANA's registry says about their ports, and flags services on ports that
// nobody registered or whose unauthorized use IANA reports.
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
	// The first signal ends the run cleanly; a later one kills as usual.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, func() { defuse(stop) })
	// Writing to a closed pipe is an error, not the end of the process: other
	// outputs may still be open.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// defuse lets later signals kill, but not one that comes together with the first: timeout(1)
// sends one to its child and another to its group.
func defuse(stop func()) {
	time.Sleep(time.Second)
	stop()
}

// collectLate delays the garbage collector until as much memory is in use as any run
// needs. Otherwise it would begin at 4 MB, and mark the registry, which stays, again at
// 8 and at 16. It changes nothing if GOGC or GOMEMLIMIT is set.
func collectLate() {
	const enough = 32 << 20
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return
	}
	percent, limit := debug.SetGCPercent(-1), debug.SetMemoryLimit(enough)
	first := new([64]byte) // the first collection frees it
	runtime.AddCleanup(first, func(int) {
		debug.SetGCPercent(percent)
		debug.SetMemoryLimit(limit)
	}, 0)
}
