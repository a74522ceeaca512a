package flow

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"
	"time"
	"unsafe"
)

func TestSizes(t *testing.T) {
	if n := unsafe.Sizeof(entry{}); n != 128 {
		t.Errorf("an entry has %d octets, want two cache lines", n)
	}
	if n := unsafe.Sizeof(margin{}); n > 40 {
		t.Errorf("a margin has %d octets", n)
	}
	if n := unsafe.Sizeof(set[knowledge]{}); n != 64 {
		t.Errorf("a set of learned endpoints has %d octets, want a cache line", n)
	}
}

// populate puts n live Flows into a table.
func populate(t *Table, n int) {
	packets := make([]Packet, 0, 1000)
	for id := range uint32(n) {
		if packets = append(packets, visitor(id, false)); len(packets) == cap(packets) {
			t.Add(&Batch{Packets: packets})
			packets = packets[:0]
		}
	}
	t.Add(&Batch{Packets: packets})
}

// A live Flow costs at most 200 octets, index included; with 1.6 million of them
// the index has just grown.
func TestMemory(t *testing.T) {
	for _, n := range []int{1_000_000, 1_600_000} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := NewTable(Options{MaxFlows: 2 * n})
		populate(table, n)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if live := table.Stats().Live; live != n {
			t.Fatalf("%d Flows live, want %d", live, n)
		}
		each := float64(after.HeapAlloc-before.HeapAlloc) / float64(n)
		t.Logf("%d Flows: %.1f octets each", n, each)
		if each > 200 {
			t.Errorf("%d Flows: %.1f octets each, want at most 200", n, each)
		}
		runtime.KeepAlive(table)
	}
}

// crowds yields batches of n visitors in all, each of them new.
func crowds(n int) func(yield func(*Batch) bool) {
	return func(yield func(*Batch) bool) {
		for i := 0; i < n; {
			b := new(Batch)
			for range min(stride, n-i) {
				*b.Extend() = visitor(uint32(i), false)
				i++
			}
			if !yield(b) {
				return
			}
		}
	}
}

// A table grows into the memory that Prepare has made, from its third chunk on.
func TestStock(t *testing.T) {
	table := NewTable(Options{})
	for b := range crowds(3*chunkLength - stride) {
		if made := table.stock.made.Load(); made != nil && len(table.entries.chunks) < 2 {
			t.Fatalf("stocked up for %d Flows", table.Stats().Live)
		}
		table.Prepare(b)
		table.Add(b)
	}
	next := table.entries.next
	if next == nil || table.margins.next == nil || table.stock.made.Load() == nil {
		t.Fatal("nothing in stock")
	}
	for b := range crowds(3 * chunkLength) { // nearly all of them live already
		table.Prepare(b)
		table.Add(b)
	}
	if table.entries.chunks[3] != next {
		t.Error("the table did not grow into what was in stock")
	}
}

// Prepare works on other batches while Add grows the table, and prepares some itself.
func TestPrepareAhead(t *testing.T) {
	const n = 20 * chunkLength
	table := NewTable(Options{})
	prepared := make(chan *Batch, 4)
	go func() {
		defer close(prepared)
		for b := range crowds(n) {
			if rand.IntN(2) == 0 {
				table.Prepare(b)
			}
			prepared <- b
		}
	}()
	for b := range prepared {
		table.Add(b)
	}
	if live := table.Stats().Live; live != n {
		t.Errorf("%d Flows live, want %d", live, n)
	}
}

// No packet waits until a large table has grown: one step of growth moves the slots of a
// single partition, and the steps of all partitions do not come at one time.
func TestGrowthIsInSteps(t *testing.T) {
	const n = partitions * 2820
	table := NewTable(Options{})
	populate(table, n)
	sizes := map[int]int{}
	for i := range table.parts {
		sizes[len(table.parts[i].index.slots)]++
	}
	if len(sizes) != 2 || sizes[4096] < partitions/4 || sizes[8192] < partitions/4 {
		t.Errorf("partitions of about 2,820 Flows, by their slots: %v", sizes)
	}
}

// Nothing is allocated in steady state, whatever the packets are.
func TestNoAllocs(t *testing.T) {
	for _, o := range []Options{{}, {MaxFlows: 640}, {ActiveTimeout: time.Second}} {
		all := traffic(rand.New(rand.NewPCG(3, 3)), 12_000)
		shift := all.Packets[len(all.Packets)-1].Time - all.Packets[0].Time
		batches := slices.Collect(chunks(all, 500))
		table := NewTable(o)
		var r Record
		work := func() {
			for _, b := range batches {
				for i := range b.Packets {
					b.Packets[i].Time += shift
				}
				table.Add(b)
				for table.Next(&r) {
				}
			}
		}
		for range 5 {
			work()
		}
		if n := testing.AllocsPerRun(5, work); n != 0 {
			t.Errorf("%+v: %g allocations in 12,000 packets", o, n)
		}
	}
}

// Every packet that comes in goes out in a record, and each Flow's records agree with one
// another.
func account(t *testing.T, packets []Packet, records []Record) {
	t.Helper()
	var in, out Count
	for _, p := range packets {
		if p.Marks&Unreachable == 0 {
			plus(&in, Count{1, uint64(p.Octets)})
		}
	}
	type story struct {
		records uint32
		sum     [2]Count
		final   bool
		first   Record
	}
	flows := map[[16]byte]*story{}
	for i := range records {
		r := &records[i]
		id := r.ID()
		s := flows[id]
		if s == nil {
			s = &story{first: *r}
			flows[id] = s
		}
		if s.final || r.Sequence != s.records || r.Final != (r.EndReason != ActiveTimeout) {
			t.Fatalf("record %d is out of its Flow's sequence: %+v", i, r)
		}
		if r.Source.Endpoint != s.first.Source.Endpoint || r.Direction != s.first.Direction || r.Key != s.first.Key {
			t.Fatalf("record %d differs from its Flow's first: %+v, %+v", i, r, s.first)
		}
		plus(&s.sum[0], r.Source.Count)
		plus(&s.sum[1], r.Destination.Count)
		if s.sum != [2]Count{r.Source.Total, r.Destination.Total} {
			t.Fatalf("record %d: counts do not add up to its totals: %+v", i, r)
		}
		if r.Start > r.End || r.FlowStart > r.Start {
			t.Fatalf("record %d: times %d %d %d", i, r.FlowStart, r.Start, r.End)
		}
		s.records, s.final = s.records+1, r.Final
		plus(&out, r.Source.Count)
		plus(&out, r.Destination.Count)
	}
	if in != out {
		t.Fatalf("%+v came in, %+v went out", in, out)
	}
	for id, s := range flows {
		if !s.final {
			t.Fatalf("Flow %x has no last record", id)
		}
	}
}

func TestAccounts(t *testing.T) {
	for _, o := range []Options{{}, {ActiveTimeout: 2 * time.Second}, {MaxFlows: 64}} {
		all := traffic(rand.New(rand.NewPCG(5, 5)), 30_000)
		account(t, all.Packets, meterIn(NewTable(o), all, 300))
	}
}

// Many more Flows than may live: all are written, none twice, and the bound holds.
func TestFlood(t *testing.T) {
	const flows, most = 100_000, 10_000
	packets := make([]Packet, 0, 2*flows)
	for id := range uint32(flows) {
		for range 2 {
			p := visitor(id, false)
			p.Flags, p.Time = SYN, int64(id)*1000
			packets = append(packets, p)
		}
	}
	table := NewTable(Options{MaxFlows: most})
	all := meterIn(table, &Batch{Packets: packets}, 1000)
	account(t, packets, all)
	s := table.Stats()
	if s.Created != flows || s.Exported != flows || s.Limits.MaxFlows != s.ByEndReason[LackOfResources] {
		t.Errorf("%+v", s)
	}
	// Partitions fill unevenly: the first is full a little before the table is.
	if kept := s.ByEndReason[ForcedEnd]; kept > most+partitions || kept < most*98/100 {
		t.Errorf("%d Flows lived at the end, want %d", kept, most)
	}
	if top := table.entries.top; top > most+partitions+sweepEvery+1000 {
		t.Errorf("%d entries were in use at a time", top)
	}
}

// Even if the clock stands still, the records that wait are bounded.
func TestTimeStands(t *testing.T) {
	table := NewTable(Options{MaxFlows: 64})
	for id := range uint32(5 * sweepEvery) {
		table.Add(&Batch{Packets: []Packet{visitor(id, false)}})
		drain(table)
	}
	if top := table.entries.top; top > 2*sweepEvery {
		t.Errorf("%d entries were in use at a time", top)
	}
}

// families make Keys that differ in the ways that an attacker, or a network, may choose.
var families = []struct {
	name string
	key  func(i uint64) Key
}{
	{"ports", func(i uint64) Key { return Key{addr: [4]uint64{0, 1, 0, 2}, ports: i << 32, network: 0x406} }},
	{"both ports", func(i uint64) Key {
		return Key{addr: [4]uint64{0, 1, 0, 2}, ports: i&63<<48 | i>>6<<32, network: 0x406}
	}},
	{"addresses", func(i uint64) Key { return Key{addr: [4]uint64{0, i, 0, 2}, ports: 5 << 32, network: 0x406} }},
	{"both addresses alike", func(i uint64) Key { return Key{addr: [4]uint64{0, i, 0, i}, ports: 5 << 32, network: 0x406} }},
	{"sum of addresses", func(i uint64) Key { return Key{addr: [4]uint64{0, i, 0, 1<<32 - i}, ports: 5 << 32, network: 0x406} }},
	{"address and port", func(i uint64) Key { return Key{addr: [4]uint64{0, i, 0, 2}, ports: i << 48, network: 0x406} }},
	{"upper halves", func(i uint64) Key {
		return Key{addr: [4]uint64{i << 40, 1, i << 40, 1}, ports: 5 << 32, network: 0x606}
	}},
	{"halves swapped", func(i uint64) Key { return Key{addr: [4]uint64{i, ^i, ^i, i}, ports: 5 << 32, network: 0x606} }},
	{"VLANs", func(i uint64) Key { return Key{addr: [4]uint64{0, 1, 0, 2}, ports: 5<<32 | i, network: 0x20406} }},
	{"tunnels", func(i uint64) Key { return Key{addr: [4]uint64{0, 1, 0, 2}, ports: 5 << 32, network: 0x406, tunnel: i} }},
}

// spread returns how many of 4096 slots the Keys' hashes fall into, and the largest number
// that share one.
func spread(s *seed, keys []Key) (used, worst int) {
	var slots [4096]int
	for i := range keys {
		n := &slots[s.hash(&keys[i])>>52]
		if *n++; *n == 1 {
			used++
		}
		worst = max(worst, *n)
	}
	return used, worst
}

// 4096 Keys thrown at random into 4096 slots use 63% of them, give or take 0.4%, and eleven
// in one slot happen once in ten thousand times.
func scattered(used, worst int) bool { return used > 2460 && worst < 13 }

func TestHashScatters(t *testing.T) {
	for _, f := range families {
		s := newSeed()
		keys := make([]Key, 4096)
		for i := range keys {
			keys[i] = f.key(uint64(i))
		}
		if used, worst := spread(&s, keys); !scattered(used, worst) {
			t.Errorf("%s: %d slots used, %d Keys in one", f.name, used, worst)
		}
	}
}

// Keys chosen to collide under one seed, by someone who knows it, do not
// collide under another.
func TestChosenKeysDoNotCollide(t *testing.T) {
	known := newSeed()
	for _, f := range families {
		if f.name == "VLANs" || f.name == "ports" || f.name == "both ports" {
			continue // too few bits to choose from
		}
		keys := make([]Key, 0, 4096)
		for i := uint64(0); len(keys) < cap(keys) && i < 1<<32; i++ {
			if k := f.key(i); known.hash(&k)>>57 == 0 { // one slot of 128
				keys = append(keys, k)
			}
		}
		if used, _ := spread(&known, keys); used > 32 {
			t.Fatalf("%s: the Keys were chosen badly: %d slots", f.name, used)
		}
		for range 10 {
			other := newSeed()
			if used, worst := spread(&other, keys); !scattered(used, worst) {
				t.Errorf("%s: under another seed %d slots used, %d Keys in one", f.name, used, worst)
			}
		}
	}
}

// Partitions get about equal shares of the usual Keys.
func TestPartitions(t *testing.T) {
	for _, f := range families {
		if f.name == "VLANs" || f.name == "tunnels" {
			continue // these share a partition, as they must
		}
		var share [partitions]int
		for i := range uint64(64 * partitions) {
			k := f.key(i)
			share[partitionOf(&k)]++
		}
		if low, high := slices.Min(share[:]), slices.Max(share[:]); low < 25 || high > 110 {
			t.Errorf("%s: partitions have from %d to %d of 64 Keys", f.name, low, high)
		}
	}
}

func TestIndex(t *testing.T) {
	const n = 500
	rng := rand.New(rand.NewPCG(1, 1))
	x := newIndex(partitions - 1)
	var entries slab[entry]
	want := map[uint32]uint32{} // entry to tag
	for step := range 50_000 {
		if rng.IntN(n) >= len(want) {
			i := entries.take()
			entries.at(i).key.ports = uint64(step)
			tag := rng.Uint32() >> 3 << rng.IntN(3) * rng.Uint32N(2) // tags meet, at both ends
			want[i] = tag
			x.insert(tag, i)
		} else {
			for i, tag := range want {
				x.remove(tag, i)
				if x.find(tag, &entries.at(i).key, &entries) != 0 {
					t.Fatalf("entry %d was found after its removal", i)
				}
				delete(want, i)
				entries.give(i)
				break
			}
		}
		if step%100 == 0 {
			for i, tag := range want {
				if got := x.find(tag, &entries.at(i).key, &entries); got != i {
					t.Fatalf("step %d: entry %d was found as %d", step, i, got)
				}
			}
		}
	}
	if x.used != len(want) || len(x.slots) > 2048 {
		t.Errorf("%d used of %d, want %d", x.used, len(x.slots), len(want))
	}
}

// FuzzTable makes packets from bytes: the table must agree with its twin, in batches of any
// size, and its records must account for every packet.
func FuzzTable(f *testing.F) {
	f.Add([]byte{}, uint8(0), uint8(0))
	f.Add([]byte("\x00\x00\x02\x00\x01\x00\x01\x00\x12\x00\x02\x00\x00\x00\x10\x40"), uint8(1), uint8(1)) // a handshake
	f.Add([]byte("\x00\x00\x04\x00\x01\x00\x01\x00\x04\xff"), uint8(9), uint8(2))                         // resets and a jump
	f.Add(bytes.Repeat([]byte("\x00\x80\x10\x0f\x07"), 40), uint8(3), uint8(3))                           // active timeouts
	f.Fuzz(func(t *testing.T, data []byte, size, option uint8) {
		o := []Options{{}, {MaxFlows: 1}, {ActiveTimeout: time.Second}, {IdleTimeout: time.Second, IgnoreVLAN: true}}[option%4]
		all := packetsOf(data)
		want := twin{o: o, known: lore{}}
		want.addAll(all)
		want.flush()
		got := meterIn(NewTable(o), all, int(size)+1)
		sameRecords(t, got, want.out)
		account(t, all.Packets, got)
	})
}

// packetsOf reads a packet from each five octets: path, marks, flags, octets, and how far
// time goes forward or back.
func packetsOf(data []byte) *Batch {
	all := &Batch{Tunnels: []Tunnel{{Type: GRE, ID: 1}}}
	now := int64(1e18)
	transports := []Transport{TCP, UDP, SCTP, DCCP}
	for c := range slices.Chunk(data, 5) {
		if len(c) < 5 || len(all.Packets) == 4096 {
			break
		}
		path := fmt.Sprintf("10.0.0.%d:%d > 10.0.0.9:80", c[0]>>1&7, 1+c[0]>>6)
		if c[0]&1 != 0 {
			path = fmt.Sprintf("10.0.0.9:80 > 10.0.0.%d:%d", c[0]>>1&7, 1+c[0]>>6)
		}
		p := packet(transports[c[0]>>4&3], path, octets(uint32(c[3])*9))
		p.Marks |= Marks(c[1]) &^ Reverse
		p.Flags = TCPFlags(c[2])
		if p.Marks&Unreachable != 0 {
			p.Flags, p.Octets = 0, 0
		}
		if c[3]&7 == 7 {
			p.Tunnel = 1
			p.Key.SetTunnel(7)
		}
		if c[3]&7 == 6 {
			p.Key.SetVLANs(1, 9, 0)
		}
		now += int64(int8(c[4])) << (c[4] & 31)
		p.Time = now
		all.Packets = append(all.Packets, p)
		if c[3]&7 == 5 {
			all.Announcements = append(all.Announcements, Announcement{
				Packet: len(all.Packets) - 1, Transport: p.Key.Transport(), Port: 1 + uint16(c[1])&1*79, Asker: c[2]&1 != 0,
			})
		}
	}
	return all
}

// TestBatchReset: a batch that is filled again is prepared again.
func TestBatchReset(t *testing.T) {
	table := NewTable(Options{})
	var b Batch
	for _, path := range []string{"10.0.0.1:1 > 10.0.0.2:2", "10.0.0.3:1 > 10.0.0.4:2", "10.0.0.2:2 > 10.0.0.1:1"} {
		b.Reset()
		b.Packets = append(b.Packets, packet(UDP, path))
		table.Add(&b)
	}
	if n := table.Stats().Created; n != 2 {
		t.Errorf("%d Flows of 2", n)
	}
}
