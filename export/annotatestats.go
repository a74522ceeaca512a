package export

import "time"

// AnnotateCounts are the counters of a run that annotates other programs' records.
// Every line is in exactly one class:
//
//	Lines = NoRecord + Unreadable + the sum of Classes
type AnnotateCounts struct {
	Lines      uint64
	NoRecord   uint64    // header lines and blank lines
	Classes    [4]uint64 // by records.Class
	Unreadable uint64
	Written    uint64 // records; with --flagged, fewer than were read
	Findings   Findings
	Delivery   DeliveryCounts

	Wall, CPU time.Duration // as in Counts.Seconds
}

// annotateClasses are the names of Classes in JSON, and in words.
var annotateClasses = [...]struct{ name, title string }{
	{"annotated", "annotated"}, {"without_ports", "without ports"}, {"other_type", "of another type"},
	{"annotated_before", "annotated before"},
}

// Add adds the counters of a part of the run: lines, records and findings.
func (c *AnnotateCounts) Add(o *AnnotateCounts) {
	c.Lines += o.Lines
	c.NoRecord += o.NoRecord
	c.Unreadable += o.Unreadable
	c.Written += o.Written
	for i := range o.Classes {
		c.Classes[i] += o.Classes[i]
	}
	for i := range o.Findings {
		c.Findings[i] += o.Findings[i]
	}
}

// Append appends the closing report.
func (c *AnnotateCounts) Append(dst []byte) []byte {
	dst = appendCounted(dst, c.Lines, "line")
	dst = append(dst, " read in "...)
	dst = appendSpan(dst, c.Wall)
	dst = append(dst, ", "...)
	dst = appendCounted(dst, c.Written, "record")
	dst = append(dst, " written\n"...)
	var classes []Named
	for i, n := range c.Classes {
		classes = append(classes, Named{annotateClasses[i].title, n})
	}
	classes = append(classes, Named{"header and blank lines", c.NoRecord}, Named{"unreadable", c.Unreadable})
	dst = appendNamedLine(dst, "  ", classes, false)
	dst = appendNamedLine(dst, "! findings: ", c.Findings.named(), false)
	return c.Delivery.appendLines(dst)
}

// AppendJSON appends the counters as one JSON object on one line, including the
// newline.
func (c *AnnotateCounts) AppendJSON(dst []byte) []byte {
	members := []Named{{"read", c.Lines}, {"no_record", c.NoRecord}}
	for i, n := range c.Classes {
		members = append(members, Named{annotateClasses[i].name, n})
	}
	members = append(members, Named{"unreadable", c.Unreadable}, Named{"written", c.Written})
	dst = append(dst, `{"lines":`...)
	dst = appendObject(dst, members)
	dst = append(dst, `,"findings":`...)
	dst = appendObject(dst, c.Findings.named())
	if len(c.Delivery.Sinks) > 0 {
		dst = append(dst, `,"delivery":`...)
		dst = c.Delivery.appendJSON(dst)
	}
	dst = append(dst, `,"seconds":{"wall":`...)
	dst = appendSeconds(dst, c.Wall)
	dst = append(dst, `,"cpu":`...)
	dst = appendSeconds(dst, c.CPU)
	return append(dst, "}}\n"...)
}
