package capture

// The bits of an 802.11 header (IEEE 802.11 section 9.2.4) that say where it ends.
const (
	wlanKind      = 0x0f // protocol version and frame type, in the first octet
	wlanData      = 0x08 // of wlanKind: version 0, a data frame
	wlanNull      = 0x40 // a data frame without data, in the first octet
	wlanQoS       = 0x80
	wlanToDS      = 0x01 // in the second octet
	wlanFromDS    = 0x02
	wlanMore      = 0x04 // more fragments follow
	wlanProtected = 0x40
	wlanOrder     = 0x80
	wlanAMSDU     = 0x80 // in the first octet of QoS control
	wlanMesh      = 0x01 // in its second octet
)

// ieee80211 reads the MAC header of a data frame that is not encrypted.
func (d *digest) ieee80211(data []byte) error {
	if len(data) < 2 {
		return errLink
	}
	return d.wlan(data[0], data[1], data, 0)
}

// ieee80211Padded does the same where the radio aligned what follows the header to four octets.
func (d *digest) ieee80211Padded(data []byte) error {
	if len(data) < 2 {
		return errLink
	}
	return d.wlan(data[0], data[1], data, 3)
}

// ieee80211Swapped does the same where the first two octets may be swapped: they are if
// the frame is a data frame only in that order.
func (d *digest) ieee80211Swapped(data []byte) error {
	if len(data) >= 2 && data[0]&wlanKind != wlanData && data[1]&wlanKind == wlanData {
		return d.wlan(data[1], data[0], data, 0)
	}
	return d.ieee80211(data)
}

// wlan reads a MAC header whose frame control is given, because some access
// points swap its octets. The header ends at a multiple of align+1.
func (d *digest) wlan(kind, flags uint8, data []byte, align int) error {
	if kind&wlanKind != wlanData || kind&wlanNull != 0 || flags&wlanProtected != 0 {
		return nil
	}
	header, fourAddresses := 24, flags&(wlanToDS|wlanFromDS) == wlanToDS|wlanFromDS
	if fourAddresses {
		header += 6
	}
	var qos uint16
	if kind&wlanQoS != 0 {
		if len(data) < header+2 {
			return errLink
		}
		qos = be.Uint16(data[header:])
		header += 2
		if flags&wlanOrder != 0 {
			header += 4 // HT control
		}
	}
	header = (header + align) &^ align
	if len(data) < header {
		return errLink
	}
	d.parted = d.parted || flags&wlanMore != 0
	d.broadcast = flags&wlanToDS == 0 && toAll(data[4:]) || flags&wlanToDS != 0 && toAll(data[16:])
	data = data[header:]
	if flags&wlanFromDS != 0 && qos&wlanMesh != 0 && isMesh(data, fourAddresses) {
		return d.mesh(data)
	}
	if uint8(qos>>8)&wlanAMSDU != 0 {
		return d.aggregate(data)
	}
	return d.link(layerLLC, data)
}

// isMesh reports whether a mesh control field follows, as that bit of QoS control says. In
// frames to a group, which have three addresses, an access point may have set the bit for
// another reason.
func isMesh(data []byte, fourAddresses bool) bool {
	const reserved = 0xfc
	return fourAddresses || len(data) > 0 && data[0]&reserved == 0
}

// mesh reads a mesh control field (IEEE 802.11 section 9.2.4.8.3).
func (d *digest) mesh(data []byte) error {
	if len(data) < 1 {
		return errLink
	}
	const addresses = 0x03
	header := 6 + 6*int(data[0]&addresses)
	return d.link(layerLLC, data[min(len(data), header):])
}

// aggregate reads the first frame of an A-MSDU. The others are ignored: a frame
// is one packet.
func (d *digest) aggregate(data []byte) error {
	if len(data) < 14 {
		return errLink
	}
	length := int(be.Uint16(data[12:]))
	return d.link(layerLLC, data[14:min(len(data), 14+length)])
}

// radiotap skips a radiotap header, except for the flag that says that there is
// padding after the 802.11 header (radiotap.org, "Flags").
func (d *digest) radiotap(data []byte) error {
	if len(data) < 8 {
		return errLink
	}
	length := int(le.Uint16(data[2:]))
	if length < 8 || length > len(data) {
		return errLink
	}
	if radiotapPads(data[:length]) {
		return d.link(layerIEEE80211Padded, data[length:])
	}
	return d.link(layerIEEE80211, data[length:])
}

// radiotapPads reports whether that flag is set. The flags field follows all words of
// the bitmap and the time, if there is one, which is aligned to eight octets.
func radiotapPads(header []byte) bool {
	const hasTime, hasFlags, hasMore, pads = 1 << 0, 1 << 1, 1 << 31, 0x20
	present := le.Uint32(header[4:])
	if present&hasFlags == 0 {
		return false
	}
	at := 8
	for word := present; word&hasMore != 0; at += 4 {
		if len(header) < at+4 {
			return false
		}
		word = le.Uint32(header[at:])
	}
	if present&hasTime != 0 {
		at = (at+7)&^7 + 8
	}
	return at < len(header) && header[at]&pads != 0
}

// ppi skips a per-packet information header, which names the link type that follows.
func (d *digest) ppi(data []byte) error {
	if len(data) < 8 {
		return errLink
	}
	length, link := int(le.Uint16(data[2:])), le.Uint32(data[4:])
	if length < 8 || length > len(data) || link > 0xffff {
		return errLink
	}
	return d.link(linkLayer(LinkType(link)), data[length:])
}

// prism skips a Prism header, written in the byte order of the capturing machine, or
// an AVS header under the same link type.
func (d *digest) prism(data []byte) error {
	if len(data) < 8 {
		return errLink
	}
	const avs = 0x80211
	if be.Uint32(data)>>12 == avs {
		return d.avs(data)
	}
	length := le.Uint32(data[4:])
	if length > 0xffff {
		length = be.Uint32(data[4:])
	}
	return d.capped(length, layerIEEE80211, data)
}

// avs skips an AVS header, which begins with its version and length.
func (d *digest) avs(data []byte) error {
	if len(data) < 8 {
		return errLink
	}
	return d.capped(be.Uint32(data[4:]), layerIEEE80211, data)
}
