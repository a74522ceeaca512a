package capture

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestDevices(t *testing.T) {
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	faces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range devices {
		if d.Number != i+1 || d.Name == "" {
			t.Errorf("device %d is %+v", i+1, d)
		}
	}
	for _, face := range faces {
		i := slices.IndexFunc(devices, func(d Device) bool { return d.Name == face.Name })
		if i < 0 {
			t.Errorf("%s is not listed", face.Name)
			continue
		}
		d := devices[i]
		if (d.State&Up != 0) != (face.Flags&net.FlagUp != 0) || (d.State&Loopback != 0) != (face.Flags&net.FlagLoopback != 0) {
			t.Errorf("%s: state %v, flags %v", d.Name, d.State, face.Flags)
		}
		addrs, _ := face.Addrs()
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && !slices.Contains(d.Addresses, p.Addr()) {
				t.Errorf("%s: %v is missing in %v", d.Name, p.Addr(), d.Addresses)
			}
		}
		if name, err := deviceName(strconv.Itoa(d.Number)); err != nil || name != d.Name {
			t.Errorf("device %d is %s, %v", d.Number, name, err)
		}
		if name, err := deviceName(d.Name); err != nil || name != d.Name {
			t.Errorf("device %s is %s, %v", d.Name, name, err)
		}
	}
}

// The list is the same as that of tcpdump -D, line for line.
func TestDevicesAreTcpdumps(t *testing.T) {
	out, err := exec.Command("tcpdump", "-D").Output()
	if err != nil {
		t.Skipf("SKIPPED: this test needs tcpdump (Debian: tcpdump): %v", err)
	}
	devices, err := Devices()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != len(devices) {
		t.Fatalf("tcpdump has %d devices, we have %d", len(lines), len(devices))
	}
	for i, d := range devices {
		start, state := fmt.Sprintf("%d.%s", d.Number, d.Name), ""
		if d.State&(Up|Running|Loopback) != 0 {
			state = d.State.String()
		}
		if !strings.HasPrefix(lines[i], start) || !strings.Contains(lines[i], state) {
			t.Errorf("tcpdump: %s, we: %s [%s]", lines[i], start, state)
		}
	}
}

func TestDeviceNumbers(t *testing.T) {
	for _, given := range []string{"0", "-1", "100000"} {
		_, err := deviceName(given)
		if want := "capture on " + given + ": no such device"; !errors.Is(err, ErrNoDevice) || err.Error() != want {
			t.Errorf("%s: %v", given, err)
		}
	}
}

func TestDeviceState(t *testing.T) {
	for state, want := range map[DeviceState]string{
		0:                              "",
		Loopback | Up | Running | 0x30: "Up, Running, Loopback",
		Up | Running | connected:       "Up, Running, Connected",
		Wireless | disconnected:        "Wireless, Disconnected",
		Up | Wireless | 0x80000000:     "Up, Wireless",
	} {
		if got := state.String(); got != want {
			t.Errorf("%#x is %q, not %q", uint32(state), got, want)
		}
	}
}
