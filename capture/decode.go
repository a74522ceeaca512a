package capture

import (
	"maps"

	"github.com/google/gopacket"

	"github.com/portwatch/portwatch/flow"
)

// DecoderOptions says what a Decoder appends to a batch. The zero value of
// every field is its documented default.
type DecoderOptions struct {
	// Tunnels says which levels of a tunnelled packet are appended; default Both.
	Tunnels Tunnels
}

// Tunnels says which headers make Flows when a packet contains a tunnel.
type Tunnels uint8

// The values of DecoderOptions.Tunnels.
const (
	Both  Tunnels = iota // every level that has ports
	Outer                // the outermost IP header only; tunnels are not opened
	Inner                // the innermost IP header only
)

// A Decoder reads the headers of frames, as far as metering needs them, and
// counts what it finds. It never keeps a frame's data. A Decoder is for one
// goroutine; NewDecoder allocates once what decoding each frame needs.
type Decoder struct {
	digest
	parser *gopacket.DecodingLayerParser
}

// NewDecoder returns a Decoder that has counted nothing.
func NewDecoder(o DecoderOptions) *Decoder {
	d := &Decoder{}
	d.tunnels = o.Tunnels
	d.links = make(map[LinkType]uint64)
	var all layers
	for is, decode := range decoders {
		if decode != nil {
			all.Put(&layer{&d.digest, gopacket.LayerType(is), decode})
		}
	}
	d.parser = gopacket.NewDecodingLayerParser(layerFrame)
	d.parser.IgnoreUnsupported = true
	d.parser.IgnorePanic = true // decodeSome recovers
	d.parser.SetDecodingLayerContainer(&all)
	return d
}

// Decode appends to b what the meter needs to know of each frame: one packet for
// each nesting level whose ports could be read, the outermost first, and none
// if there is no such level. A first fragment is followed by the later ones
// that came before it; an ICMP error appends a signal (flow.Unreachable). Each frame is
// counted in exactly one Class, whatever it contains.
func (d *Decoder) Decode(frames []Frame, b *flow.Batch) {
	d.batch = b
	d.countFrames(frames)
	for len(frames) > 0 {
		frames = frames[d.decodeSome(frames):]
	}
}

// decodeSome decodes frames up to one that makes a layer panic. That one is counted, and what
// was found in it before stands. The parser could recover too, but with a defer for each frame.
func (d *Decoder) decodeSome(frames []Frame) (n int) {
	defer func() {
		if recover() != nil {
			d.panics++
			d.settle()
			n++
		}
	}()
	for ; n < len(frames); n++ {
		f := &frames[n]
		d.reset(f)
		if err := d.parser.DecodeLayers(f.Data, nil); err != nil {
			d.countFault(err.(fault))
		}
		d.settle()
	}
	return n
}

// settle counts a frame whose walk has ended.
func (d *Decoder) settle() {
	if d.tunnels == Inner {
		d.keepInnermost()
	}
	d.packets[d.class]++
}

// countFrames counts what needs no decoding: octets, and link types. Link types are counted
// by rows of the same type, as most captures have only one.
func (d *Decoder) countFrames(frames []Frame) {
	octets, from := uint64(0), 0
	for i := range frames {
		octets += uint64(len(frames[i].Data))
		if frames[i].Link != d.rowLink {
			d.inRow += uint64(i - from)
			d.endRow()
			d.rowLink, from = frames[i].Link, i
		}
	}
	d.octets += octets
	d.inRow += uint64(len(frames) - from)
}

func (d *Decoder) endRow() {
	if d.inRow > 0 {
		d.links[d.rowLink] += d.inRow
		d.inRow = 0
	}
}

// countFault counts what a layer found wrong. It is not a fault if data on a tunnel's port
// is no tunnel.
func (d *Decoder) countFault(f fault) {
	if f.limit() || !d.tried {
		d.faults[f]++
	}
}

// Counters are sums over all frames that a Decoder was given.
type Counters struct {
	// Packets has the number of frames in each Class; they add up to Read.
	Packets [classes]uint64
	// LaterFragmentsJoined is how many frames of Packets[LaterFragment] were
	// appended with the Key of their first fragment.
	LaterFragmentsJoined uint64
	// Octets is the number of captured octets in all frames.
	Octets uint64
	// Links has the number of frames of each link type.
	Links map[LinkType]uint64
	// Faults counts the headers that were broken or cut, by what was wrong.
	Faults map[string]uint64
	// Limits counts how often each bound of the decoder was hit, by its name.
	Limits map[string]uint64
	// Panics counts the frames on which a layer panicked.
	Panics uint64
}

// Read returns the number of all frames: the sum over the classes.
func (c *Counters) Read() (n uint64) {
	for _, packets := range c.Packets {
		n += packets
	}
	return n
}

// Counters returns a copy of the sums so far.
func (d *Decoder) Counters() Counters {
	d.endRow()
	c := Counters{
		Packets: d.packets,
		Octets:  d.octets,
		Links:   maps.Clone(d.links),
		Faults:  make(map[string]uint64),
		Limits:  make(map[string]uint64),
		Panics:  d.panics,

		LaterFragmentsJoined: d.joined,
	}
	for i, n := range d.faults {
		switch f := fault(i); {
		case n == 0 || f == errOuterOnly:
		case f.limit():
			c.Limits[f.Error()] = n
		default:
			c.Faults[f.Error()] = n
		}
	}
	return c
}

// Class is what a frame is by its outermost IP header. Every frame is in
// exactly one Class.
type Class uint8

// The classes.
const (
	WithPorts     Class = iota // TCP, UDP, UDP-Lite, SCTP or DCCP, with both ports
	ICMP                       // ICMP and ICMPv6
	OtherIP                    // another IP protocol
	LaterFragment              // a fragment that does not begin its datagram
	BadTransport               // a transport that has ports, but they cannot be read
	BadIP                      // the layer below says IP, but there is no usable IP header
	NonIP                      // not IP, as far as the link layer tells
	UnknownLink                // a link type that is not decoded
	classes
)

// String returns the name that the class has among the counters.
func (c Class) String() string {
	switch c {
	case WithPorts:
		return "with_ports"
	case ICMP:
		return "icmp"
	case OtherIP:
		return "other_ip"
	case LaterFragment:
		return "later_fragments"
	case BadTransport:
		return "bad_transport"
	case BadIP:
		return "bad_ip"
	case NonIP:
		return "non_ip"
	case UnknownLink:
		return "unknown_link"
	}
	return "invalid"
}

// A fault says why decoding ended before the end of the packet. It becomes an
// error without allocation: broken packets are traffic like any other.
type fault uint8

const (
	errHeaders   fault = iota // bounds first: maxHeaders
	errNesting                // maxNesting
	errFragments              // maxFragments, maxFromSource
	errOuterOnly              // not a fault: DecoderOptions.Tunnels is Outer
	errLink
	errVLAN
	errLLC
	errPPP
	errMPLS
	errIPv4
	errIPv6
	errExtension
	errPorts
	errICMP
	errTunnel
	faults
)

// The bounds of a walk through one frame.
const (
	// maxHeaders is how many turns of the parser one frame may take; each turn reads
	// at least one header. A frame of 64 KiB could hold thousands of VLAN tags or
	// extension headers.
	maxHeaders = 128
	// maxNesting is how many nested IP headers of one frame are read, and so how many
	// packets of its own one frame can append. Later fragments that waited for it come
	// on top.
	maxNesting = 16
)

// limit reports whether f is a bound and not something wrong with a packet.
func (f fault) limit() bool { return f <= errFragments }

func (f fault) Error() string {
	switch f {
	case errHeaders:
		return "headers"
	case errNesting:
		return "nesting"
	case errFragments:
		return "fragments"
	case errOuterOnly:
		return "outer only"
	case errLink:
		return "link header"
	case errVLAN:
		return "VLAN tag"
	case errLLC:
		return "LLC header"
	case errPPP:
		return "PPP header"
	case errMPLS:
		return "MPLS label"
	case errIPv4:
		return "IPv4 header"
	case errIPv6:
		return "IPv6 header"
	case errExtension:
		return "IPv6 extension header"
	case errPorts:
		return "transport header"
	case errICMP:
		return "ICMP header"
	case errTunnel:
		return "tunnel header"
	}
	return "invalid"
}
