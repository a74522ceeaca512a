package unpack

import (
	"bufio"
	"encoding/binary"
	"math"
)

// A zstdFrames passes on the frames of a zstd stream (RFC 8878 section 3.1) to a decoder that
// reserves for a frame the window that its header claims. A few octets may claim much; here each
// header gets the window that the frame can need, judged by what has come of it. Windows grow
// in few steps: else each of many frames could claim a little more than the one before, and
// make the decoder reserve anew. What is no frame goes on as it is, for the decoder to
// complain of.
type zstdFrames struct {
	in     *bufio.Reader
	head   []byte // what is still to go out of a header
	room   [zstdMaxHeader]byte
	left   int64 // octets that go on as they are, up to the next header
	blocks bool  // which is that of a block, and not of a frame
	sum    int64 // octets of the checksum behind the last block
}

const (
	// zstdMagic octets, then the descriptor, the window, the dictionary, the content's size
	zstdMagic     = 4
	zstdMaxHeader = zstdMagic + 1 + 1 + 4 + 8

	zstdBlockHeader = 3
	zstdMaxBlock    = 128 << 10 // octets that a block stands for
)

// zstdPlainWindow is what a header may claim without evidence: every decoder should have as
// much (section 3.1.1.1.2). For more, zstdEvidence octets must have come, or the whole frame.
const (
	zstdPlainWindow = 8 << 20
	zstdEvidence    = 64 << 10
)

func (z *zstdFrames) Read(p []byte) (n int, err error) {
	if len(z.head) == 0 && z.left == 0 {
		z.advance()
	}
	if len(z.head) > 0 {
		n = copy(p, z.head)
		z.head = z.head[n:]
		return n, nil
	}
	n, err = z.in.Read(p[:min(int64(len(p)), z.left)])
	z.left -= int64(n)
	return n, err
}

// advance looks at the next header. From one that is cut or broken, all goes on as it is.
func (z *zstdFrames) advance() {
	z.left = math.MaxInt64
	if z.blocks {
		if head, err := z.in.Peek(zstdBlockHeader); err == nil {
			length, last := zstdBlock(head)
			z.left = zstdBlockHeader + length
			if last {
				z.left += z.sum
				z.blocks = false
			}
		}
		return
	}
	head, _ := z.in.Peek(zstdMaxHeader)
	if len(head) >= 8 && binary.LittleEndian.Uint32(head)&^0xf == magicSkippable {
		z.left = 8 + int64(binary.LittleEndian.Uint32(head[4:]))
		return
	}
	h, ok := parseZstdHeader(head)
	if !ok || h.window > maxZstdWindow {
		return
	}
	window := h.window
	if window > zstdPlainWindow {
		if there, err := z.in.Peek(zstdEvidence); err != nil {
			window = min(window, zstdContent(there[h.length:]))
		}
	}
	z.in.Discard(h.length)
	z.head = h.write(z.room[:0], window)
	z.blocks, z.left, z.sum = true, 0, 0
	if h.descriptor&zstdHasChecksum != 0 {
		z.sum = 4
	}
}

// zstdBlock reads a block's header: the octets behind it, and whether it is the frame's last.
func zstdBlock(head []byte) (length int64, last bool) {
	const repeated = 1 // one octet stands for all
	h := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
	length = int64(h >> 3)
	if h>>1&3 == repeated {
		length = 1
	}
	return length, h&1 != 0
}

// zstdContent is how many octets the blocks can stand for at most, up to the last one or to
// what is cut.
func zstdContent(blocks []byte) (octets uint64) {
	for last := false; !last && len(blocks) > zstdBlockHeader; octets += zstdMaxBlock {
		var length int64
		length, last = zstdBlock(blocks)
		blocks = blocks[min(int64(len(blocks)), zstdBlockHeader+length):]
	}
	return octets
}

// zstdHeader is a frame's header.
type zstdHeader struct {
	descriptor byte
	window     uint64 // what a decoder has to keep
	dictionary []byte // its id
	content    []byte // the size of the content, little-endian
	length     int    // of the header
}

// The bits of the descriptor, section 3.1.1.1.1.
const (
	zstdSingleSegment = 1 << 5
	zstdHasChecksum   = 1 << 2
)

func parseZstdHeader(head []byte) (h zstdHeader, ok bool) {
	if len(head) <= zstdMagic || binary.LittleEndian.Uint32(head) != magicZstd {
		return h, false
	}
	h.descriptor = head[zstdMagic]
	single := h.descriptor&zstdSingleSegment != 0
	dictionary := [4]int{0, 1, 2, 4}[h.descriptor&3]
	content := 1 << (h.descriptor >> 6)
	if content == 1 && !single {
		content = 0
	}
	at := zstdMagic + 1
	if !single {
		at++
	}
	h.length = at + dictionary + content
	if len(head) < h.length {
		return h, false
	}
	h.dictionary, h.content = head[at:at+dictionary], head[at+dictionary:h.length]
	if single {
		var octets [8]byte
		copy(octets[:], h.content)
		h.window = binary.LittleEndian.Uint64(octets[:])
		if content == 2 {
			h.window += 256
		}
		return h, true
	}
	exponent, mantissa := head[zstdMagic+1]>>3, head[zstdMagic+1]&7
	h.window = 1 << (10 + exponent)
	h.window += h.window / 8 * uint64(mantissa)
	return h, true
}

// write appends the header with a window of 128 KiB times a power of 4 that is large enough.
func (h *zstdHeader) write(b []byte, window uint64) []byte {
	exponent := 17
	for window > 1<<exponent {
		exponent += 2
	}
	descriptor, content := h.descriptor&^zstdSingleSegment, h.content
	if len(content) == 1 { // there is such a field in a single segment alone: write four octets
		descriptor, content = descriptor|2<<6, []byte{content[0], 0, 0, 0}
	}
	b = binary.LittleEndian.AppendUint32(b, magicZstd)
	b = append(b, descriptor, byte(exponent-10)<<3)
	b = append(b, h.dictionary...)
	return append(b, content...)
}
