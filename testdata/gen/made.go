package main

import (
	"hash/crc32"
	"net/netip"
	"time"
)

// IP protocol numbers.
const (
	hopByHop    = 0
	tcp         = 6
	udp         = 17
	dccp        = 33
	routing     = 43
	fragment    = 44
	authHeader  = 51
	noNext      = 59
	destination = 60
	sctp        = 132
	udplite     = 136
)

var (
	desk4, server4 = netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("198.51.100.10")
	desk6, server6 = netip.MustParseAddr("2001:db8:2::10"), netip.MustParseAddr("2001:db8:51::10")
)

// A talk is a conversation being written: one client, one server.
type talk struct {
	packets        *[]packet
	client, server netip.Addr
	clientPort     uint16
	serverPort     uint16
}

// say appends an Ethernet frame, 10 ms after the one before. body is what follows the IP header; if
// it starts with extension headers, protocol is the first one's.
func (t talk) say(fromClient bool, protocol byte, body []byte) {
	src, dst := t.sides(fromClient)
	etherType, header := uint16(typeIPv4), ipv4(src, dst, protocol, len(body))
	if src.Is6() {
		etherType, header = typeIPv6, ipv6(src, dst, protocol, len(body))
	}
	addresses := []byte{0, 0, 0x5e, 0, 0x53, 0x01, 0, 0, 0x5e, 0, 0x53, 0x10}
	if !fromClient {
		addresses[5], addresses[11] = addresses[11], addresses[5]
	}
	start := time.Date(2026, time.November, 22, 14, 30, 0, 0, time.UTC)
	at := start.Add(time.Duration(len(*t.packets)) * 10 * time.Millisecond)
	*t.packets = append(*t.packets, packet{at, join(addresses, u16(etherType), header, body)})
}

func (t talk) sides(fromClient bool) (src, dst netip.Addr) {
	if fromClient {
		return t.client, t.server
	}
	return t.server, t.client
}

func (t talk) ports(fromClient bool) []byte {
	if fromClient {
		return join(u16(t.clientPort), u16(t.serverPort))
	}
	return join(u16(t.serverPort), u16(t.clientPort))
}

func ipv4(src, dst netip.Addr, protocol byte, length int) []byte {
	header := join([]byte{0x45, 0}, u16(uint16(20+length)), []byte{0, 1, 0x40, 0, 64, protocol, 0, 0}, src.AsSlice(), dst.AsSlice())
	be.PutUint16(header[10:], checksum(header))
	return header
}

func ipv6(src, dst netip.Addr, next byte, length int) []byte {
	return join([]byte{0x60, 0, 0, 0}, u16(uint16(length)), []byte{next, 64}, src.AsSlice(), dst.AsSlice())
}

// checksum is that of RFC 1071. A body of odd length counts as if a zero byte followed.
func checksum(parts ...[]byte) uint16 {
	data := join(parts...)
	if len(data)%2 == 1 {
		data = append(data, 0)
	}
	var sum uint32
	for i := 0; i < len(data); i += 2 {
		sum += uint32(be.Uint16(data[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// sum puts the checksum that covers the pseudo-header (RFC 768, RFC 8200 section 8.1) at body[at:].
func (t talk) sum(body []byte, protocol byte, at int) []byte {
	pseudo := join(t.client.AsSlice(), t.server.AsSlice(), u32(uint32(len(body))), u32(uint32(protocol)))
	be.PutUint16(body[at:], checksum(pseudo, body))
	return body
}

// transports returns a conversation each of SCTP (RFC 9260), DCCP (RFC 4340) and UDP-Lite (RFC
// 3828), over IPv4 and over IPv6.
func transports() []packet {
	var packets []packet
	for i, pair := range [][2]netip.Addr{{desk4, server4}, {desk6, server6}} {
		port := uint16(40000 + 10*i)
		talk{&packets, pair[0], pair[1], port, 9}.sctp()        // discard
		talk{&packets, pair[0], pair[1], port + 1, 5004}.dccp() // avt-profile-1
		talk{&packets, pair[0], pair[1], port + 2, 5004}.udplite()
	}
	return packets
}

// sctp writes an association: setup, four messages with their acknowledgements, shutdown.
func (t talk) sctp() {
	const init, initAck, cookieEcho, cookieAck, data, sack, shutdown, shutdownAck, complete = 1, 2, 10, 11, 0, 3, 7, 8, 14
	const clientTag, serverTag = 0x11111111, 0x22222222
	chunk := func(kind, flags byte, value []byte) []byte {
		c := join([]byte{kind, flags}, u16(uint16(4+len(value))), value)
		return append(c, make([]byte, -len(c)&3)...)
	}
	say := func(fromClient bool, tag uint32, chunk []byte) {
		body := join(t.ports(fromClient), u32(tag), u32(0), chunk)
		crc := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli))
		copy(body[8:], []byte{byte(crc), byte(crc >> 8), byte(crc >> 16), byte(crc >> 24)}) // RFC 9260 appendix A
		t.say(fromClient, sctp, body)
	}
	hello := func(tag uint32) []byte { return join(u32(tag), u32(65536), u16(1), u16(1), u32(1)) }
	cookie := []byte("a cookie that means nothing.")
	say(true, 0, chunk(init, 0, hello(clientTag)))
	say(false, clientTag, chunk(initAck, 0, join(hello(serverTag), u16(7), u16(uint16(4+len(cookie))), cookie)))
	say(true, serverTag, chunk(cookieEcho, 0, cookie))
	say(false, clientTag, chunk(cookieAck, 0, nil))
	for tsn := range uint32(4) {
		say(true, serverTag, chunk(data, 3, join(u32(tsn+1), u16(0), u16(uint16(tsn)), u32(0), []byte("message"))))
		say(false, clientTag, chunk(sack, 0, join(u32(tsn+1), u32(65536), u32(0))))
	}
	say(true, serverTag, chunk(shutdown, 0, u32(0)))
	say(false, clientTag, chunk(shutdownAck, 0, nil))
	say(true, serverTag, chunk(complete, 0, nil))
}

// dccp writes a connection: Request, Response, Acks with data, Close, Reset.
func (t talk) dccp() {
	const request, response, ack, dataAck, closing, reset = 0, 1, 3, 4, 6, 7
	sequence := [2]uint32{1000, 2000}
	say := func(fromClient bool, kind byte, rest ...[]byte) {
		own, other := 0, 1
		if !fromClient {
			own, other = 1, 0
		}
		sequence[own]++
		var acknowledged []byte
		if kind != request {
			acknowledged = join(u32(0), u32(sequence[other]))
		}
		options := join(rest...)
		offset := 16 + len(acknowledged)
		if kind != dataAck {
			offset += len(options)
		}
		body := join(t.ports(fromClient), []byte{byte(offset / 4), 0, 0, 0, kind<<1 | 1, 0}, u16(0), u32(sequence[own]),
			acknowledged, options)
		t.say(fromClient, dccp, t.sum(body, dccp, 6))
	}
	service := []byte("RTPV")
	say(true, request, service)
	say(false, response, service)
	say(true, ack)
	say(false, dataAck, []byte("picture 1"))
	say(false, dataAck, []byte("picture 2"))
	say(true, closing)
	say(false, reset, []byte{1, 0, 0, 0}) // "Closed"
}

// udplite writes a question and an answer whose checksums cover only the header.
func (t talk) udplite() {
	for _, fromClient := range []bool{true, false} {
		data := []byte("speech that may arrive with a wrong bit")
		header := join(t.ports(fromClient), u16(8), u16(0))
		pseudo := join(t.client.AsSlice(), t.server.AsSlice(), u32(uint32(8+len(data))), u32(udplite))
		be.PutUint16(header[6:], checksum(pseudo, header))
		t.say(fromClient, udplite, join(header, data))
	}
}

// extensions returns IPv6 with every extension header of RFC 8200 and with AH (RFC 4302), alone and
// in chains: eight packets with ports, one later fragment, one without an upper layer.
func extensions() []packet {
	var packets []packet
	t := talk{&packets, desk6, server6, 40100, 9} // discard
	datagram := func(fromClient bool) []byte {
		data := []byte("nobody will read these octets")
		return t.sum(join(t.ports(fromClient), u16(uint16(8+len(data))), u16(0), data), udp, 6)
	}
	// Every header is 8 octets long, with the padding option PadN if it has room.
	options := func(next byte) []byte { return []byte{next, 0, 1, 4, 0, 0, 0, 0} }
	routed := func(next byte) []byte { return []byte{next, 0, 0, 0, 0, 0, 0, 0} } // no segments left
	fragmented := func(next byte, offset uint16, more uint16) []byte {
		return join([]byte{next, 0}, u16(offset<<3|more), u32(0xf00d))
	}
	authenticated := func(next byte) []byte {
		return join([]byte{next, 4, 0, 0}, u32(0x100), u32(1), make([]byte, 12)) // length in units of 4 octets, minus 2
	}

	t.say(true, hopByHop, join(options(udp), datagram(true)))
	t.say(false, destination, join(options(udp), datagram(false)))
	t.say(true, routing, join(routed(udp), datagram(true)))
	t.say(false, authHeader, join(authenticated(udp), datagram(false)))
	t.say(true, hopByHop, join(options(destination), options(routing), routed(fragment), fragmented(authHeader, 0, 0),
		authenticated(destination), options(udp), datagram(true)))
	// AH before a second destination header, and an order that no sender should choose
	t.say(false, destination, join(options(authHeader), authenticated(routing), routed(hopByHop), options(udp), datagram(false)))

	t.clientPort = 40101
	whole := datagram(true)
	t.say(true, fragment, join(fragmented(udp, 0, 1), whole[:24]))
	t.say(true, fragment, join(fragmented(udp, 3, 0), whole[24:]))

	t.clientPort, t.serverPort = 40102, 42700
	syn := t.sum(join(t.ports(true), u32(1), u32(0), []byte{5 << 4, 2}, u16(65535), u32(0)), tcp, 16)
	t.say(true, hopByHop, join(options(tcp), syn))
	t.say(true, destination, options(noNext))
	return packets
}
