package flow

import (
	"bytes"
	"crypto/sha1"
	"crypto/sha256"
	"encoding"
	"encoding/binary"
	"hash"
)

// A Hasher computes what [Record.ID] and [Record.CommunityID] return, in less time. Its zero
// value cannot be used, and it is not safe for concurrent use.
//
// What is hashed nearly always fits into a single block. Around the compression of that block,
// sha1.Sum and sha256.Sum256 copy the message, the padding and the state, which takes longer
// than the compression itself. A Hasher pads the message where it stands, takes the result
// from the state that the hash marshals, and lets the processor compress both messages at a
// time.
type Hasher struct{ id, community shortHash }

// NewHasher returns a Hasher.
func NewHasher() *Hasher { return &Hasher{newShortHash(sha256.New()), newShortHash(sha1.New())} }

// Hash computes the ID and the Community ID of a record, for the methods below.
//
// The compression reads sixteen octets at a time, and so has to wait until what was written in
// smaller parts has reached the cache, behind everything before it. Thus both messages are
// written before either is compressed; otherwise the second compression would wait for the
// first.
func (h *Hasher) Hash(r *Record) {
	h.id.set(appendIdentity(h.id.message[:0], &r.Key, &r.Tunnel, &r.origin))
	h.community.set(appendCommunity(h.community.message[:0], &r.Key, uint8(r.Transport), hasCommunityPorts(r.Transport)))
	h.id.Reset()
	h.community.Reset()
	h.id.begin()
	h.community.begin()
	h.id.end()
	h.community.end()
}

// ID returns the ID of the record that was hashed last.
func (h *Hasher) ID() [16]byte { return [16]byte(h.id.sum) }

// AppendCommunityID appends the Community ID of the record that was hashed last, in its
// published form.
func (h *Hasher) AppendCommunityID(dst []byte) []byte {
	return appendCommunityID(dst, (*[20]byte)(h.community.sum))
}

// A shortHash is SHA-1 or SHA-256 of messages that are mostly short.
type shortHash struct {
	hash.Hash
	state   encoding.BinaryAppender // of Hash
	opaque  bool                    // the result cannot be taken from the state
	message *[256]byte              // room for a message and its padding
	input   []byte                  // the message under way,
	block   bool                    // with padding
	space   []byte                  // for sum and what stands before it
	sum     []byte                  // the result, and perhaps more behind it
}

const (
	blockSize = 64
	lengthAt  = blockSize - 8 // a block ends with the number of bits
	sumAt     = 4             // a marshaled state begins with four octets that say whose it is
)

// newShortHash returns a shortHash that uses h. How h marshals its state is not documented, so
// it is tried.
func newShortHash(h hash.Hash) shortHash {
	x := shortHash{Hash: h, opaque: true, message: new([256]byte), space: make([]byte, 0, 128)}
	try := func() []byte {
		x.set(append(x.message[:0], "a message"...))
		x.Reset()
		x.begin()
		x.end()
		return bytes.Clone(x.sum)
	}
	want := try()
	state, ok := h.(encoding.BinaryAppender)
	if !ok {
		return x
	}
	if b, err := state.AppendBinary(nil); err != nil || len(b) < sumAt {
		return x
	}
	x.state, x.opaque = state, false
	x.opaque = !bytes.HasPrefix(try(), want)
	return x
}

// set prepares the hash of m, which was appended to message[:0].
func (x *shortHash) set(m []byte) {
	x.input = m
	if x.block = len(m) < lengthAt && !x.opaque; x.block {
		x.message[len(m)] = 0x80
		clear(x.message[len(m)+1 : lengthAt])
		binary.BigEndian.PutUint64(x.message[lengthAt:blockSize], uint64(8*len(m)))
		x.input = x.message[:blockSize]
	}
}

// begin hashes what was set.
func (x *shortHash) begin() { x.Write(x.input) }

// end sets sum.
func (x *shortHash) end() {
	if !x.block {
		x.space = x.Sum(x.space[:0])
		x.sum = x.space
		return
	}
	x.space, _ = x.state.AppendBinary(x.space[:0]) // never fails
	x.sum = x.space[sumAt:]
}
