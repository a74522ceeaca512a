package capture

import "github.com/google/gopacket"

// pppoe reads the header of a PPPoE session (RFC 2516 section 4).
func (d *digest) pppoe(data []byte) error {
	const version1type1, session = 0x11, 0
	if len(data) < 6 || data[0] != version1type1 {
		return errPPP
	}
	if data[1] != session {
		return nil
	}
	length := int(be.Uint16(data[4:]))
	return d.link(layerPPP, data[6:min(len(data), 6+length)])
}

// ppp reads PPP with or without the address and control octets of HDLC-like framing (RFC
// 1662), with a protocol number of one octet or two (RFC 1661 section 6.5).
func (d *digest) ppp(data []byte) error {
	if len(data) >= 2 && data[0] == 0xff && data[1] == 0x03 {
		data = data[2:]
	}
	switch {
	case len(data) >= 1 && data[0]&1 == 1:
		return d.link(pppProtocol(uint16(data[0])), data[1:])
	case len(data) >= 2:
		return d.link(pppProtocol(be.Uint16(data)), data[2:])
	}
	return errPPP
}

// pppProtocol returns the layer that a number of IANA's "PPP DLL Protocol Numbers" announces.
func pppProtocol(number uint16) gopacket.LayerType {
	switch number {
	case 0x0021:
		return layerIPv4
	case 0x0057:
		return layerIPv6
	case 0x0281, 0x0283:
		return layerMPLS
	case 0x0031:
		return layerBridgedPPP
	case 0x003d:
		return layerMultilinkPPP
	}
	return gopacket.LayerTypeZero
}

// bridgedPPP reads the header of a bridged frame (RFC 3518 section 4.2).
func (d *digest) bridgedPPP(data []byte) error {
	const ethernet = 1
	if len(data) < 2 {
		return errPPP
	}
	if data[1] != ethernet {
		return nil
	}
	return d.link(layerEthernet, data[2:])
}

// multilinkPPP reads a header with a long sequence number (RFC 1990 section 3). Only a
// packet that was not split is read.
func (d *digest) multilinkPPP(data []byte) error {
	const begin, end = 0x80, 0x40
	if len(data) < 4 {
		return errPPP
	}
	if data[0]&(begin|end) != begin|end {
		return nil
	}
	return d.link(layerPPP, data[4:])
}

// The first octet of Cisco's HDLC.
const (
	ciscoUnicast   = 0x0f
	ciscoMulticast = 0x8f
)

// hdlc tells PPP from Cisco's framing, as captures of serial lines mix them.
func (d *digest) hdlc(data []byte) error {
	if len(data) > 0 && (data[0] == ciscoUnicast || data[0] == ciscoMulticast) {
		return d.link(layerCHDLC, data)
	}
	return d.link(layerPPP, data)
}

// chdlc reads Cisco's HDLC header, which has an EtherType.
func (d *digest) chdlc(data []byte) error {
	if len(data) < 4 {
		return errLink
	}
	return d.link(etherType(be.Uint16(data[2:])), data[4:])
}

// frameRelay reads a Q.922 address of two to four octets, then the
// encapsulation of RFC 2427 or Cisco's, which is an EtherType.
func (d *digest) frameRelay(data []byte) error {
	const unnumbered, longest = 0x03, 4
	address := 1
	for address <= min(longest, len(data)) && data[address-1]&1 == 0 { // the last octet has the bit
		address++
	}
	if address < 2 || address > longest || address+2 > len(data) {
		return errLink
	}
	data = data[address:]
	if data[0] != unnumbered {
		return d.link(etherType(be.Uint16(data)), data[2:])
	}
	data = data[1:]
	if data[0] == 0 && len(data) > 1 {
		data = data[1:] // aligns what follows
	}
	return d.networkID(data[0], data[1:])
}

// networkID continues after an NLPID (ISO/IEC TR 9577).
func (d *digest) networkID(id uint8, payload []byte) error {
	switch id {
	case 0xcc:
		return d.link(layerIPv4, payload)
	case 0x8e:
		return d.link(layerIPv6, payload)
	case 0xcf:
		return d.link(layerPPP, payload)
	case 0x80:
		return d.snap(payload, 0)
	}
	return nil
}

// sunATM reads the header of a SunATM driver: a type, and the circuit.
func (d *digest) sunATM(data []byte) error {
	const header, kind, emulation, llc = 4, 0x0f, 1, 2
	if len(data) < header {
		return errLink
	}
	switch data[0] & kind {
	case llc:
		return d.link(layerLLC, data[header:])
	case emulation: // of a LAN: the sender's number, and a frame
		return d.link(layerEthernet, data[min(len(data), header+2):])
	}
	return nil
}

// atmCLIP reads classical IP over ATM (RFC 2225), with LLC or on a circuit of its own.
func (d *digest) atmCLIP(data []byte) error {
	if len(data) > 0 && data[0]>>4 == 4 {
		return d.link(layerIPv4, data)
	}
	return d.link(layerLLC, data)
}
