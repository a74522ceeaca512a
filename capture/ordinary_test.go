package capture

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// A decoding is all that a Decoder made of frames.
type decoding struct {
	batch    flow.Batch
	counters Counters
}

// decode decodes frames, all layer by layer if stepwise.
func decode(o DecoderOptions, stepwise bool, frames []Frame) (all decoding) {
	d := NewDecoder(o)
	d.stepwise = stepwise
	d.Decode(frames, &all.batch)
	all.counters = d.Counters()
	return all
}

// checkOrdinary compares what ordinary makes of frames with what the layers make of them.
func checkOrdinary(t *testing.T, o DecoderOptions, frames ...Frame) {
	t.Helper()
	got, want := decode(o, false, frames), decode(o, true, frames)
	if reflect.DeepEqual(got, want) {
		return
	}
	if len(frames) > 1 {
		for _, f := range frames {
			checkOrdinary(t, o, f)
		}
		t.Fatal("frames are read alike one by one, but not in a row")
	}
	t.Fatalf("at once      %+v\nstep by step %+v\nof %x", got, want, frames[0].Data)
}

// multicast is a frame to a group of stations.
func multicast(etherType int, carried ...[]byte) []byte {
	return slices.Concat(octets("01 00 5e 00 00 fb"), ethernet(etherType, carried...)[6:])
}

// ordinaryFrames are some of each kind.
func ordinaryFrames() map[string][]byte {
	return map[string][]byte{
		"TCP":              ethernet(0x0800, ip4(6, "10.0.0.1", "10.0.0.2", tcp(40000, 443, flow.ACK|flow.PSH, octets("de ad be ef")))),
		"TCP without data": ethernet(0x0800, ip4(6, "10.0.0.2", "10.0.0.1", tcp(443, 40000, flow.SYN|flow.ACK))),
		"UDP":              ethernet(0x0800, ip4(17, "10.0.0.1", "10.0.0.2", udp(40000, 53, octets("de ad be ef")))),
		"UDP without data": ethernet(0x0800, ip4(17, "10.0.0.1", "10.0.0.1", udp(53, 40000))),
		"control port":     ethernet(0x0800, ip4(6, "10.0.0.1", "10.0.0.2", tcp(40000, portSIP, flow.SYN))),
		"multicast":        multicast(0x0800, ip4(17, "10.0.0.1", "224.0.0.251", udp(5353, 5353, octets("de ad")))),
		"broadcast":        broadcast(0x0800, ip4(17, "10.0.0.1", "10.0.0.255", udp(40000, 137, octets("de ad")))),
		"IPv6, TCP":        ethernet(0x86dd, ip6(6, "2001:db8::1", "2001:db8::2", tcp(40000, 443, flow.ACK|flow.PSH, octets("de ad be ef")))),
		"IPv6, UDP":        ethernet(0x86dd, ip6(17, "2001:db8::2", "2001:db8::1", udp(443, 40000, octets("de ad be ef")))),
		"IPv6, multicast":  multicast(0x86dd, ip6(17, "fe80::1", "ff02::fb", udp(5353, 5353))),
	}
}

// Whichever octet of an ordinary frame is changed, wherever it is cut, and whatever follows
// it: it is read as the layers read it.
func TestOrdinary(t *testing.T) {
	const time, padding = 1_700_000_000_000_000_007, 80
	for name, data := range ordinaryFrames() {
		frame := Frame{Data: data, Time: time, Length: uint32(len(data)), Link: LinkEthernet}
		d := NewDecoder(DecoderOptions{})
		d.batch, d.in = new(flow.Batch), &frame
		if !d.ordinary(data) {
			t.Errorf("%s: is not ordinary", name)
		}
		data = slices.Grow(data, padding)
		data = append(data, blank(padding-min(padding, len(data)))...)
		for at := range data {
			var others [256]Frame
			for value := range others {
				others[value] = frame
				others[value].Data = slices.Clone(data)
				others[value].Data[at] = byte(value)
			}
			checkOrdinary(t, DecoderOptions{}, others[:]...)
		}
		for n := range data {
			frame.Data = data[:n:n]
			checkOrdinary(t, DecoderOptions{}, frame)
		}
		frame.Data = data
		for _, o := range []DecoderOptions{{Tunnels: Outer}, {Tunnels: Inner}} {
			checkOrdinary(t, o, frame, frame)
		}
		timeless, noEthernet := frame, frame
		timeless.Timeless, noEthernet.Link = true, LinkRaw
		checkOrdinary(t, DecoderOptions{}, timeless, noEthernet, frame)
	}
}

// Frames with any port, tunnels and control Flows included, are read as the layers read them.
func TestOrdinaryPorts(t *testing.T) {
	frames := make([]Frame, 0, 1024)
	add := func(protocol int, segment []byte) {
		for _, data := range [][]byte{
			ethernet(0x0800, ip4(protocol, "10.0.0.1", "10.0.0.2", segment)),
			ethernet(0x86dd, ip6(protocol, "2001:db8::1", "2001:db8::2", segment)),
		} {
			frames = append(frames, Frame{Data: data, Length: uint32(len(data)), Link: LinkEthernet})
		}
	}
	for port := range 1 << 16 {
		add(6, tcp(port, 40000, flow.ACK, blank(12)))
		add(6, tcp(40000, port, flow.ACK, blank(12)))
		add(17, udp(port, 40000, blank(12)))
		add(17, udp(40000, port, blank(12)))
		if len(frames) == cap(frames) {
			checkOrdinary(t, DecoderOptions{}, frames...)
			frames = frames[:0]
		}
	}
}

// All captures are read as the layers read them.
func TestOrdinaryTraffic(t *testing.T) {
	check := func(pattern string) {
		names, err := filepath.Glob(pattern)
		if err != nil || len(names) == 0 {
			t.Fatalf("%s: no captures, %v", pattern, err)
		}
		read := 0
		for _, name := range names {
			file, err := OpenFile(name)
			if err != nil {
				continue // malformed
			}
			frames, _ := drain(file)
			file.Close()
			checkOrdinary(t, DecoderOptions{}, frames...)
			read += len(frames)
		}
		if read == 0 {
			t.Errorf("%s: no frame", pattern)
		}
	}
	check("../testdata/*.pcap*")
	folder := capturesFolder(t)
	check(filepath.Join(folder, "real", "*"))
	check(filepath.Join(folder, "malformed", "*"))
}
