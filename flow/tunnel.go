package flow

// TunnelType names how the inner packet was carried.
type TunnelType uint8

// The ways in which one packet carries another.
const (
	IPIP            TunnelType = iota + 1 // IPv4 in IPv4 (RFC 2003)
	SixIn4                                // IPv6 in IPv4 (RFC 4213)
	FourIn6                               // IPv4 in IPv6 (RFC 2473)
	SixIn6                                // IPv6 in IPv6 (RFC 2473)
	GRE                                   // RFC 2784, RFC 2890; ID is the key
	ERSPAN                                // mirrored frames in GRE; ID is the session
	PPTP                                  // PPP in GRE (RFC 2637); ID is the call
	NVGRE                                 // RFC 7637; ID is the virtual subnet
	VXLAN                                 // RFC 7348; ID is the VNI
	VXLANGPE                              // VXLAN with a next protocol; ID is the VNI
	Geneve                                // RFC 8926; ID is the VNI
	GTPU                                  // 3GPP TS 29.281; ID is the TEID
	Teredo                                // RFC 4380
	AYIYA                                 // IPv6 in UDP of SixXS
	CAPWAP                                // data of wireless access points (RFC 5415)
	L2TP                                  // RFC 2661; ID is tunnel and session
	LISP                                  // data (RFC 9300)
	TZSP                                  // mirrored frames in UDP
	EtherIP                               // Ethernet in IP (RFC 3378)
	EthernetInIP                          // Ethernet as next header (RFC 8986)
	MPLSInIP                              // RFC 4023
	MPLSOverUDP                           // RFC 7510
	GREOverUDP                            // RFC 8086; ID is the key
	tunnelTypeCount = iota + 1
)

var tunnelTypes = [tunnelTypeCount]string{
	"", "ipip", "6in4", "4in6", "6in6", "gre", "erspan", "pptp", "nvgre", "vxlan", "vxlan-gpe", "geneve", "gtp-u",
	"teredo", "ayiya", "capwap", "l2tp", "lisp", "tzsp", "etherip", "ethernet-in-ip", "mpls-in-ip", "mpls-over-udp",
	"gre-over-udp",
}

// String returns the type's word, such as vxlan, or "" outside of a tunnel.
func (t TunnelType) String() string {
	if int(t) < len(tunnelTypes) {
		return tunnelTypes[t]
	}
	return "unknown"
}
