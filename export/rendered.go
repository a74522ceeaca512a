package export

import (
	"fmt"
	"sync"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// pieces are the text of an ECS record between the values that vary from record to
// record, by whatever determines the text. A piece may begin and end anywhere: it only
// has to fit the pieces around it.
type pieces struct {
	lifecycles [2][2][]byte // by Final, and whether it is the Flow's first record
	tags       [annotate.AllTags + 1][]byte
	ports      [annotate.Destination + 1][registry.Dynamic + 1][annotate.Service + 1][]byte
	outcomes   [2][flow.LackOfResources + 1][flow.Reset + 1][2][]byte
	directions [flow.Symmetric + 1][flow.High + 1][2][]byte // and by whether it is TCP
	flags      [annotate.Destination + 1][256][]byte
	rules      [annotate.Rules][annotate.Destination + 1][]byte
}

// renderedPieces renders the pieces when they are first needed. Each format copies the
// struct, since some replace pieces.
var renderedPieces = sync.OnceValue(func() *pieces {
	e := new(pieces)
	e.renderEvent()
	e.renderFlow()
	e.renderAnnotations()
	return e
})

func (e *pieces) renderEvent() {
	const head = `","ecs":{"version":"` + ECSVersion + `"},"event":{"kind":"event","category":["network"],`
	const tail = `,"module":"portwatch","dataset":"` + dataset + `","provider":"portwatch","id":"`
	for final := range 2 {
		for first := range 2 {
			e.lifecycles[final][first] = []byte(head + lifecycle[final][first] + tail)
		}
	}
}

// lifecycle is event.type and event.action, by whether the record is the last of its
// Flow and whether it is the first.
var lifecycle = [2][2]string{
	{
		`"type":["connection","info"],"action":"flow_update"`,
		`"type":["connection","start"],"action":"flow_start"`,
	}, {
		`"type":["connection","end"],"action":"flow_end"`,
		`"type":["connection","start","end"],"action":"flow_end"`,
	},
}

func (e *pieces) renderFlow() {
	for final := range 2 {
		for reason := range flow.LackOfResources + 1 {
			for state := range flow.Reset + 1 {
				for midstream := range 2 {
					e.outcomes[final][reason][state][midstream] = fmt.Appendf(nil,
						`,"final":%t,"end_reason":"%v","state":"%v","midstream":%t`,
						final != 0, reason, state, midstream != 0)
				}
			}
		}
	}
	for method := range flow.Symmetric + 1 {
		for confidence := range flow.High + 1 {
			for tcp, next := range [...]string{`,"total":{"source":{"packets":`, `,"tcp_flags":{"source":`} {
				e.directions[method][confidence][tcp] = fmt.Appendf(nil,
					`,"direction":{"method":"%v","confidence":"%v"}%s`, method, confidence, next)
			}
		}
	}
	for union := range e.flags[0] {
		names := appendFlags(nil, flow.TCPFlags(union))
		e.flags[annotate.Source][union] = fmt.Appendf(nil, `%s,"destination":`, names)
		e.flags[annotate.Destination][union] = fmt.Appendf(nil, `%s},"total":{"source":{"packets":`, names)
	}
}

func (e *pieces) renderAnnotations() {
	for t := range e.tags {
		names := appendStrings(nil, annotate.Tags(t).Names())
		e.tags[t] = fmt.Appendf(nil, `"]},"tags":%s,"portwatch":{`, names)
	}
	heads := [...]string{annotate.Source: `"source":{"port":`, annotate.Destination: `},"destination":{"port":`}
	for side, head := range heads {
		for class := range registry.Dynamic + 1 {
			for role := range annotate.Service + 1 {
				e.ports[side][class][role] = fmt.Appendf(nil, `%s{"class":"%v","role":"%v`, head, class, role)
			}
		}
		for rule := range annotate.Rule(annotate.Rules) {
			e.rules[rule][side] = fmt.Appendf(nil,
				`{"rule":"%v","id":"%s","side":"%v","reason":`, rule, rule.ID(), annotate.Side(side))
		}
	}
}

// appendObserver appends the observer, and the text after it up to the first address.
func appendObserver(dst []byte, o *Options) []byte {
	dst = append(dst, `,"observer":{`...)
	if o.ObserverName != "" {
		dst = append(dst, `"name":`...)
		dst = appendString(dst, o.ObserverName)
		dst = append(dst, ',')
	}
	dst = append(dst, `"type":"sensor","vendor":"portwatch","product":"portwatch","version":`...)
	dst = appendString(dst, o.Version)
	if o.Interface != "" {
		dst = append(dst, `,"ingress":{"interface":{"name":`...)
		dst = appendString(dst, o.Interface)
		dst = append(dst, `}}`...)
	}
	return append(dst, `},"related":{"ip":["`...)
}

// appendFlags appends a union of TCP flags as an array, in the header's order.
func appendFlags(dst []byte, flags flow.TCPFlags) []byte {
	names := [...]string{"fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"}
	set := make([]string, 0, len(names))
	for bit, name := range names {
		if flags&(1<<bit) != 0 {
			set = append(set, name)
		}
	}
	return appendStrings(dst, set)
}

func appendNetworkHead(dst []byte, f *flow.Record) []byte {
	dst = append(dst, `,"network":{"type":"ipv`...)
	dst = appendUint(dst, uint64(f.Version))
	dst = append(dst, `","transport":"`...)
	dst = append(dst, f.Transport.String()...)
	dst = append(dst, `","iana_number":"`...)
	dst = appendUint(dst, uint64(f.Transport))
	return append(dst, `","community_id":"`...)
}

func appendEntry(dst []byte, entry *registry.Entry) []byte {
	dst = append(dst, `","status":"`...)
	dst = append(dst, entry.Status.String()...)
	dst = append(dst, '"')
	if service := entry.Service(); service != "" {
		dst = append(dst, `,"service":`...)
		dst = appendString(dst, service)
		dst = append(dst, `,"services":`...)
		dst = appendStrings(dst, entry.Services())
	}
	if others := entry.RegisteredOn(); len(others) > 0 {
		separator := `,"registered_on":["`
		for _, t := range others {
			dst = append(dst, separator...)
			dst = append(dst, t.String()...)
			separator = `","`
		}
		dst = append(dst, `"]`...)
	}
	if note, reported := entry.UnauthorizedUse(); reported {
		dst = append(dst, `,"unauthorized_use":{"reported":true,"note":`...)
		dst = appendString(dst, note)
		dst = append(dst, '}')
	}
	return append(dst, '}')
}
