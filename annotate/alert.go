package annotate

import (
	"encoding/hex"
	"net/netip"
	"strconv"
	"time"

	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// DefaultAlertWindow is how long findings about one subject go into one alert.
const DefaultAlertWindow = time.Hour

// Scope says what an alert is about, and so which findings it gathers.
type Scope uint8

// The scopes. The first two cover Flows that were answered or carried on one-way,
// the others Flows that never got beyond an attempt.
const (
	// OneService is one port of one address.
	OneService Scope = iota
	// ManyServices is the ports of one address that one client used after the first
	// few, which have alerts of their own.
	ManyServices
	// Attempts is all ports of one address that were only tried.
	Attempts
	// Sweep is all addresses that one client only tried after the first few, which
	// have alerts of their own.
	Sweep
)

// String returns service, services, attempts or sweep.
func (s Scope) String() string { return [...]string{"service", "services", "attempts", "sweep"}[s] }

// An Alert is a document about what one rule found about one subject in a window
// of time: first the opening, with the finding that caused it; then, if more
// findings followed, one update with the totals.
type Alert struct {
	// ID is the same for the opening and the update.
	ID     [16]byte
	Update bool

	Rule      Rule
	Scope     Scope
	Transport flow.Transport
	Version   uint8 // of IP: 4 or 6
	Registry  *registry.Registry

	// Service is the address of the service side; not valid for a Sweep. Client is
	// the address of the other side: the one client of ManyServices and of a Sweep,
	// otherwise the first client.
	Service, Client netip.Addr
	// Port is the service-side port of the finding that opened the alert.
	Port Port

	// WindowStart and WindowEnd are packet times, like all times here: nanoseconds
	// since the Unix epoch. The update may come before the window's end: at the end of the
	// input, or when another subject needs the room.
	WindowStart, WindowEnd int64
	// Start and End are the first and last times of the gathered records.
	Start, End int64

	Records uint64
	// Flows counts those whose first record is among Records, and always the one that
	// opened the alert.
	Flows           uint64
	Packets, Octets uint64 // of the Records, both directions
	Clients         Number // different clients; 1 except for OneService and Attempts
	Hosts           Number // different service-side addresses; 1 except for a Sweep
	Ports           int    // different service-side ports, exact
	FirstPorts      [8]uint16

	Severity   int // the highest, 0 to 100
	Confidence flow.Confidence

	// FlowID and CommunityID are those of the Flow that opened the alert.
	FlowID      [16]byte
	CommunityID [20]byte
}

// Number is a count of different things, exact up to maxExact.
type Number struct {
	N         uint64
	Estimated bool // with a standard error of 3.3%
}

// AppendID appends event.id: the ID in hexadecimal, then -0 for the opening or -1
// for the update. A receiver that accepts each id only once accepts both.
func (a *Alert) AppendID(dst []byte) []byte {
	dst = hex.AppendEncode(dst, a.ID[:])
	if a.Update {
		return append(dst, "-1"...)
	}
	return append(dst, "-0"...)
}

// HasPort reports whether the alert is about one port only, which is Port.
func (a *Alert) HasPort() bool { return a.Scope == OneService }

// HasService reports whether the alert is about one address only, which is Service.
func (a *Alert) HasService() bool { return a.Scope != Sweep }

// AppendReason appends what the alert is about, in a sentence without a full stop.
// It quotes the registry's text verbatim, whatever characters it contains.
func (a *Alert) AppendReason(dst []byte) []byte {
	switch a.Scope {
	case OneService:
		dst = appendReason(dst, a.Registry, a.Rule, &a.Port)
		if a.Update {
			dst = appendAmount(append(dst, "; "...), Number{N: a.Flows}, " Flow")
			dst = appendAmount(append(dst, " of "...), a.Clients, " client")
		}
		return dst
	case ManyServices:
		return a.appendPorts(append(dst, "one client used "...), " more ")
	case Attempts:
		return a.appendPorts(append(dst, "attempts on "...), " ")
	case Sweep:
		dst = appendAmount(append(dst, "one client's attempts on "...), a.Hosts, " more host")
		return a.appendPorts(append(dst, ", on "...), " ")
	}
	return dst
}

// appendPorts appends the number and kind of the ports, and the first of them.
func (a *Alert) appendPorts(dst []byte, space string) []byte {
	dst = strconv.AppendInt(dst, int64(a.Ports), 10)
	dst = append(append(dst, space...), a.Port.Transport.String()...)
	dst = append(dst, " port"...)
	if a.Ports != 1 {
		dst = append(dst, 's')
	}
	dst = append(dst, [Rules]string{
		UnregisteredPort: " without a registration",
		UnauthorizedUse:  " with reported unauthorized use",
		DynamicPort:      " in the Dynamic range",
	}[a.Rule]...)
	separator := ": "
	for _, port := range a.First() {
		dst = strconv.AppendUint(append(dst, separator...), uint64(port), 10)
		separator = ", "
	}
	if a.Ports > len(a.FirstPorts) {
		dst = append(dst, ", ..."...)
	}
	return dst
}

// First returns the first ports, at most eight, in the order in which they appeared.
func (a *Alert) First() []uint16 { return a.FirstPorts[:min(a.Ports, len(a.FirstPorts))] }

func appendAmount(dst []byte, n Number, what string) []byte {
	if n.Estimated {
		dst = append(dst, "about "...)
	}
	dst = append(strconv.AppendUint(dst, n.N, 10), what...)
	if n.N != 1 {
		dst = append(dst, 's')
	}
	return dst
}
