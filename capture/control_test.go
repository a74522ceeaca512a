package capture

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// A controlTest is a payload between two ports and what it announces.
type controlTest struct {
	name      string
	transport flow.Transport
	src, dst  int
	payload   string
	want      string
}

func fromFTP(name, payload, want string) controlTest {
	return controlTest{name, flow.TCP, 21, 40000, payload, want}
}

func toFTP(name, payload, want string) controlTest {
	return controlTest{name, flow.TCP, 40000, 21, payload, want}
}

func toTFTP(name, payload, want string) controlTest {
	return controlTest{name, flow.UDP, 40000, 69, payload, want}
}

func fromRPCBind(name string, t flow.Transport, payload, want string) controlTest {
	return controlTest{name, t, 111, 700, string(octets(payload)), want}
}

func onSIP(name, payload, want string) controlTest {
	return controlTest{name, flow.UDP, 5060, 5060, payload, want}
}

// announcements are words: transport, port, "asker" if it is the client's.
func announcements(said []flow.Announcement) string {
	var words []string
	for _, a := range said {
		word := fmt.Sprintf("%v %d", a.Transport, a.Port)
		if a.Asker {
			word += " asker"
		}
		words = append(words, word)
	}
	return strings.Join(words, ", ")
}

func controlTests() []controlTest {
	const (
		message = "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1\r\nContent-Type: application/sdp\r\n\r\n"
		answer  = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1\r\n\r\n"
		session = "v=0\r\no=alice 1 1 IN IP4 192.0.2.1\r\nc=IN IP4 192.0.2.1\r\n"
		rpc     = "00000001 00000001 00000000 00000000 00000000 00000000" // xid, reply, accepted, no verifier, success
	)
	return slices.Concat([]controlTest{
		toFTP("PORT", "PORT 192,0,2,1,195,80\r\n", "tcp 50000"),
		toFTP("PORT, lower case, line feed alone", "port 192,0,2,1,195,80\n", "tcp 50000"),
		toFTP("EPRT, IPv4", "EPRT |1|192.0.2.1|50000|\r\n", "tcp 50000"),
		toFTP("EPRT, IPv6, another delimiter", "EPRT !2!2001:db8::1!6275!\r\n", "tcp 6275"),
		toFTP("behind another command", "TYPE I\r\nPORT 192,0,2,1,0,9\r\n", "tcp 9"),
		toFTP("a line that goes on in the next packet", "PORT 192,0,2,1,195,80", ""),
		toFTP("port 0", "PORT 192,0,2,1,0,0\r\n", ""),
		toFTP("an octet too large", "PORT 192,0,2,256,1,1\r\n", ""),
		toFTP("an octet too few", "PORT 192,0,2,1,195\r\n", ""),
		toFTP("EPRT, the last port", "EPRT |1|192.0.2.1|65535|\r\n", "tcp 65535"),
		toFTP("EPRT, port too large", "EPRT |1|192.0.2.1|65536|\r\n", ""),
		toFTP("EPRT, without an end", "EPRT |1|192.0.2.1|6275\r\n", ""),
		toFTP("EPRT of nothing", "EPRT \r\n", ""),
		toFTP("six digits", "EPRT |1|192.0.2.1|006275|\r\n", ""),
		toFTP("a file of that name", "RETR PORT 192,0,2,1,195,80\r\n", ""),
		toFTP("a reply from the wrong side", "227 (192,0,2,1,195,80)\r\n", ""),
		toFTP("more than there is room for", strings.Repeat("PORT 1,1,1,1,0,9\r\n", 40), strings.Repeat("tcp 9, ", maxAnnouncements-1)+"tcp 9"),
		fromFTP("227", "227 Entering Passive Mode (192,0,2,1,221,90).\r\n", "tcp 56666"),
		fromFTP("227 without parentheses", "227 Entering Passive Mode 192,0,2,1,221,90\r\n", "tcp 56666"),
		fromFTP("227 with nothing", "227 \r\n", ""),
		fromFTP("227 without address", "227 Entering Passive Mode\r\n", ""),
		fromFTP("229", "229 Entering Extended Passive Mode (|||6446|)\r\n", "tcp 6446"),
		fromFTP("229 behind 200", "200 Type set to I\r\n229 Extended Passive Mode OK (|||6446|)\r\n", "tcp 6446"),
		fromFTP("229 with nothing in it", "229 Entering Extended Passive Mode ()\r\n", ""),
		fromFTP("another reply", "226 Transfer complete (192,0,2,1,221,90).\r\n", ""),
		fromFTP("a command from the wrong side", "PORT 192,0,2,1,195,80\r\n", ""),
		{"FTP's port of UDP", flow.UDP, 40000, 21, "PORT 192,0,2,1,195,80\r\n", ""},
		{"another port", flow.TCP, 40000, 2121, "PORT 192,0,2,1,195,80\r\n", ""},

		toTFTP("read", "\x00\x01file\x00octet\x00", "udp 40000 asker"),
		toTFTP("write, with options", "\x00\x02a\x00NETASCII\x00tsize\x000\x00", "udp 40000 asker"),
		toTFTP("data", "\x00\x03file\x00octet\x00", ""),
		toTFTP("without a name", "\x00\x01\x00octet\x00", ""),
		toTFTP("another mode", "\x00\x01file\x00binary\x00", ""),
		toTFTP("without an end", "\x00\x01file\x00octet", ""),
		toTFTP("one octet", "\x00", ""),
		{"an answer", flow.UDP, 69, 40000, "\x00\x01file\x00octet\x00", ""},

		{"SSDP", flow.UDP, 40000, 1900, "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", "udp 40000 asker"},
		{"SSDP, from a device", flow.UDP, 1900, 1900, "M-SEARCH * HTTP/1.1\r\nHOST: 239.255.255.250:1900\r\n\r\n", ""},
		{"SSDP, unasked", flow.UDP, 40000, 1900, "NOTIFY * HTTP/1.1\r\n\r\n", ""},

		fromRPCBind("GETPORT", flow.UDP, rpc+"00000801", "tcp 2049, udp 2049"),
		fromRPCBind("GETPORT, TCP", flow.TCP, "8000001c"+rpc+"00000801", "tcp 2049, udp 2049"),
		fromRPCBind("GETPORT, with a verifier", flow.UDP, "00000001 00000001 00000000 00000001 00000005 0102030405000000 00000000 00000801", "tcp 2049, udp 2049"),
		fromRPCBind("GETADDR", flow.UDP, rpc+"0000000d"+fmt.Sprintf("%x", "192.0.2.1.8.1")+"000000", "tcp 2049, udp 2049"),
		fromRPCBind("GETADDR, IPv6", flow.UDP, rpc+"00000007"+fmt.Sprintf("%x", "::1.8.1")+"00", "tcp 2049, udp 2049"),
		fromRPCBind("GETADDR, the last port", flow.UDP, rpc+"00000011"+fmt.Sprintf("%x", "192.0.2.1.255.255")+"000000", "tcp 65535, udp 65535"),
		fromRPCBind("not registered", flow.UDP, rpc+"00000000", ""),
		fromRPCBind("true", flow.UDP, rpc+"00000001", ""),
		fromRPCBind("no port", flow.UDP, rpc+"00010000", ""),
		fromRPCBind("a call", flow.UDP, "00000001 00000000 00000000 00000000 00000000 00000000 00000801", ""),
		fromRPCBind("denied", flow.UDP, "00000001 00000001 00000001 00000000 00000000 00000000 00000801", ""),
		fromRPCBind("no success", flow.UDP, "00000001 00000001 00000000 00000000 00000000 00000001 00000801", ""),
		fromRPCBind("more behind it", flow.UDP, rpc+"00000801 00000000", ""),
		fromRPCBind("verifier too long", flow.UDP, "00000001 00000001 00000000 00000001 fffffffd 00000000 00000801", ""),
		fromRPCBind("fragment of a record", flow.TCP, "0000001c"+rpc+"00000801", ""),
		fromRPCBind("two records", flow.TCP, "8000001c"+rpc+"00000801 00000000", ""),
		fromRPCBind("an address without port", flow.UDP, rpc+"00000009"+fmt.Sprintf("%x", "192.0.2.1")+"000000", ""),
		fromRPCBind("an address with a port too large", flow.UDP, rpc+"0000000f"+fmt.Sprintf("%x", "192.0.2.1.256.1")+"00", ""),
		fromRPCBind("a name", flow.UDP, rpc+"00000004"+fmt.Sprintf("%x", "a2.1"), ""),
		fromRPCBind("one number", flow.UDP, rpc+"00000003"+fmt.Sprintf("%x", "2.1")+"00", ""),
		fromRPCBind("no address", flow.UDP, rpc+"00000004"+fmt.Sprintf("%x", "a.b."), ""),

		onSIP("offer", message+session+"m=audio 30000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\n", "udp 30000 asker, udp 30001 asker"),
		onSIP("answer", answer+session+"m=audio 30000 RTP/AVP 0\r\nm=video 30010 UDP/TLS/RTP/SAVPF 96\r\n",
			"udp 30000, udp 30001, udp 30010, udp 30011"),
		onSIP("media that is refused", answer+session+"m=audio 0 RTP/AVP 0\r\n", ""),
		onSIP("several ports", answer+session+"m=audio 30000/2 RTP/AVP 0\r\n", "udp 30000, udp 30001"),
		onSIP("media that is no RTP", answer+session+"m=image 30000 udptl t38\r\n", ""),
		onSIP("the last port", answer+session+"m=audio 65535 RTP/AVP 0\r\n", ""),
		onSIP("no session", message+"m=audio 30000 RTP/AVP 0\r\n", ""),
		onSIP("no message", session+"m=audio 30000 RTP/AVP 0\r\n", ""),
		onSIP("headers alone", "SIP/2.0 200 OK\r\n", ""),
		onSIP("kept alive", "\r\n\r\n", ""),
		{"SIP over TCP", flow.TCP, 40000, 5060, message + session + "m=audio 30000 RTP/AVP 0\r\n", "udp 30000 asker, udp 30001 asker"},
	}, []controlTest{
		{"RTSP request", flow.TCP, 40000, 554, "SETUP rtsp://192.0.2.1/1 RTSP/1.0\r\nCSeq: 4\r\nTransport: RTP/AVP;unicast;client_port=50220-50221\r\n\r\n",
			"udp 50220 asker, udp 50221 asker"},
		{"RTSP answer", flow.TCP, 8554, 40000, "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;unicast;client_port=50220-50221;server_port=6970-6971\r\n\r\n",
			"udp 6970, udp 6971"},
		{"RTSP answer, one port", flow.TCP, 554, 40000, "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;server_port=6970\r\n\r\n", "udp 6970"},
		{"RTSP answer, interleaved", flow.TCP, 554, 40000, "RTSP/1.0 200 OK\r\nTransport: RTP/AVP/TCP;interleaved=0-1\r\n\r\n", ""},
		{"RTSP answer, no range", flow.TCP, 554, 40000, "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;server_port=6970-9000\r\n\r\n", "udp 6970"},
		{"RTSP error", flow.TCP, 554, 40000, "RTSP/1.0 454 Session Not Found\r\nTransport: RTP/AVP;server_port=6970\r\n\r\n", ""},
		{"RTSP body", flow.TCP, 554, 40000, "RTSP/1.0 200 OK\r\n\r\nTransport: RTP/AVP;server_port=6970\r\n", ""},
		{"port too large", flow.TCP, 554, 40000, "RTSP/1.0 200 OK\r\nTransport: RTP/AVP;server_port=65536\r\n\r\n", ""},
	})
}

// frame is the test's payload on its way.
func (c *controlTest) frame() []byte {
	if c.transport == flow.TCP {
		return ip4(6, "192.0.2.1", "192.0.2.2", tcp(c.src, c.dst, flow.ACK|flow.PSH, []byte(c.payload)))
	}
	return ip4(17, "192.0.2.1", "192.0.2.2", udp(c.src, c.dst, []byte(c.payload)))
}

func TestControl(t *testing.T) {
	for _, test := range controlTests() {
		t.Run(test.name, func(t *testing.T) {
			var b flow.Batch
			NewDecoder(DecoderOptions{}).one(&Frame{Data: test.frame(), Link: LinkIPv4}, &b)
			if got := announcements(b.Announcements); got != test.want {
				t.Errorf("announced %q, want %q", got, test.want)
			}
		})
	}
}

func TestControlAllocatesNothing(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	var frames []Frame
	for _, test := range controlTests() {
		frames = append(frames, Frame{Data: test.frame(), Link: LinkIPv4})
	}
	var b flow.Batch
	n := testing.AllocsPerRun(10, func() {
		b.Reset()
		d.Decode(frames, &b)
	})
	if n != 0 {
		t.Errorf("%v allocations for %d frames", n, len(frames))
	}
}

// Announcements belong to their own packet, whichever levels are kept.
func TestControlInTunnels(t *testing.T) {
	port := tcp(40000, 21, flow.ACK, []byte("PORT 192,0,2,1,195,80\r\n"))
	inner := ip4(6, "192.0.2.1", "192.0.2.2", port)
	vxlan := ip4(17, "198.51.100.1", "198.51.100.2", udp(40000, 4789, header("08000000 00000100", ethernet(0x0800, inner))))
	for tunnels, want := range map[Tunnels]string{Both: "0/1 2/3", Outer: "0/1", Inner: "0/1 1/2"} {
		var b flow.Batch
		d := NewDecoder(DecoderOptions{Tunnels: tunnels})
		d.one(&Frame{Data: inner, Link: LinkIPv4}, &b)
		d.one(&Frame{Data: vxlan, Link: LinkIPv4}, &b)
		var got []string
		for _, a := range b.Announcements {
			got = append(got, fmt.Sprintf("%d/%d", a.Packet, a.Packet+1))
			if p := b.Packets[a.Packet]; p.Key.Transport() != flow.TCP {
				t.Errorf("%v: announced by a packet of %v", tunnels, p.Key.Transport())
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("tunnels %v: announced by %v, want %s", tunnels, got, want)
		}
	}
}

// What only an outer level says goes with it: here the answer of a port mapper, whose verifier
// is a frame in VXLAN.
func TestControlAroundTunnel(t *testing.T) {
	verifier := slices.Concat(octets("0800"), ip4(17, "192.0.2.1", "192.0.2.2", udp(40000, 69, []byte("\x00\x01file\x00octet\x00"))))
	verifier = append(verifier, blank(-len(verifier)&3)...)
	answer := slices.Concat(octets("08000000 00000001 00000000 00000000 0000"), u16(len(verifier)), verifier, octets("00000000 00000801"))
	frame := Frame{Data: ip4(17, "198.51.100.1", "198.51.100.2", udp(111, 4789, answer)), Link: LinkIPv4}
	for tunnels, want := range map[Tunnels]string{
		Both:  "tcp 2049, udp 2049, udp 40000 asker",
		Outer: "tcp 2049, udp 2049",
		Inner: "udp 40000 asker",
	} {
		var b flow.Batch
		NewDecoder(DecoderOptions{Tunnels: tunnels}).one(&frame, &b)
		if got := announcements(b.Announcements); got != want {
			t.Errorf("tunnels %v: announced %q, want %q", tunnels, got, want)
		}
	}
}

// FuzzControl checks announcements against the payload: they are bounded, belong to a packet of
// the frame, name a port that is in the payload, and do not depend on earlier packets.
func FuzzControl(f *testing.F) {
	for _, test := range controlTests() {
		f.Add(test.transport == flow.TCP, uint16(test.src), uint16(test.dst), []byte(test.payload))
	}
	d := NewDecoder(DecoderOptions{Tunnels: Outer})
	f.Fuzz(func(t *testing.T, overTCP bool, src, dst uint16, payload []byte) {
		test := controlTest{"", flow.UDP, int(src), int(dst), string(payload), ""}
		if overTCP {
			test.transport = flow.TCP
		}
		if len(payload) > 60000 {
			return
		}
		frame := Frame{Data: slices.Clip(test.frame()), Link: LinkIPv4}
		var b, again flow.Batch
		d.one(&frame, &b)
		NewDecoder(DecoderOptions{Tunnels: Outer}).one(&frame, &again)
		if !slices.Equal(b.Announcements, again.Announcements) {
			t.Fatalf("first %v, then %v", b.Announcements, again.Announcements)
		}
		if n := len(b.Announcements); n > maxAnnouncements || n > 0 && !control(src) && !control(dst) {
			t.Fatalf("%d announcements from %d to %d", n, src, dst)
		}
		for _, a := range b.Announcements {
			if a.Packet != 0 || a.Port == 0 || a.Transport != flow.TCP && a.Transport != flow.UDP {
				t.Fatalf("announced %+v", a)
			}
			if !says(payload, a.Port) && !says(payload, a.Port-1) && a.Port != src {
				t.Fatalf("%q does not say %d", payload, a.Port)
			}
		}
	})
}

// says looks for a port in every form in which one can be written.
func says(payload []byte, port uint16) bool {
	if bytes.Contains(payload, []byte{0, 0, byte(port >> 8), byte(port)}) {
		return true
	}
	numbers := bytes.FieldsFunc(payload, func(r rune) bool { return r < '0' || r > '9' })
	for i, number := range numbers {
		n, err := strconv.ParseUint(string(number), 10, 16)
		if err != nil {
			continue
		}
		if n == uint64(port) {
			return true
		}
		if i > 0 {
			high, err := strconv.ParseUint(string(numbers[i-1]), 10, 16)
			if err == nil && high < 256 && n < 256 && high<<8|n == uint64(port) {
				return true
			}
		}
	}
	return false
}
