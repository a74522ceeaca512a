package export

import (
	"bytes"
	"fmt"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/registry"
)

// An object is the portwatch object in a record of another project's format, which has
// no names for most of what is known. It has what ECS has in that object, preceded by the
// event, observer and tags that ECS has outside it. It is an ECS with other text
// between its pieces.
type object struct{ ECS }

func newObject(reg *registry.Registry, o Options) *object {
	e := &object{*NewECS(reg, o)}
	for final := range 2 {
		for first := range 2 {
			e.lifecycles[final][first] = fmt.Appendf(nil, `,"portwatch":{"event":{%s,"id":"`, lifecycle[final][first])
		}
	}
	observer, _, _ := bytes.Cut(e.observer, []byte(`,"related":`)) // cannot match within a name: quotes are escaped there
	e.observer = append(observer, `,"tags":`...)
	for t := range e.tags {
		e.tags[t] = append(appendStrings(nil, annotate.Tags(t).Names()), ',')
	}
	return e
}

// append appends the object for the record that was rendered last, and ends the line.
func (e *object) append(dst []byte, r *annotate.Record, sequence uint64) []byte {
	dst = e.appendEvent(dst, r, sequence)
	dst = append(dst, e.observer...)
	dst = append(dst, e.tags[r.Tags()]...)
	dst = e.appendPort(dst, annotate.Source, &r.Source)
	dst = e.appendPort(dst, annotate.Destination, &r.Destination)
	dst = append(dst, "},"...)
	return e.appendEnd(dst, r)
}

// appendEnd appends what follows the ports: flow, findings, tunnel and registry. It
// ends the object, the record and the line.
func (e *ECS) appendEnd(dst []byte, r *annotate.Record) []byte {
	dst = append(dst, `"flow":{"id":"`...)
	dst = e.appendFlow(dst, r.Flow)
	dst = append(dst, `,"findings":[`...)
	dst = append(dst, e.findings...)
	dst = append(dst, ']')
	dst = appendTunnel(dst, r.Flow)
	return append(dst, e.registry...)
}

// appendMicros appends nanoseconds as seconds with six decimal places. Anything below
// a microsecond is cut off.
func appendMicros(dst []byte, ns int64) []byte {
	n := uint64(ns)
	if ns < 0 {
		dst = append(dst, '-')
		n = -n
	}
	dst = appendUint(dst, n/1e9)
	micros := n % 1e9 / 1e3
	high, low := triples[micros/1e3], triples[micros%1e3]
	return append(dst, '.', byte(high), byte(high>>8), byte(high>>16), byte(low), byte(low>>8), byte(low>>16))
}
