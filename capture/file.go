package capture

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/portwatch/portwatch/unpack"
)

// File reads the packets of a savefile: pcap or pcapng, uncompressed or
// compressed with gzip, zstd or LZ4. The format is recognized by the first octets,
// never by the name, and nothing is read twice, so the file may be a pipe.
type File struct {
	name        string
	compression string
	close       func() error // nil: there is nothing to close
	closed      bool
	deadline    func(time.Time) error // of reads; nil: they cannot be interrupted
	interrupted atomic.Bool
	raw         *counter // of the octets in the file, before decompression
	size        int64
	in          *stream
	from        packetReader
	stats       Stats
	err         error // what Next returns from now on
}

// packetReader is a reader of one of the two formats.
type packetReader interface {
	// next reads a packet. The error is io.EOF at a proper end, else it says what is wrong.
	next(*Frame) error
	// more reads packets that are already whole in the stream's buffer, up to anything
	// that is not such a packet.
	more([]Frame) (n int, err error)
}

// FormatError says what is wrong with a savefile, and where.
type FormatError struct {
	File        string
	Compression string // "gzip", "zstd", "lz4" or ""
	Offset      int64  // where the broken packet or block begins, in decompressed octets
	Packet      uint64 // the number of the packet that could not be read, from 1; 0: the beginning of the file
	Err         error
}

func (e *FormatError) Error() string {
	var b strings.Builder
	b.WriteString("read " + e.File)
	if e.Compression != "" {
		b.WriteString(" (" + e.Compression + ")")
	}
	if e.Packet > 0 {
		fmt.Fprintf(&b, ": offset %d: packet %d", e.Offset, e.Packet)
	}
	return b.String() + ": " + e.Err.Error()
}

// Unwrap returns the cause, for instance one that wraps [ErrTruncated].
func (e *FormatError) Unwrap() error { return e.Err }

// OpenFile opens a savefile and reads its header; "-" is standard input. The
// error is a [*FormatError], unless the file could not be opened at all.
func OpenFile(name string) (*File, error) {
	standard := name == "-"
	open := os.Open
	if standard {
		name, open = "standard input", standardInput
	}
	file, err := open(name)
	if err != nil {
		return nil, err
	}
	close := file.Close
	if standard {
		close = func() error {
			defer ReleaseStandardInput()
			return file.Close()
		}
	}
	f, err := newFile(file, name, close, sizeOf(file))
	if err != nil {
		return nil, err
	}
	f.deadline = file.SetReadDeadline
	return f, nil
}

// standardInput returns a duplicate of standard input that can be closed and, if it
// is a pipe, interrupted: Go can interrupt only what does not block. The pipe is then
// non-blocking for every process that has this end open, until File.Close or
// ReleaseStandardInput.
func standardInput(name string) (*os.File, error) {
	fd, err := syscall.Dup(int(os.Stdin.Fd()))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	if info, err := os.Stdin.Stat(); err == nil && info.Mode()&(fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		if err := syscall.SetNonblock(fd, true); err != nil {
			syscall.Close(fd)
			return nil, fmt.Errorf("open %s: %w", name, err)
		}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// ReleaseStandardInput makes standard input blocking again, as others that read it after this
// program expect. It is for a program that ends while OpenFile still waits for a pipe.
func ReleaseStandardInput() { syscall.SetNonblock(int(os.Stdin.Fd()), false) }

// sizeOf returns the size of a regular file, and -1 for anything else.
func sizeOf(file *os.File) int64 {
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return -1
	}
	return info.Size()
}

// newFile reads the header from r, which must be at its start, and closes it if that fails.
func newFile(r io.Reader, name string, close func() error, size int64) (*File, error) {
	f := &File{name: name, close: close, size: size, raw: &counter{in: r}}
	src, compression, err := unpack.NewReader(f.raw)
	f.compression = compression
	if err == nil {
		if compression != "" {
			ahead := newReadAhead(src)
			src, f.close = ahead, func() error { return ahead.close(close) }
		}
		f.in = newStream(src)
		f.from, err = newPacketReader(f.in)
	}
	if err != nil {
		f.Close()
		return nil, &FormatError{File: name, Compression: compression, Err: err}
	}
	return f, nil
}

// newPacketReader recognizes the format by its magic number.
func newPacketReader(in *stream) (packetReader, error) {
	if !in.need(4) {
		return nil, tooShort(in)
	}
	switch {
	case isPcap(in.data):
		return newPcapReader(in)
	case isPcapng(in.data):
		return newPcapngReader(in)
	}
	in.need(16)
	return nil, fmt.Errorf("%w (it starts %s)", ErrNotCapture, describeStart(in.data))
}

// tooShort returns the error for a file that ends within its magic number.
func tooShort(in *stream) error {
	switch {
	case in.err != io.EOF:
		return in.err
	case len(in.data) == 0:
		return fmt.Errorf("%w: it is empty", ErrTruncated)
	}
	return in.cut("a magic number", 4)
}

// describeStart says what the first octets of a file look like.
func describeStart(head []byte) string {
	for _, known := range [...]struct{ magic, what string }{
		{"snoop\x00\x00\x00", "like a snoop capture"},
		{"RTSS", "like a Network Monitor capture"},
		{"GMBU", "like a Network Monitor capture"},
		{"XCP\x00", "like a NetXRay capture"},
		{"TRSNIFF data", "like a Sniffer capture"},
		{"\xfd7zXZ\x00", "like an xz file"},
		{"BZh", "like a bzip2 file"},
		{"PK\x03\x04", "like a zip file"},
		{"\x7fELF", "like a program"},
	} {
		if strings.HasPrefix(string(head), known.magic) {
			return known.what
		}
	}
	head = head[:min(len(head), 16)]
	for _, c := range head {
		if (c < ' ' || c > '~') && c != '\n' && c != '\r' && c != '\t' {
			return fmt.Sprintf("with the octets % x", head[:4])
		}
	}
	return fmt.Sprintf("with the text %q", head)
}

// Next reads the next packet. At the end of the file the error is io.EOF;
// where the file is cut or broken it is a [*FormatError], and every packet
// before that place has been delivered.
func (f *File) Next(frame *Frame) error {
	if f.err != nil {
		return f.err
	}
	if err := f.from.next(frame); err != nil {
		return f.fail(err)
	}
	f.stats.Packets++
	f.stats.Bytes += uint64(len(frame.Data))
	return nil
}

// Read reads the next packet, and those after it that are already in memory: reading
// packet by packet would double the cost. Their Data is valid until the next call.
// The errors are those of Next.
func (f *File) Read(frames []Frame) (n int, err error) {
	if err := f.Next(&frames[0]); err != nil {
		return 0, err
	}
	n, err = f.from.more(frames[1:])
	octets, more := uint64(0), frames[1:1+n]
	for i := range more {
		octets += uint64(len(more[i].Data))
	}
	f.stats.Packets += uint64(n)
	f.stats.Bytes += octets
	if err != nil {
		f.fail(err) // Next returns it from now on
	}
	return 1 + n, nil
}

// fail ends the reading: it returns the error that Next returns from now on.
func (f *File) fail(err error) error {
	if f.interrupted.Load() {
		err = ErrClosed
	} else if err != io.EOF {
		err = &FormatError{
			File:        f.name,
			Compression: f.compression,
			Offset:      f.in.start,
			Packet:      f.stats.Packets + 1,
			Err:         err,
		}
	}
	f.err = err
	return err
}

// Stats returns the counters so far.
func (f *File) Stats() Stats {
	s := f.stats
	if ng, ok := f.from.(*pcapngReader); ok {
		d := ng.drops()
		s.KernelDrops, s.InterfaceDrops, s.SkippedBlocks = d.kernel, d.device, ng.skipped
	}
	return s
}

// Progress returns how many octets of the file itself, before decompression,
// have been read, and how many it has, or -1 if that is unknown. It may be
// called while Next runs.
func (f *File) Progress() (read, size int64) { return f.raw.read.Load(), f.size }

// Interrupt makes Next return ErrClosed as soon as it would have to wait for a
// pipe. A file that is not a pipe is still read to its end. Interrupt may be
// called while Next runs.
func (f *File) Interrupt() {
	f.interrupted.Store(true)
	if f.deadline != nil {
		f.deadline(time.Now()) // fails only for files on which no read waits
	}
}

// Close closes the file; standard input stays open.
func (f *File) Close() error {
	f.err = ErrClosed
	if f.closed || f.close == nil {
		return nil
	}
	f.closed = true
	return f.close()
}

// counter counts octets, and removes the file's name from errors, because the
// caller adds it again.
type counter struct {
	in   io.Reader
	read atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.in.Read(p)
	c.read.Add(int64(n))
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err
	}
	return n, err
}
