package capture

import (
	"errors"
	"io"
	"testing"
)

func TestPcap(t *testing.T) {
	for _, test := range []struct {
		name    string
		magic   uint32
		network uint32
		want    Frame // of a packet at second 1700000000, fraction 123456
	}{
		{"micro", magicMicro, 1, Frame{Time: 1700000000_123456000, Link: LinkEthernet}},
		{"nano", magicNano, 1, Frame{Time: 1700000000_000123456, Link: LinkEthernet}},
		{"modified", magicModified, 113, Frame{Time: 1700000000_123456000, Link: LinkLinuxSLL}},
		{"link type beyond 8 bits", magicMicro, 276, Frame{Time: 1700000000_123456000, Link: LinkLinuxSLL2}},
		{"frame check sequence of 4", magicMicro, 2<<28 | 1<<26 | 1, Frame{Time: 1700000000_123456000, Link: LinkEthernet, FCS: 4}},
		{"FCS length without its flag", magicMicro, 2<<28 | 1, Frame{Time: 1700000000_123456000, Link: LinkEthernet}},
	} {
		for _, o := range []byteOrder{lsbFirst, msbFirst} {
			t.Run(test.name+" "+o.String(), func(t *testing.T) {
				file := newPcapFile(o, test.magic, test.network).add(1700000000, 123456, 5, 70000)
				want := test.want
				want.Data, want.Length = payload(0, 5), 70000
				if got := mustRead(t, file.data); !sameFrames(got, []Frame{want}) {
					t.Errorf("got  %+v\nwant %+v", got, want)
				}
			})
		}
	}
}

// Lengths as people find them: each row is one packet, and all are delivered.
func TestPcapLengths(t *testing.T) {
	for _, test := range []struct {
		name             string
		captured, length int
	}{
		{"empty", 0, 0},
		{"cut by the snapshot length", 5, 1500},
		{"longer than on the wire", 60, 42},
		{"longer than the snapshot length", 100000, 100000},
		{"longer than the buffer", 3 * bufferSize, 3 * bufferSize},
		{"the largest", MaxPacket, MaxPacket},
	} {
		file := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 1, 1).add(2, 0, test.captured, test.length).add(3, 0, 2, 2)
		got := mustRead(t, file.data)
		if len(got) != 3 || len(got[1].Data) != test.captured || int(got[1].Length) != test.length || len(got[2].Data) != 2 {
			t.Errorf("%s: wrong frames", test.name)
		}
	}
}

func TestPcapOldVersions(t *testing.T) {
	for _, test := range []struct {
		version       [2]uint16
		first, second uint32 // the lengths as written; 3 octets follow
	}{
		{[2]uint16{2, 4}, 3, 9},
		{[2]uint16{2, 2}, 9, 3},
		{[2]uint16{543, 0}, 9, 3},
		{[2]uint16{2, 3}, 3, 9},
		{[2]uint16{2, 3}, 9, 3},
	} {
		file := newPcapFile(lsbFirst, magicMicro, 1)
		file.version = test.version
		file.begin().claim(1, 0, test.first, test.second, payload(0, 3))
		if got := mustRead(t, file.data); len(got) != 1 || len(got[0].Data) != 3 || got[0].Length != 9 {
			t.Errorf("version %d: got %+v", test.version, got)
		}
	}
}

// A fraction beyond a second is added to the seconds, as tshark does.
func TestPcapOddTimes(t *testing.T) {
	file := newPcapFile(msbFirst, magicMicro, 1).add(10, 2_500_000, 1, 1).add(1<<32-1, 1<<32-1, 1, 1)
	got := mustRead(t, file.data)
	if got[0].Time != 12_500_000_000 || got[1].Time != (1<<32-1)*1_000_000_000+(1<<32-1)*1000 {
		t.Errorf("times %d and %d", got[0].Time, got[1].Time)
	}
}

func TestPcapTooLong(t *testing.T) {
	for _, claimed := range []uint32{MaxPacket + 1, 1<<31 - 1, 1 << 31, 1<<32 - 1} {
		file := newPcapFile(lsbFirst, magicMicro, 1).add(1, 0, 4, 4).claim(2, 0, claimed, 4, make([]byte, 100))
		frames, err := readAll(file.data)
		bad, ok := errors.AsType[*FormatError](err)
		if len(frames) != 1 || !ok || bad.Packet != 2 || bad.Offset != 44 || errors.Is(err, ErrTruncated) || err == io.EOF {
			t.Errorf("claim of %d: %d frames, %v", claimed, len(frames), err)
		}
	}
}
