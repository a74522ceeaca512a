package capture

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// The constructors below nest as headers do: each one takes what it carries,
// and fills in lengths. Checksums are zero; nobody looks at them.

// octets reads hexadecimal digits; spaces are free.
func octets(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// header is a header in hexadecimal digits, and what it carries.
func header(h string, carried ...[]byte) []byte {
	return append(octets(h), slices.Concat(carried...)...)
}

func u16(n int) []byte { return []byte{byte(n >> 8), byte(n)} }

// blank is payload that means nothing.
func blank(n int) []byte { return make([]byte, n) }

// ethernet is a frame between two stations.
func ethernet(etherType int, carried ...[]byte) []byte {
	return slices.Concat(octets("02 00 00 00 00 02 02 00 00 00 00 01"), u16(etherType), slices.Concat(carried...))
}

// broadcast is a frame to all stations.
func broadcast(etherType int, carried ...[]byte) []byte {
	return slices.Concat(octets("ff ff ff ff ff ff 02 00 00 00 00 01"), u16(etherType), slices.Concat(carried...))
}

// vlan is what follows the EtherType of a tag: the id, and the next type.
func vlan(id, etherType int, carried ...[]byte) []byte {
	return slices.Concat(u16(id), u16(etherType), slices.Concat(carried...))
}

// mpls is one label, the last one of its stack if bottom.
func mpls(label int, bottom bool, carried ...[]byte) []byte {
	word := label << 12
	if bottom {
		word |= 1 << 8
	}
	return slices.Concat(u16(word>>16), u16(word&0xffff), slices.Concat(carried...))
}

// pppoe is a session's header.
func pppoe(carried ...[]byte) []byte {
	payload := slices.Concat(carried...)
	return slices.Concat(octets("11 00 00 07"), u16(len(payload)), payload)
}

// ip4 is an IPv4 packet without options.
func ip4(protocol int, src, dst string, carried ...[]byte) []byte {
	return ip4fragment(0, 0, protocol, src, dst, carried...)
}

// ip4fragment has the flags and offset field of a fragment.
func ip4fragment(id, offset, protocol int, src, dst string, carried ...[]byte) []byte {
	payload := slices.Concat(carried...)
	s, d := netip.MustParseAddr(src).As4(), netip.MustParseAddr(dst).As4()
	return slices.Concat(octets("45 00"), u16(20+len(payload)), u16(id), u16(offset),
		[]byte{64, byte(protocol), 0, 0}, s[:], d[:], payload)
}

// ip6 is an IPv6 packet; extension headers are part of what it carries.
func ip6(next int, src, dst string, carried ...[]byte) []byte {
	payload := slices.Concat(carried...)
	s, d := netip.MustParseAddr(src).As16(), netip.MustParseAddr(dst).As16()
	return slices.Concat(octets("60 00 00 00"), u16(len(payload)), []byte{byte(next), 64}, s[:], d[:], payload)
}

// sized is an IP packet with another length field.
func sized(b []byte, length int) []byte {
	b = slices.Clone(b)
	at := 2
	if b[0]>>4 == 6 {
		at = 4
	}
	copy(b[at:], u16(length))
	return b
}

// tcp is a segment with the flags.
func tcp(src, dst int, flags flow.TCPFlags, carried ...[]byte) []byte {
	return slices.Concat(u16(src), u16(dst), blank(8), []byte{0x50, byte(flags)}, blank(6), slices.Concat(carried...))
}

// udp is a datagram; UDP-Lite's header has the same shape.
func udp(src, dst int, carried ...[]byte) []byte {
	payload := slices.Concat(carried...)
	return slices.Concat(u16(src), u16(dst), u16(8+len(payload)), blank(2), payload)
}

// sctp is a packet of chunks.
func sctp(src, dst int, chunks ...[]byte) []byte {
	return slices.Concat(u16(src), u16(dst), blank(8), slices.Concat(chunks...))
}

// dccp is a packet of the type, with a header of twelve octets.
func dccp(src, dst, kind int, carried ...[]byte) []byte {
	return slices.Concat(u16(src), u16(dst), octets("03 00 00 00"), []byte{byte(kind << 1)}, blank(3), slices.Concat(carried...))
}

// The packets that most frames below carry: 28 octets of IPv4, 48 of IPv6.
var (
	plain4 = ip4(17, "10.0.0.1", "10.0.0.2", udp(1000, 53))
	plain6 = ip6(17, "fd00::1", "fd00::2", udp(1000, 53))
)

const (
	is4 = "with_ports | udp 10.0.0.1:1000 > 10.0.0.2:53 28"
	is6 = "with_ports | udp [fd00::1]:1000 > [fd00::2]:53 48"
)

// describe puts a frame's class and levels into a line: endpoints in the
// direction of the packet, octets, then what else there is to say.
func describe(class Class, b *flow.Batch) string {
	var s strings.Builder
	s.WriteString(class.String())
	for _, p := range b.Packets {
		from, to := p.Key.Endpoints()
		if p.Marks&flow.Reverse != 0 {
			from, to = to, from
		}
		fmt.Fprintf(&s, " | %s %s > %s %d", p.Key.Transport(), from, to, p.Octets)
		if p.Flags != 0 {
			fmt.Fprintf(&s, " flags %#02x", uint8(p.Flags))
		}
		for _, m := range markNames {
			if p.Marks&m.mark != 0 {
				s.WriteString(" " + m.name)
			}
		}
		if n, outer, inner := p.Key.VLANs(); n > 0 {
			fmt.Fprintf(&s, " vlans %d: %d %d", n, outer, inner)
		}
		if p.Tunnel != 0 {
			tunnel := b.Tunnels[p.Tunnel-1]
			fmt.Fprintf(&s, " in %s %d", tunnel.Type, tunnel.ID)
		}
	}
	return s.String()
}

var markNames = []struct {
	mark flow.Marks
	name string
}{
	{flow.Request, "request"},
	{flow.Response, "response"},
	{flow.Group, "group"},
	{flow.LaterFragment, "later-fragment"},
	{flow.Data, "data"},
	{flow.Unreachable, "unreachable"},
	{flow.Timeless, "timeless"},
}

// decodeOne decodes a frame that was captured whole.
func decodeOne(d *Decoder, link LinkType, data []byte) string {
	var b flow.Batch
	data = slices.Clip(data)
	class := d.one(&Frame{Data: data, Length: uint32(len(data)), Link: link}, &b)
	return describe(class, &b)
}

// A frameTest is a frame and its description.
type frameTest struct {
	name  string
	link  LinkType
	frame []byte
	want  string
}

func runFrameTests(t *testing.T, tests []frameTest) {
	t.Helper()
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := NewDecoder(DecoderOptions{})
			if got := decodeOne(d, test.link, test.frame); got != test.want {
				t.Errorf("got  %s\nwant %s\nframe %x", got, test.want, test.frame)
			}
			if c := d.Counters(); c.Read() != 1 || c.Panics != 0 {
				t.Errorf("counted %d times, %d panics", c.Read(), c.Panics)
			}
		})
	}
}

func TestLinkLayers(t *testing.T)      { runFrameTests(t, linkTests()) }
func TestOddLinkLayers(t *testing.T)   { runFrameTests(t, oddLinkTests()) }
func TestNetworkLayers(t *testing.T)   { runFrameTests(t, networkTests()) }
func TestTransportLayers(t *testing.T) { runFrameTests(t, transportTests()) }
func TestUnreachable(t *testing.T)     { runFrameTests(t, unreachableTests()) }

// allFrames are the frames of all tables.
func allFrames() []frameTest {
	return slices.Concat(linkTests(), oddLinkTests(), networkTests(), transportTests(), unreachableTests(), tunnelTests(), udpTunnelTests())
}

func linkTests() []frameTest {
	const e = LinkEthernet
	return []frameTest{
		{"ethernet ipv4", e, ethernet(0x0800, plain4), is4},
		{"ethernet ipv6", e, ethernet(0x86dd, plain6), is6},
		{"ethernet padding", e, ethernet(0x0800, plain4, blank(18)), is4},
		{"ethernet arp", e, ethernet(0x0806, blank(28)), "non_ip"},
		{"ethernet cut", e, blank(13), "non_ip"},
		{"ethernet empty", e, nil, "non_ip"},
		{"ethernet without payload", e, ethernet(0x0800), "bad_ip"},
		{"neither length nor type", e, ethernet(1501, plain4), "non_ip"},
		{"802.3 llc ip", e, ethernet(31, header("06 06 03", plain4)), is4},
		{"802.3 snap", e, ethernet(36, header("aa aa 03 00 00 00 08 00", plain4)), is4},
		{"802.3 snap 802.1H", e, ethernet(36, header("aa aa 03 00 00 f8 08 00", plain4)), is4},
		{"802.3 snap cisco", e, ethernet(36, header("aa aa 03 00 00 0c 20 00", plain4)), "non_ip"},
		{"802.3 spanning tree", e, ethernet(38, header("42 42 03", blank(35))), "non_ip"},
		{"802.3 length ends the packet", e, ethernet(8+20, header("aa aa 03 00 00 00 08 00", plain4)), "bad_transport"},
		{"802.3 llc with sequence numbers", e, ethernet(32, header("06 06 00 00", plain4)), is4},
		{"802.3 snap with sequence numbers", e, ethernet(37, header("aa aa 00 00 00 00 00 08 00", plain4)), is4},
		{"802.3 llc cut", e, ethernet(2, octets("aa aa")), "non_ip"},
		{"802.3 snap cut", e, ethernet(7, octets("aa aa 03 00 00 00 08")), "non_ip"},
		{"jumbo llc", e, ethernet(0x8870, header("aa aa 03 00 00 00 86 dd", plain6)), is6},

		{"vlan", e, ethernet(0x8100, vlan(5, 0x0800, plain4)), is4 + " vlans 1: 5 0"},
		{"vlan priority only", e, ethernet(0x8100, vlan(0x6000, 0x0800, plain4)), is4},
		{"qinq", e, ethernet(0x88a8, vlan(5, 0x8100, vlan(0x2007, 0x86dd, plain6))), is6 + " vlans 2: 5 7"},
		{"old qinq", e, ethernet(0x9100, vlan(5, 0x9200, vlan(6, 0x8100, vlan(7, 0x0800, plain4)))), is4 + " vlans 3: 5 6"},
		{"vlan llc", e, ethernet(0x8100, vlan(5, 31, header("06 06 03", plain4))), is4 + " vlans 1: 5 0"},
		{"vlan cut", e, ethernet(0x8100, blank(3)), "non_ip"},

		{"mpls", e, ethernet(0x8847, mpls(16, false, mpls(17, true, plain4))), is4},
		{"mpls multicast ipv6", e, ethernet(0x8848, mpls(2, true, plain6)), is6},
		{"mpls without bottom", e, ethernet(0x8847, mpls(16, false)), "non_ip"},
		{"mpls something else", e, ethernet(0x8847, mpls(16, true, blank(40))), "non_ip"},
		{"mpls of ip broken", e, ethernet(0x8847, mpls(16, true, octets("45 00"))), "bad_ip"},

		{"pppoe", e, ethernet(0x8864, pppoe(header("00 21", plain4))), is4},
		{"pppoe padding", e, ethernet(0x8864, pppoe(header("00 57", plain6)), blank(6)), is6},
		{"pppoe discovery", e, ethernet(0x8864, header("11 09 00 00 00 04", blank(4))), "non_ip"},
		{"pppoe version", e, ethernet(0x8864, header("21 00 00 00 00 04", blank(4))), "non_ip"},
		{"pppoe cut", e, ethernet(0x8864, octets("11 00 00 00 00")), "non_ip"},
		{"pppoe lcp", e, ethernet(0x8864, pppoe(octets("c0 21 01 01 00 04"))), "non_ip"},
		{"pppoe as link", LinkPPPEther, pppoe(header("00 21", plain4)), is4},
		{"ppp", LinkPPP, header("00 21", plain4), is4},
		{"ppp framed", LinkPPP, header("ff 03 00 57", plain6), is6},
		{"ppp short protocol", LinkPPP, header("ff 03 21", plain4), is4},
		{"ppp mpls", LinkPPP, header("02 81", mpls(16, true, plain4)), is4},
		{"ppp cut", LinkPPP, octets("ff 03 00"), "non_ip"},

		{"sll", LinkLinuxSLL, header("0004 0001 0006 020000000001 0000 0800", plain4), is4},
		{"sll vlan", LinkLinuxSLL, header("0004 0001 0006 020000000001 0000 8100", vlan(9, 0x86dd, plain6)), is6 + " vlans 1: 9 0"},
		{"sll llc", LinkLinuxSLL, header("0004 0001 0006 020000000001 0000 0004 0606 03", plain4), is4},
		{"sll ethernet", LinkLinuxSLL, header("0004 0001 0006 020000000001 0000 0003", ethernet(0x0800, plain4)), is4},
		{"sll ppp", LinkLinuxSLL, header("0004 0200 0000 000000000000 0000 0007 0021", plain4), is4},
		{"sll cut", LinkLinuxSLL, blank(15), "non_ip"},
		{"sll2", LinkLinuxSLL2, header("86dd 0000 00000002 0001 00 06 0200000000010000", plain6), is6},
		{"sll2 cut", LinkLinuxSLL2, blank(19), "non_ip"},

		{"null little endian", LinkNull, header("02 00 00 00", plain4), is4},
		{"null big endian", LinkNull, header("00 00 00 02", plain4), is4},
		{"null ipv6 macOS", LinkNull, header("1e 00 00 00", plain6), is6},
		{"null ipv6 FreeBSD", LinkNull, header("00 00 00 1c", plain6), is6},
		{"null ethertype", LinkNull, header("00 00 08 00", plain4), is4},
		{"null ethertype little endian", LinkNull, header("dd 86 00 00", plain6), is6},
		{"null other family", LinkNull, header("07 00 00 00", plain4), "non_ip"},
		{"null cut", LinkNull, octets("02 00 00"), "non_ip"},
		{"loop ipv6 OpenBSD", LinkLoop, header("00 00 00 18", plain6), is6},
		{"loop little endian", LinkLoop, header("02 00 00 00", plain4), is4},

		{"raw 12", LinkRaw12, plain4, is4},
		{"raw 14", LinkRaw14, plain6, is6},
		{"raw 101", LinkRaw, plain6, is6},
		{"raw 228", LinkIPv4, plain4, is4},
		{"raw 229", LinkIPv6, plain6, is6},
		{"raw of no version", LinkRaw, blank(40), "bad_ip"},
		{"raw empty", LinkRaw, nil, "bad_ip"},
		{"mpls as link", LinkMPLS, mpls(16, true, plain4), is4},
		{"unknown", LinkType(189), plain4, "unknown_link"},
		{"beyond all numbers", LinkType(65535), plain4, "unknown_link"},
	}
}

// llc is SNAP with an EtherType.
func llc(etherType int, carried ...[]byte) []byte {
	return slices.Concat(octets("aa aa 03 00 00 00"), u16(etherType), slices.Concat(carried...))
}

// wlan is an 802.11 header of three addresses with the first two octets given, and what else
// the header has behind the sequence number.
func wlan(control, more string, carried ...[]byte) []byte {
	return slices.Concat(octets(control), octets("0000 020000000001 020000000002 020000000003 0000"),
		octets(more), slices.Concat(carried...))
}

func oddLinkTests() []frameTest {
	const e = LinkEthernet
	snap := llc(0x0800, plain4)
	frame := ethernet(0x0800, plain4)
	return []frameTest{
		{"bridging in ethernet", e, ethernet(0x6558, frame), is4},
		{"backbone bridge", e, ethernet(0x88a8, vlan(5, 0x88e7, blank(4), frame)), is4 + " vlans 1: 5 0"},
		{"backbone bridge cut", e, ethernet(0x88e7, blank(3)), "non_ip"},
		{"fabricpath", e, ethernet(0x8903, octets("0001"), ethernet(0x8100, vlan(7, 0x86dd, plain6))), is6 + " vlans 1: 7 0"},
		{"nsh", e, ethernet(0x894f, header("0fc6 01 01 000001 ff 00000000 00000000 00000000 00000000", plain4)), is4},
		{"nsh ethernet", e, ethernet(0x894f, header("0fc2 02 03 000001 ff", frame)), is4},
		{"nsh of nsh of mpls", e, ethernet(0x894f, header("0fc2 02 04 000001 ff 0fc2 02 05 000001 ff", mpls(16, true, plain4))), is4},
		{"nsh ipv6", e, ethernet(0x894f, header("0fc2 02 02 000001 ff", plain6)), is6},
		{"nsh of something else", e, ethernet(0x894f, header("0fc2 02 09 000001 ff", plain4)), "non_ip"},
		{"nsh too short", e, ethernet(0x894f, header("0fc1 02 01 000001 ff", plain4)), "non_ip"},
		{"nsh cut", e, ethernet(0x894f, octets("0fc2 02 01 0000")), "non_ip"},
		{"trill", e, ethernet(0x22f3, header("0040 0001 0002 00000000", frame)), is4},
		{"trill cut", e, ethernet(0x22f3, octets("0040 0001 0002")), "non_ip"},
		{"vn-tag", e, ethernet(0x8926, header("00010002 0800", plain4)), is4},
		{"e-tag", e, ethernet(0x893f, header("000000000000 86dd", plain6)), is6},
		{"cisco metadata", e, ethernet(0x8909, header("01 01 0001 0005 0800", plain4)), is4},
		{"hsr", e, ethernet(0x892f, header("0034 0001 0800", plain4)), is4},
		{"802.1CB", e, ethernet(0xf1c1, header("0000 0001 0800", plain4)), is4},
		{"macsec authenticated", e, ethernet(0x88e5, header("0000 00000001 0800", plain4, blank(16))), is4},
		{"macsec authenticated, with channel", e, ethernet(0x88e5, header("2000 00000001 0000000000000001 86dd", plain6, blank(16))), is6},
		{"macsec changed", e, ethernet(0x88e5, header("2400 00000001 0000000000000001 0800", plain4)), "non_ip"},
		{"macsec cut", e, ethernet(0x88e5, octets("0000 000000")), "non_ip"},
		{"macsec cut in its channel", e, ethernet(0x88e5, octets("2000 00000001 00000000")), "non_ip"},
		{"batman", e, ethernet(0x4305, header("40 0f 32 01 020000000009", frame)), is4},
		{"batman of another type", e, ethernet(0x4305, header("00 0f 32 01 020000000009", frame)), "non_ip"},
		{"batman cut", e, ethernet(0x4305, octets("40 0f 32 01 0200000000")), "non_ip"},
		{"trill cut in its names", e, ethernet(0x22f3, octets("0000 0001 00")), "non_ip"},
		{"hsr cut", e, ethernet(0x892f, octets("0034 0001 08")), "non_ip"},
		{"macsec encrypted", e, ethernet(0x88e5, header("2c00 00000001 0000000000000001", blank(40))), "non_ip"},
		{"mpls ethernet with control word", e, ethernet(0x8847, mpls(16, true, blank(4), frame)), is4},
		{"mpls ethernet", e, ethernet(0x8847, mpls(16, true, frame)), is4},
		{"mpls ethernet with a tag to an address like a control word", e,
			ethernet(0x8847, mpls(16, true, octets("00 00 5e 00 01 0a"), ethernet(0x8100, vlan(7, 0x0800, plain4))[6:])), is4 + " vlans 1: 7 0"},
		{"mpls ethernet to an address like ipv4", e, ethernet(0x8847, mpls(16, true, octets("48 4d 7e 01 02 03"), frame[6:])), is4},
		{"mpls ethernet to an address like ipv4 without header", e, ethernet(0x8847, mpls(16, true, octets("40 00 00 14 02 03"), frame[6:])), is4},
		{"mpls ethernet to an address like ipv4 without length", e, ethernet(0x8847, mpls(16, true, octets("45 00 00 01 02 03"), frame[6:])), is4},
		{"mpls ethernet to an address like ipv6", e, ethernet(0x8847, mpls(16, true, octets("64 16 7f 01 ff 03"), frame[6:], blank(40))), is4},
		{"mpls arp to an address like ipv4", e, ethernet(0x8847, mpls(16, true, octets("48 4d 7e 01 02 03"), ethernet(0x0806, blank(28))[6:])), "non_ip"},
		{"mpls of ipv4 from addresses like ethertypes", e, ethernet(0x8847, mpls(16, true, ip4(17, "8.0.69.0", "10.0.0.2", udp(1000, 53)))),
			"with_ports | udp 8.0.69.0:1000 > 10.0.0.2:53 28"},
		{"mpls of ipv6 from addresses like ethertypes", e, ethernet(0x8847, mpls(16, true, ip6(17, "fd00:0:800:4500::1", "fd00::2", udp(1000, 53)))),
			"with_ports | udp [fd00:0:800:4500::1]:1000 > [fd00::2]:53 48"},
		{"mpls of some other frame", e, ethernet(0x8847, mpls(16, true, blank(4), ethernet(0x0806, blank(28)))), "non_ip"},
		{"bridged snap", e, ethernet(52, header("aa aa 03 00 80 c2 00 07 00 00", frame)), is4},
		{"bridged snap of another LAN", e, ethernet(52, header("aa aa 03 00 80 c2 00 04 00 00", frame)), "non_ip"},
		{"mpacket", linkMPacket, header("55555555555555d5", frame), is4},
		{"netanalyzer", LinkNetAnalyzer, header("00000000", frame), is4},

		{"token ring", LinkIEEE8025, header("10 40 020000000002 020000000001", snap), is4},
		{"token ring routed", LinkIEEE8025, header("10 40 020000000002 820000000001 0630 0011 0020", snap), is4},
		{"token ring management", LinkIEEE8025, header("10 00 020000000002 020000000001", snap), "non_ip"},
		{"token ring cut", LinkIEEE8025, blank(13), "non_ip"},
		{"fddi", LinkFDDI, header("50 020000000002 020000000001", snap), is4},
		{"fddi management", LinkFDDI, header("41 020000000002 020000000001", snap), "non_ip"},
		{"fddi cut", LinkFDDI, blank(12), "non_ip"},
		{"arcnet old ip", LinkARCNETBSD, header("01 02 f0", plain4), is4},
		{"arcnet ip", LinkARCNETBSD, header("01 02 d4 00 0001", plain4), is4},
		{"arcnet exception", LinkARCNETBSD, header("01 02 d4 ff ffff d4 00 0001", plain4), is4},
		{"arcnet ipv6", LinkARCNETLinux, header("01 02 0000 c4 00 0001", plain6), is6},
		{"arcnet first part", LinkARCNETLinux, header("01 02 0000 d4 03 0001", plain4), is4},
		{"arcnet second part", LinkARCNETLinux, header("01 02 0000 d4 02 0001", plain4), "non_ip"},
		{"arcnet arp", LinkARCNETLinux, header("01 02 0000 d5 00 0001", plain4), "non_ip"},
		{"arcnet cut", LinkARCNETLinux, octets("01 02 0000"), "non_ip"},
		{"arcnet cut in its sequence", LinkARCNETBSD, octets("01 02 d4 00"), "non_ip"},
		{"arcnet cut in its addresses", LinkARCNETBSD, octets("01 02"), "non_ip"},
		{"infiniband", LinkIPoIB, slices.Concat(blank(40), octets("0800 0000"), plain4), is4},
		{"infiniband cut", LinkIPoIB, blank(43), "non_ip"},
		{"ieee 1394", LinkAppleIPOver1394, slices.Concat(blank(16), octets("0800"), plain4), is4},
		{"fibre channel", LinkIPOverFC, slices.Concat(blank(16), snap), is4},
		{"docsis", LinkDOCSIS, header("00 00 002e 0000", frame), is4},
		{"docsis extended", LinkDOCSIS, header("01 02 0030 0000 0000", frame), is4},
		{"docsis management", LinkDOCSIS, header("c2 00 002e 0000", frame), "non_ip"},
		{"docsis cut", LinkDOCSIS, blank(5), "non_ip"},

		{"wlan from access point", LinkIEEE80211, wlan("08 02", "", snap), is4},
		{"wlan to access point", LinkIEEE80211, wlan("08 01", "", snap), is4},
		{"wlan qos", LinkIEEE80211, wlan("88 01", "0000", snap), is4},
		{"wlan qos with high throughput", LinkIEEE80211, wlan("88 81", "0000 00000000", snap), is4},
		{"wlan four addresses", LinkIEEE80211, wlan("08 03", "020000000004", snap), is4},
		{"wlan mesh", LinkIEEE80211, wlan("88 03", "020000000004 0001 00 1f 00000001", snap), is4},
		{"wlan mesh to a group", LinkIEEE80211, wlan("88 02", "0001 00 1f 00000001", snap), is4},
		{"wlan from an access point with that bit", LinkIEEE80211, wlan("88 02", "0001", snap), is4},
		{"wlan mesh cut", LinkIEEE80211, wlan("88 03", "020000000004 0001"), "non_ip"},
		{"wlan aggregate", LinkIEEE80211, wlan("88 01", "8000 020000000005 020000000006 0024", snap, blank(40)), is4},
		{"wlan aggregate cut", LinkIEEE80211, wlan("88 01", "8000", blank(13)), "non_ip"},
		{"wlan broadcast", LinkIEEE80211, header("08 02 0000 ffffffffffff 020000000002 020000000003 0000",
			llc(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137)))), "with_ports | udp 10.0.0.1:137 > 10.0.0.255:137 28 group"},
		{"wlan broadcast to access point", LinkIEEE80211, header("08 01 0000 020000000002 020000000003 ffffffffffff 0000",
			llc(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137)))), "with_ports | udp 10.0.0.1:137 > 10.0.0.255:137 28 group"},
		{"wlan encrypted", LinkIEEE80211, wlan("08 41", "", snap), "non_ip"},
		{"wlan null", LinkIEEE80211, wlan("48 01", "", snap), "non_ip"},
		{"wlan beacon", LinkIEEE80211, wlan("80 00", "", snap), "non_ip"},
		{"wlan second fragment", LinkIEEE80211, header("08 01 0000 020000000001 020000000002 020000000003 0100", blank(40)), "non_ip"},
		{"wlan cut", LinkIEEE80211, blank(1), "non_ip"},
		{"wlan cut in its addresses", LinkIEEE80211, header("08 01", blank(20)), "non_ip"},
		{"wlan cut in its qos", LinkIEEE80211, wlan("88 01", "00"), "non_ip"},
		{"radiotap", LinkRadiotap, header("00 00 0800 00000000", wlan("08 02", "", snap)), is4},
		{"radiotap flags", LinkRadiotap, header("00 00 0900 02000000 10", wlan("08 02", "", snap)), is4},
		{"radiotap padding", LinkRadiotap, header("00 00 0900 02000000 20", wlan("88 02", "0000 0000", snap)), is4},
		{"radiotap padding behind a time", LinkRadiotap,
			header("00 00 1900 030000a0 00000000 00000000 0000000000000000 20", wlan("88 02", "0000 0000", snap)), is4},
		{"radiotap endless bitmap", LinkRadiotap, header("00 00 0c00 020000a0 000000a0", wlan("08 02", "", snap)), is4},
		{"radiotap beyond the frame", LinkRadiotap, header("00 00 ff00 00000000", blank(8)), "non_ip"},
		{"radiotap too short", LinkRadiotap, header("00 00 0700 00000000", blank(8)), "non_ip"},
		{"radiotap cut", LinkRadiotap, blank(7), "non_ip"},
		{"wlan padded, cut", LinkRadiotap, header("00 00 0900 02000000 20 08"), "non_ip"},
		{"ppi", LinkPPI, header("00 00 0800 69000000", wlan("08 02", "", snap)), is4},
		{"ppi ethernet", LinkPPI, header("00 00 0c00 01000000 00000000", frame), is4},
		{"ppi of unknown", LinkPPI, header("00 00 0800 bd000000", frame), "non_ip"},
		{"ppi beyond link types", LinkPPI, header("00 00 0800 01000100", frame), "non_ip"},
		{"ppi cut", LinkPPI, blank(7), "non_ip"},
		{"prism", LinkPrism, slices.Concat(octets("44000000 90000000"), blank(136), wlan("08 02", "", snap)), is4},
		{"prism of a big-endian machine", LinkPrism, slices.Concat(octets("00000044 00000090"), blank(136), wlan("08 02", "", snap)), is4},
		{"prism that is avs", LinkPrism, slices.Concat(octets("80211001 00000040"), blank(56), wlan("08 02", "", snap)), is4},
		{"prism cut", LinkPrism, blank(7), "non_ip"},
		{"avs", LinkAVS, slices.Concat(octets("80211002 00000040"), blank(56), wlan("08 02", "", snap)), is4},
		{"avs beyond the frame", LinkAVS, octets("80211002 00000040"), "non_ip"},
		{"avs cut", LinkAVS, blank(7), "non_ip"},

		{"ppp bridging", LinkPPP, header("0031 00 01", frame), is4},
		{"ppp bridging token ring", LinkPPP, header("0031 00 03", frame), "non_ip"},
		{"ppp bridging cut", LinkPPP, octets("0031 00"), "non_ip"},
		{"ppp multilink", LinkPPP, header("003d c0 000001 0021", plain4), is4},
		{"ppp multilink, a part", LinkPPP, header("003d 80 000001 0021", plain4), "non_ip"},
		{"ppp multilink cut", LinkPPP, octets("003d c0 0000"), "non_ip"},
		{"ppp hdlc", LinkPPPHDLC, header("ff 03 0021", plain4), is4},
		{"ppp hdlc that is cisco's", LinkPPPHDLC, header("0f 00 0800", plain4), is4},
		{"ppp of pppd", LinkPPPPPPD, header("01 03 0021", plain4), is4},
		{"ppp with direction", LinkPPPWithDir, header("01 ff 03 0021", plain4), is4},
		{"ppp with direction cut", LinkPPPWithDir, nil, "non_ip"},
		{"cisco hdlc", LinkCHDLC, header("8f 00 86dd", plain6), is6},
		{"cisco hdlc mpls", LinkCHDLC, header("0f 00 8847", mpls(16, true, plain4)), is4},
		{"cisco hdlc keepalive", LinkCHDLC, header("8f 00 8035", blank(18)), "non_ip"},
		{"cisco hdlc cut", LinkCHDLC, octets("8f 00 08"), "non_ip"},
		{"cisco hdlc with direction", LinkCHDLCWithDir, header("00 0f 00 0800", plain4), is4},
		{"frame relay", LinkFRelay, header("18 41 03 cc", plain4), is4},
		{"frame relay aligned", LinkFRelay, header("18 41 03 00 8e", plain6), is6},
		{"frame relay snap", LinkFRelay, header("18 41 03 00 80 00 00 00 0800", plain4), is4},
		{"frame relay bridged", LinkFRelay, header("18 41 03 00 80 00 80 c2 0007", frame), is4},
		{"frame relay ppp", LinkFRelay, header("18 41 03 cf 0021", plain4), is4},
		{"frame relay cisco", LinkFRelay, header("18 41 0800", plain4), is4},
		{"frame relay address of four", LinkFRelay, header("18 40 40 41 03 cc", plain4), is4},
		{"frame relay address of five", LinkFRelay, header("18 40 40 40 41 03 cc", plain4), "non_ip"},
		{"frame relay management", LinkFRelay, header("00 01 03 08", blank(8)), "non_ip"},
		{"frame relay address without end", LinkFRelay, blank(8), "non_ip"},
		{"frame relay cut", LinkFRelay, octets("18 41 03"), "non_ip"},
		{"frame relay with direction", LinkFRelayWithDir, header("00 18 41 03 cc", plain4), is4},
		{"atm", LinkATMRFC1483, snap, is4},
		{"atm bridged", LinkATMRFC1483, header("aa aa 03 00 80 c2 00 07 00 00", frame), is4},
		{"atm classical", LinkATMCLIP, plain4, is4},
		{"atm classical with llc", LinkATMCLIP, snap, is4},

		{"sll frame relay", LinkLinuxSLL, header("0004 0302 0000 0000000000000000 0000 18 41 03 cc", plain4), is4},
		{"sll radiotap", LinkLinuxSLL, header("0004 0323 0000 0000000000000000 0000 0000 0800 00000000", wlan("08 02", "", snap)), is4},
		{"sll netlink", LinkLinuxSLL, header("0004 0338 0000 0000000000000000 0004", snap), "non_ip"},
		{"enc", LinkENC, header("02000000 00000001 00000000", plain4), is4},
		{"enc ipv6", LinkENC, header("00000018 00000001 00000000", plain6), is6},
		{"enc cut", LinkENC, blank(11), "non_ip"},
		{"pflog", LinkPFLog, slices.Concat(octets("3d 02 00 00"), blank(60), plain4), is4},
		{"pflog beyond the frame", LinkPFLog, octets("3d 02 00 00"), "non_ip"},
		{"pflog too short", LinkPFLog, blank(40), "non_ip"},
		{"pflog cut", LinkPFLog, octets("3d"), "non_ip"},
		{"ipnet", LinkIPNET, slices.Concat(octets("01 02 0001 0000001c"), blank(16), plain4), is4},
		{"ipnet ipv6", LinkIPNET, slices.Concat(octets("01 1a 0001 00000030"), blank(16), plain6), is6},
		{"ipnet of another version", LinkIPNET, slices.Concat(octets("02 02 0001"), blank(20), plain4), "non_ip"},
		{"nflog", LinkNFLog, header("02 00 0001 0800 0100 08000001 2000 0900", plain4), is4},
		{"nflog odd attribute", LinkNFLog, header("0a 00 0001 0500 0a00 61000000 3400 0900", plain6), is6},
		{"nflog of a big-endian machine", LinkNFLog, header("02 00 0001 0008 0001 08000001 0020 0009", plain4), is4},
		{"nflog without packet", LinkNFLog, header("02 00 0001 0800 0100 08000001"), "non_ip"},
		{"nflog attribute too short", LinkNFLog, header("02 00 0001 0300 0100", plain4), "non_ip"},
		{"nflog cut", LinkNFLog, octets("02 00 0001 0800 01"), "non_ip"},
		{"pktap", LinkPKTAP, slices.Concat(octets("6c000000 01000000 01000000"), blank(96), frame), is4},
		{"pktap of raw ip", LinkPKTAP, slices.Concat(octets("6c000000 01000000 0c000000"), blank(96), plain4), is4},
		{"pktap of no packet", LinkPKTAP, slices.Concat(octets("6c000000 00000000 01000000"), blank(96), frame), "non_ip"},
		{"pktap of unknown", LinkPKTAP, slices.Concat(octets("6c000000 01000000 bd000000"), blank(96), frame), "non_ip"},
		{"pktap beyond the frame", LinkPKTAP, slices.Concat(octets("ff000000 01000000 01000000"), blank(96), frame), "non_ip"},
		{"pktap too short", LinkPKTAP, slices.Concat(octets("6b000000 01000000 01000000"), blank(96), frame), "non_ip"},
		{"pktap cut", LinkPKTAP, blank(107), "non_ip"},
		{"user2 that is pktap", linkUser2, slices.Concat(octets("6c000000 01000000 01000000"), blank(96), frame), is4},
		{"user2", linkUser2, frame, "unknown_link"},
		{"juniper ethernet", LinkJuniperEther, header("4d4743 80 0004 03010106", frame), is4},
		{"juniper ppp", LinkJuniperPPP, header("4d4743 01 ff03 0021", plain4), is4},
		{"juniper frame relay", LinkJuniperFRelay, header("4d4743 01 18 41 03 cc", plain4), is4},
		{"juniper cisco hdlc", LinkJuniperCHDLC, header("4d4743 01 0f 00 0800", plain4), is4},
		{"juniper pppoe", LinkJuniperPPPoE, header("4d4743 01", frame), is4},
		{"juniper atm1 llc", LinkJuniperATM1, header("4d4743 01 00000000 aa aa 03 000000 0800", plain4), is4},
		{"juniper atm1 nlpid", LinkJuniperATM1, header("4d4743 01 00000000 03 cc", plain4), is4},
		{"juniper atm1 ip", LinkJuniperATM1, header("4d4743 01 00000000", plain4), is4},
		{"juniper atm1 management", LinkJuniperATM1, header("4d4743 01 80000000", plain4), "non_ip"},
		{"juniper atm1 cut", LinkJuniperATM1, octets("4d4743 01 00000000 aa aa 03"), "non_ip"},
		{"juniper atm2", LinkJuniperATM2, header("4d4743 01 0000000000000000 aa aa 03 000000 86dd", plain6), is6},
		{"juniper atm2 management", LinkJuniperATM2, header("4d4743 01 0000000000000010", plain4), "non_ip"},
		{"juniper ggsn", LinkJuniperGGSN, header("4d4743 01 02000000", plain4), is4},
		{"juniper voice", LinkJuniperVoice, header("4d4743 01", blank(18), plain4), is4},
		{"sunatm llc", LinkSunATM, header("82 00 0021 aa aa 03 000000 0800", plain4), is4},
		{"sunatm lan emulation", LinkSunATM, header("01 00 0021 0005", frame), is4},
		{"sunatm signalling", LinkSunATM, header("06 00 0005", plain4), "non_ip"},
		{"sunatm cut", LinkSunATM, octets("02 00 00"), "non_ip"},
		{"atm by its dlt", LinkATMRFC1483DLT, header("aa aa 03 000000 0800", plain4), is4},
		{"atm nlpid", LinkATMRFC1483, header("fe fe 03 cc", plain4), is4},
		{"atm osi", LinkATMRFC1483, header("fe fe 03 82", plain4), "non_ip"},
		{"atm nlpid cut", LinkATMRFC1483, octets("fe fe 03"), "non_ip"},
		{"inter-switch link", LinkEthernet, header("01000c0000 00 020000000002 0042 aa aa 03 00000c 000a 0000 0000", frame), is4 + " vlans 1: 5 0"},
		{"inter-switch link of a token ring", LinkEthernet, header("01000c0000 10 020000000002 0042 aa aa 03 00000c 000a 0000 0000", frame), "non_ip"},
		{"inter-switch link cut", LinkEthernet, header("01000c0000 00 020000000002 0042 aa aa 03", blank(8)), "non_ip"},
		{"juniper without link header", LinkJuniperEther, header("4d4743 82 0000 02000000", plain4), is4},
		{"juniper of another magic", LinkJuniperEther, header("4d4744 01", frame), "non_ip"},
		{"juniper cut", LinkJuniperEther, octets("4d4743"), "non_ip"},
		{"juniper cut in its extensions", LinkJuniperEther, octets("4d4743 80 00"), "non_ip"},
		{"erf ethernet", LinkERF, header("0000000000000000 02 04 0040 0000 002a 0000", frame), is4},
		{"erf extended", LinkERF, header("0000000000000000 82 04 0048 0000 002a 8000000000000000 0000000000000000 0000", frame), is4},
		{"erf hdlc", LinkERF, header("0000000000000000 01 04 0030 0000 0020 ff030021", plain4), is4},
		{"erf coloured hdlc", LinkERF, header("0000000000000000 0a 04 0030 0000 0020 ff030021", plain4), is4},
		{"erf hdlc of a coloured stream", LinkERF, header("0000000000000000 0f 04 0030 0000 0020 ff030021", plain4), is4},
		{"erf hdlc with a hash", LinkERF, header("0000000000000000 13 04 0030 0000 0020 ff030021", plain4), is4},
		{"erf coloured ethernet", LinkERF, header("0000000000000000 0b 04 0040 0000 002a 0000", frame), is4},
		{"erf ethernet of a coloured stream", LinkERF, header("0000000000000000 10 04 0040 0000 002a 0000", frame), is4},
		{"erf ethernet with a hash", LinkERF, header("0000000000000000 14 04 0040 0000 002a 0000", frame), is4},
		{"erf ipv4", LinkERF, header("0000000000000000 16 04 002c 0000 001c", plain4), is4},
		{"erf ipv6", LinkERF, header("0000000000000000 17 04 0040 0000 0030", plain6), is6},
		{"erf of another kind", LinkERF, header("0000000000000000 05 04 0040 0000 002a", frame), "non_ip"},
		{"erf extended without end", LinkERF, header("0000000000000000 82 04 0040 0000 002a 80", blank(6)), "non_ip"},
		{"erf cut", LinkERF, blank(15), "non_ip"},
		{"vsock", LinkVSock, plain4, "non_ip"},
		{"netlink", LinkNetLink, plain4, "non_ip"},
	}
}

func networkTests() []frameTest {
	const l4, l6 = LinkIPv4, LinkIPv6
	options := slices.Concat(octets("46 00 00 20"), plain4[4:20], octets("01 01 01 01"), udp(1000, 53))
	long := slices.Concat(octets("45 00 ff ff"), plain4[4:])
	x6 := func(next int, carried ...[]byte) []byte { return ip6(next, "fd00::1", "fd00::2", carried...) }
	const x6udp = "with_ports | udp [fd00::1]:1000 > [fd00::2]:53 "
	return []frameTest{
		{"ipv4 options", l4, options, "with_ports | udp 10.0.0.1:1000 > 10.0.0.2:53 32"},
		{"ipv4 options cut", l4, options[:22], "bad_transport"},
		{"ipv4 length beyond the frame", l4, long, "with_ports | udp 10.0.0.1:1000 > 10.0.0.2:53 65535"},
		{"ipv4 length below the header", l4, sized(plain4, 19), "bad_ip"},
		{"ipv4 length left to the card", l4, sized(plain4, 0), is4},
		{"ipv4 cut", l4, plain4[:19], "bad_ip"},
		{"ipv4 header too short", l4, header("44", plain4[1:]), "bad_ip"},
		{"ipv4 of version 6", l4, header("65", plain4[1:]), "bad_ip"},
		{"ipv4 icmp", l4, ip4(1, "10.0.0.1", "10.0.0.2", blank(8)), "icmp"},
		{"ipv4 icmp without header", l4, ip4(1, "10.0.0.1", "10.0.0.2"), "icmp"},
		{"ipv4 icmp cut", l4, ip4(1, "10.0.0.1", "10.0.0.2", blank(7)), "icmp"},
		{"ipv4 ospf", l4, ip4(89, "10.0.0.1", "224.0.0.5", blank(24)), "other_ip"},
		{"ipv4 esp", l4, ip4(50, "10.0.0.1", "10.0.0.2", blank(24)), "other_ip"},
		{"ipv4 ah", l4, ip4(51, "10.0.0.1", "10.0.0.2", header("11 04", blank(22)), udp(1000, 53)),
			"with_ports | udp 10.0.0.1:1000 > 10.0.0.2:53 52"},
		{"ipv4 first fragment", l4, ip4fragment(7, 0x2000, 17, "10.0.0.1", "10.0.0.2", udp(1000, 53)), is4},
		{"ipv4 later fragment", l4, ip4fragment(7, 1, 17, "10.0.0.1", "10.0.0.2", blank(8)), "later_fragments"},
		{"ipv4 later fragment of icmp", l4, ip4fragment(7, 1, 1, "10.0.0.1", "10.0.0.2", blank(8)), "later_fragments"},
		{"ipv4 with an extension header", l4, ip4(60, "10.0.0.1", "10.0.0.2", octets("11 00 0000 00000000"), udp(1000, 53)),
			"with_ports | udp 10.0.0.1:1000 > 10.0.0.2:53 36"},
		{"ipv4 with an ipv6 fragment header", l4, ip4(44, "10.0.0.1", "10.0.0.2", octets("11 00 0009 00000007"), udp(1000, 53)), "other_ip"},
		{"ipv4 multicast", l4, ip4(17, "10.0.0.1", "239.1.1.1", udp(1000, 53)),
			"with_ports | udp 10.0.0.1:1000 > 239.1.1.1:53 28 group"},
		{"ipv4 broadcast", l4, ip4(17, "10.0.0.1", "255.255.255.255", udp(68, 67)),
			"with_ports | udp 10.0.0.1:68 > 255.255.255.255:67 28 group"},
		{"ipv4 directed broadcast", LinkEthernet, broadcast(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137))),
			"with_ports | udp 10.0.0.1:137 > 10.0.0.255:137 28 group"},
		{"ipv4 of that address alone", LinkEthernet, ethernet(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137))),
			"with_ports | udp 10.0.0.1:137 > 10.0.0.255:137 28"},
		{"ipv4 unicast in a broadcast frame", LinkEthernet, broadcast(0x0800, plain4), is4},
		{"sll directed broadcast", LinkLinuxSLL, header("0001 0001 0006 020000000001 0000 0800", ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137))),
			"with_ports | udp 10.0.0.1:137 > 10.0.0.255:137 28 group"},

		{"ipv6 cut", l6, plain6[:39], "bad_ip"},
		{"ipv6 of version 4", l6, header("45", plain6[1:]), "bad_ip"},
		{"ipv6 length left to the card", l6, sized(plain6, 0), is6},
		{"ipv6 no next header", l6, x6(59, blank(8)), "other_ip"},
		{"ipv6 icmp", l6, x6(58, blank(8)), "icmp"},
		{"ipv6 multicast", l6, ip6(17, "fd00::1", "ff02::fb", udp(5353, 5353)),
			"with_ports | udp [fd00::1]:5353 > [ff02::fb]:5353 48 group"},
		{"ipv6 all extension headers", l6, x6(0,
			octets("2b 00 0000 00000000"),                  // hop-by-hop, then routing
			octets("3c 01 0000 00000000 0000000000000000"), // routing of 16 octets, then options
			octets("33 00 0000 00000000"),                  // options, then authentication
			header("2c 04", blank(22)),                     // authentication, then fragment
			octets("87 00 0001 00000007"),                  // first fragment, then mobility
			octets("8b 00 0000 00000000"),                  // mobility, then HIP
			octets("8c 00 0000 00000000"),                  // HIP, then Shim6
			octets("11 00 0000 00000000"), udp(1000, 53)), x6udp + "136"},
		{"ipv6 extension headers against the usual order", l6, x6(60,
			octets("2b 00 0000 00000000"), octets("00 00 0000 00000000"), octets("11 00 0000 00000000"), udp(1000, 53)), x6udp + "72"},
		{"ipv6 options, transport cut off", l6, x6(60, octets("11 01 0000 00000000")), "bad_transport"},
		{"ipv6 options cut", l6, x6(60, octets("11")), "other_ip"},
		{"ipv6 authentication cut", l6, x6(51, octets("11")), "other_ip"},
		{"ipv6 fragment cut", l6, x6(44, octets("11 00 0001 000000")), "other_ip"},
		{"ipv6 later fragment", l6, x6(44, octets("11 00 0009 00000007"), blank(8)), "later_fragments"},
		{"ipv6 later fragment, cut behind its header", l6, x6(44, octets("11 00 0009 00000007")), "later_fragments"},
		{"ipv6 atomic fragment", l6, x6(44, octets("11 00 0000 00000007"), udp(1000, 53)), x6udp + "56"},
		{"ipv6 too many extension headers", l6, x6(60, slices.Repeat(octets("3c 00 0000 00000000"), maxHeaders)), "other_ip"},
		{"ipv6 jumbo", l6, sized(x6(0, octets("11 00 c2 04 00 01 00 00"), udp(1000, 53)), 0), x6udp + "65576"},
		{"ipv6 jumbo beyond 32 bits", l6, sized(x6(0, octets("11 00 c2 04 ff ff ff ff"), udp(1000, 53)), 0), x6udp + "4294967295"},
	}
}

func transportTests() []frameTest {
	x4 := func(protocol int, carried ...[]byte) []byte { return ip4(protocol, "10.0.0.2", "10.0.0.1", carried...) }
	const from, to = " 10.0.0.2:9 > ", "10.0.0.1:7 "
	tests := []frameTest{
		{"tcp syn", LinkIPv4, x4(6, tcp(9, 7, flow.SYN)), "with_ports | tcp" + from + to + "40 flags 0x02"},
		{"tcp data", LinkIPv4, x4(6, tcp(9, 7, flow.ACK, blank(1))), "with_ports | tcp" + from + to + "41 flags 0x10 data"},
		{"tcp options are no data", LinkIPv4, x4(6, header("0009 0007 00000000 00000000 6010 000000000000 01010101")),
			"with_ports | tcp" + from + to + "44 flags 0x10"},
		{"tcp offset too small", LinkIPv4, x4(6, header("0009 0007 00000000 00000000 1010 000000000000")),
			"with_ports | tcp" + from + to + "40 flags 0x10"},
		{"tcp cut behind the ports", LinkIPv4, x4(6, octets("0009 0007")), "with_ports | tcp" + from + to + "24"},
		{"udp", LinkIPv4, x4(17, udp(9, 7, blank(2))), "with_ports | udp" + from + to + "30 data"},
		{"udp first fragment", LinkIPv4, ip4fragment(7, 0x2000, 17, "10.0.0.2", "10.0.0.1", octets("0009 0007 0010 0000")), "with_ports | udp" + from + to + "28 data"},
		{"udp jumbogram", LinkIPv4, x4(17, octets("0009 0007 0000 0000 00")), "with_ports | udp" + from + to + "29 data"},
		{"udp cut behind the ports", LinkIPv4, x4(17, octets("0009 0007")), "with_ports | udp" + from + to + "24"},
		{"udp-lite", LinkIPv4, x4(136, udp(9, 7, blank(2))), "with_ports | udplite" + from + to + "30 data"},
		{"udp to itself", LinkIPv4, ip4(17, "10.0.0.1", "10.0.0.1", udp(7, 7)), "with_ports | udp 10.0.0.1:7 > 10.0.0.1:7 28"},
		{"sctp cut in its checksum", LinkIPv4, x4(132, octets("0009 0007 00000000 000000")), "bad_transport"},
		{"sctp init", LinkIPv4, x4(132, sctp(9, 7, octets("01 00 0014"), blank(16))), "with_ports | sctp" + from + to + "52 request"},
		{"sctp init ack", LinkIPv4, x4(132, sctp(9, 7, octets("02 00 0014"), blank(16))), "with_ports | sctp" + from + to + "52 response"},
		{"sctp sack and data", LinkIPv4, x4(132, sctp(9, 7, octets("03 00 0006 0000 0000"), octets("00 03 0011"), blank(16))),
			"with_ports | sctp" + from + to + "60 data"},
		{"sctp interleaved data", LinkIPv4, x4(132, sctp(9, 7, octets("40 03 0014"), blank(16))), "with_ports | sctp" + from + to + "52 data"},
		{"sctp chunk of no length", LinkIPv4, x4(132, sctp(9, 7, slices.Repeat(octets("03 00 0000"), 40))), "with_ports | sctp" + from + to + "192"},
		{"sctp abort", LinkIPv4, x4(132, sctp(9, 7, octets("06 00 0004"))), "with_ports | sctp" + from + to + "36 flags 0x04"},
		{"sctp error and abort", LinkIPv4, x4(132, sctp(9, 7, octets("09 00 0004 06 00 0004"))), "with_ports | sctp" + from + to + "40 flags 0x04"},
		{"dccp reset", LinkIPv4, x4(33, dccp(9, 7, 7, blank(4), octets("03000000"))), "with_ports | dccp" + from + to + "40 flags 0x04"},
		{"dccp reset with long numbers", LinkIPv4, x4(33, octets("0009 0007 07000000 0f 000000 00000000"), blank(8), octets("03000000")), "with_ports | dccp" + from + to + "48 flags 0x04"},
		{"dccp reset of one that was closed", LinkIPv4, x4(33, dccp(9, 7, 7, blank(4), octets("01000000"))), "with_ports | dccp" + from + to + "40"},
		{"dccp reset with long numbers of one that was closed", LinkIPv4, x4(33, octets("0009 0007 07000000 0f 000000 00000000"), blank(8), octets("01000000")), "with_ports | dccp" + from + to + "48"},
		{"dccp reset cut before its code", LinkIPv4, x4(33, dccp(9, 7, 7, blank(4))), "with_ports | dccp" + from + to + "36 flags 0x04"},
		{"dccp request", LinkIPv4, x4(33, dccp(9, 7, 0)), "with_ports | dccp" + from + to + "32 request"},
		{"dccp response", LinkIPv4, x4(33, dccp(9, 7, 1)), "with_ports | dccp" + from + to + "32 response"},
		{"dccp data", LinkIPv4, x4(33, dccp(9, 7, 2, blank(1))), "with_ports | dccp" + from + to + "33 data"},
		{"dccp ack", LinkIPv4, x4(33, dccp(9, 7, 3, blank(1))), "with_ports | dccp" + from + to + "33"},
		{"dccp cut", LinkIPv4, x4(33, octets("0009 0007")), "with_ports | dccp" + from + to + "24"},
	}
	for _, protocol := range []int{6, 17, 33, 132, 136} {
		name := flow.Transport(protocol).String()
		tests = append(tests,
			frameTest{name + " cut in its ports", LinkIPv4, x4(protocol, octets("0009 00")), "bad_transport"},
			frameTest{name + " missing", LinkIPv4, x4(protocol), "bad_transport"},
			frameTest{name + " cut in its ports, ipv6", LinkIPv6, ip6(protocol, "::1", "::2", octets("0009 00")), "bad_transport"})
	}
	return tests
}

func unreachableTests() []frameTest {
	tcp4 := ip4(6, "10.0.0.1", "10.0.0.2", tcp(1000, 42000, flow.SYN))
	tcp6 := ip6(6, "fd00::1", "fd00::2", tcp(1000, 42000, flow.SYN))
	from4 := func(carried ...[]byte) []byte { return ip4(1, "10.0.0.254", "10.0.0.1", carried...) }
	from6 := func(carried ...[]byte) []byte { return ip6(58, "fd00::fe", "fd00::1", carried...) }
	const signal4 = "icmp | tcp 10.0.0.1:1000 > 10.0.0.2:42000 0 unreachable"
	const signal6 = "icmp | tcp [fd00::1]:1000 > [fd00::2]:42000 0 unreachable"
	return []frameTest{
		{"port", LinkIPv4, from4(header("03 03 0000 00000000", tcp4)), signal4},
		{"quote of eight octets", LinkIPv4, from4(header("03 03 0000 00000000", tcp4[:28])), signal4},
		{"by a filter, with vlan", LinkEthernet, ethernet(0x8100, vlan(5, 0x0800, from4(header("03 0d 0000 00000000", tcp4)))),
			signal4 + " vlans 1: 5 0"},
		{"fragmentation needed", LinkIPv4, from4(header("03 04 0000 00000000", tcp4)), "icmp"},
		{"time exceeded", LinkIPv4, from4(header("0b 00 0000 00000000", tcp4)), "icmp"},
		{"quote cut in its ports", LinkIPv4, from4(header("03 03 0000 00000000", tcp4[:23])), "icmp"},
		{"quote cut in its header", LinkIPv4, from4(header("03 03 0000 00000000", tcp4[:19])), "icmp"},
		{"quote with a broken header", LinkIPv4, from4(header("03 03 0000 00000000 44", tcp4[1:])), "icmp"},
		{"quote of a later fragment", LinkIPv4, from4(header("03 03 0000 00000000", ip4fragment(7, 1, 6, "10.0.0.1", "10.0.0.2", blank(8)))), "icmp"},
		{"quote of icmp", LinkIPv4, from4(header("03 01 0000 00000000", ip4(1, "10.0.0.1", "10.0.0.2", blank(8)))), "icmp"},
		{"port, ipv6", LinkIPv6, from6(header("01 04 0000 00000000", tcp6)), signal6},
		{"too big, ipv6", LinkIPv6, from6(header("02 00 0000 00000500", tcp6)), "icmp"},
		{"cut, ipv6", LinkIPv6, from6(octets("01 04 0000 000000")), "icmp"},
		{"quote cut, ipv6", LinkIPv6, from6(header("01 04 0000 00000000", tcp6[:39])), "icmp"},
	}
}

func TestTimeless(t *testing.T) {
	var b flow.Batch
	class := NewDecoder(DecoderOptions{}).one(&Frame{Data: plain4, Length: 28, Link: LinkIPv4, Timeless: true}, &b)
	if got := describe(class, &b); got != is4+" timeless" {
		t.Errorf("got %s", got)
	}
}

// TestOffloaded has frames longer on the wire than what was captured.
func TestOffloaded(t *testing.T) {
	for _, frame := range [][]byte{
		ethernet(0x0800, slices.Concat(octets("45 00 00 00"), plain4[4:])),
		ethernet(0x86dd, slices.Concat(octets("60 00 00 00 00 00"), plain6[6:])),
	} {
		var b flow.Batch
		NewDecoder(DecoderOptions{}).one(&Frame{Data: frame, Length: 70014, Link: LinkEthernet}, &b)
		if got := b.Packets[0].Octets; got != 70000 {
			t.Errorf("frame %x: %d octets, want 70000", frame, got)
		}
	}
}

// TestNoAllocs: once the batch has its size, a frame costs no memory, whatever it is.
func TestNoAllocs(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	var b flow.Batch
	var frames []Frame
	for _, f := range allFrames() {
		frames = append(frames, Frame{Data: f.frame, Length: uint32(len(f.frame)), Link: f.link})
	}
	decodeAll := func() {
		for i := range frames {
			b.Reset()
			d.Decode(frames[i:i+1], &b)
		}
		b.Reset()
		d.Decode(frames, &b)
	}
	if n := testing.AllocsPerRun(10, decodeAll); n != 0 {
		t.Errorf("%v allocations for %d frames, want none", n, len(frames))
	}
}

func TestCounters(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	decodeOne(d, LinkIPv4, plain4)
	decodeOne(d, LinkIPv6, plain6)
	decodeOne(d, LinkIPv6, plain6[:20])
	decodeOne(d, LinkIPv6, ip6(60, "::1", "::2", slices.Repeat(octets("3c 00 0000 00000000"), maxHeaders)))
	c := d.Counters()
	if c.Read() != 4 || c.Packets[WithPorts] != 2 || c.Packets[BadIP] != 1 || c.Packets[OtherIP] != 1 {
		t.Errorf("classes %v", c.Packets)
	}
	if c.Links[LinkIPv4] != 1 || c.Links[LinkIPv6] != 3 || len(c.Links) != 2 {
		t.Errorf("link types %v", c.Links)
	}
	if c.Faults["IPv6 header"] != 1 || len(c.Faults) != 1 {
		t.Errorf("faults %v", c.Faults)
	}
	if c.Limits["headers"] != 1 || len(c.Limits) != 1 {
		t.Errorf("limits %v", c.Limits)
	}
	if want := uint64(28 + 48 + 20 + 40 + 8*maxHeaders); c.Octets != want {
		t.Errorf("octets %d, want %d", c.Octets, want)
	}
}

// TestPanic breaks a layer on purpose: the frame stays in exactly one class, what was
// read before stays, and what comes behind is decoded.
func TestPanic(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	d.parser.AddDecodingLayer(&layer{&d.digest, layerSCTP, func(*digest, []byte) error { panic("as planned") }})
	if got, want := decodeOne(d, LinkIPv4, ip4(132, "192.0.2.1", "192.0.2.2", make([]byte, 12))), "bad_transport"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if c := d.Counters(); c.Panics != 1 || c.Read() != 1 || len(c.Faults) != 0 {
		t.Errorf("panics %d, read %d, faults %v", c.Panics, c.Read(), c.Faults)
	}
	broken := ip4(132, "192.0.2.1", "192.0.2.2", make([]byte, 12))
	var frames []Frame
	for _, data := range [][]byte{broken, plain4, broken, broken, plain4, broken} {
		frames = append(frames, Frame{Data: data, Length: uint32(len(data)), Link: LinkIPv4})
	}
	var b flow.Batch
	d.Decode(frames, &b)
	if c := d.Counters(); len(b.Packets) != 2 || c.Panics != 5 || c.Read() != 7 || c.Packets[WithPorts] != 2 {
		t.Errorf("%d packets; panics %d, read %d, classes %v", len(b.Packets), c.Panics, c.Read(), c.Packets)
	}
}

func TestNames(t *testing.T) {
	seen := make(map[string]bool)
	for i := range int(classes) {
		seen[Class(i).String()] = true
	}
	if len(seen) != int(classes) || seen["invalid"] || Class(classes).String() != "invalid" {
		t.Errorf("classes %v", seen)
	}
	clear(seen)
	for i := range int(faults) {
		seen[fault(i).Error()] = true
	}
	if len(seen) != int(faults) || seen["invalid"] || fault(faults).Error() != "invalid" {
		t.Errorf("faults %v", seen)
	}
}

// BenchmarkDecode decodes the frames of real traffic that the repository ships.
func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"office.pcapng", "extensions.pcap", "vlan.pcap"} {
		b.Run(name, func(b *testing.B) {
			frames := savedFrames(b, "../testdata/"+name)
			d := NewDecoder(DecoderOptions{})
			var batch flow.Batch
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%64 == 0 {
					batch.Reset()
				}
				at := i % len(frames)
				d.Decode(frames[at:at+1], &batch)
			}
		})
	}
}

// savedFrames reads all frames of a savefile.
func savedFrames(tb testing.TB, name string) (frames []Frame) {
	tb.Helper()
	file, err := OpenFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var f Frame
	for file.Next(&f) == nil {
		f.Data = bytes.Clone(f.Data)
		frames = append(frames, f)
	}
	if len(frames) == 0 {
		tb.Fatalf("%s: no frames", name)
	}
	return frames
}

// TestJumboForgotten: an option gives the length only of the IPv6 packet whose own length
// field is 0, not of the next packet that has such an option.
func TestJumboForgotten(t *testing.T) {
	option := octets("11 00 c2 04 00 01 00 00")
	jumbo := sized(ip6(0, "fd00::1", "fd00::2", option, udp(1000, 53)), 0)
	for _, next := range [][]byte{
		ip4(0, "10.0.0.1", "10.0.0.2", option, udp(1000, 53)),
		ip6(0, "fd00::1", "fd00::2", option, udp(1000, 53)),
	} {
		d := NewDecoder(DecoderOptions{})
		alone, behind := decodeAll(NewDecoder(DecoderOptions{}), next), decodeAll(d, jumbo, next)
		if !strings.HasSuffix(behind, "\n"+alone) || strings.Contains(alone, "655") {
			t.Errorf("alone\n%s\nbehind a jumbogram\n%s", alone, behind)
		}
	}
}
