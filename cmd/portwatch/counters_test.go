package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
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

// gather adds the names of counters, or only the object's name if its keys are not counters'
// names.
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
