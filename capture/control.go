package capture

import (
	"bytes"

	"github.com/portwatch/portwatch/flow"
)

// Some protocols open further Flows, and agree on their ports in the clear. From a single
// packet of such a control Flow, the code here reads ports that the packet's sender will
// use: nothing is remembered or reassembled. A packet that does not have exactly the right
// form announces nothing, and is not a fault: a port number does not prove a protocol.

// The ports of the control Flows.
const (
	portFTP          = 21   // RFC 959
	portTFTP         = 69   // RFC 1350
	portRPCBind      = 111  // RFC 1833
	portRTSP         = 554  // RFC 2326
	portSSDP         = 1900 // UPnP Device Architecture 2.0
	portSIP          = 5060 // RFC 3261
	portRTSPOther    = 8554 // assigned to rtsp-alt
	maxControl       = 4096 // octets of a packet that are read
	maxAnnouncements = 16   // per packet
)

// controlPorts has a bit for each of those ports.
var controlPorts = [portRTSPOther/64 + 1]uint64{
	portFTP / 64:       1 << (portFTP % 64),
	portTFTP / 64:      1<<(portTFTP%64) | 1<<(portRPCBind%64),
	portRTSP / 64:      1 << (portRTSP % 64),
	portSSDP / 64:      1 << (portSSDP % 64),
	portSIP / 64:       1 << (portSIP % 64),
	portRTSPOther / 64: 1 << (portRTSPOther % 64),
}

// control reports whether a port is one of those. It is called for both ports of a packet, and
// takes two loads, where a switch would be a chain of comparisons.
func control(port uint16) bool {
	return int(port/64) < len(controlPorts) && controlPorts[port/64]>>(port%64)&1 != 0
}

// listen reads what a packet with a control port announces. data begins with the transport
// header, which is header octets long; the packet is already in the batch.
func (d *digest) listen(t flow.Transport, data []byte, header uint32) {
	if uint64(len(data)) > uint64(header) {
		h := hearing{batch: d.batch, packet: d.level, most: len(d.batch.Announcements) + maxAnnouncements}
		h.hear(t, be.Uint16(data), be.Uint16(data[2:]), upTo(data[header:], maxControl))
	}
}

// keepAnnouncements removes the announcements of this frame's packets before index from, and
// renumbers the others as keepInnermost has renumbered their packets.
func (d *digest) keepAnnouncements(from int) {
	all := d.batch.Announcements
	before := len(all)
	for before > 0 && all[before-1].Packet >= d.first {
		before--
	}
	kept := all[:before]
	for _, a := range all[before:] {
		if a.Packet >= from {
			a.Packet -= from - d.first
			kept = append(kept, a)
		}
	}
	d.batch.Announcements = kept
}

// A hearing collects the announcements of one packet.
type hearing struct {
	batch  *flow.Batch
	packet int // its index in the batch
	most   int // how many announcements the batch may have after this packet
}

func (h *hearing) announce(t flow.Transport, port uint16, asker bool) {
	if port != 0 && len(h.batch.Announcements) < h.most {
		h.batch.Announcements = append(h.batch.Announcements,
			flow.Announcement{Packet: h.packet, Transport: t, Port: port, Asker: asker})
	}
}

// hear reads the payload of a packet according to its control port.
func (h *hearing) hear(t flow.Transport, src, dst uint16, payload []byte) {
	on := func(port uint16) bool { return src == port || dst == port }
	switch {
	case t == flow.TCP && on(portFTP):
		h.ftp(payload, dst == portFTP)
	case t == flow.UDP && dst == portTFTP && tftpRequest(payload),
		t == flow.UDP && dst == portSSDP && ssdpSearch(payload):
		if src != dst { // with equal ports, the sender is a server too
			h.announce(flow.UDP, src, true)
		}
	case src == portRPCBind:
		if port, ok := rpcBound(t, payload); ok { // only the call, not seen here, names the transport
			h.announce(flow.TCP, port, false)
			h.announce(flow.UDP, port, false)
		}
	case on(portSIP):
		h.sip(payload)
	case t == flow.TCP && (on(portRTSP) || on(portRTSPOther)):
		h.rtsp(payload)
	}
}

// ftp reads commands of the client (RFC 959 section 4.1.2, RFC 2428 section 2) or replies of
// the server (RFC 959 section 4.2, RFC 2428 section 3) that say where to open data connections.
func (h *hearing) ftp(text []byte, command bool) {
	for line, rest, ok := cutLine(text); ok; line, rest, ok = cutLine(rest) {
		var port uint16
		switch {
		case command && hasPrefixFold(line, "PORT "):
			port = ftpAddress(line[5:])
		case command && hasPrefixFold(line, "EPRT "):
			port = ftpEndpoint(line[5:])
		case !command && hasPrefixFold(line, "227 "):
			// servers differ in what stands before the address: RFC 1123 section 4.1.2.6
			port = ftpAddress(line[min(len(line), 4+toDigit(line[4:])):])
		case !command && hasPrefixFold(line, "229 "):
			if open := bytes.IndexByte(line, '('); open >= 0 {
				port = ftpEndpoint(line[open+1:])
			}
		}
		h.announce(flow.TCP, port, false)
	}
}

// ftpAddress returns the port of h1,h2,h3,h4,p1,p2, or 0.
func ftpAddress(s []byte) uint16 {
	var octets [6]uint64
	for i := range octets {
		if i > 0 {
			if len(s) == 0 || s[0] != ',' {
				return 0
			}
			s = s[1:]
		}
		n, rest, ok := decimal(s)
		if !ok || n > 255 {
			return 0
		}
		octets[i], s = n, rest
	}
	return uint16(octets[4]<<8 | octets[5])
}

// ftpEndpoint returns the port of |1|132.235.1.2|6275|, of |2|1080::8|6275| or of
// |||6275|, with any delimiter; or 0.
func ftpEndpoint(s []byte) uint16 {
	if len(s) == 0 {
		return 0
	}
	delimiter := s[0]
	for range 3 {
		next := bytes.IndexByte(s, delimiter)
		if next < 0 {
			return 0
		}
		s = s[next+1:]
	}
	n, rest, ok := decimal(s)
	if !ok || n > 0xffff || len(rest) == 0 || rest[0] != delimiter {
		return 0
	}
	return uint16(n)
}

// tftpRequest reports whether a datagram asks to read or to write a file (RFC 1350
// section 5, with options as in RFC 2347). The server answers from a port of its choice.
func tftpRequest(p []byte) bool {
	const read, write = 1, 2
	if len(p) < 2 || be.Uint16(p) != read && be.Uint16(p) != write || p[len(p)-1] != 0 {
		return false
	}
	name, rest, _ := bytes.Cut(p[2:], nul)
	mode, _, _ := bytes.Cut(rest, nul)
	return len(name) > 0 && (equalFold(mode, "octet") || equalFold(mode, "netascii") || equalFold(mode, "mail"))
}

var nul = []byte{0}

// ssdpSearch reports whether a datagram asks for devices (UPnP Device Architecture 2.0 section
// 1.3.2). They answer its sender, each from a port of its choice (section 1.3.3).
func ssdpSearch(p []byte) bool { return hasPrefixFold(p, "M-SEARCH * HTTP/1.1\r\n") }

// rpcBound returns the port in an accepted reply (RFC 5531 section 9) that holds nothing
// else: the result of GETPORT (RFC 1833 section 3), or the universal address that GETADDR
// returns (section 2.1, RFC 5665 section 5.2.3).
func rpcBound(t flow.Transport, p []byte) (port uint16, ok bool) {
	const lastFragment, reply, accepted, success = 1 << 31, 1, 0, 0
	if t == flow.TCP {
		if len(p) < 4 || be.Uint32(p) != lastFragment|uint32(len(p)-4) {
			return 0, false
		}
		p = p[4:]
	}
	if len(p) < 24 || be.Uint32(p[4:]) != reply || be.Uint32(p[8:]) != accepted {
		return 0, false
	}
	verifier := (uint64(be.Uint32(p[16:])) + 3) &^ 3
	if verifier > 400 || uint64(len(p)) < 24+verifier {
		return 0, false
	}
	p = p[20+verifier:]
	if be.Uint32(p) != success {
		return 0, false
	}
	switch p = p[4:]; {
	case len(p) == 4: // SET and UNSET answer with 0 or 1
		n := be.Uint32(p)
		return uint16(n), n > 1 && n <= 0xffff
	case len(p) > 4 && uint64(len(p)-4) == (uint64(be.Uint32(p))+3)&^3:
		address, padding := p[4:][:be.Uint32(p)], p[4:][be.Uint32(p):]
		if len(bytes.Trim(padding, "\x00")) != 0 { // RFC 4506 section 4.11: padding is zeros
			return 0, false
		}
		return universalPort(address)
	}
	return 0, false
}

// universalPort returns the port at the end of an IPv4 or IPv6 universal address, such as
// 192.0.2.1.3.25.
func universalPort(a []byte) (port uint16, ok bool) {
	low := bytes.LastIndexByte(a, '.')
	if low < 0 {
		return 0, false
	}
	high := bytes.LastIndexByte(a[:low], '.')
	if high < 0 || bytes.Count(a[:high], []byte{'.'}) != 3 && bytes.IndexByte(a[:high], ':') < 0 {
		return 0, false
	}
	p1, rest1, ok1 := decimal(a[high+1 : low])
	p2, rest2, ok2 := decimal(a[low+1:])
	return uint16(p1<<8 | p2), ok1 && ok2 && p1 <= 255 && p2 <= 255 && len(rest1)+len(rest2) == 0
}

// sip reads the session description (RFC 8866) in a SIP message, which says where its
// sender expects media. The side that answers an invitation is the service.
func (h *hearing) sip(text []byte) {
	line, rest, ok := cutLine(text)
	request := bytes.HasSuffix(line, []byte(" SIP/2.0"))
	if !ok || !request && !hasPrefixFold(line, "SIP/2.0 ") {
		return
	}
	end := bytes.Index(rest, []byte("\r\n\r\n"))
	if end < 0 {
		return
	}
	body := rest[end+4:]
	if !hasPrefixFold(body, "v=0\r\n") {
		return
	}
	for line, rest, ok := cutLine(body); ok; line, rest, ok = cutLine(rest) {
		if hasPrefixFold(line, "m=") {
			h.media(line[2:], request)
		}
	}
}

// media reads an m= line (RFC 8866 section 5.14) for RTP. RTCP has the next port (RFC 3550
// section 11).
func (h *hearing) media(line []byte, asker bool) {
	kind, rest, _ := bytes.Cut(line, space)
	port, rest, ok := decimal(rest)
	if !ok || len(kind) == 0 || port == 0 || port >= 0xffff {
		return
	}
	_, protocol, _ := bytes.Cut(rest, space) // the number of ports may stand before it
	if hasPrefixFold(protocol, "RTP/") || hasPrefixFold(protocol, "UDP/TLS/RTP/") {
		h.announce(flow.UDP, uint16(port), asker)
		h.announce(flow.UDP, uint16(port)+1, asker)
	}
}

var space = []byte{' '}

// rtsp reads the Transport header (RFC 2326 section 12.39) of a SETUP or of its answer.
func (h *hearing) rtsp(text []byte) {
	line, rest, ok := cutLine(text)
	request := bytes.HasSuffix(line, []byte(" RTSP/1.0"))
	if !ok || !request && !hasPrefixFold(line, "RTSP/1.0 200 ") {
		return
	}
	own := "server_port="
	if request {
		own = "client_port="
	}
	for line, rest, ok := cutLine(rest); ok && len(line) > 0; line, rest, ok = cutLine(rest) {
		if !hasPrefixFold(line, "Transport:") {
			continue
		}
		for line, found := line, true; found; {
			_, line, found = bytes.Cut(line, semicolon)
			if hasPrefixFold(line, own) {
				h.ports(line[len(own):], request)
			}
		}
	}
}

var semicolon = []byte{';'}

// ports reads a port, or two consecutive ones with a hyphen between them.
func (h *hearing) ports(s []byte, asker bool) {
	first, rest, ok := decimal(s)
	if !ok || first > 0xffff {
		return
	}
	h.announce(flow.UDP, uint16(first), asker)
	if len(rest) > 0 && rest[0] == '-' {
		if second, _, ok := decimal(rest[1:]); ok && second == first+1 && second <= 0xffff {
			h.announce(flow.UDP, uint16(second), asker)
		}
	}
}

// cutLine cuts the first line off text, without its CR LF; ok is false if no line ends in it.
func cutLine(text []byte) (line, rest []byte, ok bool) {
	end := bytes.IndexByte(text, '\n')
	if end < 0 {
		return nil, nil, false
	}
	return bytes.TrimSuffix(text[:end], []byte{'\r'}), text[end+1:], true
}

// decimal reads a number of one to five digits.
func decimal(s []byte) (n uint64, rest []byte, ok bool) {
	i := 0
	for ; i < len(s) && i < 6 && s[i] >= '0' && s[i] <= '9'; i++ {
		n = 10*n + uint64(s[i]-'0')
	}
	return n, s[i:], i > 0 && i < 6
}

// toDigit returns how many octets come before the first digit.
func toDigit(s []byte) int {
	i := 0
	for i < len(s) && (s[i] < '0' || s[i] > '9') {
		i++
	}
	return i
}

func hasPrefixFold(s []byte, prefix string) bool {
	return len(s) >= len(prefix) && equalFold(s[:len(prefix)], prefix)
}

// equalFold reports whether s equals text, which is ASCII, in any case.
func equalFold(s []byte, text string) bool { return bytes.EqualFold(s, []byte(text)) }
