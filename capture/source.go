package capture

import (
	"errors"

	"github.com/portwatch/portwatch/unpack"
)

// Frame is one captured packet.
type Frame struct {
	Data      []byte   // as captured, from the link header on; valid until the next call of Next, Read or Close
	Time      int64    // Unix nanoseconds, may be negative; 0 if Timeless
	Timeless  bool     // no timestamp was recorded (pcapng Simple Packet Block)
	Length    uint32   // octets on the wire, as the capture states it: usually >= len(Data), not always
	Link      LinkType // says which header Data begins with
	Interface uint32   // ordinal of the interface or device within its file or Live, from 0
	FCS       uint8    // octets of frame check sequence at the end of a frame captured whole; 0: none or not known
}

// Stats are the counters of a source since it was opened.
type Stats struct {
	Packets uint64 // frames that Next and Read returned
	Bytes   uint64 // octets in their Data

	// Received counts the packets that passed a live source's filter, whether
	// or not they have been read yet.
	Received uint64

	// Losses, as far as the source knows of them: those of a savefile are
	// what the capturing program wrote into it (pcapng Interface Statistics
	// Blocks), summed over its interfaces.
	KernelDrops    uint64 // arrived, but found no room in the capture buffer
	InterfaceDrops uint64 // lost by the network interface or its driver

	// SkippedBlocks counts pcapng blocks that hold no packets and were
	// skipped: custom, name resolution, secrets, unknown ones.
	SkippedBlocks uint64
}

// one turns the result of Next into that of Read, for a source that gives one packet at a time.
func one(err error) (int, error) {
	if err != nil {
		return 0, err
	}
	return 1, nil
}

// Errors that callers can test for with errors.Is.
var (
	// ErrTick is what Next of a live source returns when no packet came
	// within the read timeout. It does not end the reading: call Next again.
	ErrTick = errors.New("no packet within the read timeout")

	// ErrTruncated says that a savefile ends in the middle of a packet,
	// a header or a compressed stream. All packets before were delivered.
	ErrTruncated = unpack.ErrTruncated

	// ErrNotCapture says that a file is neither pcap nor pcapng.
	ErrNotCapture = errors.New("not a pcap or pcapng file")

	// ErrClosed is what Next and Read return after Close.
	ErrClosed = errors.New("source is closed")

	// ErrNoDevice says that there is no device of that name or number.
	ErrNoDevice = errors.New("no such device")

	// ErrNotUp says that the device is down.
	ErrNotUp = errors.New("device is not up")

	// ErrNotPermitted says that the system does not allow us to capture.
	ErrNotPermitted = errors.New("no permission to capture")
)
