package flow

import "net/netip"

// nobody stands for a side that is not known.
const nobody = -1

// evidence is what a Flow's direction is told from. Sides are the Key's.
type evidence struct {
	transport Transport
	port      [2]uint16
	opener    int          // who opened it, by a handshake; or nobody
	group     int          // who is a multicast or broadcast address; or nobody
	announced int          // who was announced as the service; or nobody
	known     [2]knowledge // what other Flows showed of the endpoint
	assigned  [2]bool      // the registry assigns the port, or knows of its use
	private   [2]bool      // the address is private
	flags     [2]TCPFlags  // the union of what the side sent
	beginner  int          // who sent the first packet; or nobody
	settled   bool         // the first packet is the Flow's, not only the capture's
}

// verdict says which side is the service, and by which of the methods, the
// strongest first.
func (e *evidence) verdict() (service int, d Direction) {
	if e.opener != nobody {
		if e.announced == 1-e.opener { // and so what was opened is explained
			return e.announced, Direction{Announced, High}
		}
		return 1 - e.opener, Direction{Handshake, High}
	}
	if e.group != nobody {
		return e.group, Direction{Multicast, High}
	}
	if e.announced != nobody {
		return e.announced, Direction{Announced, High}
	}
	if s := either(e.known[0].served(), e.known[1].served()); s != nobody {
		return s, Direction{Learned, High}
	}
	if s := e.fileTransfer(); s != nobody {
		return s, Direction{Announced, Medium}
	}
	if s := e.configuration(); s != nobody {
		return s, Direction{Registered, Medium}
	}
	if s := e.popular(3); s != nobody && e.transport != UDP {
		return s, Direction{Learned, Medium}
	}
	if e.port[0] == e.port[1] {
		// Which side serves is open, but not on which port: both have it.
		return 1 - max(e.beginner, 0), Direction{Symmetric, Medium}
	}
	if s := either(e.assigned[0], e.assigned[1]); s != nobody {
		return s, Direction{Registered, Medium}
	}
	if first, second := rangeOf(e.port[0]), rangeOf(e.port[1]); first != second {
		return either(first < second, second < first), Direction{Range, Medium}
	}
	if e.transport == UDP && e.settled {
		return 1 - e.beginner, Direction{FirstPacket, Medium}
	}
	if s := e.popular(e.some()); s != nobody {
		return s, Direction{Learned, Low}
	}
	if s := either(!e.private[0], !e.private[1]); s != nobody {
		return s, Direction{Address, Low}
	}
	if e.transport == UDP && e.beginner != nobody {
		return 1 - e.beginner, Direction{FirstPacket, Low}
	}
	if s := e.parting(); s != nobody {
		return s, Direction{Resets, Low}
	}
	if s := e.listener(); s != nobody {
		return s, Direction{Range, Low}
	}
	return either(e.port[0] < e.port[1], e.port[1] < e.port[0]), Direction{LowerPort, Low}
}

// DirectionOf judges a record of which only the endpoints are known, such as one
// direction of a Flow that somebody else metered: by those of the rules that need
// neither packets nor other Flows. reversed: the source is the service. assigned is that
// of [Options], and not nil.
func DirectionOf(t Transport, source, destination Endpoint, assigned func(Transport, uint16) bool) (d Direction, reversed bool) {
	e := evidence{
		transport: t,
		port:      [2]uint16{source.Port(), destination.Port()},
		opener:    nobody,
		group:     either(isGroup(source.Addr()), isGroup(destination.Addr())),
		announced: nobody,
		assigned:  [2]bool{assigned(t, source.Port()), assigned(t, destination.Port())},
		private:   [2]bool{private(source.Addr()), private(destination.Addr())},
		beginner:  nobody,
	}
	service, d := e.verdict()
	return d, service == 0
}

// isGroup reports whether an address by itself is that of many receivers: without
// its network's prefix, a broadcast address there is like any other.
func isGroup(a netip.Addr) bool { return a.IsMulticast() || a == limitedBroadcast }

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// fileTransfer is the client's side of an FTP data connection that the server
// opened: it does so from port 20, to one that the client chose (RFC 959 section
// 3.2).
func (e *evidence) fileTransfer() int {
	const ftpData, firstUser = 20, 1024
	if e.transport != TCP || max(e.port[0], e.port[1]) < firstUser {
		return nobody
	}
	return either(e.port[1] == ftpData, e.port[0] == ftpData)
}

// configuration is the server's side of DHCP, whose clients have a port that is
// assigned to them (RFC 2131 section 4.1, RFC 8415 section 7.2).
func (e *evidence) configuration() int {
	const dhcpClient, dhcpv6Client = 68, 546
	isClient := func(port uint16) bool { return port == dhcpClient || port == dhcpv6Client }
	if e.transport != UDP {
		return nobody
	}
	return either(isClient(e.port[1]), isClient(e.port[0]))
}

// some is how many of its peers' ports make an endpoint a service where there is no
// better evidence. A connection's client has a port of its own, or it may; but one UDP
// socket asks many servers, and so neither are many ports there better evidence than
// those of the Flow itself.
func (e *evidence) some() int {
	if e.transport == UDP {
		return 3
	}
	return 2
}

// popular is the side that peers used from enough ports, and from more than the other.
func (e *evidence) popular(enough int) int {
	first, second := e.known[0].popularity(), e.known[1].popularity()
	if first == second || max(first, second) < enough {
		return nobody
	}
	return either(first > second, second > first)
}

// either is the side for which alone a condition holds, or nobody.
func either(first, second bool) int {
	switch {
	case first == second:
		return nobody
	case first:
		return 0
	}
	return 1
}

// parting is the service's side of a Flow in which one side sent nothing but RST. One with
// an ACK refuses what asked for a connection; one without answers what still comes for a
// connection that its sender has left (RFC 9293 section 3.5.2): it is clients who leave.
func (e *evidence) parting() int {
	if e.transport != TCP {
		return nobody
	}
	if s := either(e.flags[0] == RST|ACK, e.flags[1] == RST|ACK); s != nobody {
		return s
	}
	return either(e.flags[1] == RST, e.flags[0] == RST)
}

// listener is the side whose port Linux gives to who asks for any port to listen on:
// since 4.2 these are odd, and those it gives to who connects are even, while there are
// any (inet_csk_find_open_port, __inet_hash_connect). Other systems do not draw ports
// below 49152.
func (e *evidence) listener() int {
	const first, last, firstOfOthers = 32768, 60999, 49152
	low, high := min(e.port[0], e.port[1]), max(e.port[0], e.port[1])
	if e.transport != TCP || low < first || low >= firstOfOthers || high > last {
		return nobody
	}
	return either(e.port[0]%2 == 1, e.port[1]%2 == 1)
}

// rangeOf tells ports by whether systems give them to clients: 0 for those that none
// does; 1 for those that some did once, or do on request (512-1023, where root's are,
// 1024-5000 and beyond); 2 for the Dynamic Ports (49152-65535, RFC 6335 section 6)
// and Linux's usual range (32768-60999).
func rangeOf(port uint16) int {
	const firstOnRequest, firstUsual = 512, 32768
	switch {
	case port < firstOnRequest:
		return 0
	case port < firstUsual:
		return 1
	}
	return 2
}

// private reports whether the Internet has no way to an address (RFC 1918, RFC 4193),
// or one only through its provider's translation (RFC 6598): who is outside of it
// did not call.
func private(a netip.Addr) bool { return a.IsPrivate() || shared.Contains(a) }

// private is that of one of the Key's addresses.
func (k *Key) private(side int) bool {
	if k.Version() != 4 {
		return private(k.address(side))
	}
	a := uint32(k.addr[2*side+1])
	return a>>24 == 10 || a>>20 == 172<<4|1 || a>>16 == 192<<8|168 || a>>22 == 100<<2|1
}

var shared = netip.MustParsePrefix("100.64.0.0/10")
