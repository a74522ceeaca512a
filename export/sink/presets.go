package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A clickHouse inserts each record as one text into a column of type String (or JSON,
// from version 24.8 on), from which a materialized view takes what it wants. That works
// in every version, whereas versions differ in how they read nested objects into columns.
// The text is escaped as TabSeparated wants it (clickhouse.com, "Formats for input and
// output data").
type clickHouse struct{}

// clickHouseWait asks that an insert that the server gathers with others is answered only
// after it is done. That is the default, but somebody may have changed it; servers before
// 21.11 do not know the setting.
const clickHouseWait = "wait_for_async_insert"

// clickHouseName matches a name that needs no quotes.
var clickHouseName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// forClickHouse reads the settings table=, default portwatch, and column=, default raw.
// The template for ClickHouse creates both.
func (p *post) forClickHouse(t *Target) error {
	table, column := t.Text("table", "portwatch"), t.Text("column", "raw")
	for name := range strings.SplitSeq(table+"."+column, ".") {
		if !clickHouseName.MatchString(name) {
			return fmt.Errorf("table=%s&column=%s: names have letters, digits and underscores", table, column)
		}
	}
	p.url.Store(&url.URL{Path: t.Path, RawQuery: url.Values{
		"query":             {fmt.Sprintf("INSERT INTO %s (%s) FORMAT TabSeparated", table, column)},
		"wait_end_of_query": {"1"}, // the status comes only after the insert
		clickHouseWait:      {"1"},
		// whatever the user's profile says, no row is skipped silently
		"input_format_allow_errors_num": {"0"}, "input_format_allow_errors_ratio": {"0"},
	}.Encode()})
	p.http.header.Set("Content-Type", "text/tab-separated-values; charset=utf-8")
	p.limits = Limits{Records: 20000, Octets: 16 << 20, Record: 16 << 20, Parallel: 2} // few, large parts
	p.preset = clickHouse{}
	return nil
}

func (clickHouse) append(dst []byte, records []Record) []byte {
	for i := range records {
		text := records[i].Body
		if bytes.IndexByte(text, '\\') < 0 && bytes.IndexByte(text, '\t') < 0 && bytes.IndexByte(text, '\n') < 0 {
			dst = append(append(dst, text...), '\n')
			continue
		}
		for _, b := range text {
			switch b {
			case '\\':
				dst = append(dst, '\\', '\\')
			case '\t':
				dst = append(dst, '\\', 't')
			case '\n':
				dst = append(dst, '\\', 'n')
			default:
				dst = append(dst, b)
			}
		}
		dst = append(dst, '\n')
	}
	return dst
}

// clickHouseBadData are the codes that concern the data: texts, dates and numbers that
// cannot be parsed, a string that is too long, a type that does not fit, and what fails
// in a view or a constraint of the table (a division by zero, throwIf).
var clickHouseBadData = []int{6, 26, 27, 38, 41, 53, 69, 70, 72, 117, 131, 153, 349, 395, 407, 469}

// clickHouseCode matches how every version begins an error.
var clickHouseCode = regexp.MustCompile(`^Code: (\d+)[.,]`)

func (clickHouse) judge(p *post, x *exchange, _ []Verdict) (bool, error) {
	failed := p.http.statusError(x)
	match := clickHouseCode.FindStringSubmatch(failed.text)
	if match == nil {
		if x.status == http.StatusBadRequest {
			return true, failed // not from ClickHouse, so not about the data
		}
		return false, nil
	}
	code, err := strconv.Atoi(match[1])
	if err != nil {
		return true, failed
	}
	const unknownSetting, wrongPassword, unknownUser, authenticationFailed = 115, 193, 192, 516
	switch {
	case code == unknownSetting && strings.Contains(failed.text, clickHouseWait):
		old := p.url.Load()
		query := old.Query()
		if query.Has(clickHouseWait) {
			query.Del(clickHouseWait)
			p.url.CompareAndSwap(old, &url.URL{Path: old.Path, RawQuery: query.Encode()})
			return false, errAnotherWay
		}
	case code == wrongPassword || code == unknownUser || code == authenticationFailed:
		failed.text += "; " + p.http.login
	case slices.Contains(clickHouseBadData, code):
		return true, &refused{at: -1, reason: failed.Error()}
	}
	return true, failed
}

// A loki pushes each record as a log line (grafana.com, "Loki HTTP API": POST
// /loki/api/v1/push). Labels are few and hardly ever change, since each set of them is a
// separate stream; everything else is in the line. Loki drops a line that a stream
// already has with the same time, so sending again does no harm.
type loki struct {
	streams [kinds][]byte // the beginning of each stream, up to its values
}

// lokiLabel matches a label's name.
var lokiLabel = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// forLoki reads the settings labels=NAME:VALUE,NAME:VALUE, which come beside
// service_name, dataset and observer, and tenant= for X-Scope-OrgID. The path is Loki's
// own unless the URL has one.
func (p *post) forLoki(t *Target) error {
	labels := [][2]string{{"service_name", "portwatch"}}
	if t.Observer != "" {
		labels = append(labels, [2]string{"observer", t.Observer})
	}
	if text := t.Text("labels", ""); text != "" {
		for pair := range strings.SplitSeq(text, ",") {
			name, value, found := strings.Cut(pair, ":")
			if !found || !lokiLabel.MatchString(name) || name == "dataset" {
				return errors.New("labels= wants NAME:VALUE,NAME:VALUE; the label dataset is reserved")
			}
			labels = append(labels, [2]string{name, value})
		}
	}
	l := &loki{}
	for kind := range Kind(len(l.streams)) {
		s := append(l.streams[kind], `{"stream":{"dataset":`...)
		s = appendString(s, []byte("portwatch."+kind.String()))
		for _, label := range labels {
			s = appendString(append(s, ','), []byte(label[0]))
			s = appendString(append(s, ':'), []byte(label[1]))
		}
		l.streams[kind] = append(s, `},"values":[`...)
	}
	if t.Path == "" || t.Path == "/" {
		p.url.Store(&url.URL{Path: "/loki/api/v1/push"})
	}
	if tenant := t.Text("tenant", ""); tenant != "" {
		p.http.header.Set("X-Scope-OrgID", tenant)
	}
	p.http.header.Set("Content-Type", "application/json")
	// 4 MiB is the usual limit of a message inside Loki; one at a time keeps the order
	p.limits = Limits{Records: 2000, Octets: 2 << 20, Record: 2 << 20, Parallel: 1}
	p.preset = l
	return nil
}

func (l *loki) append(dst []byte, records []Record) []byte {
	dst = append(dst, `{"streams":[`...)
	for kind := range Kind(len(l.streams)) {
		first := true
		for i := range records {
			r := &records[i]
			if r.Kind != kind {
				continue
			}
			if first {
				if dst[len(dst)-1] == '}' {
					dst = append(dst, ',')
				}
				dst = append(append(dst, l.streams[kind]...), `["`...)
				first = false
			} else {
				dst = append(dst, `,["`...)
			}
			dst = append(strconv.AppendInt(dst, r.Time, 10), `",`...)
			dst = append(appendString(dst, r.Body), ']')
		}
		if !first {
			dst = append(dst, "]}"...)
		}
	}
	return append(dst, "]}"...)
}

// judge leaves everything to the status. 400 is for lines that are too long, too old or
// too far behind others; the other lines of the request were taken.
func (l *loki) judge(*post, *exchange, []Verdict) (bool, error) { return false, nil }

// An otlp sends log records in OTLP's JSON form (opentelemetry.io, "OTLP
// Specification", OTLP/HTTP), with the record as body and event.id as log.record.uid.
type otlp struct {
	before []byte        // up to the log records
	names  [kinds][]byte // event names
}

// forOTLP reads no settings. The path is /v1/logs unless the URL has one.
func (p *post) forOTLP(t *Target) {
	o := &otlp{}
	attribute := func(dst []byte, key, value string) []byte {
		dst = append(append(dst, `{"key":"`...), key...)
		return append(appendString(append(dst, `","value":{"stringValue":`...), []byte(value)), "}}"...)
	}
	b := append(o.before, `{"resourceLogs":[{"resource":{"attributes":[`...)
	b = attribute(b, "service.name", "portwatch")
	if t.Version != "" {
		b = attribute(append(b, ','), "service.version", t.Version)
	}
	if t.Observer != "" {
		b = attribute(append(b, ','), "service.instance.id", t.Observer)
	}
	o.before = append(b, `]},"scopeLogs":[{"scope":{"name":"portwatch"},"logRecords":[`...)
	for kind := range Kind(len(o.names)) {
		o.names[kind] = appendString(nil, []byte("portwatch."+kind.String()))
	}
	if t.Path == "" || t.Path == "/" {
		p.url.Store(&url.URL{Path: "/v1/logs"})
	}
	p.http.header.Set("Content-Type", "application/json")
	// small batches: if part of one is refused, the receiver does not say which
	p.limits = Limits{Records: 512, Octets: 2 << 20, Record: 2 << 20, Parallel: 2}
	p.preset = o
}

func (o *otlp) append(dst []byte, records []Record) []byte {
	dst = append(dst, o.before...)
	for i := range records {
		r := &records[i]
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"timeUnixNano":"`...)
		dst = strconv.AppendInt(dst, max(r.Time, 0), 10)
		if r.Severity > 0 {
			dst = append(dst, `","severityNumber":13,"severityText":"WARN","eventName":`...)
		} else {
			dst = append(dst, `","severityNumber":9,"severityText":"INFO","eventName":`...)
		}
		dst = append(dst, o.names[r.Kind]...)
		dst = append(dst, `,"body":{"stringValue":`...)
		dst = appendString(dst, r.Body)
		dst = append(dst, `},"attributes":[{"key":"log.record.uid","value":{"stringValue":`...)
		dst = appendString(dst, r.ID)
		dst = append(dst, "}}]}"...)
	}
	return append(dst, "]}]}]}"...)
}

// judge looks for a partial success: the receiver took some of the batch, and does not
// say which. All of it is then sent again, in smaller requests, until the bad records are
// alone: the specification forbids repeating such a request, but these are different
// ones. A record that arrives twice can be told by its log.record.uid; putting the whole
// batch into the dead-letter file would record as lost what mostly arrived.
func (o *otlp) judge(p *post, x *exchange, verdicts []Verdict) (bool, error) {
	if x.status != http.StatusOK || x.answer.Len() == 0 {
		return false, nil
	}
	var answer struct {
		PartialSuccess struct {
			RejectedLogRecords json.Number // a string, as ProtoJSON writes 64-bit integers, or a number
			ErrorMessage       string
		}
	}
	if err := json.Unmarshal(x.answer.Bytes(), &answer); err != nil {
		return true, fmt.Errorf("post to %s: answer: %w", x.host.Host, err)
	}
	n, err := strconv.Atoi(string(answer.PartialSuccess.RejectedLogRecords))
	if err != nil || n <= 0 {
		return false, nil
	}
	reason := p.http.excerpt([]byte(answer.PartialSuccess.ErrorMessage))
	if reason == "" {
		reason = "the receiver did not say why"
	}
	reason = fmt.Sprintf("refused %d of %d records: %s", n, len(verdicts), reason)
	if n < len(verdicts) {
		return true, &refused{at: -1, reason: reason}
	}
	settle(verdicts, Verdict{State: Rejected, Reason: reason})
	return true, nil
}
