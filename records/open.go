package records

import (
	"io"
	"os"

	"github.com/portwatch/portwatch/unpack"
)

// Open opens a file of lines; "-" is standard input. What gzip, zstd or lz4 made is
// decompressed.
func Open(name string) (io.ReadCloser, error) {
	f := os.Stdin
	if name != "-" {
		var err error
		if f, err = os.Open(name); err != nil {
			return nil, err
		}
	}
	in, _, err := unpack.NewReader(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return stream{in, f}, nil
}

// A stream is what is read of a file, and the file.
type stream struct {
	io.Reader
	file *os.File
}

func (s stream) Close() error { return s.file.Close() }
