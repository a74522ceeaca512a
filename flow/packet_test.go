package flow

import (
	"net/netip"
	"strings"
)

// The constructors below make a test's row read like a packet:
//
//	tcp("10.0.0.1:1234 > 10.0.0.2:80", SYN, at(1.5))

func tcp(path string, flags TCPFlags, more ...func(*Packet)) Packet {
	p := packet(TCP, path, more...)
	p.Flags = flags
	return p
}

func udp(path string, more ...func(*Packet)) Packet  { return packet(UDP, path, more...) }
func sctp(path string, more ...func(*Packet)) Packet { return packet(SCTP, path, more...) }

// packet makes a packet of 100 octets.
func packet(t Transport, path string, more ...func(*Packet)) Packet {
	src, dst, ok := strings.Cut(path, " > ")
	if !ok {
		panic("no path: " + path)
	}
	k, reverse := KeyOf(t, netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst))
	p := Packet{Key: k, Octets: 100}
	if reverse {
		p.Marks |= Reverse
	}
	for _, f := range more {
		f(&p)
	}
	return p
}

// at sets the time in seconds since the epoch.
func at(s float64) func(*Packet) { return func(p *Packet) { p.Time = seconds(s) } }

func octets(n uint32) func(*Packet) { return func(p *Packet) { p.Octets = n } }

func marked(m Marks) func(*Packet) { return func(p *Packet) { p.Marks |= m } }

func vlan(ids ...uint16) func(*Packet) {
	return func(p *Packet) {
		ids = append(ids, 0, 0)
		p.Key.SetVLANs(uint8(len(ids)-2), ids[0], ids[1])
	}
}

// data is payload, timeless a packet without time, and so on.
var (
	data        = marked(Data)
	timeless    = marked(Timeless)
	group       = marked(Group)
	request     = marked(Request)
	response    = marked(Response)
	unreachable = func(p *Packet) { p.Marks |= Unreachable; p.Octets = 0 }
	aborts      = func(p *Packet) { p.Flags |= RST } // SCTP ABORT, DCCP Reset
)

func seconds(s float64) int64 { return int64(s * 1e9) }

// meter adds the packets, flushes, and returns all records in their order.
func meter(o Options, packets ...Packet) []Record {
	t := NewTable(o)
	t.Add(&Batch{Packets: packets})
	t.Flush()
	return drain(t)
}

// drain takes all records that are ready.
func drain(t *Table) (all []Record) {
	var r Record
	for t.Next(&r) {
		all = append(all, r)
	}
	return all
}
