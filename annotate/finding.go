package annotate

import (
	"strconv"

	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// A Rule is the condition that a Finding reports. Its name and id are the same in
// every output format.
type Rule uint8

// The rules. A port can meet the first two at once.
const (
	// UnregisteredPort: the port is a System or User Port, and for this transport
	// it is unassigned, reserved or deregistered.
	UnregisteredPort Rule = iota
	// UnauthorizedUse: the registry reports unauthorized use of exactly this
	// transport and port number.
	UnauthorizedUse
	// DynamicPort: the service is on a Dynamic Port, which cannot be registered
	// (RFC 6335 section 8.1.2).
	DynamicPort

	// Rules is how many rules there are.
	Rules = int(iota)
)

var rules = [Rules]struct {
	id, name string
	// severity by what the traffic shows: answered, one-way, only attempts.
	severity [3]int
}{
	UnregisteredPort: {"PW001", "unregistered-port", [3]int{50, 40, 10}},
	UnauthorizedUse:  {"PW002", "unauthorized-use-reported", [3]int{60, 50, 20}},
	DynamicPort:      {"PW003", "dynamic-port-service", [3]int{20, 15, 5}},
}

// ID returns the rule's number, such as PW001.
func (r Rule) ID() string { return rules[r].id }

// String returns the rule's name, such as unregistered-port.
func (r Rule) String() string { return rules[r].name }

// Side is one end of a Flow.
type Side uint8

// The sides, as [flow.Record] names them.
const (
	Source Side = iota
	Destination
)

// String returns "source" or "destination".
func (s Side) String() string {
	if s == Source {
		return "source"
	}
	return "destination"
}

func (s Side) other() Side {
	if s == Source {
		return Destination
	}
	return Source
}

// A Finding is one rule met by one side of a Flow.
type Finding struct {
	Rule Rule
	Side Side
	// Severity is from 0 to 100, already halved if Confidence is Low.
	Severity int
	// Confidence is that of the Flow's direction: how sure it is that the port is
	// the service's.
	Confidence flow.Confidence
}

// judge appends a finding for each rule that a service side's port meets.
func (r *Record) judge() {
	if r.Flow.Direction.Method == flow.Announced {
		return // a control Flow named the endpoint: the port is explained
	}
	for rule := range Rule(Rules) {
		for _, side := range [...]Side{Destination, Source} {
			if p := r.Port(side); p.Role == Service && r.meets(rule, p) {
				r.Findings = append(r.Findings, r.finding(rule, side))
			}
		}
	}
}

// Port returns the port of one side.
func (r *Record) Port(s Side) *Port {
	if s == Source {
		return &r.Source
	}
	return &r.Destination
}

func (r *Record) meets(rule Rule, p *Port) bool {
	switch rule {
	case UnregisteredPort:
		return p.Class != registry.Dynamic && p.Entry.Status != registry.Assigned && !r.DirectionUnknown
	case UnauthorizedUse:
		_, reported := p.Entry.UnauthorizedUse()
		return reported
	case DynamicPort:
		return p.Class == registry.Dynamic
	}
	return false
}

func (r *Record) finding(rule Rule, side Side) Finding {
	confidence := r.Flow.Direction.Confidence
	severity := rules[rule].severity[weight(r.Flow.State)]
	if confidence == flow.Low {
		severity /= 2
	}
	return Finding{Rule: rule, Side: side, Severity: severity, Confidence: confidence}
}

// weight returns the column of a rule's severities: a service that answers weighs
// more than one that is only sent to, and a failed attempt next to nothing.
func weight(s flow.State) int {
	switch s {
	case flow.OneWay:
		return oneWay
	case flow.Attempt, flow.Rejected:
		return onlyTried
	}
	return answered // established, closed, reset
}

const (
	answered = iota
	oneWay
	onlyTried
)

// Severity returns the highest severity of the findings, or 0 if there are none.
func (r *Record) Severity() int {
	highest := 0
	for i := range r.Findings {
		highest = max(highest, r.Findings[i].Severity)
	}
	return highest
}

// Reason returns the sentence of [Record.AppendReason].
func (r *Record) Reason(f Finding) string { return string(r.AppendReason(nil, f)) }

// AppendReason appends the reason for f, one of r's findings: one sentence without
// a full stop. It quotes the registry's text verbatim, whatever characters it
// contains.
func (r *Record) AppendReason(dst []byte, f Finding) []byte {
	return appendReason(dst, r.Registry, f.Rule, r.Port(f.Side))
}

// NumberFirst reports whether the reason for f is the port's number in decimal, and then a
// text that only the Rule and the port's Transport and Entry decide. Who writes many reasons
// can keep that.
func (r *Record) NumberFirst(f Finding) bool {
	return f.Rule != UnauthorizedUse && len(r.Port(f.Side).Entry.RegisteredOn()) == 0
}

func appendReason(dst []byte, reg *registry.Registry, rule Rule, p *Port) []byte {
	switch rule {
	case UnregisteredPort:
		return appendUnregistered(dst, reg, p)
	case UnauthorizedUse:
		note, _ := p.Entry.UnauthorizedUse()
		dst = append(dst, `unauthorized use reported: "`...)
		dst = append(dst, note...)
		return append(dst, '"')
	case DynamicPort:
		dst = appendPort(dst, p)
		return append(dst, " is a Dynamic Port, for which no registration is possible"...)
	}
	return dst
}

// appendUnregistered appends which status the port has, and where else it is
// assigned: a Reserved port is nearly always the other half of an assignment.
func appendUnregistered(dst []byte, reg *registry.Registry, p *Port) []byte {
	if p.Entry.Status == registry.Reserved {
		dst = strconv.AppendUint(dst, uint64(p.Number), 10)
		dst = append(dst, " is reserved for "...)
		dst = append(dst, p.Transport.String()...)
	} else {
		dst = appendPort(dst, p)
		dst = append(dst, " is "...)
		dst = append(dst, p.Entry.Status.String()...)
	}
	separator := "; assigned "
	previous, first := "", true
	for _, t := range p.Entry.RegisteredOn() {
		name := reg.Lookup(t, p.Number).Service()
		dst = append(dst, separator...)
		if first || name != previous {
			dst = appendAssignee(dst, name)
			dst = append(dst, " on "...)
		}
		dst = append(dst, t.String()...)
		separator, previous, first = ", ", name, false
	}
	return dst
}

func appendAssignee(dst []byte, name string) []byte {
	if name == "" {
		return append(dst, "without a name"...)
	}
	dst = append(dst, "to "...)
	return append(dst, name...)
}

func appendPort(dst []byte, p *Port) []byte {
	dst = strconv.AppendUint(dst, uint64(p.Number), 10)
	dst = append(dst, '/')
	return append(dst, p.Transport.String()...)
}
