package annotate

import (
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// Record is a Flow Record with what the registry says about its ports.
type Record struct {
	Flow     *flow.Record
	Registry *registry.Registry // the one that answered

	Source, Destination Port

	// Findings are in the order of the rules, the destination's before the
	// source's. The memory belongs to the Record and is reused by the next
	// Annotate into it.
	Findings []Finding

	// DirectionUnknown says that the direction is a guess between two ephemeral
	// ports, so that the service's port is not known.
	DirectionUnknown bool
}

// Port is one side's port and what the registry says about it.
type Port struct {
	Number uint16
	Role   Role
	Class  registry.Class
	// Transport is the one that the registry was asked about; see RegistryTransport.
	Transport registry.Transport
	Index     uint16          // of Entry in the registry
	Entry     *registry.Entry // never nil
}

// Role is the part that a side plays in the Flow.
type Role uint8

// The roles. If the direction's method is symmetric, both sides are the service.
const (
	Client Role = iota
	Service
)

// String returns "client" or "service".
func (r Role) String() string {
	if r == Service {
		return "service"
	}
	return "client"
}

// An Annotator asks one registry. It is stateless and safe for concurrent use.
type Annotator struct {
	registry *registry.Registry
	// assigned has those answers by which a port meets no rule. The answers themselves are
	// many times as large.
	assigned []bool
}

// New returns an Annotator that asks reg.
func New(reg *registry.Registry) *Annotator {
	a := &Annotator{reg, make([]bool, reg.Entries())}
	for i := range a.assigned {
		e := reg.Entry(uint16(i))
		_, reported := e.UnauthorizedUse()
		a.assigned[i] = e.Status == registry.Assigned && !reported
	}
	return a
}

// Annotate fills dst from r, and dst keeps the pointer to r. What dst held before
// does not matter; its memory is reused.
func (a *Annotator) Annotate(dst *Record, r *flow.Record) {
	t := RegistryTransport(r.Transport)
	dst.Flow, dst.Registry = r, a.registry
	a.port(&dst.Source, t, r.Source.Port(), Client)
	a.port(&dst.Destination, t, r.Destination.Port(), Service)
	dst.Findings = dst.Findings[:0]
	dst.DirectionUnknown = directionUnknown(r)
	if r.Direction.Method == flow.Symmetric {
		dst.Source.Role = Service
	}
	if !a.inOrder(&dst.Destination) || !a.inOrder(&dst.Source) {
		dst.judge()
	}
}

// inOrder reports whether the port cannot meet any rule, as is so for most ports.
func (a *Annotator) inOrder(p *Port) bool {
	return p.Role == Client || a.assigned[p.Index]
}

// Swap exchanges the sides of ports and findings. It is for another program's record
// that has the service as its source: the service's port is then at Source. Flow is
// left unchanged.
func (r *Record) Swap() {
	r.Source, r.Destination = r.Destination, r.Source
	for i := range r.Findings {
		r.Findings[i].Side = r.Findings[i].Side.other()
	}
}

func (a *Annotator) port(dst *Port, t registry.Transport, number uint16, role Role) {
	dst.Number, dst.Role, dst.Class = number, role, registry.ClassOf(number)
	dst.Transport, dst.Index = t, a.registry.Index(t, number)
	dst.Entry = a.registry.Entry(dst.Index)
}

// RegistryTransport returns the transport to ask the registry about: the registry has
// no UDP-Lite, whose ports are those of UDP (RFC 3828 section 5).
func RegistryTransport(t flow.Transport) registry.Transport {
	switch t {
	case flow.TCP:
		return registry.TCP
	case flow.SCTP:
		return registry.SCTP
	case flow.DCCP:
		return registry.DCCP
	}
	return registry.UDP // and UDP-Lite
}

// firstEphemeral is the lowest port that operating systems pick for clients: Linux
// uses 32768-60999, the others the Dynamic Ports, 49152-65535. The two ranges
// overlap, so every port from here on is ephemeral.
const firstEphemeral = 32768

// directionUnknown reports whether even the service side of a Flow is a guess. It
// ignores the ports' class: the doubt is the same between 50000 and 51000 as
// between 40000 and 51000. With the same port on both sides there is none.
func directionUnknown(r *flow.Record) bool {
	return r.Direction.Confidence == flow.Low && r.Direction.Method != flow.Symmetric &&
		r.Source.Port() >= firstEphemeral && r.Destination.Port() >= firstEphemeral
}
