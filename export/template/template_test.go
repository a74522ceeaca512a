package template

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// written are the fields that package export writes into ECS documents, by their
// paths, each with its type: those of records from a list that its own tests hold
// against what it writes, in both directions; those of alerts from alerts.
func written(t *testing.T) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	for _, alert := range alerts(t) {
		for field, value := range leaves(alert) {
			fields[field] = kindOf(value)
		}
	}
	fields["event.risk_score"] = "float" // in ECS; we write no fractions
	list, err := os.ReadFile("../testdata/ecs-9.4-fields.tsv")
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(strings.TrimRight(string(list), "\n"), "\n")[1:] {
		columns := strings.Split(line, "\t")
		fields[columns[0]] = columns[1]
	}
	return fields
}

// alerts renders alerts of each scope that, together, have every field of one.
func alerts(t *testing.T) (documents []map[string]any) {
	t.Helper()
	reg := registry.Embedded()
	ecs := export.NewECS(reg, export.Options{Version: "1.2.3", ObserverName: "sensor", Interface: "eth0", Now: time.Now})
	for scope := annotate.OneService; scope <= annotate.Sweep; scope++ {
		for _, port := range []uint16{42000, 3300, 6003} {
			a := &annotate.Alert{
				Update: port == 3300, Rule: annotate.UnauthorizedUse, Scope: scope, Transport: flow.UDP, Version: 4, Registry: reg,
				Service: netip.MustParseAddr("192.0.2.1"), Client: netip.MustParseAddr("192.0.2.2"),
				Port: annotate.Port{
					Number: port, Transport: registry.UDP, Class: registry.ClassOf(port),
					Role: annotate.Service, Entry: reg.Lookup(registry.UDP, port),
				},
				Ports: 1, FirstPorts: [8]uint16{port}, Clients: annotate.Number{N: 5000, Estimated: true},
			}
			var document map[string]any
			if err := json.Unmarshal(ecs.AppendAlert(nil, a, 0), &document); err != nil {
				t.Fatal(err)
			}
			documents = append(documents, document)
		}
	}
	return documents
}

// leaves returns the values of a document by the paths of their fields; of a list, its
// last one.
func leaves(document map[string]any) map[string]any {
	all := make(map[string]any)
	var walk func(path string, value any)
	walk = func(path string, value any) {
		switch v := value.(type) {
		case map[string]any:
			for key, inner := range v {
				walk(strings.TrimPrefix(path+"."+key, "."), inner)
			}
		case []any:
			for _, one := range v {
				walk(path, one)
			}
		default:
			all[path] = value
		}
	}
	walk("", document)
	return all
}

// valueAt returns the value of a field that is in no list.
func valueAt(document map[string]any, field string) (value any, in bool) {
	key, rest, nested := strings.Cut(field, ".")
	value, in = document[key]
	if inner, is := value.(map[string]any); is && nested {
		return valueAt(inner, rest)
	}
	return value, in && !nested
}

// kindOf returns the type that ECS gives such a value.
func kindOf(value any) string {
	switch v := value.(type) {
	case bool:
		return "boolean"
	case float64:
		return "long"
	case string:
		if _, err := time.Parse(time.RFC3339Nano, v); err == nil {
			return "date"
		}
	}
	return "keyword"
}

func text(t *testing.T, name string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Find(name).Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// wantSame complains about what is in only one of two sets.
func wantSame[A, B any](t *testing.T, what string, got map[string]A, want map[string]B) {
	t.Helper()
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if _, in := got[key]; !in {
			t.Errorf("%s lacks %s", what, key)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, in := want[key]; !in {
			t.Errorf("%s has %s, which is never written", what, key)
		}
	}
}

// TestFiles: each template has a file, and each file belongs to one template.
func TestFiles(t *testing.T) {
	var names, paths []string
	for i := range All {
		tp := &All[i]
		names = append(append(names, tp.Name), tp.Also...)
		paths = append(paths, tp.Path)
		body := text(t, tp.Name)
		if body == "" || path.Ext(tp.Path) == ".json" && !json.Valid([]byte(body)) {
			t.Errorf("%s is empty, or no JSON", tp.Name)
		}
		for _, name := range append(tp.Also, tp.Name) {
			if Find(name) != tp {
				t.Errorf("%s is not found by its name", name)
			}
		}
	}
	entries, err := files.ReadDir("files")
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		if !slices.Contains(paths, entry.Name()) {
			t.Errorf("files/%s is of no template", entry.Name())
		}
	}
	slices.Sort(names)
	slices.Sort(paths)
	if n := len(slices.Compact(slices.Clone(names))); n != len(names) || len(slices.Compact(slices.Clone(paths))) != len(paths) {
		t.Errorf("a name or a path comes twice: %v %v", names, paths)
	}
	if Find("") != nil || Find("OpenSearch") != nil {
		t.Error("found what there is not")
	}
}

// TestCollected: collectors of files find every file that rotation has named, including
// several of the same second, and none that is compressed.
func TestCollected(t *testing.T) {
	dir := t.TempDir()
	f, err := sink.OpenFile(filepath.Join(dir, "flows.jsonl"), sink.FileOptions{Rotate: 1})
	if err != nil {
		t.Fatal(err)
	}
	for range 4 { // in two seconds at most, so one of them has several
		fmt.Fprintln(f, "{}")
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 4 {
		t.Fatalf("%d files: %v", len(entries), err)
	}
	for _, collector := range []string{"filebeat", "vector"} {
		patterns := regexp.MustCompile(`(?m)^ +- /var/log/portwatch/(.*)$`).FindAllStringSubmatch(text(t, collector), -1)
		found := func(name string) bool {
			return slices.ContainsFunc(patterns, func(pattern []string) bool {
				match, err := path.Match(pattern[1], name)
				return match && err == nil
			})
		}
		for _, entry := range entries {
			if name := entry.Name(); !found(name) || found(name+".gz") || found(name+".zst") || found(name+".zst.part") {
				t.Errorf("%s: %s of %s", collector, patterns, name)
			}
		}
	}
}

// TestArchive unpacks the archive: it has the files of the folder, and is the same each
// time.
func TestArchive(t *testing.T) {
	archive := text(t, "splunk")
	if archive != text(t, "splunk") {
		t.Error("not the same bytes again")
	}
	got := make(map[string]string)
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		head, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if head.Typeflag == tar.TypeReg {
			got[head.Name] = string(body)
		}
	}
	want := make(map[string]string)
	err := fs.WalkDir(files, "files/splunk", func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			body, _ := files.ReadFile(name)
			want[path.Join("portwatch", strings.TrimPrefix(name, "files/splunk"))] = string(body)
		}
		return err
	})
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the archive has %d files, the folder %d; %v", len(got), len(want), err)
	}
}

// indexTemplate is what the test wants to know of opensearch.json.
type indexTemplate struct {
	Meta struct {
		Version string `json:"ecs_version"`
	} `json:"_meta"`
	Template struct {
		Settings map[string]any
		Mappings struct {
			Dynamic    any
			Properties map[string]property
		}
	}
}

type property struct {
	Type       string
	Properties map[string]property
}

// mapped returns the fields of the index template with their types, and counts its
// entries as total_fields.limit does: objects too.
func mapped(t *testing.T) (fields map[string]string, entries int) {
	t.Helper()
	index := readIndexTemplate(t)
	fields = make(map[string]string)
	var walk func(prefix string, properties map[string]property)
	walk = func(prefix string, properties map[string]property) {
		for name, p := range properties {
			entries++
			if p.Properties != nil {
				walk(prefix+name+".", p.Properties)
			} else {
				fields[prefix+name] = p.Type
			}
		}
	}
	walk("", index.Template.Mappings.Properties)
	return fields, entries
}

func readIndexTemplate(t *testing.T) (index indexTemplate) {
	t.Helper()
	if err := json.Unmarshal([]byte(text(t, "opensearch")), &index); err != nil {
		t.Fatal(err)
	}
	return index
}

// TestIndexTemplate: every field that is written has a mapping with a type that fits
// the one of ECS, and nothing else has one.
func TestIndexTemplate(t *testing.T) {
	want := written(t)
	got, entries := mapped(t)
	wantSame(t, "the mapping", got, want)
	for field, kind := range want {
		if kind == "date" && field != "portwatch.registry.date" {
			kind = "date_nanos" // a date alone would cut the times to milliseconds
		}
		if got[field] != "" && got[field] != kind {
			t.Errorf("%s is mapped as %s, want %s", field, got[field], kind)
		}
	}
	index := readIndexTemplate(t)
	if index.Meta.Version != export.ECSVersion {
		t.Errorf("made for ECS %s, and %s is written", index.Meta.Version, export.ECSVersion)
	}
	if index.Template.Mappings.Dynamic != false {
		t.Error("unknown fields would be mapped by themselves")
	}
	if limit := index.Template.Settings["index.mapping.total_fields.limit"].(float64); float64(entries) > limit {
		t.Errorf("%d fields and objects, and a limit of %v", entries, limit)
	}
}

// documented are the fields in docs/fields.md.
func documented(t *testing.T) map[string]documentedField {
	t.Helper()
	text, err := os.ReadFile("../../docs/fields.md")
	if err != nil {
		t.Fatal(err)
	}
	fields := make(map[string]documentedField)
	for _, row := range regexp.MustCompile("(?m)^\\| `(.*)` \\| (\\w+)(?:\\[\\])?(?: \\(.*\\))? \\| (\\w*) \\| (\\w*) \\| (.+) \\|$").FindAllStringSubmatch(string(text), -1) {
		fields[row[1]] = documentedField{row[2], row[3], row[4]}
	}
	return fields
}

type documentedField struct{ kind, records, alerts string }

// TestDocumented: docs/fields.md has the fields that are written, their types, and
// whether records and alerts have them.
func TestDocumented(t *testing.T) {
	got := documented(t)
	want := written(t)
	wantSame(t, "docs/fields.md", got, want)
	for field, kind := range want {
		if got[field].kind != kind {
			t.Errorf("%s is %q in docs/fields.md, want %s", field, got[field].kind, kind)
		}
	}
	ofRecords, err := os.ReadFile("../testdata/ecs-9.4-fields.tsv")
	if err != nil {
		t.Fatal(err)
	}
	all := alerts(t)
	counts := make(map[string]int)
	for _, alert := range all {
		for field := range leaves(alert) {
			counts[field]++
		}
	}
	golden, err := os.ReadFile("../testdata/ecs.golden")
	if err != nil {
		t.Fatal(err)
	}
	optional := []string{"event.created", "observer.name", "observer.ingress.interface.name"} // but here
	for line := range strings.Lines(string(golden)) {
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatal(err)
		}
		for field, said := range got {
			if _, in := valueAt(record, field); !in && said.records == "always" {
				t.Errorf("%s: docs/fields.md says always, and %.80s... is without it", field, line)
			}
		}
	}
	for field, said := range got {
		if in := strings.Contains(string(ofRecords), "\n"+field+"\t"); in != (said.records != "") {
			t.Errorf("%s: docs/fields.md says %q of records, and one can have it: %t", field, said.records, in)
		}
		presence := ""
		switch n := counts[field]; {
		case n == len(all) && !slices.Contains(optional, field):
			presence = "always"
		case n > 0:
			presence = "some"
		}
		if said.alerts != presence {
			t.Errorf("%s: docs/fields.md says %q of alerts, want %q", field, said.alerts, presence)
		}
	}
}

// notInColumns are the fields that ClickHouse has no column for: the same in every
// record, or said in other columns too.
func notInColumns(field string) bool {
	switch field {
	case "ecs.version", "event.module", "event.provider", "event.risk_score", "observer.type", "observer.vendor", "observer.product",
		"related.ip", "rule.category", "rule.ruleset", "rule.version", "rule.reference":
		return true
	}
	return strings.HasPrefix(field, "client.") || strings.HasPrefix(field, "server.")
}

// TestWords: docs/fields.md has all words that a field can hold, and no others.
func TestWords(t *testing.T) {
	text, err := os.ReadFile("../../docs/fields.md")
	if err != nil {
		t.Fatal(err)
	}
	for field, want := range map[string][]string{
		"portwatch.flow.state":            words(flow.Attempt, flow.Reset),
		"portwatch.flow.end_reason":       words(flow.IdleTimeout, flow.LackOfResources),
		"portwatch.flow.direction.method": words(flow.Handshake, flow.Symmetric),
		"portwatch.tunnel.type":           words(flow.IPIP, flow.GREOverUDP),
	} {
		row := regexp.MustCompile("(?m)^\\| `" + regexp.QuoteMeta(field) + "` (.*)$").FindStringSubmatch(string(text))
		if row == nil {
			t.Fatalf("docs/fields.md is without %s", field)
		}
		var got []string
		for _, word := range regexp.MustCompile("`([a-z0-9][a-z0-9-]*)`").FindAllStringSubmatch(row[1], -1) {
			got = append(got, word[1])
		}
		if !slices.Equal(got, want) {
			t.Errorf("docs/fields.md says of %s %q, and it can be %q", field, got, want)
		}
	}
}

// words are those of the values from first to last.
func words[T interface {
	~uint8
	String() string
}](first, last T) (all []string) {
	for v := first; v <= last; v++ {
		all = append(all, v.String())
	}
	return all
}

// TestClickHouse: the table has a column for every field, named and typed after it,
// and the view fills them in their order.
func TestClickHouse(t *testing.T) {
	sql := text(t, "clickhouse")
	_, table, _ := strings.Cut(sql, "portwatch_records\n(\n")
	table, view, found := strings.Cut(table, ")\nENGINE")
	if !found {
		t.Fatal("cannot find the table")
	}
	types := make(map[string]string)
	var columns, filled []string
	for line := range strings.Lines(table) {
		name, kind, _ := strings.Cut(strings.TrimRight(strings.TrimSpace(line), ","), " ")
		types[name] = strings.TrimSpace(kind)
		columns = append(columns, name)
	}
	_, view, _ = strings.Cut(view, "\nSELECT\n")
	for line := range strings.Lines(view) {
		if at := strings.LastIndex(line, " AS "); at > 0 {
			filled = append(filled, strings.TrimRight(line[at+len(" AS "):], ",\n"))
		}
	}
	if !slices.Equal(columns, filled) {
		t.Errorf("columns\n%v\nand what fills them\n%v", columns, filled)
	}
	want := make(map[string]string)
	for field, kind := range written(t) {
		if !notInColumns(field) {
			name := strings.TrimPrefix(strings.TrimPrefix(field, "portwatch."), "@")
			want[strings.ReplaceAll(name, ".", "_")] = kind
		}
	}
	wantSame(t, "the table", types, want)
	fits := map[string]string{
		"keyword": `^(String|Array\(String\))$`,
		"ip":      `^String$`,
		"long":    `^(UInt(8|16|32|64)|Array\(UInt(8|16)\))$`,
		"date":    `^(Int64|DateTime|Date)$`,
		"boolean": `^UInt8$`,
	}
	for name, kind := range want {
		if types[name] != "" && !regexp.MustCompile(fits[kind]).MatchString(types[name]) {
			t.Errorf("column %s is %s, for a field of type %s", name, types[name], kind)
		}
	}
}

var dotted = regexp.MustCompile(`["']([a-z_@]+(?:\.[a-z_{}]+)+)["']`)

// TestSplunk: aliases and evaluations are of fields that are written, and every event
// type has its tags.
func TestSplunk(t *testing.T) {
	known := written(t)
	read := func(name string) string {
		text, err := files.ReadFile("files/splunk/default/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	props := read("props.conf") + read("eventtypes.conf")
	names := dotted.FindAllStringSubmatch(props, -1)
	if len(names) < 20 {
		t.Errorf("only %d names of fields found", len(names))
	}
	for _, name := range names {
		field := strings.ReplaceAll(name[1], "{}", "")
		if _, in := known[field]; !in {
			t.Errorf("%s is never written", name[1])
		}
	}
	tags := read("tags.conf")
	for _, stanza := range regexp.MustCompile(`(?m)^\[eventtype=(.*)\]$`).FindAllStringSubmatch(tags, -1) {
		if !strings.Contains(read("eventtypes.conf"), "["+stanza[1]+"]\n") {
			t.Errorf("tags for %s, which is no event type", stanza[1])
		}
	}
	// as the HTTP Event Collector's sink calls them
	for _, kind := range []string{"flow", "alert"} {
		if !strings.Contains(props, "[portwatch:"+kind+"]\n") || !strings.Contains(props, "sourcetype=portwatch:"+kind) {
			t.Errorf("nothing is said of sourcetype portwatch:%s", kind)
		}
	}
}

// queried finds what queries of KQL and Lucene say before a colon.
var queried = regexp.MustCompile(`([a-z_@.]+):`)

// askKnown complains of fields in a query that are never written.
func askKnown(t *testing.T, known map[string]string, query string) {
	t.Helper()
	for _, name := range queried.FindAllStringSubmatch(query, -1) {
		if _, in := known[name[1]]; !in {
			t.Errorf("%q asks for %s, which is never written", query, name[1])
		}
	}
}

// TestDashboards: strings that hold JSON are valid, whatever is referred to is there, and
// all fields are written.
func TestDashboards(t *testing.T) {
	known := written(t)
	type object struct {
		ID, Type   string
		Attributes struct {
			Title, VisState, PanelsJSON string
			Meta                        struct{ SearchSourceJSON string } `json:"kibanaSavedObjectMeta"`
		}
		References []struct{ Name, Type, ID string }
	}
	there := make(map[string]bool)
	views := 0
	for line := range strings.Lines(text(t, "opensearch-dashboards")) {
		var o object
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Fatal(err)
		}
		there[o.Type+" "+o.ID] = true
		names := make(map[string]bool)
		for _, r := range o.References {
			names[r.Name] = true
			if !there[r.Type+" "+r.ID] {
				t.Errorf("%s %s refers to %s %s, which is not before it", o.Type, o.ID, r.Type, r.ID)
			}
		}
		if o.Attributes.Meta.SearchSourceJSON != "" {
			var source struct {
				Query struct{ Query, Language string }
			}
			if err := json.Unmarshal([]byte(o.Attributes.Meta.SearchSourceJSON), &source); err != nil {
				t.Errorf("%s: %v", o.ID, err)
			}
			askKnown(t, known, source.Query.Query)
		}
		switch o.Type {
		case "visualization":
			views++
			var state struct {
				Aggs []struct {
					ID     string
					Params struct{ Field, OrderBy string }
				}
			}
			if err := json.Unmarshal([]byte(o.Attributes.VisState), &state); err != nil || len(state.Aggs) == 0 {
				t.Errorf("%s: %d aggregations, %v", o.ID, len(state.Aggs), err)
			}
			ids := make(map[string]bool)
			for _, a := range state.Aggs {
				ids[a.ID] = true
				if _, in := known[a.Params.Field]; !in && a.Params.Field != "" {
					t.Errorf("%s aggregates %s, which is never written", o.ID, a.Params.Field)
				}
				if a.Params.OrderBy != "" && !ids[a.Params.OrderBy] {
					t.Errorf("%s orders by %s, which is not before it", o.ID, a.Params.OrderBy)
				}
			}
		case "dashboard":
			var panels []struct{ PanelRefName string }
			if err := json.Unmarshal([]byte(o.Attributes.PanelsJSON), &panels); err != nil || len(panels) != views {
				t.Errorf("%s: %d panels for %d views, %v", o.ID, len(panels), views, err)
			}
			for _, p := range panels {
				if !names[p.PanelRefName] {
					t.Errorf("%s: panel %s refers to nothing", o.ID, p.PanelRefName)
				}
			}
		}
	}
	if !there["dashboard portwatch"] || !there["index-pattern portwatch"] {
		t.Errorf("no dashboard or no index pattern: %v", there)
	}
}

// TestGrafana: the panels do not overlap, and query what is written.
func TestGrafana(t *testing.T) {
	known := written(t)
	type aggregation struct {
		ID, Type, Field string
		Settings        struct{ OrderBy string }
	}
	var board struct {
		Panels []struct {
			Title   string
			GridPos struct{ X, Y, W, H int }
			Targets []struct {
				Query               string
				Metrics, BucketAggs []aggregation
			}
		}
	}
	if err := json.Unmarshal([]byte(text(t, "grafana")), &board); err != nil {
		t.Fatal(err)
	}
	taken := make(map[string]string)
	for _, p := range board.Panels {
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				cell := fmt.Sprint(p.GridPos.X+x, " ", p.GridPos.Y+y)
				if other, is := taken[cell]; is || p.GridPos.X+x >= 24 {
					t.Fatalf("%s is over %q at %s", p.Title, other, cell)
				}
				taken[cell] = p.Title
			}
		}
		if len(p.Targets) != 1 || len(p.Targets[0].Metrics) == 0 || len(p.Targets[0].BucketAggs) == 0 {
			t.Errorf("%s asks for nothing", p.Title)
			continue
		}
		target := p.Targets[0]
		askKnown(t, known, target.Query)
		for _, a := range append(target.Metrics, target.BucketAggs...) {
			if _, in := known[a.Field]; !in && a.Field != "" {
				t.Errorf("%s aggregates %s, which is never written", p.Title, a.Field)
			}
		}
		for _, b := range target.BucketAggs {
			by := b.Settings.OrderBy
			isMetric := slices.ContainsFunc(target.Metrics, func(m aggregation) bool { return m.ID == by })
			if by != "" && by != "_count" && !isMetric {
				t.Errorf("%s orders by %s, which is no metric of it", p.Title, by)
			}
		}
	}
	if len(board.Panels) < 6 {
		t.Errorf("only %d panels", len(board.Panels))
	}
}

// spoken finds fields in text; what has a slash before it is a file.
var spoken = regexp.MustCompile(`(?m)(?:^|[^/.\w])((?:event|source|destination|network|observer|portwatch)\.[a-z_]+(?:\.[a-z_]+)*)`)

// TestPages: the pages of docs/siem name only templates, fields and pages that exist, and
// each template is on one.
func TestPages(t *testing.T) {
	known := written(t)
	objects := make(map[string]bool) // and lists of objects
	for field := range known {
		for at := strings.LastIndex(field, "."); at > 0; at = strings.LastIndex(field, ".") {
			field = field[:at]
			objects[field] = true
		}
	}
	pages, err := filepath.Glob("../../docs/siem/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no pages: %v", err)
	}
	index, err := os.ReadFile("../../docs/siem/README.md")
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, page := range pages {
		body, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`portwatch template ([a-z][a-z-]+)`).FindAllStringSubmatch(string(body), -1) {
			if Find(match[1]) == nil {
				t.Errorf("%s names template %s, which there is not", page, match[1])
			}
		}
		for _, match := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(string(body), -1) {
			if _, err := os.Stat(filepath.Join(filepath.Dir(page), match[1])); err != nil {
				t.Errorf("%s leads nowhere: %v", page, err)
			}
		}
		for _, match := range spoken.FindAllStringSubmatch(string(body), -1) {
			asked++
			if _, is := known[match[1]]; !is && !objects[match[1]] {
				t.Errorf("%s speaks of %s, which is never written", page, match[1])
			}
		}
	}
	for _, tp := range All {
		if !bytes.Contains(index, []byte("`"+tp.Name+"`")) {
			t.Errorf("%s is not in the table of docs/siem", tp.Name)
		}
	}
	if asked < 20 {
		t.Errorf("only %d fields found in the pages", asked)
	}
}
