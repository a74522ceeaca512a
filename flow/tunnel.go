package flow

// The ways in which one packet carries another.
const (
	IPIP    TunnelType = iota + 1 // IPv4 in IPv4 (RFC 2003), IPv6 in IPv6 (RFC 2473)
	SixIn4                        // IPv6 in IPv4 (RFC 4213)
	FourIn6                       // IPv4 in IPv6 (RFC 2473)
	GRE                           // RFC 2784, RFC 2890
	ERSPAN                        // mirrored frames in GRE
	VXLAN                         // RFC 7348
	Geneve                        // RFC 8926
	GTPU                          // 3GPP TS 29.281
	Teredo                        // RFC 4380
	L2TP                          // RFC 2661, RFC 3931
)

var tunnelTypes = [...]string{"", "ipip", "6in4", "4in6", "gre", "erspan", "vxlan", "geneve", "gtp-u", "teredo", "l2tp"}

// String returns the type's word, such as vxlan; "" outside of a tunnel.
func (t TunnelType) String() string {
	if int(t) < len(tunnelTypes) {
		return tunnelTypes[t]
	}
	return "unknown"
}
