package capture

import (
	"encoding/binary"

	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

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

// layers is the parser's container. Those of gopacket ask an interface for each step of
// the walk, and note the layers that were met: together as much as it takes to read
// the headers. This one knows what it holds.
type layers [layerEnd]*layer

// Put adds one of our own layers.
func (all *layers) Put(l gopacket.DecodingLayer) gopacket.DecodingLayerContainer {
	own := l.(*layer)
	all[own.is] = own
	return all
}

// Decoder returns the layer of a number.
func (all *layers) Decoder(is gopacket.LayerType) (gopacket.DecodingLayer, bool) {
	l := all[is]
	return l, l != nil
}

// LayersDecoder returns the walk: at one go where the frame is ordinary, else layer by
// layer. The digest has what was met; the list stays empty.
func (all *layers) LayersDecoder(first gopacket.LayerType, df gopacket.DecodeFeedback) gopacket.DecodingLayerFunc {
	l := all[first]
	d := l.digest
	return func(data []byte, _ *[]gopacket.LayerType) (gopacket.LayerType, error) {
		if !d.stepwise && d.ordinary(data) {
			return gopacket.LayerTypeZero, nil
		}
		err := l.DecodeFromBytes(data, df)
		for err == nil && len(d.payload) > 0 {
			next := all[d.next]
			if next == nil {
				return d.next, nil
			}
			err = next.DecodeFromBytes(d.payload, df)
		}
		return gopacket.LayerTypeZero, err
	}
}

// The layers, by their number in the parser's container. Zero ends the walk.
const (
	layerFrame gopacket.LayerType = 1 + iota
	layerEthernet
	layerVLAN
	layerISL
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
	layerMACsec
	layerBATMAN
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
	layerSunATM

	layerSLL
	layerSLL2
	layerNull
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
	layerJuniperATM1
	layerBehindATM1
	layerJuniperATM2
	layerBehindATM2
	layerJuniperGGSN
	layerBehindGGSN
	layerJuniperVoice
	layerBehindVoice
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
	layerISL:           (*digest).isl,
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
	layerMACsec:        (*digest).macsec,
	layerBATMAN:        (*digest).batman,
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
	layerSunATM:        (*digest).sunATM,

	layerSLL:           (*digest).sll,
	layerSLL2:          (*digest).sll2,
	layerNull:          (*digest).null,
	layerENC:           (*digest).enc,
	layerPFLog:         (*digest).pflog,
	layerIPNET:         (*digest).ipnet,
	layerNFLog:         (*digest).nflog,
	layerPKTAP:         (*digest).pktap,
	layerUser2:         (*digest).user2,
	layerJuniperEther:  juniper(layerEthernet),
	layerJuniperPPP:    juniper(layerPPP),
	layerJuniperFRelay: juniper(layerFrameRelay),
	layerJuniperCHDLC:  juniper(layerCHDLC),
	layerJuniperATM1:   juniper(layerBehindATM1),
	layerBehindATM1:    juniperCell(4),
	layerJuniperATM2:   juniper(layerBehindATM2),
	layerBehindATM2:    juniperCell(8),
	layerJuniperGGSN:   juniper(layerBehindGGSN),
	layerBehindGGSN:    skip(4, layerRaw),
	layerJuniperVoice:  juniper(layerBehindVoice),
	layerBehindVoice:   skip(18, layerRaw),
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
	tunnels  Tunnels
	stepwise bool // for tests: no frame is ordinary

	// What the walk began with.
	in       *Frame
	batch    *flow.Batch
	first    int        // length of batch.Packets before this frame
	timeless flow.Marks // flow.Timeless, or nothing

	// Where the walk goes on.
	next    gopacket.LayerType
	payload []byte

	// class is the frame's class if the walk ends here. The parser stops
	// without a word where a payload is empty: whoever names a next layer
	// therefore says at once what it means that this layer is not reached.
	class Class

	progress

	// The current level: the innermost IP header so far.
	ip      network
	segment uint32   // octets above the IP headers, by their length fields
	jumbo   bool     // IPv6 payload length 0: a jumbo option may follow
	level   int      // where in the batch the packets of the level appended begin
	begun   datagram // if begins: what it is the first fragment of

	fragments fragments
	around    flow.Tunnel // the tunnel around the current level, if depth > 1
}

// A progress is how far the walk came. Every frame begins with the zero value.
type progress struct {
	headers int // turns of the parser

	// The link layer around the outermost IP header.
	tags      uint8  // VLAN tags
	broadcast bool   // the receiver is the link's broadcast address
	vlans     uint32 // the outer above the inner

	depth    int  // how many IP headers were read
	appended int  // depth of the level that the batch's last packet is of
	begins   bool // the current level is the first fragment of a datagram
	parted   bool // some level is: what it carries may be longer than the frame

	// The tunnel between the current level and the next, and the one around
	// the current level.
	tried    bool // nothing but a port speaks for via
	via      via
	identity uint64 // 0 outside of tunnels
	tunnel   uint32 // where digest.around is in the batch, one more than the index; 0 if it is not yet
}

// counters are what the digests of all frames left.
type counters struct {
	packets [classes]uint64
	faults  [faults]uint64
	octets  uint64
	panics  uint64
	joined  uint64

	links   map[LinkType]uint64 // but for the inRow frames of type rowLink that came last
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

// reset forgets the frame before.
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
	if d.in.Link == LinkEthernet { // most are: spare the parser one turn
		d.class = NonIP
		return d.ethernet(data)
	}
	next := linkLayer(d.in.Link)
	if next == gopacket.LayerTypeZero {
		return nil
	}
	return d.link(next, data)
}

// link goes on to a layer that is no part of an IP header, or to an IP header. Like
// protocol, it goes straight on where nearly all frames do: from the link to IP, and
// from there to TCP or UDP. A turn of the parser, which costs more than such a header,
// is only taken for what is rarer.
func (d *digest) link(next gopacket.LayerType, payload []byte) error {
	if d.depth == 0 { // else inside of a tunnel: the frame's class stands
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

// classOf is the class of a frame that ends where this layer, above IP, should begin.
func classOf(next gopacket.LayerType) Class {
	switch next {
	case layerTCP, layerUDP, layerUDPLite, layerSCTP, layerDCCP:
		return BadTransport
	case layerICMPv4, layerICMPv6:
		return ICMP
	}
	return OtherIP
}

// rest is how many octets the frame had on the wire from data on, which is a
// part of the frame.
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

// be reads what the network wrote.
var be = binary.BigEndian
