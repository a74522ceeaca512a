package sink

import (
	"bytes"
	"fmt"
	"os"
	"testing"
	"time"
)

// BenchmarkKafka measures Deliver against the broker and topic of PORTWATCH_KAFKA, a
// sink's URL. To compare, run the broker's own producer-perf-test.
func BenchmarkKafka(b *testing.B) {
	to := os.Getenv("PORTWATCH_KAFKA")
	if to == "" {
		b.Skip("PORTWATCH_KAFKA names no broker")
	}
	golden, err := os.ReadFile("../testdata/ecs.golden")
	if err != nil {
		b.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(golden), []byte("\n"))
	_, r, err := Open(to, "", "test")
	if err != nil {
		b.Fatal(err)
	}
	defer r.Close()
	l := r.Limits()
	n := min(l.Records, l.Octets/(len(golden)/len(lines)))
	octets := 0
	records, verdicts := make([]Record, n), make([]Verdict, n)
	for i := range records {
		records[i] = Record{Body: bytes.Clone(lines[i%len(lines)])}
		octets += len(records[i].Body)
	}
	sent := 0
	start := time.Now()
	for b.Loop() {
		for i := range records {
			id := fmt.Appendf(nil, "%032x-1", sent+i)
			records[i].ID, records[i].Key = id, id[:28]
			copy(records[i].Body[len(records[i].Body)/2:], id)
		}
		if err := r.Deliver(b.Context(), records, verdicts); err != nil {
			b.Fatal(err)
		}
		sent += n
	}
	b.SetBytes(int64(octets))
	b.ReportMetric(float64(sent)/time.Since(start).Seconds(), "records/s")
}
