package export

import (
	"flag"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file of testdata, byte for byte.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s differs (go test ./export -update rewrites it); got\n%s\nwant\n%s", path, got, want)
	}
}

// testRegistry is a small one of our own: some of IANA's rows, and some that
// only an enemy would write.
func testRegistry(t testing.TB) *registry.Registry {
	t.Helper()
	reg, err := parsedRegistry()
	if err != nil {
		t.Fatal(err)
	}
	return reg
}

var parsedRegistry = sync.OnceValues(func() (*registry.Registry, error) {
	f, err := os.Open("testdata/registry.csv")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reg, _, err := registry.Parse(f, f.Name())
	return reg, err
})

// noon is the time from which the test records count.
var noon = time.Date(2026, time.November, 22, 12, 0, 0, 204_000_001, time.UTC)

// conversation returns a Flow of one record that began after noon: source and
// destination as endpoints, with a handshake, answered, and 12 packets.
func conversation(t flow.Transport, source, destination string, after time.Duration, state flow.State) *flow.Record {
	r := &flow.Record{
		Transport: t, State: state, Final: true, EndReason: flow.IdleTimeout,
		Start: noon.Add(after).UnixNano(), End: noon.Add(after + 1500*time.Millisecond).UnixNano(),
		Direction: flow.Direction{Method: flow.Handshake, Confidence: flow.High},
	}
	r.FlowStart = r.Start
	r.Source.Endpoint = netip.MustParseAddrPort(source)
	r.Destination.Endpoint = netip.MustParseAddrPort(destination)
	r.Version = 4
	if r.Source.Addr().Is6() {
		r.Version = 6
	}
	r.Source.Count = flow.Count{Packets: 7, Octets: 700}
	r.Destination.Count = flow.Count{Packets: 5, Octets: 2400}
	if state == flow.Attempt {
		r.Source.Count, r.Destination.Count = flow.Count{Packets: 1, Octets: 60}, flow.Count{}
	}
	r.Source.Total, r.Destination.Total = r.Source.Count, r.Destination.Count
	r.Key, _ = flow.KeyOf(t, r.Source.Endpoint, r.Destination.Endpoint)
	return r
}

// with changes a record and returns it: a row of the table below in one expression.
func with(r *flow.Record, change func(*flow.Record)) *flow.Record {
	change(r)
	return r
}

func decided(m flow.Method, c flow.Confidence) func(*flow.Record) {
	return func(r *flow.Record) { r.Direction = flow.Direction{Method: m, Confidence: c} }
}

// testFlows has one Flow Record for each thing that a format has to tell.
func testFlows() []*flow.Record {
	const long1 = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff]:51514"
	const long2 = "[2001:db8:aaaa:bbbb:cccc:dddd:eeee:1111]:443"
	return []*flow.Record{
		with(conversation(flow.TCP, "10.0.0.5:51514", "93.184.216.34:443", 0, flow.Closed), func(r *flow.Record) {
			r.EndReason = flow.EndOfFlow
			r.HistoryLen = uint8(copy(r.History[:], "ShADadFf"))
			r.Source.Flags = flow.FIN | flow.SYN | flow.PSH | flow.ACK
			r.Destination.Flags = flow.FIN | flow.SYN | flow.ACK | flow.ECE
			r.Destination.Count = flow.Count{Packets: 17, Octets: 17500}
			r.Destination.Total = r.Destination.Count
		}),
		conversation(flow.TCP, "10.0.0.7:40112", "10.0.0.9:42000", 1700*time.Millisecond, flow.Established),
		with(conversation(flow.UDP, "192.168.100.100:51515", "192.168.100.200:53", 2*time.Second, flow.Established),
			func(r *flow.Record) { r.VLANs, r.VLAN[0] = 1, 7; decided(flow.Registered, flow.Medium)(r) }),
		with(conversation(flow.TCP, "10.0.0.5:51516", "10.0.0.9:80", 3*time.Second, flow.Reset),
			func(r *flow.Record) { r.VLANs, r.VLAN = 3, [2]uint16{7, 4094} }),
		conversation(flow.TCP, long1, long2, 4*time.Second, flow.Closed),
		conversation(flow.TCP, "[fe80::1]:51514", "[fe80::2]:42000", 4*time.Second, flow.Closed),
		with(conversation(flow.UDP, "10.0.0.5:123", "10.0.0.9:123", 5*time.Second, flow.Established), decided(flow.Symmetric, flow.High)),
		with(conversation(flow.UDP, "10.0.0.5:49151", "10.0.0.9:49151", 5*time.Second, flow.Established), decided(flow.Symmetric, flow.High)),
		with(conversation(flow.UDP, "10.0.0.5:60001", "10.0.0.9:50000", 6*time.Second, flow.OneWay),
			func(r *flow.Record) { r.Midstream = true; decided(flow.LowerPort, flow.Low)(r) }),
		with(conversation(flow.TCP, "10.0.0.5:60002", "10.0.0.9:42000", 7*time.Second, flow.Established), decided(flow.LowerPort, flow.Low)),
		conversation(flow.UDP, "10.0.0.5:1024", "10.0.0.9:3300", 8*time.Second, flow.Attempt),
		conversation(flow.TCP, "10.0.0.5:1025", "10.0.0.9:585", 8*time.Second, flow.Rejected),
		conversation(flow.TCP, "10.0.0.5:1026", "10.0.0.9:3300", 8*time.Second, flow.Closed),
		conversation(flow.TCP, "10.0.0.5:3300", "10.0.0.9:443", 8*time.Second, flow.Closed),
		conversation(flow.TCP, "10.0.0.5:1027", "10.0.0.9:7777", 9*time.Second, flow.Closed),
		conversation(flow.TCP, "10.0.0.5:1028", "10.0.0.9:7778", 9*time.Second, flow.Closed),
		conversation(flow.TCP, "10.0.0.5:1029", "10.0.0.9:24", 9*time.Second, flow.Closed),
		with(conversation(flow.TCP, "10.0.0.5:1030", "10.0.0.9:80", 10*time.Second, flow.Established), func(r *flow.Record) {
			r.Final, r.EndReason = false, flow.ActiveTimeout
		}),
		with(conversation(flow.TCP, "10.0.0.5:1030", "10.0.0.9:80", 30*time.Minute, flow.Established), func(r *flow.Record) {
			r.Sequence, r.Final, r.EndReason = 1, false, flow.ActiveTimeout
			r.FlowStart = noon.Add(10 * time.Second).UnixNano()
			r.Source.Total = flow.Count{Packets: 14, Octets: 1400}
		}),
		with(conversation(flow.TCP, "10.0.0.5:1030", "10.0.0.9:80", time.Hour, flow.Established), func(r *flow.Record) {
			r.Sequence, r.EndReason, r.End = 2, flow.ForcedEnd, r.Start
			r.FlowStart = noon.Add(10 * time.Second).UnixNano()
			r.Source.Count, r.Destination.Count = flow.Count{}, flow.Count{}
			r.Source.Total = flow.Count{Packets: 123_456_789, Octets: 1 << 40}
		}),
		with(conversation(flow.UDP, "172.16.0.1:50001", "172.16.0.2:53", 11*time.Second, flow.Established), func(r *flow.Record) {
			r.Tunnel = flow.Tunnel{Type: flow.VXLAN, ID: 42, OuterProtocol: 17}
			r.Tunnel.Outer, _ = flow.KeyOf(flow.UDP, netip.MustParseAddrPort("10.9.9.1:4789"), netip.MustParseAddrPort("10.9.9.2:4789"))
		}),
		with(conversation(flow.TCP, long1, "[2001:db8::2]:80", 12*time.Second, flow.Closed), func(r *flow.Record) {
			r.Tunnel = flow.Tunnel{Type: flow.SixIn4, OuterProtocol: 41}
			r.Tunnel.Outer, _ = flow.KeyOf(0, netip.MustParseAddrPort("10.9.9.1:0"), netip.MustParseAddrPort("10.9.9.2:0"))
			decided(flow.Learned, flow.Medium)(r)
		}),
		with(conversation(flow.UDP, "10.0.0.5:514", "239.1.2.3:514", 13*time.Second, flow.OneWay), decided(flow.Multicast, flow.High)),
		with(conversation(flow.TCP, "10.0.0.9:20", "10.0.0.5:42000", 13*time.Second, flow.Closed), decided(flow.Announced, flow.High)),
		with(conversation(flow.UDPLite, "10.0.0.5:1031", "10.0.0.9:53", 14*time.Second, flow.Established), func(r *flow.Record) {
			r.Source.LaterFragments = flow.Count{Packets: 2, Octets: 200}
			decided(flow.FirstPacket, flow.Medium)(r)
		}),
		conversation(flow.SCTP, "10.0.0.5:1032", "10.0.0.9:80", 14*time.Second, flow.Established),
		conversation(flow.DCCP, "127.0.0.1:53", "127.0.0.1:9", 15*time.Second, flow.Established),
		with(conversation(flow.TCP, "10.0.0.5:1034", "10.0.0.9:443", 12*time.Hour, flow.Closed), func(r *flow.Record) {
			r.Source.Count = flow.Count{Packets: 123_456, Octets: 18_200_000_000}
		}),
		with(conversation(flow.TCP, "10.0.0.5:1035", "10.0.0.9:443", 10*time.Minute, flow.Closed),
			func(r *flow.Record) { r.End = noon.Add(13 * time.Hour).UnixNano(); r.EndReason = flow.LackOfResources }),
	}
}

// annotated returns what a pure function makes of the Flows.
func annotated(reg *registry.Registry, flows []*flow.Record) []*annotate.Record {
	a := annotate.New(reg)
	all := make([]*annotate.Record, len(flows))
	for i, f := range flows {
		all[i] = new(annotate.Record)
		a.Annotate(all[i], f)
	}
	return all
}
