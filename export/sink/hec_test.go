package sink

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"
)

// The codes are those of Splunk's "Troubleshoot HTTP Event Collector".
func TestHECAnswers(t *testing.T) {
	for _, a := range []answered{
		{"success", 200, `{"text":"Success","code":0}`, "DDD", ""},
		{"token-disabled", 403, `{"text":"Token disabled","code":1}`, "PPP", "set token-file= or PORTWATCH_SPLUNK_TOKEN"},
		{"invalid-token", 403, `{"text":"Invalid token","code":4}`, "PPP", "Invalid token"},
		{"no-data", 400, `{"text":"No data","code":5}`, "RRR", ""},
		{"wrong-index", 400, `{"text":"Incorrect index","code":7,"invalid-event-number":0}`, "PPP", "Incorrect index"},
		{"server-error", 500, `{"text":"Internal server error","code":8}`, "PPP", "Internal server error"},
		{"busy", 503, `{"text":"Server is busy","code":9}`, "PPP", "503 Service Unavailable"},
		{"no-channel", 400, `{"text":"Data channel is missing","code":10}`, "PPP", "Data channel is missing"},
		{"none-of-ours", 400, `{"text":"Invalid data format","code":6,"invalid-event-number":3}`, "RRR", ""},
		{"below-all", 400, `{"text":"Invalid data format","code":6,"invalid-event-number":-1}`, "RRR", ""},
		{"no-event", 400, `{"text":"Event field is required","code":12}`, "RRR", ""},
		{"queue-full", 429, `{"text":"Server is busy","code":26}`, "PPP", "429"},
		{"event-while-busy", 503, `{"text":"Invalid data format","code":6}`, "PPP", "503"},
		{"code-in-success", 200, `{"text":"Server is busy","code":9}`, "PPP", "Server is busy"},
		{"not-json", 200, `<html>`, "PPP", "answer: invalid character"},
		{"empty", 200, ``, "PPP", "answer: unexpected end"},
	} {
		a.test(t, "splunk-hec", "?index=main")
	}
}

// A hecEvent is what the collector reads of an event.
type hecEvent struct {
	Time                            json.Number
	Host, Source, Sourcetype, Index string
	Event                           json.RawMessage
}

// A collector keeps to the protocol, indexer acknowledgement included.
type collector struct {
	t       *testing.T
	after   int // questions until an event is acknowledged
	noAcks  bool
	invalid string // an event with this in it is refused
	prefix  string // of the path
	channel string
	asked   map[int64]int
	events  []hecEvent
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	channel := r.Header.Get("X-Splunk-Request-Channel")
	if !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(channel) {
		c.t.Errorf("channel %q is no UUID", channel)
	}
	if c.channel == "" {
		c.channel = channel
	}
	if channel != c.channel || r.Header.Get("Authorization") != "Splunk hec-token" || r.Method != "POST" || r.Header.Get("Content-Type") != "application/json" {
		c.t.Errorf("%s %s with channel %q, want %q, and %v", r.Method, r.URL, channel, c.channel, r.Header)
	}
	text := requestText(c.t, r)
	if bytes.Contains(text, []byte(`":""`)) {
		c.t.Errorf("an empty field: %s", text)
	}
	switch r.URL.Path {
	case c.prefix + "/services/collector/event":
		c.take(w, text)
	case c.prefix + "/services/collector/ack":
		if cookie, err := r.Cookie("indexer"); err != nil || cookie.Value != "3" || r.URL.Query().Get("channel") != c.channel {
			c.t.Errorf("cookie %v: %v; %s", cookie, err, r.URL)
		}
		c.acknowledge(w, text)
	default:
		http.NotFound(w, r)
	}
}

func (c *collector) take(w http.ResponseWriter, text []byte) {
	var events []hecEvent
	d := json.NewDecoder(bytes.NewReader(text))
	for {
		var e hecEvent
		if err := d.Decode(&e); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			c.t.Errorf("event %d: %v", len(events), err)
			break
		}
		if c.invalid != "" && bytes.Contains(e.Event, []byte(c.invalid)) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprintf(w, `{"text":"Invalid data format","code":6,"invalid-event-number":%d}`, len(events))
			return
		}
		events = append(events, e)
	}
	c.events = append(c.events, events...)
	id := int64(len(c.asked))
	c.asked[id] = 0
	http.SetCookie(w, &http.Cookie{Name: "indexer", Value: "3"})
	fmt.Fprintf(w, `{"text":"Success","code":0,"ackId":%d}`, id)
}

func (c *collector) acknowledge(w http.ResponseWriter, text []byte) {
	if c.noAcks {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, `{"text":"ACK is disabled","code":14}`)
		return
	}
	var asked struct{ Acks []int64 }
	if err := json.Unmarshal(text, &asked); err != nil || len(asked.Acks) != 1 {
		c.t.Errorf("%s: %v", text, err)
		return
	}
	id := asked.Acks[0]
	c.asked[id]++
	fmt.Fprintf(w, `{"acks":{"%d":%t}}`, id, c.asked[id] > c.after)
}

func newCollector(t *testing.T, rest string) (*collector, Receiver) {
	c := &collector{t: t, asked: make(map[int64]int)}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	return c, openHTTP(t, server, "splunk-hec", rest)
}

func TestHECAcknowledged(t *testing.T) {
	c, r := newCollector(t, "PATH/proxy/services/collector/event?index=net")
	c.prefix, c.after = "/proxy", 2
	records := testRecords(3)
	got, _, err := deliver(t, r, records)
	if got != "DDD" || err != nil || c.asked[0] != 3 {
		t.Errorf("%s: %v after %d questions, want 3", got, err, c.asked[0])
	}
	if len(c.events) != 3 {
		t.Fatalf("%d events", len(c.events))
	}
	for i, e := range c.events {
		want := hecEvent{"1700000000.123456", "sensor", "portwatch", "portwatch:" + records[i].Kind.String(), "net", records[i].Body}
		if fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("event %+v, want %+v", e, want)
		}
	}
}

// TestHECNeverAcknowledged has an indexer that never acknowledges.
func TestHECNeverAcknowledged(t *testing.T) {
	c, r := newCollector(t, "?timeout=300ms")
	c.after = 1 << 30
	began := time.Now()
	got, _, err := deliver(t, r, testRecords(2))
	if got != "PP" || err == nil || !strings.Contains(err.Error(), "no indexer acknowledgement within 300ms") || c.asked[0] < 2 {
		t.Errorf("%s: %v after %d questions", got, err, c.asked[0])
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("took %v", took)
	}
}

// TestHECAckDisabled has a token whose acknowledgement was turned off in the meantime.
func TestHECAckDisabled(t *testing.T) {
	c, r := newCollector(t, "PATH/")
	c.noAcks = true
	if got, _, err := deliver(t, r, testRecords(2)); got != "DD" || err != nil {
		t.Errorf("%s: %v", got, err)
	}
}

// TestHECAckFails: events are not delivered while nobody says that they are acknowledged.
func TestHECAckFails(t *testing.T) {
	for _, test := range []struct {
		status     int // 0: the connection is cut, 1: the run ends
		body, want string
	}{
		{503, `{"text":"Server is busy","code":9}`, "503"}, {404, `{"acks":{"7":true}}`, "404"},
		{200, "<html>", "answer: invalid character"}, {0, "", "EOF"}, {1, "", "context canceled"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			switch {
			case !strings.HasSuffix(r.URL.Path, "/ack"):
				io.WriteString(w, `{"text":"Success","code":0,"ackId":7}`)
			case test.status == 0:
				panic(http.ErrAbortHandler)
			case test.status == 1:
				io.WriteString(w, `{"acks":{"7":false}}`)
				cancel()
			default:
				w.WriteHeader(test.status)
				io.WriteString(w, test.body)
			}
		}))
		defer server.Close()
		verdicts := make([]Verdict, 2)
		err := openHTTP(t, server, "splunk-hec", "").Deliver(ctx, testRecords(2), verdicts)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%d %s: %v, want %q", test.status, test.body, err, test.want)
		}
		allAre(t, verdicts, Pending)
	}
}

// TestHECInvalidEvent has the events that the collector points to: they alone are
// rejected, and all others arrive once.
func TestHECInvalidEvent(t *testing.T) {
	c, r := newCollector(t, "")
	c.invalid = "poison"
	records := testRecords(100)
	for _, i := range []int{0, 40, 99} {
		records[i].Body = []byte(`{"poison":1}`)
	}
	got, verdicts, err := deliver(t, r, records)
	want := "R" + strings.Repeat("D", 39) + "R" + strings.Repeat("D", 58) + "R"
	if got != want || err != nil || len(c.events) != 97 || len(c.asked) != 2 { // what is between the three
		t.Errorf("%v, %d events in %d requests: %s", err, len(c.events), len(c.asked), got)
	}
	if !strings.Contains(verdicts[40].Reason, "Invalid data format") {
		t.Error(verdicts[40].Reason)
	}
}

// TestHECText has a format that is not JSON: the event is a string.
func TestHECText(t *testing.T) {
	for setting, sourcetype := range map[string]string{"": "portwatch:leef", "&sourcetype=a:b": "a:b"} {
		c, r := newCollector(t, "?format=leef&host=h&source=s"+setting)
		record := testRecords(1)
		record[0].Body = []byte("LEEF:2.0|portwatch|\tsrc=\"x\"")
		if got, _, err := deliver(t, r, record); got != "D" || err != nil {
			t.Fatalf("%s: %v", got, err)
		}
		want := hecEvent{"1700000000.123456", "h", "s", sourcetype, "", []byte(`"LEEF:2.0|portwatch|\u0009src=\"x\""`)}
		if fmt.Sprint(c.events[0]) != fmt.Sprint(want) {
			t.Errorf("event %+v, want %+v", c.events[0], want)
		}
	}
}

func TestHECChannel(t *testing.T) {
	if a := newChannel(); a == newChannel() {
		t.Errorf("two of %s", a)
	}
}

func TestAppendSeconds(t *testing.T) {
	for ns, want := range map[int64]string{
		0: "0.000000", 999: "0.000000", 1000: "0.000001", -5e9: "0.000000", 1700000000123456789: "1700000000.123456",
		1999999999999999: "1999999.999999", 1<<63 - 1: "9223372036.854775",
	} {
		if got := string(appendSeconds([]byte("x"), ns)); got != "x"+want {
			t.Errorf("%d: %s, want %s", ns, got, want)
		}
	}
}
