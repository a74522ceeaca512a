package capture

import (
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/portwatch/portwatch/testdata/compressed"
)

// What a source gives, in portions of any size, is what comes out: the octets, then the error.
func TestReadAhead(t *testing.T) {
	broken := errors.New("broken")
	data := noise(20_000) // many portions
	for name, src := range map[string]io.Reader{
		"whole":               bytes.NewReader(data),
		"in halves":           iotest.HalfReader(bytes.NewReader(data)),
		"error with the last": iotest.DataErrReader(bytes.NewReader(data)),
		"broken":              io.MultiReader(bytes.NewReader(data), iotest.ErrReader(broken)),
		"now and then empty":  io.MultiReader(bytes.NewReader(data[:7]), &pauses{n: 50}, bytes.NewReader(data[7:])),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // fails if the goroutine does not end
				a := newReadAhead(src)
				got, err := io.ReadAll(iotest.HalfReader(a))
				if !bytes.Equal(got, data) {
					t.Errorf("%d octets of %d, or others", len(got), len(data))
				}
				if want := name == "broken"; errors.Is(err, broken) != want || !want && err != nil {
					t.Errorf("error %v", err)
				}
				if _, again := a.Read(make([]byte, 1)); again == nil {
					t.Error("there is something after the error")
				}
				if err := a.close(func() error { return broken }); err != broken {
					t.Errorf("close: %v", err)
				}
			})
		})
	}
}

// A pauses reads nothing n times, which is allowed.
type pauses struct{ n int }

func (p *pauses) Read([]byte) (int, error) {
	if p.n--; p.n < 0 {
		return 0, io.EOF
	}
	return 0, nil
}

// Wherever the reading ends, Close leaves no goroutine behind.
func TestCompressedClose(t *testing.T) {
	data := noise(20_000) // more than is read ahead
	for method, compress := range compressed.By {
		packed := compress(data)
		for name, file := range map[string][]byte{
			"whole":      packed,
			"cut":        packed[:len(packed)/2],
			"no capture": compress([]byte("no capture")),
		} {
			for _, packets := range []int{0, 1, 30_000} {
				synctest.Test(t, func(t *testing.T) {
					f, err := newFile(bytes.NewReader(file), "x", nil, -1)
					if err != nil {
						if name == "whole" {
							t.Errorf("%s, %s: %v", method, name, err)
						}
						return
					}
					for n := 0; n < packets && err == nil; n++ {
						err = f.Next(new(Frame))
					}
					if err := errors.Join(f.Close(), f.Close()); err != nil {
						t.Errorf("%s, %s: close: %v", method, name, err)
					}
				})
			}
		}
	}
}

// The reading of a compressed stream in a pipe can be ended while no more of it comes.
func TestCompressedPipe(t *testing.T) {
	data := noise(5000)
	for method, compress := range compressed.By {
		packed := compress(data)
		for name, end := range map[string]func(*File){
			"interrupted": (*File).Interrupt,
			"closed":      func(f *File) { f.Close() },
		} {
			before := runtime.NumGoroutine()
			r, w, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			go w.Write(packed)
			f, err := newFile(r, "x", r.Close, -1)
			if err != nil {
				t.Fatal(err)
			}
			f.deadline = r.SetReadDeadline
			for range 400 {
				if err := f.Next(new(Frame)); err != nil {
					t.Fatalf("%s, %s: %v", method, name, err)
				}
			}
			end(f)
			if _, err := drain(f); err != ErrClosed {
				t.Errorf("%s, %s: %v", method, name, err)
			}
			if err := f.Close(); err != nil {
				t.Errorf("%s, %s: close: %v", method, name, err)
			}
			w.Close()
			awaitGoroutines(t, before)
		}
	}
}

// awaitGoroutines waits until there are no more goroutines than there were. Those that
// have ended are counted a moment longer.
func awaitGoroutines(t *testing.T, before int) {
	t.Helper()
	for start := time.Now(); runtime.NumGoroutine() > before; time.Sleep(time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("%d goroutines, %d before", runtime.NumGoroutine(), before)
		}
	}
}
