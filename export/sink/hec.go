package sink

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const hecTokenVariable = "PORTWATCH_SPLUNK_TOKEN"

// The bounds of the pause between two requests for an acknowledgement. Indexers take seconds
// to give one.
const (
	firstAckPause = 50 * time.Millisecond
	lastAckPause  = 2 * time.Second
)

// A hec delivers to Splunk's HTTP Event Collector (help.splunk.com, "Format events for
// HTTP Event Collector", "About HTTP Event Collector Indexer Acknowledgment"). If the
// token has acknowledgement on, a successful answer comes with a number, and events count
// as delivered once the indexers have acknowledged it; if not, the answer is all there
// is.
type hec struct {
	http    *httpClient
	limits  Limits
	url     *url.URL
	acks    *url.URL
	timeout time.Duration

	before [kinds][]byte // what stands between an event's time and its body
	text   bool          // events are strings, not objects
}

// newHEC makes the receiver for splunk-hec+http[s]://HOST[,HOST...][/PATH]. The port is
// 8088 and the path /services/collector/event unless the URL has its own. Settings, besides
// those of every target and of every receiver over HTTP (see newBulk):
//
//	token-file=   or PORTWATCH_SPLUNK_TOKEN
//	index=        default: the token's
//	host=         default: the sensor's name, else the receiver decides
//	source=       default: portwatch
//	sourcetype=   default: portwatch:flow and portwatch:alert; for a format other than ecs,
//	              portwatch: and its name
//
// timeout= also bounds the wait for an acknowledgement.
func newHEC(t *Target) (*hec, error) {
	c, err := newHTTPClient(t, "8088")
	if err != nil {
		return nil, err
	}
	token := t.Secret("token", hecTokenVariable)
	c.login = "set token-file= or " + hecTokenVariable
	if token.Text() == "" {
		return nil, errors.New("no token: use token-file=PATH or the environment variable " + hecTokenVariable)
	}
	c.authorize("Splunk", token)
	channel := newChannel()
	c.header.Set("X-Splunk-Request-Channel", channel)
	c.header.Set("Content-Type", "application/json")
	// behind a load balancer, only the cookie takes a request to the same indexer
	if c.client.Jar, err = cookiejar.New(nil); err != nil {
		return nil, err
	}
	h := &hec{
		http: c,
		// the limit of older versions of Splunk is 1 MB, and so is that of many load balancers
		limits:  limits(t, Limits{Records: 1000, Octets: 768 << 10, Record: 768 << 10, Parallel: 8}),
		url:     &url.URL{Path: t.Path},
		timeout: t.Timeout,
		text:    !isJSON(t.Format),
	}
	if t.Path == "" || t.Path == "/" {
		h.url.Path = "/services/collector/event"
	}
	h.acks = &url.URL{Path: strings.TrimSuffix(h.url.Path, "/event") + "/ack", RawQuery: "channel=" + channel}
	host, source, index := t.Text("host", t.Observer), t.Text("source", "portwatch"), t.Text("index", "")
	sourcetype := t.Text("sourcetype", "")
	for kind := range Kind(len(h.before)) {
		typ := sourcetype
		switch {
		case typ != "":
		case t.Format == "ecs":
			typ = "portwatch:" + kind.String()
		default:
			typ = "portwatch:" + t.Format
		}
		var b []byte
		for _, field := range [][2]string{{"host", host}, {"source", source}, {"sourcetype", typ}, {"index", index}} {
			if field[1] != "" {
				b = appendString(append(b, `,"`+field[0]+`":`...), []byte(field[1]))
			}
		}
		h.before[kind] = append(b, `,"event":`...)
	}
	return h, nil
}

// newChannel returns a random UUID (RFC 9562 section 5.4), which tells our events from
// those of others.
func newChannel() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func (h *hec) Limits() Limits { return h.limits }
func (h *hec) Close() error   { return h.http.close() }

func (h *hec) Deliver(ctx context.Context, records []Record, verdicts []Verdict) error {
	return h.http.divide(records, verdicts, func(r []Record, v []Verdict) error { return h.send(ctx, r, v) })
}

// hecAnswer is what the collector says about a request.
type hecAnswer struct {
	Code    int
	Invalid *int   `json:"invalid-event-number"` // from 0
	AckID   *int64 `json:"ackId"`
}

func (h *hec) send(ctx context.Context, records []Record, verdicts []Verdict) error {
	x := h.http.get()
	defer h.http.put(x)
	x.plain = h.append(x.plain[:0], records)
	if err := h.http.post(ctx, x, h.url); err != nil {
		return err
	}
	var answer hecAnswer
	err := json.Unmarshal(x.answer.Bytes(), &answer)
	switch {
	case x.status == http.StatusBadRequest && hecBadEvent(answer.Code):
		no := &refused{at: -1, reason: h.http.failure(x).Error()}
		if answer.Invalid != nil {
			no.at = *answer.Invalid
		}
		return no
	case x.status != http.StatusOK:
		return h.http.failure(x)
	case err != nil:
		return fmt.Errorf("post to %s: answer: %w", x.host.Host, err)
	case answer.Code != 0:
		return h.http.failure(x)
	case answer.AckID != nil:
		if err := h.wait(ctx, x, *answer.AckID); err != nil {
			return err
		}
	}
	settle(verdicts, Verdict{State: Delivered})
	return nil
}

// hecNoAcks is the code for a token whose acknowledgement is off.
const hecNoAcks = 14

// hecBadEvent reports whether a code concerns an event: no data, invalid data format,
// event field missing or blank, error in indexed fields. The other codes of status 400
// concern the index, which all events share, or the channel.
func hecBadEvent(code int) bool {
	switch code {
	case 5, 6, 12, 13, 15:
		return true
	}
	return false
}

// wait asks until the indexers have acknowledged the events.
func (h *hec) wait(ctx context.Context, x *exchange, id int64) error {
	limited, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	number := strconv.FormatInt(id, 10)
	timer := time.NewTimer(firstAckPause)
	defer timer.Stop()
	for pause := firstAckPause; ; {
		select {
		case <-limited.Done():
			if errors.Is(ctx.Err(), context.Canceled) {
				return fmt.Errorf("post to %s: %w", x.host.Host, ctx.Err())
			}
			return fmt.Errorf("post to %s: no indexer acknowledgement within %v (timeout=)", x.host.Host, h.timeout)
		case <-timer.C:
		}
		x.plain = append(append(append(x.plain[:0], `{"acks":[`...), number...), "]}"...)
		if err := h.http.postTo(ctx, x, h.acks); err != nil { // the host that took the events is the one to ask
			return err
		}
		var answer struct {
			Code int
			Acks map[string]bool
		}
		err := json.Unmarshal(x.answer.Bytes(), &answer)
		switch {
		case err == nil && answer.Code == hecNoAcks:
			return nil
		case x.status != http.StatusOK:
			return h.http.failure(x)
		case err != nil:
			return fmt.Errorf("post to %s: answer: %w", x.host.Host, err)
		case answer.Acks[number]:
			return nil
		}
		pause = min(2*pause, lastAckPause)
		timer.Reset(pause)
	}
}

// append appends the events one after another. Their time is for Splunk's index, in
// microseconds; the exact times are inside the event.
func (h *hec) append(dst []byte, records []Record) []byte {
	for i := range records {
		r := &records[i]
		dst = append(dst, `{"time":`...)
		dst = appendSeconds(dst, r.Time)
		dst = append(dst, h.before[r.Kind]...)
		if h.text {
			dst = appendString(dst, r.Body)
		} else {
			dst = append(dst, r.Body...)
		}
		dst = append(dst, "}\n"...)
	}
	return dst
}

// appendSeconds appends nanoseconds as seconds, with six digits after the point.
func appendSeconds(dst []byte, ns int64) []byte {
	micros := max(ns, 0) / 1000
	dst = strconv.AppendInt(dst, micros/1e6, 10)
	from := len(dst)
	dst = strconv.AppendInt(dst, 1e6+micros%1e6, 10) // its 1 makes room for the point
	dst[from] = '.'
	return dst
}
