package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// TestReportAll: an error that stops several parts of a run is reported once.
func TestReportAll(t *testing.T) {
	full := func(name string) error { return fmt.Errorf("write to %s: no space", name) }
	var b strings.Builder
	reportAll(&b, errors.Join(full("a"), errors.Join(full("b"), full("a"))))
	if got, want := b.String(), "portwatch: write to a: no space\nportwatch: write to b: no space\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
