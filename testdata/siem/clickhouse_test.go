//go:build siem

package siem

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// ask sends one statement to ClickHouse and returns its answer.
func ask(t *testing.T, s *receiver.Server, statement string) string {
	t.Helper()
	r, err := http.Post("http://"+s.Addr("http")+"/", "text/plain", strings.NewReader(statement))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%.200s: %v, status %d: %.500s", statement, err, r.StatusCode, text)
	}
	return strings.TrimSpace(string(text))
}

func TestClickHouse(t *testing.T) {
	s, a := serve(t, receiver.ClickHouse)
	ddl := template(t, "clickhouse")
	// database is the place in a database of its own, with the template's tables.
	database := func(name, to, ca string) place {
		settings := url.Values{"preset": {"clickhouse"}, "table": {name + ".portwatch"}}
		if ca != "" {
			settings.Set("ca", ca)
		}
		return place{
			to: to + "/?" + settings.Encode(),
			ids: func(t *testing.T) ids {
				found := ids{}
				for id := range strings.FieldsSeq(ask(t, s, "SELECT event_id FROM "+name+".portwatch_records WHERE event_kind = 'event'")) {
					found[id]++
				}
				return found
			},
			arrange: func(t *testing.T) {
				ask(t, s, "CREATE DATABASE "+name)
				q := url.Values{"database": {name}}.Encode()
				for statement := range strings.SplitSeq(ddl, ";\n") {
					if strings.TrimSpace(statement) == "" {
						continue
					}
					r, err := http.Post("http://"+s.Addr("http")+"/?"+q, "text/plain", strings.NewReader(statement))
					if err != nil {
						t.Fatal(err)
					}
					text, _ := io.ReadAll(r.Body)
					r.Body.Close()
					if r.StatusCode != http.StatusOK {
						t.Fatalf("status %d: %.500s", r.StatusCode, text)
					}
				}
			},
		}
	}
	g := &target{
		server: s,
		plain: func(name, addr string) place {
			if addr == "" {
				addr = s.Addr("http")
			}
			return database(name, "http+http://"+addr, "")
		},
		tls: func(name, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			return database(name, "http+https://"+s.Addr("https"), ca)
		},
		cutter: func(t *testing.T, cuts int64) *proxy { return cutter(t, "127.0.0.1:0", s.Addr("http"), cuts, 5000) },
		small:  "batch-records=500",
	}
	t.Run("types", func(t *testing.T) {
		p := g.plain("types", "").begin(t)
		start(t, "-q", "-r", office, "--to", p.to).all()
		g.arrive(t, p, idsOf(t, office))
		for _, c := range []struct{ name, where string }{
			{"an address of IPv4", "network_type = 'ipv4' AND IPv4NumToString(IPv4StringToNum(source_ip)) = source_ip"},
			{"an address of IPv6", "network_type = 'ipv6' AND IPv6NumToString(IPv6StringToNum(source_ip)) = source_ip"},
			{"a number in a range", "source_bytes + destination_bytes = network_bytes AND network_bytes > 1000"},
			{"a time", "timestamp > toDateTime('2000-01-01 00:00:00') AND intDiv(event_end, 1000000000) = toUnixTimestamp(timestamp)"},
			{"a tag", "has(tags, 'unregistered-port')"},
			{"an alert", "event_kind = 'alert'"},
		} {
			if n := ask(t, s, "SELECT count() FROM types.portwatch_records WHERE "+c.where); n == "0" {
				t.Errorf("%s: nothing is found", c.name)
			}
		}
		wrong := ask(t, s, "SELECT count() FROM types.portwatch_records WHERE event_kind = 'event' AND (network_type = 'ipv4') != (IPv4NumToString(IPv4StringToNum(source_ip)) = source_ip)")
		if wrong != "0" {
			t.Errorf("%s addresses are none", wrong)
		}
	})
	t.Run("one poisoned record", func(t *testing.T) {
		const first, n, bad = 500_000, 100_000, 543_210
		p := g.plain("poison", "").begin(t)
		// a view that cannot take a port of 40000 refuses the insert
		ask(t, s, "CREATE MATERIALIZED VIEW poison.guard ENGINE = Null AS SELECT toUInt8(if(position(raw, '\"port\":40000') = 0, '1', 'none')) AS one FROM poison.portwatch")
		c := capture(t, first, n, bad)
		r := start(t, "-q", "-r", c, "--no-alerts", "--to", p.to)
		b := r.end()
		if b.DeadLettered != 1 || b.Delivered != n-1 {
			t.Errorf("%+v\n%s", b, &r.err)
		}
		want := idsOf(t, c)
		for id := range idsIn([]byte(r.deadLetters())) {
			delete(want, id)
		}
		if len(want) != n-1 {
			t.Errorf("%d of %d records are not among the dead letters", len(want), n)
		}
		g.arrive(t, p, want)
	})
	g.suite(t)
}
