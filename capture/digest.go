package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

// A digest is what is known about a frame while its layers are walked.
type digest struct {
	counters
	tunnels  Tunnels
	stepwise bool // for tests: no frame is ordinary

	// What the walk began with.
	in       *Frame
	batch    *flow.Batch
	first    int        // length of batch.Packets before this frame
	timeless flow.Marks // flow.Timeless, or nothing

	// Where the walk goes next.
	next    gopacket.LayerType
	payload []byte

	// class is the frame's class if the walk ends here. The parser stops silently
	// at an empty payload: code that names a next layer therefore first sets the
	// class that the frame has if this layer is not reached.
	class Class

	progress

	// The current level: the innermost IP header so far.
	ip      network
	segment uint32   // octets above the IP headers, by their length fields
	jumbo   bool     // IPv6 payload length 0: a jumbo option may follow
	level   int      // where the packets of depth appended begin in the batch
	begun   datagram // if begins: the datagram

	fragments fragments
	around    flow.Tunnel // the tunnel around the current level, if depth > 1
}

// A progress is how far the walk has come. Every frame begins with the zero value.
type progress struct {
	headers int // turns of the parser

	// The link layer around the outermost IP header.
	tags      uint8  // VLAN tags
	broadcast bool   // the receiver is the link's broadcast address
	vlans     uint32 // the outer in the upper half, the inner in the lower

	depth    int  // how many IP headers were read
	appended int  // depth of the level that the batch's last packet belongs to
	begins   bool // the current level is the first fragment of a datagram
	parted   bool // some level is the first part of something that may be longer than the frame

	// The tunnel between the current level and the next, and the one around
	// the current level.
	tried    bool // only a port suggests via
	via      via
	identity uint64 // 0 outside of tunnels
	tunnel   uint32 // index of digest.around in the batch, plus one; 0 if it is not there yet
}

// counters are sums over all frames.
type counters struct {
	packets [classes]uint64
	faults  [faults]uint64
	octets  uint64
	panics  uint64
	joined  uint64

	links   map[LinkType]uint64 // without the last inRow frames, which are of type rowLink
	rowLink LinkType
	inRow   uint64
}

// A network is what an IP header says.
type network struct {
	src, dst [2]uint64 // as flow.Key has them
	octets   uint32    // from this header on, by its length field
	version  uint8
	protocol uint8
	group    bool // dst is a multicast or broadcast address
}

// reset forgets the previous frame and begins with f.
func (d *digest) reset(f *Frame) {
	d.in, d.first = f, len(d.batch.Packets)
	d.progress = progress{}
	d.class = UnknownLink
	d.timeless = 0
	if f.Timeless {
		d.timeless = flow.Timeless
	} else {
		d.fragments.tick(f.Time)
	}
}

// frame begins every walk: it chooses the link layer.
func (d *digest) frame(data []byte) error {
	if d.in.Link == LinkEthernet { // as most are: spare the parser one turn
		d.class = NonIP
		return d.ethernet(data)
	}
	next := linkLayer(d.in.Link)
	if next == gopacket.LayerTypeZero {
		return nil
	}
	return d.link(next, data)
}

// link goes on to what a link or tunnel header carries. Like protocol, it calls the next
// method directly where nearly all frames go: from the link to IP, and from there to TCP
// or UDP. Only rarer headers take a turn of the parser, which costs more than reading
// such a header.
func (d *digest) link(next gopacket.LayerType, payload []byte) error {
	if d.depth == 0 { // else inside a tunnel: the frame's class stands
		d.class = NonIP
		if next == layerIPv4 || next == layerIPv6 || next == layerRaw {
			d.class = BadIP
		}
	}
	if len(payload) > 0 {
		switch next {
		case layerIPv4:
			return d.ipv4(payload)
		case layerIPv6:
			return d.ipv6(payload)
		}
	}
	d.next, d.payload = next, payload
	return nil
}

// protocol goes on to what an IP header or an extension header announces.
func (d *digest) protocol(number uint8, payload []byte) error {
	d.ip.protocol = number
	next := ipProtocols[number]
	switch {
	case next == layerTCP && len(payload) >= 4:
		return d.tcp(payload)
	case next == layerUDP && len(payload) >= 4:
		return d.udp(payload)
	}
	if d.depth == 1 {
		d.class = classOf(next)
	}
	d.next, d.payload = next, payload
	return nil
}

// classOf returns the class of a frame that ends where next, a layer above IP, should begin.
func classOf(next gopacket.LayerType) Class {
	switch next {
	case layerTCP, layerUDP, layerUDPLite, layerSCTP, layerDCCP:
		return BadTransport
	case layerICMPv4, layerICMPv6:
		return ICMP
	}
	return OtherIP
}

// rest returns how many octets the frame had on the wire from the beginning of
// data, which is a part of it.
func (d *digest) rest(data []byte) uint32 {
	offset := cap(d.in.Data) - cap(data)
	return max(d.in.Length, uint32(len(d.in.Data))) - uint32(offset)
}

// keepInnermost removes this frame's packets of all levels but the innermost.
func (d *digest) keepInnermost() {
	if d.depth == 0 {
		return
	}
	from := len(d.batch.Packets)
	if d.appended == d.depth {
		from = d.level
	}
	for _, p := range d.batch.Packets[d.first:from] {
		if p.Marks&flow.LaterFragment != 0 && p.Tunnel == 0 {
			d.joined-- // it waited for a first fragment that makes no Flow
		}
	}
	d.batch.Packets = append(d.batch.Packets[:d.first], d.batch.Packets[from:]...)
	d.keepAnnouncements(from)
}

// be is for network headers; le for those of capturing programs, and for 802.11.
var (
	be = binary.BigEndian
	le = binary.LittleEndian
)
