package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/export/sink"
	"github.com/portwatch/portwatch/records"
)

// An annotator annotates the lines of jobs, one job after the other.
type annotator struct {
	reader   *records.Reader
	annotate *annotate.Annotator
	format   *export.Annotation
	flagged  bool

	record    records.Record
	annotated annotate.Record
	place     []byte
}

// work fills a job's output.
func (a *annotator) work(j *job) {
	j.out, j.rejects = j.out[:0], j.rejects[:0]
	j.marks.reset()
	for i := range j.messages {
		m := &j.messages[i]
		a.place = append(append(a.place[:0], j.topic...), '/')
		a.place = strconv.AppendInt(a.place, int64(m.Partition), 10)
		a.place = append(a.place, '@')
		a.place = strconv.AppendInt(a.place, m.Offset, 10)
		a.line(j, bytes.TrimRight(m.Value, "\r\n"), nil)
	}
	number := j.block.Line
	for rest := j.block.Data; len(rest) > 0; number++ {
		line := rest
		if n := bytes.IndexByte(rest, '\n'); n >= 0 {
			line, rest = rest[:n], rest[n+1:]
		} else {
			rest = nil
		}
		a.place = append(append(a.place[:0], j.block.Source...), ':')
		a.place = strconv.AppendInt(a.place, int64(number), 10)
		a.line(j, line, j.block.Head)
	}
}

// line annotates one line, which stands at a.place.
func (a *annotator) line(j *job, line []byte, head *records.Head) {
	j.counts.Lines++
	if len(bytes.TrimSpace(line)) == 0 {
		j.counts.NoRecord++
		return
	}
	r := &a.record
	if err := a.reader.Read(r, line, head); err != nil {
		j.counts.Unreadable++
		j.rejects = append(j.rejects, reject{string(a.place), bytes.Clone(line), err})
		return
	}
	j.counts.Classes[r.Class]++
	severity := 0
	if r.Class == records.Annotatable {
		a.annotate.Annotate(&a.annotated, &r.Flow)
		if r.Reversed {
			a.annotated.Swap()
		}
		severity = a.annotated.Severity()
		j.counts.Findings.Add(&a.annotated)
	}
	if a.flagged && severity == 0 && !r.Flagged() {
		return
	}
	j.counts.Written++
	from := len(j.out)
	if r.Class == records.Annotatable {
		j.out = append(j.out, r.Body[:r.End]...)
		j.out = append(j.out, ',')
		j.out = a.format.Append(j.out, &a.annotated)
		j.out = append(j.out, r.Body[r.End:]...)
	} else {
		j.out = append(j.out, r.Body...)
	}
	// What is between the tokens of a message may be the ends of lines.
	if j.messages != nil && bytes.IndexByte(j.out[from:], '\n') >= 0 {
		for i, c := range j.out[from:] {
			if c == '\n' {
				j.out[from+i] = ' '
			}
		}
	}
	j.out = append(j.out, '\n')
	if j.marks != nil {
		j.marks.foreign(r, severity, a.place, line, len(j.out))
	}
}

// foreign notes a record that somebody else metered. Its id is a hash of where it
// stands and of what it says, so that it has the same one when it is read again.
func (m *marks) foreign(r *records.Record, severity int, place, line []byte, end int) {
	at, ok := r.Time()
	if !ok {
		at = time.Now().UnixNano()
	}
	hash := sha256.New()
	hash.Write(place)
	hash.Write([]byte{'\n'})
	hash.Write(line)
	var sum [sha256.Size]byte
	m.names = hex.AppendEncode(m.names, hash.Sum(sum[:0])[:16])
	id := len(m.names)
	m.names = r.AppendCommunityID(m.names)
	m.list = append(m.list, mark{sink.Flow, uint8(severity), at, id, len(m.names), end})
}
