// Gen makes the captures of testdata that no program at hand could be made to send: recorded packets
// inside other lower layers (wrap.go), transports and header chains that the kernel does not have
// (made.go), and what nobody should send (directions.go). It needs only the standard library, so that
// neither our decoder nor a library that it uses has a part in what it is tested with.
//
//	go run ./testdata/gen FOLDER     reads office.pcap there, writes the others beside it
package main

import (
	"encoding/binary"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"
)

// A packet is a frame and the time at which it was seen.
type packet struct {
	time time.Time
	data []byte
}

// Link types of tcpdump's list, https://www.tcpdump.org/linktypes.html.
const (
	linkNull     = 0
	linkEthernet = 1
	linkPPP      = 9
	linkRaw      = 101
	linkLoop     = 108
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: gen FOLDER")
	}
	folder := os.Args[1]
	office, err := read(filepath.Join(folder, "office.pcap"))
	if err != nil {
		log.Fatal(err)
	}
	captures := []struct {
		name    string
		link    uint32
		packets []packet
	}{
		{"vlan.pcap", linkEthernet, wrap(office, vlan)},
		{"mpls.pcap", linkEthernet, wrap(office, mpls)},
		{"pppoe.pcap", linkEthernet, wrap(office, pppoe)},
		{"ppp.pcap", linkPPP, wrap(office, ppp)},
		{"raw.pcap", linkRaw, wrap(office, raw)},
		{"null.pcap", linkNull, wrap(office, null)},
		{"loop.pcap", linkLoop, wrap(office, loop)},
		{"transports.pcap", linkEthernet, transports()},
		{"extensions.pcap", linkEthernet, extensions()},
		{"directions.pcap", linkEthernet, directions()},
	}
	for _, c := range captures {
		if err := write(filepath.Join(folder, c.name), c.link, c.packets); err != nil {
			log.Fatal(err)
		}
	}
}

// read returns the packets of a pcap file as tcpdump writes it on a little-endian machine, with
// microseconds.
func read(name string) ([]packet, error) {
	file, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if len(file) < 24 || binary.LittleEndian.Uint32(file) != 0xa1b2c3d4 {
		return nil, fmt.Errorf("%s: no little-endian pcap file with microseconds", name)
	}
	var packets []packet
	for rest := file[24:]; len(rest) > 0; {
		if len(rest) < 16 || len(rest)-16 < int(binary.LittleEndian.Uint32(rest[8:])) {
			return nil, fmt.Errorf("%s: cut after %d packets", name, len(packets))
		}
		seconds, micros := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
		end := 16 + binary.LittleEndian.Uint32(rest[8:])
		packets = append(packets, packet{time.Unix(int64(seconds), int64(micros)*1000), rest[16:end]})
		rest = rest[end:]
	}
	return packets, nil
}

// write writes a pcap file, little-endian, with microseconds.
func write(name string, link uint32, packets []packet) error {
	le := binary.LittleEndian
	file := le.AppendUint32(nil, 0xa1b2c3d4)
	file = le.AppendUint16(file, 2)
	file = le.AppendUint16(file, 4)
	file = append(file, make([]byte, 8)...)
	file = le.AppendUint32(file, 262144)
	file = le.AppendUint32(file, link)
	for _, p := range packets {
		file = le.AppendUint32(file, uint32(p.time.Unix()))
		file = le.AppendUint32(file, uint32(p.time.Nanosecond()/1000))
		file = le.AppendUint32(file, uint32(len(p.data)))
		file = le.AppendUint32(file, uint32(len(p.data)))
		file = append(file, p.data...)
	}
	return os.WriteFile(name, file, 0o644)
}
