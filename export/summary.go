package export

import (
	"net/netip"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// The bounds of a Summary.
const (
	maxEndpoints = 16384 // flagged endpoints that were used, not only tried
	maxHosts     = 2048  // hosts with ports that were only tried, up to 8 KiB each
	maxClients   = 65536 // pairs of an endpoint or a host, and a client
)

// Summary gathers from the records of all Flows what a person wants to know at the end
// of a run. Its memory is bounded whatever the traffic. Counts are exact until a bound
// is reached; what found no room is counted and reported.
//
// Flagged endpoints are kept individually if anything answered, or payload went on.
// Ports that were only tried are counted by host, in a table of their own: a scan can
// neither fill the report nor crowd a service out of it.
type Summary struct {
	// Width of the terminal in columns, for Append; 0 is unlimited.
	Width int

	states   [flow.Reset + 1]uint64 // Flows
	services map[servicePort]*service
	flagged  map[endpoint]*usage
	tried    map[host]*attempts
	clients  map[client]struct{}
	lost     uint64 // flagged Flows that found no room
}

// servicePort is a port and the transport under which it was looked up in the registry.
type servicePort struct {
	transport registry.Transport
	number    uint16
}

type service struct {
	entry         *registry.Entry
	flows, octets uint64
}

type host struct {
	addr      netip.Addr
	transport flow.Transport
}

type endpoint struct {
	host
	port uint16
}

// A client used an endpoint or, if the port is 0, tried ports of a host. A real port 0
// is counted with the latter, which does no harm.
type client struct {
	endpoint
	addr netip.Addr
}

// usage is the total of flagged Flows.
type usage struct {
	entry         *registry.Entry
	flows, octets uint64
	clients       uint64
	moreClients   bool // a client found no room: clients is a lower bound
	severity      int  // the highest
	state         flow.State
}

// attempts is the usage of all ports of a host that were only tried.
type attempts struct {
	usage
	first uint16   // the first of these ports; usage.entry is its entry
	ports *portSet // all of them; nil while there is only the first
}

// NewSummary returns an empty Summary.
func NewSummary() *Summary {
	return &Summary{
		services: make(map[servicePort]*service),
		flagged:  make(map[endpoint]*usage),
		tried:    make(map[host]*attempts),
		clients:  make(map[client]struct{}),
	}
}

// Add counts one record. Of r, it keeps only registry entries.
func (s *Summary) Add(r *annotate.Record) {
	f := r.Flow
	if f.Final {
		s.states[f.State]++
	}
	if !onlyTried(f.State) && !r.DirectionUnknown {
		s.addService(r)
	}
	for _, side := range [...]annotate.Side{annotate.Destination, annotate.Source} {
		severity := severityOf(r, side)
		if severity == 0 || side == annotate.Source && f.Source.Endpoint == f.Destination.Endpoint {
			continue // a Flow to itself has been added as its destination
		}
		s.addFlagged(r, side, severity)
	}
}

// onlyTried reports whether a Flow in this state was no more than an attempt.
func onlyTried(s flow.State) bool { return s == flow.Attempt || s == flow.Rejected }

// severityOf returns the highest severity of one side's findings, 0 without any.
func severityOf(r *annotate.Record, side annotate.Side) int {
	highest := 0
	for _, f := range r.Findings {
		if f.Side == side {
			highest = max(highest, f.Severity)
		}
	}
	return highest
}

func (s *Summary) addService(r *annotate.Record) {
	key := servicePort{r.Destination.Transport, r.Destination.Number}
	v := s.services[key]
	if v == nil { // bounded by the number of ports
		v = &service{entry: r.Destination.Entry}
		s.services[key] = v
	}
	v.flows += firstRecord(r.Flow)
	v.octets += octets(r.Flow)
}

// firstRecord returns 1 for the first record of a Flow, else 0: each Flow counts once.
func firstRecord(f *flow.Record) uint64 {
	if f.Sequence == 0 {
		return 1
	}
	return 0
}

func octets(f *flow.Record) uint64 { return f.Source.Octets + f.Destination.Octets }

func (s *Summary) addFlagged(r *annotate.Record, side annotate.Side, severity int) {
	f := r.Flow
	server, peer := &f.Destination, &f.Source
	if side == annotate.Source {
		server, peer = peer, server
	}
	key := endpoint{host{server.Addr(), f.Transport}, server.Port()}
	entry := r.Port(side).Entry

	var u *usage
	if onlyTried(f.State) {
		u = s.attempt(key, entry)
		key.port = 0
	} else {
		u = s.use(key, entry)
	}
	if u == nil {
		s.lost += firstRecord(f)
		return
	}
	u.flows += firstRecord(f)
	u.octets += octets(f)
	u.severity = max(u.severity, severity)
	u.state = f.State
	s.addClient(u, client{key, peer.Addr()})
}

// use returns the usage of an endpoint, or nil if there is no room for another
// endpoint.
func (s *Summary) use(key endpoint, entry *registry.Entry) *usage {
	u := s.flagged[key]
	if u == nil && len(s.flagged) < maxEndpoints {
		u = &usage{entry: entry}
		s.flagged[key] = u
	}
	return u
}

// attempt returns the usage of a host's tried ports, to which it adds key's port, or
// nil if there is no room for another host.
func (s *Summary) attempt(key endpoint, entry *registry.Entry) *usage {
	a := s.tried[key.host]
	switch {
	case a == nil && len(s.tried) >= maxHosts:
		return nil
	case a == nil:
		a = &attempts{usage: usage{entry: entry}, first: key.port}
		s.tried[key.host] = a
	case a.ports == nil && key.port != a.first:
		a.ports = new(portSet)
		a.ports.add(a.first)
	}
	if a.ports != nil {
		a.ports.add(key.port)
	}
	return &a.usage
}

func (s *Summary) addClient(u *usage, key client) {
	if _, known := s.clients[key]; known {
		return
	}
	if len(s.clients) >= maxClients {
		u.moreClients = true
		return
	}
	s.clients[key] = struct{}{}
	u.clients++
}

// portSet is a set of port numbers.
type portSet struct {
	words [65536 / 64]uint64
	n     int
}

func (p *portSet) has(port uint16) bool { return p.words[port/64]>>(port%64)&1 != 0 }

func (p *portSet) add(port uint16) {
	if !p.has(port) {
		p.words[port/64] |= 1 << (port % 64)
		p.n++
	}
}
