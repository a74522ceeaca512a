package capture

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestPcapngPackets(t *testing.T) {
	for _, order := range []byteOrder{lsbFirst, msbFirst} {
		t.Run(order.String(), func(t *testing.T) {
			file := newNgFile(order)
			file.face(1, 96).enhanced(0, 1700000000_123456, 5, 1500).
				simple(7, 7).
				obsolete(0, 3, 1700000000_123457, 6, 6)
			frames := mustRead(t, file.data)
			want := []Frame{
				{Data: payload(0, 5), Time: 1700000000_123456000, Length: 1500, Link: LinkEthernet},
				{Data: payload(1, 7), Timeless: true, Length: 7, Link: LinkEthernet},
				{Data: payload(2, 6), Time: 1700000000_123457000, Length: 6, Link: LinkEthernet},
			}
			if !sameFrames(frames, want) {
				t.Errorf("got  %+v\nwant %+v", frames, want)
			}
		})
	}
}

// Each interface has its own link type, clock and frame check sequence, and
// counts on through sections of either byte order.
func TestPcapngInterfacesAndSections(t *testing.T) {
	file := newNgFile(lsbFirst)
	file.face(1, 0, file.option(9, []byte{9}), file.option(2, []byte("eth0")), file.option(0, nil))
	file.face(276, 0, file.option(13, []byte{4}), file.option64(14, 3600))
	file.enhanced(1, 5, 1, 1).enhanced(0, 5, 1, 1)
	file.section(msbFirst)
	file.face(101, 0, file.option(9, []byte{0x80 | 10})).enhanced(0, 2048, 1, 1)
	file.section(lsbFirst)
	file.face(113, 0, file.option64(14, ^uint64(0))).enhanced(0, 1, 1, 1)
	want := []Frame{
		{Data: payload(0, 1), Length: 1, Link: LinkLinuxSLL2, Interface: 1, FCS: 4, Time: 3600_000005000},
		{Data: payload(1, 1), Length: 1, Link: LinkEthernet, Interface: 0, Time: 5},
		{Data: payload(2, 1), Length: 1, Link: LinkRaw, Interface: 2, Time: 2e9},
		{Data: payload(3, 1), Length: 1, Link: LinkLinuxSLL, Interface: 3, Time: 1000 - 1e9},
	}
	if got := mustRead(t, file.data); !sameFrames(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

// if_fcslen counts bits. Where that makes no octet, its writer counted octets.
func TestPcapngFrameCheckSequence(t *testing.T) {
	for length, want := range map[byte]uint8{0: 0, 2: 2, 4: 4, 16: 2, 32: 4, 248: 31} {
		file := newNgFile(msbFirst).face(1, 0, []byte{0, 13, 0, 1, length, 0, 0, 0}).enhanced(0, 1, 64, 64)
		if got := mustRead(t, file.data); got[0].FCS != want {
			t.Errorf("%d: %d octets, want %d", length, got[0].FCS, want)
		}
	}
}

func TestPcapngSkipsWhatIsNoPacket(t *testing.T) {
	file := newNgFile(msbFirst)
	file.block(4, []byte("name resolution")).face(1, 0).enhanced(0, 1, 1, 1)
	file.block(10, []byte("decryption secrets")).
		block(0x00000bad, []byte("custom")).
		block(0x40000bad, nil).
		block(0xffffffff, make([]byte, 3*bufferSize)).
		block(8, []byte("obsolete, IRIG"))
	file.enhanced(0, 2, 1, 1, file.option(1, []byte("a comment")), file.option(0, nil))
	f, err := newFile(strings.NewReader(string(file.data)), "x", nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	frames, err := drain(f)
	if len(frames) != 2 || err != io.EOF || f.Stats().SkippedBlocks != 6 {
		t.Errorf("%d frames, %d blocks skipped, %v", len(frames), f.Stats().SkippedBlocks, err)
	}
}

// The drops of a capture are those of the latest statistics of each interface.
func TestPcapngDrops(t *testing.T) {
	file := newNgFile(lsbFirst)
	statistics := func(face uint32, device, kernel uint64) {
		body := append(file.order.AppendUint32(nil, face), make([]byte, 8)...)
		body = append(body, file.option64(5, device)...)
		body = append(body, file.option64(7, kernel)...)
		file.block(blockStatistics, body)
	}
	file.face(1, 0).face(1, 0)
	statistics(0, 1, 10)
	statistics(0, 2, 20)
	statistics(1, 4, 40)
	file.section(msbFirst).face(1, 0)
	statistics(0, 8, 80)
	f, err := newFile(strings.NewReader(string(file.data)), "x", nil, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := drain(f); err != io.EOF {
		t.Fatal(err)
	}
	if s := f.Stats(); s.InterfaceDrops != 14 || s.KernelDrops != 140 {
		t.Errorf("drops: interface %d, kernel %d", s.InterfaceDrops, s.KernelDrops)
	}
}

func TestPcapngSimplePacketIsCutBySnaplen(t *testing.T) {
	file := newNgFile(lsbFirst).face(1, 10).simple(10, 1500)
	got := mustRead(t, file.data)
	if len(got[0].Data) != 10 || got[0].Length != 1500 {
		t.Errorf("got %d of %d octets", len(got[0].Data), got[0].Length)
	}
}

// Writers that leave the padding out of the total length are read as by Wireshark.
func TestPcapngUnpaddedLength(t *testing.T) {
	file := newNgFile(lsbFirst).face(1, 0).enhanced(0, 1, 5, 5)
	end := len(file.data)
	lsbFirst.PutUint32(file.data[end-4:], 37)
	lsbFirst.PutUint32(file.data[end-40+4:], 37)
	file.enhanced(0, 2, 4, 4)
	if got := mustRead(t, file.data); len(got) != 2 || len(got[0].Data) != 5 || len(got[1].Data) != 4 {
		t.Errorf("got %+v", got)
	}
}

func TestPcapngFaults(t *testing.T) {
	good := func() *ngFile { return newNgFile(lsbFirst).face(1, 0).enhanced(0, 1, 4, 4) }
	for _, test := range []struct {
		name string
		file *ngFile
		want string // of the error, after the packet's number
	}{
		{"interface that is not there", good().enhanced(7, 1, 4, 4),
			"block names interface 7, the section has described 1 so far"},
		{"interface of the section before", good().section(msbFirst).enhanced(0, 1, 4, 4),
			"block names interface 0, the section has described 0 so far"},
		{"simple packet without an interface", good().section(msbFirst).simple(4, 4),
			"block names interface 0, the section has described 0 so far"},
		{"captured length beyond the block", good().block(blockEnhanced,
			[]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255, 1, 0, 0, 0}),
			"packet claims 4294967295 captured octets, its block has room for 0"},
		{"packet block without room", good().block(blockEnhanced, make([]byte, 16)),
			"enhanced packet block of 28 octets, less than 32"},
		{"obsolete packet block without room", good().block(blockPacket, nil),
			"packet block of 12 octets, less than 32"},
		{"simple packet without room", good().block(blockSimple, nil),
			"simple packet block of 12 octets, less than 16"},
		{"interface without room", good().block(blockInterface, make([]byte, 4)),
			"interface description of 16 octets, less than 20"},
		{"statistics without room", good().block(blockStatistics, make([]byte, 8)),
			"interface statistics of 20 octets, less than 24"},
		{"option beyond its block", good().face(1, 0, []byte{2, 0, 255, 255}),
			"interface description: an option reaches beyond its block"},
		{"option header cut", good().block(blockStatistics, make([]byte, 12, 16)).block(blockStatistics,
			append(make([]byte, 12), 5, 0, 8, 0)),
			"interface statistics: an option reaches beyond its block"},
		{"byte-order magic", good().block(blockSection, []byte{1, 2, 3, 4}),
			"section header has the byte-order magic 0x04030201"},
		{"version", good().block(blockSection, append([]byte{0x4d, 0x3c, 0x2b, 0x1a, 2, 0}, make([]byte, 10)...)),
			"section has version 2 of pcapng, not 1"},
		{"section without room", good().block(blockSection, []byte{0x4d, 0x3c, 0x2b, 0x1a}),
			"section header of 16 octets, less than 28"},
	} {
		frames, err := readAll(test.file.data)
		bad, ok := errors.AsType[*FormatError](err)
		if len(frames) != 1 || !ok || bad.Packet != 2 || bad.Err.Error() != test.want {
			t.Errorf("%s: %d frames, %v", test.name, len(frames), err)
		}
	}
}

// Lengths of blocks that cannot be, or that do not agree.
func TestPcapngBlockLengths(t *testing.T) {
	for _, test := range []struct {
		kind, first, last uint32
		want              string
	}{
		{blockEnhanced, 0, 0, "block of type 0x6 claims 0 octets, less than 12"},
		{blockEnhanced, 11, 11, "block of type 0x6 claims 11 octets, less than 12"},
		{blockEnhanced, 1 << 31, 36, "block of type 0x6 claims 2147483648 octets, more than 17825792"},
		{blockEnhanced, 1<<32 - 1, 36, "block of type 0x6 claims 4294967295 octets, more than 17825792"},
		{blockEnhanced, 36, 40, "block of type 0x6 has length 36 at its start and 40 at its end"},
		{0xbad, 36, 40, "block of type 0xbad has length 36 at its start and 40 at its end"},
		{0xbad, 4, 4, "block of type 0xbad claims 4 octets, less than 12"},
	} {
		file := newNgFile(lsbFirst).face(1, 0).enhanced(0, 1, 4, 4)
		start := len(file.data)
		file.enhanced(0, 1, 4, 4)
		lsbFirst.PutUint32(file.data[start:], test.kind)
		lsbFirst.PutUint32(file.data[start+4:], test.first)
		lsbFirst.PutUint32(file.data[len(file.data)-4:], test.last)
		frames, err := readAll(file.data)
		bad, ok := errors.AsType[*FormatError](err)
		if len(frames) != 1 || !ok || bad.Err.Error() != test.want || bad.Offset != int64(start) {
			t.Errorf("%+v: %d frames, %v", test, len(frames), err)
		}
	}
}

func TestPcapngTooManyInterfaces(t *testing.T) {
	file := newNgFile(lsbFirst)
	for range MaxInterfaces {
		file.face(1, 0)
	}
	file.enhanced(MaxInterfaces-1, 1, 1, 1)
	if frames := mustRead(t, file.data); frames[0].Interface != MaxInterfaces-1 {
		t.Errorf("interface %d", frames[0].Interface)
	}
	_, err := readAll(file.face(1, 0).data)
	if want := "section has more than 65536 interfaces"; err == nil || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("error %v", err)
	}
}
