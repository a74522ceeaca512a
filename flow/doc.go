// Package flow meters packets into bidirectional Flows (RFC 7011, RFC 5103), by
// their headers and times alone, and makes Flow Records of them.
//
// A [Packet] is the digest of one packet's headers; its [Key] is the same for both
// directions of a conversation. A [Table] takes packets in a [Batch], keeps the live
// Flows, and gives a [Record] for each Flow that has ended or has reached the active
// timeout. A record's [Direction] says which side is the service, and on what evidence.
//
//	t := flow.NewTable(flow.Options{})
//	t.Add(&batch)
//	for t.Next(&record) {
//		...
//	}
//
// A [Judge] decides the directions. It may run on another core, and so may the making of
// records: [Table.Take] gives what both need.
//
// Inside, Add finds the entry of each packet's Flow (table.go), counts the packet, and
// updates the Flow's state (state.go). When the clock enters another tick, the Flows that
// are due (wheel.go) end (life.go). Take moves them out, in the order of records (emit.go),
// the Judge decides their directions (judge.go, direction.go), and [Ends.Record] makes
// the record of one.
//
// # Time
//
// The clock is the largest packet time so far; it never goes back. How long a Flow has been
// idle, and how old it is, are measured by the clock as it stood when the Flow's packets
// came, so a packet whose own time runs backwards lands in its Flow like any other. A
// packet without time (Timeless) counts as coming at the clock's time. The Start and End of
// a record are the packets' own times. A packet from the future moves the clock there and
// keeps it there, and timeouts end nothing until the other packets have caught up;
// Limits.Late counts those that are behind the clock by more than the active timeout.
//
// # The life of a Flow
//
// The states of a Flow, and how long it may stay in each without packets:
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
// An SCTP ABORT counts as an RST, and so does a DCCP Reset, unless it answers a Close.
//
// closed, reset and rejected by RST are final: the 5 s after them are for packets still
// under way. An RST from the only side that has sent anything leaves attempt and one-way as
// they are, with 5 s to live, until the other side answers. Payload in a SYN, or in an SCTP
// or DCCP opening, does not count as payload yet. Options.IdleTimeout replaces the 5 min,
// and any other timeout that is longer than it.
//
// A Flow ends, and its last record gives the reason:
//
//	idle-timeout      at its last packet plus the idle timeout; or at the clock, when
//	                  an ICMP error shortens the timeout to one that has already passed
//	end-of-flow       at its last packet plus 5 s, after FIN both ways or RST;
//	                  or at the clock, when a packet opens another Flow: a SYN
//	                  (SCTP INIT, DCCP Request) after one that opens nothing, or
//	                  after the end
//	forced-end        at the clock, by Flush
//	lack-of-resources at the clock, when a new Flow comes to a full partition
//
// Whether a packet opens another Flow depends on what came before it, not on sequence
// numbers: a SYN that is repeated after the ACK of its own handshake begins another Flow.
//
// After active-timeout (30 min from the first packet of a record) the Flow goes on, and its
// next record begins with its next packet: Count is what came since, Total what came in
// all. If no packet comes, the last record has none.
//
// # Which side is the service
//
// The verdict rests on the strongest evidence at hand when the Flow's first record leaves,
// and is kept from then on; docs/direction.md says what each rule is worth.
//
//	method        confidence  the service is
//	handshake     high        the receiver of a SYN, SCTP INIT or DCCP Request; the
//	                          sender of a SYN-ACK, INIT ACK or Response
//	group         high        the multicast or broadcast address
//	announced     high        the endpoint that a control Flow (FTP, TFTP, portmapper,
//	                          RTSP, SIP, SSDP) named, or a Flow last matched, no more
//	                          than five minutes before
//	learned       high        the endpoint that accepted what a handshake asked for
//	announced     medium      with TCP, the side that does not have port 20: FTP
//	                          servers open data connections from there
//	registry      medium      with UDP, the side that does not have port 68 or 546,
//	                          the ports of DHCP's clients
//	learned       medium      the endpoint whose peers had at least three ports, and
//	                          more than the other one's peers; not with UDP
//	symmetric     medium      the receiver of the first packet, if both ports are the same
//	registry      medium      the only side whose port is known to the registry
//	range         medium      the side whose port is less likely to be a client's:
//	                          below 512, below 32768, or above
//	first-packet  medium      with UDP, the receiver of the first packet, if the capture
//	                          had by then run for an idle timeout
//	learned       low         the endpoint whose peers had at least two ports, with UDP
//	                          three, and more than the other one's peers
//	address       low         the only side whose address is not private
//	first-packet  low         with UDP, the receiver of the first packet
//	reset         low         with TCP, the side that sent nothing but RST with ACK; else
//	                          the peer of the side that sent nothing but RST without ACK
//	range         low         with TCP, the only side whose port is odd, if both are in
//	                          Linux's range and one is below that of other systems
//	lower-port    low         the side with the lower port
//
// An announcement explains a Flow, so the method is announced, not handshake, where both
// name the same service. If the announced endpoint itself opens the Flow with a handshake,
// it is not used for what it was announced for.
//
// An endpoint's peers are learned from answered Flows, and from those in which payload goes
// on. A scan has neither, so it makes nobody popular. A lone RST with an ACK is an answer,
// and counts for its sender; one without is what is left of a conversation, and counts for
// both sides. An endpoint whose many peers all have the same port may be a client of them
// all, so it is their ports that count; and with UDP a client may query many services from
// one socket.
//
// # The order of records
//
// Records leave in the order of the packet times at which they were decided on, as given
// above; those decided on at the same time leave in the order of their Flows' first packets.
// They become ready when the clock enters another tick of 2^25 ns, and after every 4,096
// packets: if more packets than that have the same time, their records may leave in several
// runs, each in this order. All this, and every octet of a record, follows from packet times
// and packet order. It does not depend on how batches were cut, on when Next or Take was
// called, or on the hash, which has another seed in each process.
//
// # Bounds
//
// Memory is bounded, whatever the input is. [Stats].Limits counts how often each bound was
// hit, and [Judge.Forgotten] does so for learned endpoints:
//
//	live Flows           Options.MaxFlows, in 64 partitions by endpoints and     MaxFlows
//	                     transport; a full one gives up the Flow whose last
//	                     packet is the furthest back. A Flow that has timed
//	                     out keeps its place until the tick is over, up to
//	                     34 ms
//	learned endpoints    65,536, in sets of 4 by a hash; a full set gives up     Forgotten
//	                     the least recently used endpoint
//	announced endpoints  16,384, in the same way                                 AnnouncedEndpoints
//	waiting records      what two ticks or 4,096 packets decide on, and what     none: nothing is lost
//	                     their Flows show about endpoints, until Next or Take
//
// A Flow takes 160 octets and its share of index and wheel, less than 200 in all; 160 more
// with a tunnel, later fragments, or an earlier record. Learned endpoints take 1 MiB,
// announced ones 384 KiB, and the wheel up to 4 MiB however few the Flows are. Flush takes 20
// octets for each live Flow, most of them for a moment.
//
// When a burst is over, memory is given back to the garbage collector, some with each tick:
// what stays is up to four times what the remaining Flows take, or what 16,384 would take.
package flow
