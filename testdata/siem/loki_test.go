//go:build siem

package siem

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// A lokiClient queries Loki for what packets produces.
type lokiClient struct {
	*http.Client
	api string
}

// A lokiAnswer has streams of lines, or metrics with one value each.
type lokiAnswer []struct {
	Stream, Metric map[string]string
	Values         [][2]string // time, line
	Value          []any       // time, number
}

// query sends a LogQL query to the endpoint query or query_range, with its settings.
func (c lokiClient) query(t *testing.T, endpoint, query string, settings ...string) lokiAnswer {
	t.Helper()
	values := url.Values{"query": {query}}
	for i := 0; i < len(settings); i += 2 {
		values.Set(settings[i], settings[i+1])
	}
	r, err := c.Get(c.api + endpoint + "?" + values.Encode())
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Data struct{ Result lokiAnswer } }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", query, r.Status, err)
	}
	return answer.Data.Result
}

// lines reads all lines of a query, in pages.
func (c lokiClient) lines(t *testing.T, query string, see func(labels map[string]string, at int64, line string)) {
	t.Helper()
	const most = 1000
	for from := int64(1_700_000_000e9); ; {
		n := 0
		for _, stream := range c.query(t, "query_range", query, "direction", "forward", "limit", strconv.Itoa(most),
			"start", strconv.FormatInt(from, 10), "end", "1700086400000000000") {
			for _, v := range stream.Values {
				at, err := strconv.ParseInt(v[0], 10, 64)
				if err != nil {
					t.Fatal(err)
				}
				see(stream.Stream, at, v[1])
				from = max(from, at+1) // no two Flows of packets have the same time
				n++
			}
		}
		if n < most {
			return
		}
	}
}

func TestLoki(t *testing.T) {
	s, a := serve(t, receiver.Loki)
	client, err := a.Client()
	if err != nil {
		t.Fatal(err)
	}
	c := lokiClient{client, "https://" + s.Addr("https") + "/loki/api/v1/"}
	push := func(name, ca string) place {
		return place{
			to: "http+https://" + s.Addr("https") + "/?preset=loki&labels=test:" + name + "&ca=" + ca,
			ids: func(t *testing.T) ids {
				found := ids{}
				c.lines(t, `{test="`+name+`", dataset="portwatch.flow"}`, func(_ map[string]string, _ int64, line string) {
					for id := range idsIn([]byte(line)) {
						found[id]++
					}
				})
				return found
			},
		}
	}
	g := &target{
		server: s,
		plain:  func(name, _ string) place { return push(name, a.CA) },
		tls: func(name, ca string) place {
			if ca == "" {
				ca = a.CA
			}
			return push(name, ca)
		},
		ordered: true,
	}
	t.Run("types", func(t *testing.T) {
		const n, odd = 1000, 500
		sample := capture(t, 0, n, odd)
		p := g.plain("types", "")
		start(t, "-q", "-r", sample, "--observer", "edge", "--to", p.to).all()
		g.arrive(t, p, idsWith(t, sample, "--observer", "edge", "--no-alerts"))
		c.lines(t, `{service_name="portwatch", test="types"}`, func(labels map[string]string, at int64, line string) {
			var record struct {
				Time  string `json:"@timestamp"`
				Event struct{ Dataset string }
			}
			if err := json.Unmarshal([]byte(line), &record); err != nil {
				t.Fatalf("not the JSON that was sent: %v: %q", err, line)
			}
			if len(labels) != 4 || labels["dataset"] != record.Event.Dataset || labels["observer"] != "edge" {
				t.Errorf("labels %v", labels)
			}
			if stamp, err := time.Parse(time.RFC3339Nano, record.Time); err != nil || stamp.UnixNano() != at {
				t.Errorf("a record of %s is at %d", record.Time, at)
			}
		})
		at := []string{"time", "1700000100"}
		// each packet has 28 octets; only a number can be summed
		octets := c.query(t, "query", `sum by (portwatch_destination_port_class) (sum_over_time({test="types", dataset="portwatch.flow"} | json | unwrap network_bytes [5m]))`, at...)
		got := map[string]any{}
		for _, o := range octets {
			got[o.Metric["portwatch_destination_port_class"]] = o.Value[1]
		}
		if got["system"] != strconv.Itoa(28*(n-1)) || got["user"] != "28" || len(got) != 2 {
			t.Errorf("octets by class: %v", got)
		}
		if found := c.query(t, "query", `sum(count_over_time({test="types", dataset="portwatch.flow"} | json | destination_port >= 1024 [5m]))`, at...); len(found) != 1 || found[0].Value[1] != "1" {
			t.Errorf("records of ports from 1024 on: %v, want one", found)
		}
		alerts := 0
		c.lines(t, `{test="types", dataset="portwatch.alert"} | json | line_format "{{.event_reason}} {{.destination_ip}}"`, func(_ map[string]string, _ int64, line string) {
			alerts++
			t.Log(line)
		})
		if alerts == 0 {
			t.Error("no alert is found")
		}
		if found := c.query(t, "query", `count_over_time({test="types"} |= "unauthorized-use-reported" [5m])`, at...); len(found) != 2 {
			t.Errorf("the finding is in %d streams, want the records' and the alerts'", len(found))
		}
	})
	g.suite(t)
}
