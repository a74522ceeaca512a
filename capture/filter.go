package capture

import (
	"encoding/binary"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/gopacket"
	"github.com/google/gopacket/pcap"
)

// Filter is an expression of libpcap's language (pcap-filter(7)), compiled
// for each link type that it meets.
type Filter struct {
	expr     string
	programs map[LinkType]*pcap.BPF // nil: libpcap cannot filter this link type
	link     LinkType               // of the previous frame: captures seldom change it
	program  *pcap.BPF
}

// FilterError says which expression libpcap refused, for which link type.
type FilterError struct {
	Expr string
	Link LinkType
	Err  error // libpcap's message
}

func (e *FilterError) Error() string {
	const enough = 1000 // to recognize it; an expression in a file may be a megabyte long
	expr := fmt.Sprintf("%.*q", enough, e.Expr)
	if utf8.RuneCountInString(e.Expr) > enough {
		expr += "..."
	}
	if e.Link == LinkEthernet {
		return fmt.Sprintf("filter %s: %v", expr, e.Err)
	}
	return fmt.Sprintf("filter %s: link type %v: %v", expr, e.Link, e.Err)
}

// Unwrap returns libpcap's message.
func (e *FilterError) Unwrap() error { return e.Err }

// WantsNetmask reports whether the expression may still be valid for a device: "ip broadcast"
// needs the netmask of the device's network, which a savefile does not contain.
func (e *FilterError) WantsNetmask() bool {
	return strings.HasPrefix(e.Err.Error(), "netmask not known")
}

// NewFilter compiles an expression for Ethernet, so that a typo is found
// before anything is read. The error is a [*FilterError]. An empty expression
// matches everything.
func NewFilter(expr string) (*Filter, error) {
	f := &Filter{expr: expr, programs: make(map[LinkType]*pcap.BPF), link: LinkEthernet}
	err := f.compile(LinkEthernet)
	if err != nil && !f.suitsAnother() {
		return nil, err
	}
	if err != nil { // compile again for the link type of the first frame, even if it is Ethernet
		clear(f.programs)
		f.link = noLink
	}
	return f, nil
}

// noLink is the link type of no frame.
const noLink LinkType = 0xffff

// suitsAnother reports whether an expression that libpcap refuses for Ethernet is valid for
// a link type that has keywords of its own: "type mgt", "radio[2:2] > 8", "inbound",
// "ifindex 2", "action pass", "vpi 1", "ether host $1a", "fisu".
func (f *Filter) suitsAnother() bool {
	others := []LinkType{
		LinkIEEE80211, LinkRadiotap, LinkLinuxSLL, LinkLinuxSLL2, LinkPFLog, LinkSunATM, LinkARCNETBSD, LinkMTP2,
	}
	return slices.ContainsFunc(others, func(link LinkType) bool {
		_, err := compile(f.expr, link)
		return err == nil
	})
}

// MatchesAll reports whether there is no expression.
func (f *Filter) MatchesAll() bool { return f.expr == "" }

// Matches reports whether the expression matches a frame. Frames of a link type
// that libpcap cannot filter never match; the first of them also gives a
// [*FilterError], which calls for a warning and is no reason to stop.
//
// A frame without octets is matched as one octet of value 0: gopacket cannot
// pass an empty one to libpcap.
func (f *Filter) Matches(frame *Frame) (bool, error) {
	if f.MatchesAll() {
		return true, nil
	}
	if frame.Link != f.link {
		if err := f.compile(frame.Link); err != nil {
			return false, err
		}
	}
	if f.program == nil {
		return false, nil
	}
	data := frame.Data
	if len(data) == 0 {
		data = empty[:]
	}
	return f.program.Matches(gopacket.CaptureInfo{Length: int(frame.Length)}, data), nil
}

var empty [1]byte

// compile makes the program for a link type the current one, and compiles it if needed.
func (f *Filter) compile(link LinkType) error {
	program, known := f.programs[link]
	var err error
	if !known {
		if program, err = compile(f.expr, link); err != nil {
			err = &FilterError{Expr: f.expr, Link: link, Err: err}
		}
		f.programs[link] = program
	}
	f.link, f.program = link, program
	return err
}

// compile has libpcap compile an expression for a 16-bit link type. The handle
// that libpcap needs is opened on a savefile without packets, because gopacket's
// pcap_open_dead takes 8-bit link types, and DLT_ numbers.
func compile(expr string, link LinkType) (*pcap.BPF, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	_, err = w.Write(bareHeader(link))
	w.Close()
	if err != nil {
		return nil, err
	}
	// Open by name: OpenOfflineFile closes the descriptor, and the os.File
	// would close it again when it may already belong to something else.
	handle, err := pcap.OpenOffline("/dev/fd/" + strconv.Itoa(int(r.Fd())))
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	return handle.NewBPF(expr)
}

// bareHeader returns a pcap file of a link type, without packets.
func bareHeader(link LinkType) []byte {
	if link == LinkRaw12 || link == LinkRaw14 {
		link = LinkRaw // to libpcap, 14 is another link type
	}
	b := binary.LittleEndian.AppendUint32(nil, magicMicro)
	b = binary.LittleEndian.AppendUint16(b, 2)
	b = binary.LittleEndian.AppendUint16(b, 4)
	b = append(b, make([]byte, 8)...)
	b = binary.LittleEndian.AppendUint32(b, snapLength)
	return binary.LittleEndian.AppendUint32(b, uint32(link))
}
