// Package cache keeps a registry that was fetched after the program was built, in
// one file in the user's cache folder, and renews it from IANA.
package cache

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/portwatch/portwatch/registry"
)

// A Cache is a folder that holds at most one registry.
type Cache struct{ Dir string }

// Default returns the user's cache: portwatch in os.UserCacheDir, which
// follows XDG_CACHE_HOME.
func Default() (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return Cache{}, err
	}
	return Cache{filepath.Join(dir, "portwatch")}, nil
}

// Path returns the file that holds the registry.
func (c Cache) Path() string { return filepath.Join(c.Dir, "registry") }

// origin is the first line of the file, as JSON; after it comes the compact form
// of the registry.
type origin struct {
	From         string `json:"from"`
	Date         string `json:"date"`
	ETag         string `json:"etag,omitempty"`
	LastModified string `json:"last_modified,omitempty"`
}

// Newer returns the cached registry if its date is after the given one, YYYY-MM-DD.
// Otherwise, or if nothing is cached, it returns nil. The error is for a file that
// exists but is not a whole registry.
func (c Cache) Newer(than string) (*registry.Registry, error) {
	o, packed, err := c.read()
	if err != nil || o.Date <= than {
		return nil, err
	}
	return open(o, packed)
}

// read returns the two parts of the file, or zero values if there is none.
func (c Cache) read() (o origin, packed []byte, err error) {
	info, err := os.Stat(c.Path())
	if errors.Is(err, fs.ErrNotExist) {
		return origin{}, nil, nil
	}
	if err != nil {
		return origin{}, nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > registry.MaxSource {
		return origin{}, nil, errors.New("not a registry that portwatch cached")
	}
	data, err := os.ReadFile(c.Path())
	if err != nil {
		return origin{}, nil, err
	}
	line, packed, _ := bytes.Cut(data, []byte("\n"))
	if err := json.Unmarshal(line, &o); err != nil {
		return origin{}, nil, fmt.Errorf("not a registry that portwatch cached: %w", err)
	}
	return o, packed, nil
}

func open(o origin, packed []byte) (*registry.Registry, error) {
	r, err := registry.Decode(packed)
	if err != nil {
		return nil, err
	}
	if r.Date() != o.Date {
		return nil, fmt.Errorf("registry of %s where one of %s was cached", r.Date(), o.Date)
	}
	return r, nil
}

// write replaces the file by a rename, so that whoever opens it finds either the old
// registry or the new one, whole.
func (c Cache) write(o origin, r *registry.Registry) error {
	line, err := json.Marshal(o)
	if err != nil {
		return err
	}
	// The lock is held, so the name is ours; what a crash left there is overwritten.
	temporary := c.Path() + ".new"
	if err := writeFile(temporary, append(append(line, '\n'), r.Encoded()...)); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(temporary)))
	}
	return os.Rename(temporary, c.Path())
}

// writeFile is os.WriteFile, but with the data on the disk when it returns.
func writeFile(name string, data []byte) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if _, err := f.Write(data); err != nil {
		return err
	}
	return f.Sync()
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
