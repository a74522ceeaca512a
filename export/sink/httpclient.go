package sink

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/klauspost/compress/gzip"
)

const (
	connectTimeout = 10 * time.Second // for TCP, and again for TLS
	maxAnswer      = 16 << 20         // octets of an answer that says what was done
	maxExcerpt     = 512              // octets of an answer that an error quotes
	maxRetryAfter  = 10 * time.Minute // that a receiver can ask for
	maxRefusals    = 256              // of parts of one batch, before the rest has to wait
	maxParallel    = 1000             // requests under way: each has a goroutine, a connection, a body
)

// An httpClient posts batches to one receiver, which may have several hosts. It follows
// no redirect, which would take the credentials elsewhere.
type httpClient struct {
	client   *http.Client
	hosts    []*url.URL // scheme and host only
	host     atomic.Uint32
	header   http.Header
	login    string  // what to set where the receiver wants credentials
	scheme   string  // of secret, in the Authorization header
	user     string  // whose password secret is; empty: it is a token
	secret   *Secret // nil: there is none
	compress bool
	timeout  time.Duration // of one request, until its answer is read
	ceiling  atomic.Int64  // octets of bodies known to be too many for one request; 0: not known
	pool     sync.Pool     // of *exchange
}

// newHTTPClient reads what all targets over HTTP have in common: hosts, TLS, gzip. port
// is the default for hosts without one.
func newHTTPClient(t *Target, port string) (*httpClient, error) {
	if len(t.Hosts) == 0 {
		return nil, errors.New("no host in the URL")
	}
	_, scheme, _ := strings.Cut(t.Scheme, "+")
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: connectTimeout,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 16,
		DisableCompression:  true,
		ForceAttemptHTTP2:   true,
		// without these, a connection that died silently would serve every later try
		HTTP2: &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 15 * time.Second},
	}
	if scheme == "https" {
		transport.TLSClientConfig = t.TLS("") // the transport fills in the host's name
	}
	c := &httpClient{
		client: &http.Client{
			Transport:     transport,
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		header:   http.Header{"User-Agent": {"portwatch/" + t.Version}},
		compress: t.Choice("gzip", "1", "0") == "1",
		timeout:  t.Timeout,
	}
	if c.compress {
		c.header.Set("Content-Encoding", "gzip")
	}
	for _, host := range t.Hosts {
		u := &url.URL{Scheme: scheme, Host: host}
		if port != "" && u.Port() == "" {
			u.Host += ":" + port
		}
		c.hosts = append(c.hosts, u)
	}
	c.pool.New = func() any {
		zip, _ := gzip.NewWriterLevel(nil, gzip.BestSpeed)
		return &exchange{zip: zip}
	}
	return c, nil
}

// basic sends the target's user and password with each request.
func (c *httpClient) basic(t *Target, password *Secret, variable string) error {
	if password.Text() == "" {
		return fmt.Errorf("no password for the user in the URL: use password-file=PATH or the environment variable %s", variable)
	}
	c.user = t.User
	c.authorize("Basic", password)
	return nil
}

// authorize sends a secret with each request.
func (c *httpClient) authorize(scheme string, secret *Secret) { c.scheme, c.secret = scheme, secret }

// credentials returns a secret as it stands in the Authorization header.
func (c *httpClient) credentials(secret string) string {
	if c.user == "" {
		return secret
	}
	return base64.StdEncoding.EncodeToString([]byte(c.user + ":" + secret))
}

// An exchange is one request and its answer, in memory that is reused.
type exchange struct {
	host   *url.URL
	plain  []byte // the request's body, before compression
	packed bytes.Buffer
	zip    *gzip.Writer
	status int
	header http.Header
	answer bytes.Buffer
}

func (c *httpClient) get() *exchange  { return c.pool.Get().(*exchange) }
func (c *httpClient) put(x *exchange) { c.pool.Put(x) }

// post sends x.plain and reads the answer into x. If the host gives no answer, 502 or
// 503, the next request goes to the next host. No error contains the query or a secret.
func (c *httpClient) post(ctx context.Context, x *exchange, target *url.URL) error {
	n := c.host.Load()
	x.host = c.hosts[int(n)%len(c.hosts)]
	err := c.postTo(ctx, x, target)
	if err != nil || x.status == http.StatusBadGateway || x.status == http.StatusServiceUnavailable {
		c.host.CompareAndSwap(n, n+1)
	}
	return err
}

// postTo is post, to x.host.
func (c *httpClient) postTo(ctx context.Context, x *exchange, target *url.URL) error {
	limited, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	fail := func(err error) error {
		if u, ok := errors.AsType[*url.Error](err); ok {
			err = u.Err // without the URL, whose query can be long
		}
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no answer within %v: %w", c.timeout, context.DeadlineExceeded)
		}
		return fmt.Errorf("post to %s: %w", x.host.Host, err)
	}
	data := x.plain
	if c.compress {
		x.packed.Reset()
		x.zip.Reset(&x.packed)
		if _, err := x.zip.Write(x.plain); err != nil {
			return fail(err)
		}
		if err := x.zip.Close(); err != nil {
			return fail(err)
		}
		data = x.packed.Bytes()
	}
	body := &requestBody{data: data}
	defer body.release()
	u := *target
	u.Scheme, u.Host = x.host.Scheme, x.host.Host
	header := c.header.Clone()
	if c.secret != nil {
		header.Set("Authorization", c.scheme+" "+c.credentials(c.secret.Text()))
	}
	request := (&http.Request{
		Method: http.MethodPost, URL: &u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Body: body.reader(), ContentLength: int64(len(data)),
		GetBody: func() (io.ReadCloser, error) { return body.reader(), nil },
	}).WithContext(limited)
	response, err := c.client.Do(request)
	if err != nil {
		return fail(err)
	}
	defer response.Body.Close()
	x.status, x.header = response.StatusCode, response.Header
	x.answer.Reset()
	_, err = x.answer.ReadFrom(io.LimitReader(response.Body, maxAnswer+1))
	if x.status == http.StatusBadRequest && u.Scheme == "http" && wantsTLS(x.answer.Bytes()) {
		return fail(errors.New("that port speaks HTTPS: the URL wants +https:// in place of +http://"))
	}
	if err != nil {
		return fail(fmt.Errorf("answer: %w", err))
	}
	if x.answer.Len() > maxAnswer {
		return fail(fmt.Errorf("answer: more than %d octets", maxAnswer))
	}
	return nil
}

// wantsTLS recognizes a server's answer to a request that should have come over TLS, in
// the words of Go, nginx and Apache. It says nothing about the records.
func wantsTLS(answer []byte) bool {
	for _, words := range []string{"HTTP request to an HTTPS server", "plain HTTP request was sent to HTTPS port", "speaking plain HTTP to an SSL-enabled server port"} {
		if bytes.Contains(answer, []byte(words)) {
			return true
		}
	}
	return false
}

// A requestBody is read by the transport, which may go on reading after an answer that
// came before the end of the request. After release it reads no more, and the data can be
// reused.
type requestBody struct {
	mu   sync.Mutex
	data []byte
}

func (b *requestBody) reader() io.ReadCloser { return &bodyReader{body: b} }

func (b *requestBody) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.data = nil
}

type bodyReader struct {
	body *requestBody
	read int
}

func (r *bodyReader) Read(p []byte) (int, error) {
	r.body.mu.Lock()
	defer r.body.mu.Unlock()
	switch {
	case r.body.data == nil:
		return 0, io.ErrClosedPipe
	case r.read == len(r.body.data):
		return 0, io.EOF
	}
	n := copy(p, r.body.data[r.read:])
	r.read += n
	return n, nil
}

func (r *bodyReader) Close() error { return nil }

// A statusError is an answer that is not success for the whole batch.
type statusError struct {
	host   string
	status int
	text   string
	after  time.Duration
}

func (e *statusError) Error() string {
	text := fmt.Sprintf("post to %s: %d %s", e.host, e.status, http.StatusText(e.status))
	if e.text != "" {
		text += ": " + e.text
	}
	return text
}

// RetryAfter returns how long the receiver wants to be left alone, 0 if it did not say
// (RFC 9110 section 10.2.3).
func (e *statusError) RetryAfter() time.Duration { return e.after }

// failure returns what an answer other than success means for the batch: a *refused if it
// was too large, else a *statusError, after which the batch is tried again.
func (c *httpClient) failure(x *exchange) error {
	e := c.statusError(x)
	switch {
	case x.status == http.StatusRequestEntityTooLarge:
		return &refused{at: -1, tooLarge: true, reason: e.Error()}
	case x.status == http.StatusUnauthorized || x.status == http.StatusForbidden:
		e.text = strings.TrimPrefix(e.text+"; "+c.login, "; ")
	case x.status >= 300 && x.status < 400:
		e.text = "redirects are not followed"
		if to, err := url.Parse(x.header.Get("Location")); err == nil && to.Host != "" {
			e.text += "; the receiver is at " + c.excerpt([]byte(to.Scheme+"://"+to.Host+to.Path))
		}
	}
	return e
}

// statusError quotes the answer.
func (c *httpClient) statusError(x *exchange) *statusError {
	return &statusError{
		host: x.host.Host, status: x.status,
		text: c.excerpt(x.answer.Bytes()), after: retryAfter(x.header, time.Now()),
	}
}

// excerpt returns the beginning of a text that somebody else wrote, as one line of
// printable characters without our secrets.
func (c *httpClient) excerpt(text []byte) string {
	s := string(text[:min(len(text), 64<<10)])
	if c.secret != nil {
		for _, secret := range c.secret.told() {
			if secret != "" {
				s = strings.NewReplacer(c.credentials(secret), "...", secret, "...").Replace(s)
			}
		}
	}
	s = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, strings.ToValidUTF8(s, "?"))
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > maxExcerpt {
		s = strings.ToValidUTF8(s[:maxExcerpt], "") + "..."
	}
	return s
}

func retryAfter(header http.Header, now time.Time) time.Duration {
	text := header.Get("Retry-After")
	var after time.Duration
	if seconds, err := strconv.Atoi(text); err == nil {
		after = time.Duration(max(0, min(seconds, int(maxRetryAfter/time.Second)))) * time.Second
	} else if at, err := http.ParseTime(text); err == nil {
		after = at.Sub(now)
	}
	return max(0, min(after, maxRetryAfter))
}

// A refused is an answer that nothing of a batch was taken, and that would be the same
// the next time.
type refused struct {
	at       int // index of the record to blame, -1 if the receiver did not say
	tooLarge bool
	reason   string
}

func (e *refused) Error() string { return e.reason }

// divide calls send with the records. If they are refused, it rejects the one to blame
// and sends the others again: those on either side of it or, if it is not known, each
// half. It stops at the first error that is not a *refused.
func (c *httpClient) divide(records []Record, verdicts []Verdict, send func([]Record, []Verdict) error) error {
	settle(verdicts, Verdict{})
	// rises, so that a larger part is tried now and then: a proxy's limit may have been raised
	c.ceiling.Add(c.ceiling.Load() / 64)
	refusals, rejected := 0, 0
	var part func(r []Record, v []Verdict) error
	part = func(r []Record, v []Verdict) error {
		half, other := len(r)/2, len(r)/2
		if len(r) == 1 || !c.knownTooLarge(bodies(r)) {
			if len(r) == 0 {
				return nil
			}
			err := send(r, v)
			no, ok := errors.AsType[*refused](err)
			if !ok {
				return err
			}
			refusals++
			switch {
			case len(r) == 1:
				no.at = 0
			case no.tooLarge:
				c.ceiling.Store(bodies(r))
			}
			if no.at >= 0 && no.at < len(r) {
				v[no.at] = Verdict{State: Rejected, Reason: no.reason}
				half, other = no.at, no.at+1
				rejected++
			}
			if refusals >= maxRefusals {
				// a receiver that refuses so many is more likely misconfigured
				return fmt.Errorf("%d records of a batch were rejected, and the others wait: %s", rejected, no.reason)
			}
		}
		if err := part(r[:half], v[:half]); err != nil {
			return err
		}
		return part(r[other:], v[other:])
	}
	return part(records, verdicts)
}

// knownTooLarge reports whether so many octets were refused before for their size.
func (c *httpClient) knownTooLarge(octets int64) bool {
	ceiling := c.ceiling.Load()
	return ceiling > 0 && octets >= ceiling
}

func bodies(records []Record) int64 {
	var octets int64
	for i := range records {
		octets += int64(len(records[i].Body))
	}
	return octets
}

func (c *httpClient) close() error {
	c.client.CloseIdleConnections()
	return nil
}

// settle gives all records the same verdict.
func settle(verdicts []Verdict, v Verdict) {
	for i := range verdicts {
		verdicts[i] = v
	}
}

// limits lets settings override the usual limits of a receiver.
func limits(t *Target, l Limits) Limits {
	l.Records = t.Number("batch-records", l.Records)
	octets := t.Octets("batch-octets", int64(l.Octets))
	if octets < 1 {
		t.fail("batch-octets=%d: one octet at least", octets)
	}
	l.Octets = int(min(octets, 1<<30))
	l.Parallel = t.Number("parallel", l.Parallel)
	if l.Parallel > maxParallel {
		t.fail("parallel=%d: at most %d", l.Parallel, maxParallel)
	}
	return l
}

// isJSON reports whether a format's records are JSON objects.
func isJSON(format string) bool {
	return slices.Contains([]string{"ecs", "ocsf", "zeek", "eve"}, format)
}

// appendString appends text as a JSON string (RFC 8259 section 7).
func appendString(dst, text []byte) []byte {
	dst = slices.Grow(dst, 2*len(text)+2)
	out, n := dst[:cap(dst)], len(dst)
	out[n] = '"'
	n++
	for i, b := range text {
		switch escaped[b] {
		case asQuoted:
			out[n] = '\\'
			n++
		case asNumber:
			dst = append(out[:n], '\\', 'u', '0', '0', '0'+b>>4, "0123456789abcdef"[b&15])
			n = len(dst)
			dst = slices.Grow(dst, 2*(len(text)-i))
			out = dst[:cap(dst)]
			continue
		}
		out[n] = b
		n++
	}
	out[n] = '"'
	return out[:n+1]
}

const (
	asQuoted = 1 + iota // with a backslash before it
	asNumber            // as \u00XX
)

// escaped says how to write the octets that do not stand for themselves in a JSON string.
var escaped = func() (how [256]uint8) {
	for b := range ' ' {
		how[b] = asNumber
	}
	how['"'], how['\\'] = asQuoted, asQuoted
	return how
}()
