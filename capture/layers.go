package capture

import "github.com/google/gopacket"

// A layer makes one method of the digest a gopacket.DecodingLayer. All layers
// share the digest and write what they find into it; so a layer has no state of
// its own, and can occur several times in a frame.
type layer struct {
	*digest
	is     gopacket.LayerType
	decode func(*digest, []byte) error
}

// CanDecode returns the layer's own number. The numbers are not registered with
// gopacket: the parser needs only an index.
func (l *layer) CanDecode() gopacket.LayerClass { return l.is }

// NextLayerType and LayerPayload say where the walk goes next.
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

// layers is the parser's container. Those of gopacket call an interface for each step of
// the walk, and note the layers that were met, which together takes as long as reading
// the headers. This one does neither.
type layers [layerEnd]*layer

// Put adds one of our own layers.
func (all *layers) Put(l gopacket.DecodingLayer) gopacket.DecodingLayerContainer {
	own := l.(*layer)
	all[own.is] = own
	return all
}

// Decoder returns the layer with a number.
func (all *layers) Decoder(is gopacket.LayerType) (gopacket.DecodingLayer, bool) {
	l := all[is]
	return l, l != nil
}

// LayersDecoder returns the walk: in one go if the frame is ordinary, else layer by
// layer. What was met is in the digest; the list of layers stays empty.
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
