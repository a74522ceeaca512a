//go:build siem

package siem

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// One Flow every 20 ms, of one UDP packet. Each is silent for 30 s and becomes a record while
// the next 1,500 arrive, so that records come at the rate of packets.
const (
	flowEvery = 20 * time.Millisecond
	tail      = int(31 * time.Second / flowEvery) // Flows that a run may not have written yet
)

// odd is the number of the one Flow unlike the others: its ports are 40000 and 42000, the
// latter unassigned; theirs are 20500 and an assigned one.
type odd int

const none odd = -1

var fileHeader = func() []byte {
	h := binary.LittleEndian.AppendUint32(nil, 0xa1b23c4d) // nanoseconds
	h = binary.LittleEndian.AppendUint16(h, 2)
	h = binary.LittleEndian.AppendUint16(h, 4)
	h = append(h, make([]byte, 8)...)
	h = binary.LittleEndian.AppendUint32(h, 262144)
	return binary.LittleEndian.AppendUint32(h, 101) // raw IP
}()

// packets returns the packets of n Flows, counted from first, as they follow the header
// of a savefile.
func packets(first, n int, odd odd) []byte {
	const octets = 20 + 8
	services := []uint16{53, 123, 161, 514}
	b := make([]byte, 0, n*(16+octets))
	for i := first; i < first+n; i++ {
		at := time.Duration(i) * flowEvery
		from, to := uint16(20500), services[i%len(services)]
		if i == int(odd) {
			from, to = 40000, 42000
		}
		b = binary.LittleEndian.AppendUint32(b, uint32(1_700_000_000+at/time.Second))
		b = binary.LittleEndian.AppendUint32(b, uint32(at%time.Second))
		b = binary.LittleEndian.AppendUint32(b, octets)
		b = binary.LittleEndian.AppendUint32(b, octets)
		b = append(b, 0x45, 0, 0, octets, 0, 0, 0, 0, 64, 17, 0, 0)
		b = append(b, 10, byte(i>>16), byte(i>>8), byte(i), 192, 168, 0, byte(1+i%250))
		b = binary.BigEndian.AppendUint16(b, from)
		b = binary.BigEndian.AppendUint16(b, to)
		b = append(b, 0, 8, 0, 0)
	}
	return b
}

// capture writes a savefile with n Flows.
func capture(t testing.TB, first, n int, odd odd) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "flows.pcap")
	if err := os.WriteFile(path, append(fileHeader[:len(fileHeader):len(fileHeader)], packets(first, n, odd)...), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
