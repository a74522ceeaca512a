package flow

import (
	"bytes"
	"cmp"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"net/netip"
	"slices"
	"testing"
	"time"
)

// A twin is a Table written without a thought of speed: a Flow is the list of its packets,
// all Flows are looked at whenever one might have ended, and all waiting records are
// sorted. What a Table says must equal what its twin says, to the last field.
type twin struct {
	o       Options
	flows   []*twinFlow
	clock   int64
	first   int64
	timed   bool
	ordinal uint64
	known   lore
	said    []twinPromise
	pending []*twinEnding
	out     []Record
	hashes  []twinHashes // of out
	evicted uint64
	created uint64
}

type twinFlow struct {
	key     Key
	packets []twinPacket
	progress
	sequence  uint32
	reported  int     // how many of packets were reported
	starts    []int64 // of the records so far
	end       int64   // of the last one
	bornAt    int64
	born      uint64
	tunnel    *Tunnel
	source    int
	direction Direction
}

// A twinPromise is what was announced, and the clock then or when it was last matched.
type twinPromise struct {
	end       Endpoint
	transport Transport
	asker     bool
	clock     int64
}

type twinPacket struct {
	Packet
	clock   int64
	ordinal uint64
}

type twinEnding struct {
	decided int64
	reason  EndReason
	flow    *twinFlow
	frozen  twinFlow
}

func (w *twin) idle(f *twinFlow) int64 {
	established := w.o.IdleTimeout
	if established == 0 {
		established = 5 * time.Minute
	}
	limit := established
	switch {
	case f.facts&over != 0:
		limit = min(limit, 5*time.Second)
	case f.state == Attempt || f.state == Rejected:
		limit = min(limit, 30*time.Second)
	case f.state != Established || f.key.Transport() != TCP:
		limit = min(limit, time.Minute)
	}
	return f.packets[len(f.packets)-1].clock + int64(limit)
}

func (w *twin) active(f *twinFlow) int64 {
	if f.reported == len(f.packets) {
		return never
	}
	limit := w.o.ActiveTimeout
	if limit == 0 {
		limit = 30 * time.Minute
	}
	return f.packets[f.reported].clock + int64(limit)
}

func (w *twin) add(p Packet, tunnels []Tunnel) {
	w.ordinal++
	if p.Marks&Timeless == 0 {
		w.turn(p.Time)
	}
	if w.ordinal%sweepEvery == 0 {
		w.sweep(w.clock)
	}
	if w.o.IgnoreVLAN {
		p.Key.SetVLANs(0, 0, 0)
	}
	f := w.find(p.Key)
	if f != nil && w.expire(f, w.clock) {
		f = nil
	}
	from := int(p.Marks & Reverse)
	if p.Marks&Unreachable != 0 {
		if f != nil {
			f.unreachable(p.Key.Transport(), from, f.sent())
			if w.idle(f) < w.clock {
				w.conclude(f, w.clock, IdleTimeout)
			}
		}
		return
	}
	if f != nil && f.reopens(&p) {
		w.conclude(f, w.clock, EndOfFlow)
		f = nil
	}
	if f == nil {
		f = w.begin(p, tunnels)
	}
	f.packets = append(f.packets, twinPacket{p, w.clock, w.ordinal})
	was := f.state
	f.step(&p, from, f.sent())
	w.learn(f, &p, from, was)
}

func (w *twin) learn(f *twinFlow, p *Packet, from int, was State) {
	sender, receiver := f.key.service(from), f.key.service(1-from)
	byHandshake := f.facts&opened != 0
	answered := f.state == Established || f.state == Closed || f.state == Reset
	switch {
	case f.state == was:
		if f.state == Attempt && (p.Flags&SYN != 0 && p.Flags&ACK != 0 && p.Flags&RST == 0 || p.Marks&Response != 0) {
			w.known.serve(sender)
		}
	case was == Established || f.facts&(groupFirst|groupSecond) != 0:
	case answered && byHandshake:
		w.known.serve(f.key.service(int(1 - f.facts/secondOpened&1)))
	case byHandshake:
	case answered || f.state == OneWay:
		w.known.meet(sender, receiver)
	case f.state == Rejected && f.sent()[1-from].Packets == 0:
		if p.Flags&ACK != 0 {
			w.known.refuse(sender, receiver)
		} else {
			w.known.meet(receiver, sender)
		}
	}
}

// addAll takes in the packets of a batch, each with what it announced.
func (w *twin) addAll(b *Batch) {
	for i, p := range b.Packets {
		w.add(p, b.Tunnels)
		for _, a := range b.Announcements {
			if a.Packet == i {
				w.hear(p, a)
			}
		}
	}
}

// hear takes in an announcement after its packet. It replaces what the endpoint was
// announced as before.
func (w *twin) hear(p Packet, a Announcement) {
	first, second := p.Key.Endpoints()
	sender := first
	if p.Marks&Reverse != 0 {
		sender = second
	}
	end := netip.AddrPortFrom(sender.Addr(), a.Port)
	w.said = slices.DeleteFunc(w.said, func(old twinPromise) bool { return old.end == end && old.transport == a.Transport })
	w.said = append(w.said, twinPromise{end, a.Transport, a.Asker, w.clock})
}

// expected returns the bits of the sides that were announced as the service.
func (w *twin) expected(k Key) (sides facts) {
	first, second := k.Endpoints()
	for i := range w.said {
		s := &w.said[i]
		if s.transport != k.Transport() || s.end != first && s.end != second || w.clock-s.clock > int64(5*time.Minute) {
			continue
		}
		s.clock = w.clock
		if (s.end == first) != s.asker {
			sides |= announcedFirst
		}
		if (s.end == second) != s.asker {
			sides |= announcedSecond
		}
	}
	if sides == announcedFirst|announcedSecond {
		return 0
	}
	return sides
}

func (w *twin) find(k Key) *twinFlow {
	for _, f := range w.flows {
		if f.key == k {
			return f
		}
	}
	return nil
}

func (w *twin) begin(p Packet, tunnels []Tunnel) *twinFlow {
	most := w.o.MaxFlows
	if most == 0 {
		most = 1_000_000
	}
	var rivals []*twinFlow
	for _, f := range w.flows {
		if partitionOf(&f.key) == partitionOf(&p.Key) {
			rivals = append(rivals, f)
		}
	}
	if len(rivals) >= (most+63)/64 {
		oldest := slices.MinFunc(rivals, func(a, b *twinFlow) int {
			return cmp.Compare(a.packets[len(a.packets)-1].ordinal, b.packets[len(b.packets)-1].ordinal)
		})
		if !w.expire(oldest, w.clock) {
			w.conclude(oldest, w.clock, LackOfResources)
			w.evicted++
		}
	}
	f := &twinFlow{key: p.Key, bornAt: w.clock, born: w.ordinal}
	f.begin(&p)
	f.facts |= w.expected(p.Key)
	if w.clock-w.first > int64(min(time.Minute, cmp.Or(w.o.IdleTimeout, time.Minute))) {
		f.facts |= settled
	}
	if p.Tunnel != 0 {
		f.tunnel = &tunnels[p.Tunnel-1]
	}
	w.flows = append(w.flows, f)
	w.created++
	return f
}

func (f *twinFlow) sent() *[2]Count {
	var n [2]Count
	for _, p := range f.packets {
		n[p.Marks&Reverse].Packets++
	}
	return &n
}

func (w *twin) turn(now int64) {
	if !w.timed {
		w.timed, w.clock, w.first = true, now, now
		for _, f := range w.flows {
			f.bornAt = now
			for i := range f.packets {
				f.packets[i].clock = now
			}
		}
	}
	const tick = 1 << 25
	if old := w.clock; now > old {
		w.clock = now
		if begin := now &^ (tick - 1); begin > old {
			w.sweep(begin)
		}
	}
}

func (w *twin) expire(f *twinFlow, limit int64) (ended bool) {
	if a := w.active(f); a < limit && a < w.idle(f) {
		w.pending = append(w.pending, &twinEnding{a, ActiveTimeout, f, *f})
		reported := w.frame(f)
		f.end = reported.End
		f.starts = append(slices.Clip(f.starts), reported.Start)
		f.sequence++
		f.reported = len(f.packets)
	}
	if w.idle(f) >= limit {
		return false
	}
	reason := IdleTimeout
	if f.facts&over != 0 {
		reason = EndOfFlow
	}
	w.conclude(f, w.idle(f), reason)
	return true
}

func (w *twin) conclude(f *twinFlow, decided int64, reason EndReason) {
	w.pending = append(w.pending, &twinEnding{decided, reason, f, *f})
	w.flows = slices.DeleteFunc(w.flows, func(g *twinFlow) bool { return g == f })
}

func (w *twin) expireAll(limit int64) {
	for _, f := range slices.Clone(w.flows) {
		w.expire(f, limit)
	}
}

func (w *twin) sweep(limit int64) {
	w.expireAll(limit)
	w.release()
}

func (w *twin) flush() {
	w.expireAll(w.clock)
	for _, f := range slices.Clone(w.flows) {
		w.conclude(f, w.clock, ForcedEnd)
	}
	w.release()
}

func (w *twin) release() {
	slices.SortFunc(w.pending, func(a, b *twinEnding) int {
		return cmp.Or(cmp.Compare(a.decided, b.decided), cmp.Compare(a.flow.born, b.flow.born))
	})
	for _, e := range w.pending {
		if e.flow.direction.Method == 0 {
			w.judge(e.flow, &e.frozen)
		}
		e.frozen.direction, e.frozen.source = e.flow.direction, e.flow.source
		w.out = append(w.out, w.record(&e.frozen, e.reason))
	}
	w.pending = nil
}

func (w *twin) judge(f, then *twinFlow) {
	first, second := f.key.Endpoints()
	v := evidence{
		transport: f.key.Transport(),
		port:      [2]uint16{first.Port(), second.Port()},
		opener:    nobody, group: nobody, announced: nobody,
		beginner: int(then.packets[0].Marks & Reverse),
		settled:  then.facts&settled != 0,
	}
	if then.facts&opened != 0 {
		v.opener = int(then.facts / secondOpened & 1)
	}
	switch then.facts & (announcedFirst | announcedSecond) {
	case announcedFirst:
		v.announced = 0
	case announcedSecond:
		v.announced = 1
	}
	toFirst, toSecond := false, false
	for _, p := range then.packets {
		if p.Marks&Group != 0 {
			toFirst = toFirst || p.Marks&Reverse != 0
			toSecond = toSecond || p.Marks&Reverse == 0
		}
	}
	for _, p := range then.packets {
		v.flags[p.Marks&Reverse] |= p.Flags
	}
	if toFirst != toSecond {
		v.group = 1
		if toFirst {
			v.group = 0
		}
	}
	for side := range 2 {
		v.known[side] = w.known[f.key.service(side)]
		v.assigned[side] = w.o.Assigned != nil && w.o.Assigned(v.transport, v.port[side])
	}
	service, d := v.verdict()
	f.source, f.direction = 1-service, d
}

// frame returns the times of the packets not yet reported.
func (w *twin) frame(f *twinFlow) (r Record) {
	r.Start, r.End = never, -never
	for _, p := range f.packets[f.reported:] {
		if p.Marks&Timeless == 0 {
			r.Start, r.End = min(r.Start, p.Time), max(r.End, p.Time)
		}
	}
	if r.Start == never {
		r.Start, r.End = f.end, f.end
		if f.sequence == 0 {
			r.Start, r.End = f.bornAt, f.bornAt
		}
	}
	return r
}

func (w *twin) record(f *twinFlow, reason EndReason) Record {
	r := w.frame(f)
	r.Sequence, r.Final = f.sequence, reason != ActiveTimeout
	r.Transport, r.Version = f.key.Transport(), f.key.Version()
	r.VLANs, r.VLAN[0], r.VLAN[1] = f.key.VLANs()
	r.EndReason, r.State, r.Midstream = reason, f.state, f.facts&midstream != 0
	r.Direction = f.direction

	ends := [2]Endpoint{}
	ends[0], ends[1] = f.key.Endpoints()
	r.Source.Endpoint, r.Destination.Endpoint = ends[f.source], ends[1-f.source]
	r.FlowStart = slices.Min(append(slices.Clip(f.starts), r.Start))
	for i, p := range f.packets {
		s := &r.Source
		if int(p.Marks&Reverse) != f.source {
			s = &r.Destination
		}
		one := Count{1, uint64(p.Octets)}
		s.Flags |= p.Flags
		plus(&s.Total, one)
		if i >= f.reported {
			plus(&s.Count, one)
			if p.Marks&LaterFragment != 0 {
				plus(&s.LaterFragments, one)
			}
		}
		r.HistoryLen = twinHistory(&r.History, r.HistoryLen, p.Packet, int(p.Marks&Reverse) == f.source)
	}
	r.Key, r.origin = f.key, origin{w.o.ObserverID, f.bornAt, f.born}
	hashes := twinHashes{id: w.id(f), community: twinCommunityID(f.key, byte(f.key.Transport()))}
	if f.tunnel != nil {
		r.Tunnel = *f.tunnel
		hashes.outer = twinCommunityID(f.tunnel.Outer, f.tunnel.OuterProtocol)
	}
	w.hashes = append(w.hashes, hashes)
	return r
}

func plus(c *Count, d Count) { c.Packets += d.Packets; c.Octets += d.Octets }

func twinHistory(text *[16]byte, n uint8, p Packet, bySource bool) uint8 {
	var now string
	switch f := p.Flags; {
	case f&SYN != 0 && f&ACK != 0:
		now = "H"
	case f&SYN != 0:
		now = "S"
	case f&ACK != 0 && f&(FIN|RST) == 0 && p.Marks&Data == 0:
		now = "A"
	}
	if p.Marks&Data != 0 {
		now += "D"
	}
	if p.Flags&FIN != 0 {
		now += "F"
	}
	if p.Flags&RST != 0 {
		now += "R"
	}
	for _, letter := range []byte(now) {
		if !bySource {
			letter += 'a' - 'A'
		}
		if !bytes.Contains(text[:], []byte{letter}) {
			text[n] = letter
			n++
		}
	}
	return n
}

func (w *twin) id(f *twinFlow) [16]byte {
	var b bytes.Buffer
	write := func(values ...any) {
		for _, v := range values {
			binary.Write(&b, binary.BigEndian, v)
		}
	}
	addresses := func(k Key) {
		first, second := k.Endpoints()
		write(first.Addr().AsSlice(), second.Addr().AsSlice())
	}
	tunnel := Tunnel{}
	if f.tunnel != nil {
		tunnel = *f.tunnel
	}
	first, second := f.key.Endpoints()
	n, outer, inner := f.key.VLANs()
	write(n, f.key.Version(), f.key.Transport(), uint8(tunnel.Type))
	addresses(f.key)
	write(first.Port(), second.Port())
	b.Write([]byte{byte(outer >> 8), byte(outer), byte(inner >> 8), byte(inner)}[:2*min(n, 2)])
	if tunnel.Type != 0 {
		write(tunnel.ID, tunnel.Outer.Version())
		addresses(tunnel.Outer)
	}
	write(f.bornAt)
	b.Write(binary.AppendUvarint(nil, f.born))
	b.WriteString(w.o.ObserverID)
	sum := sha256.Sum256(b.Bytes())
	return [16]byte(sum[:])
}

// twinCommunityID follows the words of the specification: the lower endpoint
// first, and ports for TCP, UDP and SCTP.
func twinCommunityID(k Key, protocol byte) [20]byte {
	a, b := k.Endpoints()
	data := []byte{0, 0}
	data = append(data, a.Addr().AsSlice()...)
	data = append(data, b.Addr().AsSlice()...)
	data = append(data, protocol, 0)
	if protocol == 6 || protocol == 17 || protocol == 132 {
		data = binary.BigEndian.AppendUint16(data, a.Port())
		data = binary.BigEndian.AppendUint16(data, b.Port())
	}
	return sha1.Sum(data)
}

// traffic makes a random sequence of packets between few endpoints: handshakes,
// ends, repeated ports, fragments, tunnels, time that stands, runs, jumps and
// turns back.
func traffic(rng *rand.Rand, n int) *Batch {
	b := &Batch{Tunnels: []Tunnel{}}
	for id := range uint32(3) {
		outer, _ := KeyOf(UDP, netip.MustParseAddrPort("192.0.2.1:4789"), netip.MustParseAddrPort("192.0.2.2:4789"))
		b.Tunnels = append(b.Tunnels, Tunnel{Type: 1, ID: id, Outer: outer, OuterProtocol: 17})
	}
	now := int64(1_700_000_000e9)
	for range n {
		switch rng.IntN(40) {
		case 0:
			now += rng.Int64N(int64(3 * time.Minute))
		case 1:
			now += rng.Int64N(int64(10 * time.Second))
		case 2, 3, 4, 5:
		default:
			now += rng.Int64N(int64(80 * time.Millisecond))
		}
		if rng.IntN(2000) == 0 {
			now += rng.Int64N(int64(50 * time.Hour))
		}
		p := randomPacket(rng)
		p.Time = now
		if rng.IntN(10) == 0 {
			p.Time -= rng.Int64N(int64(time.Minute))
		}
		if rng.IntN(12) == 0 {
			p.Tunnel = 1 + rng.Uint32N(3)
			p.Key.SetTunnel(uint64(p.Tunnel))
		}
		b.Packets = append(b.Packets, p)
		for rng.IntN(60) == 0 {
			b.Announcements = append(b.Announcements, Announcement{
				Packet: len(b.Packets) - 1, Transport: p.Key.Transport(), Port: randomPort(rng), Asker: rng.IntN(2) == 0,
			})
		}
	}
	return b
}

func randomPort(rng *rand.Rand) uint16 {
	return []uint16{53, 80, 443, 5353, 40000, 40001, 50000}[rng.IntN(7)]
}

func randomPacket(rng *rand.Rand) Packet {
	addresses := []string{"10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.9.9"}
	if rng.IntN(8) == 0 {
		addresses = []string{"2001:db8::1", "2001:db8::2"}
	}
	pick := func() Endpoint {
		return netip.AddrPortFrom(netip.MustParseAddr(addresses[rng.IntN(len(addresses))]), randomPort(rng))
	}
	transport := []Transport{TCP, TCP, TCP, UDP, UDP, SCTP, DCCP, UDPLite}[rng.IntN(8)]
	k, reverse := KeyOf(transport, pick(), pick())
	p := Packet{Key: k, Octets: rng.Uint32N(1500)}
	if reverse {
		p.Marks |= Reverse
	}
	if transport == TCP {
		p.Flags = []TCPFlags{SYN, SYN | ACK, ACK, ACK, ACK | PSH, FIN | ACK, RST, RST | ACK, 0, SYN | FIN}[rng.IntN(10)]
	}
	for _, m := range []Marks{Timeless, Request, Response, Group, LaterFragment, Unreachable} {
		if rng.IntN(15) == 0 {
			p.Marks |= m
		}
	}
	if rng.IntN(2) == 0 {
		p.Marks |= Data
	}
	if p.Marks&Unreachable != 0 {
		p.Flags, p.Octets = 0, 0
	}
	if rng.IntN(20) == 0 {
		p.Key.SetVLANs(1, uint16(rng.IntN(3)), 0)
	}
	return p
}

// chunks yields copies of a batch's packets, in batches of size.
func chunks(all *Batch, size int) func(yield func(*Batch) bool) {
	return func(yield func(*Batch) bool) {
		packets, said := slices.Clone(all.Packets), all.Announcements
		for from := 0; from < len(packets); from += size {
			b := &Batch{Packets: packets[from:min(len(packets), from+size)], Tunnels: all.Tunnels}
			for ; len(said) > 0 && said[0].Packet < from+size; said = said[1:] {
				a := said[0]
				a.Packet -= from
				b.Announcements = append(b.Announcements, a)
			}
			if !yield(b) {
				return
			}
		}
	}
}

// latePackets returns how many packets are behind the largest time before them by more than
// this.
func latePackets(b *Batch, than int64) (n uint64) {
	clock := int64(math.MinInt64)
	for i := range b.Packets {
		p := &b.Packets[i]
		if p.Marks&Timeless != 0 {
			continue
		}
		clock = max(clock, p.Time)
		if clock-p.Time > than {
			n++
		}
	}
	return n
}

// meterIn meters a copy of the packets in batches of size, some of which are prepared
// beforehand.
func meterIn(t *Table, all *Batch, size int) (records []Record) {
	for b := range chunks(all, size) {
		if len(records)%2 == 1 {
			t.Prepare(b)
		}
		t.Add(b)
		records = append(records, drain(t)...)
	}
	t.Flush()
	return append(records, drain(t)...)
}

func TestTwin(t *testing.T) {
	tests := []Options{
		{},
		{IdleTimeout: 7 * time.Second, ActiveTimeout: 20 * time.Second, ObserverID: "east"},
		{IdleTimeout: 10 * time.Minute, ActiveTimeout: 30 * time.Millisecond},
		{MaxFlows: 64, IgnoreVLAN: true},
		{MaxFlows: 200, ActiveTimeout: time.Second},
		{MaxFlows: 300}, // enough for some partitions to be scanned early
		{MaxFlows: 1, Assigned: func(_ Transport, port uint16) bool { return port < 40001 }},
	}
	for i, o := range tests {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			for seed := range uint64(3) {
				n := 3000
				if seed == 0 {
					n = sweepEvery + sweepEvery/4
				}
				all := traffic(rand.New(rand.NewPCG(seed, uint64(i))), n)
				want := twin{o: o, known: lore{}}
				want.addAll(all)
				want.flush()
				for _, size := range []int{1, 7, 1000} {
					table := NewTable(o)
					table.few = uint32(size) // to shrink often, rarely, or not at all
					got := meterIn(table, all, size)
					sameRecords(t, got, want.out)
					sameHashes(t, got, want.hashes)
					s := table.Stats()
					// Lateness is not checked within a tick, which is shorter than any
					// timeout in use.
					if late := latePackets(all, table.active); s.Limits.Late != late && table.active >= 1<<tickBits {
						t.Errorf("%d late packets, want %d", s.Limits.Late, late)
					}
					if s.Created != want.created || s.Exported != uint64(len(got)) || s.Limits.MaxFlows != want.evicted || s.Live != 0 {
						t.Errorf("stats %+v, want %d created, %d exported, %d evicted", s, want.created, len(got), want.evicted)
					}
				}
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// lore is what a twin knows about endpoints. It forgets none.
type lore map[service]knowledge

func (l lore) serve(s service) { l[s] |= servedBit }

func (l lore) meet(a, b service) {
	l[a] |= b.peer()
	l[b] |= a.peer()
}

func (l lore) refuse(s, peer service) { l[s] |= peer.peer() }

func sameRecords(t *testing.T, got, want []Record) {
	t.Helper()
	for i := range min(len(got), len(want)) {
		if got[i] != want[i] {
			t.Fatalf("record %d of %d:\n got %+v\nwant %+v", i, len(want), got[i], want[i])
		}
	}
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
}

// twinHashes are the hashes that a record computes only when asked.
type twinHashes struct {
	id               [16]byte
	community, outer [20]byte
}

func sameHashes(t *testing.T, got []Record, want []twinHashes) {
	t.Helper()
	for i := range got {
		r := &got[i]
		h := twinHashes{id: r.ID(), community: r.CommunityID()}
		if r.Tunnel.Type != 0 {
			h.outer = r.Tunnel.CommunityID()
		}
		if h != want[i] {
			t.Fatalf("record %d of %d: %x, want %x", i, len(want), h, want[i])
		}
	}
}
