// Package records reads flow records that other programs metered, a line each: what
// portwatch annotate needs to know of them, and where in the line it may add to them.
//
// [Lines] takes lines off a stream and notes the heads above them, a [Reader] makes a
// [Record] of each. Both directions of a Flow may be in a record, or one:
//
//	ecs      ECS network events, of Elastic's products and of others (ECS 9: source,
//	         destination, client, server, network)
//	zeek     Zeek's conn.log and what else of its logs has both ports and proto: JSON
//	         lines, or TSV with its head
//	eve      Suricata's EVE records of event_type flow
//	netflow  NetFlow, IPFIX and sFlow as JSON lines of goflow2 (1 and 2), nfdump (-o
//	         ndjson, or -o json through jq -c '.[]') or pmacct
//	vpc      flow logs of AWS VPC: lines of version 2, those with another head, and JSON
//
// What a JSON line has stays as it is, octet for octet: nothing is marshalled anew. A
// line of text becomes a JSON object with the names of its own fields.
//
// Which side is the service, the record says itself where it can; else it is judged
// from the endpoints, by the rules of [flow.DirectionOf]:
//
//	zeek     handshake where the history begins with S or has h behind it; udp:
//	         first-packet
//	eve      handshake where the client sent a SYN; udp: first-packet
//	ecs      record, where one side is the client (behind a proxy neither is), or the
//	         product is one that has the initiator as source (packetbeat, zeek, suricata,
//	         portwatch)
//	netflow  handshake where there is a SYN and never an ACK
//	vpc      handshake where tcp-flags has a SYN, or the SYN-ACK that AWS tells apart
//
// The state, which weighs the findings, is told from conn_state, from both sides'
// flags and packets, or from what the one direction shows: a service that sends has
// answered.
package records
