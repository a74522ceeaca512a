package capture

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// snapLength is the longest packet that our files announce: libpcap's maximum,
// whatever packets follow.
const snapLength = 262144

// ErrMixed is the error of a [Saver] to a pipe or to standard output when a packet
// does not fit into the pcap file that it began: its link type is not that of the
// first packet, or it has no time, or one that pcap cannot express.
var ErrMixed = errors.New("a pcap file holds one link type and times from 1970 to 2106, and one written to a pipe or to standard output cannot be converted to pcapng")

// Saver writes frames to a savefile: pcap with nanoseconds, which most programs
// read, as long as that can hold the frames; after that the file becomes pcapng,
// with all that was written before.
type Saver struct {
	name  string
	file  namedFile
	out   *bufio.Writer
	begun bool
	first saverFace // of the pcap file
	ng    bool
	faces map[saverFace]uint32 // of the pcapng section
	fixed [enhancedFixed - blockHeader]byte
	err   error
}

// saverFace is what the frames of a pcapng interface, or all frames of a pcap
// file, have in common.
type saverFace struct {
	link LinkType
	fcs  uint8
	past bool   // before 1970: such times are written with an offset
	snap uint32 // the captured length of a cut packet without time, which has no other place; else 0
}

// pastSeconds is how far before 1970 the clock of an interface for such times
// begins: less than a second before the earliest time that a Frame can have.
const pastSeconds int64 = math.MaxInt64/1_000_000_000 + 1

// zeros pad pcapng blocks.
var zeros [4]byte

// NewSaver creates the file, or empties it; "-" is standard output.
func NewSaver(name string) (*Saver, error) {
	file := os.Stdout
	if name != "-" {
		var err error
		// For writing only, so that opening a named pipe waits for its reader.
		if file, err = os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o666); err != nil {
			return nil, err
		}
	}
	named := namedFile{file, file.Name()}
	return &Saver{name: name, file: named, out: bufio.NewWriterSize(named, 64<<10)}, nil
}

// Write appends a frame. After an error, such as a full disk or [ErrMixed], it
// returns the same error again.
func (s *Saver) Write(f *Frame) error {
	if s.err == nil {
		s.err = s.write(f)
	}
	return s.err
}

func (s *Saver) write(f *Frame) error {
	face := saverFace{link: f.Link, fcs: f.FCS, past: f.Time < 0}
	if f.Timeless && len(f.Data) < int(f.Length) {
		face.snap = uint32(len(f.Data))
	}
	fits := !f.Timeless && !face.past && f.Time < 1e9<<32
	switch {
	case !s.begun && !fits: // no pcap file needs to be converted
		s.begun, s.ng = true, true
		s.section()
	case !s.begun:
		s.begin(face)
	case !s.ng && (!fits || face != s.first):
		if err := s.convert(); err != nil {
			return err
		}
	}
	if s.ng {
		return s.writeBlock(f, face)
	}
	h := binary.LittleEndian.AppendUint32(s.out.AvailableBuffer(), uint32(f.Time/1e9))
	h = binary.LittleEndian.AppendUint32(h, uint32(f.Time%1e9))
	h = binary.LittleEndian.AppendUint32(h, uint32(len(f.Data)))
	s.out.Write(binary.LittleEndian.AppendUint32(h, f.Length))
	_, err := s.out.Write(f.Data) // a bufio.Writer keeps its first error
	return err
}

// begin writes the header of a pcap file.
func (s *Saver) begin(face saverFace) {
	network := uint32(face.link)
	if face.fcs != 0 && face.fcs%2 == 0 && face.fcs < 32 {
		network |= uint32(face.fcs/2)<<28 | 1<<26
	}
	h := bareHeader(LinkNull)
	binary.LittleEndian.PutUint32(h, magicNano)
	binary.LittleEndian.PutUint32(h[20:], network)
	s.out.Write(h)
	s.begun, s.first = true, face
}

// convert turns the pcap file written so far into a pcapng file of the same
// name, through a temporary one beside it.
func (s *Saver) convert() (err error) {
	if err := s.Flush(); err != nil {
		return err
	}
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || s.name == "-" {
		return fmt.Errorf("write %s: %w", s.file.Name(), ErrMixed)
	}
	defer func() {
		if path, ok := errors.AsType[*fs.PathError](err); ok {
			err = path.Err // the name of the temporary file tells the user nothing
		}
		if err != nil {
			err = fmt.Errorf("convert %s to pcapng: %w", s.name, err)
		}
	}()
	path, err := filepath.EvalSymlinks(s.name)
	if err != nil {
		return err
	}
	if there, err := os.Stat(path); err == nil && !os.SameFile(info, there) {
		return errors.New("another file has taken its name")
	}
	file, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	named := namedFile{file, s.name}
	ng := &Saver{name: s.name, file: named, out: bufio.NewWriterSize(named, 64<<10), begun: true, ng: true}
	ng.section()
	err = ng.copy(path)
	if err == nil {
		err = ng.Flush()
	}
	if err == nil {
		err = file.Chmod(info.Mode().Perm())
	}
	if err == nil {
		err = os.Rename(file.Name(), path)
	}
	if err != nil {
		file.Close()
		os.Remove(file.Name())
		return err
	}
	s.file.Close()
	*s = *ng
	return nil
}

// copy appends the packets of a file.
func (s *Saver) copy(path string) error {
	from, err := OpenFile(path)
	if err != nil {
		return err
	}
	defer from.Close()
	var f Frame
	for {
		switch err := from.Next(&f); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := s.Write(&f); err != nil {
			return err
		}
	}
}

// section begins a pcapng section.
func (s *Saver) section() {
	b := binary.LittleEndian.AppendUint32(nil, sectionMagic)
	b = binary.LittleEndian.AppendUint16(b, 1)
	b = binary.LittleEndian.AppendUint16(b, 0)
	s.block(blockSection, binary.LittleEndian.AppendUint64(b, math.MaxUint64), nil)
	s.faces = make(map[saverFace]uint32)
}

// block writes a pcapng block of a fixed part and a padded one.
func (s *Saver) block(kind uint32, fixed, data []byte) error {
	padding := zeros[:-len(data)&3]
	length := uint32(blockMin + len(fixed) + len(data) + len(padding))
	h := binary.LittleEndian.AppendUint32(s.out.AvailableBuffer(), kind)
	s.out.Write(binary.LittleEndian.AppendUint32(h, length))
	s.out.Write(fixed)
	s.out.Write(data)
	s.out.Write(padding)
	_, err := s.out.Write(binary.LittleEndian.AppendUint32(s.out.AvailableBuffer(), length))
	return err
}

// writeBlock appends a frame to a pcapng file. A packet without time belongs to
// the first interface of its section, so one that does not suit that interface
// begins a new section.
func (s *Saver) writeBlock(f *Frame, face saverFace) error {
	id, known := s.faces[face]
	if f.Timeless && (known && id != 0 || !known && len(s.faces) > 0) {
		s.section()
		known = false
	}
	if !known {
		id = s.describe(face)
	}
	fixed := s.fixed[:]
	if f.Timeless {
		binary.LittleEndian.PutUint32(fixed, f.Length)
		return s.block(blockSimple, fixed[:simpleFixed-blockHeader], f.Data[:min(len(f.Data), int(f.Length))])
	}
	ticks := uint64(f.Time)
	if face.past {
		ticks += uint64(pastSeconds) * 1e9 // wraps into range
	}
	for i, v := range [...]uint32{id, uint32(ticks >> 32), uint32(ticks), uint32(len(f.Data)), f.Length} {
		binary.LittleEndian.PutUint32(fixed[4*i:], v)
	}
	return s.block(blockEnhanced, fixed, f.Data)
}

// describe adds an interface whose clock counts nanoseconds.
func (s *Saver) describe(face saverFace) uint32 {
	id := uint32(len(s.faces))
	s.faces[face] = id
	b := binary.LittleEndian.AppendUint16(nil, uint16(face.link))
	b = binary.LittleEndian.AppendUint16(b, 0)
	b = binary.LittleEndian.AppendUint32(b, face.snap)
	b = append(b, 9, 0, 1, 0, 9, 0, 0, 0) // if_tsresol: nanoseconds
	if face.fcs != 0 {
		b = append(b, 13, 0, 1, 0, face.fcs*8, 0, 0, 0) // if_fcslen: bits
	}
	if face.past {
		offset := -pastSeconds
		b = append(b, 14, 0, 8, 0) // if_tsoffset
		b = binary.LittleEndian.AppendUint64(b, uint64(offset))
	}
	s.block(blockInterface, append(b, 0, 0, 0, 0), nil)
	return id
}

// Flush writes what is still buffered to the file.
func (s *Saver) Flush() error {
	if s.err == nil {
		s.err = s.out.Flush()
	}
	return s.err
}

// Close flushes and closes the file. A file without any frame becomes a pcap
// file of Ethernet, which every program can open.
func (s *Saver) Close() error {
	if !s.begun {
		s.begin(saverFace{link: LinkEthernet})
	}
	err := s.Flush()
	if s.file.File == os.Stdout {
		return err
	}
	return errors.Join(err, s.file.Close())
}

// A namedFile is a file whose errors have the name that was asked for: a converted
// file was created under another name.
type namedFile struct {
	*os.File
	name string
}

func (f namedFile) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	return n, f.named(err)
}

// Close closes the file.
func (f namedFile) Close() error { return f.named(f.File.Close()) }

func (f namedFile) named(err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		path.Path = f.name
	}
	return err
}
