package export

import (
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/portwatch/portwatch/flow"
)

func render(t testing.TB, o TextOptions, flows []*flow.Record) []byte {
	t.Helper()
	text := NewText(o)
	out := text.Header(nil)
	for i, r := range annotated(testRegistry(t), flows) {
		out = text.Append(out, r, uint64(i))
	}
	return out
}

func TestTextGolden(t *testing.T) {
	for name, o := range map[string]TextOptions{
		"text-pipe.golden":      {},
		"text-80.golden":        {Width: 80},
		"text-120.golden":       {Width: 120},
		"text-200.golden":       {Width: 200},
		"text-120-color.golden": {Width: 120, Color: true},
		"text-80-color.golden":  {Width: 80, Color: true},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, render(t, o, testFlows())) })
	}
}

// TestTextWidth checks at every width that no line is wider. Only the line of a single
// endpoint may be, if the terminal has no room for its address.
func TestTextWidth(t *testing.T) {
	for width := 40; width <= 220; width++ {
		out := string(render(t, TextOptions{Width: width}, testFlows()))
		for line := range strings.Lines(out) {
			line = strings.TrimSuffix(line, "\n")
			if n := utf8.RuneCountInString(line); n > max(width, 72) {
				t.Errorf("width %d: a line of %d: %q", width, n, line)
			}
		}
	}
}

// TestTextWhole shows that no address is ever shortened, and that every finding's
// reason is there, at any width.
func TestTextWhole(t *testing.T) {
	for _, width := range []int{0, 40, 80, 100, 119, 120, 160, 200} {
		out := string(render(t, TextOptions{Width: width}, testFlows()))
		for _, f := range testFlows() {
			for _, e := range []string{f.Source.Endpoint.String(), f.Destination.Endpoint.String()} {
				if !strings.Contains(out, e) {
					t.Errorf("width %d: %s is missing", width, e)
				}
			}
		}
		words := strings.Join(strings.Fields(out), " ")
		for _, reason := range []string{
			"not registered: 42000/tcp is unassigned",
			"not registered: 3300 is reserved for udp; assigned to ceph on tcp",
			`unauthorized use reported: "Unauthorized Use Known on port 42000"`,
			"50000/udp is a Dynamic Port, for which no registration is possible",
		} {
			if !strings.Contains(words, reason) {
				t.Errorf("width %d: %q is missing", width, reason)
			}
		}
	}
}

// TestTextPipe: without a width, a Flow is one line, and one below where flagged.
func TestTextPipe(t *testing.T) {
	flows := testFlows()
	lines := 1 // the heading
	for _, r := range annotated(testRegistry(t), flows) {
		lines++
		if len(r.Findings) > 0 {
			lines++
		}
	}
	lines++ // the day that begins
	if got := strings.Count(string(render(t, TextOptions{}, flows)), "\n"); got != lines {
		t.Errorf("%d lines, want %d", got, lines)
	}
}

// TestTextIsPrintable: nothing from a registry file can steer the terminal.
func TestTextIsPrintable(t *testing.T) {
	for _, width := range []int{0, 80, 120} {
		for _, r := range string(render(t, TextOptions{Width: width}, testFlows())) {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("width %d: %U in the output", width, r)
			}
		}
	}
}

// TestTextColorAddsNothing: without its SGR sequences, a coloured output is the
// plain one.
func TestTextColorAddsNothing(t *testing.T) {
	plain := string(render(t, TextOptions{Width: 100}, testFlows()))
	color := string(render(t, TextOptions{Width: 100, Color: true}, testFlows()))
	for _, style := range []string{heading, faint, doubt, flagged, alarm, "0"} {
		if !strings.Contains(color, "\x1b["+style+"m") {
			t.Errorf("style %s is not in the output", style)
		}
		color = strings.ReplaceAll(color, "\x1b["+style+"m", "")
	}
	if color != plain {
		t.Errorf("coloured, the output has other text:\n%s\nplain:\n%s", color, plain)
	}
}

func TestTextLocation(t *testing.T) {
	kathmandu := time.FixedZone("+0545", 5*3600+45*60)
	out := string(render(t, TextOptions{Location: kathmandu}, testFlows()[:1]))
	if !strings.Contains(out, "17:45:00.204") {
		t.Errorf("12:00:00.204 UTC is not told as 17:45:00.204:\n%s", out)
	}
}

// TestTextDays: the first day has no line, each later one has, and a Flow that
// began before the day reached has its date.
func TestTextDays(t *testing.T) {
	at := func(d time.Duration) *flow.Record {
		return conversation(flow.TCP, "10.0.0.5:1", "10.0.0.9:443", d, flow.Closed)
	}
	const day = 24 * time.Hour
	out := string(render(t, TextOptions{}, []*flow.Record{at(0), at(day), at(time.Minute), at(day + time.Minute), at(4 * day)}))
	var times []string
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "---") {
			times = append(times, strings.TrimSpace(line))
		} else {
			times = append(times, strings.TrimSpace(line[:12]))
		}
	}
	want := []string{"TIME", "12:00:00.204", "--- 2026-11-22 above, 2026-11-23 below ---", "12:00:00.204", "11-22 12:01",
		"12:01:00.204", "--- 2026-11-23 above, 2026-11-26 below ---", "12:00:00.204"}
	if strings.Join(times, "\n") != strings.Join(want, "\n") {
		t.Errorf("times\n%q\nwant\n%q", times, want)
	}
}

func BenchmarkText(b *testing.B) {
	records := annotated(testRegistry(b), testFlows())
	text := NewText(TextOptions{Width: 120})
	var out []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		out = text.Append(out[:0], records[i%2], 0)
	}
}
