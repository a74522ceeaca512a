package export

import (
	"bytes"
	"fmt"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// An Annotation writes the object portwatch for a record that somebody else
// metered: what the registry says of both ports, the direction and what it was told
// from, the findings and their tags. What ECS has under portwatch beside that is
// known of no such record.
type Annotation struct {
	ECS
	flows [flow.Reset + 1][flow.Told + 1][flow.High + 1][]byte
}

// NewAnnotation returns a format for records that were annotated from reg.
func NewAnnotation(reg *registry.Registry) *Annotation {
	a := &Annotation{ECS: *NewECS(reg, ECSOptions{})}
	for state := range a.flows {
		for method := range a.flows[state] {
			for confidence := range a.flows[state][method] {
				a.flows[state][method][confidence] = fmt.Appendf(nil,
					`},"flow":{"state":"%v","direction":{"method":"%v","confidence":"%v"}},"findings":[`,
					flow.State(state), flow.Method(method), flow.Confidence(confidence))
			}
		}
	}
	for t := range a.tags {
		a.tags[t] = fmt.Appendf(nil, `],"tags":%s`, appendStrings(nil, annotate.Tags(t).Names()))
	}
	a.registry = bytes.TrimSuffix(a.registry, []byte("}\n")) // of the record, which is not ours
	return a
}

// Append appends "portwatch":{...}, a member of whatever object dst ends in. Of r's
// Flow it needs state, direction and Midstream.
func (a *Annotation) Append(dst []byte, r *annotate.Record) []byte {
	a.renderFindings(r)
	dst = append(dst, `"portwatch":{`...)
	dst = a.appendPort(dst, annotate.Source, &r.Source)
	dst = a.appendPort(dst, annotate.Destination, &r.Destination)
	f := r.Flow
	dst = append(dst, a.flows[f.State][f.Direction.Method][f.Direction.Confidence]...)
	dst = append(dst, a.findings...)
	dst = append(dst, a.tags[r.Tags()]...)
	return append(dst, a.registry...)
}
