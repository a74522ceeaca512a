package flow

import (
	"math"
	"strconv"
	"time"
)

// Record is a Flow Record (RFC 7011 section 2): what was metered of one bidirectional Flow
// (RFC 5103) since its last record, and since its beginning. Source is the initiator and
// Destination the responder, the service side, as far as Direction could tell.
type Record struct {
	Key Key
	// Sequence counts the records of this Flow from 0.
	Sequence uint32
	// Final marks the last record of its Flow.
	Final bool

	Transport Transport
	Version   uint8 // of IP: 4 or 6
	// VLANs is how many tags the frames had; VLAN are the ids of the outer two.
	VLANs uint8
	VLAN  [2]uint16

	Source, Destination Side

	// Start and End are the smallest and largest time of this record's packets, in
	// nanoseconds since the Unix epoch; FlowStart is the smallest Start of the Flow's
	// records so far. In a record without packets, which can follow an active timeout,
	// Start and End are both the End of the record before. Where no packet had a time
	// (Timeless), all three are the clock's time at the Flow's first packet.
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

	// Tunnel is the tunnel that the Flow is inside; its Type is 0 outside of one.
	Tunnel Tunnel

	origin origin
}

// Side is one endpoint of a Flow and what it sent.
type Side struct {
	Endpoint
	Count                   // since the last record
	Total          Count    // since the beginning of the Flow
	LaterFragments Count    // the part of Count that is later fragments
	Flags          TCPFlags // union, since the beginning of the Flow
}

// Count counts packets, and octets from the IP header on.
type Count struct {
	Packets, Octets uint64
}

// Duration is the time from this record's first packet to its last.
func (r *Record) Duration() time.Duration { return Between(r.Start, r.End) }

// Between returns the time from start to end, which must not be before start. If they are
// further apart than a Duration reaches, it returns the longest Duration.
func Between(start, end int64) time.Duration {
	if d := end - start; d >= 0 {
		return time.Duration(d)
	}
	return math.MaxInt64
}

// EndReason says why a record was written: IPFIX flowEndReason (information element 136).
type EndReason uint8

// The values of flowEndReason. A Flow has any number of records with ActiveTimeout, and
// exactly one, its last, with another reason.
const (
	IdleTimeout     EndReason = 1
	ActiveTimeout   EndReason = 2
	EndOfFlow       EndReason = 3 // FIN both ways or RST, or a new SYN on the same Key
	ForcedEnd       EndReason = 4 // end of input, a signal
	LackOfResources EndReason = 5 // Options.MaxFlows was reached
)

// String returns IPFIX's words, lower case with hyphens.
func (r EndReason) String() string { return word(endReasons[:], int(r)) }

var endReasons = [...]string{"", "idle-timeout", "active-timeout", "end-of-flow", "forced-end", "lack-of-resources"}

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

// String returns the state's one word.
func (s State) String() string { return word(states[:], int(s)) }

var states = [...]string{"attempt", "one-way", "rejected", "established", "closed", "reset"}

// Direction is the verdict on which side is the service, and how it was reached.
type Direction struct {
	Method     Method
	Confidence Confidence
}

// Method names the evidence that decided a direction. Which evidence comes first depends on
// the confidence too: doc.go has the order.
type Method uint8

// The methods.
const (
	Handshake   Method = iota + 1 // SYN, SYN-ACK, SCTP INIT, DCCP Request
	Multicast                     // "group": multicast or broadcast destination
	Announced                     // a control Flow named the endpoint, or FTP's port 20
	Learned                       // other Flows showed that the endpoint is a service
	Registered                    // "registry": one port is assigned, the other is not
	Range                         // one port is less likely to be a client's
	FirstPacket                   // UDP: the first packet is the initiator's
	Address                       // one address is private, the other is not
	Resets                        // "reset": TCP, where one side sent nothing but RST
	LowerPort
	Symmetric // the same port on both sides
	// Told: "record". Whoever metered the Flow says so, but not how it knew. Only records
	// that were not metered by a Table have it.
	Told
)

// String returns the method's word: handshake, group, announced, learned,
// registry, range, first-packet, address, reset, lower-port, symmetric or record.
func (m Method) String() string { return word(methods[:], int(m)) }

var methods = [...]string{"", "handshake", "group", "announced", "learned", "registry", "range",
	"first-packet", "address", "reset", "lower-port", "symmetric", "record"}

// Confidence grades a verdict.
type Confidence uint8

// The grades.
const (
	Low Confidence = iota + 1
	Medium
	High
)

// String returns low, medium or high.
func (c Confidence) String() string { return word(confidences[:], int(c)) }

var confidences = [...]string{"", "low", "medium", "high"}

// word returns the name of a value, or "unknown(value)".
func word(words []string, value int) string {
	if value < len(words) && words[value] != "" {
		return words[value]
	}
	return "unknown(" + strconv.Itoa(value) + ")"
}
