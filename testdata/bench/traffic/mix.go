package traffic

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"

	"github.com/portwatch/portwatch/capture"
)

// window is the time that a mix spans, in microseconds.
const window = 120 * 1_000_000

// Mix writes the packets of real traces in as many copies as give at least so many packets. Each
// copy of a trace begins at its own time within two minutes and has its own addresses, so that it
// adds as many Flows again. Traces are the files below folder that end in .pcap, .pcapng or .cap,
// as far as they can be read and are usable.
func Mix(w io.Writer, folder string, packets int) (Made, error) {
	traces, found, err := load(folder)
	if err != nil {
		return Made{}, fmt.Errorf("mix: %w", err)
	}
	if found == 0 {
		return Made{}, fmt.Errorf("mix: %s: no usable trace", folder)
	}
	copies := (packets + found - 1) / found
	out := newWriter(w)
	for _, s := range schedule(traces, copies) {
		p := &traces[s.trace].packets[s.packet]
		out.frame = append(out.frame[:0], p.data...)
		rewrite(out.frame, uint32(s.copy)*uint32(len(traces))+uint32(s.trace))
		out.put(s.time, out.frame, max(p.length, len(p.data)))
	}
	return out.close()
}

// A showing is one packet of one copy of a trace, with its time in the mix.
type showing struct {
	time                int64
	trace, copy, packet int32
}

// schedule returns all packets of all copies in the order of their times.
func schedule(traces []trace, copies int) []showing {
	var all []showing
	rng := rand.New(rand.NewPCG(4, 0))
	for c := range copies {
		for t := range traces {
			first, last := traces[t].span()
			slow := 1 + (last-first)/window // by how much a longer trace is compressed in time
			begin := epoch + rng.Int64N(window-(last-first)/slow+1)
			for i, p := range traces[t].packets {
				all = append(all, showing{begin + (p.time-first)/slow, int32(t), int32(c), int32(i)})
			}
		}
	}
	slices.SortStableFunc(all, func(a, b showing) int { return cmp.Compare(a.time, b.time) })
	return all
}

// A trace is the Ethernet packets of one file.
type trace struct {
	packets []packet
}

type packet struct {
	time   int64 // microseconds
	length int   // on the wire
	data   []byte
}

// load reads the usable traces below a folder, in the order of their names, and counts their
// packets. It leaves out traces with flood in their names, which would drown the others.
func load(folder string) (traces []trace, packets int, err error) {
	err = filepath.WalkDir(folder, func(name string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() || !slices.Contains([]string{".pcap", ".pcapng", ".cap"}, filepath.Ext(name)) {
			return err
		}
		t, err := read(name)
		if err != nil {
			return err
		}
		if !strings.Contains(e.Name(), "flood") && t.usable() {
			traces = append(traces, t)
			packets += len(t.packets)
		}
		return nil
	})
	return traces, packets, err
}

// read returns what can be read of a file.
func read(name string) (t trace, err error) {
	file, err := capture.OpenFile(name)
	if _, bad := errors.AsType[*capture.FormatError](err); bad {
		return trace{}, nil
	}
	if err != nil {
		return trace{}, err
	}
	defer file.Close()
	var f capture.Frame
	for file.Next(&f) == nil {
		if f.Link == capture.LinkEthernet && !f.Timeless {
			t.packets = append(t.packets, packet{f.Time / 1000, int(f.Length), slices.Clone(f.Data)})
		}
	}
	return t, nil
}

// usable reports whether a trace is mainly IP, and not a long run of tiny packets, which is a flood
// by another name.
func (t *trace) usable() bool {
	withIP, octets := 0, 0
	for _, p := range t.packets {
		octets += len(p.data)
		if _, version := network(p.data); version != 0 {
			withIP++
		}
	}
	n := len(t.packets)
	tiny := octets < 150*n
	return n >= 2 && withIP*10 >= n*8 && !(n > 5000 && tiny)
}

// span returns the earliest and the latest time.
func (t *trace) span() (first, last int64) {
	first, last = t.packets[0].time, t.packets[0].time
	for _, p := range t.packets {
		first, last = min(first, p.time), max(last, p.time)
	}
	return first, last
}

// network returns where the IP header of a frame begins, after Ethernet and its tags, and its
// version; 0 if there is none.
func network(frame []byte) (at int, version byte) {
	at = 14
	for len(frame) >= at {
		etherType, ip := binary.BigEndian.Uint16(frame[at-2:]), frame[at:]
		switch {
		case etherType == 0x8100 || etherType == 0x88a8:
			at += 4
		case etherType == 0x0800 && len(ip) >= 20 && ip[0]>>4 == 4:
			return at, 4
		case etherType == 0x86dd && len(ip) >= 40 && ip[0]>>4 == 6:
			return at, 6
		default:
			return 0, 0
		}
	}
	return 0, 0
}

// rewrite moves a frame to the addresses of the n'th copy: it changes the last three octets of
// unicast IPv4 addresses, and the four octets after the network part of IPv6 addresses. Checksums
// stay as right as they were, except after IPv6 extension headers and inside tunnels.
func rewrite(frame []byte, n uint32) {
	n *= 0x9e3779b1 // spreads the copies over all bits, so that no two get the same addresses
	at, version := network(frame)
	if version == 0 {
		return
	}
	ip := frame[at:]
	sums := checksums(ip)
	if version == 4 {
		for _, a := range []int{12, 16} {
			if ip[a] != 0 && ip[a] < 224 {
				exchange(ip, a, uint16(n>>24), sums)
				exchange(ip, a+2, uint16(n>>8), sums)
			}
		}
		return
	}
	for _, a := range []int{8, 24} {
		if ip[a] != 0 && ip[a] != 0xff {
			exchange(ip, a+8, uint16(n>>16), sums)
			exchange(ip, a+10, uint16(n), sums)
		}
	}
}

// checksums returns where in a packet the checksums are that cover its addresses.
func checksums(ip []byte) (places []int) {
	protocol, body := ip[6], 40
	if ip[0]>>4 == 4 {
		protocol, body = ip[9], int(ip[0]&15)*4
		places = append(places, 10)
		if binary.BigEndian.Uint16(ip[6:])&0x1fff != 0 {
			return places // a later fragment
		}
	}
	switch {
	case protocol == 6 && len(ip) >= body+18:
		places = append(places, body+16)
	case protocol == 17 && len(ip) >= body+8 && binary.BigEndian.Uint16(ip[body+6:]) != 0:
		places = append(places, body+6)
	}
	return places
}

// exchange flips bits of the word at ip[at:], and updates the checksums (RFC 1624).
func exchange(ip []byte, at int, bits uint16, sums []int) {
	be := binary.BigEndian
	before := be.Uint16(ip[at:])
	after := before ^ bits
	be.PutUint16(ip[at:], after)
	for _, s := range sums {
		be.PutUint16(ip[s:], checksum(uint32(^be.Uint16(ip[s:]))+uint32(^before)+uint32(after)))
	}
}
