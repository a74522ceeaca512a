package records

// A slot is a meaning that a value has in records of any kind.
type slot uint8

const (
	sourceAddr slot = iota
	destinationAddr
	sourcePort
	destinationPort
	clientAddr
	clientPort
	transportName
	transportNumber
	sourcePackets
	destinationPackets
	sourceOctets
	destinationOctets
	sourceFlags
	destinationFlags
	state
	history
	product // who metered it
	agent
	event     // which type of record
	eventKind // of ECS: event, alert, metric, ...
	status
	seen // when
	communityID
	findings // of a record that was annotated before
	slots
)

// A dialect is one kind of record, as a bit: a record may have names of several.
type dialect uint8

const (
	ecs dialect = 1 << iota
	zeek
	eve
	netflow
	vpc
	shared // by several, and says nothing of which
)

// maxPath is one more than the longest name that is asked for can have.
const maxPath = 32

// isParent reports whether an object has members that are asked for.
func isParent(name []byte) bool {
	switch string(name) {
	case "id", "source", "destination", "client", "network", "event", "agent", "netflow", "flow", "tcp", "portwatch":
		return true
	}
	return false
}

// slotOf returns what a name means, and in whose records; the names of objects in
// objects are joined by points, as ECS and Zeek write them too. No dialect: nobody
// asks for it.
func slotOf(name []byte) (slot, dialect) {
	switch string(name) {
	// Zeek: base/protocols/conn/main.zeek.
	case "id.orig_h":
		return sourceAddr, zeek
	case "id.orig_p":
		return sourcePort, zeek
	case "id.resp_h":
		return destinationAddr, zeek
	case "id.resp_p":
		return destinationPort, zeek
	case "conn_state":
		return state, zeek
	case "history":
		return history, shared
	case "orig_pkts":
		return sourcePackets, shared
	case "resp_pkts":
		return destinationPackets, shared
	case "orig_ip_bytes":
		return sourceOctets, shared
	case "resp_ip_bytes":
		return destinationOctets, shared
	case "ts":
		return seen, shared

	// Suricata: etc/schema.json. src_port is goflow2's and nfdump's as well.
	case "src_ip":
		return sourceAddr, eve
	case "src_port":
		return sourcePort, shared
	case "dest_ip":
		return destinationAddr, eve
	case "dest_port":
		return destinationPort, eve
	case "event_type":
		return event, eve
	case "flow.state":
		return state, shared
	case "flow.pkts_toserver":
		return sourcePackets, shared
	case "flow.pkts_toclient":
		return destinationPackets, shared
	case "flow.bytes_toserver":
		return sourceOctets, shared
	case "flow.bytes_toclient":
		return destinationOctets, shared
	case "tcp.tcp_flags_ts":
		return sourceFlags, shared
	case "tcp.tcp_flags_tc":
		return destinationFlags, shared
	case "timestamp":
		return seen, shared

	// ECS, and the names of Elastic's NetFlow integration.
	case "source.ip":
		return sourceAddr, ecs
	case "source.port":
		return sourcePort, ecs
	case "destination.ip":
		return destinationAddr, ecs
	case "destination.port":
		return destinationPort, ecs
	case "client.ip":
		return clientAddr, ecs
	case "client.port":
		return clientPort, ecs
	case "network.transport":
		return transportName, ecs
	case "network.iana_number":
		return transportNumber, ecs
	case "network.community_id", "community_id":
		return communityID, shared
	case "source.packets":
		return sourcePackets, shared
	case "destination.packets":
		return destinationPackets, shared
	case "source.bytes":
		return sourceOctets, shared
	case "destination.bytes":
		return destinationOctets, shared
	case "netflow.tcp_control_bits":
		return sourceFlags, shared
	case "event.module":
		return product, shared
	case "event.kind":
		return eventKind, shared
	case "agent.type":
		return agent, shared
	case "@timestamp":
		return seen, shared

	// goflow2: 2, then 1. nfdump -o json. pmacct.
	case "src_addr", "SrcAddr", "src4_addr", "src6_addr", "ip_src":
		return sourceAddr, netflow
	case "dst_addr", "DstAddr", "dst4_addr", "dst6_addr", "ip_dst":
		return destinationAddr, netflow
	case "SrcPort", "port_src":
		return sourcePort, netflow
	case "dst_port", "DstPort", "port_dst":
		return destinationPort, netflow
	case "tcp_flags", "TCPFlags", "TcpFlags":
		return sourceFlags, shared
	case "Packets", "in_packets":
		return sourcePackets, shared
	case "out_packets":
		return destinationPackets, shared
	case "Bytes", "in_bytes":
		return sourceOctets, shared
	case "out_bytes":
		return destinationOctets, shared
	case "time_received_ns", "time_received", "TimeReceived", "received", "stamp_inserted":
		return seen, shared

	// AWS VPC, version 2 and later.
	case "srcaddr":
		return sourceAddr, vpc
	case "srcport":
		return sourcePort, vpc
	case "dstaddr":
		return destinationAddr, vpc
	case "dstport":
		return destinationPort, vpc
	case "protocol":
		return transportNumber, shared
	case "action":
		return state, shared
	case "log-status", "log_status":
		return status, vpc
	case "tcp-flags":
		return sourceFlags, shared
	case "end":
		return seen, shared

	case "portwatch.findings":
		return findings, shared

	case "packets":
		return sourcePackets, shared
	case "bytes":
		return sourceOctets, shared
	case "proto", "Proto":
		return transportName, shared
	case "ip_proto": // a number in Zeek's, a word in pmacct's
		return transportNumber, shared
	}
	return 0, 0
}
