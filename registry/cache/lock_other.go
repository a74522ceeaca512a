//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cache

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

// lock creates a file that only one process can create. A file that a crash left is
// removed once it is older than any running update can be.
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
