package sink

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A Target is a parsed URL of a sink: where records go, and how.
//
//	SCHEME://[USER@]HOST[:PORT][,HOST[:PORT]...][/PATH][?SETTINGS]
type Target struct {
	Scheme string   // such as splunk-hec+https
	User   string   // empty if there is none
	Hosts  []string // HOST or HOST:PORT, IPv6 in brackets; empty for a local path
	Path   string   // with its leading slash, unescaped; empty if there is none
	// Name is the same in every run with the same target: the setting name=, else the URL
	// without user and settings.
	Name   string
	Format string // of the records' bodies, as -o names it

	Observer string // the sensor's own name; empty if it was given none
	Version  string // of the program

	RetryFor time.Duration // how long a record is tried; 0: forever
	Timeout  time.Duration // of one Deliver
	Overflow Overflow      // of the queue in memory
	Queue    int64         // octets that the queue in memory may hold

	*Settings
}

// Defaults of the settings that every target has.
const (
	defaultTimeout = time.Minute
	defaultQueue   = 64 << 20
)

var errPassword = errors.New("a password in the URL would show in every list of processes; see the settings for secrets")

// WithoutSecrets returns what a message may quote of a URL that cannot be parsed: all but
// the settings and what may be a user and a password.
func WithoutSecrets(to string) string {
	if at := strings.LastIndexByte(to, '@'); at >= 0 {
		to = "..." + to[at:]
	}
	to, _, _ = strings.Cut(to, "?")
	return to
}

func parseTarget(to string) (*Target, error) {
	place, query, _ := strings.Cut(to, "?")
	scheme, rest, found := strings.Cut(place, "://")
	if !found {
		return nil, errors.New("not of the form SCHEME://HOST:PORT/PATH")
	}
	t := &Target{Scheme: scheme}
	authority, path := rest, ""
	if slash := strings.IndexByte(rest, '/'); slash >= 0 {
		authority, path = rest[:slash], rest[slash:]
	}
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		t.User, authority = authority[:at], authority[at+1:]
	}
	t.Name = scheme + "://" + authority + path
	fail := func(format string, args ...any) (*Target, error) {
		return nil, fmt.Errorf("%s: %w", t.Name, fmt.Errorf(format, args...))
	}
	user, err := url.PathUnescape(t.User)
	if err != nil || strings.Contains(t.User, ":") {
		return fail("%w", errPassword)
	}
	t.User = user
	for host := range strings.SplitSeq(authority, ",") {
		u, err := url.Parse("//" + host)
		if strings.HasPrefix(host, "[") { // a zone follows %25 in a URL (RFC 6874 section 2), % elsewhere
			host = strings.Replace(host, "%25", "%", 1)
		}
		if err != nil || u.Host != host || host != "" && host[0] != '[' && strings.Contains(u.Hostname(), ":") {
			if strings.Contains(to, "@") { // after a password with a slash or a question mark
				return nil, fmt.Errorf("%s: %w", WithoutSecrets(to), errPassword)
			}
			return fail("cannot read the host %q", host)
		}
		if host != "" {
			t.Hosts = append(t.Hosts, host)
		}
	}
	if t.Path, err = url.PathUnescape(path); err != nil {
		return fail("cannot read the path")
	}
	if t.Settings, err = ParseSettings(query); err != nil {
		return fail("%w", err)
	}
	t.Name = cmp.Or(t.Text("name", ""), t.Name)
	t.Format = t.Text("format", "ecs")
	t.RetryFor = t.Duration("retry-for", 0)
	t.Timeout = t.Duration("timeout", defaultTimeout)
	t.Overflow = t.Settings.Overflow("overflow")
	t.Queue = t.Octets("queue", defaultQueue)
	return t, nil
}

// Overflow is what happens when a queue is full.
type Overflow int

const (
	Block      Overflow = iota // whoever adds records waits
	DropOldest                 // the oldest records are dropped, and counted
)

var overflowWords = []string{Block: "block", DropOldest: "drop-oldest"}

// Overflow returns a setting that is block or drop-oldest.
func (s *Settings) Overflow(key string) Overflow {
	return Overflow(max(0, slices.Index(overflowWords, s.Choice(key, overflowWords...))))
}

func (o Overflow) String() string { return overflowWords[o] }
