package flow

import "net/netip"

// nobody stands for an unknown side.
const nobody = -1

// evidence is what a Flow's direction is judged from. Sides are the Key's.
type evidence struct {
	transport Transport
	port      [2]uint16
	opener    int          // who opened the Flow, by a handshake; or nobody
	group     int          // who is a multicast or broadcast address; or nobody
	announced int          // who was announced as the service; or nobody
	known     [2]knowledge // what other Flows showed about the endpoint
	assigned  [2]bool      // as Options.Assigned says
	private   [2]bool      // the address is private
	flags     [2]TCPFlags  // the union of what the side sent
	beginner  int          // who sent the first packet; or nobody
	settled   bool         // the first packet seen is the Flow's first
}

// verdict says which side is the service, by the strongest method that can tell.
func (e *evidence) verdict() (service int, d Direction) {
	if e.opener != nobody {
		if e.announced == 1-e.opener { // which explains what was opened
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
		// Which side serves is uncertain, but not on which port: both have it.
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

// DirectionOf judges a record of which only the endpoints are known, such as one direction
// of a Flow that another program metered, by the rules that need neither packets nor other
// Flows. reversed means that the source is the service. assigned is that of [Options], but
// must not be nil.
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

// isGroup reports whether an address by itself shows that it has many receivers: without
// the network's prefix, the network's broadcast address looks like any other.
func isGroup(a netip.Addr) bool { return a.IsMulticast() || a == limitedBroadcast }

var limitedBroadcast = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// fileTransfer returns the client's side of an FTP data connection that the server opened:
// servers do so from port 20, to a port that the client chose (RFC 959 section 3.2).
func (e *evidence) fileTransfer() int {
	const ftpData, firstUser = 20, 1024
	if e.transport != TCP || max(e.port[0], e.port[1]) < firstUser {
		return nobody
	}
	return either(e.port[1] == ftpData, e.port[0] == ftpData)
}

// configuration returns the server's side of DHCP, whose clients have ports assigned to
// them (RFC 2131 section 4.1, RFC 8415 section 7.2).
func (e *evidence) configuration() int {
	const dhcpClient, dhcpv6Client = 68, 546
	isClient := func(port uint16) bool { return port == dhcpClient || port == dhcpv6Client }
	if e.transport != UDP {
		return nobody
	}
	return either(isClient(e.port[1]), isClient(e.port[0]))
}

// some returns how many ports of peers make an endpoint the service where there is no
// better evidence. A client can use a port of its own for each connection, but one UDP
// socket may query many servers: with UDP more ports are needed, and even many are no
// better evidence than the Flow's own ports.
func (e *evidence) some() int {
	if e.transport == UDP {
		return 3
	}
	return 2
}

// popular returns the side whose peers used enough ports, and more than the other side's
// peers.
func (e *evidence) popular(enough int) int {
	first, second := e.known[0].popularity(), e.known[1].popularity()
	if first == second || max(first, second) < enough {
		return nobody
	}
	return either(first > second, second > first)
}

// either returns the only side for which a condition holds, or nobody.
func either(first, second bool) int {
	switch {
	case first == second:
		return nobody
	case first:
		return 0
	}
	return 1
}

// parting returns the service's side of a Flow in which one side sent nothing but RST. An
// RST with ACK refuses a connection; one without answers packets that still arrive for a
// connection that its sender has left (RFC 9293 section 3.5.2), and it is clients that
// leave.
func (e *evidence) parting() int {
	if e.transport != TCP {
		return nobody
	}
	if s := either(e.flags[0] == RST|ACK, e.flags[1] == RST|ACK); s != nobody {
		return s
	}
	return either(e.flags[1] == RST, e.flags[0] == RST)
}

// listener returns the side whose port Linux would give to a listener that asks for any
// port: since 4.2 those ports are odd, and those given to connecting sockets are even, as
// long as any are free (inet_csk_find_open_port, __inet_hash_connect). Other systems do not
// pick ports below 49152.
func (e *evidence) listener() int {
	const first, last, firstOfOthers = 32768, 60999, 49152
	low, high := min(e.port[0], e.port[1]), max(e.port[0], e.port[1])
	if e.transport != TCP || low < first || low >= firstOfOthers || high > last {
		return nobody
	}
	return either(e.port[0]%2 == 1, e.port[1]%2 == 1)
}

// rangeOf ranks a port by whether systems give it to clients: 0 if none does; 1 if some
// once did, or do on request (512-1023 for root, 1024-5000 and beyond); 2 for the Dynamic
// Ports (49152-65535, RFC 6335 section 6) and Linux's usual range (32768-60999).
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

// private reports whether the Internet has no route to an address (RFC 1918, RFC 4193), or
// only one through its provider's translation (RFC 6598): no host outside can have opened
// the Flow.
func private(a netip.Addr) bool { return a.IsPrivate() || shared.Contains(a) }

// private is the same for one of the Key's addresses.
func (k *Key) private(side int) bool {
	if k.Version() != 4 {
		return private(k.address(side))
	}
	a := uint32(k.addr[2*side+1])
	return a>>24 == 10 || a>>20 == 172<<4|1 || a>>16 == 192<<8|168 || a>>22 == 100<<2|1
}

var shared = netip.MustParsePrefix("100.64.0.0/10")
