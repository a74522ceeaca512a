//go:build siem

package siem

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// search talks to OpenSearch.
type search struct{ url string }

// do sends a request and returns the answer, whose status must be below 300.
func (s search) do(t *testing.T, method, path string, body string) []byte {
	t.Helper()
	status, text := s.try(t, method, path, body)
	if status >= 300 {
		t.Fatalf("%s %s: status %d: %.500s", method, path, status, text)
	}
	return text
}

func (s search) try(t *testing.T, method, path, body string) (int, []byte) {
	t.Helper()
	q, err := http.NewRequest(method, s.url+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	q.Header.Set("Content-Type", "application/json")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, text
}

// ids asks for event.id of every record of a data stream.
func (s search) ids(t *testing.T, stream string) ids {
	t.Helper()
	found := ids{}
	if status, _ := s.try(t, "POST", "/"+stream+"/_refresh", ""); status == http.StatusNotFound {
		return found
	}
	type page struct {
		Scroll string `json:"_scroll_id"`
		Hits   struct {
			Hits []struct {
				ID     string              `json:"_id"`
				Fields map[string][]string `json:"fields"`
			}
		}
	}
	next := s.do(t, "POST", "/"+stream+"/_search?scroll=1m",
		`{"size": 10000, "_source": false, "docvalue_fields": ["event.id"], "sort": ["_doc"], "query": {"term": {"event.kind": "event"}}}`)
	for {
		var p page
		if err := json.Unmarshal(next, &p); err != nil {
			t.Fatal(err)
		}
		if len(p.Hits.Hits) == 0 {
			s.do(t, "DELETE", "/_search/scroll", fmt.Sprintf(`{"scroll_id": %q}`, p.Scroll))
			return found
		}
		for _, hit := range p.Hits.Hits {
			id := fmt.Sprint(hit.Fields["event.id"])
			if id != "["+hit.ID+"]" {
				t.Fatalf("_id %s, event.id %s", hit.ID, id)
			}
			found[hit.ID]++
		}
		next = s.do(t, "POST", "/_search/scroll", fmt.Sprintf(`{"scroll": "1m", "scroll_id": %q}`, p.Scroll))
	}
}

// count asks how many records of a data stream a query finds.
func (s search) count(t *testing.T, stream, query string) int {
	t.Helper()
	s.do(t, "POST", "/"+stream+"/_refresh", "")
	var answer struct{ Count int }
	if err := json.Unmarshal(s.do(t, "GET", "/"+stream+"/_count", `{"query": `+query+`}`), &answer); err != nil {
		t.Fatal(err)
	}
	return answer.Count
}

func template(t *testing.T, name string) string {
	t.Helper()
	return string(output(t, portwatch, "template", name))
}

func TestOpenSearch(t *testing.T) {
	s, a := serve(t, func(dir string, _ receiver.Authority) (*receiver.Server, error) { return receiver.OpenSearch(dir) })
	db := search{"http://" + s.Addr("http")}
	db.do(t, "PUT", "/_index_template/portwatch", template(t, "opensearch"))
	front := terminate(t, a.Cert, a.Key, s.Addr("http")) // OpenSearch has TLS in a plugin
	stream := func(name, scheme, addr string) place {
		name = "portwatch-" + name
		return place{to: "opensearch+" + scheme + "://" + addr + "/" + name, ids: func(t *testing.T) ids { return db.ids(t, name) }}
	}
	g := &target{
		server: s,
		plain: func(name, addr string) place {
			if addr == "" {
				addr = s.Addr("http")
			}
			return stream(name, "http", addr)
		},
		tls: func(name, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			p := stream(name, "https", front.addr)
			p.to += "?ca=" + ca
			return p
		},
		cutter: func(t *testing.T, cuts int64) *proxy { return cutter(t, "127.0.0.1:0", s.Addr("http"), cuts, 5000) },
		small:  "batch-records=500",
	}

	t.Run("types", func(t *testing.T) {
		p := g.plain("types", "")
		start(t, "-q", "-r", office, "--to", p.to).all()
		records := output(t, portwatch, "-q", "-r", office, "-o", "ecs", "--no-alerts")
		// what the records say must agree with what the receiver's own types find
		expect := map[string]int{}
		for line := range bytes.Lines(records) {
			var r struct {
				Source    struct{ Bytes int }
				Network   struct{ Type string }
				Portwatch struct{ Findings []any }
			}
			if err := json.Unmarshal(line, &r); err != nil {
				t.Fatal(err)
			}
			expect[r.Network.Type]++
			if r.Source.Bytes >= 1000 {
				expect["large"]++
			}
			if len(r.Portwatch.Findings) > 0 {
				expect["findings"]++
			}
			expect["all"]++
		}
		const flows = `{"bool": {"filter": [{"term": {"event.kind": "event"}}, %s]}}`
		for _, c := range []struct {
			name, query string
			want        int
		}{
			{"an ip in a network of IPv4", `{"term": {"source.ip": "0.0.0.0/0"}}`, expect["ipv4"]},
			{"an ip in a network of IPv6", `{"term": {"source.ip": "2000::/3"}}`, expect["ipv6"]},
			{"a number in a range", `{"range": {"source.bytes": {"gte": 1000}}}`, expect["large"]},
			{"a time in a range", `{"range": {"event.end": {"gte": "2000-01-01T00:00:00.000000001Z", "lt": "now"}}}`, expect["all"]},
			{"a keyword as it is", `{"term": {"network.type": "ipv6"}}`, expect["ipv6"]},
			{"a finding", `{"exists": {"field": "portwatch.findings.rule"}}`, expect["findings"]},
		} {
			n := db.count(t, "portwatch-types", fmt.Sprintf(flows, c.query))
			if n != c.want || n == 0 {
				t.Errorf("%s: %d records, want %d", c.name, n, c.want)
			}
		}
		if n := db.count(t, "portwatch-types", `{"term": {"event.kind": "alert"}}`); n == 0 {
			t.Error("no alert is found")
		}
		var mapping map[string]struct {
			Mappings map[string]struct {
				Mapping map[string]struct{ Type string }
			}
		}
		fields := map[string]string{"source.ip": "ip", "destination.ip": "ip", "source.port": "long", "source.bytes": "long", "@timestamp": "date_nanos"}
		if err := json.Unmarshal(db.do(t, "GET", "/portwatch-types/_mapping/field/*", ""), &mapping); err != nil {
			t.Fatal(err)
		}
		for _, index := range mapping {
			for field, want := range fields {
				for _, m := range index.Mappings[field].Mapping {
					if m.Type != want {
						t.Errorf("%s is of type %s, want %s", field, m.Type, want)
					}
				}
				if len(index.Mappings[field].Mapping) == 0 {
					t.Errorf("%s has no mapping", field)
				}
			}
		}
	})
	t.Run("twice is once", func(t *testing.T) {
		p := g.plain("twice", "")
		for range 2 {
			start(t, "-q", "-r", office, "--no-alerts", "--to", p.to).all()
		}
		g.arrive(t, p, idsOf(t, office))
	})
	t.Run("one poisoned record", func(t *testing.T) {
		const first, n, bad = 500_000, 100_000, 543_210
		p := g.plain("poison", "")
		// the same template, but a port of 40000 does not fit a short
		poisoned := strings.Replace(template(t, "opensearch"), `"portwatch-*"`, `"portwatch-poison"`, 1)
		poisoned = strings.Replace(poisoned, `"priority": 500`, `"priority": 600`, 1)
		var object map[string]any
		if err := json.Unmarshal([]byte(poisoned), &object); err != nil {
			t.Fatal(err)
		}
		source := object["template"].(map[string]any)["mappings"].(map[string]any)["properties"].(map[string]any)["source"]
		source.(map[string]any)["properties"].(map[string]any)["port"] = map[string]string{"type": "short"}
		text, err := json.Marshal(object)
		if err != nil {
			t.Fatal(err)
		}
		db.do(t, "PUT", "/_index_template/poison", string(text))
		c := capture(t, first, n, bad)
		r := start(t, "-q", "-r", c, "--no-alerts", "--to", p.to)
		b := r.end()
		if b.DeadLettered != 1 || b.Delivered != n-1 {
			t.Errorf("%+v", b)
		}
		letters := idsIn([]byte(r.deadLetters()))
		want := idsOf(t, c)
		if len(letters) != 1 {
			t.Errorf("%d dead letters", len(letters))
		}
		for id := range letters {
			delete(want, id)
		}
		g.arrive(t, p, want)
	})
	t.Run("disk full", func(t *testing.T) {
		const first, n = 700_000, 6000
		p := g.plain("full", "")
		r := start(t, "-r", "-", "--no-alerts", "--to", p.to)
		r.feed(append(fileHeader[:len(fileHeader):len(fileHeader)], packets(first, n/2, none)...))
		eventually(t, 20*time.Second, func() error {
			if status, _ := db.try(t, "GET", "/portwatch-full", ""); status != http.StatusOK {
				return fmt.Errorf("no data stream yet: status %d", status)
			}
			return nil
		})
		// No disk has so much room: to OpenSearch's own watch, all of them are full.
		const watermarks = `{"persistent": {"cluster.routing.allocation.disk": {"threshold_enabled": %s, "watermark": {"low": %s, "high": %[2]s, "flood_stage": %[2]s}}, "cluster.info.update.interval": %[3]s}}`
		db.do(t, "PUT", "/_cluster/settings", fmt.Sprintf(watermarks, "true", `"1000tb"`, `"10s"`))
		blocked := func(want bool) func() error {
			return func() error {
				has := bytes.Contains(db.do(t, "GET", "/portwatch-full/_settings", ""), []byte(`"read_only_allow_delete":"true"`))
				if has != want {
					return fmt.Errorf("read-only: %v", has)
				}
				return nil
			}
		}
		eventually(t, time.Minute, blocked(true))
		before := len(p.ids(t))
		r.feed(packets(first+n/2, n/2, none))
		time.Sleep(3 * time.Second)
		if after := len(p.ids(t)); after != before {
			t.Errorf("%d records came while the disk was full", after-before)
		}
		db.do(t, "PUT", "/_cluster/settings", fmt.Sprintf(watermarks, "null", "null", "null"))
		db.do(t, "PUT", "/_all/_settings", `{"index.blocks.read_only_allow_delete": null}`)
		b := r.all()
		if b.Retries == 0 {
			t.Errorf("nothing was tried again: %+v", b)
		}
		g.arrive(t, p, idsOf(t, capture(t, first, n, none)))
	})
	g.suite(t)
}
