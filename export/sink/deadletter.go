package sink

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// DeadLetter is the file for records that no receiver takes: JSON lines with time (of the
// rejection), sink, reason, kind, id, format and body, or body_base64 if the body is not
// UTF-8, as can happen with a line that annotate could not read. Several sinks may write
// to it. The file is created when the first record needs it; one that exists is appended
// to.
type DeadLetter struct {
	path string
	max  int64

	mu   sync.Mutex
	file *os.File
	size int64
	line bytes.Buffer
}

type deadLetter struct {
	Time       string `json:"time"`
	Sink       string `json:"sink"`
	Reason     string `json:"reason"`
	Kind       string `json:"kind"`
	ID         string `json:"id"`
	Format     string `json:"format"`
	Body       string `json:"body,omitempty"`
	BodyBase64 []byte `json:"body_base64,omitempty"`
}

// defaultDeadLetters is how many octets a DeadLetter may have by default.
const defaultDeadLetters = 1 << 30

// ParseDeadLetter parses the value of --dead-letter: FILE[?max=SIZE].
func ParseDeadLetter(text string) (*DeadLetter, error) {
	path, query, _ := strings.Cut(text, "?")
	s, err := ParseSettings(query)
	if err != nil {
		return nil, err
	}
	l := &DeadLetter{path: path, max: s.Octets("max", defaultDeadLetters)}
	if path == "" {
		return nil, errors.New("the name of a file must come first")
	}
	return l, s.Err()
}

// Path returns the file's name.
func (l *DeadLetter) Path() string { return l.path }

// longestReason is how many octets of a reason are kept: receivers quote what they
// refuse.
const longestReason = 1024

func shortReason(reason string) string {
	if len(reason) > longestReason {
		return strings.ToValidUTF8(reason[:longestReason], "") + "..."
	}
	return reason
}

// Write adds a record.
func (l *DeadLetter) Write(sink, format string, r *Record, reason string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	reason = shortReason(reason)
	l.line.Reset()
	letter := deadLetter{
		time.Now().UTC().Format(time.RFC3339Nano), sink, reason, r.Kind.String(), string(r.ID), format, string(r.Body), nil,
	}
	if !utf8.Valid(r.Body) {
		letter.Body, letter.BodyBase64 = "", r.Body
	}
	e := json.NewEncoder(&l.line)
	e.SetEscapeHTML(false)
	if err := e.Encode(&letter); err != nil {
		return err
	}
	if err := l.open(); err != nil {
		return fmt.Errorf("open dead-letter file: %w", err)
	}
	n := int64(l.line.Len())
	if l.size+n > l.max {
		return fmt.Errorf("dead-letter file %s is full, with %d octets", l.path, l.size)
	}
	if written, err := l.file.Write(l.line.Bytes()); err != nil {
		undo(l.file, written)
		return fmt.Errorf("dead-letter file: %w", err)
	}
	l.size += n
	return nil
}

func (l *DeadLetter) open() error {
	if l.file != nil {
		return nil
	}
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return err
	}
	l.file, l.size = f, info.Size()
	return nil
}

// Close closes the file, if it was opened.
func (l *DeadLetter) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
