package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"syscall"

	"github.com/portwatch/portwatch/registry"
	"github.com/portwatch/portwatch/registry/cache"
)

func (q *query) update() func([]string) error {
	from := q.flags.String("from", cache.Source, "")
	force := q.flags.Bool("force", false, "")
	return func(args []string) error {
		if err := noArguments("update", args); err != nil {
			return err
		}
		c, err := cache.Default()
		if err != nil {
			return failure{fmt.Errorf("update registry: %w", err), "set HOME or XDG_CACHE_HOME"}
		}
		current, _, err := q.open()
		if err != nil {
			return err
		}
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		context.AfterFunc(ctx, stop) // a second signal kills as usual
		result, err := c.Update(ctx, cache.Options{From: *from, Current: current, Force: *force})
		if err != nil {
			return updateFailure(fmt.Errorf("update registry: %w", err))
		}
		for _, w := range result.Warnings {
			warn(q.stderr, "registry %s: %s", result.From, w)
		}
		q.printUpdate(result, current, c.Path())
		return nil
	}
}

// updateFailure adds a hint to an error.
func updateFailure(err error) error {
	hint := "check that the address can be reached from here, or --from with a copy of the file"
	switch {
	case errors.Is(err, cache.ErrRefused):
		hint = "--force to accept it anyway"
	case errors.Is(err, cache.ErrBusy):
		hint = "wait for it to end"
	case errors.Is(err, registry.ErrFormat):
		hint = "--from with the address or a copy of IANA's service-names-port-numbers.xml"
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS):
		hint = "set XDG_CACHE_HOME to a folder that can be written to"
	case hintFor(err) != "":
		return err
	}
	return failure{err, hint}
}

func (q *query) printUpdate(result *cache.Result, was *registry.Registry, path string) {
	r := result.Registry
	if result.NotModified || r.SHA256() == was.SHA256() {
		q.printf("up to date: IANA's registry of %s, %d rows\n", dateOf(r), r.Len())
	} else {
		d := registry.Compare(was, r)
		q.printf("IANA's registry of %s, %d rows, is in %s\n", dateOf(r), r.Len(), path)
		q.printf("against that of %s: %d pairs answer differently; %d rows added, %d removed, %d changed\n",
			dateOf(was), len(d.Pairs), len(d.Added), len(d.Removed), len(d.Changed))
	}
	// Even if the server has nothing newer, the program may have been upgraded since.
	if built := registry.Embedded(); r.Date() <= built.Date() && r.SHA256() != built.SHA256() {
		q.printf("it is not used: the built-in registry of %s is not older; --registry FILE uses any\n", built.Date())
	}
}
