package capture

import (
	"errors"
	"io"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/google/gopacket/pcap"
)

const (
	readTimeout  = 100 * time.Millisecond
	kernelBuffer = 16 << 20 // octets per device; libpcap's own default of 2 MiB holds 16 ms of a full gigabit link
)

// LiveOptions says what to capture. Only Devices must be set.
type LiveOptions struct {
	Devices []string // names, numbers of Devices, or "any"
	SnapLen int      // octets kept of a packet; 0: 262144
	// NotPromiscuous captures only what is sent to or by this host.
	NotPromiscuous bool
	Filter         string // in libpcap's language; the kernel applies it
}

// Live captures from one or several devices until Close.
//
// The read timeout is a tenth of a second: on a quiet link, [ErrTick] comes that
// often. Times have nanoseconds if those of the device do, else microseconds
// (libpcap is asked for nanoseconds, and gopacket scales).
type Live struct {
	devices []*device
	buffer  []byte // for a packet, if there is only one device

	// If there are several devices, each has a goroutine that fills batches,
	// and Next takes these in the order in which they are ready.
	ready chan *batch
	timer *time.Timer
	batch *batch // whose frames Next returns
	next  int

	stop    chan struct{} // closed by Close
	once    sync.Once
	readers sync.WaitGroup
	stats   Stats
	err     error
}

// DeviceError says which device failed. Its cause may be [ErrNoDevice], [ErrNotUp] or
// [ErrNotPermitted].
type DeviceError struct {
	Device string
	Err    error
}

func (e *DeviceError) Error() string { return "capture on " + e.Device + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *DeviceError) Unwrap() error { return e.Err }

// OpenLive starts to capture. The error is a [*DeviceError] or a [*FilterError].
func OpenLive(o LiveOptions) (*Live, error) {
	if o.SnapLen == 0 {
		o.SnapLen = snapLength
	}
	l := &Live{stop: make(chan struct{})}
	for _, given := range o.Devices {
		d, err := openDevice(given, o)
		if err != nil {
			l.Close()
			return nil, err
		}
		d.number = uint32(len(l.devices))
		l.devices = append(l.devices, d)
	}
	if len(l.devices) == 1 {
		l.buffer = make([]byte, 0, o.SnapLen)
		return l, nil
	}
	l.ready, l.timer = make(chan *batch), time.NewTimer(readTimeout)
	for _, d := range l.devices {
		d.free = make(chan *batch, 2)
		for range cap(d.free) {
			d.free <- &batch{of: d, data: make([]byte, 0, o.SnapLen+bufferSize)}
		}
		l.readers.Go(func() { l.read(d) })
	}
	return l, nil
}

// Names returns the names of the devices, even where a number was given.
func (l *Live) Names() (names []string) {
	for _, d := range l.devices {
		names = append(names, d.name)
	}
	return names
}

// Next reads the next packet. The error is ErrTick if none came within the read
// timeout, and ErrClosed after Close, which ends a waiting Next within that time.
// Any other error is a [*DeviceError], and ends the capture.
func (l *Live) Next(f *Frame) error {
	if l.err != nil {
		return l.err
	}
	var err error
	if l.ready == nil {
		_, err = l.devices[0].read(f, l.buffer)
	} else {
		err = l.nextOfSeveral(f)
	}
	switch err {
	case nil:
		l.stats.Packets++
		l.stats.Bytes += uint64(len(f.Data))
	case ErrTick:
	default:
		l.err = err
	}
	return err
}

// Read reads the next packet into the first of frames.
func (l *Live) Read(frames []Frame) (int, error) { return one(l.Next(&frames[0])) }

// nextOfSeveral returns the next frame of the current batch, or of the next.
func (l *Live) nextOfSeveral(f *Frame) error {
	for l.batch == nil || l.next == len(l.batch.frames) {
		if l.batch != nil {
			if l.batch.err != nil {
				return l.batch.err
			}
			l.batch.clear()
			l.batch.of.free <- l.batch // has room for all batches of the device
			l.batch = nil
		}
		l.timer.Reset(readTimeout)
		select {
		case l.batch = <-l.ready:
			l.next = 0
		case <-l.timer.C:
			return ErrTick
		case <-l.stop:
			return ErrClosed
		}
	}
	*f = l.batch.frames[l.next]
	l.next++
	return nil
}

// read fills batches from a device, until it fails or is closed. A batch that
// is not full is sent only if Next is waiting for one.
func (l *Live) read(d *device) {
	for {
		b := <-d.free // Next holds at most one of the two
		for sent := false; !sent; {
			var f Frame
			data, err := d.read(&f, b.data)
			switch {
			case err == nil:
				b.data = data
				b.frames = append(b.frames, f)
			case err != ErrTick:
				b.err = err
			}
			switch {
			case b.err != nil || b.full():
				select {
				case l.ready <- b:
					sent = true
				case <-l.stop:
					return
				}
			case len(b.frames) > 0:
				select {
				case l.ready <- b:
					sent = true
				default:
				}
			}
		}
		if b.err != nil {
			return
		}
	}
}

// batch is a run of packets of a device, on its way between goroutines.
type batch struct {
	of     *device
	data   []byte // of all frames; its capacity is fixed
	frames []Frame
	err    error // what came after the frames
}

// full reports whether another packet might not fit.
func (b *batch) full() bool {
	return len(b.frames) == 1024 || cap(b.data)-len(b.data) < b.of.snaplen
}

func (b *batch) clear() { b.data, b.frames = b.data[:0], b.frames[:0] }

// Stats returns the counters; drops are libpcap's, since each device was opened.
// It may take as long as the read timeout.
func (l *Live) Stats() Stats {
	s := l.stats
	for _, d := range l.devices {
		d.lock.Lock()
		d.poll()
		s.Received += d.received.total
		s.KernelDrops += d.dropped.total
		s.InterfaceDrops += d.lost.total
		d.lock.Unlock()
	}
	return s
}

// Close ends the capture and waits for its goroutines to end. It may be called
// while Next runs; frames that Next returned stay valid.
func (l *Live) Close() error {
	l.once.Do(func() {
		close(l.stop)
		for _, d := range l.devices {
			d.close()
		}
		l.readers.Wait()
	})
	return nil
}

// device is an open libpcap handle. gopacket's handles are not safe to use during or
// after Close, so each use holds the lock.
type device struct {
	name    string
	number  uint32
	link    LinkType
	snaplen int
	free    chan *batch // its batches that Next is done with

	lock     sync.Mutex
	handle   *pcap.Handle // nil: closed
	packets  uint64
	received wrapping
	dropped  wrapping
	lost     wrapping
}

// openDevice opens and activates a device and sets its filter.
func openDevice(given string, o LiveOptions) (*device, error) {
	name, err := deviceName(given)
	if err != nil {
		return nil, err
	}
	handle, err := activate(name, o.SnapLen, !o.NotPromiscuous)
	if err != nil && err.Error() == noPromiscuous && !o.NotPromiscuous {
		// For instance "any". gopacket makes an error of libpcap's warning.
		handle, err = activate(name, o.SnapLen, false)
	}
	if err != nil {
		return nil, &DeviceError{Device: name, Err: err}
	}
	d := &device{name: name, handle: handle, link: linkOf(handle), snaplen: o.SnapLen}
	if o.Filter != "" {
		if err := handle.SetBPFFilter(o.Filter); err != nil {
			d.close()
			return nil, &FilterError{Expr: o.Filter, Link: d.link, Err: err}
		}
	}
	return d, nil
}

// gopacket's words for libpcap's answers to pcap_activate; it exports no
// other way to tell them apart.
const (
	noPromiscuous = "Cannot set as promisc"
	noSuchDevice  = "No Such Device"
	denied        = "Permission Denied"
	notUp         = "Interface Not Up"
)

// activate opens a handle. The error is libpcap's, or the sentinel of this
// package that stands for it.
func activate(name string, snaplen int, promiscuous bool) (*pcap.Handle, error) {
	inactive, err := pcap.NewInactiveHandle(name)
	if err != nil {
		return nil, err
	}
	defer inactive.CleanUp()
	err = errors.Join(
		inactive.SetSnapLen(snaplen),
		inactive.SetPromisc(promiscuous),
		inactive.SetTimeout(readTimeout),
		inactive.SetBufferSize(kernelBuffer),
	)
	if err != nil {
		return nil, err
	}
	handle, err := inactive.Activate() // with nanoseconds, where the device has them
	if err == nil {
		return handle, nil
	}
	switch err.Error() {
	case noSuchDevice:
		return nil, ErrNoDevice
	case denied:
		return nil, ErrNotPermitted
	case notUp:
		return nil, ErrNotUp
	}
	return nil, err
}

// linkOf returns the link type of a handle. gopacket keeps 8 of its bits, which
// is enough to find it among those that the device offers.
func linkOf(handle *pcap.Handle) LinkType {
	dlt := int(handle.LinkType())
	links, _ := handle.ListDataLinks()
	for _, l := range links {
		if n := pcap.DatalinkNameToVal(l.Name); n >= 0 && n&0xff == dlt {
			dlt = n
			break
		}
	}
	return linkOfDLT(dlt)
}

// linkOfDLT turns a DLT_ number of libpcap on this system into the LINKTYPE_
// number of savefiles. The two differ for some old link types, which libpcap
// can name.
func linkOfDLT(dlt int) LinkType {
	if dlt < 104 || dlt == 149 { // 149 is PKTAP on macOS
		switch pcap.DatalinkValToName(dlt) {
		case "RAW":
			return LinkRaw
		case "ATM_RFC1483":
			return LinkATMRFC1483
		case "PPP_BSDOS":
			return LinkPPPBSDOS
		case "ATM_CLIP":
			return LinkATMCLIP
		case "LOOP":
			return LinkLoop
		case "ENC":
			return LinkENC
		case "PKTAP":
			return LinkPKTAP
		}
	}
	return LinkType(dlt)
}

// read waits for a packet and appends its octets to data, which has room for
// them. The error is ErrTick, ErrClosed or a DeviceError.
func (d *device) read(f *Frame, data []byte) ([]byte, error) {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.handle == nil {
		return nil, ErrClosed
	}
	octets, info, err := d.handle.ZeroCopyReadPacketData()
	switch err {
	case nil:
	case pcap.NextErrorTimeoutExpired:
		return data, ErrTick
	case pcap.NextErrorReadError:
		err := d.handle.Error()
		if strings.HasSuffix(err.Error(), syscall.EAGAIN.Error()) {
			// On a non-blocking handle, as all of gopacket's are, libpcap's reader of nflog
			// and nfqueue reports an error when no packet has come.
			time.Sleep(readTimeout)
			return data, ErrTick
		}
		return nil, &DeviceError{Device: d.name, Err: err}
	case io.EOF:
		return nil, ErrClosed
	default:
		return nil, &DeviceError{Device: d.name, Err: err}
	}
	if d.packets++; d.packets%(1<<24) == 0 {
		d.poll() // before libpcap's counters wrap
	}
	start := len(data)
	data = append(data, octets...)
	*f = Frame{
		Data:      data[start:],
		Time:      info.Timestamp.UnixNano(),
		Length:    uint32(info.Length),
		Link:      d.link,
		Interface: d.number,
	}
	return data, nil
}

// poll reads libpcap's counters. The lock is held.
func (d *device) poll() {
	if d.handle == nil {
		return
	}
	if s, err := d.handle.Stats(); err == nil {
		d.received.set(uint32(s.PacketsReceived))
		d.dropped.set(uint32(s.PacketsDropped))
		d.lost.set(uint32(s.PacketsIfDropped))
	}
}

// close closes the handle and keeps its last counters.
func (d *device) close() {
	d.lock.Lock()
	defer d.lock.Unlock()
	if d.handle != nil {
		d.poll()
		d.handle.Close()
		d.handle = nil
	}
}

// wrapping follows a 32-bit counter that wraps.
type wrapping struct {
	total uint64
	last  uint32
}

func (w *wrapping) set(now uint32) {
	w.total += uint64(now - w.last)
	w.last = now
}
