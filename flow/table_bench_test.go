package flow

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// crowd makes packets of n conversations that all live at once. Each packet belongs to a
// random one; they are a microsecond apart.
func crowd(n, packets int) []Packet {
	rng := rand.New(rand.NewPCG(1, 2))
	all := make([]Packet, packets)
	for i := range all {
		all[i] = visitor(rng.Uint32N(uint32(n)), rng.IntN(2) == 0)
		all[i].Time = int64(i) * 1000
	}
	return all
}

// visitor makes a packet between the id'th client and one of 256 services.
func visitor(id uint32, reply bool) (p Packet) {
	client := [2]uint64{0, uint64(0x0a000000 + id>>8)}
	server := [2]uint64{0, uint64(0xc0000200 + id&255)}
	port := 32768 + id*7%28000
	if reply {
		p.Key.Set(4, TCP, &server, &client, 443<<16|port, 0, 0, 0)
		p.Marks = Reverse
	} else {
		p.Key.Set(4, TCP, &client, &server, port<<16|443, 0, 0, 0)
	}
	p.Octets, p.Flags = 60, ACK
	return p
}

const benchBatch = 256

// addAll meters in batches, as the command does, and takes the records.
func addAll(t *Table, packets []Packet) {
	var r Record
	for len(packets) > 0 {
		n := min(benchBatch, len(packets))
		t.Add(&Batch{Packets: packets[:n]})
		for t.Next(&r) {
		}
		packets = packets[n:]
	}
}

// BenchmarkTable is the cost of a packet by how many Flows live. The Flows are there before
// the timer runs.
func BenchmarkTable(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000, 1_000_000} {
		b.Run(fmt.Sprintf("live=%d", n), func(b *testing.B) {
			t := NewTable(Options{MaxFlows: 2 * n})
			for id := range uint32(n) {
				t.Add(&Batch{Packets: []Packet{visitor(id, false), visitor(id, true)}})
			}
			packets := crowd(n, 1<<20)
			b.ReportAllocs()
			b.ResetTimer()
			for done := 0; done < b.N; done += len(packets) {
				for i := range packets { // time goes on
					packets[i].Time += int64(len(packets)) * 1000
				}
				addAll(t, packets[:min(len(packets), b.N-done)])
			}
		})
	}
}

// BenchmarkInserts is a flood of Flows of two packets each, records included.
func BenchmarkInserts(b *testing.B) {
	t := NewTable(Options{MaxFlows: 4_000_000})
	packets := make([]Packet, 0, 2*benchBatch)
	id, now := uint32(0), int64(0)
	var r Record
	b.ReportAllocs()
	for done := 0; done < b.N; done += len(packets) {
		packets = packets[:0]
		for range benchBatch {
			p, q := visitor(id, false), visitor(id, true)
			p.Time, q.Time, now = now, now, now+10_000
			packets = append(packets, p, q)
			id++
		}
		t.Add(&Batch{Packets: packets})
		for t.Next(&r) {
		}
	}
	t.Flush()
	for t.Next(&r) {
	}
}

// BenchmarkGrowth fills a table with two million Flows, and empties it. The worst
// Add is what a packet may have to wait for: at a million packets a second, a
// millisecond is a thousand packets in the kernel's buffer.
func BenchmarkGrowth(b *testing.B) {
	const flows = 2_000_000
	var worst time.Duration
	var r Record
	packets := make([]Packet, benchBatch)
	for range b.N {
		t := NewTable(Options{MaxFlows: 2 * flows})
		for id := uint32(0); id < flows; {
			for i := range packets {
				packets[i] = visitor(id, false)
				packets[i].Time = int64(id) * 1000
				id++
			}
			began := time.Now()
			t.Add(&Batch{Packets: packets})
			worst = max(worst, time.Since(began))
			for t.Next(&r) {
			}
		}
		t.Flush()
		for t.Next(&r) {
		}
	}
	b.ReportMetric(float64(b.Elapsed())/float64(b.N)/flows, "ns/flow")
	b.ReportMetric(float64(worst.Microseconds()), "worst-µs")
}

// BenchmarkEviction is a flood of SYNs to a full table.
func BenchmarkEviction(b *testing.B) {
	t := NewTable(Options{MaxFlows: 100_000})
	packets := make([]Packet, benchBatch)
	rng := rand.New(rand.NewPCG(1, 2))
	now := int64(0)
	b.ReportAllocs()
	for done := 0; done < b.N; done += len(packets) {
		for i := range packets {
			packets[i] = visitor(rng.Uint32(), false)
			packets[i].Flags, packets[i].Time, now = SYN, now, now+1000
		}
		addAll(t, packets)
	}
}

func BenchmarkHash(b *testing.B) {
	s := newSeed()
	p := visitor(1, false)
	sum := uint64(0)
	for range b.N {
		p.Key.addr[1]++
		sum += s.hash(&p.Key) + uint64(partitionOf(&p.Key))
	}
	if sum == 0 {
		b.Log(binary.Size(sum))
	}
}

// BenchmarkHasher computes both hashes of a record; BenchmarkECS contains that.
func BenchmarkHasher(b *testing.B) {
	p := visitor(1, false)
	r := Record{Key: p.Key, Transport: TCP}
	h := NewHasher()
	b.ReportAllocs()
	for b.Loop() {
		r.origin.first++
		h.Hash(&r)
	}
}

func BenchmarkRecord(b *testing.B) {
	t := NewTable(Options{})
	p := visitor(1, false)
	t.Add(&Batch{Packets: []Packet{p}})
	t.Flush()
	x := NewEnds(1)
	var r Record
	if t.Take(x); x.Len() != 1 {
		b.Fatal("no record")
	}
	b.ReportAllocs()
	for range b.N {
		x.Record(0, &r)
	}
}
