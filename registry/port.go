package registry

import (
	"fmt"
	"strconv"
	"strings"
)

// Transport is a transport protocol that the registry assigns ports for.
type Transport uint8

// The transports, in the order in which they are always listed.
const (
	TCP Transport = iota
	UDP
	SCTP
	DCCP
)

// Transports lists all transports in order.
var Transports = [...]Transport{TCP, UDP, SCTP, DCCP}

var transportNames = [...]string{"tcp", "udp", "sctp", "dccp"}

// String returns the lower-case name.
func (t Transport) String() string {
	if int(t) < len(transportNames) {
		return transportNames[t]
	}
	return "transport " + strconv.Itoa(int(t))
}

// ParseTransport reads a name, whatever its case.
func ParseTransport(s string) (Transport, error) {
	for _, t := range Transports {
		if strings.EqualFold(s, t.String()) {
			return t, nil
		}
	}
	return 0, fmt.Errorf("unknown transport %s", quoted(s))
}

// TransportSet is a set of transports, as bits 1<<t.
type TransportSet uint8

// AllTransports is what a row without a transport covers.
const AllTransports TransportSet = 1<<len(Transports) - 1

// SetOf returns the set of one transport.
func SetOf(t Transport) TransportSet { return 1 << t }

// Has reports whether t is in the set.
func (s TransportSet) Has(t Transport) bool { return s&SetOf(t) != 0 }

// List returns the transports in order, nil for the empty set. The slice is
// shared and must not be changed.
func (s TransportSet) List() []Transport { return transportLists[s&AllTransports] }

// String returns the names joined by commas.
func (s TransportSet) String() string { return transportStrings[s&AllTransports] }

var transportLists, transportStrings = func() (lists [AllTransports + 1][]Transport, names [AllTransports + 1]string) {
	for s := range lists {
		for _, t := range Transports {
			if TransportSet(s).Has(t) {
				lists[s] = append(lists[s], t)
				names[s] = strings.TrimPrefix(names[s]+","+t.String(), ",")
			}
		}
	}
	return lists, names
}()

// Class is the range that a port number lies in (RFC 6335 section 6).
type Class uint8

// The ranges. System and User Ports are assigned by IANA, Dynamic Ports never.
const (
	System  Class = iota // 0 to 1023
	User                 // 1024 to 49151
	Dynamic              // 49152 to 65535
)

const (
	firstUser    = 1024
	firstDynamic = 49152
)

// ClassOf returns the range that the port lies in.
func ClassOf(port uint16) Class {
	switch {
	case port < firstUser:
		return System
	case port < firstDynamic:
		return User
	}
	return Dynamic
}

// String returns "system", "user" or "dynamic".
func (c Class) String() string {
	switch c {
	case System:
		return "system"
	case User:
		return "user"
	case Dynamic:
		return "dynamic"
	}
	return "class " + strconv.Itoa(int(c))
}

// Ports returns the ports of the class.
func (c Class) Ports() Ports {
	switch c {
	case System:
		return PortRange(0, firstUser-1)
	case User:
		return PortRange(firstUser, firstDynamic-1)
	case Dynamic:
		return PortRange(firstDynamic, 65535)
	}
	return Ports{}
}

// Status is what the registry says about a (transport, port).
type Status uint8

// The statuses. A pair below 49152 that no row covers is Unassigned too
// (RFC 6335 section 6: unassigned values are typically not listed).
const (
	Unassigned    Status = iota
	Reserved             // kept back; on tcp and udp mostly the other half of an assignment
	Assigned             // the only status that counts as registered
	Deregistered         // was assigned, and must not be used again yet
	DynamicStatus        // a Dynamic Port, never assignable (RFC 6335 section 8.1.2)
)

// String returns the status in one lower-case word.
func (s Status) String() string {
	switch s {
	case Unassigned:
		return "unassigned"
	case Reserved:
		return "reserved"
	case Assigned:
		return "assigned"
	case Deregistered:
		return "deregistered"
	case DynamicStatus:
		return "dynamic"
	}
	return "status " + strconv.Itoa(int(s))
}

// Ports is a run of port numbers. The zero value is empty.
type Ports struct {
	First uint16
	Count uint32 // First+Count is at most 65536
	twice bool   // one port, written as "N-N", as in six rows
}

// PortRange returns the ports from first to last, both included; none if last is
// before first.
func PortRange(first, last uint16) Ports {
	if last < first {
		return Ports{}
	}
	return Ports{First: first, Count: uint32(last-first) + 1}
}

// ParsePorts reads "N" or "N-M", decimal, both ends included; "" is empty.
func ParsePorts(s string) (Ports, error) {
	if s == "" {
		return Ports{}, nil
	}
	from, to, ranged := strings.Cut(s, "-")
	first, err := parsePort(from)
	if err != nil {
		return Ports{}, err
	}
	if !ranged {
		return PortRange(first, first), nil
	}
	last, err := parsePort(to)
	if err != nil {
		return Ports{}, err
	}
	if last < first {
		return Ports{}, fmt.Errorf("port range %s runs backwards", quoted(s))
	}
	p := PortRange(first, last)
	p.twice = p.Count == 1
	return p, nil
}

func parsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil {
		return 0, fmt.Errorf("%s is not a port number from 0 to 65535", quoted(s))
	}
	return uint16(n), nil
}

// quoted quotes a cell for a message and cuts it short: after a stray quote it can be the
// rest of the file.
func quoted(s string) string {
	const enough = 64 // octets
	if len(s) > enough {
		return strconv.Quote(strings.ToValidUTF8(s[:enough], "")) + "..."
	}
	return strconv.Quote(s)
}

// Empty reports whether p has no port.
func (p Ports) Empty() bool { return p.Count == 0 }

// Contains reports whether the port is in p.
func (p Ports) Contains(port uint16) bool { return uint32(port-p.First) < p.Count }

// Last returns the highest port; it means nothing if p is empty.
func (p Ports) Last() uint16 { return p.First + uint16(p.Count-1) }

// String returns p as the registry writes it: "", "N" or "N-M".
func (p Ports) String() string {
	switch {
	case p.Count == 0:
		return ""
	case p.Count == 1 && !p.twice:
		return strconv.Itoa(int(p.First))
	}
	return strconv.Itoa(int(p.First)) + "-" + strconv.Itoa(int(p.Last()))
}
