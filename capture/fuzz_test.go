package capture

import (
	"reflect"
	"slices"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// FuzzDecode checks what the decoder promises for any frame: one class, counters that add up,
// a bounded number of levels of which the outermost decides the class, no octet read beyond
// the frame, and the same result from another decoder.
func FuzzDecode(f *testing.F) {
	for _, test := range allFrames() {
		f.Add(uint16(test.link), uint32(len(test.frame)), test.frame)
	}
	f.Fuzz(func(t *testing.T, link uint16, length uint32, data []byte) {
		frame := Frame{Data: slices.Clip(data), Length: length, Link: LinkType(link)}
		var batch, again flow.Batch
		d := NewDecoder(DecoderOptions{})
		class := d.one(&frame, &batch)

		c := d.Counters()
		if class >= classes || c.Packets[class] != 1 || c.Read() != 1 {
			t.Fatalf("class %v, counted %v", class, c.Packets)
		}
		if c.Panics != 0 {
			t.Fatal("a layer panicked")
		}
		if len(batch.Packets) > maxNesting || len(batch.Tunnels) > len(batch.Packets) {
			t.Fatalf("%d levels, %d tunnels", len(batch.Packets), len(batch.Tunnels))
		}
		if outermost(batch.Packets) != (class == WithPorts) {
			t.Fatalf("class %v with levels %v", class, batch.Packets)
		}
		if NewDecoder(DecoderOptions{}).one(&frame, &again) != class || !reflect.DeepEqual(batch, again) {
			t.Fatalf("first %v\nthen  %v", batch, again)
		}
		checkOrdinary(t, DecoderOptions{}, frame)
		only := flow.Batch{}
		if NewDecoder(DecoderOptions{Tunnels: Outer}).one(&frame, &only) != class || len(only.Tunnels) != 0 {
			t.Fatalf("without tunnels not %v, or %v", class, only.Tunnels)
		}
		only.Reset()
		if NewDecoder(DecoderOptions{Tunnels: Inner}).one(&frame, &only) != class || len(only.Packets) > 1 {
			t.Fatalf("innermost level: not %v, or %v", class, only.Packets)
		}
	})
}

// outermost tells whether the first packet is the frame's own, with ports.
func outermost(packets []flow.Packet) bool {
	return len(packets) > 0 && packets[0].Tunnel == 0 && packets[0].Marks&flow.Unreachable == 0
}
