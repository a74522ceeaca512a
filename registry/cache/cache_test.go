package cache

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/registry"
)

// source returns a small registry with a date, as CSV.
func source(date string, names ...string) string {
	var b strings.Builder
	b.WriteString(strings.Join(registry.Columns[:], ",") + "\n")
	for i, name := range names {
		fmt.Fprintf(&b, "%s,%d,tcp,Text,,,%s,,,,,\n", name, i+1, date)
	}
	b.WriteString(",49151,,IANA Reserved,,,,,,,,\n")
	return b.String()
}

func parsed(t *testing.T, csv string) *registry.Registry {
	t.Helper()
	r, _, err := registry.Parse(strings.NewReader(csv), "test.csv")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// site serves one source, with an ETag, and counts the requests.
type site struct {
	body, etag      string
	full, unchanged int
	handle          http.HandlerFunc // instead, where not nil
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case s.handle != nil:
		s.handle(w, r)
	case s.etag != "" && r.Header.Get("If-None-Match") == s.etag:
		s.unchanged++
		w.WriteHeader(http.StatusNotModified)
	default:
		s.full++
		w.Header().Set("ETag", s.etag)
		w.Write([]byte(s.body))
	}
}

func serve(t *testing.T, s *site) (url string) {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return server.URL + "/service-names-port-numbers.csv"
}

func update(c Cache, o Options) (*Result, error) { return c.Update(context.Background(), o) }

// holds fails the test unless the cache has the registry with that date.
func holds(t *testing.T, c Cache, date string) {
	t.Helper()
	r, err := c.Newer("")
	if err != nil {
		t.Fatal(err)
	}
	if r == nil || r.Date() != date {
		t.Fatalf("the cache has %v, want %s", r, date)
	}
}

func TestUpdate(t *testing.T) {
	s := &site{body: source("2026-09-01", "a", "b"), etag: `"1"`}
	c, o := Cache{t.TempDir()}, Options{From: serve(t, s)}
	if r, err := c.Newer(""); r != nil || err != nil {
		t.Fatalf("an empty cache has %v, %v", r, err)
	}
	if r, err := update(c, o); err != nil || r.NotModified || r.Registry.Date() != "2026-09-01" {
		t.Fatalf("first: %+v, %v", r, err)
	}
	if r, err := update(c, o); err != nil || !r.NotModified || r.Registry.Lookup(registry.TCP, 2).Service() != "b" {
		t.Fatalf("second: %+v, %v", r, err)
	}
	s.body, s.etag = source("2026-10-01", "a", "b", "c"), `"2"`
	if r, err := update(c, o); err != nil || r.NotModified {
		t.Fatalf("third: %+v, %v", r, err)
	}
	if s.full != 2 || s.unchanged != 1 {
		t.Errorf("%d full answers, %d unchanged; want 2 and 1", s.full, s.unchanged)
	}
	holds(t, c, "2026-10-01")
	if r, err := c.Newer("2026-10-01"); r != nil || err != nil {
		t.Errorf("newer than itself: %v, %v", r, err)
	}
}

func TestLastModified(t *testing.T) {
	const when = "Mon, 17 Aug 2026 00:00:00 GMT"
	asked := 0
	s := &site{handle: func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("If-Modified-Since") == when {
			asked++
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Last-Modified", when)
		w.Write([]byte(source("2026-08-17", "a")))
	}}
	c, o := Cache{t.TempDir()}, Options{From: serve(t, s)}
	for range 2 {
		if _, err := update(c, o); err != nil {
			t.Fatal(err)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for something newer, want once", asked)
	}
}

// A password in the URL reaches the server, but neither a message nor the cache.
func TestUpdateWithPassword(t *testing.T) {
	asked := 0
	s := &site{handle: func(w http.ResponseWriter, r *http.Request) {
		asked++
		_, password, _ := r.BasicAuth()
		switch {
		case password != "hunter2":
			w.WriteHeader(http.StatusUnauthorized)
		case r.Header.Get("If-None-Match") != "":
			w.WriteHeader(http.StatusNotModified)
		default:
			w.Header().Set("ETag", `"1"`)
			w.Write([]byte(source("2026-09-01", "a")))
		}
	}}
	c, from := Cache{t.TempDir()}, strings.Replace(serve(t, s), "//", "//me:hunter2@", 1)
	for i, notModified := range []bool{false, true} {
		r, err := update(c, Options{From: from})
		if err != nil || r.NotModified != notModified || asked != i+1 || strings.Contains(r.From, "hunter2") {
			t.Errorf("%d: %+v, %v, asked %d times", i, r, err, asked)
		}
	}
	if text, err := os.ReadFile(c.Path()); err != nil || strings.Contains(string(text), "hunter2") {
		t.Errorf("the cache has the password (%v)", err)
	}
	for what, wrong := range map[string]Options{
		"refused":  {From: from, Current: parsed(t, source("2026-10-01", "a"))},
		"answered": {From: strings.Replace(from, "hunter2", "hunter22", 1)},
		"sent":     {From: "http://me:hunter2@127.0.0.1:1/"},
		"no URL":   {From: "http://me:hunter2%@127.0.0.1:1/"},
	} {
		if _, err := update(Cache{t.TempDir()}, wrong); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

func TestUpdateFromFile(t *testing.T) {
	c, name := Cache{t.TempDir()}, t.TempDir()+"/r.csv"
	if err := os.WriteFile(name, []byte(source("2026-09-01", "a")), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := update(c, Options{From: name}); err != nil {
		t.Fatal(err)
	}
	holds(t, c, "2026-09-01")
	if _, err := update(c, Options{From: name + ".missing"}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
}

// Whatever comes, the cache keeps what it has.
func TestUpdateFailures(t *testing.T) {
	answer := func(body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(body)) }
	}
	big := source("2026-09-02", strings.Fields(strings.Repeat("name ", 200))...)
	for name, tt := range map[string]struct {
		handle http.HandlerFunc
		want   string
	}{
		"HTML":       {answer("<!DOCTYPE html>\n<html><body>Sign in to the hotel's network</body></html>"), "the root element is <html>"},
		"not found":  {http.NotFound, "the server answered 404 Not Found"},
		"empty":      {answer(""), "not IANA's"},
		"no content": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, "204"},
		"unasked 304": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNotModified) },
			"the server answered 304 Not Modified"},
		"cut by length": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(big)))
			w.Write([]byte(big[:len(big)/2]))
		}, "unexpected EOF"},
		"cut while chunked": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(big[:len(big)/2]))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}, "unexpected EOF"},
		"cut before it was sent": {answer(big[:strings.LastIndex(big, ",49151")]), "refused"},
		"too large": {func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(strings.Join(registry.Columns[:], ",") + "\n"))
			row := []byte(strings.Repeat("a,1,tcp,,,,,,,,,"+strings.Repeat("x", 1<<16)+"\n", 16))
			for range 70 {
				w.Write(row)
			}
		}, "larger than"},
		"silent": {func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }, "context deadline exceeded"},
		"stops in the middle": {func(w http.ResponseWriter, r *http.Request) {
			w.Write([]byte(big[:len(big)/2]))
			w.(http.Flusher).Flush()
			<-r.Context().Done()
		}, "context deadline exceeded"},
		"older":        {answer(source("2026-08-31", "a", "b", "c")), "refused"},
		"smaller":      {answer(source("2026-09-02", "a")), "refused"},
		"another host": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, r.URL.Path, http.StatusFound) }, "more than 10 redirects"},
	} {
		t.Run(name, func(t *testing.T) {
			current := source("2026-09-01", strings.Fields(strings.Repeat("name ", 100))...)
			s := &site{body: current}
			c, o := Cache{t.TempDir()}, Options{From: serve(t, s), Timeout: time.Second}
			if _, err := update(c, o); err != nil {
				t.Fatal(err)
			}
			s.handle, o.Current = tt.handle, parsed(t, current)
			if tt.want == "larger than" {
				o.Timeout = time.Minute // 64 MiB take a while under the race detector
			}
			r, err := update(c, o)
			if err == nil || !strings.Contains(err.Error(), tt.want) || r != nil {
				t.Fatalf("%+v, %v; want an error with %q", r, err, tt.want)
			}
			if refused := strings.HasPrefix(tt.want, "refused"); errors.Is(err, ErrRefused) != refused {
				t.Errorf("%v: is it refused? want %v", err, refused)
			}
			holds(t, c, "2026-09-01")
		})
	}
}

func TestForce(t *testing.T) {
	s := &site{body: source("2026-08-01", "a"), etag: `"1"`}
	c := Cache{t.TempDir()}
	o := Options{From: serve(t, s), Current: parsed(t, source("2026-09-01", "a", "b", "c"))}
	if _, err := update(c, o); !errors.Is(err, ErrRefused) {
		t.Fatal(err)
	}
	o.Force = true
	if _, err := update(c, o); err != nil {
		t.Fatal(err)
	}
	holds(t, c, "2026-08-01")
}

func TestTwoUpdates(t *testing.T) {
	entered, leave := make(chan bool), make(chan bool)
	s := &site{handle: func(w http.ResponseWriter, _ *http.Request) {
		entered <- true
		<-leave
		w.Write([]byte(source("2026-09-01", "a")))
	}}
	c, o := Cache{t.TempDir()}, Options{From: serve(t, s)}
	first := make(chan error)
	go func() {
		_, err := update(c, o)
		first <- err
	}()
	<-entered
	if _, err := update(c, o); !errors.Is(err, ErrBusy) {
		t.Errorf("the second of two updates: %v", err)
	}
	close(leave)
	if err := <-first; err != nil {
		t.Errorf("the first of two updates: %v", err)
	}
	holds(t, c, "2026-09-01")
	s.handle, s.body = nil, source("2026-09-02", "a")
	if _, err := update(c, o); err != nil {
		t.Errorf("an update after the two: %v", err)
	}
}

// A damaged cache is an error for Newer but does not stop the next update.
func TestDamagedCache(t *testing.T) {
	s := &site{body: source("2026-09-01", "a"), etag: `"1"`}
	c, o := Cache{t.TempDir()}, Options{From: serve(t, s)}
	if _, err := update(c, o); err != nil {
		t.Fatal(err)
	}
	good, err := os.ReadFile(c.Path())
	if err != nil {
		t.Fatal(err)
	}
	first := strings.Index(string(good), "\n")
	for _, bad := range []string{
		string(good[:len(good)-1]),
		string(good[:len(good)/2]),
		strings.Replace(string(good), "2026-09-01", "2026-09-03", 1),
		string(good[:first+1]),
		string(good[first+1:]),
		"",
		"{}\n",
	} {
		if err := os.WriteFile(c.Path(), []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if r, err := c.Newer("2026-08-01"); r != nil {
			t.Errorf("%d of %d octets: %v, %v", len(bad), len(good), r, err)
		}
		s.unchanged = 0
		if r, err := update(c, o); err != nil || r.NotModified {
			t.Errorf("update of a damaged cache: %+v, %v", r, err)
		}
		holds(t, c, "2026-09-01")
	}
}

func TestUnwritableFolder(t *testing.T) {
	name := t.TempDir() + "/file"
	if err := os.WriteFile(name, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := update((Cache{name}), Options{From: "nothing"}); err == nil {
		t.Error("a file as the cache's folder: no error")
	}
}

func TestStaySecure(t *testing.T) {
	secure, _ := http.NewRequest("GET", "https://a.example/", nil)
	plain, _ := http.NewRequest("GET", "http://a.example/", nil)
	if err := staySecure(plain, []*http.Request{secure}); err == nil {
		t.Error("from https to http: followed")
	}
	if err := staySecure(secure, []*http.Request{plain}); err != nil {
		t.Errorf("from http to https: %v", err)
	}
}
