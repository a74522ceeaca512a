//go:build siem

package siem

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

const rounds = 3 // of each side, in turn; the fastest counts

// BenchmarkKafka compares with the broker's own producer-perf-test, which sends records
// of the same kind, drawn from a part of them, with the same compression.
func BenchmarkKafka(b *testing.B) {
	const n = 500_000
	s, _ := serve(b, receiver.Kafka)
	c := capture(b, 0, n, none)
	for _, topic := range []string{"ours", "theirs"} {
		output(b, "kcat", "-L", "-b", s.Addr("tcp"), "-t", topic) // asking for a topic creates it
	}
	lines := filepath.Join(b.TempDir(), "lines")
	output(b, portwatch, "-q", "-r", c, "-c", "100000", "--to", "file:"+lines, "--no-alerts")
	perSecond := regexp.MustCompile(`([0-9.]+) records/sec`)
	ours, theirs := 0.0, 0.0
	for range rounds {
		ours = max(ours, n/seconds(b, c, "kafka://"+s.Addr("tcp")+"/ours"))
		text, err := receiver.ProducerPerf(s.Addr("tcp"), "theirs", n, lines, "lz4")
		if err != nil {
			b.Fatal(err)
		}
		all := perSecond.FindAllStringSubmatch(text, -1)
		if all == nil {
			b.Fatalf("no figure in %q", text)
		}
		figure, err := strconv.ParseFloat(all[len(all)-1][1], 64)
		if err != nil {
			b.Fatal(err)
		}
		theirs = max(theirs, figure)
	}
	report(b, ours, theirs)
}

// BenchmarkOpenSearch compares with a tight loop that posts the same records in bodies
// prepared and compressed beforehand.
func BenchmarkOpenSearch(b *testing.B) {
	const n, batch = 60_000, 5000
	s, _ := serve(b, func(dir string, _ receiver.Authority) (*receiver.Server, error) { return receiver.OpenSearch(dir) })
	url := "http://" + s.Addr("http")
	db := search{url}
	put, err := http.NewRequest("PUT", url+"/_index_template/portwatch", bytes.NewReader(output(b, portwatch, "template", "opensearch")))
	if err != nil {
		b.Fatal(err)
	}
	put.Header.Set("Content-Type", "application/json")
	if r, err := http.DefaultClient.Do(put); err != nil || r.StatusCode != http.StatusOK {
		b.Fatal(err, r)
	}
	c := capture(b, 0, n, none)
	var bodies [][]byte
	var body bytes.Buffer
	z := gzip.NewWriter(&body)
	records := 0
	flush := func() {
		z.Close()
		bodies = append(bodies, bytes.Clone(body.Bytes()))
		body.Reset()
		z.Reset(&body)
	}
	for line := range bytes.Lines(output(b, portwatch, "-q", "-r", c, "-o", "ecs", "--no-alerts")) {
		for id := range idsIn(line) {
			fmt.Fprintf(z, "{\"create\":{\"_id\":%q}}\n", id)
		}
		z.Write(line)
		if records++; records%batch == 0 {
			flush()
		}
	}
	ours, theirs := 0.0, 0.0
	for round := range rounds {
		ours = max(ours, n/seconds(b, c, fmt.Sprintf("opensearch+http://%s/portwatch-ours%d", s.Addr("http"), round)))
		begin := time.Now()
		next := make(chan []byte)
		failed := make(chan error)
		for range 2 { // as many at once as the sink
			go func() {
				var err error
				for body := range next {
					if err == nil {
						err = db.bulk(fmt.Sprintf("portwatch-theirs%d", round), body)
					}
				}
				failed <- err
			}()
		}
		for _, body := range bodies {
			next <- body
		}
		close(next)
		for range 2 {
			if err := <-failed; err != nil {
				b.Fatal(err)
			}
		}
		theirs = max(theirs, n/time.Since(begin).Seconds())
	}
	report(b, ours, theirs)
}

// bulk posts a compressed body.
func (s search) bulk(stream string, body []byte) error {
	q, err := http.NewRequest("POST", s.url+"/"+stream+"/_bulk", bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", "application/x-ndjson")
	q.Header.Set("Content-Encoding", "gzip")
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err == nil && (r.StatusCode != http.StatusOK || !bytes.Contains(text, []byte(`"errors":false`))) {
		err = fmt.Errorf("status %d: %.300s", r.StatusCode, text)
	}
	return err
}

// seconds is how long the command takes to bring a capture to a destination.
func seconds(b *testing.B, capture, to string) float64 {
	begin := time.Now()
	start(b, "-q", "-r", capture, "--no-alerts", "--to", to).all()
	return time.Since(begin).Seconds()
}

func report(b *testing.B, ours, theirs float64) {
	b.ReportMetric(0, "ns/op") // says nothing here
	b.ReportMetric(ours, "records/s")
	b.ReportMetric(theirs, "peer-records/s")
	b.ReportMetric(100*ours/theirs, "%-of-peer")
}
