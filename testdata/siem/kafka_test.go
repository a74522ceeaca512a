//go:build siem

package siem

import (
	"bytes"
	"testing"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

func TestKafka(t *testing.T) {
	s, a := serve(t, receiver.Kafka)
	// topic reads with librdkafka, by kcat
	topic := func(name, to string) place {
		return place{to: to, ids: func(t *testing.T) ids {
			return idsIn(output(t, "kcat", "-C", "-q", "-e", "-b", s.Addr("tcp"), "-t", name, "-X", "topic.auto.offset.reset=earliest"))
		}, arrange: func(t *testing.T) {
			// asking for a topic makes it
			output(t, "kcat", "-L", "-b", s.Addr("tcp"), "-t", name)
		}}
	}
	g := &target{
		server: s,
		plain: func(name, addr string) place {
			if addr == "" {
				addr = s.Addr("tcp")
			}
			return topic(name, "kafka://"+addr+"/"+name)
		},
		tls: func(name, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			return topic(name, "kafka://"+s.Addr("tls")+"/"+name+"?tls=1&ca="+ca)
		},
		// the broker tells its clients to come by way of proxied
		cutter: func(t *testing.T, cuts int64) *proxy {
			return cutter(t, s.Addr("proxied"), s.Addr("behind"), cuts, 100_000)
		},
	}
	t.Run("alerts", func(t *testing.T) {
		p := g.plain("alerts", "").begin(t)
		start(t, "-q", "-r", office, "--to", p.to).all()
		g.arrive(t, p, idsWith(t, office))
		kinds := output(t, "kcat", "-C", "-q", "-e", "-b", s.Addr("tcp"), "-t", "alerts", "-f", "%h\n")
		if !bytes.Contains(kinds, []byte("kind=alert")) {
			t.Errorf("no record has the header kind=alert: %.300q", kinds)
		}
	})
	t.Run("one key, one partition", func(t *testing.T) {
		p := g.plain("keys", "").begin(t)
		start(t, "-q", "-r", office, "--no-alerts", "--to", p.to).all()
		partition := map[string]string{}
		for _, line := range bytes.Split(output(t, "kcat", "-C", "-q", "-e", "-b", s.Addr("tcp"), "-t", "keys", "-f", "%k %p\n"), []byte("\n")) {
			key, where, found := bytes.Cut(line, []byte(" "))
			if !found {
				continue
			}
			if !bytes.HasPrefix(key, []byte("1:")) {
				t.Errorf("%q is no Community ID", key)
			}
			if before, known := partition[string(key)]; known && before != string(where) {
				t.Errorf("%s is in the partitions %s and %s", key, before, where)
			}
			partition[string(key)] = string(where)
		}
		if len(partition) == 0 {
			t.Error("no keys")
		}
	})
	g.suite(t)
}
