package export

import (
	"bytes"
	"time"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// TextOptions describe where the lines are read.
type TextOptions struct {
	// Width of the terminal in columns; 0 is unlimited: each Flow is one line.
	Width int
	// Color allows ANSI colours. Colour never carries meaning on its own.
	Color bool
	// Location is the time zone of TIME; nil means UTC.
	Location *time.Location
}

// Text writes records as aligned lines for people.
//
// A field starts at its column, or one space after the field before it if that one
// is too long. A Flow whose line would be wider than the terminal continues on a
// second line from the arrow on; on a terminal too narrow for nine columns, each Flow
// has two lines, and so has the heading. Addresses are never shortened. Flagged Flows
// have a line below that begins with an exclamation mark.
//
// The arrow has a question mark if the confidence in the direction is low, and two
// heads if both sides have the same port.
type Text struct {
	options TextOptions
	columns [fields]column
	narrow  bool

	// The first moments, in the reader's time zone, of the latest day on which a Flow
	// has begun so far, and of the day after it. Zero: none yet.
	day, tomorrow time.Time

	// Scratch memory.
	line           [fields]cell
	reasons, words []byte
}

// The fields of a line, from left to right.
const (
	timeField = iota
	transportField
	clientField
	arrowField
	serviceField
	assignedField
	classField
	stateField
	packetsField
	octetsField
	tunnelField // no heading: only inner Flows have this field
	fields
)

var headings = [fields]string{
	"TIME", "TRANSPORT", "CLIENT", "", "SERVICE SIDE", "ASSIGNED TO", "CLASS", "STATE", "PKTS", "OCTETS", "",
}

// A column is where a field begins. If width is not 0, the field is flush right
// within that width.
type column struct{ start, width int }

// A cell is one field's text, in printable characters only, and its style.
type cell struct {
	text  []byte
	width int    // in characters
	style string // the parameters of an SGR sequence; if empty, plain
}

const (
	wideWidth = 120 // the smallest width with room for every column on one line
	detail    = 14  // where the lines below a Flow begin
	maxName   = 28  // characters of a service name; RFC 6335 allows up to 15
)

// The styles, as ECMA-48 SGR parameters. They use only the sixteen colours that every
// theme has.
const (
	heading = "1"    // bold
	faint   = "2"    // faint
	doubt   = "33"   // yellow
	flagged = "1;33" // bold yellow
	alarm   = "1;31" // bold red
)

// alarming is the severity from which a flagged Flow is red: the service answered, or
// payload went to it without an answer. Attempts and Dynamic Ports stay yellow.
const alarming = 40

// NewText returns a format with the options o.
func NewText(o TextOptions) *Text {
	if o.Location == nil {
		o.Location = time.UTC
	}
	t := &Text{options: o, narrow: o.Width > 0 && o.Width < wideWidth}
	if t.narrow {
		t.columns = narrowColumns
	} else {
		t.columns = wideColumns(o.Width)
	}
	return t
}

// narrowColumns are the columns of two lines, the second from assignedField on.
var narrowColumns = [fields]column{
	transportField: {start: 14},
	clientField:    {start: 25},
	arrowField:     {start: 46, width: 3},
	serviceField:   {start: 50},

	assignedField: {start: detail},
	classField:    {start: 34},
	stateField:    {start: 43},
	packetsField:  {start: 55, width: 6},
	octetsField:   {start: 62, width: 6},
	tunnelField:   {start: 70},
}

// wideColumns distributes what the terminal has beyond wideWidth: first to long service
// names, then to IPv6 endpoints, which have up to 47 characters.
func wideColumns(width int) [fields]column {
	extra := max(0, width-wideWidth)
	name := min(extra, 6)
	endpoint := min((extra-name)/2, 47-21)
	c := [fields]column{transportField: {start: 14}, clientField: {start: 25}}
	c[arrowField] = column{start: 25 + 21 + endpoint, width: 3}
	c[serviceField] = column{start: c[arrowField].start + 4}
	c[assignedField] = column{start: c[serviceField].start + 21 + endpoint + 2}
	c[classField] = column{start: c[assignedField].start + 12 + name + 2}
	c[stateField] = column{start: c[classField].start + 9}
	c[packetsField] = column{start: c[stateField].start + 12, width: 5}
	c[octetsField] = column{start: c[packetsField].start + 6, width: 6}
	c[tunnelField] = column{start: c[octetsField].start + 8}
	return c
}

// Header appends the heading, on one line or two.
func (t *Text) Header(dst []byte) []byte {
	for i := range t.line {
		t.line[i] = cell{append(t.line[i].text[:0], headings[i]...), len(headings[i]), heading}
	}
	return t.appendFields(dst)
}

// Append appends r: its line or lines, and below them the reasons of its findings.
// The sequence is for programs and is not shown.
func (t *Text) Append(dst []byte, r *annotate.Record, _ uint64) []byte {
	start := time.Unix(0, r.Flow.Start).In(t.options.Location)
	dst = t.appendDay(dst, start)
	t.fill(r, start)
	dst = t.appendFields(dst)
	if len(r.Findings) > 0 {
		dst = t.appendReasons(dst, r)
	}
	return dst
}

// appendDay appends a line when a day begins that is later than all before it. Records
// come in the order in which their end was decided, so later ones may have begun
// earlier: see appendStart.
func (t *Text) appendDay(dst []byte, start time.Time) []byte {
	if start.Before(t.tomorrow) {
		return dst
	}
	before := t.day
	year, month, day := start.Date()
	t.day = time.Date(year, month, day, 0, 0, 0, 0, start.Location())
	t.tomorrow = time.Date(year, month, day+1, 0, 0, 0, 0, start.Location())
	if before.IsZero() {
		return dst
	}
	line := before.AppendFormat(t.words[:0], "--- 2006-01-02 above, ")
	t.words = t.day.AppendFormat(line, "2006-01-02 below ---")
	return append(paint(t, dst, heading, t.words), '\n')
}

// appendStart appends the time of day, 15:04:05.000; for a Flow that began before the
// day that the lines have reached, it appends month, day, hour and minute, in no more
// space.
func (t *Text) appendStart(dst []byte, start time.Time) []byte {
	if start.Before(t.day) {
		return start.AppendFormat(dst, "01-02 15:04")
	}
	hour, minute, second := start.Clock()
	dst = append(appendPair(dst, uint64(hour)), ':')
	dst = append(appendPair(dst, uint64(minute)), ':')
	dst = append(appendPair(dst, uint64(second)), '.')
	return appendTriple(dst, uint64(start.Nanosecond()/1e6))
}

// fill sets the cells from r.
func (t *Text) fill(r *annotate.Record, start time.Time) {
	f, c := r.Flow, &t.line
	for i := range c {
		c[i] = cell{text: c[i].text[:0]}
	}
	c[timeField].text = t.appendStart(c[timeField].text, start)
	c[transportField].text = append(c[transportField].text, f.Transport.String()...)
	c[clientField].text = appendEndpoint(c[clientField].text, f.Source.Endpoint)
	c[arrowField].text = append(c[arrowField].text, arrow(f.Direction)...)
	c[serviceField].text = appendEndpoint(c[serviceField].text, f.Destination.Endpoint)
	c[assignedField].text = appendAssigned(c[assignedField].text, r.Destination.Entry)
	c[classField].text = append(c[classField].text, r.Destination.Class.String()...)
	c[stateField].text = append(c[stateField].text, f.State.String()...)
	c[packetsField].text = appendPackets(c[packetsField].text, f.Source.Packets+f.Destination.Packets)
	c[octetsField].text = appendScaled(c[octetsField].text, octets(f))
	c[tunnelField].text = appendInside(c[tunnelField].text, f)
	for i := range c {
		c[i].width = utf8.RuneCount(c[i].text)
	}

	c[timeField].style = faint
	if f.Direction.Confidence == flow.Low {
		c[arrowField].style = doubt
	}
	if len(r.Findings) > 0 {
		c[serviceField].style = severityStyle(r)
		c[assignedField].style = severityStyle(r)
	} else if onlyTried(f.State) {
		c[stateField].style = faint
	}
}

// appendEndpoint appends e as netip does, with brackets around an IPv6 address.
func appendEndpoint(dst []byte, e flow.Endpoint) []byte {
	if e.Addr().Is4() {
		dst = append(appendAddr(dst, e.Addr()), ':')
	} else {
		dst = append(appendAddr(append(dst, '['), e.Addr()), "]:"...)
	}
	return appendUint(dst, uint64(e.Port()))
}

func severityStyle(r *annotate.Record) string {
	if r.Severity() >= alarming {
		return alarm
	}
	return flagged
}

// arrow returns an arrow from the client to the service side, which shows any doubt.
func arrow(d flow.Direction) string {
	switch {
	case d.Method == flow.Symmetric:
		return "<->"
	case d.Confidence == flow.Low:
		return "?>"
	}
	return "->"
}

// appendAssigned appends the first name and how many more there are. For a port that
// is not assigned, it appends the status in brackets.
func appendAssigned(dst []byte, entry *registry.Entry) []byte {
	names := entry.Services()
	switch {
	case entry.Status != registry.Assigned:
		dst = append(dst, '(')
		dst = append(dst, entry.Status.String()...)
		return append(dst, ')')
	case len(names) == 0:
		return append(dst, "(no name)"...)
	}
	dst = appendClipped(dst, names[0], maxName)
	if more := len(names) - 1; more > 0 {
		dst = append(dst, " +"...)
		dst = appendUint(dst, uint64(more))
	}
	return dst
}

// appendClipped appends the printable form of at most limit characters of s: a name
// in a registry file may have any length.
func appendClipped(dst []byte, s string, limit int) []byte {
	for i := range s {
		if limit == 0 {
			return append(appendPrintable(dst, s[:i]), "..."...)
		}
		limit--
	}
	return appendPrintable(dst, s)
}

func appendPackets(dst []byte, n uint64) []byte {
	if n < 100_000 {
		return appendUint(dst, n)
	}
	return appendScaled(dst, n)
}

// appendInside appends the tunnel that the Flow was inside, such as (in vxlan 42).
func appendInside(dst []byte, f *flow.Record) []byte {
	if f.Tunnel.Type == 0 {
		return dst
	}
	dst = append(dst, "(in "...)
	dst = append(dst, f.Tunnel.Type.String()...)
	if f.Tunnel.ID != 0 {
		dst = append(dst, ' ')
		dst = appendUint(dst, uint64(f.Tunnel.ID))
	}
	return append(dst, ')')
}

// appendFields appends the cells on as few lines as the width allows.
func (t *Text) appendFields(dst []byte) []byte {
	first := timeField
	for _, last := range t.lineEnds() {
		dst = t.appendRun(dst, first, last)
		first = last + 1
	}
	return dst
}

// The ways to break a Flow into lines, by the last field of each line, best first.
var (
	wideBreaks = [][]int{
		{tunnelField},
		{clientField, tunnelField},
		{serviceField, tunnelField},
		{clientField, serviceField, tunnelField},
	}
	narrowBreaks = wideBreaks[2:]
)

func (t *Text) lineEnds() []int {
	breaks := wideBreaks
	if t.narrow {
		breaks = narrowBreaks
	}
	for _, ends := range breaks {
		first, fit := timeField, true
		for _, last := range ends {
			fit = fit && t.fits(first, min(last, octetsField))
			first = last + 1
		}
		if fit {
			return ends
		}
	}
	return breaks[len(breaks)-1]
}

// appendRun appends the cells from first to last as one line. The tunnel of an inner
// Flow goes on a line below if it does not fit.
func (t *Text) appendRun(dst []byte, first, last int) []byte {
	below := last == tunnelField && len(t.line[tunnelField].text) > 0 && !t.fits(first, last)
	if below {
		last--
	}
	at := 0
	for i := first; i <= last; i++ {
		c := &t.line[i]
		if len(c.text) == 0 {
			continue
		}
		start := t.place(i, first, at)
		dst = appendSpaces(dst, start-at)
		dst = paint(t, dst, c.style, c.text)
		at = start + c.width
	}
	dst = append(dst, '\n')
	if below {
		dst = appendSpaces(dst, detail)
		dst = append(dst, t.line[tunnelField].text...)
		dst = append(dst, '\n')
	}
	return dst
}

// place returns the column at which field i starts, on a line that begins with field
// first and has been written up to column at.
func (t *Text) place(i, first, at int) int {
	c := t.columns[i]
	switch {
	case first == arrowField && i <= serviceField:
		// A second line: the service side stands below the client.
		c.start -= t.columns[serviceField].start - t.columns[clientField].start
	case first == assignedField && i == first:
		c.start = detail // at the start of a line, there is room for the longest name
	}
	start := c.start
	if c.width > 0 {
		start += c.width - t.line[i].width
	}
	if at > 0 {
		start = max(start, at+1)
	}
	return start
}

// fits reports whether the cells from first to last fit on one line.
func (t *Text) fits(first, last int) bool {
	if t.options.Width <= 0 {
		return true
	}
	at := 0
	for i := first; i <= last; i++ {
		if n := t.line[i].width; n > 0 {
			at = t.place(i, first, at) + n
		}
	}
	return at <= t.options.Width
}

// appendReasons appends the lines below a flagged Flow. If both sides have the same
// port, they have the same findings, and only the destination's are shown.
func (t *Text) appendReasons(dst []byte, r *annotate.Record) []byte {
	t.reasons = t.reasons[:0]
	for _, f := range r.Findings {
		if f.Side != annotate.Destination {
			continue
		}
		if len(t.reasons) > 0 {
			t.reasons = append(t.reasons, " · "...)
		}
		if f.Rule == annotate.UnregisteredPort {
			t.reasons = append(t.reasons, "not registered: "...)
		}
		t.reasons = r.AppendReason(t.reasons, f)
	}
	t.words = appendPrintable(t.words[:0], t.reasons)
	return t.appendWrapped(dst, t.words, severityStyle(r))
}

// appendWrapped appends an exclamation mark and the words, with as many on each line
// as the width allows.
func (t *Text) appendWrapped(dst, words []byte, style string) []byte {
	mark := "! "
	for len(words) > 0 {
		line := words
		if t.options.Width > 0 {
			line = firstLine(words, max(20, t.options.Width-detail-len(mark)))
		}
		words = bytes.TrimLeft(words[len(line):], " ")
		dst = appendSpaces(dst, detail)
		dst = paint(t, dst, style, mark)
		dst = paint(t, dst, style, line)
		dst = append(dst, '\n')
		mark = "  "
	}
	return dst
}

// firstLine returns as much of text as fits in width characters: up to the last space,
// or the whole width if there is none.
func firstLine(text []byte, width int) []byte {
	end := 0 // where the first character that does not fit begins
	for ; width > 0 && end < len(text); width-- {
		if text[end] < utf8.RuneSelf {
			end++
			continue
		}
		_, size := utf8.DecodeRune(text[end:])
		end += size
	}
	if end == len(text) {
		return text
	}
	if space := bytes.LastIndexByte(text[:end+1], ' '); space > 0 {
		return text[:space]
	}
	return text[:end]
}

// paint appends text in a style.
func paint[S string | []byte](t *Text, dst []byte, style string, text S) []byte {
	if !t.options.Color || style == "" {
		return append(dst, text...)
	}
	dst = append(dst, "\x1b["...)
	dst = append(dst, style...)
	dst = append(dst, 'm')
	dst = append(dst, text...)
	return append(dst, "\x1b[0m"...)
}

func appendSpaces(dst []byte, n int) []byte {
	const spaces = "                                "
	for ; n > len(spaces); n -= len(spaces) {
		dst = append(dst, spaces...)
	}
	return append(dst, spaces[:max(0, n)]...)
}
