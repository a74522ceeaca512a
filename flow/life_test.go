package flow

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// lifeOf returns what a record says of its Flow's life: packets, End and end reason.
func lifeOf(r Record) string {
	final := ""
	if !r.Final {
		final = ", more"
	}
	return fmt.Sprintf("#%d %d/%d packets, %g-%g s, %v%s", r.Sequence, r.Source.Packets+r.Destination.Packets,
		r.Source.Total.Packets+r.Destination.Total.Packets, float64(r.Start)/1e9, float64(r.End)/1e9, r.EndReason, final)
}

func TestLife(t *testing.T) {
	const other = "10.0.0.8:1 > 10.0.0.9:2"
	answered := []Packet{tcp(to, SYN, at(0)), tcp(from, SYN|ACK, at(0))}
	with := func(more ...Packet) []Packet { return append(answered[:2:2], more...) }
	tests := []struct {
		name    string
		o       Options
		packets []Packet
		want    []string
	}{
		{"an attempt lives 30 s", Options{}, []Packet{tcp(to, SYN, at(0)), tcp(to, SYN, at(30)), tcp(to, SYN, at(60.1))}, []string{
			"#0 2/2 packets, 0-30 s, idle-timeout", "#0 1/1 packets, 60.1-60.1 s, forced-end"}},
		{"datagrams live 60 s", Options{}, []Packet{udp(to, at(0)), udp(from, at(0)), udp(to, at(60)), udp(to, at(121))}, []string{
			"#0 3/3 packets, 0-60 s, idle-timeout", "#0 1/1 packets, 121-121 s, forced-end"}},
		{"a connection lives 5 min", Options{}, with(tcp(to, ACK, at(300)), tcp(to, ACK, at(601))), []string{
			"#0 3/3 packets, 0-300 s, idle-timeout", "#0 1/1 packets, 601-601 s, forced-end"}},
		{"a longer idle timeout is for connections", Options{IdleTimeout: time.Hour, ActiveTimeout: 2 * time.Hour}, with(tcp(to, ACK, at(3600)), udp(other, at(3600)), udp(other, at(3631))), []string{
			"#0 1/1 packets, 3600-3600 s, idle-timeout", "#0 3/3 packets, 0-3600 s, forced-end", "#0 1/1 packets, 3631-3631 s, forced-end"}},
		{"a shorter one is for all", Options{IdleTimeout: 2 * time.Second}, with(tcp(to, ACK, at(2.1)), udp(other, at(3)), udp(other, at(5.1))), []string{
			"#0 2/2 packets, 0-0 s, idle-timeout", "#0 1/1 packets, 2.1-2.1 s, idle-timeout", "#0 1/1 packets, 3-3 s, idle-timeout", "#0 1/1 packets, 5.1-5.1 s, forced-end"}},
		{"a reset lingers 5 s", Options{}, with(tcp(to, RST, at(1)), tcp(from, ACK, at(6)), tcp(from, ACK, at(11.1))), []string{
			"#0 4/4 packets, 0-6 s, end-of-flow", "#0 1/1 packets, 11.1-11.1 s, forced-end"}},
		{"a new SYN ends at once", Options{}, with(tcp(to, RST, at(1)), tcp(to, SYN, at(2))), []string{
			"#0 3/3 packets, 0-1 s, end-of-flow", "#0 1/1 packets, 2-2 s, forced-end"}},
		{"a new SYN behind the deadline", Options{}, with(tcp(to, RST, at(1)), tcp(to, SYN, at(7))), []string{
			"#0 3/3 packets, 0-1 s, end-of-flow", "#0 1/1 packets, 7-7 s, forced-end"}},
		{"active timeout", Options{ActiveTimeout: 10 * time.Second}, with(tcp(to, ACK, at(10)), tcp(to, ACK, at(11)), tcp(to, ACK, at(21)), tcp(to, ACK, at(22))), []string{
			"#0 3/3 packets, 0-10 s, active-timeout, more", "#1 2/5 packets, 11-21 s, active-timeout, more", "#2 1/6 packets, 22-22 s, forced-end"}},
		{"nothing behind an active timeout", Options{ActiveTimeout: 10 * time.Second}, with(tcp(to, ACK, at(9)), udp(other, at(400))), []string{
			"#0 3/3 packets, 0-9 s, active-timeout, more", "#1 0/3 packets, 9-9 s, idle-timeout", "#0 1/1 packets, 400-400 s, forced-end"}},
		{"idle before active", Options{ActiveTimeout: 31 * time.Second}, []Packet{tcp(to, SYN, at(0)), tcp(to, SYN, at(40))}, []string{
			"#0 1/1 packets, 0-0 s, idle-timeout", "#0 1/1 packets, 40-40 s, forced-end"}},
		{"time running backwards", Options{}, []Packet{udp(to, at(1000)), udp(from, at(3)), udp(to, at(1059)), udp(from, at(990))}, []string{
			"#0 4/4 packets, 3-1059 s, forced-end"}},
		{"a gap of days", Options{}, []Packet{udp(to, at(0)), udp(to, at(3*86400))}, []string{
			"#0 1/1 packets, 0-0 s, idle-timeout", "#0 1/1 packets, 259200-259200 s, forced-end"}},
		{"before 1970", Options{}, []Packet{udp(to, at(-200)), udp(to, at(-100)), udp(to, at(-75))}, []string{
			"#0 1/1 packets, -200--200 s, idle-timeout", "#0 2/2 packets, -100--75 s, forced-end"}},
		{"the end of time", Options{}, []Packet{udp(to, at(0)), udp(to, func(p *Packet) { p.Time = math.MaxInt64 }), udp(to, func(p *Packet) { p.Time = math.MinInt64 })}, []string{
			"#0 1/1 packets, 0-0 s, idle-timeout", fmt.Sprintf("#0 2/2 packets, %g-%g s, forced-end", math.MinInt64/1e9, math.MaxInt64/1e9)}},
		{"without time", Options{}, []Packet{udp(to, at(5)), udp(to, timeless, at(77)), udp(other, timeless)}, []string{
			"#0 2/2 packets, 5-5 s, forced-end", "#0 1/1 packets, 5-5 s, forced-end"}},
		{"without time before the first time", Options{}, []Packet{udp(to, timeless), udp(from, at(1e9)), udp(to, at(1e9))}, []string{
			"#0 3/3 packets, 1e+09-1e+09 s, forced-end"}},
		{"without time at all", Options{}, []Packet{udp(to, timeless), udp(from, timeless)}, []string{
			"#0 2/2 packets, 0-0 s, forced-end"}},
		{"at one time, by their first packets", Options{}, []Packet{udp(other, at(0)), udp(to, at(0)), udp(from, at(10)), udp(other, at(10)), udp(other, at(10)), udp(to, at(200))}, []string{
			"#0 3/3 packets, 0-10 s, idle-timeout", "#0 2/2 packets, 0-10 s, idle-timeout", "#0 1/1 packets, 200-200 s, forced-end"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := meter(test.o, test.packets...)
			for i, r := range all {
				if i >= len(test.want) || lifeOf(r) != test.want[i] {
					t.Errorf("record %d: %s", i, lifeOf(r))
				}
			}
			if len(all) != len(test.want) || t.Failed() {
				t.Errorf("want %q", test.want)
			}
		})
	}
}

// In a live capture, time goes on without packets, and records come once a tick.
func TestAdvance(t *testing.T) {
	table := NewTable(Options{})
	table.Add(&Batch{Packets: []Packet{udp(to, at(100)), udp(from, at(100))}})
	for _, s := range []float64{100, 130, 90, 160} {
		table.Advance(seconds(s))
		if all := drain(table); len(all) != 0 {
			t.Fatalf("at %g s: %+v", s, all)
		}
	}
	table.Advance(seconds(160.2))
	all := drain(table)
	if len(all) != 1 || all[0].EndReason != IdleTimeout || all[0].End != seconds(100) {
		t.Fatalf("%+v", all)
	}
	if s := table.Stats(); s.Live != 0 || s.Created != 1 || s.Exported != 1 || s.ByEndReason[IdleTimeout] != 1 {
		t.Errorf("%+v", s)
	}
}

// A late ICMP error ends its Flow at the clock's time: no record may be decided on at an
// earlier time than one that has left already, or leaves with it.
func TestLateUnreachable(t *testing.T) {
	const late, other = "10.0.0.1:1 > 10.0.0.2:9", "10.0.0.1:2 > 10.0.0.2:9"
	all := meter(Options{},
		udp(late, at(0)), udp(late, at(0)), udp(late, at(0)), // one-way, for 60 s
		udp(other, at(10.01)),             // an attempt, until 40.01
		udp(late, unreachable, at(40.05)), // rejected, which would have been over at 30
		udp(to, at(41)),
	)
	if len(all) != 3 || all[0].Source.Port() != 2 || all[1].State != Rejected || all[1].EndReason != IdleTimeout || all[1].End != 0 {
		t.Errorf("%+v", all)
	}
}

// A full partition gives up the Flow whose last packet is the furthest back.
func TestEviction(t *testing.T) {
	var paths []string // of one partition
	for port := 1; len(paths) < 5; port++ {
		path := fmt.Sprintf("10.0.0.1:%d > 10.0.0.2:9", port)
		if k := udp(path).Key; partitionOf(&k) == 7 {
			paths = append(paths, path)
		}
	}
	all := meter(Options{MaxFlows: 3 * partitions},
		udp(paths[0]), udp(paths[1]), udp(paths[2]), udp(paths[0]), // full; the second is the oldest
		udp(paths[3]), // takes its place; the third is the oldest now
		udp(paths[2]), udp(paths[4]),
	)
	var got string
	for _, r := range all {
		for i, path := range paths {
			if r.Source.Endpoint.String()+" > "+r.Destination.Endpoint.String() == path {
				got += fmt.Sprintf("%d %v, ", i, r.EndReason)
			}
		}
	}
	const want = "0 lack-of-resources, 1 lack-of-resources, 2 forced-end, 3 forced-end, 4 forced-end, "
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// Whenever a partition was scanned, it gives up the Flow that has been idle longest.
func TestEvictionOrder(t *testing.T) {
	const most = 16
	rng := rand.New(rand.NewPCG(7, 7))
	var ports []uint16 // of one partition, whose first scan comes before it is full
	for port := uint16(1000); len(ports) < 3*most; port++ {
		p := udp(fmt.Sprintf("10.0.0.1:%d > 10.0.0.2:9", port))
		if partitionOf(&p.Key) == partitions-1 {
			ports = append(ports, port)
		}
	}
	var packets []Packet
	var live, want []uint16 // live: the longest idle first
	for i := range 300 {
		port := ports[rng.IntN(len(ports))]
		packets = append(packets, udp(fmt.Sprintf("10.0.0.1:%d > 10.0.0.2:9", port), at(float64(i)/1000)))
		if i := slices.Index(live, port); i >= 0 {
			live = slices.Delete(live, i, i+1)
		} else if len(live) == most {
			want = append(want, live[0])
			live = live[1:]
		}
		live = append(live, port)
	}
	o := Options{MaxFlows: most * partitions}
	if early := NewTable(o).parts[partitions-1].early; early >= most {
		t.Fatalf("the first scan is at %d of %d Flows", early, most)
	}
	var got []uint16
	for _, r := range meter(o, packets...) {
		if r.EndReason == LackOfResources {
			got = append(got, max(r.Source.Port(), r.Destination.Port()))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

// The partitions of a table that fills up are scanned one after another, not all when it is
// full.
func TestScansAreSpread(t *testing.T) {
	const most = 64 << 10
	table := NewTable(Options{MaxFlows: most})
	scanned := func() (n int) {
		for i := range table.parts {
			if table.parts[i].queue != nil {
				n++
			}
		}
		return n
	}
	for b := range crowds(2 * most) {
		table.Add(b)
		switch live := table.Stats().Live; {
		case live < most*7/10 && scanned() > 0:
			t.Fatalf("%d scanned with %d Flows", scanned(), live)
		case live > most*85/100 && live < most*9/10 && (scanned() < partitions/8 || scanned() > partitions*7/8):
			t.Fatalf("%d scanned with %d Flows", scanned(), live)
		}
	}
	if n := scanned(); n != partitions {
		t.Errorf("%d scanned in a full table", n)
	}
}

func TestIgnoreVLAN(t *testing.T) {
	packets := []Packet{tcp(to, SYN, vlan(10)), tcp(from, SYN|ACK, vlan(20, 30))}
	all := meter(Options{}, packets...)
	if len(all) != 2 || all[0].VLANs != 1 || all[0].VLAN != [2]uint16{10} || all[1].VLANs != 2 || all[1].VLAN != [2]uint16{20, 30} {
		t.Errorf("%+v", all)
	}
	all = meter(Options{IgnoreVLAN: true}, packets...)
	if len(all) != 1 || all[0].State != Established || all[0].VLANs != 0 {
		t.Errorf("%+v", all)
	}
}

func TestKey(t *testing.T) {
	tests := []struct{ name, a, b string }{
		{"port", "10.0.0.1:1 > 10.0.0.2:2", "10.0.0.1:1 > 10.0.0.2:3"},
		{"ports across", "10.0.0.1:1 > 10.0.0.2:2", "10.0.0.1:2 > 10.0.0.2:1"},
		{"address", "10.0.0.1:1 > 10.0.0.2:2", "10.0.0.1:1 > 10.0.0.3:2"},
		{"version", "10.0.0.1:1 > 10.0.0.2:2", "[::10.0.0.1]:1 > [::10.0.0.2]:2"},
		{"mapped version", "10.0.0.1:1 > 10.0.0.2:2", "[::ffff:10.0.0.1]:1 > [::ffff:10.0.0.2]:2"},
		{"upper half of an address", "[1::1]:1 > [1::2]:2", "[2::1]:1 > [1::2]:2"},
	}
	for _, test := range tests {
		if tcp(test.a, 0).Key == tcp(test.b, 0).Key {
			t.Errorf("%s: %s and %s have one Key", test.name, test.a, test.b)
		}
	}
	for _, path := range []string{"10.0.0.2:1 > 10.0.0.1:2", "10.0.0.1:2 > 10.0.0.1:1", "[2001:db8::1:0:0:1]:9 > [2001:db8::1]:10", "[::1]:4 > [::1]:2"} {
		there := packet(UDP, path, vlan(3, 4))
		var src, dst string
		fmt.Sscanf(path, "%s > %s", &src, &dst)
		back := packet(UDP, dst+" > "+src, vlan(3, 4))
		if there.Key != back.Key || there.Marks == back.Marks {
			t.Errorf("%s and its answer differ: %+v, %+v", path, there, back)
		}
		first, second := there.Key.Endpoints()
		if back.Marks&Reverse == 0 {
			src, dst = dst, src
		}
		if first.String() != src || second.String() != dst {
			t.Errorf("%s: endpoints %v, %v", path, first, second)
		}
		if n, outer, inner := there.Key.VLANs(); n != 2 || outer != 3 || inner != 4 {
			t.Errorf("VLANs %d %d %d", n, outer, inner)
		}
	}
}
