package capture

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"

	"github.com/portwatch/portwatch/testdata/compressed"
)

func FuzzPcap(f *testing.F) {
	for name, s := range samples() {
		if name != "pcapng" {
			addWithCuts(f, s.data)
		}
	}
	old := newPcapFile(msbFirst, magicMicro, 276)
	old.version = [2]uint16{2, 3}
	f.Add(old.begin().claim(1, 1<<32-1, 9, 3, payload(0, 3)).claim(2, 0, 1<<31, 1, payload(0, 30)).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 4 && isPcapng(data) {
			return
		}
		checkSavefile(t, data)
	})
}

func FuzzPcapng(f *testing.F) {
	addWithCuts(f, samples()["pcapng"].data)
	ng := newNgFile(msbFirst)
	ng.face(1, 0, ng.option(9, []byte{0xff}), ng.option64(14, 1<<63), ng.option(13, []byte{4}), ng.option(0, nil))
	ng.block(blockStatistics, append(make([]byte, 12), ng.option64(7, 9)...))
	f.Add(ng.enhanced(0, 1<<63, 5, 5).section(lsbFirst).face(113, 3).simple(3, 9).data)
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) >= 4 && isPcap(data) {
			return
		}
		checkSavefile(t, data)
	})
}

func FuzzCompressed(f *testing.F) {
	data := noise(3)
	for _, compress := range compressed.By {
		addWithCuts(f, compress(data))
		f.Add(append(compress(data[:50]), compress(data[50:])...))
		f.Add(append(compress(data), 0, 0, 0, 0, 0))
		f.Add(append(compress(data), "rubbish"...))
	}
	f.Fuzz(func(t *testing.T, data []byte) { checkFrames(t, data) })
}

// addWithCuts adds a capture, and what is left of it when it is cut.
func addWithCuts(f *testing.F, data []byte) {
	f.Add(data)
	f.Add(data[:len(data)/2])
	f.Add(data[:len(data)-1])
}

// checkSavefile reads any octets as a capture that is not compressed: on top
// of what checkFrames asks for, each frame must be a part of its own packet
// or block, and these must follow one another.
func checkSavefile(t *testing.T, data []byte) {
	checkFrames(t, data)
	f, err := newFile(bytes.NewReader(data), "x", nil, -1)
	if err != nil || f.compression != "" {
		return
	}
	end := f.in.offset
	for {
		var frame Frame
		if f.Next(&frame) != nil {
			return
		}
		if f.in.start < end || f.in.offset <= f.in.start || f.in.offset > int64(len(data)) {
			t.Fatalf("a packet at %d to %d, after one that ended at %d", f.in.start, f.in.offset, end)
		}
		end = f.in.offset
		if !bytes.Contains(data[f.in.start:end], frame.Data) {
			t.Fatalf("the packet at %d has octets that are not there", f.in.start)
		}
	}
}

// checkFrames reads any octets as a capture. There is a file or an error, a
// frame or an error; an error is the end of the file or says where it stands,
// and stays; and the frames do not depend on how the octets come.
func checkFrames(t *testing.T, data []byte) {
	frames, err := readChecked(t, bytes.NewReader(data))
	again, err2 := readChecked(t, iotest.OneByteReader(bytes.NewReader(data)))
	if !sameFrames(frames, again) || err.Error() != err2.Error() {
		t.Fatalf("%d frames, then %v; octet by octet %d frames, then %v", len(frames), err, len(again), err2)
	}
	if several, err3 := readSeveral(data); !sameFrames(frames, several) || err.Error() != err3.Error() {
		t.Fatalf("%d frames, then %v; several at once %d frames, then %v", len(frames), err, len(several), err3)
	}
}

// readSeveral is readAll by File.Read.
func readSeveral(data []byte) (all []Frame, err error) {
	f, err := newFile(bytes.NewReader(data), "x", nil, -1)
	if err != nil {
		return nil, err
	}
	for frames := make([]Frame, 7); ; {
		n, err := f.Read(frames)
		for _, frame := range frames[:n] { // all are valid now
			frame.Data = bytes.Clone(frame.Data)
			all = append(all, frame)
		}
		if err != nil {
			return all, err
		}
	}
}

// readChecked is readFrom that checks what Next promises.
func readChecked(t *testing.T, r io.Reader) (frames []Frame, err error) {
	f, err := newFile(r, "x", nil, -1)
	if (f == nil) == (err == nil) {
		t.Fatalf("both or neither of a file and an error: %v", err)
	}
	if err != nil {
		if bad, ok := errors.AsType[*FormatError](err); !ok || bad.Packet != 0 {
			t.Fatalf("error of the header: %v", err)
		}
		return nil, err
	}
	const untouched = 0xbeef
	for {
		frame := Frame{Interface: untouched}
		if err = f.Next(&frame); err != nil {
			if frame.Data != nil || frame.Interface != untouched {
				t.Fatalf("both a frame and the error %v", err)
			}
			break
		}
		frame.Data = bytes.Clone(frame.Data)
		frames = append(frames, frame)
	}
	if bad, ok := errors.AsType[*FormatError](err); err != io.EOF && (!ok || bad.Packet != uint64(len(frames)+1)) {
		t.Fatalf("after %d packets: %v", len(frames), err)
	}
	if again := f.Next(new(Frame)); again != err {
		t.Fatalf("%v, then %v", err, again)
	}
	if s := f.Stats(); s.Packets != uint64(len(frames)) {
		t.Fatalf("%d packets counted, %d returned", s.Packets, len(frames))
	}
	return frames, err
}
