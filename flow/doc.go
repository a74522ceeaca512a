// Package flow meters packets into bidirectional Flows (RFC 7011, RFC 5103) by
// their headers and times alone, and writes a Flow Record for each.
//
// A [Packet] is the digest of one packet's headers; its [Key] is the same for
// both directions of a conversation. A [Table] takes packets in a [Batch],
// keeps the Flows that live, and gives a [Record] for each that has ended or has
// gone on for long. A record's [Direction] says which side is the service, and
// what that rests on.
//
//	t := flow.NewTable(flow.Options{})
//	t.Add(&batch)
//	for t.Next(&record) {
//		...
//	}
//
// A [Judge] tells the directions. It may work on another core, and so may what makes
// records: [Table.Take] gives what both need.
//
// Inside, Add finds the entry of each packet's Flow (table.go), counts the packet, and moves
// the Flow's state (state.go). When the clock comes to another tick, the Flows that are due
// (wheel.go) end (life.go). Take moves them out, in their order (emit.go), the Judge decides
// (judge.go, direction.go), and [Ended.Record] writes down what became of one.
//
// # Time
//
// The clock is the largest packet time so far; it never runs back. A Flow's
// silence and its age are counted by the clock as it was when the Flow's packets
// came, so that a packet whose own time runs backwards lands in its Flow like
// any other. A packet without time (Timeless) comes at the clock's. The Start
// and End of a record are the packets' own times. A packet from the future keeps the
// clock there, and timeouts end nothing until the others have caught up: how many of
// them are behind it by more than the active timeout is in Limits.Late.
//
// # The life of a Flow
//
// A Flow's state, and how long it may be without packets in it:
//
//	state        entered                                    idle timeout
//	attempt      with the first packet                      30 s
//	one-way      from attempt: payload without an answer    60 s
//	             (UDP, UDP-Lite: a third packet)
//	rejected     from attempt, one-way: RST from the other  5 s after RST,
//	             side, a lone RST, or ICMP unreachable      else 30 s
//	established  from attempt, one-way: an answer; from     5 min with TCP,
//	             rejected too, if ICMP rejected it          else 60 s
//	closed       from established: FIN from both sides      5 s
//	reset        from established: RST; from attempt, one-  5 s
//	             way: an answer after the asking side
//	             itself sent RST
//
// An ABORT of SCTP is its RST, and so is a Reset of DCCP that is no answer to a Close.
//
// closed, reset and rejected by RST are final: the seconds after them are for
// packets still under way. An RST from the only side that ever sent anything
// leaves attempt and one-way as they are, with 5 s to live, until the other side
// answers. A payload in a SYN or an SCTP or DCCP opening is no payload yet.
// Options.IdleTimeout replaces the 5 min, and those of the other timeouts that are
// longer than it.
//
// A Flow ends, and its last record gives the reason:
//
//	idle-timeout      at its last packet plus the idle timeout; or at the clock, by an
//	                  ICMP error that shortens the timeout to what is over
//	end-of-flow       at its last packet plus 5 s, after FIN both ways or RST;
//	                  or at the clock, by a packet that opens another Flow: a SYN
//	                  (SCTP INIT, DCCP Request) behind one that opens nothing, or
//	                  behind the end
//	forced-end        at the clock, by Flush
//	lack-of-resources at the clock, by a new Flow in a full partition
//
// What opens is told by where it stands, not by its sequence number: a SYN that comes a
// second time, behind the ACK of its own handshake, begins another Flow.
//
// After active-timeout (30 min from the first packet of a record) the Flow goes
// on, and its next record begins with its next packet: Count is what came since,
// Total what came in all. If no packet comes, the last record has none.
//
// # Which side is the service
//
// The verdict rests on the strongest evidence that there is when the Flow's first
// record leaves, and is kept; docs/direction.md has what each rule is worth.
//
//	method        confidence  the service is
//	handshake     high        whom a SYN, SCTP INIT or DCCP Request went to; whom a
//	                          SYN-ACK, INIT ACK or Response came from
//	group         high        the multicast or broadcast address
//	announced     high        the endpoint that a control Flow (FTP, TFTP, portmapper,
//	                          RTSP, SIP, SSDP) named no more than five minutes before,
//	                          or before its last use
//	learned       high        the endpoint that accepted what a handshake asked for
//	announced     medium      with TCP, the side that does not have port 20: FTP's
//	                          server opens data connections from there
//	registry      medium      with UDP, the side that does not have port 68 or 546,
//	                          which are those of DHCP's clients
//	learned       medium      the endpoint whose peers had at least three ports, and
//	                          more than those of the other one; not with UDP
//	symmetric     medium      whom the first packet went to, with one port on both sides
//	registry      medium      the side whose port alone is known to the registry
//	range         medium      the side whose port is the less likely to be a client's:
//	                          below 512, below 32768, or above
//	first-packet  medium      with UDP, whom the first packet went to, if the capture
//	                          had then run for an idle timeout
//	learned       low         the endpoint whose peers had two ports, with UDP three,
//	                          and more than those of the other one
//	address       low         the side whose address alone is not private
//	first-packet  low         with UDP, whom the first packet went to
//	reset         low         with TCP, the side that sent nothing but RST with ACK; else
//	                          the side whose peer sent nothing but RST without ACK
//	range         low         with TCP, the side whose port alone is odd, where both are
//	                          in Linux's range and one below that of other systems
//	lower-port    low
//
// An announcement explains a Flow, so the method is announced, not handshake, where both
// name the same service. A handshake from the announced endpoint shows that it was
// not used for what it was announced for.
//
// An endpoint learns peers from answered Flows and from those in which payload goes
// on. A scan, which has neither, makes nobody popular. An RST alone counts for who sent
// it if it has an ACK, for it is an answer then, and for both if it has none: it is what
// is left of a conversation. An endpoint whose many peers all have the same port may be
// a client of them all, so it is their ports that count; and with UDP a client may
// ask many services from one socket.
//
// # The order of records
//
// Records leave in the order of the packet time at which they were decided on,
// the times above; those of one time in the order of their Flows' first packets.
// They become ready when the clock comes to another tick of 2^27 ns, and after
// every 16,384 packets: more packets than that within one time may therefore
// have their records in several such orders, one after the other. All this, and
// a record's every octet, follows from packet times and packet order. It does not
// depend on how batches were cut, on when Next or Take was called, or on the hash, which
// has another seed in each process.
//
// # Bounds
//
// Whatever the input is, memory is bounded. What was hit stands in [Stats].Limits, and
// of learned endpoints in [Judge.Forgotten]:
//
//	live Flows           Options.MaxFlows, in 64 partitions by endpoints and     MaxFlows
//	                     transport; a full one gives up the Flow whose last
//	                     packet is the furthest back. One whose time has come
//	                     has its place until the tick is over, up to 134 ms
//	learned endpoints    65,536, in sets of 4 by a hash; a full set gives up     Forgotten
//	                     the endpoint not used for longest
//	announced endpoints  16,384, in the same way                                 AnnouncedEndpoints
//	waiting records      what two ticks or 16,384 packets decide on, and what    none: nothing is lost
//	                     they show of endpoints, until Next or Take
//
// A Flow takes 160 octets and its share of index and wheel, less than 200 in all; 160
// more with a tunnel, later fragments, or a record before. Learned endpoints take
// 1 MiB, announced ones 384 KiB. Flush takes 20 octets for each live Flow, most of
// them for a moment.
//
// When a burst is over, memory is given back to the garbage collector, some with
// each tick: what stays is four times what the Flows take that are left, or what
// 16,384 would take.
package flow
