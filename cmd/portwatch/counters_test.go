package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// TestCountersDocumented: docs/limits.md has each counter of --stats, and none that is
// never written.
func TestCountersDocumented(t *testing.T) {
	dir := t.TempDir()
	stats := filepath.Join(dir, "stats.json")
	written := make(map[string]bool)
	for _, args := range [][]string{
		{"-r", "../../testdata/office.pcap", "--to", newTaker(t).to(), "--spool", filepath.Join(dir, "spool")},
		{"annotate", "--from", "../../testdata/flows/goflow2.jsonl", "--to", "file:" + filepath.Join(dir, "annotated")},
	} {
		if _, stderr, status := runCommand(t, append(args, "-q", "--offline", "--stats", stats)...); status != exitDone {
			t.Fatalf("%v: exit status %d, %s", args, status, stderr)
		}
		text, err := os.ReadFile(stats)
		if err != nil {
			t.Fatal(err)
		}
		var counters map[string]any
		if err := json.Unmarshal(text, &counters); err != nil {
			t.Fatal(err)
		}
		gather(written, "", counters)
	}

	text, err := os.ReadFile("../../docs/limits.md")
	if err != nil {
		t.Fatal(err)
	}
	bounds, counters, found := strings.Cut(string(text), "\n## All counters\n")
	if !found {
		t.Fatal("docs/limits.md has no section of all counters")
	}
	// a limit is named in the column of a bound's counter, or below that table
	documented := make(map[string]bool)
	for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(bounds, -1) {
		documented["limits."+name[1]] = true
	}
	// in a row of counters, a name without a dot is in the object of the one before it
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*) \\|").FindAllStringSubmatch(counters, -1) {
		beside := ""
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			field := name[1]
			if at := strings.LastIndex(field, "."); at >= 0 {
				beside = field[:at+1]
			} else {
				field = beside + field
			}
			documented[field] = true
			if !written[field] && field != "limits" { // those of the first table
				t.Errorf("docs/limits.md has %s, which is never written", field)
			}
		}
	}
	for name := range written {
		if !documented[name] {
			t.Errorf("docs/limits.md is without %s", name)
		}
	}
}

// TestLimits: how often a bound was hit is told under its own name.
func TestLimits(t *testing.T) {
	var table flow.Stats
	table.Limits.MaxFlows, table.Limits.AnnouncedEndpoints, table.Limits.Late = 1, 2, 3
	decoder := capture.Counters{Limits: map[string]uint64{"nesting": 4, "headers": 5, "fragments": 6}, Panics: 7}
	got := make(map[string]uint64)
	for _, l := range limits(&table, 8, &annotate.AlertStats{CutShort: 9, Uncounted: 10}, &decoder) {
		got[l.Name] = l.Count
	}
	want := map[string]uint64{
		"max_flows": 1, "announced_endpoints": 2, "late_packets": 3, "nesting": 4, "headers": 5, "fragments": 6, "decoder_panics": 7,
		"learned_endpoints": 8, "alerts": 9, "alert_attempts": 10,
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// gather adds the names of counters; of what is counted by names that are no counters',
// that of the object.
func gather(names map[string]bool, path string, value any) {
	switch value := value.(type) {
	case map[string]any:
		if slices.Contains([]string{"findings", "link_types", "flows.by_end_reason"}, path) {
			names[path] = true
			return
		}
		for key, inner := range value {
			gather(names, strings.TrimPrefix(path+"."+key, "."), inner)
		}
	case []any:
		for _, inner := range value {
			gather(names, path+"[]", inner)
		}
	default:
		names[path] = true
	}
}
