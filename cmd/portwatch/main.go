// Portwatch reads packets, meters them into bidirectional Flows, says what
// IANA's registry says of their ports, and flags the services that stand on
// ports nobody registered or whose unauthorized use IANA reports.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	// The first signal ends the run in good order; once that has begun, a second
	// one kills as usual.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	// A closed pipe is an error of its write, not the end of the process: other
	// outputs may live.
	signal.Ignore(syscall.SIGPIPE)
	os.Exit(command(ctx, os.Args[1:], os.Stdout, os.Stderr))
}
