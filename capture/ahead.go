package capture

import (
	"io"
	"sync"
)

// A readAhead reads on a goroutine of its own, so that a stream is decompressed on one
// core while its packets are looked at on another. It goes ahead by a few portions and
// no further; an error comes after the octets before it. Whoever has one closes it.
type readAhead struct {
	free    chan []byte // buffers for the goroutine to fill, nil where one is still to be made; closed to end it
	full    chan portion
	running sync.WaitGroup

	now  portion // what was taken from full, and
	left []byte  // its octets that were not read yet
}

// A portion is what is handed over at once.
type portion struct {
	octets []byte
	err    error
}

const (
	// aheadPortions is how many portions there are at a time. Two would do if both sides
	// were equally quick with each.
	aheadPortions = 4
	// aheadSize is how large they are: a block of zstd. With the 32 KiB that gzip's
	// decoder gives at a time, the handing over cost a tenth more.
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

// run reads until an error or close. It waits for nothing but src and a free buffer:
// full has room for all of them.
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
// slowly, but its compressor has done so before.
func fill(buf []byte, src io.Reader) (n int, err error) {
	for n < len(buf) && err == nil {
		var got int
		got, err = src.Read(buf[n:])
		n += got
	}
	return n, err
}

// Read gives what the next portion has, as far as it fits.
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

// close ends the goroutine and returns when it has ended. It closes what src reads from,
// if that can be closed: nothing else ends a read that waits for a pipe. No Read may
// follow.
func (a *readAhead) close(source func() error) (err error) {
	close(a.free)
	for range a.free { // what it does not take
	}
	if source != nil {
		err = source()
	}
	a.running.Wait()
	return err
}
