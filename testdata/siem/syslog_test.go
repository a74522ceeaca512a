//go:build siem

package siem

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// messages is the place in a file that the receiver appends to.
func messages(file, to string) place {
	return place{
		to:      to,
		ids:     func(t *testing.T) ids { return idsIn(read(t, file)) },
		arrange: func(t *testing.T) { empty(t, file) },
	}
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return text
}

// empty truncates a file that its writer has open for appending.
func empty(t *testing.T, file string) {
	t.Helper()
	if err := os.Truncate(file, 0); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
}

func syslogTarget(s *receiver.Server, a receiver.Authority) *target {
	file := filepath.Join(s.Dir, "messages")
	return &target{
		server: s,
		plain: func(name, addr string) place {
			if addr == "" {
				addr = s.Addr("tcp")
			}
			to := "syslog+tcp://" + addr
			if name == "killed" {
				to += "?replay=64MiB" // more than the receiver has read and not yet written
			}
			return messages(file, to)
		},
		tls: func(_, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			return messages(file, "syslog+tls://"+s.Addr("tls")+"?ca="+ca)
		},
		cutter: func(t *testing.T, cuts int64) *proxy { return cutter(t, "127.0.0.1:0", s.Addr("tcp"), cuts, 100_000) },
	}
}

func TestRsyslog(t *testing.T)  { testSyslog(t, receiver.Rsyslog) }
func TestSyslogNG(t *testing.T) { testSyslog(t, receiver.SyslogNG) }

func testSyslog(t *testing.T, make func(string, receiver.Authority) (*receiver.Server, error)) {
	s, a := serve(t, make)
	g := syslogTarget(s, a)
	file := filepath.Join(s.Dir, "messages")
	t.Run("UDP", func(t *testing.T) {
		p := messages(file, "syslog+udp://"+s.Addr("udp")+"?max=8192").begin(t)
		start(t, "-q", "-r", office, "--no-alerts", "--to", p.to).all()
		g.arrive(t, p, idsOf(t, office))
	})
	t.Run("alerts", func(t *testing.T) {
		p := g.plain("", "").begin(t)
		start(t, "-q", "-r", office, "--to", p.to).all()
		g.arrive(t, p, idsWith(t, office))
		alerts := 0
		for line := range strings.Lines(string(read(t, file))) {
			var record struct {
				Event struct{ Kind, Action string }
			}
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Errorf("not the JSON that was sent: %v: %q", err, line)
			}
			if record.Event.Kind == "alert" {
				alerts++
			}
		}
		if alerts == 0 {
			t.Error("no alert came")
		}
	})
	t.Run("too large", func(t *testing.T) {
		const first, n = 400_000, 3000
		p := g.plain("", "").begin(t)
		c := capture(t, first, n, first+n/2)
		r := start(t, "-q", "-r", c, "--no-alerts", "--to", join(p.to, "max=1800"))
		b := r.end()
		if b.DeadLettered != 1 || b.Delivered != n-1 {
			t.Errorf("%+v", b)
		}
		want := idsOf(t, c)
		for id := range idsIn([]byte(r.deadLetters())) {
			delete(want, id)
		}
		g.arrive(t, p, want)
		if letters := r.deadLetters(); strings.Count(letters, "\n") != 1 || !strings.Contains(letters, "unauthorized") {
			t.Errorf("dead letters: %q", letters)
		}
	})
	g.suite(t)
}
