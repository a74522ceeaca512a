//go:build siem

package siem

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

func TestSplunkHEC(t *testing.T) {
	s, a := serve(t, receiver.Collector)
	file := filepath.Join(s.Dir, "hec")
	g := &target{
		server: s,
		plain: func(_, addr string) place {
			if addr == "" {
				addr = s.Addr("hec")
			}
			return messages(file, "splunk-hec+http://"+addr)
		},
		tls: func(_, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			return messages(file, "splunk-hec+https://"+s.Addr("hecs")+"?ca="+ca)
		},
		cutter:    func(t *testing.T, cuts int64) *proxy { return cutter(t, "127.0.0.1:0", s.Addr("hec"), cuts, 5000) },
		small:     "batch-records=500",
		forgetful: true, // its exporter writes a second later than the acknowledgement says
	}
	t.Run("alerts", func(t *testing.T) {
		p := g.plain("", "").begin(t)
		start(t, "-q", "-r", office, "--to", p.to).all()
		g.arrive(t, p, idsWith(t, office))
		if text := read(t, file); !bytes.Contains(text, []byte("portwatch:alert")) || !bytes.Contains(text, []byte("portwatch:flow")) {
			t.Errorf("a source type is missing: %.500s", text)
		}
	})
	g.suite(t)
	t.Run("syslog", func(t *testing.T) {
		p := messages(filepath.Join(s.Dir, "syslog"), "syslog+tcp://"+s.Addr("syslog")).begin(t)
		start(t, "-q", "-r", office, "--no-alerts", "--to", p.to).all()
		// its parser outputs the message twice, whole and as an attribute
		g.arrive(t, p, idsOf(t, office))
	})
	t.Run("OTLP", func(t *testing.T) {
		p := messages(filepath.Join(s.Dir, "otlp"), "http+http://"+s.Addr("otlp")+"?preset=otlp").begin(t)
		start(t, "-q", "-r", office, "--no-alerts", "--to", p.to).all()
		g.arrive(t, p, idsOf(t, office))
	})
}
