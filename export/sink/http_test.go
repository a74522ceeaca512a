package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestPostAnswers(t *testing.T) {
	for rest, answers := range map[string][]answered{
		"PATH/in": {
			{"ok", 200, "", "DDD", ""},
			{"accepted", 202, "thanks", "DDD", ""},
			{"no-content", 204, "", "DDD", ""},
			{"bad-request", 400, "not a record", "RRR", ""},
			{"unprocessable", 422, "", "RRR", ""},
			{"method", 405, "", "PPP", "405 Method Not Allowed"},
		},
		"?preset=clickhouse": {
			{"ok", 200, "", "DDD", ""},
			{"no-table-18", 404, "Code: 60, e.displayText() = DB::Exception: Table default.x doesn't exist.", "PPP", "Table default.x"},
			{"no-table-26", 404, "Code: 60. DB::Exception: Unknown table expression identifier 'x'.", "PPP", "Unknown table"},
			{"parse-18", 500, "Code: 27, e.displayText() = DB::Exception: Cannot parse input: (at row 1)", "RRR", ""},
			{"parse-26", 400, "Code: 117. DB::Exception: Expected end of line: (INCORRECT_DATA)", "RRR", ""},
			{"syntax", 400, "Code: 62. DB::Exception: Syntax error", "PPP", "Syntax error"},
			{"column", 400, "Code: 16. DB::Exception: No such column raw in table", "PPP", "No such column"},
			{"password-18", 401, "Code: 193, e.displayText() = DB::Exception: Wrong password", "PPP", "PORTWATCH_HTTP_PASSWORD"},
			{"password-26", 403, "Code: 516. DB::Exception: default: Authentication failed", "PPP", "PORTWATCH_HTTP_PASSWORD"},
			{"user-18", 404, "Code: 192, e.displayText() = DB::Exception: Unknown user me", "PPP", "PORTWATCH_HTTP_PASSWORD"},
			{"too-many-parts", 500, "Code: 252. DB::Exception: Too many parts", "PPP", "Too many parts"},
			{"too-many-queries", 503, "Code: 202. DB::Exception: Too many simultaneous queries", "PPP", "Too many simultaneous"},
			{"memory", 500, "Code: 241. DB::Exception: Memory limit (total) exceeded", "PPP", "Memory limit"},
			{"disk", 500, "Code: 243. DB::Exception: Cannot reserve 1.00 MiB, not enough space", "PPP", "not enough space"},
			{"read-only", 500, "Code: 242. DB::Exception: Table is in readonly mode", "PPP", "readonly"},
			{"setting", 404, "Code: 115, e.displayText() = DB::Exception: Unknown setting wait_end_of_query", "PPP", "wait_end_of_query"},
			{"setting-again", 404, "Code: 115, e.displayText() = DB::Exception: Unknown setting wait_for_async_insert", "PPP", "wait_for_async_insert"},
			{"late-exception", 200, "Code: 241. DB::Exception: Memory limit", "PPP", "Memory limit"},
			{"something-else", 400, "<html>", "PPP", "400 Bad Request: <html>"},
		},
		"?preset=loki": {
			{"no-content", 204, "", "DDD", ""},
			{"too-old", 400, `entry for stream '{service_name="portwatch"}' has timestamp too old: 2019-01-01T00:00:00Z`, "RRR", ""},
			{"too-far-behind", 400, "entry too far behind, entry timestamp is: 2019-01-01T00:00:00Z", "RRR", ""},
			{"no-tenant", 401, "no org id", "PPP", "401 Unauthorized: no org id"},
			{"rate", 429, "ingestion rate limit exceeded for user fake", "PPP", "ingestion rate limit"},
		},
		"?preset=otlp": {
			{"empty-object", 200, `{}`, "DDD", ""},
			{"empty", 200, ``, "DDD", ""},
			{"warning", 200, `{"partialSuccess":{"errorMessage":"be careful"}}`, "DDD", ""},
			{"none-rejected", 200, `{"partialSuccess":{"rejectedLogRecords":"0"}}`, "DDD", ""},
			{"some-rejected", 200, `{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too long"}}`, "RRR", ""},
			{"all-rejected", 200, `{"partialSuccess":{"rejectedLogRecords":3,"errorMessage":"too long"}}`, "RRR", ""},
			{"not-json", 200, `<html>`, "PPP", "invalid character"},
			{"bad-data", 400, `{"code":3,"message":"bad"}`, "RRR", ""},
		},
	} {
		t.Run(rest, func(t *testing.T) {
			for _, a := range answers {
				a.test(t, "http", rest)
			}
		})
	}
}

// oneRequest returns what a receiver sends for some records.
func oneRequest(t *testing.T, rest string, records []Record) (*http.Request, string) {
	var request *http.Request
	text := ""
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		request, text = r, string(requestText(t, r))
	}))
	defer server.Close()
	if got, _, err := deliver(t, openHTTP(t, server, "http", rest), records); err != nil || got != strings.Repeat("D", len(records)) {
		t.Fatalf("%s: %v", got, err)
	}
	return request, text
}

// TestPartialSuccess has an OTLP receiver that takes all records but a bad one, and says
// only how many it did not take: the bad one alone is rejected, the others arrive.
func TestPartialSuccess(t *testing.T) {
	uid := regexp.MustCompile(`"log\.record\.uid","value":\{"stringValue":"([^"]*)"`)
	for _, bad := range []string{"id-0", "id-77", "id-511"} {
		taken, requests := map[string]int{}, 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			requests++
			refused := 0
			for _, match := range uid.FindAllStringSubmatch(string(requestText(t, r)), -1) {
				if match[1] == bad {
					refused++
				} else {
					taken[match[1]]++
				}
			}
			w.Header().Set("Content-Type", "application/json")
			if refused > 0 {
				fmt.Fprintf(w, `{"partialSuccess":{"rejectedLogRecords":"%d","errorMessage":"too old"}}`, refused)
				return
			}
			io.WriteString(w, `{}`)
		}))
		got, verdicts, err := deliver(t, openHTTP(t, server, "http", "?preset=otlp"), testRecords(512))
		server.Close()
		i, _ := strconv.Atoi(strings.TrimPrefix(bad, "id-"))
		if want := strings.Repeat("D", i) + "R" + strings.Repeat("D", 511-i); got != want || err != nil {
			t.Errorf("%s: verdicts %s, %v", bad, got, err)
		}
		if reason := verdicts[i].Reason; reason != "refused 1 of 1 records: too old" {
			t.Errorf("%s: %q", bad, reason)
		}
		if len(taken) != 511 || requests != 19 { // two a level, and the whole
			t.Errorf("%s: %d records were taken, in %d requests", bad, len(taken), requests)
		}
	}
}

func TestPostLines(t *testing.T) {
	t.Setenv(httpTokenVariable, "abc")
	records := testRecords(2)
	r, text := oneRequest(t, "PATH/a%20b/in", records)
	if want := string(records[0].Body) + "\n" + string(records[1].Body) + "\n"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	if r.URL.Path != "/a b/in" || r.Header.Get("Content-Type") != "application/x-ndjson" || r.Header.Get("Authorization") != "Bearer abc" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	r, _ = oneRequest(t, "PATH/in?format=cef", records)
	if r.Header.Get("Content-Type") != "text/plain; charset=utf-8" {
		t.Errorf("%v", r.Header)
	}
}

func TestClickHouseRequest(t *testing.T) {
	records := testRecords(6)
	for i, text := range []string{"plain", "a\tb", `b\c`, "c\nd", "a\tb\\c\nd"} {
		records[1+i].Body = []byte(text)
	}
	r, text := oneRequest(t, "?preset=clickhouse&table=net.flows&column=line", records)
	if want := strings.ReplaceAll(string(records[0].Body), `\`, `\\`) + "\nplain\n" + `a\tb` + "\n" + `b\\c` + "\n" + `c\nd` + "\n" + `a\tb\\c\nd` + "\n"; text != want {
		t.Errorf("%q, want %q", text, want)
	}
	query := r.URL.Query()
	if query.Get("query") != "INSERT INTO net.flows (line) FORMAT TabSeparated" || query.Get("wait_end_of_query") != "1" ||
		query.Get("wait_for_async_insert") != "1" || query.Get("input_format_allow_errors_num") != "0" ||
		r.URL.Path != "/" || r.Header.Get("Content-Type") != "text/tab-separated-values; charset=utf-8" || r.Header.Get("Authorization") != "" {
		t.Errorf("%v %v", r.URL, r.Header)
	}
}

// TestClickHouseOld has a version that does not know every setting: it gets the batch
// without them, and those that follow too.
func TestClickHouseOld(t *testing.T) {
	asked := []bool{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		knows := r.URL.Query().Has("wait_for_async_insert")
		asked = append(asked, knows)
		if knows {
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "Code: 115, e.displayText() = DB::Exception: Unknown setting wait_for_async_insert, e.what() = DB::Exception")
		}
	}))
	defer server.Close()
	r := openHTTP(t, server, "http", "?preset=clickhouse")
	for range 2 {
		if got, _, err := deliver(t, r, testRecords(1)); got != "D" || err != nil {
			t.Errorf("%s: %v", got, err)
		}
	}
	if !slices.Equal(asked, []bool{true, false, false}) {
		t.Errorf("asked for the setting: %v", asked)
	}
}

// TestPresetPath: a path in the URL is used.
func TestPresetPath(t *testing.T) {
	for preset, own := range map[string]string{"loki": "/loki/api/v1/push", "otlp": "/v1/logs"} {
		for path, want := range map[string]string{"": own, "/": own, "/of/a/proxy": "/of/a/proxy"} {
			_, r, err := Open("http+http://h"+path+"?preset="+preset, "", "")
			if err != nil {
				t.Fatal(err)
			}
			p := r.(*post)
			if got := p.url.Load().Path; got != want {
				t.Errorf("%s %q goes to %s, want %s", preset, path, got, want)
			}
			if body := p.preset.append(nil, testRecords(1)); bytes.Contains(body, []byte(`""`)) {
				t.Errorf("%s: an empty name: %s", preset, body)
			}
		}
	}
}

func TestLokiRequest(t *testing.T) {
	for n := range 5 {
		records := testRecords(n + 1)
		r, text := oneRequest(t, "?preset=loki&labels=env:lab%20%22one%22,site:b&tenant=net", records)
		if r.URL.Path != "/loki/api/v1/push" || r.Header.Get("X-Scope-OrgID") != "net" || r.Header.Get("Content-Type") != "application/json" {
			t.Errorf("%s %v", r.URL, r.Header)
		}
		var push struct {
			Streams []struct {
				Stream map[string]string
				Values [][]string
			}
		}
		if err := json.Unmarshal([]byte(text), &push); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		got := make(map[string]string)
		for _, s := range push.Streams {
			for _, v := range s.Values {
				got[v[1]] = fmt.Sprintf("%s %v", v[0], s.Stream)
			}
		}
		for _, r := range records {
			want := fmt.Sprintf("%d map[dataset:portwatch.%s env:lab \"one\" observer:sensor service_name:portwatch site:b]", r.Time, r.Kind)
			if got[string(r.Body)] != want {
				t.Errorf("%s: %s, want %s", r.Body, got[string(r.Body)], want)
			}
		}
		if len(got) != len(records) || len(push.Streams) != min(2, len(records)) {
			t.Errorf("%d lines in %d streams for %d records", len(got), len(push.Streams), len(records))
		}
	}
}

func TestOTLPRequest(t *testing.T) {
	records := testRecords(3)
	r, text := oneRequest(t, "?preset=otlp", records)
	if r.URL.Path != "/v1/logs" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%s %v", r.URL, r.Header)
	}
	type value struct{ StringValue string }
	type attribute struct {
		Key   string
		Value value
	}
	type logRecord struct {
		TimeUnixNano   string
		SeverityNumber int
		SeverityText   string
		EventName      string
		Body           value
		Attributes     []attribute
	}
	var request struct {
		ResourceLogs []struct {
			Resource  struct{ Attributes []attribute }
			ScopeLogs []struct {
				Scope      struct{ Name string }
				LogRecords []logRecord
			}
		}
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&request); err != nil {
		t.Fatal(err)
	}
	resource := request.ResourceLogs[0]
	want := []attribute{{"service.name", value{"portwatch"}}, {"service.version", value{"1.2.3"}}, {"service.instance.id", value{"sensor"}}}
	if !slices.Equal(resource.Resource.Attributes, want) {
		t.Errorf("resource %v", resource.Resource)
	}
	for i, got := range resource.ScopeLogs[0].LogRecords {
		r := records[i]
		want := logRecord{fmt.Sprint(r.Time), 9, "INFO", "portwatch." + r.Kind.String(), value{string(r.Body)}, []attribute{{"log.record.uid", value{string(r.ID)}}}}
		if r.Severity > 0 {
			want.SeverityNumber, want.SeverityText = 13, "WARN"
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
}
