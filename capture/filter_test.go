package capture

import (
	"errors"
	"strings"
	"testing"
)

// udpTo is a UDP packet to a port, with the IPv4 header first.
func udpTo(port byte) []byte {
	return []byte{
		0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2,
		0x10, 0, 0, port, 0, 8, 0, 0,
	}
}

// linkHeaders are link-layer headers that say IPv4, for each link type.
var linkHeaders = map[LinkType][]byte{
	LinkNull:      {2, 0, 0, 0},
	LinkEthernet:  {1, 2, 3, 4, 5, 6, 1, 2, 3, 4, 5, 7, 8, 0},
	LinkRaw:       {},
	LinkRaw12:     {},
	LinkRaw14:     {},
	LinkIPv4:      {},
	LinkLinuxSLL:  {0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 8, 0},
	LinkLinuxSLL2: {8, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0},
	LinkPPP:       {0xff, 3, 0, 0x21},
	LinkCHDLC:     {0x0f, 0, 8, 0},
}

func TestFilterByLinkType(t *testing.T) {
	f, err := NewFilter("udp dst port 53")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 { // compiled, then known
		for link, header := range linkHeaders {
			for port, want := range map[byte]bool{53: true, 54: false} {
				data := append(header[:len(header):len(header)], udpTo(port)...)
				got, err := f.Matches(&Frame{Data: data, Length: uint32(len(data)), Link: link})
				if got != want || err != nil {
					t.Errorf("%v, port %d: %v, %v", link, port, got, err)
				}
			}
		}
	}
}

func TestFilterErrors(t *testing.T) {
	for expr, want := range map[string]string{
		"tcp prot 80":    `filter "tcp prot 80": can't parse filter expression: syntax error`,
		"tcp port 70000": `filter "tcp port 70000": illegal port number 70000 > 65535`,
		"ip broadcast":   `filter "ip broadcast": netmask not known, so 'ip broadcast' not supported`,

		strings.Repeat("tcp ", 300): `filter "` + strings.Repeat("tcp ", 250) + `"...: can't parse filter expression: syntax error`,
	} {
		f, err := NewFilter(expr)
		if f != nil || err == nil || err.Error() != want {
			t.Errorf("%s: %v", expr, err)
		}
		if bad, ok := errors.AsType[*FilterError](err); !ok || bad.Expr != expr || bad.Link != LinkEthernet {
			t.Errorf("%s: %#v", expr, err)
		}
	}
}

// A link type that libpcap cannot filter is reported once, and matches nothing.
func TestFilterUnknownLinkType(t *testing.T) {
	f, err := NewFilter("tcp")
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range []LinkType{4711, 195} {
		frame := Frame{Data: udpTo(1), Link: link}
		matched, err := f.Matches(&frame)
		bad, ok := errors.AsType[*FilterError](err)
		if matched || !ok || bad.Link != link || !strings.Contains(err.Error(), "link type "+link.String()+": ") {
			t.Errorf("%v: %v, %v", link, matched, err)
		}
		ethernet := Frame{Data: udpTo(1), Link: LinkEthernet}
		for _, again := range []*Frame{&frame, &ethernet, &frame} {
			if matched, err := f.Matches(again); matched || err != nil {
				t.Errorf("%v, again: %v, %v", again.Link, matched, err)
			}
		}
	}
}

// Keywords that libpcap knows only for some link types are not taken for a typo.
func TestFilterOfOneKindOfLinkType(t *testing.T) {
	for expr, link := range map[string]LinkType{
		"type mgt":       LinkIEEE80211,
		"radio[0] = 0":   LinkRadiotap,
		"inbound":        LinkLinuxSLL,
		"ifindex 2":      LinkLinuxSLL2,
		"action pass":    LinkPFLog,
		"vpi 1":          LinkSunATM,
		"ether host $1a": LinkARCNETBSD,
		"fisu":           LinkMTP2,
	} {
		f, err := NewFilter(expr)
		if err != nil {
			t.Errorf("%s: %v", expr, err)
			continue
		}
		for _, of := range []LinkType{link, LinkNull} {
			_, err := f.Matches(&Frame{Data: make([]byte, 64), Length: 64, Link: of})
			if (err == nil) != (of == link) {
				t.Errorf("%s: link type %v: %v", expr, of, err)
			}
		}
	}
}

func TestFilterOddFrames(t *testing.T) {
	for _, test := range []struct {
		expr  string
		frame Frame
		want  bool
	}{
		{"", Frame{Link: 4711}, true},
		{"less 100", Frame{Length: 60, Link: LinkEthernet}, true},
		{"greater 100", Frame{Length: 1500, Link: LinkEthernet}, true},
		{"greater 100", Frame{Data: make([]byte, 200), Length: 60, Link: LinkEthernet}, false},
		{"udp", Frame{Data: make([]byte, 13), Length: 60, Link: LinkEthernet}, false},
	} {
		f, err := NewFilter(test.expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := f.Matches(&test.frame); got != test.want || err != nil {
			t.Errorf("%q on %d of %d octets: %v, %v", test.expr, len(test.frame.Data), test.frame.Length, got, err)
		}
	}
}

func TestFilterAllocatesNothing(t *testing.T) {
	f, err := NewFilter("udp dst port 53")
	if err != nil {
		t.Fatal(err)
	}
	frame := Frame{Data: append(linkHeaders[LinkEthernet], udpTo(53)...), Length: 42, Link: LinkEthernet}
	if n := testing.AllocsPerRun(1000, func() { f.Matches(&frame) }); n != 0 {
		t.Errorf("%v allocations a packet", n)
	}
}

func BenchmarkFilter(b *testing.B) {
	f, err := NewFilter("udp dst port 53")
	if err != nil {
		b.Fatal(err)
	}
	frame := Frame{Data: append(linkHeaders[LinkEthernet], udpTo(53)...), Length: 42, Link: LinkEthernet}
	for b.Loop() {
		f.Matches(&frame)
	}
}
