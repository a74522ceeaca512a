package records

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/portwatch/portwatch/unpack"
)

// linesOf takes all blocks and tells the lines with their numbers and heads.
func linesOf(l *Lines) (lines []string, err error) {
	var b Block
	for {
		if err := l.Next(&b); err != nil {
			return lines, err
		}
		n := b.Line
		for line := range strings.Lines(string(b.Data)) {
			names := 0
			if b.Head != nil {
				names = len(b.Head.names)
			}
			lines = append(lines, fmt.Sprintf("%d/%d %.20s", n, names, strings.TrimRight(line, "\n")))
			n++
		}
	}
}

func TestLines(t *testing.T) {
	for _, test := range []struct {
		name, text string
		want       []string
		heads      int
	}{
		{"none", "", nil, 0},
		{"no end", "{1}\n{2}", []string{"1/0 {1}", "2/0 {2}"}, 0},
		{"a head", "#separator \\x09\n#fields\ta\tb\n#types\tint\tint\n1\t2\n#close\tx\n{}\n",
			[]string{"4/2 1\t2", "6/2 {}"}, 4},
		{"a byte order mark", "\xef\xbb\xbf#separator \\x09\n#fields\ta\tb\n1\t2\n", []string{"3/2 1\t2"}, 2},
		{"half a mark", "\xef\xbb", []string{"1/0 \xef\xbb"}, 0},
		{"a mark and no more", "\xef\xbb\xbf", nil, 0},
		{"a mark further on", "{1}\n\xef\xbb\xbf{2}\n", []string{"1/0 {1}", "2/0 \xef\xbb\xbf{2}"}, 0},
		{"only a head", "#separator \\x09\n#fields\ta\tb", nil, 2},
		{"vpc", "version srcport\n1 2\nversion dstport action\n1 2 3\n\n", []string{"2/2 1 2", "4/3 1 2 3", "5/3 "}, 2},
		{"almost a head", "version of nothing\n{1}\nversion\n{2}\nactionable\n", []string{"1/0 version of nothing", "2/0 {1}", "4/1 {2}", "5/1 actionable"}, 1},
		{"too long", "{1}\n" + strings.Repeat("x", 3*MaxLine) + "\n{3}\n", []string{"1/0 {1}", "2/0 xxxxxxxxxxxxxxxxxxxx", "3/0 {3}"}, 0},
		{"too long, no end", strings.Repeat("x", 2*MaxLine), []string{"1/0 xxxxxxxxxxxxxxxxxxxx"}, 0},
	} {
		readers := map[string]io.Reader{"whole": strings.NewReader(test.text)}
		if len(test.text) < 1000 {
			readers["by octet"] = iotest.OneByteReader(strings.NewReader(test.text))
		}
		for how, in := range readers {
			l := NewLines(in, "x", nil)
			got, err := linesOf(l)
			if !slices.Equal(got, test.want) || err != io.EOF || l.Heads() != test.heads {
				t.Errorf("%s, %s: %q, %v, %d heads; want %q, %d", test.name, how, got, err, l.Heads(), test.want, test.heads)
			}
		}
	}
}

// TestLinesFail wants all that was read before the stream failed.
func TestLinesFail(t *testing.T) {
	broken := errors.New("broken")
	got, err := linesOf(NewLines(io.MultiReader(strings.NewReader("{1}\n{2"), iotest.ErrReader(broken)), "x", nil))
	if !slices.Equal(got, []string{"1/0 {1}", "2/0 {2"}) || !errors.Is(err, broken) || err.Error() != "read x: broken" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestParseFields(t *testing.T) {
	h, err := ParseFields("${version} ${srcaddr} tcp-flags")
	if err != nil || !slices.Equal(h.names, []string{"version", "srcaddr", "tcp-flags"}) {
		t.Errorf("%+v, %v", h, err)
	}
	for fields, want := range map[string]string{
		"":                "no fields",
		"version port":    `"port" is no field of a VPC flow log`,
		"version version": "the field version is there twice",
	} {
		if _, err := ParseFields(fields); err == nil || err.Error() != want {
			t.Errorf("%q: %v", fields, err)
		}
	}
}

func TestOpen(t *testing.T) {
	const text = "{1}\n{2}\n"
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	io.WriteString(w, text)
	w.Close()
	for _, file := range []string{text, packed.String()} {
		if got, err := opened(t, file); got != text || err != nil {
			t.Errorf("%q: %q, %v", file, got, err)
		}
	}
	if got, err := opened(t, packed.String()[:packed.Len()-3]); got != text || !errors.Is(err, unpack.ErrTruncated) {
		t.Errorf("cut: %q, %v", got, err)
	}
}

// opened is what Open gives of a file with these octets.
func opened(t *testing.T, octets string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(octets), 0o666); err != nil {
		t.Fatal(err)
	}
	in, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	got, err := io.ReadAll(in)
	return string(got), err
}
