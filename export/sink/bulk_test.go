package sink

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// items is an answer with one status per record.
func items(rest ...string) string {
	for i, item := range rest {
		status, failure, found := strings.Cut(item, " ")
		rest[i] = `{"create":{"status":` + status
		if found {
			kind, reason, _ := strings.Cut(failure, " ")
			rest[i] += fmt.Sprintf(`,"error":{"type":%q,"reason":%q}`, kind, reason)
		}
		rest[i] += "}}"
	}
	return `{"errors":true,"items":[` + strings.Join(rest, ",") + "]}"
}

func TestBulkAnswers(t *testing.T) {
	for _, a := range []answered{
		{"created", 200, items("201", "201", "200"), "DDD", ""},
		{"there-already", 200, items("201", "409 version_conflict_engine_exception document already exists", "201"), "DDD", ""},
		{"queue-full", 200, items("201", "429 es_rejected_execution_exception queue capacity", "201"), "DPD",
			"429 Too Many Requests: 1 of 3 records, the first: es_rejected_execution_exception: queue capacity"},
		{"unavailable", 200, items("503 unavailable_shards_exception primary", "503", "201"), "PPD", "2 of 3 records, the first: unavailable_shards_exception: primary"},
		{"disk-full", 200, items("403 cluster_block_exception flood-stage", "201", "201"), "PDD", "flood-stage"},
		{"forbidden", 200, items("403 security_exception no permissions", "201", "201"), "PDD", "no permissions; set USER@ in the URL"},
		{"too-large", 200, items("413 x_content_e_o_f_exception too large", "201", "201"), "RDD", ""},
		{"no-index", 200, items("404 index_not_found_exception no such index", "201", "201"), "PDD", "no such index"},
		{"mapping", 200, items("201", "400 mapper_parsing_exception failed to parse field [source.ip]", "201"), "DRD", ""},
		{"mapping-and-queue", 200, items("400 document_parsing_exception x", "429", "201"), "RPD", "429"},
		{"pipeline", 200, items("400 illegal_argument_exception pipeline with id [x] does not exist", "201", "201"), "PDD", "pipeline"},
		{"too-few", 200, items("201", "201"), "PPP", "2 items for 3 records"},
		{"too-many", 200, items("201", "201", "201", "201"), "PPP", "4 items for 3 records"},
		{"no-items", 200, `{}`, "PPP", "0 items"},
		{"not-json", 200, `<html>`, "PPP", "answer: invalid character"},
		{"empty", 200, ``, "PPP", "answer: unexpected end"},
		{"bad-request", 400, `{"error":"malformed"}`, "RRR", ""},
	} {
		a.test(t, "opensearch", "PATH/flows")
	}
}

// TestBulkReason: the reason of a rejection has the answer's details.
func TestBulkReason(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, `{"items":[{"create":{"status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse\nfield",`+
			`"caused_by":{"type":"illegal_argument_exception","reason":"'x' is not an IP"}}}}]}`)
	}))
	defer server.Close()
	_, verdicts, err := deliver(t, openHTTP(t, server, "elasticsearch", "PATH/flows"), testRecords(1))
	if want := "mapper_parsing_exception: failed to parse field: 'x' is not an IP"; err != nil || verdicts[0].Reason != want {
		t.Errorf("%q, %v, want %q", verdicts[0].Reason, err, want)
	}
}

// TestBulkRequest has a server that insists on the protocol: pairs of lines, each with an
// end, create only, each _id once.
func TestBulkRequest(t *testing.T) {
	there := make(map[string]string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "POST" || r.URL.Path != "/proxy/flows/_bulk" || r.Header.Get("Content-Type") != "application/x-ndjson" ||
			r.Header.Get("User-Agent") != "portwatch/1.2.3" || r.URL.Query().Get("pipeline") != "geo ip" {
			t.Errorf("%s %s %v", r.Method, r.URL, r.Header)
		}
		if user, password, _ := r.BasicAuth(); user != "me" || password != "pw" {
			t.Errorf("user %q, password %q", user, password)
		}
		text := requestText(t, r)
		if !bytes.HasSuffix(text, []byte("\n")) {
			t.Error("no newline at the end")
		}
		lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
		statuses := make([]string, 0, len(lines)/2)
		for i := 0; i+1 < len(lines); i += 2 {
			var action map[string]struct {
				ID string `json:"_id"`
			}
			if err := json.Unmarshal([]byte(lines[i]), &action); err != nil || len(action) != 1 || action["create"].ID == "" {
				t.Fatalf("action %s: %v", lines[i], err)
			}
			if !json.Valid([]byte(lines[i+1])) {
				t.Errorf("record %s", lines[i+1])
			}
			id := action["create"].ID
			if there[id] != "" {
				statuses = append(statuses, "409 version_conflict_engine_exception")
				continue
			}
			there[id] = lines[i+1]
			statuses = append(statuses, "201")
		}
		io.WriteString(w, items(statuses...))
	}))
	defer server.Close()
	t.Setenv("PORTWATCH_OPENSEARCH_PASSWORD", "pw")
	r := openHTTP(t, server, "opensearch", "me@PATH/proxy/flows?pipeline=geo%20ip")
	records := testRecords(100)
	for range 2 {
		if got, _, err := deliver(t, r, records); err != nil || got != strings.Repeat("D", 100) {
			t.Fatalf("%s: %v", got, err)
		}
	}
	for i := range records {
		if there[string(records[i].ID)] != string(records[i].Body) {
			t.Errorf("%s is %s", records[i].ID, there[string(records[i].ID)])
		}
	}
}

// TestBulkWithoutIDs is for OpenSearch Serverless, which refuses ids, and for records
// that have none.
func TestBulkWithoutIDs(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if text := requestText(t, r); !bytes.HasPrefix(text, []byte("{\"create\":{}}\n{")) {
			t.Errorf("%s", text)
		}
		if r.URL.Query().Has("pipeline") {
			t.Error(r.URL)
		}
		if key := r.Header.Get("Authorization"); key != "ApiKey abc" {
			t.Error(key)
		}
		io.WriteString(w, items("201"))
	}))
	defer server.Close()
	t.Setenv("PORTWATCH_OPENSEARCH_API_KEY", "abc")
	with, without := testRecords(1), testRecords(1)
	without[0].ID = nil
	for rest, records := range map[string][]Record{"PATH/flows?ids=0": with, "PATH/flows": without} {
		if got, _, err := deliver(t, openHTTP(t, server, "opensearch", rest), records); got != "D" || err != nil {
			t.Error(rest, got, err)
		}
	}
}
