package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/portwatch/portwatch/registry"
)

// Source is where IANA publishes the registry.
const Source = "https://www.iana.org/assignments/service-names-port-numbers/service-names-port-numbers.xml"

// ErrBusy means that another update of the same cache is running.
var ErrBusy = errors.New("another update is running")

// ErrRefused is wrapped by the error for a source that is valid but looks like a
// step back. Options.Force accepts it anyway.
var ErrRefused = errors.New("refused")

// Options say how to update.
type Options struct {
	// From is an http or https URL, or a file; "" means Source.
	From string
	// Current is the registry in use: the new one must not be older or much smaller.
	Current *registry.Registry
	Force   bool
	// Timeout is for the whole fetch; 0 means two minutes.
	Timeout time.Duration
}

// A Result is what an update found.
type Result struct {
	Registry *registry.Registry // now in the cache
	From     string             // where it came from, without a password
	Warnings []registry.Warning
	// NotModified says that the server has nothing newer than the cache had.
	NotModified bool
}

// Update fetches a registry, and puts it into the cache once it has been read
// whole. After any error the cache is unchanged.
func (c Cache) Update(ctx context.Context, o Options) (*Result, error) {
	if o.From == "" {
		o.From = Source
	}
	if o.Timeout == 0 {
		o.Timeout = 2 * time.Minute
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()

	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, err
	}
	unlock, err := lock(c.Path() + ".lock")
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", c.Dir, err)
	}
	defer unlock()

	from := withoutPassword(o.From)
	cached, known := c.known(from, o.Force)
	f, err := fetch(ctx, o.From, known)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", from, err)
	}
	defer f.body.Close()
	if f.notModified {
		return &Result{Registry: cached, From: from, NotModified: true}, nil
	}
	r, warnings, err := registry.Parse(f.body, from)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", from, err)
	}
	if err := stepBack(r, o.Current, warnings); err != nil && !o.Force {
		return nil, fmt.Errorf("%w %s: %w", ErrRefused, from, err)
	}
	f.origin.From, f.origin.Date = from, r.Date()
	if err := c.write(f.origin, r); err != nil {
		return nil, err
	}
	return &Result{Registry: r, From: from, Warnings: warnings}, nil
}

// withoutPassword returns a source as it may be shown, and kept in a file that others may
// read: without the password that its URL may contain.
func withoutPassword(from string) string {
	u, err := url.Parse(from)
	switch at := strings.LastIndexByte(from, '@'); {
	case err == nil && u.User != nil:
		return u.Redacted()
	case err != nil && at >= 0 && strings.Contains(from, "://"):
		return "..." + from[at:]
	}
	return from
}

// known returns what the cache has from the same source, to ask the server for
// something newer; nothing if the cache is damaged or is to be replaced.
func (c Cache) known(from string, replace bool) (*registry.Registry, origin) {
	was, packed, err := c.read()
	if err != nil || was.From != from || replace {
		return nil, origin{}
	}
	r, err := open(was, packed)
	if err != nil {
		return nil, origin{}
	}
	return r, was
}

// stepBack returns why r should not replace the current registry, nil if it may.
func stepBack(r, current *registry.Registry, warnings []registry.Warning) error {
	switch {
	case len(warnings) > 0:
		return errors.New(string(warnings[0]))
	case current == nil:
		return nil
	case r.Date() < current.Date():
		return fmt.Errorf("its date %q is before %s, the date of the registry in use", r.Date(), current.Date())
	case r.Len() < current.Len()/10*9:
		return fmt.Errorf("it has %d rows, the registry in use %d", r.Len(), current.Len())
	}
	return nil
}

type fetched struct {
	body        io.ReadCloser
	origin      origin // without From and Date
	notModified bool
}

// fetch opens the source. What is known about it makes the request conditional (RFC
// 9110 section 13).
func fetch(ctx context.Context, from string, known origin) (*fetched, error) {
	u, err := url.Parse(from)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" {
		f, err := os.Open(from)
		if errors.Is(err, fs.ErrNotExist) && strings.Contains(from, "://") {
			return nil, errors.New("neither an http or https URL nor the name of a file")
		}
		if err != nil {
			return nil, cause(err)
		}
		context.AfterFunc(ctx, func() { f.SetReadDeadline(time.Now()) }) // a pipe may stay silent
		return &fetched{body: f}, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "portwatch")
	if known.ETag != "" {
		request.Header.Set("If-None-Match", known.ETag)
	}
	if known.LastModified != "" {
		request.Header.Set("If-Modified-Since", known.LastModified)
	}
	client := http.Client{CheckRedirect: staySecure}
	response, err := client.Do(request)
	if err != nil {
		return nil, cause(err)
	}
	conditional := known.ETag != "" || known.LastModified != ""
	switch {
	case response.StatusCode == http.StatusOK:
	case response.StatusCode == http.StatusNotModified && conditional:
	default:
		response.Body.Close()
		return nil, fmt.Errorf("the server answered %s", response.Status)
	}
	return &fetched{
		body: response.Body,
		origin: origin{
			ETag:         response.Header.Get("ETag"),
			LastModified: response.Header.Get("Last-Modified"),
		},
		notModified: response.StatusCode == http.StatusNotModified,
	}, nil
}

// staySecure follows redirects as net/http does, but never from https to http:
// nothing but https vouches for the content.
func staySecure(next *http.Request, via []*http.Request) error {
	if via[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("redirected to %s, which is not https", next.URL)
	}
	if len(via) >= 10 {
		return errors.New("more than 10 redirects")
	}
	return nil
}

// cause strips what a message has already named: operation and URL or path.
func cause(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}
