package unpack

import (
	"bufio"
	"encoding/binary"
	"math"
)

// A zstdFrames passes the frames of a zstd stream (RFC 8878 section 3.1) on to a decoder that
// reserves, for each frame, the window that its header claims. A few octets may claim a lot, so
// each header is rewritten to the window that its frame can need, judged by how much of the frame
// has arrived. Windows grow in few steps: otherwise each of many frames could claim a little more
// than the one before, and make the decoder reserve anew. What is not a frame is passed on as it
// is, for the decoder to complain about.
type zstdFrames struct {
	in     *bufio.Reader
	head   []byte // what is still to be passed on of a header
	room   [zstdMaxHeader]byte
	left   int64 // octets to pass on as they are, up to the next header
	blocks bool  // the next header is a block's, not a frame's
	sum    int64 // octets of the checksum after the last block
}

const (
	// zstdMagic octets, then the descriptor, the window, the dictionary id, the content's size
	zstdMagic     = 4
	zstdMaxHeader = zstdMagic + 1 + 1 + 4 + 8

	zstdBlockHeader = 3
	zstdMaxBlock    = 128 << 10 // octets that a block can decompress to
)

// zstdPlainWindow is what a header may claim without evidence, since every decoder should support
// as much (section 3.1.1.1.2). For more, zstdEvidence octets must have arrived, or the whole frame.
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

// advance looks at the next header. From a header that is cut or broken, everything is passed on
// as it is.
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

// zstdBlock parses a block's header: it returns the octets after it, and whether the block is the
// frame's last.
func zstdBlock(head []byte) (length int64, last bool) {
	const repeated = 1 // one octet, many times
	h := uint32(head[0]) | uint32(head[1])<<8 | uint32(head[2])<<16
	length = int64(h >> 3)
	if h>>1&3 == repeated {
		length = 1
	}
	return length, h&1 != 0
}

// zstdContent returns how many octets the blocks can decompress to at most, up to the last block
// or to where they are cut.
func zstdContent(blocks []byte) (octets uint64) {
	for last := false; !last && len(blocks) > zstdBlockHeader; octets += zstdMaxBlock {
		var length int64
		length, last = zstdBlock(blocks)
		blocks = blocks[min(int64(len(blocks)), zstdBlockHeader+length):]
	}
	return octets
}

// A zstdHeader is a frame's header.
type zstdHeader struct {
	descriptor byte
	window     uint64 // what a decoder has to keep
	dictionary []byte // its id
	content    []byte // the size of the content, little-endian
	length     int    // of the header
}

// Bits of the descriptor (section 3.1.1.1.1).
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

// write appends the header with a window that is large enough: 128 KiB times a power of 4.
func (h *zstdHeader) write(b []byte, window uint64) []byte {
	exponent := 17
	for window > 1<<exponent {
		exponent += 2
	}
	descriptor, content := h.descriptor&^zstdSingleSegment, h.content
	if len(content) == 1 { // only a single segment has a field of one octet: write four
		descriptor, content = descriptor|2<<6, []byte{content[0], 0, 0, 0}
	}
	b = binary.LittleEndian.AppendUint32(b, magicZstd)
	b = append(b, descriptor, byte(exponent-10)<<3)
	b = append(b, h.dictionary...)
	return append(b, content...)
}
