package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/registry"
)

// A format turns a record into bytes, always whole lines. The sequence counts the
// records of the run.
type format interface {
	Append(dst []byte, r *annotate.Record, sequence uint64) []byte
}

// An alertingFormat can also write alerts. The sequence counts the alerts of the run.
type alertingFormat interface {
	AppendAlert(dst []byte, a *annotate.Alert, sequence uint64) []byte
}

// A headed format writes something above the first record.
type headed interface {
	Header(dst []byte) []byte
}

// formats are the names that -o and format= accept, besides none; sinks accept all but the
// first.
var formats = []string{"text", "ecs", "ocsf", "cef", "leef", "zeek", "eve", "csv"}

// newFormat makes the format with a name from formats, for a place that may be a
// terminal.
func (o *options) newFormat(name string, reg *registry.Registry, s screen) format {
	if name == "text" {
		location := time.Local
		if o.utc {
			location = time.UTC
		}
		return export.NewText(export.TextOptions{Width: s.width, Color: s.color, Location: location})
	}
	e := export.Options{Version: version(), ObserverName: o.observer}
	if len(o.devices) > 0 {
		e.Now = time.Now
	}
	if len(o.devices) == 1 {
		e.Interface = o.devices[0]
	}
	switch name {
	case "ocsf":
		return export.NewOCSF(reg, e)
	case "zeek":
		return export.NewZeek(reg, e)
	case "eve":
		return export.NewEVE(reg, e)
	case "cef":
		return export.NewCEF(reg, e)
	case "leef":
		return export.NewLEEF(reg, e)
	case "csv":
		return export.NewCSV(reg, e)
	}
	return export.NewECS(reg, e)
}

// A rendering is a format and the places that get its bytes: a record is
// rendered only once, however many places want it.
type rendering struct {
	name      string
	screen    screen
	newFormat func() format
	inOrder   bool   // a line may depend on the lines before it
	format    format // the writer's, if inOrder
	places    []*place
	sinks     []keeper
}

// A place is where records go. A file writes its own header.
type place struct {
	name     string // for messages
	w        io.WriteCloser
	terminal bool // the progress line may be on it
}

// header returns what goes above the records of a format, if anything.
func header(f format) []byte {
	if h, ok := f.(headed); ok {
		return h.Header(nil)
	}
	return nil
}

// errNobodyReads means that the reader of a place closed it, as head does.
var errNobodyReads = errors.New("nobody reads any more")

// splitUnread reports whether one of the joined errors is errNobodyReads, and returns the rest.
func splitUnread(err error) (rest error, unread bool) {
	all := flatten(err)
	kept := slices.DeleteFunc(slices.Clone(all), func(e error) bool { return errors.Is(e, errNobodyReads) })
	return errors.Join(kept...), len(kept) < len(all)
}

// write writes bytes to every place, on a terminal where the progress line was. A place
// that fails is closed and left out from then on; the others go on. The errors are
// returned joined.
func (d *rendering) write(b []byte, header bool, line *progress) error {
	var failed error
	alive := d.places[:0]
	for _, p := range d.places {
		if _, file := p.w.(*sink.File); file && header || len(b) == 0 {
			alive = append(alive, p)
			continue
		}
		if err := p.write(b, line); err != nil {
			failed = errors.Join(failed, p.fail(err))
			p.w.Close()
			continue
		}
		alive = append(alive, p)
	}
	d.places = alive
	return failed
}

// write only writes between hide and unhide. Closing a file there could deadlock: it can
// wait for a goroutine that warns, which waits for unhide.
func (p *place) write(b []byte, line *progress) error {
	if p.terminal {
		line.hide()
		defer line.unhide()
	}
	_, err := p.w.Write(b)
	return err
}

func (d *rendering) close() error {
	var failed error
	for _, p := range d.places {
		if err := p.w.Close(); err != nil {
			failed = errors.Join(failed, p.fail(err))
		}
	}
	return failed
}

func (p *place) fail(err error) error {
	if errors.Is(err, syscall.EPIPE) {
		return errNobodyReads
	}
	return fmt.Errorf("write records to %s: %w", p.name, cause(err))
}

// outputs opens what -o and --to ask for.
func (o *options) outputs(stdout *os.File, reg *registry.Registry, sinks *sinks) ([]*rendering, error) {
	var list []*rendering
	in := func(name string, s screen) *rendering {
		for _, d := range list {
			if d.name == name && (d.screen == s || name != "text") {
				return d
			}
		}
		d := &rendering{name: name, screen: s, inOrder: name == "text"}
		d.newFormat = func() format { return o.newFormat(name, reg, s) }
		if d.inOrder {
			d.format = d.newFormat()
		}
		list = append(list, d)
		return d
	}
	add := func(name string, p *place, s screen) {
		d := in(name, s)
		p.terminal = s.terminal
		d.places = append(d.places, p)
	}
	out := screenOf(stdout)
	name := o.output
	switch {
	case name == "" && len(o.targets) > 0:
		name = "none"
	case name == "" && out.terminal:
		name = "text"
	case name == "":
		name = "ecs"
	}
	if name != "none" {
		add(name, &place{name: "standard output", w: nopCloser{stdout}}, out)
	}
	for _, t := range o.targets {
		if t.sink != nil {
			d := in(t.format, screen{})
			if err := sinks.add(d, t); err != nil {
				return nil, err
			}
			continue
		}
		p, s, err := t.open(stdout, header(o.newFormat(t.format, reg, screen{})), sinks)
		if err != nil {
			return nil, err
		}
		add(t.format, p, s)
	}
	return list, nil
}

// checkFiles finds files that are named twice, which would destroy them.
func (o *options) checkFiles(stdout *os.File) error {
	redirected := o.redirected(stdout)
	if err := o.refuseOverwriting(redirected); err != nil {
		return err
	}
	return o.refuseSharing(redirected)
}

// redirected returns the file to which a shell's > or >> redirected standard output, or nil
// if there is none or nothing will be written there.
func (o *options) redirected(stdout *os.File) os.FileInfo {
	info, err := stdout.Stat()
	if err != nil || !info.Mode().IsRegular() || o.save != "-" && !o.recordsToStandardOutput() {
		return nil
	}
	return info
}

// refuseOverwriting finds outputs that are also inputs: such a file would be emptied before
// it is read, or grow while it is read.
func (o *options) refuseOverwriting(redirected os.FileInfo) error {
	outputs := o.outputFiles()
	for _, in := range append([]string{o.filterFile, o.registry}, o.files...) {
		input, err := os.Stat(in)
		if in == "-" {
			input, err = os.Stdin.Stat()
		}
		if err != nil {
			continue
		}
		if redirected != nil && os.SameFile(input, redirected) {
			return usageError{"standard output: it goes to a file that is also an input", "another name for the output"}
		}
		for _, out := range outputs {
			if output, err := os.Stat(out); err == nil && os.SameFile(input, output) && input.Mode().IsRegular() {
				return usageError{out + ": cannot be both read and written", "another name for the output"}
			}
		}
	}
	return nil
}

// outputFiles returns the paths that the options write to, some of them empty or "-".
func (o *options) outputFiles() []string {
	letters, _, _ := strings.Cut(o.letters, "?")
	paths := []string{o.save, o.stats, letters}
	for _, t := range o.targets {
		paths = append(paths, t.path)
	}
	return paths
}

// refuseSharing finds two outputs that are the same file: each would overwrite the other.
// A pipe or a device can have several writers.
func (o *options) refuseSharing(redirected os.FileInfo) error {
	var there []os.FileInfo
	toMake := make(map[string]bool)
	for _, out := range o.outputFiles() {
		info, err := os.Stat(out)
		if out == "" || out == "-" || err == nil && !info.Mode().IsRegular() {
			continue
		}
		if err == nil && redirected != nil && os.SameFile(info, redirected) {
			return usageError{out + ": standard output goes there as well", "another name for one of them"}
		}
		shared := usageError{out + ": used for two outputs", "another name for one of them"}
		if err == nil { // compare files, not names: a file may have several
			if slices.ContainsFunc(there, func(other os.FileInfo) bool { return os.SameFile(info, other) }) {
				return shared
			}
			there = append(there, info)
			continue
		}
		path, err := filepath.Abs(out)
		if err != nil {
			return err
		}
		if folder, err := filepath.EvalSymlinks(filepath.Dir(path)); err == nil {
			path = filepath.Join(folder, filepath.Base(path))
		}
		if toMake[path] {
			return shared
		}
		toMake[path] = true
	}
	return nil
}

// A target is a parsed --to.
type target struct {
	path   string // "-" is standard output; empty for a receiver elsewhere
	format string
	file   sink.FileOptions

	sink     *sink.Target // nil for a place, which just gets bytes
	receiver sink.Receiver
}

// parseTarget reads the value of --to: "-" or "file:PATH", either one with an optional
// "?format=NAME", a file also with the settings of sink.ParseFileOptions; or the URL of a
// sink. A path may be relative, and may contain anything but a question mark.
func (o *options) parseTarget(to string) (target, error) {
	bad := func(cause, hint string) (target, error) {
		return target{}, usageError{fmt.Sprintf("--to %s: %s", sink.WithoutSecrets(to), cause), hint}
	}
	place, query, _ := strings.Cut(to, "?")
	var t target
	scheme, rest, found := strings.Cut(place, ":")
	switch {
	case place == "-":
		t.path = "-"
	case found && scheme == "file" && rest != "":
		t.path = strings.TrimPrefix(rest, "//")
	case found && strings.HasPrefix(rest, "//"):
		return o.parseSink(to)
	default:
		return bad("unknown destination", "--to file:flows.jsonl, or --to - for standard output")
	}
	const hint = "--to 'file:flows.txt?format=text'"
	s, err := sink.ParseSettings(query)
	if err != nil {
		return bad(err.Error(), hint)
	}
	t.format = s.Text("format", "ecs")
	if t.path == "-" {
		err = s.Err()
	} else {
		t.file, err = sink.ParseFileOptions(s)
	}
	if err != nil {
		return bad(err.Error(), hint)
	}
	if !slices.Contains(formats, t.format) {
		return bad(fmt.Sprintf("unknown format %q", t.format), "formats: "+strings.Join(formats, ", "))
	}
	return t, nil
}

func (t target) open(stdout *os.File, header []byte, sinks *sinks) (*place, screen, error) {
	if t.path == "-" {
		return &place{name: "standard output", w: nopCloser{stdout}}, screenOf(stdout), nil
	}
	if !t.isFile() {
		f, err := os.OpenFile(t.path, os.O_WRONLY, 0) // a pipe or a device: write-only, so that it fails when its reader goes away
		if err != nil {
			return nil, screen{}, t.fail(err)
		}
		return &place{name: t.path, w: f}, screenOf(f), nil
	}
	f, err := sinks.openFile(t, header)
	if err != nil {
		return nil, screen{}, err
	}
	return &place{name: t.path, w: f}, screen{}, nil
}

// isFile reports whether the target is a regular file, or will be one.
func (t target) isFile() bool {
	if t.path == "" || t.path == "-" {
		return false
	}
	info, err := os.Stat(t.path)
	return err != nil || info.Mode().IsRegular()
}

func (t target) fail(err error) error {
	return fmt.Errorf("open %s for records: %w", t.path, cause(err))
}

// nopCloser keeps standard output open for others that write to it.
type nopCloser struct{ io.Writer }

func (nopCloser) Close() error { return nil }
