package capture

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/google/gopacket/pcap"
)

// Device is something that packets can be captured from.
type Device struct {
	Number      int // from 1, in the order of Devices; may be given in place of the name
	Name        string
	Description string // libpcap's, often empty
	Addresses   []netip.Addr
	State       DeviceState
}

// DeviceState is a set of flags with the meanings given in pcap_findalldevs(3PCAP).
type DeviceState uint32

// The flags of libpcap, and its two bits for the state of the connection.
const (
	Loopback     DeviceState = 0x1
	Up           DeviceState = 0x2
	Running      DeviceState = 0x4
	Wireless     DeviceState = 0x8
	connection   DeviceState = 0x30
	connected    DeviceState = 0x10
	disconnected DeviceState = 0x20
)

// String lists the flags as tcpdump -D does: "Up, Running, Loopback".
func (s DeviceState) String() string {
	var words []string
	for _, w := range [...]struct {
		flag DeviceState
		word string
	}{{Up, "Up"}, {Running, "Running"}, {Loopback, "Loopback"}, {Wireless, "Wireless"}} {
		if s&w.flag != 0 {
			words = append(words, w.word)
		}
	}
	switch s & connection {
	case connected:
		words = append(words, "Connected")
	case disconnected:
		words = append(words, "Disconnected")
	}
	return strings.Join(words, ", ")
}

// Devices lists the devices in libpcap's order, the likeliest choice first. On
// Linux it needs no privilege.
func Devices() ([]Device, error) {
	found, err := pcap.FindAllDevs()
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var devices []Device
	for i, f := range found {
		d := Device{Number: i + 1, Name: f.Name, Description: f.Description, State: DeviceState(f.Flags)}
		for _, a := range f.Addresses {
			if addr, ok := netip.AddrFromSlice(a.IP); ok {
				d.Addresses = append(d.Addresses, addr)
			}
		}
		devices = append(devices, d)
	}
	return devices, nil
}

// deviceName returns the name of the device that a user gave: by name, or by
// its number in Devices unless some device has that number as its name.
func deviceName(given string) (string, error) {
	number, err := strconv.Atoi(given)
	if err != nil {
		return given, nil
	}
	devices, err := Devices()
	if err != nil {
		return "", &DeviceError{Device: given, Err: err}
	}
	for _, d := range devices {
		if d.Name == given {
			return given, nil
		}
	}
	if number < 1 || number > len(devices) {
		return "", &DeviceError{Device: given, Err: ErrNoDevice}
	}
	return devices[number-1].Name, nil
}
