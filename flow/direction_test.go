package flow

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

func TestVerdict(t *testing.T) {
	const served = servedBit
	peers := func(n int) knowledge { return 1<<n - 1 }
	tests := []struct {
		name    string
		e       evidence
		service int
		want    Direction
	}{
		{"handshake", evidence{port: [2]uint16{80, 40000}, opener: 0, group: nobody, announced: nobody}, 1, Direction{Handshake, High}},
		{"handshake before group", evidence{port: [2]uint16{80, 40000}, opener: 1, group: 1, announced: nobody}, 0, Direction{Handshake, High}},
		{"group", evidence{port: [2]uint16{80, 40000}, opener: nobody, group: 1, announced: nobody}, 1, Direction{Multicast, High}},
		{"group before learned", evidence{opener: nobody, group: 0, announced: nobody, known: [2]knowledge{0, served}}, 0, Direction{Multicast, High}},
		{"served", evidence{port: [2]uint16{80, 40000}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{0, served}}, 1, Direction{Learned, High}},
		{"both served", evidence{port: [2]uint16{8080, 880}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{served, served}}, 1, Direction{LowerPort, Low}},
		{"popular", evidence{port: [2]uint16{80, 40000}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(1), peers(3)}}, 1, Direction{Learned, Medium}},
		{"two peers are few", evidence{port: [2]uint16{80, 40000}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(1), peers(2)}}, 0, Direction{Range, Medium}},
		{"both popular", evidence{port: [2]uint16{80, 40000}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(4), peers(4)}}, 0, Direction{Range, Medium}},
		{"handshake to an announced port", evidence{port: [2]uint16{20, 40000}, opener: 0, group: nobody, announced: 1}, 1, Direction{Announced, High}},
		{"handshake from an announced port", evidence{port: [2]uint16{20, 40000}, opener: 1, group: nobody, announced: 1}, 0, Direction{Handshake, High}},
		{"group before announced", evidence{opener: nobody, group: 0, announced: 1}, 0, Direction{Multicast, High}},
		{"announced before served", evidence{opener: nobody, group: nobody, announced: 0, known: [2]knowledge{0, served}}, 0, Direction{Announced, High}},
		{"FTP data", evidence{transport: TCP, port: [2]uint16{20, 40000}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(9), 0}}, 1, Direction{Announced, Medium}},
		{"port 20 of UDP is none", evidence{transport: UDP, port: [2]uint16{20, 40000}, opener: nobody, group: nobody, announced: nobody}, 0, Direction{Range, Medium}},
		{"between System Ports neither", evidence{transport: TCP, port: [2]uint16{20, 1023}, opener: nobody, group: nobody, announced: nobody}, 0, Direction{Range, Medium}},
		{"two peers are better than nothing", evidence{transport: TCP, port: [2]uint16{2869, 2331}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(2), peers(1)}}, 0, Direction{Learned, Low}},
		{"outside", evidence{transport: TCP, port: [2]uint16{43300, 65010}, opener: nobody, group: nobody, announced: nobody, private: [2]bool{true, false}}, 1, Direction{Address, Low}},
		{"outside before a first packet of the capture", evidence{transport: UDP, port: [2]uint16{43300, 65010}, opener: nobody, group: nobody, announced: nobody, private: [2]bool{false, true}}, 0, Direction{Address, Low}},
		{"first packet before outside", evidence{transport: UDP, port: [2]uint16{43300, 65010}, opener: nobody, group: nobody, announced: nobody, private: [2]bool{false, true}, settled: true}, 1, Direction{FirstPacket, Medium}},
		{"DHCP", evidence{transport: UDP, port: [2]uint16{68, 67}, opener: nobody, group: nobody, announced: nobody, beginner: 1, settled: true}, 1, Direction{Registered, Medium}},
		{"DHCPv6", evidence{transport: UDP, port: [2]uint16{547, 546}, opener: nobody, group: nobody, announced: nobody, beginner: 0, settled: true}, 0, Direction{Registered, Medium}},
		{"port 68 of TCP is none", evidence{transport: TCP, port: [2]uint16{68, 67}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{LowerPort, Low}},
		{"who asked Linux for a port to listen on", evidence{transport: TCP, port: [2]uint16{37828, 46629}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{Range, Low}},
		{"one of the two may be Windows'", evidence{transport: TCP, port: [2]uint16{54252, 42949}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{Range, Low}},
		{"who refuses", evidence{transport: TCP, port: [2]uint16{2869, 2331}, opener: nobody, group: nobody, announced: nobody, flags: [2]TCPFlags{RST | ACK, 0}}, 0, Direction{Resets, Low}},
		{"who has left", evidence{transport: TCP, port: [2]uint16{2869, 2331}, opener: nobody, group: nobody, announced: nobody, flags: [2]TCPFlags{PSH | ACK, RST}}, 0, Direction{Resets, Low}},
		{"who breaks off", evidence{transport: TCP, port: [2]uint16{2869, 2331}, opener: nobody, group: nobody, announced: nobody, flags: [2]TCPFlags{ACK, FIN | RST | ACK}}, 1, Direction{LowerPort, Low}},
		{"an RST before an odd port", evidence{transport: TCP, port: [2]uint16{37828, 46629}, opener: nobody, group: nobody, announced: nobody, flags: [2]TCPFlags{ACK, RST}}, 0, Direction{Resets, Low}},
		{"both may", evidence{transport: TCP, port: [2]uint16{49152, 50001}, opener: nobody, group: nobody, announced: nobody}, 0, Direction{LowerPort, Low}},
		{"beyond Linux's range", evidence{transport: TCP, port: [2]uint16{40000, 61001}, opener: nobody, group: nobody, announced: nobody}, 0, Direction{LowerPort, Low}},
		{"both odd", evidence{transport: TCP, port: [2]uint16{40003, 40001}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{LowerPort, Low}},
		{"inside", evidence{transport: TCP, port: [2]uint16{65010, 43300}, opener: nobody, group: nobody, announced: nobody, private: [2]bool{true, true}}, 1, Direction{LowerPort, Low}},
		{"symmetric", evidence{port: [2]uint16{123, 123}, opener: nobody, group: nobody, announced: nobody, beginner: 1}, 0, Direction{Symmetric, Medium}},
		{"symmetric, learned", evidence{port: [2]uint16{123, 123}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(1), peers(5)}}, 1, Direction{Learned, Medium}},
		{"registry", evidence{port: [2]uint16{1000, 8080}, opener: nobody, group: nobody, announced: nobody, assigned: [2]bool{false, true}}, 1, Direction{Registered, Medium}},
		{"both assigned", evidence{port: [2]uint16{50000, 8080}, opener: nobody, group: nobody, announced: nobody, assigned: [2]bool{true, true}}, 1, Direction{Range, Medium}},
		{"range, no client's", evidence{port: [2]uint16{512, 511}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{Range, Medium}},
		{"a client's of old", evidence{transport: TCP, port: [2]uint16{2049, 1023}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(2), 0}}, 0, Direction{Learned, Low}},
		{"two ports are nothing with UDP", evidence{transport: UDP, port: [2]uint16{622, 1011}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(2), 0}, beginner: 0}, 1, Direction{FirstPacket, Low}},
		{"three are little", evidence{transport: UDP, port: [2]uint16{622, 1011}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(3), 0}, beginner: 0}, 0, Direction{Learned, Low}},
		{"registry before peers with UDP", evidence{transport: UDP, port: [2]uint16{40000, 3478}, opener: nobody, group: nobody, announced: nobody, known: [2]knowledge{peers(9), 0}, assigned: [2]bool{false, true}}, 1, Direction{Registered, Medium}},
		{"range, edge", evidence{port: [2]uint16{32767, 32768}, opener: nobody, group: nobody, announced: nobody}, 0, Direction{Range, Medium}},
		{"both ephemeral", evidence{transport: TCP, port: [2]uint16{50000, 49152}, opener: nobody, group: nobody, announced: nobody}, 1, Direction{LowerPort, Low}},
		{"first packet", evidence{transport: UDP, port: [2]uint16{40000, 50000}, opener: nobody, group: nobody, announced: nobody, beginner: 0, settled: true}, 1, Direction{FirstPacket, Medium}},
		{"first packet of the capture", evidence{transport: UDP, port: [2]uint16{40000, 50000}, opener: nobody, group: nobody, announced: nobody, beginner: 1}, 0, Direction{FirstPacket, Low}},
		{"first packet of TCP says nothing", evidence{transport: TCP, port: [2]uint16{1000, 2000}, opener: nobody, group: nobody, announced: nobody, beginner: 1, settled: true}, 0, Direction{LowerPort, Low}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			service, d := test.e.verdict()
			if service != test.service || d != test.want {
				t.Errorf("service %d by %v (%v); want %d by %v (%v)", service, d.Method, d.Confidence,
					test.service, test.want.Method, test.want.Confidence)
			}
		})
	}
}

// Verdicts through the table: what one Flow teaches about another's endpoints.
func TestDirection(t *testing.T) {
	assigned := func(_ Transport, port uint16) bool { return port < 1024 }
	visitors := func(n int) (all []Packet) {
		for i := range n {
			path := fmt.Sprintf("10.0.1.1:%d > 10.0.0.9:30000", 1500+i)
			back := fmt.Sprintf("10.0.0.9:30000 > 10.0.1.1:%d", 1500+i)
			all = append(all, tcp(path, ACK, data), tcp(back, ACK, data))
		}
		return all
	}
	tests := []struct {
		name        string
		packets     []Packet
		destination string // of the last packet's Flow
		want        Direction
	}{
		{"SYN-ACK alone", []Packet{tcp("10.0.0.1:30000 > 10.0.0.2:80", SYN|ACK)}, "10.0.0.1:30000", Direction{Handshake, High}},
		{"multicast", []Packet{udp("10.0.0.1:5353 > 224.0.0.251:5353", group)}, "224.0.0.251:5353", Direction{Multicast, High}},
		{"a service that answered a handshake", []Packet{
			tcp("10.0.0.1:1 > 10.0.0.9:30000", SYN), tcp("10.0.0.9:30000 > 10.0.0.1:1", SYN|ACK),
			tcp("10.0.0.9:30000 > 10.0.0.2:80", ACK, data)}, "10.0.0.9:30000", Direction{Learned, High}},
		{"a SYN without an answer teaches nothing", []Packet{
			tcp("10.0.0.1:1 > 10.0.0.9:30000", SYN),
			tcp("10.0.0.9:30000 > 10.0.0.2:80", ACK, data)}, "10.0.0.2:80", Direction{Registered, Medium}},
		{"peers with three ports", append(visitors(3), tcp("10.0.0.9:30000 > 10.0.1.1:80", ACK, data)), "10.0.0.9:30000", Direction{Learned, Medium}},
		{"a client with one port and many servers", []Packet{
			udp("10.0.0.9:30000 > 10.0.1.1:1812", data), udp("10.0.1.1:1812 > 10.0.0.9:30000", data),
			udp("10.0.0.9:30000 > 10.0.1.2:1812", data), udp("10.0.1.2:1812 > 10.0.0.9:30000", data),
			udp("10.0.0.9:30000 > 10.0.1.3:1812", data), udp("10.0.1.3:1812 > 10.0.0.9:30000", data)}, "10.0.1.3:1812", Direction{FirstPacket, Low}},
		{"a SYN scan from one port teaches nothing", []Packet{
			tcp("10.0.0.9:30000 > 10.0.1.1:1500", SYN), tcp("10.0.0.9:30000 > 10.0.1.2:1500", SYN), tcp("10.0.0.9:30000 > 10.0.1.3:1500", SYN),
			tcp("10.0.0.9:30000 > 10.0.1.1:80", ACK, data)}, "10.0.1.1:80", Direction{Registered, Medium}},
		{"a service whose answers alone came by", []Packet{
			tcp("10.0.0.9:30000 > 10.0.0.1:1", SYN|ACK),
			tcp("10.0.0.9:30000 > 10.0.0.2:80", ACK, data)}, "10.0.0.9:30000", Direction{Learned, High}},
		{"an association accepted, seen alone", []Packet{
			packet(SCTP, "10.0.0.9:30000 > 10.0.0.1:1", marked(Response)),
			packet(SCTP, "10.0.0.9:30000 > 10.0.0.2:80", data)}, "10.0.0.9:30000", Direction{Learned, High}},
		{"who refuses many is their service", []Packet{
			tcp("10.0.0.9:30000 > 10.0.1.1:70", RST|ACK), tcp("10.0.0.9:30000 > 10.0.1.2:71", RST|ACK),
			tcp("10.0.0.9:30000 > 10.0.1.3:72", RST|ACK)}, "10.0.0.9:30000", Direction{Learned, Medium}},
		{"who has left many is no service of theirs", []Packet{
			tcp("10.0.1.1:1070 > 10.0.0.9:30000", RST), tcp("10.0.1.2:1071 > 10.0.0.9:30000", RST),
			tcp("10.0.1.3:1072 > 10.0.0.9:30000", RST)}, "10.0.0.9:30000", Direction{Learned, Medium}},
		{"who answers a scan with ACK has left nothing", []Packet{
			tcp("10.0.0.9:30000 > 10.0.1.1:1500", ACK), tcp("10.0.1.1:1500 > 10.0.0.9:30000", RST),
			tcp("10.0.0.9:30000 > 10.0.1.2:1501", ACK), tcp("10.0.1.2:1501 > 10.0.0.9:30000", RST),
			tcp("10.0.0.9:30000 > 10.0.1.3:1502", ACK), tcp("10.0.1.3:1502 > 10.0.0.9:30000", RST),
			tcp("10.0.0.9:30000 > 10.0.1.1:80", ACK, data)}, "10.0.1.1:80", Direction{Registered, Medium}},
		{"a client that gives up", []Packet{
			tcp("10.0.0.1:30000 > 10.0.0.9:80", RST)}, "10.0.0.9:80", Direction{Registered, Medium}},
		{"outside", []Packet{
			tcp("10.0.0.1:40000 > 203.0.113.9:50000", ACK, data)}, "203.0.113.9:50000", Direction{Address, Low}},
		{"outside, in the shared address space", []Packet{
			tcp("100.64.0.1:40000 > 203.0.113.9:50000", ACK, data)}, "203.0.113.9:50000", Direction{Address, Low}},
		{"another transport's service", []Packet{
			tcp("10.0.0.1:1 > 10.0.0.9:30000", SYN), tcp("10.0.0.9:30000 > 10.0.0.1:1", SYN|ACK),
			udp("10.0.0.9:30000 > 10.0.0.2:80", data)}, "10.0.0.2:80", Direction{Registered, Medium}},
		{"the capture's first UDP packet", []Packet{udp("10.0.0.1:40000 > 10.0.0.2:50000")}, "10.0.0.2:50000", Direction{FirstPacket, Low}},
		{"a UDP packet when all earlier Flows are known", []Packet{
			udp("10.0.0.1:40000 > 10.0.0.2:50000"), udp("10.0.0.1:50001 > 10.0.0.2:40001", at(60.1))}, "10.0.0.2:40001", Direction{FirstPacket, Medium}},
		{"a UDP packet when they are not", []Packet{
			udp("10.0.0.1:40000 > 10.0.0.2:50000"), udp("10.0.0.1:50001 > 10.0.0.2:40001", at(60))}, "10.0.0.2:40001", Direction{FirstPacket, Low}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			last := test.packets[len(test.packets)-1].Key
			for _, r := range meter(Options{Assigned: assigned}, test.packets...) {
				k, _ := KeyOf(r.Transport, r.Source.Endpoint, r.Destination.Endpoint)
				if k != last {
					continue
				}
				if r.Destination.Endpoint.String() != test.destination || r.Direction != test.want {
					t.Errorf("destination %v by %v (%v); want %s by %v (%v)", r.Destination.Endpoint,
						r.Direction.Method, r.Direction.Confidence, test.destination, test.want.Method, test.want.Confidence)
				}
				return
			}
			t.Error("no record")
		})
	}
}

// What a control Flow announces, and how that affects other Flows.
func TestAnnounced(t *testing.T) {
	const control = "10.0.0.1:1500 > 10.0.0.9:21"
	says := func(port uint16) Announcement { return Announcement{Transport: TCP, Port: port} }
	asks := Announcement{Transport: UDP, Port: 1500, Asker: true}
	tests := []struct {
		name        string
		said        Announcement // by the first packet
		packets     []Packet     // the first is the control Flow's
		destination string       // of the last packet's Flow
		want        Direction
	}{
		{"active: the announced client is opened", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:20 > 10.0.0.1:40000", SYN)}, "10.0.0.1:40000", Direction{Announced, High}},
		{"its end without its beginning", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.1:40000 > 10.0.0.9:20", ACK, data)}, "10.0.0.1:40000", Direction{Announced, High}},
		{"opened from there", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.1:40000 > 10.0.0.9:20", SYN)}, "10.0.0.9:20", Direction{Handshake, High}},
		{"another port", says(40001), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:1024 > 10.0.0.1:40000", SYN)}, "10.0.0.1:40000", Direction{Handshake, High}},
		{"another host's", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:1024 > 10.0.0.2:40000", SYN)}, "10.0.0.2:40000", Direction{Handshake, High}},
		{"another transport", says(40000), []Packet{tcp(control, ACK, data),
			udp("10.0.0.9:1024 > 10.0.0.1:40000", data)}, "10.0.0.9:1024", Direction{Range, Medium}},
		{"five minutes later", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:1024 > 10.0.0.1:40000", SYN, at(300))}, "10.0.0.1:40000", Direction{Announced, High}},
		{"later than that", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:1024 > 10.0.0.1:40000", SYN, at(300.1))}, "10.0.0.1:40000", Direction{Handshake, High}},
		{"each use keeps it", says(40000), []Packet{tcp(control, ACK, data),
			tcp("10.0.0.9:1024 > 10.0.0.1:40000", SYN, at(299)),
			tcp("10.0.0.9:1025 > 10.0.0.1:40000", SYN, at(598))}, "10.0.0.1:40000", Direction{Announced, High}},
		{"a Flow that was there before", says(40000), []Packet{tcp("10.0.0.1:40000 > 10.0.0.9:50000", ACK, data),
			tcp("10.0.0.1:40000 > 10.0.0.9:50000", ACK, data)}, "10.0.0.1:40000", Direction{LowerPort, Low}},
		{"who asks is answered from a port of the service's choice", asks, []Packet{udp("10.0.0.1:1500 > 10.0.0.9:69", data),
			udp("10.0.0.9:50000 > 10.0.0.1:1500", data)}, "10.0.0.9:50000", Direction{Announced, High}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			table := NewTable(Options{})
			table.Add(&Batch{Packets: test.packets, Announcements: []Announcement{test.said}})
			table.Flush()
			last := test.packets[len(test.packets)-1].Key
			for _, r := range drain(table) {
				if r.Key == last && (r.Destination.Endpoint.String() != test.destination || r.Direction != test.want) {
					t.Errorf("destination %v by %v (%v); want %s by %v (%v)", r.Destination.Endpoint,
						r.Direction.Method, r.Direction.Confidence, test.destination, test.want.Method, test.want.Confidence)
				}
			}
		})
	}
}

// If both sides of a Flow were announced, the announcements decide nothing.
func TestAnnouncedTwice(t *testing.T) {
	table := NewTable(Options{})
	table.Add(&Batch{
		Packets: []Packet{udp("10.0.0.1:5060 > 10.0.0.2:5060", data), udp("10.0.0.2:5060 > 10.0.0.1:5060", data),
			udp("10.0.0.1:20000 > 10.0.0.2:50000", data)},
		Announcements: []Announcement{{0, UDP, 20000, false}, {1, UDP, 50000, false}},
	})
	table.Flush()
	for _, r := range drain(table) {
		if r.Source.Port() == 50000 && r.Direction.Method != Range {
			t.Errorf("method %v", r.Direction.Method)
		}
	}
}

// A flood of announcements takes no further memory, and what it pushes out is counted.
func TestAnnouncedForgets(t *testing.T) {
	var a announced
	for i := range 4 * announcedEndpoints {
		k, _ := KeyOf(TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}), 1), netip.MustParseAddrPort("10.9.9.9:21"))
		a.announce(&k, 0, &Announcement{Transport: TCP, Port: uint16(i >> 16)}, 0)
	}
	if a.forgot != 3*announcedEndpoints {
		t.Errorf("%d of %d were forgotten", a.forgot, 4*announcedEndpoints)
	}
	before := a.forgot
	for i := range announcedEndpoints / 16 {
		k, _ := KeyOf(TCP, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 2, byte(i >> 8), byte(i)}), 1), netip.MustParseAddrPort("10.9.9.9:21"))
		a.announce(&k, 0, &Announcement{Transport: TCP, Port: 1}, expectation+1)
	}
	if a.forgot != before {
		t.Errorf("%d endpoints whose Flows were no longer expected were counted as forgotten", a.forgot-before)
	}
}

// The verdict of a Flow's first record stays, whatever comes later.
func TestDirectionIsKept(t *testing.T) {
	all := meter(Options{ActiveTimeout: time.Second},
		tcp("10.0.0.1:30000 > 10.0.0.2:880", ACK, data, at(0)),
		tcp("10.0.0.1:30000 > 10.0.0.2:880", ACK, data, at(1.5)),
		tcp("10.0.0.3:1 > 10.0.0.1:30000", SYN, at(2)),
		tcp("10.0.0.1:30000 > 10.0.0.3:1", SYN|ACK, at(2)),
		tcp("10.0.0.1:30000 > 10.0.0.2:880", ACK, data, at(3)),
	)
	n := 0
	for _, r := range all {
		if r.Destination.Port() == 880 && r.Direction == (Direction{LowerPort, Low}) && r.Sequence == uint32(n) {
			n++
		}
	}
	if n != 3 {
		t.Errorf("%d of 3 records have the first verdict: %+v", n, all)
	}
}

// A Judge keeps a verdict as long as its Flow goes on, and no longer.
func TestVerdictsAreForgotten(t *testing.T) {
	table := NewTable(Options{ActiveTimeout: time.Second})
	for second := range 3 {
		for flow := range 100 {
			table.Add(&Batch{Packets: []Packet{udp(fmt.Sprintf("10.0.0.1:%d > 10.0.0.2:53", 30000+flow), at(1.5*float64(second)))}})
		}
		drain(table)
		if kept := len(table.alone.judge.kept); kept != min(second, 1)*100 {
			t.Errorf("after %d active timeouts, %d verdicts are kept", second, kept)
		}
	}
	table.Flush()
	if n := len(drain(table)); n != 100 {
		t.Errorf("%d last records", n)
	}
	if kept := len(table.alone.judge.kept); kept != 0 {
		t.Errorf("no Flow goes on, and %d verdicts are kept", kept)
	}
}

// What comes after Flush does not change the verdicts of the records that Flush made ready,
// even if nobody had taken them yet.
func TestDirectionIsThatOfFlush(t *testing.T) {
	const flows = 3 * stride
	service := []Packet{
		tcp("10.0.0.3:1 > 10.0.0.1:30000", SYN, at(1)), tcp("10.0.0.1:30000 > 10.0.0.3:1", SYN|ACK, at(1))}
	goOn := map[string]func(*Table){
		"Add": func(t *Table) {
			t.Add(&Batch{Packets: append(service, udp("10.0.0.4:1 > 10.0.0.5:2", at(3)))})
		},
		"Advance": func(t *Table) { t.Add(&Batch{Packets: service}); t.Advance(seconds(1000)) },
		"Flush":   func(t *Table) { t.Add(&Batch{Packets: service}); t.Flush() },
	}
	for name, more := range goOn {
		table := NewTable(Options{})
		for i := range flows {
			table.Add(&Batch{Packets: []Packet{tcp(fmt.Sprintf("10.0.0.1:30000 > 10.0.%d.2:880", i), ACK, data, at(1))}})
		}
		table.Flush()
		var first Record
		if !table.Next(&first) { // so that some are judged, and others are not
			t.Fatal("no record")
		}
		more(table)
		n := 0
		for _, r := range append(drain(table), first) {
			if r.Destination.Port() == 880 && r.Direction == (Direction{LowerPort, Low}) {
				n++
			}
		}
		if n != flows {
			t.Errorf("%s: %d of %d records have the verdict of Flush", name, n, flows)
		}
	}
}

// Swapping the endpoints swaps everything that belongs to them.
func TestSidesSwap(t *testing.T) {
	for _, flip := range []bool{false, true} {
		client, server := "10.0.0.1:40000", "10.0.0.2:80"
		if flip {
			client, server = "10.0.0.2:40000", "10.0.0.1:80"
		}
		all := meter(Options{},
			tcp(client+" > "+server, SYN, octets(60)),
			tcp(server+" > "+client, SYN|ACK, octets(52)),
			tcp(client+" > "+server, ACK|PSH, data, octets(500)),
			tcp(server+" > "+client, ACK, octets(9000), marked(LaterFragment|Data)))
		r := all[0]
		source := Side{Endpoint: r.Source.Endpoint, Count: Count{2, 560}, Total: Count{2, 560}, Flags: SYN | ACK | PSH}
		destination := Side{Endpoint: r.Destination.Endpoint, Count: Count{2, 9052}, Total: Count{2, 9052},
			LaterFragments: Count{1, 9000}, Flags: SYN | ACK}
		if r.Source != source || r.Destination != destination || source.Port() != 40000 {
			t.Errorf("flip %v: %+v", flip, r)
		}
	}
}

// An endpoint that is in use keeps its seat.
func TestLearnedForgets(t *testing.T) {
	j := NewJudge(nil)
	end := func(i int) service { return service{lower: uint64(i), port: uint64(i)} }
	known := func(s service) (k knowledge) {
		if p := j.known.of(j.known.spot(&s)); p != nil {
			k = *p
		}
		return k
	}
	table := NewTable(Options{})
	table.serves(end(0))
	for i := range 2 * learnedEndpoints {
		table.serves(end(1 + i))
		if i%(learnedEndpoints/seatsInSet) == 0 {
			table.met(end(0), end(i))
		}
	}
	j.Judge(&Ends{lessons: table.lessons})
	if k := known(end(0)); !k.served() || k.popularity() != 4 { // ports 0, 16384, 32768, 49152
		t.Errorf("endpoint in use: served %v, popularity %d", k.served(), k.popularity())
	}
	held := 0
	for i := range 2 * learnedEndpoints {
		if known(end(1 + i)).served() {
			held++
		}
	}
	if n := j.Forgotten(); held < learnedEndpoints/2 || held > learnedEndpoints || n < learnedEndpoints || n > 2*learnedEndpoints {
		t.Errorf("%d endpoints held, %d forgotten", held, n)
	}
}

// What is remembered follows from the order of the packets, not from the seed.
func TestLearnedHasNoSeed(t *testing.T) {
	a, b := NewJudge(nil), NewJudge(nil)
	end := func(i int) service { return service{upper: uint64(i) << 40, lower: uint64(i), port: uint64(i % 7)} }
	table := NewTable(Options{})
	for i := range 3 * learnedEndpoints {
		table.met(end(i), end(i/3))
	}
	a.Judge(&Ends{lessons: table.lessons})
	b.Judge(&Ends{lessons: table.lessons})
	if a.known.seed == b.known.seed {
		t.Fatal("two memories have the same seed")
	}
	for i := range 3 * learnedEndpoints {
		s := end(i)
		x, y := a.known.of(a.known.spot(&s)), b.known.of(b.known.spot(&s))
		if (x == nil) != (y == nil) || x != nil && *x != *y {
			t.Fatalf("endpoint %d: %v and %v", i, x, y)
		}
	}
}

// TestDirectionOf judges records of which only the endpoints are known.
func TestDirectionOf(t *testing.T) {
	assigned := func(t Transport, port uint16) bool { return port == 443 || port == 5353 }
	for _, test := range []struct {
		t                   Transport
		source, destination string
		want                string
	}{
		{TCP, "10.0.0.1:40000", "10.0.0.2:443", "registry medium"},
		{TCP, "10.0.0.2:443", "10.0.0.1:40000", "registry medium reversed"},
		{TCP, "10.0.0.2:2000", "10.0.0.1:40000", "range medium reversed"},
		{TCP, "10.0.0.1:40000", "192.0.2.1:50000", "address low"},
		{UDP, "10.0.0.1:40002", "10.0.0.2:40000", "lower-port low"},
		{UDP, "10.0.0.2:40000", "10.0.0.1:40002", "lower-port low reversed"},
		{UDP, "10.0.0.1:500", "10.0.0.2:500", "symmetric medium"},
		{UDP, "10.0.0.1:5353", "224.0.0.251:5353", "group high"},
		{UDP, "[fe80::1]:546", "[ff02::1:2]:547", "group high"},
		{UDP, "0.0.0.0:68", "255.255.255.255:67", "group high"},
	} {
		d, reversed := DirectionOf(test.t, netip.MustParseAddrPort(test.source), netip.MustParseAddrPort(test.destination), assigned)
		got := d.Method.String() + " " + d.Confidence.String()
		if reversed {
			got += " reversed"
		}
		if got != test.want {
			t.Errorf("%v %s %s: %s, want %s", test.t, test.source, test.destination, got, test.want)
		}
	}
}

// Key.private says of a Key's words what private says of addresses.
func TestPrivate(t *testing.T) {
	for _, text := range []string{"9.255.255.255", "10.0.0.0", "10.255.255.255", "11.0.0.0", "172.15.255.255", "172.16.0.0",
		"172.31.255.255", "172.32.0.0", "192.167.255.255", "192.168.0.0", "192.168.255.255", "192.169.0.0", "100.63.255.255",
		"100.64.0.0", "100.127.255.255", "100.128.0.0", "8.8.8.8", "fbff::1", "fc00::", "fdff:ffff::1", "fe00::", "2001:db8::1",
		"::ffff:10.0.0.1", "::a00:1"} {
		a := netip.MustParseAddr(text)
		for side, other := range []netip.Addr{netip.IPv6Unspecified(), a.Next()} {
			if a.Is4() && side == 0 {
				other = netip.IPv4Unspecified()
			}
			k, reverse := KeyOf(TCP, netip.AddrPortFrom(a, 1), netip.AddrPortFrom(other, 1))
			mine := 0
			if reverse {
				mine = 1
			}
			if got, want := k.private(mine), private(a); got != want || private(other) != k.private(1-mine) {
				t.Errorf("%v: private %v, want %v", a, got, want)
			}
		}
	}
}
