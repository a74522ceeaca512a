package flow

import "net/netip"

// Transport is the transport protocol of a Flow, by its number in IANA's
// "Protocol Numbers" registry, as in IPFIX protocolIdentifier (RFC 7012).
type Transport uint8

// The transports whose headers carry port numbers.
const (
	TCP     Transport = 6
	UDP     Transport = 17
	DCCP    Transport = 33
	SCTP    Transport = 132
	UDPLite Transport = 136
)

// String returns the lower-case name that ECS network.transport uses.
func (t Transport) String() string {
	switch t {
	case TCP:
		return "tcp"
	case UDP:
		return "udp"
	case DCCP:
		return "dccp"
	case SCTP:
		return "sctp"
	case UDPLite:
		return "udplite"
	}
	return "unknown"
}

// TCPFlags are the control bits of a TCP header (RFC 9293 section 3.1), or the
// union of those bits over a direction of a Flow.
type TCPFlags uint8

// The control bits in the order of the header.
const (
	FIN TCPFlags = 1 << iota
	SYN
	RST
	PSH
	ACK
	URG
	ECE
	CWR
)

// Marks are facts about a Packet, one bit each.
type Marks uint8

const (
	// Reverse: the sender is the Key's second endpoint.
	Reverse Marks = 1 << iota
	// Timeless: the capture gave no time (a pcapng Simple Packet). The packet counts as
	// coming at the clock's time, whatever Time says, and has no part in the Flow's start
	// and end.
	Timeless
	// Request: the packet opens an association (SCTP INIT, DCCP Request).
	Request
	// Response: the packet answers such a request (SCTP INIT ACK, DCCP Response).
	Response
	// Group: the receiver is a multicast or broadcast address.
	Group
	// LaterFragment: a fragment without a transport header, joined to its Flow.
	LaterFragment
	// Data: the transport carries payload octets, according to the length fields.
	Data
	// Unreachable: an ICMP error says that a packet from the sender did not arrive. Key and
	// Reverse are those of the packet that the error quotes. It is a signal, not a packet
	// of the Flow: it carries no counts and no flags.
	Unreachable
)

// Packet is what the meter needs to know of one packet at one nesting level:
// a digest of its headers. It holds no pointer and none of the packet's bytes.
type Packet struct {
	Key Key
	// Time is when the packet was seen, in nanoseconds since the Unix epoch.
	Time int64
	// Octets counts from the IP header on, by the header's own length field.
	Octets uint32
	// Tunnel is one more than the index in Batch.Tunnels of the tunnel that the
	// packet came through; 0 for the outermost level.
	Tunnel uint32
	Flags  TCPFlags
	Marks  Marks

	part uint8  // of the table; it and tag are set by Table.Prepare
	tag  uint32 // of the Key in the index
}

// A Tunnel is what surrounds the inner level of a tunnelled packet.
type Tunnel struct {
	Type TunnelType
	ID   uint32 // VNI, TEID, GRE key or session, depending on Type
	// Outer is the Key of the level around, without ports where that level has none.
	Outer Key
	// OuterProtocol is the outer level's IP protocol number.
	OuterProtocol uint8
}

// An Announcement is what a packet of a control Flow said about another Flow: one of its
// endpoints, at the address that the packet came from. Endpoints of other hosts cannot be
// announced: otherwise anyone could explain away anything.
type Announcement struct {
	// Packet is the index in Batch.Packets of the packet that said so.
	Packet    int
	Transport Transport
	Port      uint16
	// Asker: the endpoint is the client of a service whose port is still to be chosen.
	// Otherwise the endpoint is the service.
	Asker bool
}

// A Batch is a run of packets in capture order. Packets of one frame stand
// side by side, the outermost level first.
type Batch struct {
	Packets []Packet
	Tunnels []Tunnel
	// Announcements are in the order of their packets.
	Announcements []Announcement

	prepared int // how many packets Table.Prepare has done
}

// Extend adds a packet to the batch. The caller must set all of its fields.
func (b *Batch) Extend() *Packet {
	n := len(b.Packets)
	if n == cap(b.Packets) {
		b.Packets = append(b.Packets, Packet{})
	}
	b.Packets = b.Packets[:n+1]
	return &b.Packets[n]
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() {
	b.Packets = b.Packets[:0]
	b.Tunnels = b.Tunnels[:0]
	b.Announcements = b.Announcements[:0]
	b.prepared = 0
}

// An Endpoint is one side of a Flow: an address without zone, and a port.
type Endpoint = netip.AddrPort
