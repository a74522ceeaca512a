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

// The magic numbers of compressed streams: RFC 1952 section 2.3.1, RFC 8878 section
// 3.1.1, and the LZ4 frame format; little-endian.
const (
	magicGzip = 0x8b1f
	magicZstd = 0xfd2fb528
	magicLZ4  = 0x184d2204
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
		return stream{z, f}, err
	case magic == magicZstd:
		z, err := zstd.NewReader(in, zstd.WithDecoderMaxWindow(maxZstdWindow))
		return stream{z, f}, err
	case magic == magicLZ4:
		return stream{lz4.NewReader(in), f}, nil
	}
	return stream{in, f}, nil
}
