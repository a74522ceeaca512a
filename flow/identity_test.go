package flow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// The expected values are those of the specification's baseline, see
// github.com/corelight/community-id-spec, baseline/baseline_deflt.json.
func TestCommunityID(t *testing.T) {
	tests := []struct {
		transport Transport
		src, dst  string
		want      string
	}{
		{TCP, "128.232.110.120:34855", "66.35.250.204:80", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{TCP, "66.35.250.204:80", "128.232.110.120:34855", "1:LQU9qZlK+B5F3KDmev6m5PMibrg="},
		{TCP, "[2001:470:e5bf:dead:4957:2174:e82c:4887]:63943", "[2607:f8b0:400c:c03::1a]:25", "1:/qFaeAR+gFe1KYjMzVDsMv+wgU4="},
		{UDP, "192.168.1.52:54585", "8.8.8.8:53", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{UDP, "8.8.8.8:53", "192.168.1.52:54585", "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{SCTP, "192.168.170.8:7", "192.168.170.56:7", "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
		{SCTP, "192.168.170.56:7", "192.168.170.8:7", "1:MP2EtRCAUIZvTw6MxJHLV7N7JDs="},
		{46, "10.1.12.1:0", "10.1.12.2:0", "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="}, // RSVP has no ports
	}
	for _, test := range tests {
		k, _ := KeyOf(test.transport, netip.MustParseAddrPort(test.src), netip.MustParseAddrPort(test.dst))
		sum := communityID(&k, uint8(test.transport), hasCommunityPorts(test.transport))
		if got := string(AppendCommunityID(nil, sum)); got != test.want {
			t.Errorf("%v %s > %s: got %s, want %s", test.transport, test.src, test.dst, got, test.want)
		}
		all := meter(Options{}, packet(test.transport, test.src+" > "+test.dst))
		if all[0].CommunityID() != sum {
			t.Errorf("%v %s > %s: the record's is %x", test.transport, test.src, test.dst, all[0].CommunityID())
		}
	}
}

// DCCP and UDP-Lite have ports that version 1 does not use: other ports give the same ID.
func TestCommunityIDWithoutPorts(t *testing.T) {
	for _, transport := range []Transport{DCCP, UDPLite} {
		a := meter(Options{}, packet(transport, "10.0.0.1:1 > 10.0.0.2:2"))[0]
		b := meter(Options{}, packet(transport, "10.0.0.1:3 > 10.0.0.2:4"))[0]
		if a.CommunityID() != b.CommunityID() {
			t.Errorf("%v: %x and %x", transport, a.CommunityID(), b.CommunityID())
		}
	}
}

func TestOuterCommunityID(t *testing.T) {
	outer := udp("192.168.1.52:54585 > 8.8.8.8:53").Key
	portless := packet(46, "10.1.12.1:0 > 10.1.12.2:0").Key
	tests := []struct {
		tunnel Tunnel
		want   string
	}{
		{Tunnel{Type: VXLAN, ID: 7, Outer: outer, OuterProtocol: 17}, "1:d/FP5EW3wiY1vCndhwleRRKHowQ="},
		{Tunnel{Type: GRE, ID: 8, Outer: portless, OuterProtocol: 46}, "1:KHlLkgoJW7ifUTyTSgyVfkFHzKw="},
	}
	for _, test := range tests {
		p := tcp("10.0.0.1:1 > 10.0.0.2:2", SYN)
		p.Tunnel = 1
		p.Key.SetTunnel(99)
		table := NewTable(Options{})
		table.Add(&Batch{Packets: []Packet{p}, Tunnels: []Tunnel{test.tunnel}})
		table.Flush()
		r := drain(table)[0]
		if got := string(AppendCommunityID(nil, r.Tunnel.CommunityID())); got != test.want || r.Tunnel != test.tunnel {
			t.Errorf("%+v %s, want %s", r.Tunnel, got, test.want)
		}
	}
}

// What an ID depends on; and that it does not change between releases: two of them that see
// the same capture must agree.
func TestFlowID(t *testing.T) {
	id := func(o Options, tunnels []Tunnel, packets ...Packet) string {
		table := NewTable(o)
		table.Add(&Batch{Packets: packets, Tunnels: tunnels})
		table.Flush()
		all := drain(table)
		id := all[len(all)-1].ID()
		return hex.EncodeToString(id[:])
	}
	in := func(identity uint64) Packet {
		p := tcp(to, SYN, at(1))
		p.Tunnel = 1
		p.Key.SetTunnel(identity)
		return p
	}
	outer := udp("192.0.2.1:1 > 192.0.2.2:4789").Key
	other := udp("192.0.2.1:2 > 192.0.2.2:4789").Key
	base := id(Options{}, nil, tcp(to, SYN, at(1)))
	tunnelled := id(Options{}, []Tunnel{{Type: VXLAN, ID: 1, Outer: outer}}, in(5))
	if want := "221c4214abdfe57f1bbcb75bb88fbd63"; base != want {
		t.Errorf("ID %s, want %s", base, want)
	}
	same := []struct{ name, a, b string }{
		{"what comes behind the first packet", base, id(Options{}, nil, tcp(to, SYN, at(1)), tcp(from, SYN|ACK, at(2)))},
		{"the sender", base, id(Options{}, nil, tcp(from, SYN, at(1)))},
		{"the identity of a tunnel, which has a seed", tunnelled, id(Options{}, []Tunnel{{Type: VXLAN, ID: 1, Outer: outer}}, in(6))},
		{"outer ports, which differ by inner Flow", tunnelled, id(Options{}, []Tunnel{{Type: VXLAN, ID: 1, Outer: other}}, in(5))},
	}
	for _, test := range same {
		if test.a != test.b {
			t.Errorf("%s changed the ID", test.name)
		}
	}
	differ := []struct{ name, id string }{
		{"observer", id(Options{ObserverID: "east"}, nil, tcp(to, SYN, at(1)))},
		{"time", id(Options{}, nil, tcp(to, SYN, at(1.5)))},
		{"ordinal", id(Options{}, nil, udp(to, at(1)), tcp(to, SYN, at(1)))},
		{"transport", id(Options{}, nil, udp(to, at(1)))},
		{"VLAN", id(Options{}, nil, tcp(to, SYN, at(1), vlan(5)))},
		{"tunnel", tunnelled},
		{"tunnel id", id(Options{}, []Tunnel{{Type: VXLAN, ID: 2, Outer: outer}}, in(5))},
		{"tunnel type", id(Options{}, []Tunnel{{Type: Geneve, ID: 1, Outer: outer}}, in(5))},
	}
	seen := map[string]string{base: "nothing"}
	for _, test := range differ {
		if with, ok := seen[test.id]; ok {
			t.Errorf("a change of %s gave the same ID as a change of %s", test.name, with)
		}
		seen[test.id] = test.name
	}
}

// Up to 55 octets are one block of SHA-256, at half the cost of two.
func TestFlowIDIsOneBlock(t *testing.T) {
	const octets = 55
	p := tcp("[2001:db8::1]:1 > [2001:db8::2]:2", SYN, at(1), vlan(5))
	b := appendIdentity(nil, &p.Key, &Tunnel{}, &origin{opened: 1 << 62, first: 1 << 34})
	if len(b) > octets {
		t.Errorf("a Flow of IPv6 in a VLAN, after 17 billion packets, is %d octets, want at most %d", len(b), octets)
	}
}

// A Hasher returns what Record.ID and Record.CommunityID return, whatever fits into a block:
// also if it cannot read the state of the hashes.
func TestHasher(t *testing.T) {
	outer := udp("[2001:db8::1]:1 > [2001:db8::2]:4789").Key
	packets := []Packet{
		tcp("10.0.0.1:40000 > 10.0.0.2:80", SYN), udp("10.0.0.1:40000 > 10.0.0.2:53", vlan(5, 6)),
		packet(SCTP, "[2001:db8::1]:1 > [2001:db8::2]:2"), packet(DCCP, "10.0.0.1:1 > 10.0.0.2:2"),
	}
	for i, p := range packets {
		p.Tunnel = 1
		p.Key.SetTunnel(uint64(i + 1))
		packets = append(packets, p)
	}
	plain, opaque := NewHasher(), NewHasher()
	opaque.id.opaque, opaque.community.opaque = true, true
	if plain.id.opaque || plain.community.opaque {
		t.Error("the results cannot be taken from the states")
	}
	observer := strings.Repeat("observer", 32)
	for n := range observer { // from a part of a block to more than there is room for
		table := NewTable(Options{ObserverID: observer[:n]})
		table.Add(&Batch{Packets: slices.Clone(packets), Tunnels: []Tunnel{{Type: VXLAN, ID: 7, Outer: outer}}})
		table.Flush()
		all := drain(table)
		if len(all) != len(packets) {
			t.Fatalf("%d records", len(all))
		}
		for i := range all {
			wantID, wantCommunity := all[i].ID(), string(AppendCommunityID(nil, all[i].CommunityID()))
			for _, h := range []*Hasher{plain, opaque} {
				h.Hash(&all[i])
				id, community := h.ID(), string(h.AppendCommunityID(nil))
				if id != wantID || community != wantCommunity {
					t.Fatalf("observer of %d octets, opaque %v: %x %s, want %x %s", n, h.id.opaque, id, community, wantID, wantCommunity)
				}
			}
		}
	}
}

func TestHasherNoAllocs(t *testing.T) {
	tests := []struct {
		observer string
		blocks   float64 // of ID and Community ID, how many take their result from the state
	}{
		{"", 2},
		{strings.Repeat("observer", 8), 1},
	}
	for _, test := range tests {
		h, r := NewHasher(), meter(Options{ObserverID: test.observer}, tcp(to, SYN))[0]
		want := 0.0
		if raced {
			want = test.blocks
		}
		if n := testing.AllocsPerRun(100, func() { h.Hash(&r) }); n != want {
			t.Errorf("observer of %d octets: %v allocations, want %v", len(test.observer), n, want)
		}
	}
}

// strange is a hash whose state is not what a shortHash takes it for.
type strange struct {
	hash.Hash
	state []byte
}

func (s *strange) AppendBinary(b []byte) ([]byte, error) { return append(b, s.state...), nil }

func TestStrangeHash(t *testing.T) {
	want := sha256.Sum256([]byte("abc"))
	for _, h := range []hash.Hash{
		&strange{sha256.New(), nil}, &strange{sha256.New(), []byte("sha")}, &strange{sha256.New(), make([]byte, 200)},
		struct{ hash.Hash }{sha256.New()},
	} {
		x := newShortHash(h)
		x.set(append(x.message[:0], "abc"...))
		x.Reset()
		x.begin()
		x.end()
		if !x.opaque || !bytes.Equal(x.sum, want[:]) {
			t.Errorf("%T: opaque %v, %x", h, x.opaque, x.sum)
		}
	}
}
