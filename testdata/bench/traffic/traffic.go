// Package traffic makes the captures that portwatch is measured with: [Small], a crowd of Flows that
// all live at once; [Flows], a flood of short ones; and [Mix], real packets in many copies. Equal
// arguments give equal octets, on every machine. The files are pcap, little-endian, with
// microseconds and link type Ethernet; checksums are right, since some meters verify them.
//
// Start at conversation.go for the first two and at mix.go for the third.
package traffic

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
)

// Made says how large a capture became.
type Made struct {
	Packets int
	Octets  int64 // in all of them, from the Ethernet header on
}

func (m Made) String() string {
	return fmt.Sprintf("%d packets, %d octets, %.1f a packet", m.Packets, m.Octets, float64(m.Octets)/float64(max(m.Packets, 1)))
}

// maxFlows is how many clients the addresses of 10.0.0.0/8 can tell apart.
const maxFlows = 1 << 24

// Small writes a crowd: in each round one packet of every Flow, in a different order each round. So
// two packets in a row are almost never of one Flow, which is the worst case for a processor's
// caches. Of ten Flows, seven are TCP connections from handshake to end, two are UDP and one is UDP
// over IPv6. Frames have 60 octets, those with IPv6 62. Each Flow has each packets, at least 6.
func Small(w io.Writer, flows, each int) (Made, error) {
	if flows < 1 || flows > maxFlows || each < 6 {
		return Made{}, fmt.Errorf("small: %d flows of %d packets: want 1 to %d of 6 or more", flows, each, maxFlows)
	}
	scripts := crowd(each)
	out := newWriter(w)
	order := make([]int, flows)
	for i := range order {
		order[i] = i
	}
	rng := rand.New(rand.NewPCG(1, 0))
	for k := range each {
		rng.Shuffle(flows, func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			s := &scripts[i%len(scripts)]
			out.add(12, s.frame(out.frame[:0], i, k))
		}
	}
	return out.close()
}

// Flows writes a flood: half of the Flows are a DNS query with its answer, a tenth of these over
// IPv6; a fifth are a SYN that nobody answers, a fifth a SYN that is refused, and a tenth a short
// TCP connection of six packets: 2.2 packets per Flow, each at most about 4,500 packets of other
// Flows after the one before.
func Flows(w io.Writer, flows int) (Made, error) {
	if flows < 1 || flows > maxFlows {
		return Made{}, fmt.Errorf("flows: %d flows: want 1 to %d", flows, maxFlows)
	}
	type event struct{ flow, packet int }
	var due [2048][]event // a ring of turns; in each, one Flow begins and others continue
	scripts := flood()
	out := newWriter(w)
	rng := rand.New(rand.NewPCG(2, 0))
	for turn, begun, open := 0, 0, 0; begun < flows || open > 0; turn++ {
		now := &due[turn%len(due)]
		if begun < flows {
			*now = append(*now, event{begun, 0})
			begun++
			open++
		}
		for _, e := range *now {
			s := &scripts[e.flow%len(scripts)]
			out.add(10, s.frame(out.frame[:0], e.flow, e.packet))
			if e.packet++; e.packet == len(s.steps) {
				open--
				continue
			}
			later := &due[(turn+1+rng.IntN(len(due)-1))%len(due)]
			*later = append(*later, e)
		}
		*now = (*now)[:0]
	}
	return out.close()
}

// epoch is when every capture begins, in microseconds: 2026-11-01 00:00 UTC.
const epoch = 1_793_491_200 * 1_000_000

// A writer writes a pcap file. The first error is kept until close.
type writer struct {
	out   *bufio.Writer
	now   int64  // microseconds since 1970
	frame []byte // memory for the next frame
	made  Made
}

func newWriter(w io.Writer) *writer {
	le := binary.LittleEndian
	header := le.AppendUint32(nil, 0xa1b2c3d4)
	header = le.AppendUint16(header, 2)
	header = le.AppendUint16(header, 4)
	header = append(header, make([]byte, 8)...)
	header = le.AppendUint32(header, 262144)
	header = le.AppendUint32(header, 1) // Ethernet
	out := &writer{out: bufio.NewWriterSize(w, 1<<20), now: epoch}
	out.out.Write(header)
	return out
}

// add writes a frame so many microseconds after the one before, and keeps its memory.
func (w *writer) add(after int64, frame []byte) {
	w.now += after
	w.put(w.now, frame, len(frame))
	w.frame = frame
}

// put writes a frame with its time, in microseconds, and its length on the wire.
func (w *writer) put(micros int64, frame []byte, length int) {
	var header [16]byte
	binary.LittleEndian.PutUint32(header[0:], uint32(micros/1_000_000))
	binary.LittleEndian.PutUint32(header[4:], uint32(micros%1_000_000))
	binary.LittleEndian.PutUint32(header[8:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(header[12:], uint32(length))
	w.out.Write(header[:])
	w.out.Write(frame)
	w.made.Packets++
	w.made.Octets += int64(len(frame))
}

func (w *writer) close() (Made, error) { return w.made, w.out.Flush() }
