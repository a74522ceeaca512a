package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"maps"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/export/template"
)

// TestTemplateMapsRecords walks the documents that the program makes from every shipped
// capture: each field has a mapping in the index template, and a value that an index
// with this mapping accepts.
func TestTemplateMapsRecords(t *testing.T) {
	var text bytes.Buffer
	if err := template.Find("ecs").Write(&text); err != nil {
		t.Fatal(err)
	}
	var index struct {
		Template struct{ Mappings node }
	}
	if err := json.Unmarshal(text.Bytes(), &index); err != nil {
		t.Fatal(err)
	}
	captures, err := filepath.Glob("../../testdata/*.pcap*")
	if err != nil || len(captures) < 10 {
		t.Fatalf("%d captures, %v", len(captures), err)
	}
	seen := make(map[string]bool)
	for _, capture := range captures {
		c := exec.Command(os.Args[0], "-q", "--offline", "--observer", "sensor", "-o", "ecs", "-r", capture)
		c.Env = append(os.Environ(), "PORTWATCH_TEST_MAIN=1")
		out, _ := c.Output() // of a truncated savefile, what was whole
		for lines := bufio.NewScanner(bytes.NewReader(out)); lines.Scan(); {
			var document map[string]any
			if err := json.Unmarshal(lines.Bytes(), &document); err != nil {
				t.Fatalf("%s: %v", capture, err)
			}
			index.Template.Mappings.check(t, seen, "", document)
		}
	}
	// export has the whole list in its tests; here the captures must be enough
	for _, field := range []string{"portwatch.alert.scope", "network.inner.vlan.id", "portwatch.findings.rule", "observer.name"} {
		if !seen[field] {
			t.Errorf("no capture has %s; seen were %v", field, slices.Sorted(maps.Keys(seen)))
		}
	}
}

// A node is an object of a mapping, or a field.
type node struct {
	Type       string
	Properties map[string]node
}

// check checks that the mapping allows a value. An index accepts a list of values
// wherever it accepts one.
func (n node) check(t *testing.T, seen map[string]bool, path string, value any) {
	t.Helper()
	if list, is := value.([]any); is {
		for _, one := range list {
			n.check(t, seen, path, one)
		}
		return
	}
	if object, is := value.(map[string]any); is && n.Properties != nil {
		for key, inner := range object {
			field := strings.TrimPrefix(path+"."+key, ".")
			below, mapped := n.Properties[key]
			if !mapped {
				t.Errorf("%s has no mapping", field)
				continue
			}
			below.check(t, seen, field, inner)
		}
		return
	}
	seen[path] = true
	if !n.takes(value) {
		t.Errorf("%s is %.80v, and its mapping is of type %q", path, value, n.Type)
	}
}

func (n node) takes(value any) bool {
	text, isText := value.(string)
	var err error
	switch n.Type {
	case "keyword":
		return isText
	case "ip":
		_, err = netip.ParseAddr(text)
	case "date_nanos":
		_, err = time.Parse(time.RFC3339Nano, text)
	case "date":
		_, err = time.Parse(time.DateOnly, text)
	case "long", "float":
		number, is := value.(float64)
		return is && number == float64(int64(number))
	case "boolean":
		_, is := value.(bool)
		return is
	default:
		return false
	}
	return isText && err == nil
}
