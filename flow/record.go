package flow

import "time"

// Record is a Flow Record (RFC 7011 section 2): what was metered of one
// bidirectional Flow (RFC 5103) since its last record, and since its beginning.
// Source is the initiator and Destination the responder, the service side, as
// well as Direction could tell.
type Record struct {
	// ID is the same in every record of a Flow: 128 bits of a hash over the
	// observer's id, the Key, and time and ordinal of the first packet.
	ID [16]byte
	// Sequence counts the records of this Flow from 0.
	Sequence uint32
	// Final tells the last record of its Flow.
	Final bool

	Transport Transport
	Version   uint8 // of IP: 4 or 6
	// VLANs is how many tags the frames had; VLAN are the ids of the outer two.
	VLANs uint8
	VLAN  [2]uint16

	Source, Destination Side

	// Start and End are the times of this record's first and last packet, in
	// nanoseconds since the Unix epoch; FlowStart that of the Flow's first.
	Start, End, FlowStart int64

	EndReason EndReason
	State     State
	// Midstream: the Flow's beginning was not seen.
	Midstream bool
	// History has Zeek's letters S h A D F R, upper case for Source, in the order
	// of their first appearance; HistoryLen of them are valid.
	History    [16]byte
	HistoryLen uint8
	Direction  Direction

	// CommunityID is the SHA-1 of Community ID v1 (seed 0); see AppendCommunityID.
	CommunityID [20]byte

	// Tunnel is valid where TunnelType is not 0.
	TunnelType       TunnelType
	TunnelID         uint32
	OuterCommunityID [20]byte
}

// Side is one endpoint of a Flow and what it sent.
type Side struct {
	Endpoint
	Count                   // since the last record
	Total          Count    // since the beginning of the Flow
	LaterFragments Count    // the part of Count that later fragments have
	Flags          TCPFlags // union, since the beginning of the Flow
}

// Count counts packets, and octets from the IP header on.
type Count struct {
	Packets, Octets uint64
}

// Duration is the time from this record's first packet to its last.
func (r *Record) Duration() time.Duration { return time.Duration(r.End - r.Start) }

// EndReason says why a record was written: IPFIX flowEndReason (RFC 5102, information element 136).
type EndReason uint8

// The values of flowEndReason.
const (
	IdleTimeout     EndReason = 1
	ActiveTimeout   EndReason = 2
	EndOfFlow       EndReason = 3 // FIN both ways or RST, or a new SYN on the same Key
	ForcedEnd       EndReason = 4 // end of input, a signal
	LackOfResources EndReason = 5 // --max-flows
)

// State is what became of a Flow, in one word; doc.go has the transitions.
type State uint8

// The states of a Flow.
const (
	Attempt     State = iota // no answer
	OneWay                   // no answer, yet payload goes on
	Rejected                 // RST or ICMP unreachable before any answer
	Established              // answered
	Closed                   // FIN both ways
	Reset                    // RST after an answer
)

// Direction is the verdict on which side is the service, and how it was reached.
type Direction struct {
	Method     Method
	Confidence Confidence
}

// Method names the evidence that decided a direction, strongest first.
type Method uint8

// The methods, strongest first.
const (
	Handshake   Method = iota + 1 // SYN, SYN-ACK, SCTP INIT, DCCP Request
	Multicast                     // "group": multicast or broadcast destination
	Announced                     // a control Flow named the endpoint
	Learned                       // an earlier handshake, or three peers and more
	Registered                    // "registry": one port is assigned, the other is not
	Range                         // one port lies outside the ephemeral ranges
	FirstPacket                   // UDP, whose first packet is the initiator's
	LowerPort
	Symmetric // the same port on both sides
)

// Confidence grades a verdict.
type Confidence uint8

// The grades.
const (
	Low Confidence = iota + 1
	Medium
	High
)
