package capture

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// decodeAll decodes frames of raw IP in order, a second apart, and describes all packets.
func decodeAll(d *Decoder, frames ...[]byte) string {
	var lines []string
	for i, data := range frames {
		var b flow.Batch
		f := Frame{Data: slices.Clip(data), Length: uint32(len(data)), Link: LinkRaw, Time: int64(i) * int64(time.Second)}
		lines = append(lines, describe(d.one(&f, &b), &b))
	}
	return strings.Join(lines, "\n")
}

// A datagram of 8 octets in each fragment, from 10.0.0.1:1000 to 10.0.0.2:53.
func first4(id int) []byte {
	return ip4fragment(id, 0x2000, 17, "10.0.0.1", "10.0.0.2", udp(1000, 53))
}

func later4(id, offset int) []byte {
	return ip4fragment(id, offset, 17, "10.0.0.1", "10.0.0.2", blank(8))
}

func fragment6(id, offset, next int, carried ...[]byte) []byte {
	return ip6(44, "fd00::1", "fd00::2", []byte{byte(next), 0}, u16(offset), u16(0), u16(id), slices.Concat(carried...))
}

func TestFragments(t *testing.T) {
	const first = is4
	const later = "later_fragments | udp 10.0.0.1:1000 > 10.0.0.2:53 28 later-fragment"
	const first6 = "with_ports | udp [fd00::1]:1000 > [fd00::2]:53 56"
	const later6 = "later_fragments | udp [fd00::1]:1000 > [fd00::2]:53 56 later-fragment"
	tests := []struct {
		name   string
		joined uint64
		frames [][]byte
		want   []string
	}{
		{"in order", 2, [][]byte{first4(7), later4(7, 0x2001), later4(7, 2)}, []string{first, later, later}},
		{"later ones first", 2, [][]byte{later4(7, 2), later4(7, 0x2001), first4(7)},
			[]string{"later_fragments", "later_fragments", first + strings.Repeat(later[len("later_fragments"):], 2)}},
		{"duplicates and overlaps", 3, [][]byte{first4(7), later4(7, 1), later4(7, 1), later4(7, 0x2001)}, []string{first, later, later, later}},
		{"another datagram", 0, [][]byte{first4(7), later4(8, 1)}, []string{first, "later_fragments"}},
		{"another protocol", 0, [][]byte{first4(7), ip4fragment(7, 1, 6, "10.0.0.1", "10.0.0.2", blank(8))}, []string{first, "later_fragments"}},
		{"the other direction", 0, [][]byte{first4(7), ip4fragment(7, 1, 17, "10.0.0.2", "10.0.0.1", blank(8))}, []string{first, "later_fragments"}},
		{"not ours to join", 0, [][]byte{ip4fragment(7, 1, 1, "10.0.0.1", "10.0.0.2", blank(8))}, []string{"later_fragments"}},
		{"whole packets are no datagrams", 0, [][]byte{ip4(17, "10.0.0.1", "10.0.0.2", udp(1000, 53)), later4(0, 1)}, []string{first, "later_fragments"}},
		{"first fragment too short for ports", 0, [][]byte{ip4fragment(7, 0x2000, 17, "10.0.0.1", "10.0.0.2", blank(3)), later4(7, 1)},
			[]string{"bad_transport", "later_fragments"}},
		{"identification used again", 1, [][]byte{first4(7), ip4fragment(7, 0x2000, 17, "10.0.0.1", "10.0.0.2", udp(1001, 53)), later4(7, 1)},
			[]string{first, "with_ports | udp 10.0.0.1:1001 > 10.0.0.2:53 28", "later_fragments | udp 10.0.0.1:1001 > 10.0.0.2:53 28 later-fragment"}},
		{"multicast", 1, [][]byte{ip4fragment(7, 0x2000, 17, "10.0.0.1", "239.0.0.1", udp(1000, 53)), ip4fragment(7, 1, 17, "10.0.0.1", "239.0.0.1", blank(8))},
			[]string{"with_ports | udp 10.0.0.1:1000 > 239.0.0.1:53 28 group", "later_fragments | udp 10.0.0.1:1000 > 239.0.0.1:53 28 group later-fragment"}},
		{"ipv6", 1, [][]byte{fragment6(7, 1, 17, udp(1000, 53)), fragment6(7, 8, 17, blank(8))}, []string{first6, later6}},
		{"ipv6, later ones may name another header", 1, [][]byte{fragment6(7, 1, 17, udp(1000, 53)), fragment6(7, 8, 60, blank(8))}, []string{first6, later6}},
		{"ipv6 behind options", 1, [][]byte{fragment6(7, 1, 60, octets("11 00 0000 00000000"), udp(1000, 53)), fragment6(7, 16, 60, blank(8))},
			[]string{"with_ports | udp [fd00::1]:1000 > [fd00::2]:53 64", later6[:len(later6)-len("56 later-fragment")] + "56 later-fragment"}},
		{"in a tunnel", 0, [][]byte{outer4(4, first4(7)), outer4(4, later4(7, 1))},
			[]string{"other_ip" + inner4 + "ipip 0", "other_ip | udp 10.0.0.1:1000 > 10.0.0.2:53 28 later-fragment in ipip 0"}},
		{"in another tunnel", 0, [][]byte{outer4(4, first4(7)), ip4(4, "192.0.2.1", "192.0.2.9", later4(7, 1))},
			[]string{"other_ip" + inner4 + "ipip 0", "other_ip"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := NewDecoder(DecoderOptions{})
			if got, want := decodeAll(d, test.frames...), strings.Join(test.want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			if got := d.Counters().LaterFragmentsJoined; got != test.joined {
				t.Errorf("%d joined, want %d", got, test.joined)
			}
		})
	}
}

// TestFragmentsInnermost: later fragments that waited in a tunnel come with their first one,
// also if only the innermost level is kept.
func TestFragmentsInnermost(t *testing.T) {
	d := NewDecoder(DecoderOptions{Tunnels: Inner})
	vxlan := func(carried []byte) []byte {
		return outer4(17, udp(5000, 4789, header("08000000 00000900", ethernet(0x0800, carried))))
	}
	want := "with_ports\nwith_ports" + inner4 + "vxlan 9 | udp 10.0.0.1:1000 > 10.0.0.2:53 28 later-fragment in vxlan 9"
	if got := decodeAll(d, vxlan(later4(7, 1)), vxlan(first4(7))); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// TestFragmentedTunnels: what a tunnel carries is longer than the frame if the frame is only
// the first part of what the tunnel's end sent. The later parts belong to the outer Flow, if
// there is one.
func TestFragmentedTunnels(t *testing.T) {
	long4 := ip4(6, "10.0.0.1", "10.0.0.2", tcp(1000, 53, flow.ACK, blank(1000)))
	long6 := ip6(6, "fd00::1", "fd00::2", tcp(1000, 53, flow.ACK, blank(1000)))
	// The first hundred octets of a datagram from one end to the other, and a later part.
	parts := func(port int, carried ...[]byte) [][]byte {
		datagram := udp(5000, port, carried...)
		return [][]byte{
			ip4fragment(7, 0x2000, 17, "192.0.2.1", "192.0.2.2", datagram[:104]),
			ip4fragment(7, 13, 17, "192.0.2.1", "192.0.2.2", blank(48)),
		}
	}
	outer := func(port string) []string {
		path := "udp 192.0.2.1:5000 > 192.0.2.2:" + port
		return []string{"with_ports | " + path + " 124 data", "later_fragments | " + path + " 68 later-fragment"}
	}
	capwap := octets("00 10 02 80 0001 0000") // a header of 8 octets, 802.3 behind it, the first part
	const in4 = "tcp 10.0.0.1:1000 > 10.0.0.2:53 1040 flags 0x10 data in "
	const in6 = "tcp [fd00::1]:1000 > [fd00::2]:53 1060 flags 0x10 data in "
	tests := []struct {
		name  string
		port  string
		parts [][]byte
		inner string
	}{
		{"vxlan", "4789", parts(4789, octets("08000000 00000900"), ethernet(0x0800, long4)), in4 + "vxlan 9"},
		{"vxlan of IPv6", "4789", parts(4789, octets("08000000 00000900"), ethernet(0x86dd, long6)), in6 + "vxlan 9"},
		{"gtp-u", "2152", parts(2152, octets("30 ff 0410 00000007"), long4), in4 + "gtp-u 7"},
		{"geneve", "6081", parts(6081, octets("0000 6558 00000900"), ethernet(0x0800, long4)), in4 + "geneve 9"},
		{"capwap of the first part of a wlan frame", "5247", [][]byte{outer4(17, udp(5000, 5247, octets("00 10 43 00 0000 0000"), wlan("08 05", "", llc(0x0800, long4))[:80]))}, in4 + "capwap 0"},
		{"capwap in parts of its own", "5247", [][]byte{outer4(17, udp(5000, 5247, capwap, ethernet(0x0800, long4)[:80]))}, in4 + "capwap 0"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			want := outer(test.port)[:len(test.parts)]
			if len(test.parts) == 1 {
				want[0] = "with_ports | udp 192.0.2.1:5000 > 192.0.2.2:" + test.port + " 116 data"
			}
			want[0] += " | " + test.inner
			if got, want := decodeAll(NewDecoder(DecoderOptions{}), test.parts...), strings.Join(want, "\n"); got != want {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
			want = []string{"with_ports | " + test.inner, "later_fragments"}[:len(test.parts)]
			for range 2 { // the later part has no Flow to join, and comes last or first
				d := NewDecoder(DecoderOptions{Tunnels: Inner})
				if got, want := decodeAll(d, test.parts...), strings.Join(want, "\n"); got != want {
					t.Errorf("inner: got\n%s\nwant\n%s", got, want)
				}
				if got := d.Counters().LaterFragmentsJoined; got != 0 {
					t.Errorf("inner: %d joined, want none", got)
				}
				slices.Reverse(test.parts)
				slices.Reverse(want)
			}
		})
	}
}

// TestOrphanTime: a later fragment keeps its own time and octets while it waits.
func TestOrphanTime(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	var b flow.Batch
	long := ip4fragment(7, 1, 17, "10.0.0.2", "10.0.0.1", blank(80))
	d.one(&Frame{Data: long, Length: 100, Link: LinkRaw, Time: 5}, &b)
	start := ip4fragment(7, 0x2000, 17, "10.0.0.2", "10.0.0.1", udp(1000, 53))
	d.one(&Frame{Data: start, Length: 28, Link: LinkRaw, Time: 9}, &b)
	if len(b.Packets) != 2 || b.Packets[1].Time != 5 || b.Packets[1].Octets != 100 || b.Packets[1].Marks&flow.Reverse == 0 {
		t.Errorf("got %+v", b.Packets)
	}
}

// TestFragmentLife: after a minute an identification means another datagram, whichever came first.
func TestFragmentLife(t *testing.T) {
	for _, test := range []struct {
		name   string
		after  time.Duration
		joined uint64
	}{{"in time", time.Minute, 1}, {"too late", time.Minute + 1, 0}} {
		for _, order := range [][2][]byte{{first4(7), later4(7, 1)}, {later4(7, 1), first4(7)}} {
			d := NewDecoder(DecoderOptions{})
			var b flow.Batch
			d.one(&Frame{Data: order[0], Length: 28, Link: LinkRaw}, &b)
			d.one(&Frame{Data: order[1], Length: 28, Link: LinkRaw, Time: int64(test.after)}, &b)
			if got := d.Counters().LaterFragmentsJoined; got != test.joined {
				t.Errorf("%s: %d joined, want %d", test.name, got, test.joined)
			}
		}
	}
}

// from is a fragment of one of 65,536 senders.
func from(sender, id, offset int, carried ...[]byte) []byte {
	return ip4fragment(id, offset, 17, fmt.Sprintf("10.1.%d.%d", sender>>8, sender&255), "10.0.0.2", carried...)
}

// TestFragmentFlood: one sender cannot make the table forget another's fragments, and many
// senders cannot make it grow.
func TestFragmentFlood(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	decodeAll(d, first4(7), later4(8, 1))
	for id := range 2 * maxFragments {
		decodeAll(d, from(1, id, 0x2000, udp(9, 9)), from(1, id+1, 1, blank(8)))
	}
	if got := d.Counters().Limits["fragments"]; got == 0 {
		t.Error("the limit was not counted")
	}
	before := d.Counters().LaterFragmentsJoined
	decodeAll(d, later4(7, 1), first4(8))
	if got := d.Counters().LaterFragmentsJoined - before; got != 2 {
		t.Errorf("%d of 2 joined after one sender's flood", got)
	}
	for sender := range 2 * maxFragments {
		decodeAll(d, from(sender, 1, 0x2000, udp(9, 9)), from(sender, 2, 1, blank(8)))
	}
	for name, n := range map[string]int{
		"first fragments": len(d.fragments.firsts.slots) - 1, "orphans": len(d.fragments.orphans.slots) - 1,
		"datagrams": len(d.fragments.firsts.datagrams), "senders": len(d.fragments.orphans.senders),
	} {
		if n > maxFragments {
			t.Errorf("%d %s, want at most %d", n, name, maxFragments)
		}
	}
}

// TestFragmentTable compares the table with a slow twin, a slice of all that was put.
func TestFragmentTable(t *testing.T) {
	type put struct {
		of    datagram
		seen  int64
		value int
	}
	var table fragmentTable[int]
	var twin []put
	random := uint32(1)
	next := func(n int) int { // a linear congruential generator: the same run every time
		random = random*1664525 + 1013904223
		return int(random>>16) % n
	}
	for i := range 20000 {
		of := datagram{id: uint32(next(40)), src: [2]uint64{0, uint64(next(5))}}
		switch next(5) {
		case 0:
			table.dropOldest(of)
			if at := slices.IndexFunc(twin, func(p put) bool { return p.of == of }); at >= 0 {
				twin = slices.Delete(twin, at, at+1)
			}
		case 1:
			before := int64(i - 300)
			table.expire(before)
			twin = slices.DeleteFunc(twin, func(p put) bool { return p.seen < before })
		default:
			table.put(of, i, int64(i))
			twin = append(twin, put{of, int64(i), i})
		}
		at := slices.IndexFunc(twin, func(p put) bool { return p.of == of })
		switch got := table.oldest(of); {
		case (got == nil) != (at < 0):
			t.Fatalf("step %d: found %v, twin at %d", i, got, at)
		case got != nil && *got != twin[at].value:
			t.Fatalf("step %d: got %d, want %d", i, *got, twin[at].value)
		case int(table.all.n) != len(twin):
			t.Fatalf("step %d: %d values, want %d", i, table.all.n, len(twin))
		}
	}
}

// TestFragmentNoAllocs: a full table takes no more memory.
func TestFragmentNoAllocs(t *testing.T) {
	d := NewDecoder(DecoderOptions{})
	var frames []Frame
	for sender := range 4 * maxFragments {
		for _, data := range [][]byte{from(sender, sender, 0x2000, udp(9, 9)), from(sender, sender, 1, blank(8)), from(sender, sender+1, 1, blank(8))} {
			frames = append(frames, Frame{Data: data, Length: uint32(len(data)), Link: LinkRaw})
		}
	}
	var b flow.Batch
	decodeAll := func() {
		for i := range frames {
			b.Reset()
			d.Decode(frames[i:i+1], &b)
		}
	}
	decodeAll()
	if n := testing.AllocsPerRun(2, decodeAll) / float64(len(frames)); n > 0.001 {
		t.Errorf("%v allocations a fragment", n)
	}
}
