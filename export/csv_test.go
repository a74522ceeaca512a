package export

import (
	"encoding/csv"
	"fmt"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/annotate"
)

func TestCSVGolden(t *testing.T) {
	c := NewCSV(testRegistry(t), Options{ObserverName: "sensor, one"})
	golden(t, "csv.golden", renderFlat(t, c.Header(nil), c.Append))
}

// TestCSVReadsBack reads header and rows with encoding/csv, and compares each column with
// the ECS field that it is named after.
func TestCSVReadsBack(t *testing.T) {
	header := string(NewCSV(testRegistry(t), Options{}).Header(nil))
	columns := strings.Split(strings.TrimSuffix(header, "\r\n"), ",")
	filled := make(map[string]bool)
	read := func(line string) (map[string]string, error) {
		rows, err := csv.NewReader(strings.NewReader(header + line)).ReadAll()
		if err != nil {
			return nil, err
		}
		if len(rows) != 2 || !strings.HasSuffix(line, "\r\n") {
			return nil, fmt.Errorf("%d rows", len(rows))
		}
		fields := make(map[string]string)
		for i, name := range rows[0] {
			if _, twice := fields[name]; twice {
				return nil, fmt.Errorf("%s twice", name)
			}
			fields[name] = rows[1][i]
			filled[name] = filled[name] || rows[1][i] != ""
		}
		return fields, nil
	}
	format := func(c flatCase) func([]byte, *annotate.Record, uint64) []byte {
		return NewCSV(c.reg, c.o).Append
	}
	checkFlat(t, format, read, func(c flatCase, ecs map[string]string) map[string]string {
		want := make(map[string]string)
		for _, name := range columns {
			want[name] = printed(ecs[name])
		}
		return want
	})
	for _, name := range columns {
		if !filled[name] {
			t.Errorf("column %s is empty in every row", name)
		}
	}
}
