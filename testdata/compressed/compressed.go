// Package compressed makes compressed streams for tests.
package compressed

import (
	"bytes"
	"compress/gzip"
	"io"

	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
)

// By has, for each method, a function that makes a stream of one member or frame.
var By = map[string]func([]byte) []byte{
	"gzip": func(data []byte) []byte { return written(gzip.NewWriter, data) },
	"zstd": func(data []byte) []byte { w, _ := zstd.NewWriter(nil); return w.EncodeAll(data, nil) },
	"lz4":  func(data []byte) []byte { return written(lz4.NewWriter, data) },
}

func written[W io.WriteCloser](open func(io.Writer) W, data []byte) []byte {
	var b bytes.Buffer
	w := open(&b)
	w.Write(data)
	w.Close()
	return b.Bytes()
}
