package export

import (
	"bytes"
	"fmt"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// An Annotation writes the portwatch object for a record that another program
// metered: what the registry says about both ports, the state, the direction and how it
// was determined, the findings and their tags. The other members that ECS has under
// portwatch are not known for such a record.
type Annotation struct {
	ecs   ECS // renders the parts that both formats have
	flows [flow.Reset + 1][flow.Told + 1][flow.High + 1][]byte
}

// NewAnnotation returns a format for records that were annotated from reg.
func NewAnnotation(reg *registry.Registry) *Annotation {
	a := &Annotation{ecs: *NewECS(reg, Options{})}
	for state := range a.flows {
		for method := range a.flows[state] {
			for confidence := range a.flows[state][method] {
				a.flows[state][method][confidence] = fmt.Appendf(nil,
					`},"flow":{"state":"%v","direction":{"method":"%v","confidence":"%v"}},"findings":[`,
					flow.State(state), flow.Method(method), flow.Confidence(confidence))
			}
		}
	}
	for t := range a.ecs.tags {
		a.ecs.tags[t] = fmt.Appendf(nil, `],"tags":%s`, appendStrings(nil, annotate.Tags(t).Names()))
	}
	a.ecs.registry = bytes.TrimSuffix(a.ecs.registry, []byte("}\n")) // the end of the record, which is not ours
	return a
}

// Append appends "portwatch":{...}, a member of whatever object dst ends in. From r's
// Flow it needs State, Direction and Midstream.
func (a *Annotation) Append(dst []byte, r *annotate.Record) []byte {
	a.ecs.renderFindings(r)
	dst = append(dst, `"portwatch":{`...)
	dst = a.ecs.appendPort(dst, annotate.Source, &r.Source)
	dst = a.ecs.appendPort(dst, annotate.Destination, &r.Destination)
	f := r.Flow
	dst = append(dst, a.flows[f.State][f.Direction.Method][f.Direction.Confidence]...)
	dst = append(dst, a.ecs.findings...)
	dst = append(dst, a.ecs.tags[r.Tags()]...)
	return append(dst, a.ecs.registry...)
}
