package capture

import (
	"encoding/binary"
	"maps"

	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

// DecoderOptions change what a Decoder hands on. The zero value has a
// documented default in every field.
type DecoderOptions struct {
	// Tunnels says which levels of a tunnelled packet are appended; default Both.
	Tunnels Tunnels
}

// Tunnels says which headers make Flows when a tunnel is inside a packet.
type Tunnels uint8

// The values of DecoderOptions.Tunnels.
const (
	Both  Tunnels = iota // every level that has ports
	Outer                // the outermost IP header only; tunnels are not opened
	Inner                // the innermost IP header only
)

// A Decoder reads the headers of frames, as far as metering needs them, and
// counts what it met. It never keeps a frame's data. A Decoder is for one
// goroutine; the memory it needs for each frame is taken once, by NewDecoder.
type Decoder struct {
	digest
	parser  *gopacket.DecodingLayerParser
	decoded []gopacket.LayerType
}

// NewDecoder returns a Decoder that has counted nothing.
func NewDecoder(o DecoderOptions) *Decoder {
	d := &Decoder{decoded: make([]gopacket.LayerType, 0, maxHeaders+1)}
	d.tunnels = o.Tunnels
	d.links = make(map[LinkType]uint64)
	var container gopacket.DecodingLayerContainer = gopacket.DecodingLayerSparse(nil)
	for is, decode := range decoders {
		if decode != nil {
			container = container.Put(&layer{&d.digest, gopacket.LayerType(is), decode})
		}
	}
	// The container may move whenever a layer is put into it, so the parser
	// gets to see it last.
	d.parser = gopacket.NewDecodingLayerParser(layerFrame)
	d.parser.IgnoreUnsupported = true
	d.parser.SetDecodingLayerContainer(container)
	return d
}

// Decode appends to b what the meter needs to know of the frame: one packet for
// each nesting level whose ports could be read, the outermost first, and none
// where there is no such level. It returns the one Class that the frame is
// counted in, whatever its octets are.
func (d *Decoder) Decode(f *Frame, b *flow.Batch) Class {
	d.reset(f, b)
	err := d.parser.DecodeLayers(f.Data, &d.decoded)
	if err != nil {
		d.countFault(err)
	}
	if d.tunnels == Inner {
		d.keepInnermost()
	}
	d.octets += uint64(len(f.Data))
	d.links[f.Link]++
	d.packets[d.class]++
	return d.class
}

// countFault counts why decoding stopped: a fault that a layer found, or a
// panic that the parser recovered from. That something is no tunnel is no fault.
func (d *Decoder) countFault(err error) {
	switch fault, ok := err.(fault); {
	case !ok:
		d.panics++
	case fault.limit() || !d.tried:
		d.faults[fault]++
	}
}

// Counters are sums over all frames that a Decoder was given.
type Counters struct {
	// Packets has the number of frames in each Class; they add up to Read.
	Packets [classes]uint64
	// LaterFragmentsJoined is how many frames of Packets[LaterFragment] were
	// handed on with the Key of their first fragment.
	LaterFragmentsJoined uint64
	// Octets is how much was captured of all frames.
	Octets uint64
	// Links has the number of frames of each link type.
	Links map[LinkType]uint64
	// Faults says how often a header was found broken or cut, by what was wrong.
	Faults map[string]uint64
	// Limits says how often a bound of the decoder was hit, by its name.
	Limits map[string]uint64
	// Panics counts the frames on which a layer failed in a way that nobody foresaw.
	Panics uint64
}

// Read is the number of all frames: the sum over the classes.
func (c *Counters) Read() (n uint64) {
	for _, packets := range c.Packets {
		n += packets
	}
	return n
}

// Counters returns a copy of the sums so far.
func (d *Decoder) Counters() Counters {
	c := Counters{
		Packets: d.packets,
		Octets:  d.octets,
		Links:   maps.Clone(d.links),
		Faults:  make(map[string]uint64),
		Limits:  make(map[string]uint64),
		Panics:  d.panics,

		LaterFragmentsJoined: d.joined,
	}
	for i, n := range d.faults {
		switch f := fault(i); {
		case n == 0 || f == errOuterOnly:
		case f.limit():
			c.Limits[f.Error()] = n
		default:
			c.Faults[f.Error()] = n
		}
	}
	return c
}

// Class is what a frame is by its outermost IP header. Every frame is in
// exactly one.
type Class uint8

// The classes.
const (
	WithPorts     Class = iota // TCP, UDP, UDP-Lite, SCTP or DCCP, with both ports
	ICMP                       // ICMP and ICMPv6
	OtherIP                    // another IP protocol
	LaterFragment              // a fragment that does not begin its datagram
	BadTransport               // a transport that has ports, and they cannot be read
	BadIP                      // the layer below says IP, and there is no usable IP header
	NonIP                      // no IP, as far as the link layer tells
	UnknownLink                // a link type that is not decoded
	classes
)

// String returns the name of the class among the counters.
func (c Class) String() string {
	switch c {
	case WithPorts:
		return "with_ports"
	case ICMP:
		return "icmp"
	case OtherIP:
		return "other_ip"
	case LaterFragment:
		return "later_fragments"
	case BadTransport:
		return "bad_transport"
	case BadIP:
		return "bad_ip"
	case NonIP:
		return "non_ip"
	case UnknownLink:
		return "unknown_link"
	}
	return "invalid"
}

// A fault says why decoding ended before the packet did. It fits into an
// error without allocation: broken packets are traffic like any other.
type fault uint8

const (
	errHeaders fault = iota // bounds first
	errNesting
	errFragments
	errOuterOnly // no fault, a wish: DecoderOptions.Tunnels is Outer
	errLink
	errVLAN
	errLLC
	errPPP
	errMPLS
	errIPv4
	errIPv6
	errExtension
	errPorts
	errICMP
	errTunnel
	faults
)

// The bounds of a walk through one frame.
const (
	// maxHeaders is how many headers of one frame are read. A frame of 64 KiB
	// could hold thousands of VLAN tags or extension headers.
	maxHeaders = 128
	// maxNesting is how many IP headers of one frame are read, one inside the
	// other, and so how many packets one frame can append at most.
	maxNesting = 16
)

// limit tells the bounds from what is wrong with a packet.
func (f fault) limit() bool { return f <= errFragments }

func (f fault) Error() string {
	switch f {
	case errHeaders:
		return "headers"
	case errFragments:
		return "fragments"
	case errOuterOnly:
		return "outer only"
	case errNesting:
		return "nesting"
	case errLink:
		return "link header"
	case errVLAN:
		return "VLAN tag"
	case errLLC:
		return "LLC header"
	case errPPP:
		return "PPP header"
	case errMPLS:
		return "MPLS label"
	case errIPv4:
		return "IPv4 header"
	case errIPv6:
		return "IPv6 header"
	case errExtension:
		return "IPv6 extension header"
	case errPorts:
		return "transport header"
	case errICMP:
		return "ICMP header"
	case errTunnel:
		return "tunnel header"
	}
	return "invalid"
}

// A layer makes one method of the digest a gopacket.DecodingLayer. All layers
// share the digest and write what they find into it; so no layer holds
// anything, and one can occur several times in a frame.
type layer struct {
	*digest
	is     gopacket.LayerType
	decode func(*digest, []byte) error
}

// CanDecode returns the layer's own number. The numbers are known to no
// registry: the parser asks for nothing but an index.
func (l *layer) CanDecode() gopacket.LayerClass { return l.is }

// NextLayerType and LayerPayload say where the walk goes on.
func (l *layer) NextLayerType() gopacket.LayerType { return l.next }

// LayerPayload is documented with NextLayerType.
func (l *layer) LayerPayload() []byte { return l.payload }

// DecodeFromBytes reads one header; a layer that names no successor ends the walk.
func (l *layer) DecodeFromBytes(data []byte, _ gopacket.DecodeFeedback) error {
	l.next, l.payload = gopacket.LayerTypeZero, nil
	if l.headers++; l.headers > maxHeaders {
		return errHeaders
	}
	return l.decode(l.digest, data)
}

// The layers, by their number in the parser's container. Zero ends the walk.
const (
	layerFrame gopacket.LayerType = 1 + iota
	layerEthernet
	layerVLAN
	layerLLC
	layerMPLS
	layerPBB
	layerFabricPath
	layerNSH
	layerTRILL
	layerVNTag
	layerETag
	layerCiscoMetaData
	layerHSR
	layerRTag
	layerMPacket
	layerNetAnalyzer
	layerDOCSIS
	layerTokenRing
	layerFDDI
	layerARCNETBSD
	layerARCNETLinux
	layerIPoIB
	layerIPOver1394
	layerIPOverFC

	layerIEEE80211
	layerIEEE80211Padded
	layerRadiotap
	layerPPI
	layerPrism
	layerAVS

	layerPPPoE
	layerPPP
	layerPPPD
	layerPPPWithDir
	layerBridgedPPP
	layerMultilinkPPP
	layerHDLC
	layerCHDLC
	layerCHDLCWithDir
	layerFrameRelay
	layerFRelayWithDir
	layerATMCLIP

	layerSLL
	layerSLL2
	layerNull
	layerLoop
	layerENC
	layerPFLog
	layerIPNET
	layerNFLog
	layerPKTAP
	layerUser2
	layerJuniperEther
	layerJuniperPPP
	layerJuniperFRelay
	layerJuniperCHDLC
	layerERF
	layerNoIP

	layerRaw
	layerIPv4
	layerIPv6
	layerHopByHop
	layerExtension
	layerFragment
	layerAuthentication
	layerTCP
	layerUDP
	layerUDPLite
	layerSCTP
	layerDCCP
	layerICMPv4
	layerICMPv6

	layerGRE
	layerWCCP
	layerEtherIP
	layerEthernetInIP
	layerMPLSInIP
	layerIEEE80211Swapped
	layerVXLAN
	layerVXLANGPE
	layerGeneve
	layerGTPU
	layerTeredo
	layerAYIYA
	layerCAPWAP
	layerL2TP
	layerLISP
	layerTZSP
	layerMPLSOverUDP
	layerGREOverUDP
	layerEnd
)

// decoders has the method that reads each layer.
var decoders = [layerEnd]func(*digest, []byte) error{
	layerFrame:         (*digest).frame,
	layerEthernet:      (*digest).ethernet,
	layerVLAN:          (*digest).vlan,
	layerLLC:           (*digest).llc,
	layerMPLS:          (*digest).mpls,
	layerPBB:           skip(4, layerEthernet),
	layerFabricPath:    skip(2, layerEthernet),
	layerNSH:           (*digest).nsh,
	layerTRILL:         (*digest).trill,
	layerVNTag:         typeAtEnd(6),
	layerETag:          typeAtEnd(8),
	layerCiscoMetaData: typeAtEnd(8),
	layerHSR:           typeAtEnd(6),
	layerRTag:          typeAtEnd(6),
	layerMPacket:       skip(8, layerEthernet),
	layerNetAnalyzer:   skip(4, layerEthernet),
	layerDOCSIS:        (*digest).docsis,
	layerTokenRing:     (*digest).tokenRing,
	layerFDDI:          (*digest).fddi,
	layerARCNETBSD:     (*digest).arcnetBSD,
	layerARCNETLinux:   (*digest).arcnetLinux,
	layerIPoIB:         (*digest).ipoib,
	layerIPOver1394:    typeAtEnd(18),
	layerIPOverFC:      skip(16, layerLLC),

	layerIEEE80211:       (*digest).ieee80211,
	layerIEEE80211Padded: (*digest).ieee80211Padded,
	layerRadiotap:        (*digest).radiotap,
	layerPPI:             (*digest).ppi,
	layerPrism:           (*digest).prism,
	layerAVS:             (*digest).avs,

	layerPPPoE:         (*digest).pppoe,
	layerPPP:           (*digest).ppp,
	layerPPPD:          skip(2, layerPPP),
	layerPPPWithDir:    skip(1, layerPPP),
	layerBridgedPPP:    (*digest).bridgedPPP,
	layerMultilinkPPP:  (*digest).multilinkPPP,
	layerHDLC:          (*digest).hdlc,
	layerCHDLC:         (*digest).chdlc,
	layerCHDLCWithDir:  skip(1, layerCHDLC),
	layerFrameRelay:    (*digest).frameRelay,
	layerFRelayWithDir: skip(1, layerFrameRelay),
	layerATMCLIP:       (*digest).atmCLIP,

	layerSLL:           (*digest).sll,
	layerSLL2:          (*digest).sll2,
	layerNull:          (*digest).null,
	layerLoop:          (*digest).loop,
	layerENC:           (*digest).enc,
	layerPFLog:         (*digest).pflog,
	layerIPNET:         (*digest).ipnet,
	layerNFLog:         (*digest).nflog,
	layerPKTAP:         (*digest).pktap,
	layerUser2:         (*digest).user2,
	layerJuniperEther:  (*digest).juniperEther,
	layerJuniperPPP:    (*digest).juniperPPP,
	layerJuniperFRelay: (*digest).juniperFRelay,
	layerJuniperCHDLC:  (*digest).juniperCHDLC,
	layerERF:           (*digest).erf,
	layerNoIP:          (*digest).noIP,

	layerRaw:            (*digest).raw,
	layerIPv4:           (*digest).ipv4,
	layerIPv6:           (*digest).ipv6,
	layerHopByHop:       (*digest).hopByHop,
	layerExtension:      (*digest).extension,
	layerFragment:       (*digest).fragment,
	layerAuthentication: (*digest).authentication,
	layerTCP:            (*digest).tcp,
	layerUDP:            (*digest).udp,
	layerUDPLite:        (*digest).udpLite,
	layerSCTP:           (*digest).sctp,
	layerDCCP:           (*digest).dccp,
	layerICMPv4:         (*digest).icmpv4,
	layerICMPv6:         (*digest).icmpv6,

	layerGRE:              (*digest).gre,
	layerWCCP:             (*digest).wccp,
	layerEtherIP:          (*digest).etherIP,
	layerEthernetInIP:     (*digest).ethernetInIP,
	layerMPLSInIP:         (*digest).mplsInIP,
	layerIEEE80211Swapped: (*digest).ieee80211Swapped,
	layerVXLAN:            (*digest).vxlan,
	layerVXLANGPE:         (*digest).vxlanGPE,
	layerGeneve:           (*digest).geneve,
	layerGTPU:             (*digest).gtpu,
	layerTeredo:           (*digest).teredo,
	layerAYIYA:            (*digest).ayiya,
	layerCAPWAP:           (*digest).capwap,
	layerL2TP:             (*digest).l2tp,
	layerLISP:             (*digest).lisp,
	layerTZSP:             (*digest).tzsp,
	layerMPLSOverUDP:      (*digest).mplsOverUDP,
	layerGREOverUDP:       (*digest).greOverUDP,
}

// A digest is what is known of a frame while its layers are walked.
type digest struct {
	counters
	tunnels Tunnels

	// What the walk began with.
	in       *Frame
	timeless flow.Marks
	batch    *flow.Batch
	first    int // length of batch.Packets before this frame

	// Where the walk goes on.
	next    gopacket.LayerType
	payload []byte
	headers int

	// class is the frame's class if the walk ends here. The parser stops
	// without a word where a payload is empty: whoever names a next layer
	// therefore says at once what it means that this layer is not reached.
	class Class

	// The link layer around the outermost IP header.
	tags      uint8 // VLAN tags
	vlans     [2]uint16
	broadcast bool // the receiver is the link's broadcast address

	// The current level: the innermost IP header so far.
	depth    int // how many IP headers were read
	ip       network
	segment  uint32 // octets above the IP headers, by their length fields
	jumbo    bool   // IPv6 payload length 0: a jumbo option may follow
	appended int    // depth of the level that the batch's last packet is of
	level    int    // where this level's packets begin in the batch
	begins   bool   // it is the first fragment of a datagram, begun
	begun    datagram

	fragments fragments

	// The tunnel between the current level and the next, and the one around
	// the current level.
	via      via
	tried    bool // nothing but a port speaks for via
	around   flow.Tunnel
	identity uint64 // 0 outside of tunnels
	tunnel   uint32 // where around is in the batch, one more than the index; 0 if it is not yet
}

// counters are what the digests of all frames left.
type counters struct {
	packets [classes]uint64
	faults  [faults]uint64
	links   map[LinkType]uint64
	octets  uint64
	panics  uint64
	joined  uint64
}

// A network is what an IP header says.
type network struct {
	src, dst [2]uint64 // as flow.Key has them
	octets   uint32    // from this header on, by its length field
	version  uint8
	protocol uint8
	group    bool // dst is a multicast or broadcast address
}

// reset forgets the frame before.
func (d *digest) reset(f *Frame, b *flow.Batch) {
	d.in, d.batch, d.first = f, b, len(b.Packets)
	d.headers, d.depth, d.appended = 0, 0, 0
	d.tags, d.vlans, d.broadcast = 0, [2]uint16{}, false
	d.via, d.tried, d.identity, d.tunnel = via{}, false, 0, 0
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
	next := linkLayer(d.in.Link)
	if next == gopacket.LayerTypeZero {
		return nil
	}
	return d.link(next, data)
}

// link goes on to a layer that is no part of an IP header, or to an IP header.
func (d *digest) link(next gopacket.LayerType, payload []byte) error {
	d.next, d.payload = next, payload
	if d.depth > 0 {
		return nil // inside of a tunnel: the frame's class stands
	}
	switch next {
	case layerIPv4, layerIPv6, layerRaw:
		d.class = BadIP
	default:
		d.class = NonIP
	}
	return nil
}

// protocol goes on to what an IP header or an extension header announces.
func (d *digest) protocol(number uint8, payload []byte) error {
	d.ip.protocol = number
	d.next, d.payload = protocolLayer(number), payload
	if d.depth > 1 {
		return nil
	}
	switch d.next {
	case layerTCP, layerUDP, layerUDPLite, layerSCTP, layerDCCP:
		d.class = BadTransport
	case layerICMPv4, layerICMPv6:
		d.class = ICMP
	default:
		d.class = OtherIP
	}
	return nil
}

// rest is how many octets the frame had on the wire from data on, which is a
// part of the frame.
func (d *digest) rest(data []byte) uint32 {
	offset := cap(d.in.Data) - cap(data)
	return max(d.in.Length, uint32(len(d.in.Data))) - uint32(offset)
}

// keepInnermost removes this frame's packets of all levels but the innermost.
func (d *digest) keepInnermost() {
	kept := d.batch.Packets[:d.first]
	if d.appended == d.depth && d.depth > 0 {
		kept = append(kept, d.batch.Packets[d.level:]...)
	}
	d.batch.Packets = kept
}

// be reads what the network wrote.
var be = binary.BigEndian
