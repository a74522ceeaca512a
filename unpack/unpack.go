// Package unpack reads streams that are compressed with gzip, zstd or lz4, and passes others on
// as they are. Memory is bounded by constants, never by what a header claims.
package unpack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The magic numbers of compressed streams as little-endian numbers: RFC 1952
// section 2.3.1, RFC 8878 sections 3.1.1 and 3.1.2, and the LZ4 frame format.
const (
	magicGzip      = 0x8b1f
	magicZstd      = 0xfd2fb528
	magicSkippable = 0x184d2a50 // and the next 15; zstd and LZ4 share them
	magicLZ4       = 0x184d2204
	magicLZ4Legacy = 0x184c2102
)

// maxZstdWindow is how far back a zstd stream may refer: what zstd itself accepts by default, and
// what its --long and --ultra write.
const maxZstdWindow = 128 << 20

// bufferSize is how much of a stream is buffered ahead of the decoder. If nothing is to be
// decompressed, larger reads bypass the buffer.
const bufferSize = 64 << 10

// ErrTruncated says that a stream stops before its end: its file was cut.
var ErrTruncated = errors.New("file is cut short")

// NewReader tells from the first octets how a stream is compressed: with gzip (RFC 1952), zstd
// (RFC 8878) or LZ4 (its frame format, the legacy one too). It returns a reader of the
// decompressed octets and the name of the method; for a stream that is not compressed, a reader
// of the stream itself and no name. Consecutive members or frames are one stream. Zero padding
// after the last one is accepted; anything else there is an error.
func NewReader(r io.Reader) (src io.Reader, method string, err error) {
	in := bufio.NewReaderSize(r, bufferSize)
	head, _ := in.Peek(4)
	if len(head) < 4 {
		return in, "", nil // too short for any format
	}
	switch magic := firstMagic(in); {
	case magic&0xffff == magicGzip:
		return &gzipReader{in: in}, "gzip", nil
	case magic == magicZstd || magic&^0xf == magicSkippable:
		tail := &tailReader{in: in, src: &zstdFrames{in: in}}
		// One goroutine: several took a third more of the processor, which the other
		// stages need too.
		dec, err := zstd.NewReader(tail, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxZstdWindow))
		return &frameReader{"zstd", dec, tail, zstd.ErrMagicMismatch}, "zstd", err
	case magic == magicLZ4 || magic == magicLZ4Legacy:
		tail := &tailReader{in: in, src: in}
		return &frameReader{"lz4", lz4.NewReader(tail), tail, lz4.ErrInvalidFrame}, "lz4", nil
	}
	return in, "", nil
}

// firstMagic returns the first magic number of a stream. It skips skippable frames, which zstd
// and LZ4 share, as far as the buffer reaches.
func firstMagic(in *bufio.Reader) (magic uint32) {
	for at := int64(0); at < int64(in.Size()); {
		head, _ := in.Peek(int(at) + 4)
		if int64(len(head)) < at+4 {
			break
		}
		magic = binary.LittleEndian.Uint32(head[at:])
		if magic&^0xf != magicSkippable {
			break
		}
		if head, _ = in.Peek(int(at) + 8); int64(len(head)) < at+8 {
			break
		}
		at += 8 + int64(binary.LittleEndian.Uint32(head[at+4:]))
	}
	return magic
}

// A gzipReader reads gzip members one after another. Like gzip itself, it accepts zero padding
// after the last one, and nothing else.
type gzipReader struct {
	in *bufio.Reader
	z  *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (n int, err error) {
	if g.z == nil {
		if g.z, err = gzip.NewReader(g.in); err != nil {
			return 0, streamError("gzip", err)
		}
		g.z.Multistream(false)
	}
	n, err = g.z.Read(p)
	if err == io.EOF {
		return n, g.member()
	}
	return n, streamError("gzip", err)
}

// member begins the next member, or returns io.EOF.
func (g *gzipReader) member() error {
	if err := skipZeros(g.in); err != nil {
		return err
	}
	if head, _ := g.in.Peek(2); !strings.HasPrefix("\x1f\x8b", string(head)) {
		return rubbish("gzip")
	}
	if err := g.z.Reset(g.in); err != nil {
		return streamError("gzip", err)
	}
	g.z.Multistream(false)
	return nil
}

// A frameReader reads a zstd or LZ4 stream, whose frames the decoders join by themselves. It
// judges what follows the last frame.
type frameReader struct {
	name     string
	dec      io.Reader
	tail     *tailReader
	badMagic error // dec's error when what follows a frame is no frame
}

func (f *frameReader) Read(p []byte) (int, error) {
	n, err := f.dec.Read(p)
	if n == 0 && err != nil && err != io.EOF {
		// If the checksum after the last block is cut or wrong, zstd's decoder still has
		// that block, and returns it when asked again.
		if n, _ := f.dec.Read(p); n > 0 {
			return n, nil
		}
	}
	if errors.Is(err, f.badMagic) {
		if f.tail.last != [4]byte{} {
			return n, rubbish(f.name)
		}
		if err = skipZeros(f.tail.in); err == nil {
			err = rubbish(f.name)
		}
		return n, err
	}
	return n, streamError(f.name, err)
}

// A tailReader remembers the last four octets that a decoder took from src: those it complained
// about, if it found no magic number. What follows them is still to be read from in.
type tailReader struct {
	in   *bufio.Reader
	src  io.Reader
	last [4]byte
}

func (t *tailReader) Read(p []byte) (int, error) {
	n, err := t.src.Read(p)
	if n >= 4 {
		copy(t.last[:], p[n-4:n])
	} else {
		copy(t.last[:], t.last[n:])
		copy(t.last[4-n:], p[:n])
	}
	return n, err
}

// skipZeros reads octets of value 0, up to the first other one.
func skipZeros(in *bufio.Reader) error {
	for {
		b, err := in.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return in.UnreadByte()
		}
	}
}

func rubbish(name string) error {
	return fmt.Errorf("rubbish after the end of the %s stream", name)
}

// streamError puts in our words what a decoder found. A stream that just stops is a file cut
// short.
func streamError(name string, err error) error {
	switch {
	case err == nil || err == io.EOF:
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: its %s stream has no end", ErrTruncated, name)
	}
	return fmt.Errorf("broken %s stream: %w", name, err)
}
