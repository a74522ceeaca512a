package traffic

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
)

// A script says how the Flows of one kind go: who sends what, packet by packet.
type script struct {
	ipv6  bool
	udp   bool   // else TCP
	port  uint16 // of the service; 0: a common one, depending on the Flow; scanned: any, depending on the Flow
	steps []step
}

// scanned is the port of a script whose client tries one port after another.
const scanned = 1<<16 - 1

// A step is a packet of a script.
type step struct {
	reply    bool // from the server
	flags    byte // TCP's
	data     string
	seq, ack uint32 // relative to the initial numbers of the sender and of the other side; see numbered
}

// TCP's flags (RFC 9293 section 3.1).
const (
	fin = 1 << iota
	syn
	rst
	psh
	ack
)

const (
	query  = "\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01"
	answer = "\x12\x34\x81\x80\x00\x01\x00\x01\x00\x00\x00\x00\x03www\x07example\x03com\x00\x00\x01\x00\x01" +
		"\xc0\x0c\x00\x01\x00\x01\x00\x00\x0e\x10\x00\x04\xcb\x00\x71\x07" // 203.0.113.7
)

// crowd returns what ten Flows of Small do.
func crowd(each int) []script {
	const few, some = "6 here", "18 octets in here." // fill a frame to 60 octets
	tcp := []step{{false, syn, "", 0, 0}, {true, syn | ack, "", 0, 0}, {false, ack, "", 0, 0}}
	for len(tcp) < each-3 {
		tcp = append(tcp, step{reply: len(tcp)%2 == 0, flags: psh | ack, data: few})
	}
	tcp = append(tcp, step{flags: fin | ack}, step{reply: true, flags: fin | ack}, step{flags: ack})
	var udp, udp6 []step
	for k := range each {
		udp = append(udp, step{reply: k%2 == 1, data: some})
		udp6 = append(udp6, step{reply: k%2 == 1})
	}
	web, data, data6 := script{steps: numbered(tcp)}, script{udp: true, steps: udp}, script{udp: true, ipv6: true, steps: udp6}
	return []script{web, web, web, web, web, web, web, data, data, data6}
}

// flood returns what twenty Flows of Flows do.
func flood() []script {
	dns := script{udp: true, port: 53, steps: []step{{data: query}, {reply: true, data: answer}}}
	dns6 := dns
	dns6.ipv6 = true
	silent := script{port: scanned, steps: numbered([]step{{flags: syn}})}
	refused := script{port: scanned, steps: numbered([]step{{flags: syn}, {reply: true, flags: rst | ack}})}
	short := script{steps: numbered([]step{
		{flags: syn}, {reply: true, flags: syn | ack}, {flags: ack},
		{flags: psh | ack, data: query}, {reply: true, flags: psh | ack, data: answer}, {flags: rst | ack},
	})}
	return []script{
		dns, dns, dns, dns6, dns, dns, dns, dns, dns, dns,
		silent, silent, silent, silent, refused, refused, refused, refused, short, short,
	}
}

// numbered gives the steps of a connection their sequence and acknowledgement numbers.
func numbered(steps []step) []step {
	var next [2]uint32 // of client and server
	for i := range steps {
		s := &steps[i]
		own, other := 0, 1
		if s.reply {
			own, other = 1, 0
		}
		s.seq, s.ack = next[own], next[other]
		next[own] += uint32(len(s.data))
		if s.flags&(syn|fin) != 0 {
			next[own]++
		}
	}
	return steps
}

// servicePorts are those that Flows use if their script names none.
var servicePorts = [...]uint16{
	22, 25, 53, 80, 123, 161, 389, 443, 445, 993, 1900, 3306, 3389, 5060, 5353, 5432, 6379, 8080, 8443, 9200,
}

// endpoints returns the two sides of the i'th Flow. No two clients have the same address. Servers
// have addresses that RFC 2544 reserves for benchmarks, or RFC 3849 for documentation.
func (s *script) endpoints(i int) (client, server netip.AddrPort) {
	random := rand.NewPCG(3, uint64(i)).Uint64()
	a, b := [4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}, [4]byte{198, 18, byte(random >> 8), byte(random)}
	from, to := netip.AddrFrom4(a), netip.AddrFrom4(b)
	if s.ipv6 {
		from = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 1, 13: a[1], 14: a[2], 15: a[3]})
		to = netip.AddrFrom16([16]byte{0: 0x20, 1: 0x01, 2: 0x0d, 3: 0xb8, 5: 2, 14: b[2], 15: b[3]})
	}
	port := s.port
	switch port {
	case 0:
		port = servicePorts[random>>32%uint64(len(servicePorts))]
	case scanned:
		port = uint16(1 + i%65535)
	}
	return netip.AddrPortFrom(from, uint16(1024+random>>16%64512)), netip.AddrPortFrom(to, port)
}

// frame appends the k'th packet of the i'th Flow to empty memory: an Ethernet frame, padded to 60
// octets.
func (s *script) frame(dst []byte, i, k int) []byte {
	p := &s.steps[k]
	from, to := s.endpoints(i)
	// Initial sequence numbers differ between connections, and between the two sides of one.
	sequence, acknowledged := uint32(i)<<8, uint32(i)<<8|1<<31
	if p.reply {
		from, to = to, from
		sequence, acknowledged = acknowledged, sequence
	}
	length := 20 + len(p.data)
	if s.udp {
		length = 8 + len(p.data)
	}
	dst = append(dst, 2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2) // locally administered
	dst = s.appendIP(dst, from.Addr(), to.Addr(), length)
	body := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint16(be.AppendUint16(dst, from.Port()), to.Port())
	sumAt := body + 6
	if s.udp {
		dst = be.AppendUint32(dst, uint32(length)<<16)
	} else {
		if p.flags&ack == 0 {
			acknowledged = -p.ack // a segment without ACK acknowledges nothing
		}
		dst = be.AppendUint32(be.AppendUint32(dst, sequence+p.seq), acknowledged+p.ack)
		dst = append(dst, 5<<4, p.flags, 0xff, 0xff, 0, 0, 0, 0)
		sumAt = body + 16
	}
	dst = append(dst, p.data...)
	pseudo := sum(addressOctets(dst[:body], s.ipv6)) + uint32(s.protocol()) + uint32(length)
	c := checksum(pseudo + sum(dst[body:]))
	if s.udp && c == 0 {
		c = 0xffff // 0 would say that there is none (RFC 768)
	}
	be.PutUint16(dst[sumAt:], c)
	for len(dst) < 60 {
		dst = append(dst, 0)
	}
	return dst
}

func (s *script) protocol() byte {
	if s.udp {
		return 17
	}
	return 6
}

// appendIP appends the EtherType and an IP header for a body of length octets.
func (s *script) appendIP(dst []byte, from, to netip.Addr, length int) []byte {
	be := binary.BigEndian
	if s.ipv6 {
		dst = append(dst, 0x86, 0xdd, 6<<4, 0, 0, 0)
		dst = append(be.AppendUint16(dst, uint16(length)), s.protocol(), 64)
		a, b := from.As16(), to.As16()
		return append(append(dst, a[:]...), b[:]...)
	}
	dst = append(dst, 0x08, 0x00, 4<<4|5, 0)
	dst = append(be.AppendUint16(dst, uint16(20+length)), 0, 0, 1<<6, 0, 64, s.protocol(), 0, 0) // don't fragment
	a, b := from.As4(), to.As4()
	dst = append(append(dst, a[:]...), b[:]...)
	header := dst[len(dst)-20:]
	be.PutUint16(header[10:], checksum(sum(header)))
	return dst
}

// addressOctets returns both addresses of a frame that ends with its IP header.
func addressOctets(frame []byte, ipv6 bool) []byte {
	if ipv6 {
		return frame[len(frame)-32:]
	}
	return frame[len(frame)-8:]
}

// sum adds the 16-bit words of data, the last one padded with zero bits (RFC 1071).
func sum(data []byte) (s uint32) {
	for ; len(data) > 1; data = data[2:] {
		s += uint32(data[0])<<8 | uint32(data[1])
	}
	if len(data) == 1 {
		s += uint32(data[0]) << 8
	}
	return s
}

// checksum folds a sum and complements it.
func checksum(s uint32) uint16 {
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return ^uint16(s)
}
