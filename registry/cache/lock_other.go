//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cache

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// lock makes a file that only one can make. One that a crash left is taken over
// once no update can be as old as it is.
func lock(name string) (unlock func(), err error) {
	if info, err := os.Stat(name); err == nil && time.Since(info.ModTime()) > time.Hour {
		os.Remove(name)
	}
	f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrBusy
	}
	if err != nil {
		return nil, err
	}
	return func() { f.Close(); os.Remove(name) }, nil
}
