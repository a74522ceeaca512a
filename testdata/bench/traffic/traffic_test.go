package traffic

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// The sums pin the octets: figures of different days are comparable only if the traffic is the same.
func TestSameOctets(t *testing.T) {
	for _, row := range []struct {
		name, sum string
		write     func(io.Writer) (Made, error)
	}{
		{"small", "1c10ab8e8411a77d", func(w io.Writer) (Made, error) { return Small(w, 200, 8) }},
		{"flows", "068836c597faee96", func(w io.Writer) (Made, error) { return Flows(w, 5000) }},
		{"mix", "", func(w io.Writer) (Made, error) { return Mix(w, testdata, 10_000) }}, // as testdata is today
	} {
		first, second := sumOf(t, row.write), sumOf(t, row.write)
		if first != second || row.sum != "" && first != row.sum {
			t.Errorf("%s: %s, then %s, want %s", row.name, first, second, row.sum)
		}
	}
}

const testdata = "../.."

func sumOf(t *testing.T, write func(io.Writer) (Made, error)) string {
	t.Helper()
	h := sha256.New()
	if _, err := write(h); err != nil {
		t.Fatal(err)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// talk is the five-tuple of a packet, the lower endpoint first.
type talk struct {
	protocol byte
	a, b     netip.AddrPort
}

// dissect checks a frame's checksums and returns its talk.
func dissect(t *testing.T, frame []byte) talk {
	t.Helper()
	at, version := network(frame)
	ip := frame[at:]
	protocol, addresses, body := ip[9], ip[12:20], ip[20:]
	length := int(ip[2])<<8 + int(ip[3]) - 20
	if version == 6 {
		protocol, addresses, body = ip[6], ip[8:40], ip[40:]
		length = int(ip[4])<<8 + int(ip[5])
	} else if checksum(sum(ip[:20])) != 0 {
		t.Fatalf("the sum of an IP header is wrong: %x", ip[:20])
	}
	body = body[:length]
	if checksum(sum(addresses)+uint32(protocol)+uint32(length)+sum(body)) != 0 {
		t.Fatalf("a sum is wrong: protocol %d, %x", protocol, body)
	}
	from, _ := netip.AddrFromSlice(addresses[:len(addresses)/2])
	to, _ := netip.AddrFromSlice(addresses[len(addresses)/2:])
	a := netip.AddrPortFrom(from, uint16(body[0])<<8|uint16(body[1]))
	b := netip.AddrPortFrom(to, uint16(body[2])<<8|uint16(body[3]))
	if b.Compare(a) < 0 {
		a, b = b, a
	}
	return talk{protocol, a, b}
}

// talks counts the packets of each talk in a capture.
func talks(t *testing.T, file []byte) map[talk]int {
	t.Helper()
	count := map[talk]int{}
	for _, f := range frames(t, file) {
		if len(f.Data) < 60 {
			t.Fatalf("a frame of %d octets", len(f.Data))
		}
		count[dissect(t, f.Data)]++
	}
	return count
}

func frames(t *testing.T, file []byte) (all []capture.Frame) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "capture")
	if err := os.WriteFile(name, file, 0o600); err != nil {
		t.Fatal(err)
	}
	source, err := capture.OpenFile(name)
	if err != nil {
		t.Fatal(err)
	}
	defer source.Close()
	for {
		var f capture.Frame
		err := source.Next(&f)
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		f.Data = bytes.Clone(f.Data)
		if n := len(all); n > 0 && f.Time < all[n-1].Time {
			t.Fatal("the time runs backwards")
		}
		all = append(all, f)
	}
}

func TestSmall(t *testing.T) {
	var file bytes.Buffer
	m, err := Small(&file, 1000, 10)
	if err != nil {
		t.Fatal(err)
	}
	if m.Packets != 10_000 || m.Octets != 10_000*60+1000*2 {
		t.Error(m)
	}
	count := talks(t, file.Bytes())
	if len(count) != 1000 {
		t.Errorf("%d Flows", len(count))
	}
	for talk, n := range count {
		if n != 10 {
			t.Errorf("%v: %d packets", talk, n)
		}
	}
	// All are alive at once: the first round is over before the second begins.
	seen := map[talk]bool{}
	for _, f := range frames(t, file.Bytes())[:1000] {
		seen[dissect(t, f.Data)] = true
	}
	if len(seen) != 1000 {
		t.Errorf("%d Flows in the first 1000 packets", len(seen))
	}
}

func TestFlows(t *testing.T) {
	var file bytes.Buffer
	m, err := Flows(&file, 2000)
	if err != nil {
		t.Fatal(err)
	}
	if m.Packets != 4400 {
		t.Error(m)
	}
	sizes := map[int]int{}
	for _, n := range talks(t, file.Bytes()) {
		sizes[n]++
	}
	if len(sizes) != 3 || sizes[1] != 400 || sizes[2] != 1400 || sizes[6] != 200 {
		t.Errorf("Flows by packets %v", sizes)
	}
}

// The connections satisfy a TCP state machine.
func TestConnections(t *testing.T) {
	var file bytes.Buffer
	if _, err := Small(&file, 7, 9); err != nil { // TCP alone
		t.Fatal(err)
	}
	table, decoder := flow.NewTable(flow.Options{}), capture.NewDecoder(capture.DecoderOptions{})
	var batch flow.Batch
	decoder.Decode(frames(t, file.Bytes()), &batch)
	table.Add(&batch)
	table.Flush()
	var r flow.Record
	n := 0
	for ; table.Next(&r); n++ {
		if r.State != flow.Closed || r.Midstream {
			t.Errorf("state %v, midstream %v, history %s", r.State, r.Midstream, r.History[:r.HistoryLen])
		}
	}
	if n != 7 {
		t.Errorf("%d records", n)
	}
}

func TestMix(t *testing.T) {
	traces, packets, err := load(testdata)
	if err != nil {
		t.Fatal(err)
	}
	var once, twice bytes.Buffer
	if _, err := Mix(&once, testdata, 1); err != nil {
		t.Fatal(err)
	}
	m, err := Mix(&twice, testdata, packets+1)
	if err != nil {
		t.Fatal(err)
	}
	if len(traces) < 3 || m.Packets != 2*packets {
		t.Errorf("%d traces of %d packets; twice: %d", len(traces), packets, m.Packets)
	}
	one, two := created(t, once.Bytes()), created(t, twice.Bytes())
	if one == 0 || two < one*19/10 {
		t.Errorf("%d Flows in one copy, %d in two", one, two)
	}
	if _, err := Mix(io.Discard, t.TempDir(), 1); err == nil {
		t.Error("a mix of nothing")
	}
}

// created returns how many Flows portwatch finds.
func created(t *testing.T, file []byte) uint64 {
	table, decoder := flow.NewTable(flow.Options{}), capture.NewDecoder(capture.DecoderOptions{})
	var batch flow.Batch
	decoder.Decode(frames(t, file), &batch)
	table.Add(&batch)
	return table.Stats().Created
}

// A rewritten packet has other addresses, and checksums that are as right as before.
func TestRewrite(t *testing.T) {
	for _, s := range append(crowd(6), flood()...) {
		for k := range s.steps {
			frame := s.frame(nil, 77, k)
			before := dissect(t, frame)
			rewrite(frame, 5)
			after := dissect(t, frame)
			if after.a.Addr() == before.a.Addr() || after.b.Addr() == before.b.Addr() || after.protocol != before.protocol {
				t.Errorf("%v became %v", before, after)
			}
		}
	}
	group := []byte("______------\x08\x00E\x00\x00\x1c\x00\x00\x00\x00\x01\x02\x00\x00\xe0\x00\x00\x01\x00\x00\x00\x00........")
	same := bytes.Clone(group)
	if rewrite(same, 5); !bytes.Equal(same, group) {
		t.Error("a multicast address, or one that is no address yet, was rewritten")
	}
}

func TestRefusals(t *testing.T) {
	for _, row := range [][2]int{{0, 6}, {1 << 25, 6}, {1, 5}} {
		if _, err := Small(io.Discard, row[0], row[1]); err == nil {
			t.Errorf("small of %v", row)
		}
	}
	for _, n := range []int{0, 1 << 25} {
		if _, err := Flows(io.Discard, n); err == nil {
			t.Errorf("%d Flows", n)
		}
	}
	if _, err := Create(filepath.Join(t.TempDir(), "no", "folder"), nil); err == nil {
		t.Error("created in a folder that is not there")
	}
}
