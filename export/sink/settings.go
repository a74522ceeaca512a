package sink

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Settings are the part of a sink's URL after the question mark. Each getter marks its
// key as known; Err returns an error for the first value that could not be read, else for
// the first key in alphabetical order that no getter asked for.
type Settings struct {
	values url.Values
	known  []string
	err    error
}

// ParseSettings parses a query.
func ParseSettings(query string) (*Settings, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("cannot read what follows the question mark")
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if list := values[key]; len(list) > 1 {
			return nil, fmt.Errorf("the setting %q is given %d times", key, len(list))
		}
	}
	return &Settings{values: values}, nil
}

// Text returns a setting as it was given, or otherwise if it was not.
func (s *Settings) Text(key, otherwise string) string {
	s.known = append(s.known, key)
	if !s.values.Has(key) {
		return otherwise
	}
	return s.values.Get(key)
}

// Choice returns a setting that is one of a few words. The first one, which may be empty,
// is the default.
func (s *Settings) Choice(key string, words ...string) string {
	word := s.Text(key, words[0])
	if !slices.Contains(words, word) {
		s.fail("%s=%s: one of %s", key, word, strings.TrimPrefix(strings.Join(words, ", "), ", "))
	}
	return word
}

// Flag returns a setting that is 1 or 0, true or false; the key alone is true.
func (s *Settings) Flag(key string) bool {
	text := s.Text(key, "0")
	on, err := strconv.ParseBool(text)
	if err != nil && text != "" {
		s.fail("%s=%s: 0 or 1", key, text)
	}
	return on || text == ""
}

// Number returns a whole number, at least 1.
func (s *Settings) Number(key string, otherwise int) int {
	text := s.Text(key, strconv.Itoa(otherwise))
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 && n != otherwise {
		s.fail("%s=%s: a whole number, at least 1", key, text)
	}
	return n
}

// Duration returns a duration above 0, as time.ParseDuration reads it.
func (s *Settings) Duration(key string, otherwise time.Duration) time.Duration {
	text := s.Text(key, otherwise.String())
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 && d != otherwise {
		s.fail("%s=%s: a time such as 30s or 1h", key, text)
	}
	return d
}

// Octets returns a size: a number, alone or followed by KiB, MiB or GiB.
func (s *Settings) Octets(key string, otherwise int64) int64 {
	text := s.Text(key, strconv.FormatInt(otherwise, 10))
	n, err := parseOctets(text)
	if err != nil {
		s.fail("%s=%s: %v", key, text, err)
	}
	return n
}

// parseOctets parses what Octets accepts.
func parseOctets(text string) (int64, error) {
	digits, shift := text, 0
	for i, unit := range []string{"KiB", "MiB", "GiB"} {
		if before, found := strings.CutSuffix(text, unit); found {
			digits, shift = before, 10*(i+1)
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n < 0 || n > 1<<62>>shift {
		return 0, errors.New("a size such as 65536, 100MiB or 4GiB")
	}
	return n << shift, nil
}

// Secret returns a secret: from the file that KEY-file names, else from the environment
// variable. It is never in the URL, which anyone can read in a list of processes.
func (s *Settings) Secret(key, variable string) *Secret {
	if s.values.Has(key) {
		s.known = append(s.known, key)
		s.fail("%s= would show in every list of processes; use %s-file=PATH or the environment variable %s", key, key, variable)
		return &Secret{}
	}
	path := s.Text(key+"-file", "")
	if path == "" {
		return &Secret{now: os.Getenv(variable)}
	}
	text, err := readSecret(path)
	if err != nil {
		s.fail("%s-file: %v", key, err)
	}
	return &Secret{path: path, now: text}
}

// A Secret is a password or a token. If it is in a file, that may be replaced at any
// time: Text returns what the file has at the moment.
type Secret struct {
	path string // empty: from the environment
	mu   sync.Mutex
	now  string
	last string // before now
}

// Text returns the secret, empty if there is none. A file that is empty or cannot be read
// is taken to be in the middle of its replacement: the secret stays what it was.
func (s *Secret) Text() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.path != "" {
		if text, err := readSecret(s.path); err == nil && text != "" && text != s.now {
			s.now, s.last = text, s.now
		}
	}
	return s.now
}

// told returns what Text returned last, and the secret before that.
func (s *Secret) told() [2]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return [2]string{s.now, s.last}
}

func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	return strings.TrimRight(string(text), "\r\n"), err
}

// TLS returns a configuration that verifies the peer's name, with TLS 1.2 at least. ca=
// replaces the system's authorities; cert= and key= are the files of a certificate of our
// own, which may be replaced at any time: each connection reads them anew.
func (s *Settings) TLS(host string) *tls.Config {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if path := s.Text("ca", ""); path != "" {
		pem, err := os.ReadFile(path)
		if err != nil {
			s.fail("ca: %v", err)
		}
		c.RootCAs = x509.NewCertPool()
		if err == nil && !c.RootCAs.AppendCertsFromPEM(pem) {
			s.fail("ca: %s has no certificate in PEM form", path)
		}
	}
	cert, key := s.Text("cert", ""), s.Text("key", "")
	if cert != "" || key != "" {
		pair, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			s.fail("cert and key: %v", err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			if now, err := tls.LoadX509KeyPair(cert, key); err == nil {
				return &now, nil
			}
			return &pair, nil // one of the files may be replaced already and the other not yet
		}
	}
	return c
}

// Err returns what was wrong with the settings, nil if nothing.
func (s *Settings) Err() error {
	if s.err != nil {
		return s.err
	}
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if !slices.Contains(s.known, key) {
			slices.Sort(s.known)
			return fmt.Errorf("unknown setting %q; known are %s", key, strings.Join(slices.Compact(s.known), ", "))
		}
	}
	return nil
}

func (s *Settings) fail(format string, args ...any) {
	if s.err == nil {
		s.err = fmt.Errorf(format, args...)
	}
}
