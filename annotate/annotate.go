package annotate

import (
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// Record is a Flow Record with what the registry says of its ports.
type Record struct {
	Flow     *flow.Record
	Registry *registry.Registry // that answered

	Source, Destination Port

	// Findings are in the order of the rules, the destination's before the
	// source's. The memory is the Record's own and is used again by the next
	// Annotate into it.
	Findings []Finding

	// DirectionUnknown: the direction is a guess between two ephemeral ports, so
	// nobody knows which of them is the service's.
	DirectionUnknown bool
}

// Port is one side's port and what the registry says of it.
type Port struct {
	Number uint16
	Role   Role
	Class  registry.Class
	// Transport is the one that the registry was asked for; see RegistryTransport.
	Transport registry.Transport
	Entry     *registry.Entry // never nil
}

// Role says what a side is in the Flow.
type Role uint8

// The roles. With method symmetric both sides are the service.
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

// An Annotator asks one registry. It has no state: concurrent use is safe.
type Annotator struct {
	registry *registry.Registry
}

// New returns an Annotator that asks reg.
func New(reg *registry.Registry) *Annotator { return &Annotator{registry: reg} }

// Annotate fills dst from r, which dst points to from then on. What dst held
// before does not matter; its memory is used again.
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
	dst.judge()
}

// Swap exchanges the sides of ports and findings. It is for a record of somebody else
// that has the service as its source: what is said of that then stands at Source. Flow
// stays as it is.
func (r *Record) Swap() {
	r.Source, r.Destination = r.Destination, r.Source
	for i := range r.Findings {
		r.Findings[i].Side = r.Findings[i].Side.other()
	}
}

func (a *Annotator) port(dst *Port, t registry.Transport, number uint16, role Role) {
	dst.Number, dst.Role, dst.Class = number, role, registry.ClassOf(number)
	dst.Transport, dst.Entry = t, a.registry.Lookup(t, number)
}

// RegistryTransport returns the transport to ask the registry for: it has no
// UDP-Lite, whose ports are those of UDP (RFC 3828 section 5).
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

// firstEphemeral is the lowest port that systems give to clients by themselves:
// Linux takes 32768-60999, the rest the Dynamic Ports, 49152-65535. The two
// ranges overlap, so everything from here on is ephemeral.
const firstEphemeral = 32768

// directionUnknown tells the Flows of which even the service side is a guess. It
// does not ask for the port's class: between 50000 and 51000 the doubt is the
// same as between 40000 and 51000. With one port on both sides there is none.
func directionUnknown(r *flow.Record) bool {
	return r.Direction.Confidence == flow.Low && r.Direction.Method != flow.Symmetric &&
		r.Source.Port() >= firstEphemeral && r.Destination.Port() >= firstEphemeral
}
