package records

import (
	"bufio"
	"encoding/binary"
	"io"
	"os"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// The magic numbers of compressed streams as little-endian numbers: RFC 1952
// section 2.3.1, RFC 8878 sections 3.1.1 and 3.1.2, and the LZ4 frame format.
const (
	magicGzip      = 0x8b1f
	magicZstd      = 0xfd2fb528
	magicSkippable = 0x184d2a50 // and the 15 that follow; pzstd begins with one
	magicLZ4       = 0x184d2204
	magicLZ4Legacy = 0x184c2102
)

// maxZstdWindow is how far back a zstd stream may refer: what zstd itself accepts
// without being asked to.
const maxZstdWindow = 128 << 20

// Open opens a file of lines; "-" is standard input. What gzip, zstd or lz4 made is
// decompressed, several members one after the other as well.
func Open(name string) (io.ReadCloser, error) {
	if name == "-" {
		return decompress(os.Stdin)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	in, err := decompress(f)
	if err != nil {
		f.Close()
	}
	return in, err
}

// A stream is what is read of a file, and the file.
type stream struct {
	io.Reader
	file *os.File
}

func (s stream) Close() error { return s.file.Close() }

func decompress(f *os.File) (io.ReadCloser, error) {
	in := bufio.NewReaderSize(f, blockSize)
	head, _ := in.Peek(4) // fewer octets are no compressed stream; an error comes again
	if len(head) < 4 {
		return stream{in, f}, nil
	}
	switch magic := binary.LittleEndian.Uint32(head); {
	case magic&0xffff == magicGzip:
		z, err := gzip.NewReader(in)
		return stream{&gzipReader{in, z}, f}, err
	case magic == magicZstd || magic&^0xf == magicSkippable:
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxZstdWindow))
		return stream{z, f}, err
	case magic == magicLZ4 || magic == magicLZ4Legacy:
		return stream{lz4.NewReader(in), f}, nil
	}
	return stream{in, f}, nil
}

// gzipReader reads gzip members one after the other. Zeros behind the last one are no
// error, as for gzip itself.
type gzipReader struct {
	in *bufio.Reader
	z  *gzip.Reader
}

func (g *gzipReader) Read(p []byte) (int, error) {
	g.z.Multistream(false)
	n, err := g.z.Read(p)
	if err != io.EOF {
		return n, err
	}
	for {
		c, err := g.in.ReadByte()
		if err != nil {
			return n, err
		}
		if c != 0 {
			g.in.UnreadByte()
			return n, g.z.Reset(g.in)
		}
	}
}
