package main

import (
	"errors"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestMedian(t *testing.T) {
	for _, row := range []struct {
		values []float64
		want   float64
	}{{[]float64{3}, 3}, {[]float64{9, 1}, 5}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := median(row.values); got != row.want {
			t.Errorf("%v: %v, want %v", row.values, got, row.want)
		}
	}
}

func TestResult(t *testing.T) {
	for _, row := range []struct {
		r    result
		want string
	}{
		{result{wall: []float64{12.4, 1.984, 5.25}, cpu: []float64{3.1, 4, 2}}, "5.2 (1.98-12); 3.1"},
		{result{wall: []float64{1.984}, cpu: []float64{12.4}}, "1.98; 12"},
	} {
		if got := row.r.String(); got != row.want {
			t.Errorf("%s, want %s", got, row.want)
		}
	}
}

func TestMeasure(t *testing.T) {
	messages := filepath.Join(t.TempDir(), "messages")
	f, err := measure(t.Context(), "sleep 0.05 & i=0; while [ $i -lt 20000 ]; do i=$((i + 1)); done; wait", messages, time.Minute)
	if err != nil || f.wall < 0.05 || f.cpu <= 0 || f.peak <= 0 {
		t.Errorf("%+v, %v", f, err)
	}
	_, err = measure(t.Context(), "echo one; echo two >&2; exit 3", messages, time.Minute)
	if status, ok := errors.AsType[*exec.ExitError](err); !ok || status.ExitCode() != 3 || !strings.HasSuffix(err.Error(), ": two") {
		t.Error(err)
	}
	start := time.Now()
	if _, err := measure(t.Context(), "sleep 60 & wait", messages, 50*time.Millisecond); err == nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// Every program that a contest needs has a package to name when it is missing, and every capture a
// column.
func TestContests(t *testing.T) {
	nowhere := func(string) (string, error) { return "", exec.ErrNotFound }
	for _, c := range contests {
		for _, name := range append(c.quicker.missing(nowhere), c.slower.missing(nowhere)...) {
			if packages[name] == "" {
				t.Errorf("%s: no package", name)
			}
		}
		for _, name := range c.captures {
			if !slices.Contains(columns, name) {
				t.Errorf("%s: no column", name)
			}
		}
	}
}
