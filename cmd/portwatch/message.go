package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/export/spool"
	"github.com/portwatch/portwatch/unpack"
)

// report writes an error in the form of every message of portwatch: program,
// operation, object and cause, then on a second line what to try.
func report(w io.Writer, err error) {
	fmt.Fprintf(w, "portwatch: %v\n", err)
	if hint := hintFor(err); hint != "" {
		fmt.Fprintf(w, "  try: %s\n", hint)
	}
}

// reportAll writes errors that were joined, each text once: what stops a run may stop more
// than one part of it.
func reportAll(w io.Writer, err error) {
	told := make(map[string]bool)
	for _, e := range flatten(err) {
		if text := e.Error(); !told[text] {
			told[text] = true
			report(w, e)
		}
	}
}

// warn writes something that a person should know but that does not end the run.
func warn(w io.Writer, format string, args ...any) {
	fmt.Fprintf(w, "portwatch: warning: "+format+"\n", args...)
}

// write writes what a command prints as a whole, and returns the exit status.
func write(stdout, stderr io.Writer, text string) int {
	if _, err := io.WriteString(stdout, text); err != nil && !isClosedPipe(err) {
		report(stderr, fmt.Errorf("write to standard output: %w", cause(err)))
		return exitFailed
	}
	return exitDone
}

// hintFor returns what a person can do about an error.
func hintFor(err error) string {
	var usage usageError
	var failed failure
	var filter *capture.FilterError
	var format *capture.FormatError
	switch {
	case errors.As(err, &usage):
		return usage.hint
	case errors.As(err, &failed):
		return failed.hint
	case errors.As(err, &filter) && isFile(filter.Expr):
		return eachSavefile
	case errors.As(err, &filter):
		return "the expression in quotes as one argument, for instance 'tcp port 80'; pcap-filter(7) describes the language"
	case errors.Is(err, capture.ErrNoDevice):
		return "portwatch -D lists the devices"
	case errors.Is(err, capture.ErrNotUp):
		return "sudo ip link set DEVICE up"
	case errors.Is(err, capture.ErrNotPermitted):
		return "sudo portwatch ..., or once: sudo setcap cap_net_raw+ep $(command -v portwatch)"
	case errors.Is(err, capture.ErrNotCapture):
		return "portwatch reads pcap and pcapng, plain or compressed by gzip, zstd or lz4"
	case errors.Is(err, syscall.EISDIR) && !errors.As(err, &format):
		return "the name of a file; this one is a folder"
	case errors.Is(err, syscall.EISDIR):
		return "-r with the name of a savefile in that folder; several -r are read as one observation"
	case errors.Is(err, capture.ErrTruncated) && errors.As(err, &format) && format.Packet == 0:
		return "check that the capturing program wrote something, and that the file was copied whole"
	case errors.Is(err, capture.ErrTruncated) && errors.As(err, &format):
		return "copy or capture the file again; every whole packet before the cut was read"
	case errors.Is(err, unpack.ErrTruncated):
		return "copy the file again; every whole line before the cut was read"
	case errors.Is(err, capture.ErrMixed):
		return "-w with the name of a file, or a filter for packets of one link type"
	case errors.Is(err, syscall.EMFILE):
		return "fewer -r at once, or ulimit -n for a higher limit"
	case errors.Is(err, spool.ErrInUse):
		return "--spool with a folder of its own for each process"
	case errors.Is(err, syscall.ENOSPC):
		return "make room on that disk, or write elsewhere"
	case errors.Is(err, fs.ErrNotExist):
		return "check the name and its folder; a relative path starts at the current folder"
	case errors.Is(err, fs.ErrPermission):
		return "ls -l on the name, to check that this user may read and write there"
	}
	return ""
}

const eachSavefile = "-r before each savefile: what stands alone is a filter expression"

// isFile reports whether the first word of a filter expression is the name of a file, as
// happens when a shell expands *.
func isFile(expr string) bool {
	name, _, _ := strings.Cut(expr, " ")
	info, err := os.Stat(name)
	return err == nil && info.Mode().IsRegular()
}

// statusOf returns the exit status for an error: wrong usage goes before failure.
func statusOf(err error) int {
	_, usage := errors.AsType[usageError](err)
	_, filter := errors.AsType[*capture.FilterError](err)
	if usage || filter {
		return exitUsage
	}
	return exitFailed
}

// usageError is a mistake in the command line; it ends with status 2.
type usageError struct{ message, hint string }

func (e usageError) Error() string { return e.message }

// failure is an error with a hint of its own; it ends with status 1.
type failure struct {
	error
	hint string
}

func (f failure) Unwrap() error { return f.error }

// flatten returns separately the errors that were joined into one.
func flatten(err error) []error {
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, flatten(e)...)
	}
	return all
}

// cause strips operation and path from a file error, for a message that already
// names them.
func cause(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

func isClosedPipe(err error) bool { return errors.Is(err, syscall.EPIPE) }
