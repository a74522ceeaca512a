package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"
)

// The limits of what goes to syslog.
const (
	syslogRecords = 1000
	syslogOctets  = 512 << 10
	// syslogLeast is what every receiver takes (RFC 5424, section 6.1).
	syslogLeast = 480
	// syslogDatagram is what receivers over UDP should take (RFC 5426, section 3.2),
	// and syslogStream what those over TLS should (RFC 5425, section 4.3.1).
	syslogDatagram = 2048
	syslogStream   = 8192
	syslogReplay   = 1 << 20
	syslogPart     = 16 << 10        // sent at once, at first
	syslogLong     = 5 * time.Second // time for a batch
)

// A syslog is a Receiver that sends RFC 5424 messages: over UDP (RFC 5426) one per
// datagram, over TCP (RFC 6587, section 3.4.1) and TLS (RFC 5425) each with its length
// before it, over a local socket one per datagram or each ended by NUL, as the type of
// the socket requires.
//
// Syslog acknowledges nothing. Over a stream, a batch counts as delivered once the peer's
// system has acknowledged all its octets, or the local peer has read them, and the
// connection is still up. What the peer has not read by then is lost if it dies, so the
// last octets that counted as delivered are sent again over the next connection. Where
// the system does not say what is acknowledged (all but Linux), what it has accepted
// counts. Over UDP a record is delivered once it is sent.
type syslog struct {
	network, address string
	security         *tls.Config // nil without TLS
	limit            int         // octets of a message
	replay           int         // octets that are sent again after the connection broke

	host, process string
	facility      int
	data          string // beginning of the structured data; empty: there is none

	link     *syslogLink   // nil: the next Deliver connects
	frames   []byte        // of the current Deliver
	part     int           // octets to send at once
	long     time.Duration // after which the rest of a batch is left to the next Deliver
	repeated int           // octets of the window already sent again over this connection
	window   []byte        // the last frames that counted as delivered, each whole
	broken   bool          // the last connection ended other than by Close
}

// newSyslog reads syslog+udp://HOST[:514], syslog+tcp://HOST[:601], syslog+tls://HOST[:6514]
// (with ca=, cert=, key=), syslog+unix:///PATH, and the settings
//
//	facility=local0     or another name of RFC 5424
//	max=OCTETS          of a message: 2048 over UDP, else 8192
//	replay=OCTETS       to send again after the connection broke, default 1 MiB; TCP and TLS
//	pen=NUMBER          structured data [portwatch@NUMBER ...] with event_id, community_id
//	                    and severity, under that Private Enterprise Number; default: none
func newSyslog(t *Target) (Receiver, error) {
	s := &syslog{process: strconv.Itoa(os.Getpid()), part: syslogPart, long: syslogLong}
	port, limit := "", syslogStream
	switch t.Scheme {
	case "syslog+udp":
		s.network, port, limit = "udp", "514", syslogDatagram
	case "syslog+tcp":
		s.network, port = "tcp", "601"
	case "syslog+tls":
		s.network, port = "tcp", "6514"
	case "syslog+unix":
		s.network, s.address = "unixgram", t.Path
	}
	switch {
	case t.User != "" || port == "" && (len(t.Hosts) > 0 || len(t.Path) < 2):
		return nil, fmt.Errorf("not of the form %s:///PATH", t.Scheme)
	case port != "" && (len(t.Hosts) != 1 || len(t.Path) > 1):
		return nil, fmt.Errorf("not of the form %s://HOST[:PORT]", t.Scheme)
	case port != "":
		s.address = t.Hosts[0]
		if _, _, err := net.SplitHostPort(s.address); err != nil {
			s.address = net.JoinHostPort(strings.Trim(s.address, "[]"), port)
		}
	}
	if t.Scheme == "syslog+tls" {
		host, _, _ := net.SplitHostPort(s.address)
		s.security = t.TLS(host)
	}
	s.limit = int(min(t.Octets("max", int64(limit)), 1<<24))
	if s.limit < syslogLeast {
		return nil, fmt.Errorf("max=%d: every receiver takes %d", s.limit, syslogLeast)
	}
	if s.network == "tcp" {
		s.replay = int(min(t.Octets("replay", syslogReplay), 1<<28))
	}
	// local0, the first, is 16, and after local7 comes kern, which is 0
	s.facility = (slices.Index(facilities, t.Choice("facility", facilities...)) + 16) % 24
	if pen := t.Number("pen", 0); pen > 0 {
		s.data = "[portwatch@" + strconv.Itoa(pen)
	}
	s.host = t.Observer
	if s.host == "" {
		s.host, _ = os.Hostname()
	}
	s.host = headerField(s.host, 255)
	return s, nil
}

// facilities are those of RFC 5424, table 1, that have a name, with the default first.
var facilities = []string{"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
	"kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp"}

// headerField makes text fit for a field of the header: printable ASCII without spaces,
// of at most longest octets; - stands for nothing.
func headerField(text string, longest int) string {
	var b strings.Builder
	for i := range min(len(text), longest) {
		if text[i] > ' ' && text[i] < 0x7f {
			b.WriteByte(text[i])
		}
	}
	if b.Len() == 0 {
		return "-"
	}
	return b.String()
}

// Limits allows one Deliver at a time, which keeps messages in order.
func (s *syslog) Limits() Limits {
	return Limits{Records: syslogRecords, Octets: syslogOctets, Record: s.limit, Parallel: 1}
}

func (s *syslog) Close() error {
	if s.link == nil {
		return nil
	}
	err := s.link.Close()
	s.link = nil
	return err
}

func (s *syslog) Deliver(ctx context.Context, records []Record, verdicts []Verdict) error {
	if s.link != nil && s.link.hasEnded() {
		why := s.link.why
		s.breakOff()
		if s.network == "udp" {
			return fmt.Errorf("what was sent last was not taken: %w", why)
		}
	}
	if s.link == nil {
		if err := s.connect(ctx); err != nil {
			return err
		}
	}
	link := s.link
	if err := link.SetWriteDeadline(time.Time{}); err != nil {
		s.breakOff()
		return err
	}
	// a write ends when ctx does
	stop := context.AfterFunc(ctx, func() { link.SetWriteDeadline(time.Unix(1, 0)) })
	deliver := s.deliverStream
	if link.datagrams {
		deliver = s.deliverDatagrams
	}
	err := deliver(ctx, records, verdicts)
	stopped := stop()
	if stopped && err == errRepeating {
		return err
	}
	if err != nil || !stopped {
		if err != nil && link.hasEnded() {
			err = link.why // says more than that the socket is closed
		}
		s.breakOff()
		return err
	}
	return nil
}

// deliverStream writes a batch part by part, and waits until the peer has each part. A
// part is what a peer takes in about a second. If the batch takes long, the rest is left
// to the next call, but at least one part is sent: a slow peer must not look like one
// that takes nothing.
func (s *syslog) deliverStream(ctx context.Context, records []Record, verdicts []Verdict) error {
	began := time.Now()
	for s.broken && s.repeated < len(s.window) {
		if time.Since(began) > s.long {
			return errRepeating
		}
		part := s.window[s.repeated:min(s.repeated+s.part, len(s.window))]
		if err := s.send(ctx, part); err != nil {
			return err
		}
		s.repeated += len(part)
	}
	s.broken = false
	for next := 0; next < len(records) && (next == 0 || time.Since(began) < s.long); {
		first := next
		for s.frames = s.frames[:0]; next < len(records) && (next == first || len(s.frames) < s.part); next++ {
			v := &verdicts[next]
			if s.frames, v.Reason = s.appendFrame(s.frames, &records[next]); v.Reason != "" {
				v.State = Rejected
			}
		}
		if err := s.send(ctx, s.frames); err != nil {
			return err
		}
		s.remember()
		setDelivered(verdicts[first:next])
	}
	return nil
}

// errRepeating is no fault of the connection, which stays open.
var errRepeating = errors.New("the receiver is slow: what was sent before the connection ended is still being repeated")

// send writes a part, waits until the peer has it, and adapts the size of the next one.
func (s *syslog) send(ctx context.Context, part []byte) error {
	start := time.Now()
	if len(part) > 0 {
		if _, err := s.link.Write(part); err != nil {
			return err
		}
	}
	if err := s.link.drain(ctx); err != nil {
		return err
	}
	switch took := time.Since(start); {
	case took < time.Second/2:
		s.part = min(2*s.part, syslogOctets)
	case took > 2*time.Second:
		s.part = max(s.part/2, syslogPart)
	}
	return nil
}

// remember keeps the last frames for the next connection.
func (s *syslog) remember() {
	if s.replay == 0 {
		return
	}
	s.window = append(s.window, s.frames...)
	kept := s.window
	for len(kept) > s.replay {
		space := bytes.IndexByte(kept, ' ')
		n, _ := strconv.Atoi(string(kept[:space])) // our own number
		kept = kept[space+1+n:]
	}
	s.window = append(s.window[:0], kept...)
}

// deliverDatagrams sends each record on its own. If a local peer is slow, the rest of the
// batch is left to the next call.
func (s *syslog) deliverDatagrams(ctx context.Context, records []Record, verdicts []Verdict) error {
	began, next := time.Now(), 0
	for ; next < len(records) && time.Since(began) < s.long; next++ {
		v := &verdicts[next]
		if s.frames, v.Reason = s.appendMessage(s.frames[:0], &records[next]); v.Reason != "" {
			v.State = Rejected
			continue
		}
		_, err := s.link.Write(s.frames)
		if errors.Is(err, syscall.EMSGSIZE) {
			*v = Verdict{Rejected, fmt.Sprintf("a message of %d octets, more than the socket sends", len(s.frames))}
		} else if err != nil {
			return err
		}
	}
	if s.network == "udp" {
		select {
		case <-s.link.ended:
			return s.link.why
		case <-time.After(refusal):
		}
	} else if err := s.link.drain(ctx); err != nil {
		return err
	}
	setDelivered(verdicts[:next])
	return nil
}

// setDelivered marks what was not rejected as delivered.
func setDelivered(verdicts []Verdict) {
	for i := range verdicts {
		if verdicts[i].State == Pending {
			verdicts[i].State = Delivered
		}
	}
}

// appendFrame appends a message as a stream carries it, or returns the reason why it
// cannot.
func (s *syslog) appendFrame(dst []byte, r *Record) ([]byte, string) {
	before := len(dst)
	if s.network == "unix" {
		dst, reason := s.appendMessage(dst, r)
		if reason != "" {
			return dst[:before], reason
		}
		for i, b := range dst[before:] { // either would end the message
			if b == 0 || b == '\n' {
				dst[before+i] = ' '
			}
		}
		return append(dst, 0), ""
	}
	// room for the length, which is known last
	const digits = 8
	dst = append(dst, "         "[:digits+1]...)
	dst, reason := s.appendMessage(dst, r)
	if reason != "" {
		return dst[:before], reason
	}
	n := len(dst) - before - digits - 1
	var number [digits]byte
	text := append(strconv.AppendInt(number[:0], int64(n), 10), ' ')
	copy(dst[before:], text)
	copy(dst[before+len(text):], dst[before+digits+1:])
	return dst[:before+len(text)+n], ""
}

// appendMessage appends an RFC 5424 message, or returns the reason why it does not fit.
func (s *syslog) appendMessage(dst []byte, r *Record) ([]byte, string) {
	before := len(dst)
	const warning, informational = 4, 6
	severity := informational
	if r.Severity > 0 || r.Kind == Alert {
		severity = warning
	}
	dst = append(dst, '<')
	dst = strconv.AppendInt(dst, int64(s.facility<<3|severity), 10)
	dst = append(dst, ">1 "...)
	dst = time.Unix(0, r.Time).UTC().AppendFormat(dst, "2006-01-02T15:04:05.000000Z")
	dst = append(dst, ' ')
	dst = append(dst, s.host...)
	dst = append(dst, " portwatch "...)
	dst = append(dst, s.process...)
	dst = append(dst, ' ')
	dst = append(dst, r.Kind.String()...)
	if s.data == "" {
		dst = append(dst, " - "...)
	} else {
		dst = append(dst, ' ')
		dst = append(dst, s.data...)
		dst = appendParam(dst, " event_id=\"", r.ID)
		dst = appendParam(dst, " community_id=\"", r.Key)
		dst = append(dst, " severity=\""...)
		dst = strconv.AppendInt(dst, int64(r.Severity), 10)
		dst = append(dst, `"] `...)
	}
	dst = append(dst, r.Body...)
	if n := len(dst) - before; n > s.limit {
		return dst[:before], fmt.Sprintf("a message of %d octets; max= allows %d", n, s.limit)
	}
	return dst, ""
}

// appendParam appends a parameter of structured data (RFC 5424, section 6.3.3).
func appendParam(dst []byte, name string, value []byte) []byte {
	if len(value) == 0 {
		return dst
	}
	dst = append(dst, name...)
	for len(value) > 0 {
		c, n := utf8.DecodeRune(value) // U+FFFD for what is not UTF-8
		if c == '"' || c == '\\' || c == ']' {
			dst = append(dst, '\\')
		}
		dst = utf8.AppendRune(dst, c)
		value = value[n:]
	}
	return append(dst, '"')
}

// breakOff drops a connection that is no longer good. What it has not sent by then is
// discarded: it goes over the next one.
func (s *syslog) breakOff() {
	if c, ok := s.link.socket.(*net.TCPConn); ok {
		c.SetLinger(0)
	}
	s.link.socket.Close()
	s.link, s.broken, s.repeated = nil, true, 0
}

// connect opens the connection.
func (s *syslog) connect(ctx context.Context) error {
	d := net.Dialer{Timeout: 10 * time.Second}
	socket, err := d.DialContext(ctx, s.network, s.address)
	if s.network == "unixgram" && errors.Is(err, syscall.EPROTOTYPE) {
		s.network = "unix"
		socket, err = d.DialContext(ctx, s.network, s.address)
	}
	if err != nil {
		return err
	}
	link := &syslogLink{Conn: socket, socket: socket, datagrams: s.network == "udp" || s.network == "unixgram", ended: make(chan struct{})}
	if s.security == nil {
		go link.watch()
	} else if err := link.secure(ctx, s.security); err != nil {
		socket.Close()
		return fmt.Errorf("TLS with %s: %w", s.address, err)
	}
	s.link = link
	return nil
}

// A syslogLink is a connection to a receiver. Reading from it tells only that the
// connection has ended.
type syslogLink struct {
	net.Conn           // the TLS connection, if there is TLS
	socket    net.Conn // beneath Conn
	datagrams bool     // each write is one message
	ended     chan struct{}
	why       error // valid once ended is closed
}

// refusal is how long after a batch over UDP its host may report that nobody listens
// there.
const refusal = 5 * time.Millisecond

// settleTLS is how long a new TLS connection is watched before it is used. A TLS 1.3
// server that wants another certificate says so only after the handshake is over for us
// (RFC 8446, appendix E.1 has the order), when records might already be on their way.
const settleTLS = 200 * time.Millisecond

func (l *syslogLink) secure(ctx context.Context, config *tls.Config) error {
	start := time.Now()
	c := tls.Client(l.socket, config)
	limited, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if err := c.HandshakeContext(limited); err != nil {
		if ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("no handshake within %v: does it speak TLS", connectTimeout)
		}
		return err
	}
	l.Conn = c
	go l.watch()
	select {
	case <-l.ended:
		return l.why
	case <-time.After(settleTLS + 2*time.Since(start)):
		return nil
	}
}

// watch reads until the connection ends, and stores why.
func (l *syslogLink) watch() {
	defer close(l.ended)
	buffer := make([]byte, 512)
	for {
		_, err := l.Read(buffer)
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			l.why = errors.New("the receiver ended the connection")
			return
		default:
			l.why = err
			return
		}
	}
}

func (l *syslogLink) hasEnded() bool {
	select {
	case <-l.ended:
		return true
	default:
		return false
	}
}

// drain waits until everything that was written is acknowledged.
func (l *syslogLink) drain(ctx context.Context) error {
	for pause := 50 * time.Microsecond; ; pause = min(2*pause, 10*time.Millisecond) {
		n := unacknowledged(l.socket)
		if l.hasEnded() {
			return l.why
		}
		if n == 0 {
			return nil
		}
		select {
		case <-l.ended:
			return l.why
		case <-ctx.Done():
			return fmt.Errorf("%d octets not acknowledged: %w", n, ctx.Err())
		case <-time.After(pause):
		}
	}
}
