package flow

import (
	"runtime"
	"testing"
	"time"
)

// heap returns the octets in use after garbage collection.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapInuse
}

// After a burst, a table takes at most a few times as much memory as its remaining Flows
// do. These lie anywhere among those of the burst.
func TestMemoryAfterBurst(t *testing.T) {
	const (
		burst  = 1_000_000
		stay   = 10_000
		bound  = 9 << 20
		second = int64(time.Second)
	)
	for _, tunnelled := range []bool{false, true} {
		before := heap()
		table := NewTable(Options{MaxFlows: 2 * burst})
		counts := map[uint64]int{} // of last records, by the Flow's packets
		now := int64(1e18)
		send := func(id uint32) {
			p := visitor(id, false)
			p.Time = now
			b := Batch{Packets: []Packet{p}}
			if tunnelled {
				b.Packets[0].Tunnel, b.Tunnels = 1, []Tunnel{{Type: VXLAN, ID: id}}
			}
			table.Add(&b)
			for r := (Record{}); table.Next(&r); {
				counts[r.Source.Packets]++
				if tunnelled && r.Tunnel.ID == 0 {
					t.Fatalf("a Flow lost its tunnel: %+v", r)
				}
			}
		}
		for id := range uint32(burst) {
			send(id)
		}
		peak := heap()
		for i := range 600 { // 86 s: the burst times out, and there are sweeps
			now += second / 7
			table.Advance(now)
			for id := uint32(0); i%60 == 0 && id < burst; id += burst / stay {
				send(id)
			}
		}
		left := int64(heap()) - int64(before)
		t.Logf("tunnelled %v: %d MiB at the peak, %.1f MiB after it", tunnelled, (peak-before)>>20, float64(left)/(1<<20))
		if live := table.Stats().Live; live != stay {
			t.Errorf("%d Flows live, want %d", live, stay)
		}
		if left > bound {
			t.Errorf("%d octets in use after the burst, want at most %d", left, bound)
		}
		table.Flush()
		for r := (Record{}); table.Next(&r); {
			counts[r.Source.Packets]++
		}
		if counts[1] != burst-stay || counts[11] != stay {
			t.Errorf("records by packets: %v", counts)
		}
	}
}
