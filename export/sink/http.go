package sink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
)

const (
	httpPasswordVariable = "PORTWATCH_HTTP_PASSWORD"
	httpTokenVariable    = "PORTWATCH_HTTP_TOKEN"
)

// A post delivers over HTTP to any server that takes a body of records and confirms it
// with its status: lines as they are, or in the form that a preset gives them.
type post struct {
	http   *httpClient
	limits Limits
	url    atomic.Pointer[url.URL]
	preset preset
}

// A preset is the protocol of one kind of receiver.
type preset interface {
	// append appends the body for the records.
	append(dst []byte, records []Record) []byte
	// judge reads an answer. If it is not done, the status decides.
	judge(p *post, x *exchange, verdicts []Verdict) (done bool, err error)
}

// errAnotherWay is how judge says that nothing was taken, and that the next request will
// be different.
var errAnotherWay = errors.New("another way is tried")

// newPost makes the receiver for http+http[s]://[USER@]HOST[:PORT][,HOST...][/PATH].
// Settings, besides those of every target and of every receiver over HTTP (see newBulk):
//
//	password-file=   the user's password; or PORTWATCH_HTTP_PASSWORD
//	token-file=      a bearer token, instead of a user; or PORTWATCH_HTTP_TOKEN
//	preset=          lines, clickhouse, loki or otlp, whose settings are in presets.go
//
// Without a preset, status 2xx says that all records of the body were taken; 400 and 422 say
// that none was, because one of them is bad.
func newPost(t *Target) (*post, error) {
	c, err := newHTTPClient(t, "")
	if err != nil {
		return nil, err
	}
	password, token := t.Secret("password", httpPasswordVariable), t.Secret("token", httpTokenVariable)
	c.login = fmt.Sprintf("set USER@ in the URL and password-file= or %s, or token-file= or %s", httpPasswordVariable, httpTokenVariable)
	if t.User != "" {
		err = c.basic(t, password, httpPasswordVariable)
	} else if token.Text() != "" {
		c.authorize("Bearer", token)
	}
	if err != nil {
		return nil, err
	}
	p := &post{
		http:   c,
		limits: Limits{Records: 5000, Octets: 4 << 20, Record: 16 << 20, Parallel: 2},
	}
	p.url.Store(&url.URL{Path: t.Path})
	switch t.Choice("preset", "lines", "clickhouse", "loki", "otlp") {
	case "lines":
		p.preset = lines{}
		c.header.Set("Content-Type", "text/plain; charset=utf-8")
		if isJSON(t.Format) {
			c.header.Set("Content-Type", "application/x-ndjson")
		}
	case "clickhouse":
		err = p.forClickHouse(t)
	case "loki":
		err = p.forLoki(t)
	case "otlp":
		p.forOTLP(t)
	}
	if err != nil {
		return nil, err
	}
	p.limits = limits(t, p.limits)
	return p, nil
}

func (p *post) Limits() Limits { return p.limits }
func (p *post) Close() error   { return p.http.close() }

func (p *post) Deliver(ctx context.Context, records []Record, verdicts []Verdict) error {
	return p.http.divide(records, verdicts, func(r []Record, v []Verdict) error { return p.send(ctx, r, v) })
}

func (p *post) send(ctx context.Context, records []Record, verdicts []Verdict) error {
	x := p.http.get()
	defer p.http.put(x)
	x.plain = p.preset.append(x.plain[:0], records)
	if err := p.http.post(ctx, x, p.url.Load()); err != nil {
		return err
	}
	done, err := p.preset.judge(p, x, verdicts)
	switch {
	case errors.Is(err, errAnotherWay):
		return p.send(ctx, records, verdicts)
	case done || err != nil:
		return err
	}
	switch {
	case x.status >= 200 && x.status < 300:
		settle(verdicts, Verdict{State: Delivered})
		return nil
	case x.status == http.StatusBadRequest || x.status == http.StatusUnprocessableEntity:
		return &refused{at: -1, reason: p.http.failure(x).Error()}
	}
	return p.http.failure(x)
}

// lines sends the records as they are, one per line.
type lines struct{}

func (lines) append(dst []byte, records []Record) []byte {
	for i := range records {
		dst = append(append(dst, records[i].Body...), '\n')
	}
	return dst
}

func (lines) judge(*post, *exchange, []Verdict) (bool, error) { return false, nil }
