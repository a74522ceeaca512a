package sink

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// bulkVariables are how the environment variables of the two products begin; the protocol
// is the same.
var bulkVariables = map[string]string{"opensearch": "PORTWATCH_OPENSEARCH_", "elasticsearch": "PORTWATCH_ELASTICSEARCH_"}

// A bulk delivers to OpenSearch or Elasticsearch through the bulk endpoint
// (docs.opensearch.org, "Bulk"; elastic.co, "Bulk API"). Records are created, and never
// overwrite one another: data streams accept nothing else, and a record that is already
// there, from a delivery whose answer was lost, is recognized by its _id.
type bulk struct {
	http   *httpClient
	limits Limits
	url    *url.URL
	ids    bool
}

// newBulk makes the receiver for [opensearch|elasticsearch]+http[s]://[USER@]HOST[,HOST...]/[PREFIX/]STREAM.
// The port is 9200 unless the URL has one. Settings, besides those of every target:
//
//	password-file=   the user's password; or PORTWATCH_OPENSEARCH_PASSWORD, PORTWATCH_ELASTICSEARCH_PASSWORD
//	api-key-file=    instead of a user; or PORTWATCH_OPENSEARCH_API_KEY, PORTWATCH_ELASTICSEARCH_API_KEY
//	pipeline=        an ingest pipeline
//	ids=0            let the receiver assign each _id, as OpenSearch Serverless requires. A record
//	                 that is delivered twice is then stored twice
//
// and those of every receiver over HTTP: gzip=0, batch-records=, batch-octets= (of
// bodies, before compression), parallel=, and for https ca=, cert=, key=. An environment
// variable is for every sink that reads it: sinks that must not get each other's secrets
// need files.
func newBulk(t *Target) (*bulk, error) {
	if !isJSON(t.Format) {
		return nil, fmt.Errorf("format=%s: the bulk endpoint takes JSON objects alone", t.Format)
	}
	prefix, index := path.Split(strings.TrimSuffix(t.Path, "/"))
	if index == "" {
		return nil, errors.New("no data stream or index at the end of the URL")
	}
	c, err := newHTTPClient(t, "9200")
	if err != nil {
		return nil, err
	}
	product, _, _ := strings.Cut(t.Scheme, "+")
	variable := bulkVariables[product]
	password := t.Secret("password", variable+"PASSWORD")
	key := t.Secret("api-key", variable+"API_KEY")
	c.login = fmt.Sprintf("set USER@ in the URL and password-file= or %sPASSWORD, or api-key-file= or %[1]sAPI_KEY", variable)
	if t.User != "" {
		err = c.basic(t, password, variable+"PASSWORD")
	} else if key.Text() != "" {
		c.authorize("ApiKey", key)
	}
	if err != nil {
		return nil, err
	}
	c.header.Set("Content-Type", "application/x-ndjson")
	// all that is read of an item; without this, a delivered one takes 250 octets
	query := url.Values{"filter_path": {"errors,items.*.status,items.*.error"}}
	if pipeline := t.Text("pipeline", ""); pipeline != "" {
		query.Set("pipeline", pipeline)
	}
	return &bulk{
		http:   c,
		limits: limits(t, Limits{Records: 5000, Octets: 5 << 20, Record: 16 << 20, Parallel: 2}),
		url:    &url.URL{Path: prefix + index + "/_bulk", RawQuery: query.Encode()},
		ids:    t.Choice("ids", "1", "0") == "1",
	}, nil
}

func (b *bulk) Limits() Limits { return b.limits }
func (b *bulk) Close() error   { return b.http.close() }

func (b *bulk) Deliver(ctx context.Context, records []Record, verdicts []Verdict) error {
	return b.http.divide(records, verdicts, func(r []Record, v []Verdict) error { return b.send(ctx, r, v) })
}

func (b *bulk) send(ctx context.Context, records []Record, verdicts []Verdict) error {
	x := b.http.get()
	defer b.http.put(x)
	x.plain = b.append(x.plain[:0], records)
	if err := b.http.post(ctx, x, b.url); err != nil {
		return err
	}
	switch x.status {
	case http.StatusOK:
		return b.judge(x, verdicts)
	case http.StatusBadRequest:
		return &refused{at: -1, reason: b.http.failure(x).Error()}
	}
	return b.http.failure(x)
}

func (b *bulk) append(dst []byte, records []Record) []byte {
	for i := range records {
		r := &records[i]
		if b.ids && len(r.ID) > 0 {
			dst = append(dst, `{"create":{"_id":`...)
			dst = appendString(dst, r.ID)
			dst = append(dst, "}}\n"...)
		} else {
			dst = append(dst, "{\"create\":{}}\n"...)
		}
		dst = append(dst, r.Body...)
		dst = append(dst, '\n')
	}
	return dst
}

// bulkAnswer is what filter_path leaves of an answer.
type bulkAnswer struct {
	Items []struct {
		Create struct {
			Status int
			Error  *bulkError
		}
	}
}

type bulkError struct {
	Type, Reason string
	CausedBy     struct{ Reason string } `json:"caused_by"`
}

// configErrors are errors of status 400 that every other record would get too.
var configErrors = []string{
	"pipeline with id",             // illegal_argument_exception
	"Document ID is not supported", // OpenSearch Serverless
	"no write index is defined",
	"invalid_index_name_exception",
	"this action would add", // the cluster's limit of shards
}

// judge reads what became of each record, about which the answer's status of 200 says
// nothing.
func (b *bulk) judge(x *exchange, verdicts []Verdict) error {
	var answer bulkAnswer
	if err := json.Unmarshal(x.answer.Bytes(), &answer); err != nil {
		return fmt.Errorf("post to %s: answer: %w", x.host.Host, err)
	}
	if len(answer.Items) != len(verdicts) {
		return fmt.Errorf("post to %s: answer: %d items for %d records", x.host.Host, len(answer.Items), len(verdicts))
	}
	var first *statusError
	pending := 0
	for i := range answer.Items {
		item := &answer.Items[i].Create
		reason := b.reason(item.Error)
		switch verdicts[i] = bulkVerdict(item.Status, reason); {
		case verdicts[i].State != Pending:
			continue
		case first == nil:
			first = b.http.statusError(x)
			first.status, first.text = item.Status, reason
		}
		pending++
	}
	if first == nil {
		return nil
	}
	if first.status == http.StatusForbidden {
		first.text += "; " + b.http.login
	}
	first.text = fmt.Sprintf("%d of %d records, the first: %s", pending, len(verdicts), first.text)
	return first
}

// bulkVerdict judges one item.
func bulkVerdict(status int, reason string) Verdict {
	switch {
	case status == http.StatusOK || status == http.StatusCreated:
		return Verdict{State: Delivered}
	case status == http.StatusConflict: // it was already there: an answer was lost
		return Verdict{State: Delivered}
	case status == http.StatusBadRequest || status == http.StatusRequestEntityTooLarge:
		for _, text := range configErrors {
			if strings.Contains(reason, text) {
				return Verdict{}
			}
		}
		return Verdict{State: Rejected, Reason: reason}
	}
	// 429 and 503: no room now; 403: not allowed, or the disk is full; 404: no such
	// index. All of these can be fixed at the receiver.
	return Verdict{}
}

func (b *bulk) reason(e *bulkError) string {
	if e == nil {
		return ""
	}
	text := e.Type + ": " + e.Reason
	if e.CausedBy.Reason != "" {
		text += ": " + e.CausedBy.Reason
	}
	return b.http.excerpt([]byte(text))
}
