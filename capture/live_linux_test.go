package capture

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// mayCapture skips a test that needs the right to capture.
func mayCapture(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: capturing on lo needs root")
	}
}

// udpPair is a socket on the loopback device, and a function that sends a
// packet to it.
func udpPair(t *testing.T) (port int, send func(text string)) {
	t.Helper()
	to, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	from, err := net.DialUDP("udp4", nil, to.LocalAddr().(*net.UDPAddr))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { from.Close(); to.Close() })
	return to.LocalAddr().(*net.UDPAddr).Port, func(text string) {
		if _, err := from.Write([]byte(text)); err != nil {
			t.Error(err)
		}
	}
}

// await reads until a frame holds the text; ticks are no end.
func await(t *testing.T, l *Live, text string) Frame {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); {
		var f Frame
		switch err := l.Next(&f); {
		case err == ErrTick:
		case err != nil:
			t.Fatal(err)
		case bytes.Contains(f.Data, []byte(text)):
			return f
		}
	}
	t.Fatalf("%q was not captured within 5 s", text)
	return Frame{}
}

func TestLive(t *testing.T) {
	mayCapture(t)
	port, send := udpPair(t)
	l, err := OpenLive(LiveOptions{Devices: []string{"lo"}, Filter: fmt.Sprintf("udp dst port %d", port)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Next(new(Frame)); err != ErrTick {
		t.Errorf("on a quiet device: %v", err)
	}
	before := time.Now()
	send("hello, portwatch")
	f := await(t, l, "hello, portwatch")
	// 14 of Ethernet, 20 of IPv4, 8 of UDP and the text
	if len(f.Data) != 42+16 || f.Length != 42+16 || f.Link != LinkEthernet || f.Interface != 0 || f.Timeless {
		t.Errorf("frame %+v", f)
	}
	if age := before.Sub(time.Unix(0, f.Time)).Abs(); age > time.Second {
		t.Errorf("captured %v from when it was sent", age)
	}
	kept := f.Data
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if !bytes.HasSuffix(kept, []byte("hello, portwatch")) {
		t.Error("a frame changed with Close")
	}
	// lo shows each packet once to each of its two ends, libpcap drops one.
	if s := l.Stats(); s.Packets != 1 || s.Bytes != 58 || s.Received == 0 || s.KernelDrops != 0 {
		t.Errorf("stats %+v", s)
	}
	if err := l.Next(new(Frame)); err != ErrClosed {
		t.Errorf("after Close: %v", err)
	}
}

// At least one of many times has a part below a microsecond.
func TestLiveNanoseconds(t *testing.T) {
	mayCapture(t)
	port, send := udpPair(t)
	l, err := OpenLive(LiveOptions{Devices: []string{"lo"}, Filter: fmt.Sprintf("udp dst port %d", port)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for i := range 20 {
		send(fmt.Sprint("number", i, "."))
		if f := await(t, l, fmt.Sprint("number", i, ".")); f.Time%1000 != 0 {
			return
		}
	}
	t.Error("20 packets came at whole microseconds")
}

// Each of several devices delivers, with its own link type and number; what is
// sent in a burst comes whole and in order.
func TestLiveOnSeveralDevices(t *testing.T) {
	mayCapture(t)
	port, send := udpPair(t)
	l, err := OpenLive(LiveOptions{Devices: []string{"lo", "any"}, Filter: fmt.Sprintf("udp dst port %d", port)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Next(new(Frame)); err != ErrTick {
		t.Errorf("on quiet devices: %v", err)
	}
	const burst = 3000
	go func() {
		for i := range burst {
			send(fmt.Sprintf("%06d", i))
		}
	}()
	var next [2]int
	links := [2]LinkType{LinkEthernet, LinkLinuxSLL}
	for deadline := time.Now().Add(10 * time.Second); next[0] < burst || next[1] < burst; {
		var f Frame
		err := l.Next(&f)
		if err == ErrTick && time.Now().Before(deadline) {
			continue
		}
		if err != nil {
			t.Fatalf("%v after %d packets", err, next)
		}
		if f.Link != links[f.Interface] {
			t.Fatalf("device %d has link type %v", f.Interface, f.Link)
		}
		// "any" sees a packet on lo when it leaves and when it arrives.
		if want := fmt.Sprintf("%06d", next[f.Interface]); bytes.HasSuffix(f.Data, []byte(want)) {
			next[f.Interface]++
		} else if want := fmt.Sprintf("%06d", next[f.Interface]-1); !bytes.HasSuffix(f.Data, []byte(want)) {
			t.Fatalf("device %d: not packet %s, but %q", f.Interface, want, f.Data[len(f.Data)-6:])
		}
	}
	if s := l.Stats(); s.Packets < 2*burst || s.Received < s.Packets || s.KernelDrops != 0 {
		t.Errorf("stats %+v", s)
	}
}

func TestLiveSnapLen(t *testing.T) {
	mayCapture(t)
	port, send := udpPair(t)
	l, err := OpenLive(LiveOptions{Devices: []string{"lo"}, SnapLen: 50, NotPromiscuous: true, Filter: fmt.Sprintf("udp dst port %d", port)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	send("12345678 and what is cut")
	if f := await(t, l, "12345678"); len(f.Data) != 50 || f.Length != 42+24 {
		t.Errorf("%d of %d octets", len(f.Data), f.Length)
	}
}

// Close ends a Next that waits, on one device and on several.
func TestLiveClose(t *testing.T) {
	mayCapture(t)
	for _, devices := range [][]string{{"lo"}, {"lo", "any"}} {
		l, err := OpenLive(LiveOptions{Devices: devices, Filter: "udp port 9 and host 192.0.2.255"})
		if err != nil {
			t.Fatal(err)
		}
		ended := make(chan error)
		go func() {
			err := ErrTick
			for err == ErrTick {
				err = l.Next(new(Frame))
			}
			ended <- err
		}()
		time.Sleep(50 * time.Millisecond)
		start := time.Now()
		l.Close()
		if err := <-ended; err != ErrClosed {
			t.Errorf("%v: %v", devices, err)
		}
		if took := time.Since(start); took > time.Second {
			t.Errorf("%v: Close took %v", devices, took)
		}
		if err := l.Close(); err != nil {
			t.Errorf("%v: second Close: %v", devices, err)
		}
	}
}

func TestLiveErrors(t *testing.T) {
	mayCapture(t)
	_, err := OpenLive(LiveOptions{Devices: []string{"lo", "nosuch0"}})
	if want := "capture on nosuch0: no such device"; !errors.Is(err, ErrNoDevice) || err.Error() != want {
		t.Errorf("unknown device: %v", err)
	}
	_, err = OpenLive(LiveOptions{Devices: []string{"lo"}, Filter: "tcp prot 80"})
	if want := `filter "tcp prot 80": can't parse filter expression: syntax error`; err == nil || err.Error() != want {
		t.Errorf("filter: %v", err)
	}
}

// Without the right to capture the error says so.
func TestLiveNotPermitted(t *testing.T) {
	result := make(chan error)
	go func() {
		// A thread of its own gives up its rights and ends with the goroutine.
		runtime.LockOSThread()
		if os.Getuid() == 0 {
			const nobody = 65534
			if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); errno != 0 {
				result <- errno
				return
			}
		}
		_, err := OpenLive(LiveOptions{Devices: []string{"lo"}})
		result <- err
	}()
	err := <-result
	if err == nil {
		t.Skip("NOT TESTED: here everybody may capture")
	}
	if want := "capture on lo: no permission to capture"; !errors.Is(err, ErrNotPermitted) || err.Error() != want {
		t.Errorf("error %v", err)
	}
}

// DLT_ numbers of this system become LINKTYPE_ numbers, which have more bits
// than gopacket keeps.
func TestLinkOfDLT(t *testing.T) {
	for dlt, want := range map[int]LinkType{
		0: LinkNull, 1: LinkEthernet, 9: LinkPPP, 11: LinkATMRFC1483, 12: LinkRaw,
		16: LinkPPPBSDOS, 19: LinkATMCLIP, 109: LinkENC, 113: LinkLinuxSLL, 228: LinkIPv4, 276: LinkLinuxSLL2,
	} {
		if got := linkOfDLT(dlt); got != want {
			t.Errorf("DLT %d is %v, not %v", dlt, got, want)
		}
	}
}

func TestWrappingCounter(t *testing.T) {
	var w wrapping
	for _, now := range []uint32{5, 1<<32 - 1, 3, 3} {
		w.set(now)
	}
	if w.total != 1<<32+3 {
		t.Errorf("total %d", w.total)
	}
}
