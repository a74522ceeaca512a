package capture

import "github.com/portwatch/portwatch/flow"

// append adds the current level to the batch. Its ports are the first four octets
// of the transport header.
func (d *digest) append(t flow.Transport, ports uint32, flags flow.TCPFlags, marks flow.Marks) {
	if d.ip.group {
		marks |= flow.Group
	}
	if d.depth == 1 {
		d.class = WithPorts
	}
	p := d.add(d.in.Time)
	p.Octets, p.Flags = d.ip.octets, flags
	p.Marks = marks | d.timeless | d.key(&p.Key, &d.ip, t, ports)
	if d.begins {
		d.remember(p.Key, p.Marks)
	}
}

// add appends a packet of the current level, and sets its time and tunnel. The caller sets the
// other fields in place: to build a packet elsewhere and copy it costs more than to decode it.
func (d *digest) add(time int64) *flow.Packet {
	if d.appended != d.depth {
		d.appended, d.level = d.depth, len(d.batch.Packets)
	}
	tunnel := uint32(0)
	if d.depth > 1 {
		tunnel = d.inside()
	}
	p := d.batch.Extend()
	p.Time, p.Tunnel = time, tunnel
	return p
}

// key sets the Flow Key of a packet in the current level, and says which of the
// Key's endpoints sent it.
func (d *digest) key(k *flow.Key, ip *network, t flow.Transport, ports uint32) (reverse flow.Marks) {
	if k.Set(ip.version, t, &ip.src, &ip.dst, ports, d.tags, d.vlans, d.identity) {
		return flow.Reverse
	}
	return 0
}

// carries returns flow.Data if the transport has payload after a header of that many octets.
func (d *digest) carries(header uint32) flow.Marks {
	if d.segment > header {
		return flow.Data
	}
	return 0
}

// tcp reads as much of a TCP header as there is (RFC 9293 section 3.1).
func (d *digest) tcp(data []byte) error {
	if len(data) < 4 {
		return errPorts
	}
	const header = 20
	if len(data) < 14 {
		d.append(flow.TCP, be.Uint32(data), 0, d.carries(header))
		return nil
	}
	offset := max(uint32(data[12]>>4)*4, header)
	d.append(flow.TCP, be.Uint32(data), flow.TCPFlags(data[13]), d.carries(offset))
	if control(be.Uint16(data)) || control(be.Uint16(data[2:])) {
		d.listen(flow.TCP, data, offset)
	}
	return nil
}

// udp reads a UDP header (RFC 768), and looks for a tunnel after it.
func (d *digest) udp(data []byte) error {
	const header = 8
	switch {
	case len(data) < 4:
		return errPorts
	case len(data) < header || be.Uint16(data[4:]) == 0: // cut, or a jumbogram (RFC 2675 section 4)
		d.append(flow.UDP, be.Uint32(data), 0, d.carries(header))
	case be.Uint16(data[4:]) > header: // the length is the datagram's, even in its first fragment
		d.append(flow.UDP, be.Uint32(data), 0, flow.Data)
	default:
		d.append(flow.UDP, be.Uint32(data), 0, 0)
	}
	if len(data) <= header {
		return nil
	}
	// What lies beyond the datagram's own length is not read. The length field cannot
	// express more than 65,535 octets.
	if length := uint32(be.Uint16(data[4:])); length != 0 && d.segment <= 1<<16-1 {
		data = upTo(data, max(length, header))
	}
	src, dst := be.Uint16(data), be.Uint16(data[2:])
	if control(src) || control(dst) {
		d.listen(flow.UDP, data, header)
	}
	return d.try(src, dst, data[header:])
}

// udpLite reads a UDP-Lite header (RFC 3828 section 3.1).
func (d *digest) udpLite(data []byte) error {
	if len(data) < 4 {
		return errPorts
	}
	const header = 8
	d.append(flow.UDPLite, be.Uint32(data), 0, d.carries(header))
	if len(data) <= header {
		return nil
	}
	return d.try(be.Uint16(data), be.Uint16(data[2:]), data[header:]) // CAPWAP over IPv6 may use UDP-Lite (RFC 5415 section 3)
}

// sctp reads the common header and the types of the chunks (RFC 9260 section 3). No
// program takes less than a common header for an SCTP packet.
func (d *digest) sctp(data []byte) error {
	const header = 12
	if len(data) < header {
		return errPorts
	}
	marks, flags := sctpMarks(data[header:])
	d.append(flow.SCTP, be.Uint32(data), flags, marks)
	return nil
}

// sctpMarks says what the chunks do: an INIT or an INIT ACK stands alone, DATA
// comes after any control chunks.
func sctpMarks(chunks []byte) (marks flow.Marks, flags flow.TCPFlags) {
	const data, initiate, initiateAck, abort, interleaved = 0, 1, 2, 6, 64
	const most = 16 // how many chunks are looked at
	for i := 0; i < most && len(chunks) >= 4; i++ {
		switch chunks[0] {
		case data, interleaved:
			return marks | flow.Data, flags
		case initiate:
			marks |= flow.Request
		case initiateAck:
			marks |= flow.Response
		case abort: // what RST is to TCP
			flags |= flow.RST
		}
		length := max(4, int(be.Uint16(chunks[2:])))
		chunks = chunks[min(len(chunks), (length+3)&^3):]
	}
	return marks, flags
}

// dccp reads a generic header (RFC 4340 section 5.1).
func (d *digest) dccp(data []byte) error {
	if len(data) < 4 {
		return errPorts
	}
	const reset = 7
	var marks flow.Marks
	var flags flow.TCPFlags
	if len(data) >= 9 {
		kind := data[8] >> 1 & 15
		marks = d.dccpMarks(kind, uint32(data[4])*4)
		if kind == reset && !dccpClosed(data) {
			flags = flow.RST
		}
	}
	d.append(flow.DCCP, be.Uint32(data), flags, marks)
	return nil
}

// dccpClosed reports whether a Reset is the last packet of an orderly end (RFC 4340 sections 5.6, 8.3):
// its code, which follows the acknowledgment number, is 1.
func dccpClosed(data []byte) bool {
	code := 24 // with long sequence numbers
	if data[8]&1 == 0 {
		code = 16
	}
	return len(data) > code && data[code] == 1
}

// dccpMarks says what a packet of that type does; a Request and a Response may
// carry payload, too.
func (d *digest) dccpMarks(kind uint8, offset uint32) flow.Marks {
	const request, response, data, dataAck = 0, 1, 2, 4
	switch kind {
	case request:
		return flow.Request | d.carries(offset)
	case response:
		return flow.Response | d.carries(offset)
	case data, dataAck:
		return d.carries(offset)
	}
	return 0
}
