package sink

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	kgzip "github.com/klauspost/compress/gzip"
)

// httpSinks are all receivers over HTTP: scheme and what stands behind the host.
var httpSinks = []string{
	"opensearch PATH/flows?batch-records=7",
	"splunk-hec ?index=main",
	"http PATH/in?preset=lines",
	"http ?preset=clickhouse",
	"http ?preset=loki",
	"http ?preset=otlp",
}

// openHTTP makes a receiver for a test server.
func openHTTP(t testing.TB, server *httptest.Server, scheme, rest string) Receiver {
	t.Helper()
	t.Setenv(hecTokenVariable, "hec-token")
	to := strings.Replace(server.URL, "http", scheme+"+http", 1)
	user, rest, found := strings.Cut(rest, "@")
	if found {
		to = strings.Replace(to, "://", "://"+user+"@", 1)
	} else {
		rest = user
	}
	_, r, err := Open(to+strings.TrimPrefix(rest, "PATH"), "sensor", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// TestHTTPLimits: the size of a request is typed like every other size.
func TestHTTPLimits(t *testing.T) {
	for settings, want := range map[string]Limits{
		"":                  {Records: 5000, Octets: 4 << 20, Parallel: 2},
		"batch-octets=2MiB": {Records: 5000, Octets: 2 << 20, Parallel: 2},
		"preset=clickhouse": {Records: 20000, Octets: 16 << 20, Parallel: 2},
		"preset=loki":       {Records: 2000, Octets: 2 << 20, Parallel: 1},
		"preset=otlp":       {Records: 512, Octets: 2 << 20, Parallel: 2},
		"batch-octets=1&batch-records=8&parallel=1000": {Records: 8, Octets: 1, Parallel: 1000},
	} {
		_, r, err := Open("http+http://h/?"+settings, "", "")
		if err != nil {
			t.Errorf("%s: %v", settings, err)
			continue
		}
		got := r.Limits()
		got.Record = 0
		if got != want {
			t.Errorf("%s: %+v, want %+v", settings, got, want)
		}
		r.Close()
	}
	for _, settings := range []string{"batch-octets=0", "batch-octets=2MB", "batch-records=0", "parallel=0"} {
		if _, _, err := Open("http+http://h/?"+settings, "", ""); err == nil || !strings.Contains(err.Error(), settings) {
			t.Errorf("%s: %v", settings, err)
		}
	}
}

// testRecords have different kinds, ids that count, and bodies of about 60 octets.
func testRecords(n int) []Record {
	records := make([]Record, n)
	for i := range records {
		records[i] = Record{
			Kind: Kind(i % 2), Severity: uint8(i % 2 * 50), Time: 1700000000123456789 + int64(i),
			ID:   fmt.Appendf(nil, "id-%d", i),
			Body: fmt.Appendf(nil, `{"event":{"id":"id-%d"},"note":"a \"quoted\" one \\ é"}`, i),
		}
	}
	return records
}

// deliver returns the verdicts as one letter each. They begin as what they were before.
func deliver(t testing.TB, r Receiver, records []Record) (string, []Verdict, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	verdicts := slices.Repeat([]Verdict{{State: Rejected, Reason: "of another batch"}}, len(records))
	err := r.Deliver(ctx, records, verdicts)
	var b strings.Builder
	for _, v := range verdicts {
		b.WriteByte("PDR"[v.State])
		if (v.State == Rejected) != (v.Reason != "") {
			t.Errorf("verdict %v with reason %q", v.State, v.Reason)
		}
	}
	return b.String(), verdicts, err
}

// An answered is a server's answer to a batch of three records, and what it means.
type answered struct {
	name   string
	status int
	body   string
	want   string // verdicts
	err    string // in the error; empty: none
}

func (a *answered) test(t *testing.T, scheme, rest string) {
	t.Run(a.name, func(t *testing.T) {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(a.status)
			io.WriteString(w, a.body)
		}))
		defer server.Close()
		got, verdicts, err := deliver(t, openHTTP(t, server, scheme, rest), testRecords(3))
		if got != a.want {
			t.Errorf("verdicts %s, want %s: %+v", got, a.want, verdicts)
		}
		if a.err == "" && err != nil || a.err != "" && (err == nil || !strings.Contains(err.Error(), a.err)) {
			t.Errorf("error %v, want %q", err, a.err)
		}
		var status *statusError
		if errors.As(err, &status) && status.RetryAfter() != 7*time.Second {
			t.Errorf("retry after %v, want 7s", status.RetryAfter())
		}
	})
}

// requestText returns the body of a request, uncompressed, and fails unless it is gzip'd.
func requestText(t testing.TB, r *http.Request) []byte {
	if r.Header.Get("Content-Encoding") != "gzip" {
		t.Errorf("content encoding %q, want gzip", r.Header.Get("Content-Encoding"))
	}
	zip, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Error(err)
		return nil
	}
	text, err := io.ReadAll(zip)
	if err != nil {
		t.Error(err)
	}
	return text
}

// everySink runs a test with each receiver over HTTP.
func everySink(t *testing.T, run func(t *testing.T, scheme, rest string)) {
	for _, sink := range httpSinks {
		scheme, rest, _ := strings.Cut(sink, " ")
		t.Run(strings.Trim(scheme+rest, "?"), func(t *testing.T) { run(t, scheme, rest) })
	}
}

// TestHTTPStatus has the answers that mean the same for every receiver.
func TestHTTPStatus(t *testing.T) {
	everySink(t, func(t *testing.T, scheme, rest string) {
		for _, a := range []answered{
			{"not-authenticated", 401, "who are you", "PPP", "PORTWATCH_"},
			{"forbidden", 403, "no", "PPP", "-file="},
			{"not-found", 404, "nothing here", "PPP", "404 Not Found: nothing here"},
			{"too-large", 413, "", "RRR", ""},
			{"too-many", 429, "slow down", "PPP", "429 Too Many Requests: slow down"},
			{"internal", 500, "", "PPP", "500"},
			{"bad-gateway", 502, "<html>\n<b>nginx</b>", "PPP", "502 Bad Gateway: <html> <b>nginx</b>"},
			{"unavailable", 503, strings.Repeat("long ", 1000), "PPP", "503"},
			{"full", 507, "disk full", "PPP", "507 Insufficient Storage: disk full"},
		} {
			a.test(t, scheme, rest)
		}
	})
}

// TestHTTPRedirect has a receiver that sends us elsewhere: nothing may arrive there.
func TestHTTPRedirect(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("redirect was followed, with Authorization %q", r.Header.Get("Authorization"))
	}))
	defer other.Close()
	everySink(t, func(t *testing.T, scheme, rest string) {
		for _, status := range []int{300, 301, 302, 307, 308} {
			server := httptest.NewServer(http.RedirectHandler(other.URL+"/there?token=1", status))
			defer server.Close()
			got, _, err := deliver(t, openHTTP(t, server, scheme, rest), testRecords(2))
			if got != "PP" || err == nil || !strings.Contains(err.Error(), "redirects are not followed; the receiver is at "+other.URL+"/there") {
				t.Errorf("%s: %v", got, err)
			}
		}
	})
}

// TestHTTPBroken has answers that end early, never come, or never end.
func TestHTTPBroken(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	for name, test := range map[string]struct {
		answer func(w http.ResponseWriter)
		err    string
	}{
		"truncated": {func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			io.WriteString(w, `{"errors":false,"items":[`)
		}, "unexpected EOF"},
		"hangs": {func(w http.ResponseWriter) {
			w.(http.Flusher).Flush()
			<-stop
		}, "no answer within 200ms"},
		"silent": {func(http.ResponseWriter) { <-stop }, "no answer within 200ms"},
		"cut":    {func(http.ResponseWriter) { panic(http.ErrAbortHandler) }, "EOF"},
		"oversized": {func(w http.ResponseWriter) {
			for range maxAnswer>>20 + 1 {
				w.Write(make([]byte, 1<<20))
			}
		}, "more than 16777216 octets"},
	} {
		t.Run(name, func(t *testing.T) {
			everySink(t, func(t *testing.T, scheme, rest string) {
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					io.Copy(io.Discard, r.Body)
					test.answer(w)
				}))
				server.Start()
				defer server.CloseClientConnections()
				joint := "?"
				if strings.Contains(rest, "?") {
					joint = "&"
				}
				timeout := "20s"
				if strings.Contains(test.err, "200ms") {
					timeout = "200ms"
				}
				got, _, err := deliver(t, openHTTP(t, server, scheme, rest+joint+"timeout="+timeout), testRecords(2))
				if got != "PP" || err == nil || !strings.Contains(err.Error(), test.err) || strings.Contains(err.Error(), "Post ") {
					t.Errorf("%s: %v, want %q", got, err, test.err)
				}
			})
		})
	}
}

// TestHTTPCancel ends a delivery by its context.
func TestHTTPCancel(t *testing.T) {
	everySink(t, func(t *testing.T, scheme, rest string) {
		ctx, cancel := context.WithCancel(context.Background())
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			cancel()
			<-r.Context().Done()
		}))
		defer server.Close()
		err := openHTTP(t, server, scheme, rest).Deliver(ctx, testRecords(2), make([]Verdict, 2))
		if !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
}

// TestHTTPEarlyAnswer has a server that says 413 before it has read the body, and
// takes small ones: all records have to arrive, and later batches be small at once.
func TestHTTPEarlyAnswer(t *testing.T) {
	var refusals atomic.Int32
	ids := make(map[string]int)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if coding := r.Header.Get("Content-Encoding"); coding != "" {
			t.Errorf("content encoding %q", coding)
		}
		if r.ContentLength > 200_000 {
			refusals.Add(1)
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		text, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		for line := range bytes.Lines(text) {
			var record struct{ Event struct{ ID string } }
			if err := json.Unmarshal(line, &record); err != nil {
				t.Error(err)
			}
			ids[record.Event.ID]++
		}
	}))
	defer server.Close()
	r := openHTTP(t, server, "http", "PATH/in?gzip=0")
	records := testRecords(2000)
	for i := range records {
		records[i].Body = fmt.Appendf(nil, `{"event":{"id":"id-%d"},"note":"%s"}`, i, bytes.Repeat([]byte{'x'}, 600))
	}
	for range 2 {
		got, _, err := deliver(t, r, records)
		if err != nil || got != strings.Repeat("D", len(records)) {
			t.Fatalf("%v: %.100s", err, got)
		}
	}
	if n := refusals.Load(); n < 3 || n > 4 {
		t.Errorf("%d refusals, want those of the first batch alone", n)
	}
	for i := range records {
		if id := fmt.Sprintf("id-%d", i); ids[id] != 2 {
			t.Fatalf("%s arrived %d times, want 2", id, ids[id])
		}
	}
}

// TestHTTPTinyLimit has a receiver that takes two records at a time, whatever their size.
// To deliver all of a batch takes more requests than are made when records are bad.
func TestHTTPTinyLimit(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if bytes.Count(requestText(t, r), []byte("\n")) > 2 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	defer server.Close()
	records := testRecords(1024)
	records[512].Body = bytes.Repeat([]byte("x"), 4096) // more than what was refused before
	if got, _, err := deliver(t, openHTTP(t, server, "http", "PATH/in"), records); got != strings.Repeat("D", 1024) || err != nil || requests > 600 {
		t.Errorf("%d requests, %v: %s", requests, err, got)
	}
}

// TestHTTPLimitRaised has a receiver that takes two records at a time, and later any
// number: in the end a batch is sent whole again.
func TestHTTPLimitRaised(t *testing.T) {
	requests, limit := 0, 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		if bytes.Count(requestText(t, r), []byte("\n")) > limit {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
		}
	}))
	defer server.Close()
	r := openHTTP(t, server, "http", "PATH/in")
	for tries := 0; requests != 1; tries++ {
		if tries == 500 {
			t.Fatalf("still %d requests for a batch", requests)
		}
		requests = 0
		if got, _, err := deliver(t, r, testRecords(4)); got != "DDDD" || err != nil {
			t.Fatalf("%s, %v", got, err)
		}
		limit = 4
	}
}

// TestHTTPPoison has receivers that refuse a whole body for one record in it.
func TestHTTPPoison(t *testing.T) {
	for _, sink := range []string{"http PATH/in?preset=lines", "http ?preset=clickhouse", "http ?preset=loki", "opensearch PATH/x", "splunk-hec "} {
		scheme, rest, _ := strings.Cut(sink, " ")
		t.Run(sink, func(t *testing.T) {
			requests := 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests++
				text := requestText(t, r)
				switch {
				case bytes.Contains(text, []byte("poison")):
					w.WriteHeader(http.StatusBadRequest)
					body := map[string]string{"splunk-hec": `{"text":"Invalid data format","code":6}`,
						"http": "Code: 27. DB::Exception: Cannot parse input"}[scheme]
					io.WriteString(w, body)
				case scheme == "opensearch":
					n := bytes.Count(text, []byte("\n")) / 2
					fmt.Fprintf(w, `{"items":[%s]}`, strings.Join(slices.Repeat([]string{`{"create":{"status":201}}`}, n), ","))
				case scheme == "splunk-hec":
					io.WriteString(w, `{"text":"Success","code":0}`)
				}
			}))
			defer server.Close()
			records := testRecords(500)
			records[123].Body = []byte(`{"poison":1}`)
			records[124].Body = []byte(`{"poison":2}`)
			got, verdicts, err := deliver(t, openHTTP(t, server, scheme, rest), records)
			want := strings.Repeat("D", 123) + "RR" + strings.Repeat("D", 375)
			if err != nil || got != want || requests > 40 {
				t.Errorf("%d requests, %v: %s", requests, err, got)
			}
			if !strings.Contains(verdicts[123].Reason, "400 Bad Request") {
				t.Errorf("reason %q", verdicts[123].Reason)
			}
		})
	}
}

// TestHTTPRefusesAll has a receiver that takes nothing, as after a wrong setting: it must
// not be asked about every record in one go.
func TestHTTPRefusesAll(t *testing.T) {
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests++
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusBadRequest)
	}))
	defer server.Close()
	got, _, err := deliver(t, openHTTP(t, server, "http", "PATH/in"), testRecords(5000))
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(strings.Count(got, "R"), " records of a batch were rejected")) || requests != maxRefusals || !strings.HasSuffix(got, strings.Repeat("P", 4000)) || !strings.HasPrefix(got, "RRR") {
		t.Errorf("%d requests: %v", requests, err)
	}
}

// TestHTTPHosts has one host that is down, or has nobody behind it: the next host gets
// the batch that follows. A host with a fault of its own is kept.
func TestHTTPHosts(t *testing.T) {
	for status, want := range map[int]string{0: "PDDD", 502: "PDDD", 503: "PDDD", 500: "PPPP", 429: "PPPP"} {
		arrived := 0
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			arrived++
		}))
		defer server.Close()
		first := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			w.WriteHeader(status)
		}))
		defer first.Close()
		if status == 0 {
			first.Close()
		}
		_, r, err := Open("http+"+first.URL+","+strings.TrimPrefix(server.URL, "http://")+"/in", "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		got := ""
		for range want {
			verdict, _, err := deliver(t, r, testRecords(1))
			if got += verdict; (verdict == "D") != (err == nil) {
				t.Errorf("%d: %s, %v", status, verdict, err)
			}
		}
		if got != want || arrived != strings.Count(want, "D") {
			t.Errorf("%d: %s, and %d arrived at the other host, want %s", status, got, arrived, want)
		}
	}
}

func TestHTTPPorts(t *testing.T) {
	for to, want := range map[string]string{
		"opensearch+https://a,b:1,[::1],[::1]:2/x": "https://a:9200 https://b:1 https://[::1]:9200 https://[::1]:2",
		"splunk-hec+http://a":                      "http://a:8088",
		"http+https://a":                           "https://a",
	} {
		target, err := parseTarget(to)
		if err != nil {
			t.Fatal(err)
		}
		port := map[string]string{"opensearch+https": "9200", "splunk-hec+http": "8088"}[target.Scheme]
		c, err := newHTTPClient(target, port)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, u := range c.hosts {
			got = append(got, u.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", to, got, want)
		}
	}
}

// TestHTTPTLS has certificates that are good, of nobody we know, and a protocol that
// is too old.
func TestHTTPTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		if r.ProtoMajor != 2 {
			t.Errorf("%s, want HTTP/2 where the server has it", r.Proto)
		}
	}))
	server.EnableHTTP2 = true
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	old := httptest.NewUnstartedServer(nil)
	old.TLS = &tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}
	old.Config.ErrorLog = server.Config.ErrorLog
	old.StartTLS()
	defer old.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(ca, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		server *httptest.Server
		rest   string
		want   string
		err    string
	}{
		{server, "PATH/in?ca=" + url.QueryEscape(ca), "D", ""},
		{server, "PATH/in", "P", "unknown authority"},
		{old, "PATH/in?ca=" + url.QueryEscape(ca), "P", "protocol version"},
	} {
		got, _, err := deliver(t, openHTTP(t, test.server, "http", test.rest), testRecords(1))
		if got != test.want || (err == nil) != (test.err == "") || err != nil && !strings.Contains(err.Error(), test.err) {
			t.Errorf("%s: %v, want %s, %q", got, err, test.want, test.err)
		}
	}
	// the certificate is for 127.0.0.1 and example.com
	_, r, err := Open(strings.Replace(strings.Replace(server.URL, "127.0.0.1", "localhost", 1), "https", "http+https", 1)+
		"/in?ca="+url.QueryEscape(ca), "", "")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, _, err := deliver(t, r, testRecords(1)); got != "P" || err == nil || !strings.Contains(err.Error(), "localhost") {
		t.Errorf("another name: %s, %v", got, err)
	}
}

// TestHTTPInPlaceOfHTTPS: the answer of a port that speaks HTTPS does not concern the
// records, which wait until the URL is right.
func TestHTTPInPlaceOfHTTPS(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body) // Go's own server does not wait for it, and resets the connection then
		http.Error(w, "Client sent an HTTP request to an HTTPS server.", http.StatusBadRequest)
	}))
	defer server.Close()
	for _, scheme := range []string{"http", "opensearch", "splunk-hec"} {
		r := openHTTP(t, server, scheme, "PATH/x")
		verdicts, err := send(t, r, testRecords(3))
		if err == nil || !strings.Contains(err.Error(), "+https://") {
			t.Errorf("%s: %v", scheme, err)
		}
		allAre(t, verdicts, Pending)
	}
}

// TestHTTPSecrets has servers that send back all they were sent, in every place from
// which an error is made.
func TestHTTPSecrets(t *testing.T) {
	const secret = "s3cret-Of-Mine"
	for _, variable := range []string{hecTokenVariable, httpPasswordVariable, "PORTWATCH_OPENSEARCH_PASSWORD"} {
		t.Setenv(variable, secret)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	told := []string{secret, base64.StdEncoding.EncodeToString([]byte("me:" + secret))}
	for _, sink := range []string{
		"opensearch me@PATH/x", "opensearch PATH/x?api-key-file=" + file,
		"splunk-hec ", "splunk-hec ?token-file=" + file,
		"http me@PATH/in", "http PATH/in?token-file=" + file, "http me@?preset=clickhouse", "http me@?preset=loki", "http me@?preset=otlp",
	} {
		scheme, rest, _ := strings.Cut(sink, " ")
		for _, status := range []int{200, 302, 400, 401, 403, 413, 429, 500} {
			seen := ""
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				io.Copy(io.Discard, r.Body)
				seen = r.Header.Get("Authorization")
				w.Header().Set("Location", "http://elsewhere.example/"+secret)
				w.WriteHeader(status)
				fmt.Fprintf(w, `{"text":"%s %s","code":6,"partialSuccess":{"rejectedLogRecords":1,"errorMessage":"%[1]s"},`+
					`"items":[{"create":{"status":400,"error":{"type":"x","reason":"%[1]s"}}}]}`, seen, secret)
			}))
			t.Setenv(hecTokenVariable, secret)
			to := strings.Replace(server.URL, "http", scheme+"+http", 1)
			if user, _, found := strings.Cut(rest, "@"); found {
				to = strings.Replace(to, "://", "://"+user+"@", 1)
			}
			_, r, err := Open(to+strings.TrimPrefix(strings.TrimPrefix(rest, "me@"), "PATH"), "", "")
			if err != nil {
				t.Fatal(err)
			}
			_, verdicts, err := deliver(t, r, testRecords(1))
			if seen == "" {
				t.Errorf("%s: no Authorization arrived", sink)
			}
			for _, s := range told {
				if text := fmt.Sprint(err, verdicts); strings.Contains(text, s) {
					t.Errorf("%s: %d: %s tells %s", sink, status, text, s)
				}
			}
			r.Close()
			server.Close()
		}
	}
}

// TestHTTPSecretReplaced: a password or a token in a file may be replaced during the run,
// at first by an empty file. Neither the new secret nor the one before is shown.
func TestHTTPSecretReplaced(t *testing.T) {
	for _, sink := range []string{"http+http://HOST/?token-file=", "opensearch+http://me@HOST/i?password-file=", "splunk-hec+http://HOST?token-file="} {
		file := filepath.Join(t.TempDir(), "secret")
		write := func(secret string) {
			if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		var seen []string
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			io.Copy(io.Discard, r.Body)
			text := r.Header.Get("Authorization")
			if _, password, ok := r.BasicAuth(); ok {
				text += " " + password
			}
			seen = append(seen, text)
			w.WriteHeader(http.StatusUnauthorized)
			io.WriteString(w, strings.Join(seen, " "))
		}))
		defer server.Close()
		write("first-of-mine\n")
		_, r, err := Open(strings.Replace(sink, "HOST", strings.TrimPrefix(server.URL, "http://"), 1)+file, "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		told := ""
		for _, now := range []string{"first-of-mine", "", "second-of-mine"} {
			write(now)
			_, verdicts, err := deliver(t, r, testRecords(1))
			told += fmt.Sprint(err, verdicts)
		}
		if len(seen) != 3 || !strings.HasSuffix(seen[0], "first-of-mine") || seen[1] != seen[0] || !strings.HasSuffix(seen[2], "second-of-mine") {
			t.Errorf("%s: got %q", sink, seen)
		}
		for _, text := range seen {
			for secret := range strings.FieldsSeq(text) {
				if len(secret) > 8 && strings.Contains(told, secret) {
					t.Errorf("%s: %s tells %s", sink, told, secret)
				}
			}
		}
	}
}

func TestHTTPSettingErrors(t *testing.T) {
	for to, want := range map[string]string{
		"opensearch+http://h:9200":                    "no data stream",
		"opensearch+http://h/x?format=cef":            "JSON",
		"opensearch+http://me@h/x":                    "PORTWATCH_OPENSEARCH_PASSWORD",
		"opensearch+http://h/x?api-key=abc":           "api-key-file=PATH",
		"opensearch+http://me:pw@h/x":                 "password in the URL",
		"elasticsearch+https://me@h/x":                "PORTWATCH_ELASTICSEARCH_PASSWORD",
		"opensearch+http://h/x?ca=x":                  "unknown setting",
		"opensearch+https://h/x?ca=/nowhere":          "/nowhere",
		"splunk-hec+https://h":                        hecTokenVariable,
		"splunk-hec+https://h?token=abc":              "token-file=PATH",
		"splunk-hec+https://h?token-file=/nowhere":    "/nowhere",
		"opensearch+http://me@h/x?password-file=/no":  "/no",
		"http+http://":                                "no host",
		"http+http://me@h?preset=loki":                "PORTWATCH_HTTP_PASSWORD",
		"http+http://h?preset=nonsense":               "preset=nonsense",
		"http+http://h?preset=clickhouse&table=a;b":   "cannot read what follows",
		"http+http://h?preset=clickhouse&table=a%20b": "letters, digits",
		"http+http://h?preset=loki&labels=x":          "NAME:VALUE",
		"http+http://h?preset=loki&labels=a-b:c":      "NAME:VALUE",
		"http+http://h?preset=loki&labels=dataset:c":  "the label dataset is reserved",
		"http+http://h?gzip=2":                        "gzip=2",
		"http+http://h?parallel=1001":                 "at most 1000",
	} {
		_, r, err := Open(to, "", "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", to, err, want)
		}
		if r != nil && err == nil {
			r.Close()
		}
	}
}

func TestExcerpt(t *testing.T) {
	c := &httpClient{}
	long := strings.Repeat("x", maxExcerpt)
	for text, want := range map[string]string{
		"": "", " a\n\t b\x00c\x1fd\x7fe ": "a b c d e", "\xff": "?", "é€": "é€", "a\u009b31mb\u0085\u202ec": "a 31mb c", long: long, long + "x": long + "...", long[1:] + "é": long[1:] + "...",
		strings.Repeat(" ", 64<<10) + "x": "",
	} {
		if got := c.excerpt([]byte(text)); got != want {
			t.Errorf("%.20q: %q, want %q", text, got, want)
		}
	}
}

// TestRequestBodyReleased: the transport reads nothing more of a body whose memory is
// reused.
func TestRequestBodyReleased(t *testing.T) {
	body := &requestBody{data: []byte("abc")}
	r := body.reader()
	p := make([]byte, 2)
	if n, err := r.Read(p); n != 2 || string(p) != "ab" || err != nil {
		t.Errorf("%d octets, %q, %v", n, p, err)
	}
	body.release()
	if n, err := r.Read(p); n != 0 || err != io.ErrClosedPipe {
		t.Errorf("%d octets, %v", n, err)
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "-7": 0, "-99999999999": 0, "x": 0, "99999999999": maxRetryAfter, "9300000000": maxRetryAfter, "-9300000000": 0, "999999999999999999999999": 0,
		"Tue, 24 Nov 2026 12:00:30 GMT": 30 * time.Second, "Tue, 24 Nov 2026 11:00:30 GMT": 0,
		"Tue, 24 Nov 2099 12:00:30 GMT": maxRetryAfter,
	} {
		if got := retryAfter(http.Header{"Retry-After": {text}}, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestAppendString(t *testing.T) {
	for _, text := range []string{"", "plain", `a "b" \c`, "\x00\x01\x1f\n\r\t\x7f", "é€😀", strings.Repeat(`"\`, 50)} {
		var got string
		if err := json.Unmarshal(appendString(nil, []byte(text)), &got); err != nil || got != text {
			t.Errorf("%q came back as %q: %v", text, got, err)
		}
	}
}

// benchRecords are as large as those of real Flows in ECS.
func benchRecords(b *testing.B, n int) ([]Record, int64) {
	b.Helper()
	records := testRecords(n)
	for i := range records {
		records[i].Body = fmt.Appendf(nil, ecsLike, i, i%256, i%65536, i*7919%65536, i*31)
	}
	return records, bodies(records)
}

const ecsLike = `{"@timestamp":"2026-11-22T12:00:01.704000001Z","ecs":{"version":"9.4.0"},"event":{"kind":"event","category":["network"],` +
	`"type":["connection","start","end"],"action":"flow_end","module":"portwatch","dataset":"portwatch.flow","provider":"portwatch",` +
	`"id":"b6df1843441787f10fc7bfea62ef58c8-%d","sequence":0,"duration":1500000000},"source":{"ip":"10.0.0.%d","port":%d,"bytes":700,` +
	`"packets":7},"destination":{"ip":"93.184.216.34","port":%d,"bytes":17500,"packets":17},"network":{"type":"ipv4","transport":"tcp",` +
	`"iana_number":"6","community_id":"1:aQrxhices1XQG4n0AkowDGt70/I=","bytes":%d,"packets":24},"observer":{"type":"sensor"},"tags":[],` +
	`"portwatch":{"source":{"port":{"class":"dynamic","role":"client","status":"dynamic"}},"destination":{"port":{"class":"system",` +
	`"role":"service","status":"assigned","service":"https","services":["https"],"registered_on":["udp"]}},"findings":[]}}`

// BenchmarkHTTPBody measures what a batch costs before it is sent.
func BenchmarkHTTPBody(b *testing.B) {
	records, octets := benchRecords(b, 5000)
	h := &hec{}
	for i := range h.before {
		h.before[i] = []byte(`,"source":"portwatch","sourcetype":"portwatch:flow","event":`)
	}
	l, o := &loki{}, &otlp{}
	for _, body := range []struct {
		name   string
		append func(dst []byte, records []Record) []byte
	}{
		{"bulk", (&bulk{ids: true}).append}, {"hec", h.append}, {"lines", lines{}.append},
		{"clickhouse", clickHouse{}.append}, {"loki", l.append}, {"otlp", o.append},
	} {
		b.Run(body.name, func(b *testing.B) {
			b.SetBytes(octets)
			b.ReportAllocs()
			var dst []byte
			for b.Loop() {
				dst = body.append(dst[:0], records)
			}
		})
	}
	b.Run("bulk-gzip", func(b *testing.B) {
		b.SetBytes(octets)
		b.ReportAllocs()
		var dst []byte
		var packed bytes.Buffer
		zip, _ := kgzip.NewWriterLevel(nil, kgzip.BestSpeed)
		for b.Loop() {
			dst = (&bulk{ids: true}).append(dst[:0], records)
			packed.Reset()
			zip.Reset(&packed)
			zip.Write(dst)
			zip.Close()
		}
		b.ReportMetric(float64(octets)/float64(packed.Len()), "ratio")
	})
}

// TestBodyAllocs: bodies are written into memory that is there already.
func TestBodyAllocs(t *testing.T) {
	records := testRecords(100)
	var dst []byte
	for name, body := range map[string]func([]byte, []Record) []byte{
		"bulk": (&bulk{ids: true}).append, "hec": (&hec{}).append, "lines": lines{}.append,
		"clickhouse": clickHouse{}.append, "loki": (&loki{}).append, "otlp": (&otlp{}).append,
	} {
		dst = body(dst[:0], records)
		if n := testing.AllocsPerRun(10, func() { dst = body(dst[:0], records) }); n > 0 {
			t.Errorf("%s: %v allocations for 100 records", name, n)
		}
	}
}
