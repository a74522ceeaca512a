package main

import "net/netip"

// directions returns traffic whose ports and handshakes do not say, or do not say plainly, who
// serves whom: the same port on both sides, groups, answers to nobody, and a scan.
func directions() []packet {
	var packets []packet
	address := netip.MustParseAddr
	laptop4, victim, scanner := address("192.0.2.11"), address("203.0.113.80"), address("203.0.113.9")

	// NTP between server ports (RFC 5905 section 9.1), IKE (RFC 7296 section 2): a question, an answer
	talk{&packets, desk4, server4, 123, 123}.exchange(join([]byte{0x23, 0, 6, 0xec}, make([]byte, 44)), join([]byte{0x24, 2, 6, 0xec}, make([]byte, 44)))
	spi := make([]byte, 16)
	talk{&packets, desk4, server4, 500, 500}.exchange(join(spi, []byte{0, 0x20, 34, 0x08}, u32(0), u32(28)), join(spi, []byte{0, 0x20, 34, 0x20}, u32(0), u32(28)))

	// a query to a group, and one sent from the group's own port
	question := join(u16(0), u16(0), u16(1), u16(0), u16(0), u16(0), []byte("\x05local\x00"), u16(12), u16(1))
	talk{&packets, desk4, address("224.0.0.251"), 40500, 5353}.datagram(true, question)
	talk{&packets, desk6, address("ff02::fb"), 5353, 5353}.datagram(true, question)

	// the broadcast addresses of the link and of the network
	for _, all := range []netip.Addr{address("255.255.255.255"), address("192.0.2.255")} {
		talk{&packets, laptop4, all, 57621, 57621}.datagram(true, []byte("who is here?"))
		copy(packets[len(packets)-1].data, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	}

	// Backscatter: somebody sends SYNs to the victim with this network's addresses and random ports,
	// some of them assigned, as their source. What arrives here: one port is open, another is not.
	const synAck, rstAck, syn = 0x12, 0x14, 0x02
	for i, port := range []uint16{1433, 3306, 5432, 8080, 31337, 61001} {
		one := netip.AddrFrom4([4]byte{192, 0, 2, byte(100 + i)})
		talk{&packets, one, victim, port, 7791}.segment(false, synAck)
		talk{&packets, one, victim, port, 7795}.segment(false, rstAck)
	}

	// a scan from one port: no answer, or a refusal
	for port := uint16(1); port <= 100; port++ {
		t := talk{&packets, scanner, desk4, 54321, port}
		t.segment(true, syn)
		if port%2 == 0 {
			t.segment(false, rstAck)
		}
	}
	return packets
}

// exchange writes a question and its answer.
func (t talk) exchange(question, answer []byte) {
	t.datagram(true, question)
	t.datagram(false, answer)
}

func (t talk) datagram(fromClient bool, data []byte) {
	t.say(fromClient, udp, t.sum(join(t.ports(fromClient), u16(uint16(8+len(data))), u16(0), data), udp, 6))
}

// segment writes a TCP header and nothing else.
func (t talk) segment(fromClient bool, flags byte) {
	t.say(fromClient, tcp, t.sum(join(t.ports(fromClient), u32(1), u32(1), []byte{5 << 4, flags}, u16(65535), u32(0)), tcp, 16))
}
