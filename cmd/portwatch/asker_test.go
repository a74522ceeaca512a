package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"testing"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// A role is what a datagram's payload says about its sender.
type role int

const (
	silent   role = iota // nothing
	asker                // asks, so it is the client
	answerer             // answers
)

// roleIf returns asker or answerer if one of the two holds, otherwise silent.
func roleIf(asks, answers bool) role {
	switch {
	case asks && !answers:
		return asker
	case answers && !asks:
		return answerer
	}
	return silent
}

// protocols tells who asks, by the port that a protocol is assigned to. Only this test reads
// payloads: portwatch itself does not.
var protocols = map[uint16]func(p []byte) role{
	53:   dnsRole, // RFC 1035 section 4.1.1
	137:  dnsRole, // RFC 1002 section 4.2.1.1
	5355: dnsRole, // RFC 4795 section 2.1.1
	67:   dhcpRole,
	69:   func(p []byte) role { return roleIf(oneOf(at16(p, 0), 1, 2), false) }, // RFC 1350 section 5
	88:   func(p []byte) role { return roleIf(oneOf(at8(p, 0), 0x6a, 0x6c), oneOf(at8(p, 0), 0x6b, 0x6d, 0x7e)) },
	111:  rpcRole,
	2049: rpcRole,
	123:  func(p []byte) role { return roleIf(at8(p, 0)&7 == 3, at8(p, 0)&7 == 4) }, // RFC 5905 section 7.3
	161:  snmpRole,
	427:  func(p []byte) role { return roleIf(oneOf(at8(p, 1), 1, 6, 9), oneOf(at8(p, 1), 2, 7, 10)) },  // RFC 2608 section 8
	443:  func(p []byte) role { return roleIf(len(p) > 16 && p[0]&0x89 == 0x09 && p[9] == 'Q', false) }, // Google's QUIC: clients name a version
	500:  ikeRole,
	514:  func(p []byte) role { return roleIf(at8(p, 0) == '<', false) }, // RFC 3164 section 4.1
	547:  func(p []byte) role { return roleIf(oneOf(at8(p, 0), 1, 3, 4, 5, 6, 8, 9, 11), oneOf(at8(p, 0), 2, 7)) },
	1812: radiusRole,
	1813: radiusRole,
	1645: radiusRole,
	1646: radiusRole,
	1900: func(p []byte) role {
		return roleIf(bytes.HasPrefix(p, []byte("M-SEARCH ")), bytes.HasPrefix(p, []byte("HTTP/1.1 200")))
	},
	3478: stunRole,
	5060: func(p []byte) role {
		line, _, _ := bytes.Cut(p, []byte("\r\n"))
		return roleIf(bytes.HasSuffix(line, []byte(" SIP/2.0")), bytes.HasPrefix(line, []byte("SIP/2.0 ")))
	},
}

// anyPort recognizes payloads that are distinctive on any port.
func anyPort(p []byte) role {
	const dtlsHandshake, clientHello, serverHello = 22, 1, 2
	if len(p) > 13 && p[0] == dtlsHandshake && p[1] == 0xfe { // RFC 6347 section 4.2.2
		return roleIf(p[13] == clientHello, p[13] == serverHello)
	}
	if len(p) == 148 || len(p) == 92 { // WireGuard's initiation and its answer
		return roleIf(bytes.HasPrefix(p, []byte{1, 0, 0, 0}), bytes.HasPrefix(p, []byte{2, 0, 0, 0}))
	}
	return silent
}

func dnsRole(p []byte) role {
	return roleIf(len(p) >= 12 && p[2]&0x80 == 0, len(p) >= 12 && p[2]&0x80 != 0)
}

// dhcpRole: RFC 2131 section 2.
func dhcpRole(p []byte) role { return roleIf(len(p) >= 236 && p[0] == 1, len(p) >= 236 && p[0] == 2) }

// rpcRole: RFC 5531 section 9.
func rpcRole(p []byte) role {
	return roleIf(len(p) >= 24 && at32(p, 4) == 0, len(p) >= 24 && at32(p, 4) == 1)
}

// radiusRole: RFC 2865 section 3.
func radiusRole(p []byte) role { return roleIf(oneOf(at8(p, 0), 1, 4), oneOf(at8(p, 0), 2, 3, 5, 11)) }

// ikeRole: the first message has no responder's SPI yet (RFC 2408 section 3.1, RFC 7296 section 3.1).
func ikeRole(p []byte) role {
	return roleIf(len(p) >= 28 && binary.BigEndian.Uint64(p[8:]) == 0, false)
}

// stunRole: the class is in two bits of the type (RFC 8489 section 5).
func stunRole(p []byte) role {
	const request, success = 0x0000, 0x0100
	cookie := at32(p, 4) == 0x2112a442
	return roleIf(cookie && at16(p, 0)&0x0110 == request, cookie && at16(p, 0)&0x0110 == success)
}

// snmpRole: the PDU's tag (RFC 3416 section 3) is behind version and community, in short form.
func snmpRole(p []byte) role {
	if len(p) < 8 || p[0] != 0x30 || p[1] > 0x7f || p[2] != 2 || p[5] != 4 {
		return silent
	}
	tag := at8(p, 7+int(p[6]))
	return roleIf(oneOf(tag, 0xa0, 0xa1, 0xa3, 0xa5), tag == 0xa2)
}

func at8(p []byte, i int) int {
	if i >= len(p) {
		return -1
	}
	return int(p[i])
}

func at16(p []byte, i int) int {
	if i+2 > len(p) {
		return -1
	}
	return int(binary.BigEndian.Uint16(p[i:]))
}

func at32(p []byte, i int) int { return at16(p, i)<<16 | at16(p, i+2) }

func oneOf(n int, values ...int) bool {
	for _, v := range values {
		if n == v {
			return true
		}
	}
	return false
}

// askers reads from a capture's UDP payloads who asks in which conversation. It leaves out
// those in which both sides ask or no payload tells.
func askers(t *testing.T, name string) map[string]*conversation {
	file, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	decoder := capture.NewDecoder(capture.DecoderOptions{Tunnels: capture.Outer})
	all := map[string]*conversation{}
	var frame capture.Frame
	var batch flow.Batch
	for {
		err := file.Next(&frame)
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		batch.Reset()
		if decoder.Decode([]capture.Frame{frame}, &batch); len(batch.Packets) == 0 || batch.Packets[0].Key.Transport() != flow.UDP {
			continue
		}
		p := &batch.Packets[0]
		note(all, p, payloadOf(frame.Data, p))
	}
	for key, c := range all {
		if c.initiator < 0 {
			delete(all, key)
		}
	}
	return all
}

// note records what a datagram says. An initiator of -1 is not known yet; -2 means for good
// that the sides disagree.
func note(all map[string]*conversation, p *flow.Packet, payload []byte) {
	first, second := p.Key.Endpoints()
	key, swapped := conversationKey("udp", first, second)
	if swapped {
		first, second = second, first
	}
	c := all[key]
	if c == nil {
		c = &conversation{initiator: -1}
		c.endpoints[0], c.endpoints[1] = first, second
		all[key] = c
	}
	from := int(p.Marks & flow.Reverse)
	if swapped {
		from = 1 - from
	}
	c.packets[from]++
	says := anyPort(payload)
	for side, end := range c.endpoints {
		// an asker sends to the port, an answerer sends from it
		read := protocols[end.Port()]
		if read != nil && says == silent && (read(payload) == answerer) == (side == from) {
			says = read(payload)
		}
	}
	asking := from
	switch {
	case says == silent:
		return
	case says == answerer:
		asking = 1 - from
	}
	switch {
	case c.initiator == -1:
		c.initiator = asking
	case c.initiator != asking:
		c.initiator = -2
	}
}

// payloadOf finds the UDP payload in a frame: after the addresses, which the decoder knows.
func payloadOf(data []byte, p *flow.Packet) []byte {
	src, dst := p.Key.Endpoints()
	if p.Marks&flow.Reverse != 0 {
		src, dst = dst, src
	}
	addresses := append(src.Addr().AsSlice(), dst.Addr().AsSlice()...)
	start := bytes.Index(data, addresses)
	ports := binary.BigEndian.AppendUint16(binary.BigEndian.AppendUint16(nil, src.Port()), dst.Port())
	header := bytes.Index(data[max(0, start):], ports)
	if start < 0 || header < 0 || start+header+8 > len(data) {
		return nil
	}
	return data[start+header+8:]
}
