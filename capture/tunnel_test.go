package capture

import (
	"fmt"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

func TestTunnels(t *testing.T)    { runFrameTests(t, tunnelTests()) }
func TestUDPTunnels(t *testing.T) { runFrameTests(t, udpTunnelTests()) }

// What the tunnels below carry: the levels of plain4 and plain6 when they are inner ones.
const (
	inner4 = " | udp 10.0.0.1:1000 > 10.0.0.2:53 28 in "
	inner6 = " | udp [fd00::1]:1000 > [fd00::2]:53 48 in "
)

// outer4 is an IPv4 packet between the ends of a tunnel.
func outer4(protocol int, carried ...[]byte) []byte {
	return ip4(protocol, "192.0.2.1", "192.0.2.2", carried...)
}

func tunnelTests() []frameTest {
	const l = LinkIPv4
	frame := ethernet(0x0800, plain4)
	gre := func(h string, carried ...[]byte) []byte { return outer4(47, header(h, carried...)) }
	return []frameTest{
		{"ipv4 in ipv4", l, outer4(4, plain4), "other_ip" + inner4 + "ipip 0"},
		{"ipv6 in ipv4", l, outer4(41, plain6), "other_ip" + inner6 + "6in4 0"},
		{"ipv4 in ipv6", LinkIPv6, ip6(4, "::1", "::2", plain4), "other_ip" + inner4 + "4in6 0"},
		{"ipv6 in ipv6", LinkIPv6, ip6(41, "::1", "::2", plain6), "other_ip" + inner6 + "6in6 0"},
		{"ipv4 in ipv4 in ipv4", l, outer4(4, outer4(4, plain4)), "other_ip" + inner4 + "ipip 0"},
		{"ipv4 in ipv4, broken", l, outer4(4, plain4[:19]), "other_ip"},
		{"ipv4 in ipv4, without ports", l, outer4(4, outer4(1, blank(8))), "other_ip"},
		{"unreachable in ipv4", l, outer4(4, ip4(1, "10.0.0.2", "10.0.0.1", header("03 03 0000 00000000", plain4))),
			"other_ip | udp 10.0.0.1:1000 > 10.0.0.2:53 0 unreachable in ipip 0"},
		{"later fragment in ipv4", l, outer4(4, ip4fragment(7, 1, 17, "10.0.0.1", "10.0.0.2", blank(8))), "other_ip"},
		{"inner tags are not the frame's", LinkEthernet, ethernet(0x8100, vlan(5, 0x0800,
			outer4(143, ethernet(0x8100, vlan(7, 0x0800, plain4))))), "other_ip | udp 10.0.0.1:1000 > 10.0.0.2:53 28 vlans 1: 5 0 in ethernet-in-ip 0"},
		{"broadcast inside only", l, outer4(143, broadcast(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137)))),
			"other_ip | udp 10.0.0.1:137 > 10.0.0.255:137 28 group in ethernet-in-ip 0"},
		{"broadcast outside only", LinkEthernet, broadcast(0x0800, ip4(4, "10.0.0.1", "10.0.0.255", ip4(17, "10.0.0.1", "10.0.0.255", udp(137, 137)))),
			"other_ip | udp 10.0.0.1:137 > 10.0.0.255:137 28 in ipip 0"},
		{"as deep as it goes", l, slices.Concat(nest(maxNesting-1), plain4), "other_ip" + inner4 + "ipip 0"},
		{"deeper", l, slices.Concat(nest(maxNesting), plain4), "other_ip"},

		{"gre", l, gre("0000 0800", plain4), "other_ip" + inner4 + "gre 0"},
		{"gre ipv6", l, gre("0000 86dd", plain6), "other_ip" + inner6 + "gre 0"},
		{"gre key", l, gre("2000 0800 00000007", plain4), "other_ip" + inner4 + "gre 7"},
		{"gre checksum, key, sequence", l, gre("b000 0800 0000 0000 00000007 00000001", plain4), "other_ip" + inner4 + "gre 7"},
		{"gre routing", l, gre("4000 0800 0000 0000 0800 00 04 c0000201 0000 00 00", plain4), "other_ip" + inner4 + "gre 0"},
		{"gre routing without end", l, gre("4000 0800 0000 0000 0800 00 04 c0000201"), "other_ip"},
		{"gre ethernet", l, gre("0000 6558", frame), "other_ip" + inner4 + "gre 0"},
		{"gre ethernet with a key", l, gre("2000 6558 00000005", frame), "other_ip" + inner4 + "gre 5"},
		{"gre mpls", l, gre("0000 8847", mpls(16, true, plain4)), "other_ip" + inner4 + "gre 0"},
		{"gre ppp", l, gre("0000 880b", header("ff03 0021", plain4)), "other_ip" + inner4 + "gre 0"},
		{"gre frame relay", l, gre("0000 6559", header("18 41 03 cc", plain4)), "other_ip" + inner4 + "gre 0"},
		{"gre wlan", l, gre("0000 8200", wlan("08 01", "", llc(0x0800, plain4))), "other_ip" + inner4 + "gre 0"},
		{"gre wccp", l, gre("0000 883e", plain4), "other_ip" + inner4 + "gre 0"},
		{"gre wccp with header", l, gre("0000 883e 00000000", plain4), "other_ip" + inner4 + "gre 0"},
		{"gre of something else", l, gre("0000 1234", plain4), "other_ip"},
		{"gre of version 2", l, gre("0002 0800", plain4), "other_ip"},
		{"gre cut", l, gre("0000 08"), "other_ip"},
		{"gre cut in its key", l, gre("2000 0800 0000"), "other_ip"},
		{"gre cut in its sequence", l, gre("1000 0800 0000"), "other_ip"},
		{"nvgre", l, gre("2000 6558 00123401", frame), "other_ip" + inner4 + "nvgre 4660"},
		{"pptp", l, gre("3081 880b 0020 0007 00000001 00000002 ff03 0021", plain4), "other_ip" + inner4 + "pptp 7"},
		{"pptp without acknowledgment", l, gre("3001 880b 0020 0007 00000001 0021", plain4), "other_ip" + inner4 + "pptp 7"},
		{"erspan I", l, gre("0000 88be", frame), "other_ip" + inner4 + "erspan 0"},
		{"erspan II", l, gre("1000 88be 00000001 1001 0063 00000000", frame), "other_ip" + inner4 + "erspan 99"},
		{"erspan III", l, gre("1000 22eb 00000001 2001 0063 00000000 0000 0000", frame), "other_ip" + inner4 + "erspan 99"},
		{"erspan III of ip", l, gre("1000 22eb 00000001 2001 0063 00000000 0000 0800", plain4), "other_ip" + inner4 + "erspan 99"},
		{"erspan III with platform", l, gre("1000 22eb 00000001 2001 0063 00000000 0000 0001 0000000000000000", frame), "other_ip" + inner4 + "erspan 99"},
		{"erspan cut", l, gre("1000 88be 00000001 1001 0063 000000"), "other_ip"},
		{"etherip", l, outer4(97, octets("3000"), frame), "other_ip" + inner4 + "etherip 0"},
		{"etherip of another version", l, outer4(97, octets("0300"), frame), "other_ip"},
		{"mpls in ip", l, outer4(137, mpls(16, true, plain6)), "other_ip" + inner6 + "mpls-in-ip 0"},
		{"behind a segment routing header", LinkIPv6, ip6(43, "::1", "::2", octets("8f 00 0400 00000000"), frame),
			"other_ip" + inner4 + "ethernet-in-ip 0"},
	}
}

// nest returns n IPv4 headers, each with room for the next and plain4 at the end.
func nest(n int) []byte {
	b := plain4
	for range n {
		b = outer4(4, b)
	}
	return b[:len(b)-len(plain4)]
}

func udpTunnelTests() []frameTest {
	const l = LinkIPv4
	frame := ethernet(0x0800, plain4)
	// A datagram to a tunnel's port, and the inner level that is expected of it.
	test := func(name string, port int, inner, h string, carried ...[]byte) frameTest {
		data := outer4(17, udp(5000, port, header(h, carried...)))
		want := fmt.Sprintf("with_ports | udp 192.0.2.1:5000 > 192.0.2.2:%d %d data%s", port, len(data), inner)
		return frameTest{name, l, data, want}
	}
	// Such a datagram to VXLAN's port, whose length field says something else.
	claiming := func(name string, length int, want string) frameTest {
		datagram := slices.Concat(u16(5000), u16(4789), u16(length), blank(2), header("08000000 00000900", frame))
		return frameTest{name, l, outer4(17, datagram), "with_ports | udp 192.0.2.1:5000 > 192.0.2.2:4789 78" + want}
	}
	teredo := ip6(17, "2001::1", "fd00::2", udp(1000, 53))
	const teredoLevel = " | udp [2001::1]:1000 > [fd00::2]:53 48 in teredo 0"
	return []frameTest{
		test("vxlan", 4789, inner4+"vxlan 9", "08000000 00000900", frame),
		claiming("vxlan without length", 0, " data"+inner4+"vxlan 9"),
		claiming("vxlan of less than a header", 7, ""),
		claiming("vxlan behind the datagram", 8, ""),
		claiming("vxlan cut by the datagram", 8+8+14+20, " data"),
		claiming("vxlan longer than its packet", 100, " data"+inner4+"vxlan 9"),
		test("vxlan on linux's port", 8472, inner4+"vxlan 9", "08000000 00000900", frame),
		test("vxlan of no network", 4789, "", "00000000 00000900", frame),
		test("vxlan cut", 4789, "", "08000000 000009"),
		test("vxlan of arp", 4789, "", "08000000 00000900", ethernet(0x0806, blank(28))),
		test("vxlan of a packet longer than the frame", 4789, "", "08000000 00000900",
			ethernet(0x0800, slices.Concat(octets("4500 0100"), plain4[4:]))),
		test("vxlan of a longer IPv6 packet", 4789, "", "08000000 00000900",
			ethernet(0x86dd, slices.Concat(octets("60000000 0100"), plain6[6:]))),
		test("vxlan in vxlan", 4789, " | udp 192.0.2.1:5000 > 192.0.2.2:4789 78 data in vxlan 1"+inner4+"vxlan 9", "08000000 00000100",
			ethernet(0x0800, outer4(17, udp(5000, 4789, header("08000000 00000900", frame))))),
		test("vxlan-gpe", 4790, inner4+"vxlan-gpe 9", "0c000001 00000900", plain4),
		test("vxlan-gpe of nsh", 4790, inner4+"vxlan-gpe 9", "0c000004 00000900 0fc2 02 01 000001 ff", plain4),
		test("vxlan-gpe without protocol", 4790, "", "08000001 00000900", plain4),
		test("geneve", 6081, inner6+"geneve 9", "0000 86dd 00000900", plain6),
		test("geneve with options", 6081, inner4+"geneve 9", "0240 6558 00000900 0102 80 01 00000000", frame),
		test("geneve options cut", 6081, "", "0240 6558 00000900 0102"),
		test("geneve of another version", 6081, "", "4000 0800 00000900", plain4),
		test("geneve cut", 6081, "", "0000 0800 000009"),
		test("gtp-u", 2152, inner4+"gtp-u 305419896", "30 ff 001c 12345678", plain4),
		test("gtp-u sequence", 2152, inner4+"gtp-u 1", "32 ff 0020 00000001 0001 00 00", plain4),
		test("gtp-u extensions", 2152, inner6+"gtp-u 1", "34 ff 0040 00000001 0000 00 85 01 0000 85 02 000000000000 00", plain6),
		test("gtp-u ethernet", 2152, inner4+"gtp-u 1", "30 ff 002a 00000001", frame),
		test("gtp-u ethernet to an address like ipv6", 2152, inner4+"gtp-u 1", "30 ff 0052 00000001 64167f01ff03", frame[6:], blank(40)),
		test("gtp-u version 0", 3386, inner4+"gtp-u 0", "1e ff 001c 0000 0000 ff ffffff 0000000000000001", plain4),
		test("gtp-u version 0 cut", 3386, "", "1e ff 001c 0000 0000 ff ffffff 00000000000000"),
		test("gtp prime", 3386, "", "0e ff 001c 0000 0000 ff ffffff 0000000000000001", plain4),
		test("gtp-u extension of no length", 2152, "", "34 ff 0038 00000001 0000 00 85 00 000000", plain4),
		test("gtp-u extension cut", 2152, "", "34 ff 0038 00000001 0000 00 85 02 000000"),
		test("gtp-u extension missing", 2152, "", "34 ff 0038 00000001 0000 00 85"),
		test("gtp-u options cut", 2152, "", "32 ff 0038 00000001 0000"),
		test("gtp-u echo", 2152, "", "32 01 0004 00000000 0001 0000"),
		test("gtp-u of no ip", 2152, "", "30 ff 001c 00000001", blank(28)),
		test("gtp-u cut", 2152, "", "30 ff 001c 000000"),
		test("teredo", 3544, teredoLevel, "", teredo),
		test("teredo origin", 3544, teredoLevel, "0000 1234 c0000201", teredo),
		test("teredo authentication and origin", 3544, teredoLevel, "0001 02 01 aabb cc 0000000000000001 00 0000 1234 c0000201", teredo),
		test("teredo between the link's own addresses", 3544, " | udp [febf::1]:1000 > [fd00::2]:53 48 in teredo 0", "", ip6(17, "febf::1", "fd00::2", udp(1000, 53))),
		test("teredo between other addresses", 3544, "", "", plain6),
		test("teredo cut", 3544, "", "", teredo[:39]),
		test("ayiya", 5072, inner6+"ayiya 0", "42 52 11 29 00000000", blank(36), plain6),
		test("ayiya ipv4", 5072, inner4+"ayiya 0", "42 52 11 04 00000000", blank(36), plain4),
		test("ayiya of another operation", 5072, "", "42 52 10 29 00000000", blank(36), plain6),
		test("ayiya cut", 5072, "", "42 52 11 29 00000000", blank(20)),
		test("capwap", 5247, inner4+"capwap 0", "00 10 43 00 0000 0000", wlan("08 01", "", llc(0x0800, plain4))),
		test("capwap swapped", 5247, inner4+"capwap 0", "00 10 43 00 0000 0000", wlan("01 08", "", llc(0x0800, plain4))),
		test("capwap ethernet", 5247, inner4+"capwap 0", "00 10 42 00 0000 0000", frame),
		{"capwap in udp-lite", l, outer4(136, udp(5000, 5247, header("00 10 42 00 0000 0000", frame))),
			"with_ports | udplite 192.0.2.1:5000 > 192.0.2.2:5247 78 data" + inner4 + "capwap 0"},
		test("capwap of another radio", 5247, "", "00 10 47 00 0000 0000", wlan("08 01", "", llc(0x0800, plain4))), // what would read
		test("capwap keep-alive", 5247, "", "00 10 43 08 0000 0000", blank(20)),
		test("capwap later fragment", 5247, "", "00 10 43 80 0001 0008", blank(20)),
		test("capwap encrypted", 5247, "", "01 00 0000 00000000", frame),
		test("capwap header too short", 5247, "", "00 08 42 00 0000 0000", frame),
		test("l2tp", 1701, inner4+"l2tp 65538", "0002 0001 0002 ff03 0021", plain4),
		test("l2tp with everything", 1701, inner4+"l2tp 65538", "4a02 0030 0001 0002 0001 0001 0002 0000 ff03 0021", plain4),
		test("l2tp control", 1701, "", "c802 000c 0000 0000 0000 0000", plain4),
		test("l2tp version 3", 1701, "", "0003 0000 00000001", plain4),
		test("l2tp offset cut", 1701, "", "0202 0001 0002 00"),
		test("l2tp cut in its ids", 1701, "", "4002 0030 0001"),
		test("l2tp cut", 1701, "", "00"),
		test("lisp", 4341, inner4+"lisp 5", "48000000 00000500", plain4),
		test("lisp without instance", 4341, inner6+"lisp 0", "40000000 00000500", plain6),
		test("lisp cut", 4341, "", "48000000 000005"),
		test("tzsp", 37008, inner4+"tzsp 0", "01 00 0001 00 0a 01 ff 01", frame),
		test("tzsp wlan", 37008, inner4+"tzsp 0", "01 00 0012 01", wlan("08 01", "", llc(0x0800, plain4))),
		test("tzsp prism", 37008, inner4+"tzsp 0", "01 00 0077 01 44000000 90000000", blank(136), wlan("08 01", "", llc(0x0800, plain4))),
		test("tzsp avs", 37008, inner4+"tzsp 0", "01 00 007f 01 80211001 00000040", blank(56), wlan("08 01", "", llc(0x0800, plain4))),
		test("tzsp of something else", 37008, "", "01 00 0002 01", frame),
		test("tzsp keep-alive", 37008, "", "01 04 0001 01"),
		test("tzsp tag cut", 37008, "", "01 00 0001 0a"),
		test("tzsp without end", 37008, "", "01 00 0001 00"),
		test("tzsp cut", 37008, "", "01 00 00"),
		test("mpls over udp", 6635, inner4+"mpls-over-udp 0", "", mpls(16, true, plain4)),
		test("gre over udp", 4754, inner4+"gre-over-udp 7", "2000 0800 00000007", plain4),
		{"from a tunnel's port", l, outer4(17, udp(4789, 5000, header("08000000 00000900", frame))),
			"with_ports | udp 192.0.2.1:4789 > 192.0.2.2:5000 78 data" + inner4 + "vxlan 9"},
		{"a query from a tunnel's port", l, outer4(17, udp(4789, 53, octets("1234 0100 0001 0000 0000 0000 00 0001 0001"))),
			"with_ports | udp 192.0.2.1:4789 > 192.0.2.2:53 45 data"},
	}
}

// TestTunnelAround looks at what a Tunnel and its identity say.
func TestTunnelAround(t *testing.T) {
	decode := func(data []byte) (inner flow.Packet, around flow.Tunnel) {
		t.Helper()
		var b flow.Batch
		NewDecoder(DecoderOptions{}).one(&Frame{Data: slices.Clip(data), Length: uint32(len(data)), Link: LinkRaw}, &b)
		if len(b.Packets) == 0 || len(b.Tunnels) == 0 {
			t.Fatalf("%x: no tunnel", data)
		}
		inner = b.Packets[len(b.Packets)-1]
		return inner, b.Tunnels[inner.Tunnel-1]
	}
	frame := ethernet(0x0800, plain4)
	vxlan := func(src, dst string, vni int) []byte {
		return ip4(17, src, dst, udp(5000, 4789, octets("08000000 0000"), []byte{byte(vni), 0}, frame))
	}
	gtp := func(src, dst, teid string) []byte {
		return ip4(17, src, dst, udp(2152, 2152, header("30ff001c"+teid, plain4)))
	}

	there, around := decode(vxlan("192.0.2.1", "192.0.2.2", 9))
	if got, _ := around.Outer.Endpoints(); got.String() != "192.0.2.1:5000" || around.OuterProtocol != 17 {
		t.Errorf("outer level %v, protocol %d", got, around.OuterProtocol)
	}
	_, portless := decode(outer4(4, plain4))
	if a, b := portless.Outer.Endpoints(); a.Port() != 0 || b.Port() != 0 || portless.OuterProtocol != 4 {
		t.Errorf("outer level %v %v, protocol %d", a, b, portless.OuterProtocol)
	}

	keyOf := func(data []byte) flow.Key {
		inner, _ := decode(data)
		return inner.Key
	}
	tests := []struct {
		name string
		a, b []byte
		same bool
	}{
		{"both directions", vxlan("192.0.2.1", "192.0.2.2", 9), vxlan("192.0.2.2", "192.0.2.1", 9), true},
		{"another network", vxlan("192.0.2.1", "192.0.2.2", 9), vxlan("192.0.2.1", "192.0.2.2", 8), false},
		{"another end", vxlan("192.0.2.1", "192.0.2.2", 9), vxlan("192.0.2.1", "192.0.2.3", 9), false},
		{"teids differ by direction", gtp("192.0.2.1", "192.0.2.2", "00000001"), gtp("192.0.2.2", "192.0.2.1", "00000002"), true},
		{"another network of the same host number", ip6(4, "::1", "fd00:1::2", plain4), ip6(4, "::1", "fd00:2::2", plain4), false},
		{"another type", outer4(4, plain4), outer4(143, frame), false},
		{"another tunnel around", outer4(4, outer4(4, plain4)), ip4(4, "192.0.2.1", "192.0.2.9", outer4(4, plain4)), false},
	}
	for _, test := range tests {
		if got := keyOf(test.a) == keyOf(test.b); got != test.same {
			t.Errorf("%s: same Key %v, want %v", test.name, got, test.same)
		}
	}
	var b flow.Batch
	NewDecoder(DecoderOptions{}).one(&Frame{Data: plain4, Length: 28, Link: LinkIPv4}, &b)
	if b.Packets[0].Key == there.Key {
		t.Error("a packet inside of a tunnel has the Key of one outside")
	}
}

// TestTunnelOptions: the same frame by its outermost header, and by its innermost.
func TestTunnelOptions(t *testing.T) {
	frame := outer4(17, udp(5000, 4789, header("08000000 00000900", ethernet(0x0800, plain4))))
	ping := outer4(17, udp(5000, 4789, header("08000000 00000900", ethernet(0x0800, ip4(1, "10.0.0.1", "10.0.0.2", blank(8))))))
	const outer = " | udp 192.0.2.1:5000 > 192.0.2.2:4789 78 data"
	tests := []struct {
		tunnels Tunnels
		frame   []byte
		want    string
	}{
		{Both, frame, "with_ports" + outer + inner4 + "vxlan 9"},
		{Outer, frame, "with_ports" + outer},
		{Inner, frame, "with_ports" + inner4 + "vxlan 9"},
		{Outer, outer4(4, plain4), "other_ip"},
		{Inner, outer4(4, plain4), "other_ip" + inner4 + "ipip 0"},
		{Inner, plain4, is4},
		{Outer, ping, "with_ports" + outer},
		{Inner, ping, "with_ports"},
	}
	for _, test := range tests {
		d := NewDecoder(DecoderOptions{Tunnels: test.tunnels})
		if got := decodeOne(d, LinkIPv4, test.frame); got != test.want {
			t.Errorf("tunnels %d: got %s, want %s", test.tunnels, got, test.want)
		}
		if c := d.Counters(); len(c.Faults)+len(c.Limits) != 0 {
			t.Errorf("tunnels %d: faults %v, limits %v", test.tunnels, c.Faults, c.Limits)
		}
	}
}
