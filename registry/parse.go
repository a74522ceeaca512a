package registry

import (
	"bytes"
	"crypto/sha256"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
	"unicode/utf8"
)

// MaxSource is the largest source, in octets, that Parse reads: sixteen times
// IANA's XML of 2026.
const MaxSource = 64 << 20

// ErrFormat is wrapped by the error for a source that is neither IANA's CSV nor
// its XML.
var ErrFormat = errors.New("not IANA's port number registry as CSV or XML (its HTML and plain text lose fields)")

// A RowError says what is wrong with a source, and where.
type RowError struct {
	File string
	Row  int // from 1, not counting a CSV's header; 0: outside the rows
	Line int // from 1; 0: no single line is wrong
	Err  error
}

func (e *RowError) Error() string {
	switch {
	case e.Row > 0:
		return fmt.Sprintf("%s: row %d, line %d: %v", e.File, e.Row, e.Line, e.Err)
	case e.Line > 0:
		return fmt.Sprintf("%s: line %d: %v", e.File, e.Line, e.Err)
	}
	return fmt.Sprintf("%s: %v", e.File, e.Err)
}

func (e *RowError) Unwrap() error { return e.Err }

// A Warning says what looks wrong in a source although every row can be read.
type Warning string

// Parse reads IANA's CSV or XML, and tells them apart by the first octet. The name
// is for messages. A source with any fault gives no Registry, but a *RowError that
// says what is wrong and where.
func Parse(r io.Reader, name string) (*Registry, []Warning, error) {
	name = filepath.Base(name)
	data, err := io.ReadAll(io.LimitReader(r, MaxSource+1))
	if err != nil {
		return nil, nil, &RowError{File: name, Err: cause(err)}
	}
	s, err := parse(data)
	if err != nil {
		at, ok := errors.AsType[*RowError](err)
		if !ok {
			at = &RowError{Err: err}
		}
		at.File = name
		return nil, nil, at
	}
	sum := sha256.Sum256(data)
	packed, err := encode(s.lastChange(), hex.EncodeToString(sum[:]), s.rows)
	if err != nil {
		return nil, nil, &RowError{File: name, Err: err}
	}
	registry, err := open(packed)
	return registry, s.warnings(), err
}

// cause strips operation and path from a file error: the message names the file anyway.
func cause(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	return err
}

// A source is what a file contains.
type source struct {
	rows []Row
	date string // of the whole, if the format has one
	cut  bool   // the last line has no line break
}

func parse(data []byte) (s *source, err error) {
	if len(data) > MaxSource {
		return nil, fmt.Errorf("larger than %d octets: %w", MaxSource, ErrFormat)
	}
	if at := invalidUTF8(data); at >= 0 {
		return nil, &RowError{Line: 1 + bytes.Count(data[:at], []byte("\n")), Err: errors.New("not UTF-8")}
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff"))
	if bytes.HasPrefix(bytes.TrimSpace(data), []byte("<")) {
		s, err = parseXML(data)
	} else {
		s, err = parseCSV(data)
	}
	if err != nil {
		return nil, err
	}
	if len(s.rows) == 0 {
		return nil, errors.New("no rows")
	}
	return s, nil
}

// invalidUTF8 returns the index of the first octet that is not UTF-8, or -1.
func invalidUTF8(data []byte) int {
	if utf8.Valid(data) {
		return -1
	}
	at := 0
	for {
		r, size := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && size <= 1 {
			return at
		}
		at += size
	}
}

// parseCSV reads RFC 4180's form, with CRLF or LF at the end of a row.
func parseCSV(data []byte) (*source, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = -1 // newRow checks it, with a message of ours
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil || !isHeader(header) {
		return nil, fmt.Errorf("unknown header: %w", ErrFormat)
	}
	s := &source{cut: !bytes.HasSuffix(data, []byte("\n"))}
	for next := 2; ; { // the line where the next row must begin: encoding/csv skips empty lines
		record, err := r.Read()
		if err == io.EOF {
			return s, nil
		}
		if syntax, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, &RowError{Row: len(s.rows) + 1, Line: syntax.StartLine, Err: syntax.Err}
		}
		line, _ := r.FieldPos(0)
		if line != next {
			return nil, &RowError{Row: len(s.rows) + 1, Line: next, Err: fmt.Errorf("an empty line, not %d columns", len(Columns))}
		}
		next = line + 1
		for _, field := range record {
			next += strings.Count(field, "\n")
		}
		row, err := newRow(record)
		if err != nil {
			return nil, &RowError{Row: len(s.rows) + 1, Line: line, Err: err}
		}
		s.rows = append(s.rows, row)
	}
}

// isHeader also accepts the name that one column had until about 2015.
func isHeader(record []string) bool {
	if len(record) != len(Columns) {
		return false
	}
	for i, s := range record {
		if s = fold(s); s != Columns[i] && (i != unauthorizedColumn || s != "Known Unauthorized Uses") {
			return false
		}
	}
	return true
}

// newRow makes a row from the text of the twelve fields.
func newRow(fields []string) (r Row, err error) {
	if len(fields) != len(Columns) {
		return Row{}, fmt.Errorf("%d columns, not %d", len(fields), len(Columns))
	}
	for column, s := range fields {
		if at := r.text(column); at != nil {
			*at = fold(s)
		}
	}
	if r.Ports, err = ParsePorts(fold(fields[portColumn])); err != nil {
		return Row{}, err
	}
	r.Transports = AllTransports
	if s := fold(fields[transportColumn]); s != "" {
		t, err := ParseTransport(s)
		if err != nil {
			return Row{}, err
		}
		r.Transports = SetOf(t)
	}
	if r.Service == "" && r.Ports.Empty() {
		return Row{}, errors.New("neither a service name nor a port")
	}
	return r, nil
}

// fold replaces every run of white space with one space, and trims it at the ends.
func fold(s string) string { return strings.Join(strings.Fields(s), " ") }

// lastChange returns the date of the source, otherwise the newest full date of its rows,
// or "" if no row has one.
func (s *source) lastChange() string {
	if isDate(s.date) {
		return s.date
	}
	newest := ""
	for i := range s.rows {
		for _, date := range []string{s.rows[i].Registered, s.rows[i].Modified} {
			if date > newest && isDate(date) {
				newest = date
			}
		}
	}
	return newest
}

func isDate(s string) bool {
	_, err := time.Parse(time.DateOnly, s)
	return err == nil
}

// warnings looks for the two signs of a file that was cut in the middle but can still be
// read, and for rows that no lookup can show.
func (s *source) warnings() (warnings []Warning) {
	whole := false
	for i := range s.rows {
		ports := s.rows[i].Ports
		whole = whole || ports.Contains(firstDynamic-1)
		if !ports.Empty() && ClassOf(ports.Last()) == Dynamic {
			warnings = append(warnings, Warning(fmt.Sprintf(
				"row %d: ports %v reach into the Dynamic Ports, which are never assigned", i+1, ports)))
		}
	}
	if !whole {
		warnings = append(warnings, "no row covers port 49151: the end may be missing")
	}
	if s.cut {
		warnings = append(warnings, "the last line has no line break: the end may be missing")
	}
	return warnings
}
