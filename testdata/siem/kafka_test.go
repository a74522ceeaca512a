//go:build siem

package siem

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

func TestKafka(t *testing.T) {
	s, a := serve(t, receiver.Kafka)
	// topic reads with librdkafka, by kcat
	topic := func(name, to string) place {
		return place{to: to, ids: func(t *testing.T) ids {
			return idsIn(output(t, "kcat", "-C", "-q", "-e", "-b", s.Addr("tcp"), "-t", name, "-X", "topic.auto.offset.reset=earliest"))
		}, arrange: func(t *testing.T) {
			// asking for a topic creates it, after a while
			eventually(t, 20*time.Second, func() error {
				told := output(t, "kcat", "-L", "-b", s.Addr("tcp"), "-t", name)
				for _, words := range []string{" with 0 partitions", "not available", "Unknown topic"} {
					if bytes.Contains(told, []byte(words)) {
						return fmt.Errorf("%.500q", told)
					}
				}
				return nil
			})
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
		// the broker tells its clients to connect by way of proxied
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
	t.Run("too large for the broker", func(t *testing.T) {
		const first, n, bad = 800_000, 20_000, 812_345
		const limit = 1750 // octets of a record batch; one of ours has 1,600, the odd one 1,900
		name := "small"
		if err := receiver.KafkaTopic(s.Addr("tcp"), name, "max.message.bytes", fmt.Sprint(limit)); err != nil {
			t.Fatal(err)
		}
		p := topic(name, "kafka://"+s.Addr("tcp")+"/"+name+"?compression=none")
		c := capture(t, first, n, bad)
		r := start(t, "-q", "-r", c, "--no-alerts", "--to", p.to)
		if b := r.end(); b.DeadLettered != 1 || b.Delivered != n-1 {
			t.Errorf("%+v\n%s", b, &r.err)
		}
		letters := r.deadLetters()
		want := idsOf(t, c)
		for id := range idsIn([]byte(letters)) {
			delete(want, id)
		}
		if len(want) != n-1 || !strings.Contains(letters, `"port":40000`) && !strings.Contains(letters, `\"port\":40000`) {
			t.Errorf("%d of %d records are not among the dead letters: %.500s", len(want), n, letters)
		}
		t.Logf("the reason: %s", letters[strings.Index(letters, `"reason"`):][:150])
		g.arrive(t, p, want)
	})
	t.Run("outage is told at once", func(t *testing.T) {
		p := g.plain("told", "").begin(t)
		r := start(t, "-r", "-", "--no-alerts", "--to", p.to)
		r.feed(append(fileHeader[:len(fileHeader):len(fileHeader)], packets(0, 3000, none)...))
		eventually(t, 20*time.Second, func() error {
			if len(p.ids(t)) == 0 {
				return errors.New("nothing came")
			}
			return nil
		})
		s.Kill()
		gone := time.Now()
		r.feed(packets(3000, 3000, none))
		says := func(words string) func() error {
			return func() error {
				if n := strings.Count(r.err.String(), words); n != 1 {
					return fmt.Errorf("%d times %q in %q", n, words, &r.err)
				}
				return nil
			}
		}
		eventually(t, 15*time.Second, says("cannot deliver to "))
		t.Logf("told %v after the end of the broker: %s", time.Since(gone).Round(100*time.Millisecond), &r.err)
		g.restart(t)
		eventually(t, 45*time.Second, says("is back after "))
		r.all()
		if err := says("cannot deliver to ")(); err != nil {
			t.Error(err)
		}
		g.arrive(t, p, idsOf(t, capture(t, 0, 6000, none)))
	})
	g.suite(t)
}
