package capture

import (
	"io"
	"sync"
)

// A readAhead reads on a goroutine of its own, so that a stream is decompressed on one
// core while its packets are processed on another. It reads at most a few portions ahead;
// an error comes after the octets before it. Its owner must close it.
type readAhead struct {
	free    chan []byte // buffers for the goroutine to fill, nil if not allocated yet; closed to end the goroutine
	full    chan portion
	running sync.WaitGroup

	now  portion // the last one taken from full
	left []byte  // its octets that have not been read yet
}

// A portion is what is handed over at a time: octets, then an error, if any.
type portion struct {
	octets []byte
	err    error
}

const (
	// aheadPortions is how many portions there are. Two would be enough if both sides
	// took equally long over each.
	aheadPortions = 4
	// aheadSize is the size of a portion: that of a zstd block. With the 32 KiB that
	// gzip's decoder gives at a time, handing over cost a tenth more.
	aheadSize = 128 << 10
)

func newReadAhead(src io.Reader) *readAhead {
	a := &readAhead{free: make(chan []byte, aheadPortions), full: make(chan portion, aheadPortions)}
	for range aheadPortions {
		a.free <- nil
	}
	a.running.Go(func() { a.run(src) })
	return a
}

// run reads until an error or a call of close. It waits only for src and for a free
// buffer: full has room for every portion.
func (a *readAhead) run(src io.Reader) {
	for buf := range a.free {
		if buf == nil {
			buf = make([]byte, aheadSize)
		}
		n, err := fill(buf, src)
		a.full <- portion{buf[:n], err}
		if err != nil {
			return
		}
	}
}

// fill reads until buf is full or there is an error. That delays a stream that grows
// slowly, but its compressor has delayed it already.
func fill(buf []byte, src io.Reader) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = src.Read(buf[n:])
		n += got
	}
	return n, err
}

// Read returns octets of the current portion or, when it is used up, of the next.
func (a *readAhead) Read(p []byte) (int, error) {
	if len(a.left) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.octets != nil {
			a.free <- a.now.octets[:aheadSize]
		}
		a.now = <-a.full
		a.left = a.now.octets
	}
	n := copy(p, a.left)
	a.left = a.left[n:]
	return n, nil
}

// close ends the goroutine and waits for its end. It calls source, unless that is nil, to
// close what src reads from: nothing else ends a read that waits for a pipe. Read must
// not be called afterwards.
func (a *readAhead) close(source func() error) (err error) {
	close(a.free)
	for range a.free { // drop the buffers that the goroutine has not taken
	}
	if source != nil {
		err = source()
	}
	a.running.Wait()
	return err
}
