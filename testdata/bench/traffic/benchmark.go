package traffic

import (
	"cmp"
	"io"
	"os"
	"path/filepath"
	"testing"
)

// A Capture is a file to measure with.
type Capture struct {
	Name    string // small, flows or mix
	Path    string
	Packets int
}

// Captures makes the three captures in temporary folders of a benchmark, a tenth of the size that
// the comparison with other programs uses: small has its 100,000 Flows at once, of 10 packets each.
// The traces of mix are those of the folder that PORTWATCH_MIX names, else those of testdata.
func Captures(tb testing.TB, testdata string) []Capture {
	tb.Helper()
	return []Capture{
		made(tb, "small", func(w io.Writer) (Made, error) { return Small(w, 100_000, 10) }),
		made(tb, "flows", func(w io.Writer) (Made, error) { return Flows(w, 200_000) }),
		made(tb, "mix", func(w io.Writer) (Made, error) {
			return Mix(w, cmp.Or(os.Getenv("PORTWATCH_MIX"), testdata), 250_000)
		}),
	}
}

func made(tb testing.TB, name string, write func(io.Writer) (Made, error)) Capture {
	tb.Helper()
	path := filepath.Join(tb.TempDir(), name+".pcap")
	m, err := Create(path, write)
	if err != nil {
		tb.Fatal(err)
	}
	return Capture{name, path, m.Packets}
}

// Create creates a file and has write fill it.
func Create(path string, write func(io.Writer) (Made, error)) (Made, error) {
	file, err := os.Create(path)
	if err != nil {
		return Made{}, err
	}
	m, err := write(file)
	return m, cmp.Or(err, file.Close())
}

// Report gives a benchmark, of which each iteration took so many packets, metrics that are
// comparable between captures of any size.
func Report(b *testing.B, packets int) {
	all := float64(packets) * float64(b.N)
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/all, "ns/packet")
	b.ReportMetric(all/b.Elapsed().Seconds(), "packets/s")
}
