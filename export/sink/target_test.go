package sink

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseTarget(t *testing.T) {
	for _, test := range []struct {
		to, user, path, name string
		hosts                []string
	}{
		{"kafka://h1:9092,h2:9092/flows", "", "/flows", "kafka://h1:9092,h2:9092/flows", []string{"h1:9092", "h2:9092"}},
		{"opensearch+https://us%40er@[::1]:9200/a%20b?name=x", "us@er", "/a b", "x", []string{"[::1]:9200"}},
		{"syslog+tcp://[fe80::1%25eth0]:514", "", "", "syslog+tcp://[fe80::1%25eth0]:514", []string{"[fe80::1%eth0]:514"}},
		{"syslog+unix:///dev/log", "", "/dev/log", "syslog+unix:///dev/log", nil},
		{"syslog+udp://h?name=", "", "", "syslog+udp://h", []string{"h"}},
		{"syslog+udp://h", "", "", "syslog+udp://h", []string{"h"}},
	} {
		got, err := parseTarget(test.to)
		if err != nil {
			t.Errorf("%s: %v", test.to, err)
			continue
		}
		if got.User != test.user || got.Path != test.path || got.Name != test.name || !slices.Equal(got.Hosts, test.hosts) {
			t.Errorf("%s: %+v", test.to, got)
		}
	}
}

func TestTargetSettings(t *testing.T) {
	got, err := parseTarget("kafka://h/t?overflow=drop-oldest&queue=1MiB&retry-for=1h&timeout=5s&format=ocsf&tls=1")
	if err != nil {
		t.Fatal(err)
	}
	if got.Overflow != DropOldest || got.Queue != 1<<20 || got.RetryFor != time.Hour || got.Timeout != 5*time.Second ||
		got.Format != "ocsf" || !got.Flag("tls") || got.Err() != nil {
		t.Errorf("%+v: %v", got, got.Err())
	}
}

func TestTargetErrors(t *testing.T) {
	for to, want := range map[string]string{
		"nonsense":                  "not of the form",
		"kafka://u:pass@h/t":        "password in the URL",
		"kafka://u:a/pass@h/t":      "password in the URL",
		"kafka://u:a?pass@h/t":      "password in the URL",
		"kafka://h:x/t":             "cannot read the host",
		"kafka://h:1:2/t":           "cannot read the host",
		"kafka://h%25eth0/t":        "cannot read the host",
		"kafka://h/t?%zz":           "question mark",
		"kafka://h/t?name=a&name=b": "2 times",
		"carrier-pigeon://h/t":      "unknown destination",
		"kafka://a/%zz?overflow=x":  "cannot read the path",
	} {
		_, _, err := Open(to, "", "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", to, err, want)
		} else if strings.Contains(err.Error(), "pass@") || strings.Contains(err.Error(), "u:a") {
			t.Errorf("%s: the error tells the password: %v", to, err)
		}
	}
}

// TestOneMessage: of several bad settings the same one is named each time.
func TestOneMessage(t *testing.T) {
	for to, want := range map[string]string{
		"kafka://h/t?z=1&y=1&x=1":             `unknown setting "x"`,
		"kafka://h/t?z=1&y=1&x=1&x=2&y=2&z=2": `the setting "x"`,
	} {
		for range 20 {
			if _, _, err := Open(to, "", ""); err == nil || !strings.Contains(err.Error(), want) {
				t.Fatalf("%s: %v, want %q", to, err, want)
			}
		}
	}
}
