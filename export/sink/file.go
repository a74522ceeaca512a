package sink

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/klauspost/compress/zstd"
)

// FileOptions are the options of a File. Their zero values stand for a file that starts
// empty and is never rotated.
type FileOptions struct {
	Rotate   int64         // octets after which a file is full; 0: not rotated by size
	Every    time.Duration // rotate at multiples of this in UTC; 0: not rotated by time
	Keep     int           // how many rotated files to keep; 0: all
	Compress string        // how to compress rotated files: zstd or gzip; empty: not at all

	Header []byte // written before the first line of each file
	// Report gets what goes wrong with rotated files. May be nil.
	Report func(error)
}

// ParseFileOptions reads the settings of a file: rotate=, every=, keep= and compress=.
func ParseFileOptions(s *Settings) (FileOptions, error) {
	o := FileOptions{
		Rotate: s.Octets("rotate", 0), Every: s.Duration("every", 0),
		Keep: s.Number("keep", 0), Compress: s.Choice("compress", "", "zstd", "gzip"),
	}
	if !o.Rotated() && (o.Keep > 0 || o.Compress != "") {
		s.fail("keep= and compress= are for files that are rotated: rotate=100MiB, every=1h")
	}
	return o, s.Err()
}

// Rotated reports whether the file is rotated at all. If so, a file that exists is
// appended to.
func (o *FileOptions) Rotated() bool { return o.Rotate > 0 || o.Every > 0 }

// A File is a regular file that is written in whole lines. A full one is renamed to
// PATH.20261124T230000Z, with a number appended where there are several in one second,
// and the next one gets the name PATH.
type File struct {
	path string
	o    FileOptions

	file    *os.File
	size    int64
	until   time.Time // when the file is rotated; zero: not by time
	reopen  atomic.Bool
	stamp   string // of the last rotated file
	inStamp int    // how many files have this stamp

	rotated chan struct{} // receives when there are files to tidy up
	tidying sync.WaitGroup
	givenUp atomic.Bool // what is not compressed yet is left to the next run
}

// OpenFile opens a file for writing.
func OpenFile(path string, o FileOptions) (*File, error) {
	f := &File{path: path, o: o, rotated: make(chan struct{}, 1)}
	if err := f.open(!o.Rotated()); err != nil {
		return nil, err
	}
	if o.Rotated() {
		f.rotated <- struct{}{} // for what an earlier run has left
		f.tidying.Go(func() {
			for range f.rotated {
				f.tidy()
			}
		})
	}
	return f, nil
}

// Reopen makes the next Write open the file anew, for users who have renamed it. It may
// be called from another goroutine.
func (f *File) Reopen() { f.reopen.Store(true) }

// GiveUp says that nobody waits any longer until rotated files are compressed: the next run
// does that. It may be called from another goroutine.
func (f *File) GiveUp() { f.givenUp.Store(true) }

// Write writes whole lines: all of them or, if it returns an error, none.
func (f *File) Write(lines []byte) (int, error) {
	if f.file == nil || f.reopen.Load() {
		f.reopen.Store(false)
		if err := f.close(); err != nil { // a network file system may tell only now
			return 0, err
		}
		if err := f.open(false); err != nil {
			return 0, err
		}
	}
	full := f.o.Rotate > 0 && f.size > int64(len(f.o.Header)) && f.size+int64(len(lines)) > f.o.Rotate
	if full || !f.until.IsZero() && !time.Now().Before(f.until) {
		if err := f.rotate(); err != nil {
			return 0, err
		}
	}
	n, err := f.file.Write(lines)
	if err != nil {
		undo(f.file, n)
		return 0, err
	}
	f.size += int64(n)
	return n, nil
}

// undo removes the octets that a failed write appended, so that no half line stays. It
// counts back from the end of the file, since others may have cut it or appended to it.
func undo(f *os.File, octets int) {
	if end, err := f.Seek(0, io.SeekCurrent); err == nil && octets > 0 {
		f.Truncate(end - int64(octets))
	}
}

func (f *File) open(anew bool) (err error) {
	// O_APPEND: if others cut the file, as logrotate's copytruncate does, it continues
	// from there.
	flags := os.O_CREATE | os.O_RDWR | os.O_APPEND
	if anew {
		flags |= os.O_TRUNC
	}
	if f.file, err = os.OpenFile(f.path, flags, 0o666); err != nil {
		return err
	}
	info, err := f.file.Stat()
	if err == nil {
		f.size, err = endOfLines(f.file, info.Size())
	}
	if err == nil && f.size == 0 && len(f.o.Header) > 0 {
		var n int
		n, err = f.file.Write(f.o.Header)
		f.size = int64(n)
	}
	if err != nil {
		f.close()
		return err
	}
	if f.o.Every > 0 {
		last := time.Now()
		if f.size > int64(len(f.o.Header)) {
			last = info.ModTime() // when an earlier run wrote last
		}
		f.until = last.UTC().Truncate(f.o.Every).Add(f.o.Every)
	}
	return nil
}

// endOfLines cuts off what follows the last line end, such as the half line of a program
// that was killed, and returns the size that is left.
func endOfLines(file *os.File, size int64) (int64, error) {
	end := size
	for buf := make([]byte, 64<<10); end > 0; {
		n := min(end, int64(len(buf)))
		if _, err := file.ReadAt(buf[:n], end-n); err != nil {
			return 0, err
		}
		if i := bytes.LastIndexByte(buf[:n], '\n'); i >= 0 {
			end -= n - int64(i) - 1
			break
		}
		end -= n
	}
	if end < size {
		return end, file.Truncate(end)
	}
	return end, nil
}

func (f *File) close() error {
	if f.file == nil {
		return nil
	}
	err := f.file.Close()
	f.file = nil
	return err
}

const stampLayout = "20060102T150405Z"

// rotate renames the file and opens the next one.
func (f *File) rotate() error {
	if f.size <= int64(len(f.o.Header)) { // nothing was written in that time
		f.until = time.Now().UTC().Truncate(f.o.Every).Add(f.o.Every)
		return nil
	}
	name := f.nextName()
	if err := f.close(); err != nil {
		return err
	}
	switch err := os.Rename(f.path, name); {
	case errors.Is(err, fs.ErrNotExist): // if its folder is gone too, open says so
		f.report(fmt.Errorf("rotate %s: somebody has removed or renamed it", f.path))
	case err != nil:
		return err
	}
	select {
	case f.rotated <- struct{}{}:
	default: // tidy has yet to run, and will see this file too
	}
	return f.open(false)
}

// nextName returns a name that no rotated file has or had: those of one second are told
// apart by a number.
func (f *File) nextName() string {
	stamp := time.Now().UTC().Format(stampLayout)
	if stamp != f.stamp {
		f.stamp, f.inStamp = stamp, 0
	}
	for {
		name := f.path + "." + stamp
		if f.inStamp > 0 {
			name += fmt.Sprintf("-%06d", f.inStamp)
		}
		f.inStamp++
		if !taken(name) {
			return name
		}
	}
}

// suffixes are those of compressed files, by the words of compress=.
var suffixes = map[string]string{"zstd": ".zst", "gzip": ".gz"}

func taken(name string) bool {
	for _, suffix := range []string{"", ".zst", ".gz"} {
		if _, err := os.Lstat(name + suffix); err == nil {
			return true
		}
	}
	return false
}

// tidy removes the rotated files that are too many, and compresses the others.
func (f *File) tidy() {
	names, err := f.rotatedFiles()
	if err != nil {
		f.report(err)
		return
	}
	if surplus := len(names) - f.o.Keep; f.o.Keep > 0 && surplus > 0 {
		for _, name := range names[:surplus] {
			if err := os.Remove(name); err != nil {
				f.report(err)
			}
		}
		names = names[surplus:]
	}
	for _, name := range names {
		if f.o.Compress == "" || isCompressed(name) {
			continue
		}
		switch err := f.compress(name); {
		case errors.Is(err, errGivenUp):
			return
		case err != nil:
			f.report(fmt.Errorf("compress %w", err))
		}
	}
}

func isCompressed(name string) bool { return uncompressed(name) != name }

// rotatedFiles returns the files named PATH with a time appended, the oldest first.
func (f *File) rotatedFiles() ([]string, error) {
	dir, base := filepath.Split(f.path)
	entries, err := os.ReadDir(cmp.Or(dir, "."))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		rest, ours := strings.CutPrefix(e.Name(), base+".")
		if !ours || len(rest) < len(stampLayout) || strings.HasSuffix(rest, unfinished) {
			continue
		}
		if _, err := time.Parse(stampLayout, rest[:len(stampLayout)]); err == nil {
			names = append(names, dir+e.Name())
		}
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Compare(uncompressed(a), uncompressed(b)) })
	return names, nil
}

func uncompressed(name string) string {
	return strings.TrimSuffix(strings.TrimSuffix(name, ".zst"), ".gz")
}

// unfinished is the suffix of a compressed file until it is complete.
const unfinished = ".part"

var errGivenUp = errors.New("given up")

// A stoppable is what compress reads from a rotated file, until GiveUp.
type stoppable struct {
	io.Reader
	by *File
}

func (s stoppable) Read(p []byte) (int, error) {
	if s.by.givenUp.Load() {
		return 0, errGivenUp
	}
	return s.Reader.Read(p)
}

// compress replaces a rotated file with a compressed one.
func (f *File) compress(name string) (err error) {
	in, err := os.Open(name)
	if err != nil {
		return err
	}
	defer in.Close()
	target := name + suffixes[f.o.Compress]
	out, err := os.Create(target + unfinished)
	if err != nil {
		return err
	}
	defer func() {
		out.Close()
		if err != nil {
			os.Remove(target + unfinished)
		}
	}()
	var w io.WriteCloser
	if f.o.Compress == "zstd" {
		if w, err = zstd.NewWriter(out, zstd.WithEncoderConcurrency(1)); err != nil {
			return err
		}
	} else {
		w = gzip.NewWriter(out)
	}
	if _, err := io.Copy(w, stoppable{in, f}); err != nil {
		return err
	}
	if err := errors.Join(w.Close(), out.Sync()); err != nil {
		return err
	}
	if err := os.Rename(target+unfinished, target); err != nil {
		return err
	}
	return os.Remove(name)
}

func (f *File) report(err error) {
	if f.o.Report != nil {
		f.o.Report(err)
	}
}

// Close closes the file and waits until rotated ones are compressed, or until GiveUp.
func (f *File) Close() error {
	err := f.close()
	if f.o.Rotated() {
		close(f.rotated)
		f.tidying.Wait()
	}
	return err
}

// A fileReceiver delivers to a File. A full disk is an unreachable receiver.
type fileReceiver struct {
	*File
	lines []byte
}

// Receiver returns a Receiver that writes to the file, and whose Close closes it.
func (f *File) Receiver() Receiver { return &fileReceiver{File: f} }

func (r *fileReceiver) Deliver(_ context.Context, records []Record, verdicts []Verdict) error {
	const enough = 64 << 10 // octets per write, so that a file does not get much larger than rotate=
	end := "\n"
	if bytes.HasSuffix(r.o.Header, []byte("\r\n")) { // CSV, by RFC 4180
		end = "\r\n"
	}
	r.lines = r.lines[:0]
	done := 0
	for i := range records {
		r.lines = append(append(r.lines, records[i].Body...), end...)
		if len(r.lines) < enough && i+1 < len(records) {
			continue
		}
		if _, err := r.Write(r.lines); err != nil {
			return err
		}
		for ; done <= i; done++ {
			verdicts[done].State = Delivered
		}
		r.lines = r.lines[:0]
	}
	return nil
}

func (r *fileReceiver) Limits() Limits {
	return Limits{Records: 4096, Octets: 1 << 20, Record: 1 << 26, Parallel: 1}
}
