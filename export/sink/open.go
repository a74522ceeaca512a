package sink

import (
	"fmt"
	"strings"
)

// schemes are those that newReceiver knows.
var schemes = []string{
	"syslog+tcp", "syslog+tls", "syslog+udp", "syslog+unix",
	"opensearch+https", "opensearch+http", "elasticsearch+https", "elasticsearch+http",
	"splunk-hec+https", "splunk-hec+http",
	"http+https", "http+http",
	"kafka",
}

// newReceiver makes the receiver for a target's scheme. No constructor connects: a
// receiver that is down at the start is waited for like any other.
func newReceiver(t *Target) (Receiver, error) {
	switch t.Scheme {
	case "opensearch+https", "opensearch+http", "elasticsearch+https", "elasticsearch+http":
		return newBulk(t)
	case "splunk-hec+https", "splunk-hec+http":
		return newHEC(t)
	case "http+https", "http+http":
		return newPost(t)
	case "kafka":
		return newKafka(t)
	case "syslog+tcp", "syslog+tls", "syslog+udp", "syslog+unix":
		return newSyslog(t)
	}
	return nil, fmt.Errorf("unknown destination; known are %s", strings.Join(schemes, ", "))
}

// Open parses a sink's URL and makes its receiver, without connecting. No error contains
// the user. observer and version fill the Target's fields of the same names.
func Open(to, observer, version string) (*Target, Receiver, error) {
	t, err := parseTarget(to)
	if err != nil {
		return nil, nil, err
	}
	t.Observer, t.Version = observer, version
	r, err := newReceiver(t)
	switch {
	case t.err != nil:
		err = t.err // else a secret that cannot be read would be called missing
	case err == nil:
		err = t.Err()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.Name, err)
	}
	return t, r, nil
}
