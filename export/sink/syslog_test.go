package sink

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	judge "github.com/leodido/go-syslog/v4"
	"github.com/leodido/go-syslog/v4/octetcounting"
	"github.com/leodido/go-syslog/v4/rfc5424"
)

// hostile are bodies that a careless receiver or sender trips over.
func hostile() []Record {
	var records []Record
	for i, body := range []string{
		`{"plain":1}`, "", " ", "two\nlines\r\n", `] "quoted" \ [x@1 a="b"]`, "<134>1 - - - - - - no header\n",
		"17 <134>1 - - - - - - a frame", "\xff\xfe invalid UTF-8 \xc3\x28", "\xef\xbb\xbfwith a BOM", "zero\x00inside",
		strings.Repeat("x", 64<<10), "ünïcödé \u2028 \U0001F600",
	} {
		records = append(records, Record{Kind: Kind(i % 2), Severity: uint8(i % 3 * 30), Time: 1789000000123456789 + int64(i),
			ID: fmt.Appendf(nil, `id"%d\]`, i), Key: []byte("1:wCb3OG7yAFWelaUydu0D+125CLM="), Body: []byte(body)})
	}
	return records
}

// checkMessage compares a message with its record.
func checkMessage(t *testing.T, got judge.Message, want *Record, data bool) {
	t.Helper()
	m, ok := got.(*rfc5424.SyslogMessage)
	if !ok || !m.Valid() {
		t.Fatalf("not a message of RFC 5424: %v", got)
	}
	severity := 6
	if want.Severity > 0 || want.Kind == Alert {
		severity = 4
	}
	if int(*m.Priority) != 16<<3|severity || m.Version != 1 || *m.Appname != "portwatch" || *m.MsgID != want.Kind.String() ||
		*m.ProcID != fmt.Sprint(os.Getpid()) || *m.Hostname != "asensor" {
		t.Errorf("header %d %d %s %s %s %s", *m.Priority, m.Version, *m.Hostname, *m.Appname, *m.ProcID, *m.MsgID)
	}
	if at := time.Unix(0, want.Time).UTC().Truncate(time.Microsecond); !m.Timestamp.Equal(at) {
		t.Errorf("time %v, want %v", m.Timestamp, at)
	}
	body := ""
	if m.Message != nil {
		body = *m.Message
	}
	if body != string(want.Body) {
		t.Errorf("body %.80q, want %.80q", body, want.Body)
	}
	var params map[string]string
	if m.StructuredData != nil {
		params = (*m.StructuredData)["portwatch@32473"]
	}
	if !data {
		if m.StructuredData != nil {
			t.Errorf("structured data without pen=: %v", *m.StructuredData)
		}
		return
	}
	// the judge leaves the escapes in
	id := strings.NewReplacer(`\`, `\\`, `"`, `\"`, `]`, `\]`).Replace(string(want.ID))
	if (params["event_id"] != id && params["event_id"] != string(want.ID)) || params["community_id"] != string(want.Key) || params["severity"] != fmt.Sprint(want.Severity) {
		t.Errorf("structured data %v of %q", params, want.ID)
	}
}

// parsed reads a stream with a judge until it ends.
func parsed(r io.Reader) ([]judge.Message, error) {
	var messages []judge.Message
	var failed error
	octetcounting.NewParser(judge.WithMaxMessageLength(1<<20), judge.WithListener(func(r *judge.Result) {
		if r.Error != nil {
			failed = errors.Join(failed, r.Error)
		}
		messages = append(messages, r.Message)
	})).Parse(r)
	return messages, failed
}

func openSensor(t *testing.T, to string) Receiver {
	t.Helper()
	_, r, err := Open(to, "a sensor", "1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestSyslogStream(t *testing.T) {
	ours := newAuthority(t)
	pair, _, _ := ours.issue(t, "127.0.0.1")
	for _, scheme := range []string{"tcp", "tls"} {
		for _, pen := range []string{"", "&pen=32473"} {
			t.Run(scheme+pen, func(t *testing.T) {
				l := listen(t, "tcp", "127.0.0.1:0")
				to := "syslog+" + scheme + "://" + l.Addr().String() + "?max=128KiB" + pen
				if scheme == "tls" {
					l = tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{pair}})
					to += "&ca=" + ours.ca
				}
				var messages []judge.Message
				var failed error
				end := make(chan struct{})
				go func() {
					defer close(end)
					c, err := l.Accept()
					if err != nil {
						failed = err
						return
					}
					messages, failed = parsed(c)
				}()
				r := openSensor(t, to)
				records := hostile()
				for range 2 {
					verdicts, err := send(t, r, records)
					if err != nil {
						t.Fatal(err)
					}
					allAre(t, verdicts, Delivered)
				}
				r.Close()
				<-end
				if failed != nil {
					t.Fatal(failed)
				}
				if len(messages) != 2*len(records) {
					t.Fatalf("%d messages, want %d", len(messages), 2*len(records))
				}
				for i, m := range messages {
					checkMessage(t, m, &records[i%len(records)], pen != "")
				}
			})
		}
	}
}

func TestSyslogDatagram(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for to, server := range map[string]net.PacketConn{"syslog+udp://" + udp.LocalAddr().String(): udp, "syslog+unix://" + path: local} {
		t.Run(to[:10], func(t *testing.T) {
			records := hostile()
			var verdicts []Verdict
			end := make(chan error, 1)
			go func() {
				var err error
				verdicts, err = send(t, openSensor(t, to+"?max=60KiB"), records)
				end <- err
			}()
			buffer := make([]byte, 1<<17)
			for i := range records {
				if len(records[i].Body) > 60<<10 {
					continue
				}
				n, _, err := server.ReadFrom(buffer)
				if err != nil {
					t.Fatal(err)
				}
				m, err := rfc5424.NewParser().Parse(buffer[:n])
				if err != nil {
					t.Fatalf("%q: %v", buffer[:n], err)
				}
				checkMessage(t, m, &records[i], false)
			}
			if err := <-end; err != nil {
				t.Fatal(err)
			}
			for i, v := range verdicts {
				if large := len(records[i].Body) > 60<<10; large != (v.State == Rejected) || large != strings.Contains(v.Reason, "max= allows 61440") {
					t.Errorf("record %d of %d octets: %+v", i, len(records[i].Body), v)
				}
			}
		})
	}
}

func TestSyslogLimits(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	path := filepath.Join(t.TempDir(), "log")
	tcp, local := listen(t, "tcp", "127.0.0.1:0"), listen(t, "unix", path)
	received := make(chan string, 1)
	for _, l := range []net.Listener{tcp, local} {
		go func() {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all, _ := io.ReadAll(c)
			received <- string(all)
		}()
	}
	for to, limit := range map[string]int{
		"udp://" + udp.LocalAddr().String():                2048,
		"udp://" + udp.LocalAddr().String() + "?max=70000": 65507, // IPv4 has no larger datagram
		"tcp://" + tcp.Addr().String():                     8192,
		"unix://" + path + "?max=480":                      480,
	} {
		r := openSensor(t, "syslog+"+to)
		verdicts, err := send(t, r, []Record{{Body: []byte("small")}, {Body: bytes.Repeat([]byte("x"), limit)}, {Body: []byte("small too")}})
		if err != nil {
			t.Fatal(err)
		}
		if verdicts[0].State != Delivered || verdicts[1].State != Rejected || verdicts[1].Reason == "" || verdicts[2].State != Delivered {
			t.Errorf("%s: %+v", to, verdicts)
		}
		r.Close()
		if strings.HasPrefix(to, "udp") {
			continue
		}
		if all := <-received; !regexp.MustCompile(`^[0-9]* ?<134>1 \S+ asensor portwatch \d+ flow - small\x00?[0-9]* ?<134>1 \S+ asensor portwatch \d+ flow - small too\x00?$`).MatchString(all) {
			t.Errorf("%s: received %q", to, all)
		}
	}
}

func TestSyslogLocalStream(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	l := listen(t, "unix", path)
	received := make(chan []byte, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			close(received)
			return
		}
		all, _ := io.ReadAll(c)
		received <- all
	}()
	r := openSensor(t, "syslog+unix://"+path+"?max=128KiB")
	records := hostile()
	verdicts, err := send(t, r, records)
	if err != nil {
		t.Fatal(err)
	}
	allAre(t, verdicts, Delivered)
	r.Close()
	messages := bytes.SplitAfter(<-received, []byte{0})
	if len(messages) != len(records)+1 || len(messages[len(records)]) != 0 {
		t.Fatalf("%d messages, want %d", len(messages)-1, len(records))
	}
	for i, m := range messages[:len(records)] {
		parsed, err := rfc5424.NewParser().Parse(m[:len(m)-1])
		if err != nil {
			t.Fatalf("%q: %v", m, err)
		}
		records[i].Body = bytes.Map(func(r rune) rune {
			if r == 0 || r == '\n' {
				return ' '
			}
			return r
		}, []byte(strings.ToValidUTF8(string(records[i].Body), "?")))
		text := parsed.(*rfc5424.SyslogMessage)
		if text.Message != nil {
			*text.Message = strings.ToValidUTF8(*text.Message, "?")
		}
		checkMessage(t, parsed, &records[i], false)
	}
}

// TestCertificateReplaced: each connection has the certificate that is in the files at
// that time, or the first one while they do not belong together.
func TestCertificateReplaced(t *testing.T) {
	a := newAuthority(t)
	first, cert, key := a.issue(t, "first")
	second, newCert, newKey := a.issue(t, "second")
	s, err := ParseSettings("cert=" + cert + "&key=" + key)
	if err != nil {
		t.Fatal(err)
	}
	c := s.TLS("")
	for _, step := range []struct {
		from, to string // what is renamed before
		want     tls.Certificate
	}{{key, key, first}, {newCert, cert, first}, {newKey, key, second}} {
		if err := os.Rename(step.from, step.to); err != nil {
			t.Fatal(err)
		}
		got, err := c.GetClientCertificate(nil)
		if err != nil || !bytes.Equal(got.Certificate[0], step.want.Certificate[0]) {
			t.Errorf("%s: another certificate, or %v", step.to, err)
		}
	}
}

func TestSyslogTLSRefused(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	pair, cert, key := ours.issue(t, "127.0.0.1")
	stranger, _, _ := ours.issue(t, "example.com")
	clients := x509.NewCertPool()
	clients.AddCert(ours.cert)
	for _, test := range []struct {
		name, settings string
		server         *tls.Config
		want           string // in the error; empty: it is delivered
	}{
		{"our certificate is wanted", "?ca=" + ours.ca + "&cert=" + cert + "&key=" + key,
			&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}, ""},
		{"we have none", "?ca=" + ours.ca,
			&tls.Config{Certificates: []tls.Certificate{pair}, ClientCAs: clients, ClientAuth: tls.RequireAndVerifyClientCert}, "certificate required"},
		{"wrong authority", "?ca=" + other.ca, &tls.Config{Certificates: []tls.Certificate{pair}}, "unknown authority"},
		{"the system's authorities", "", &tls.Config{Certificates: []tls.Certificate{pair}}, "unknown authority"},
		{"wrong name", "?ca=" + ours.ca, &tls.Config{Certificates: []tls.Certificate{stranger}}, "127.0.0.1"},
		{"TLS 1.1", "?ca=" + ours.ca, &tls.Config{Certificates: []tls.Certificate{pair}, MaxVersion: tls.VersionTLS11}, "version"},
	} {
		t.Run(test.name, func(t *testing.T) {
			l := listen(t, "tcp", "127.0.0.1:0")
			received := make(chan int, 1)
			go func() {
				c, err := l.Accept()
				if err != nil {
					return
				}
				defer c.Close()
				messages, _ := parsed(tls.Server(c, test.server))
				io.Copy(io.Discard, c) // ends when we close it
				received <- len(messages)
			}()
			r := openSensor(t, "syslog+tls://"+l.Addr().String()+test.settings)
			verdicts, err := send(t, r, numbered(3))
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				allAre(t, verdicts, Delivered)
				r.Close()
				if n := <-received; n != 3 {
					t.Errorf("%d messages", n)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %q", err, test.want)
			}
			allAre(t, verdicts, Pending)
			<-received
		})
	}
}

// TestSyslogSlow has a receiver that reads slowly and without end: what it has taken counts
// while the rest is under way, and a break costs what is repeated, not the whole batch.
func TestSyslogSlow(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		for i := 0; ; i++ {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.(*net.TCPConn).SetReadBuffer(32 << 10)
			go func() {
				defer c.Close()
				b := make([]byte, 4<<10)
				for total := 0; i > 0 || total < 100<<10; {
					n, err := c.Read(b)
					if err != nil {
						return
					}
					total += n
					time.Sleep(time.Millisecond) // a connection takes 4 MB/s at most
				}
				c.(*net.TCPConn).SetLinger(0)
			}()
		}
	}()
	r := openSensor(t, "syslog+tcp://"+l.Addr().String())
	r.(*syslog).long = 100 * time.Millisecond
	records := numbered(1200)
	for i := range records {
		records[i].Body = bytes.Repeat([]byte("x"), 400)
	}
	breaks, partly := 0, 0
	for from := 0; from < len(records); {
		verdicts, err := send(t, r, records[from:])
		switch {
		case err == errRepeating:
		case err != nil:
			breaks++
		}
		n := deliveredFirst(verdicts)
		allAre(t, verdicts[n:], Pending)
		if from += n; n > 0 && from < len(records) {
			partly++
		}
	}
	r.Close()
	if partly == 0 {
		t.Error("all at once: the receiver was not slow")
	}
	if breaks != 1 {
		t.Errorf("%d breaks, want the one that the receiver made", breaks)
	}
}

// TestSyslogSlowRepetition: even if repeating takes all the time there is, records still
// follow it. To take none without an error would mean that the receiver refuses them.
func TestSyslogSlowRepetition(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, c)
		}
	}()
	r := openSensor(t, "syslog+tcp://"+l.Addr().String())
	defer r.Close()
	r.(*syslog).long = 0
	records := numbered(1000)
	verdicts, err := send(t, r, records)
	if n := deliveredFirst(verdicts); err != nil || n == 0 || n == len(records) {
		t.Errorf("%d of %d records, %v; want the first part", n, len(records), err)
	}
}

// TestSyslogSlowLocal has a local receiver that takes longer for a batch than one try is to
// last: the try ends with part of it, and what was taken counts, and comes once.
func TestSyslogSlowLocal(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	server, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	took := make(chan int, 1)
	records := numbered(200)
	go func() {
		n := 0
		for b := make([]byte, 4<<10); n < len(records); n++ {
			if _, _, err := server.ReadFrom(b); err != nil {
				break
			}
			time.Sleep(5 * time.Millisecond)
		}
		took <- n
	}()
	r := openSensor(t, "syslog+unix://"+path)
	r.(*syslog).long = 50 * time.Millisecond
	for tries, from := 0, 0; from < len(records); tries++ {
		verdicts := make([]Verdict, len(records)-from)
		err := r.Deliver(t.Context(), records[from:], verdicts)
		n := deliveredFirst(verdicts)
		if err != nil || n == 0 || n == len(records) {
			t.Fatalf("try %d: %d delivered, %v", tries, n, err)
		}
		from += n
	}
	if n := <-took; n != len(records) {
		t.Errorf("the receiver took %d messages of %d records", n, len(records))
	}
}

// TestSyslogCut cuts the connection again and again, in the middle of a record: each
// connection begins with a whole one, and in the end none is missing.
func TestSyslogCut(t *testing.T) {
	whole := regexp.MustCompile(`^[0-9]+ <13[24]>1 `)
	for _, cut := range []string{"reset", "closed"} {
		t.Run(cut, func(t *testing.T) {
			l := listen(t, "tcp", "127.0.0.1:0")
			seen := map[string]int{}
			end := make(chan error, 1)
			fail := func(c net.Conn, err error) {
				end <- err
				c.Close()
				l.Close()
			}
			go func() {
				for i := 0; ; i++ {
					c, err := l.Accept()
					if err != nil {
						end <- nil
						return
					}
					var r io.Reader = c
					if i < 20 {
						r = io.LimitReader(c, int64(1000+i*7919))
					}
					var octets bytes.Buffer
					messages, failed := parsed(io.TeeReader(r, &octets))
					if octets.Len() > 12 && !whole.Match(octets.Bytes()) {
						fail(c, fmt.Errorf("connection %d begins with %.12q", i, octets.Bytes()))
						return
					}
					if i >= 20 && failed != nil {
						fail(c, fmt.Errorf("connection %d, behind %d octets: %w", i, octets.Len(), failed))
						return
					}
					for _, m := range messages {
						if s, ok := m.(*rfc5424.SyslogMessage); ok && s.Message != nil && strings.HasSuffix(*s.Message, "}") {
							seen[*s.Message]++
						}
					}
					if cut == "reset" {
						c.(*net.TCPConn).SetLinger(0)
					}
					c.Close()
				}
			}()
			r := openSensor(t, "syslog+tcp://"+l.Addr().String()+"?replay=256KiB")
			records := numbered(20000)
			breaks := 0
			for from := 0; from < len(records); {
				batch := records[from:min(from+500, len(records))]
				verdicts, err := send(t, r, batch)
				if err != nil {
					if len(end) > 0 {
						t.Fatal(<-end)
					}
					breaks++
					n := deliveredFirst(verdicts)
					allAre(t, verdicts[n:], Pending)
					from += n
					continue
				}
				allAre(t, verdicts, Delivered)
				from += len(batch)
			}
			r.Close()
			l.Close()
			if err := <-end; err != nil {
				t.Fatal(err)
			}
			twice := 0
			for _, n := range seen {
				twice += n - 1
			}
			t.Logf("%d breaks, %d messages came twice", breaks, twice)
			if len(seen) != len(records) {
				t.Errorf("%d of %d records arrived", len(seen), len(records))
			}
			if breaks == 0 {
				t.Error("no connection was cut")
			}
		})
	}
}

// deliveredFirst returns how many leading records were delivered.
func deliveredFirst(verdicts []Verdict) int {
	n := slices.IndexFunc(verdicts, func(v Verdict) bool { return v.State != Delivered })
	if n < 0 {
		return len(verdicts)
	}
	return n
}

// TestSyslogStalled has a receiver that takes the connection and then nothing: the batch
// ends with the context. What counts as delivered, because the receiver's system has it,
// is kept for the next connection, and until that one has it nothing more counts. Nothing
// piles up.
func TestSyslogStalled(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: only Linux tells what the peer has acknowledged")
	}
	l := listen(t, "tcp", "127.0.0.1:0")
	r := openSensor(t, "syslog+tcp://"+l.Addr().String())
	records := numbered(400)
	for i := range records {
		records[i].Body = bytes.Repeat([]byte("x"), 6000)
	}
	before := runtime.NumGoroutine()
	stalled, delivered, last := 0, 0, 0
	for range 30 {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		verdicts := make([]Verdict, len(records))
		if err := r.Deliver(ctx, records, verdicts); err != nil {
			stalled++
			last = deliveredFirst(verdicts)
			allAre(t, verdicts[last:], Pending)
			delivered += last
		}
		cancel()
	}
	if stalled == 0 || last != 0 {
		t.Errorf("nobody reads, and %d were delivered at last, in %d tries", last, stalled)
	}
	if octets := delivered * len(records[0].Body); octets > syslogReplay {
		t.Errorf("%d octets count as delivered, of which %d are kept", octets, syslogReplay)
	}
	time.Sleep(20 * time.Millisecond)
	if after := runtime.NumGoroutine(); after > before+3 {
		t.Errorf("%d goroutines, %d before", after, before)
	}
}

// TestSyslogRestarted has a receiver that ends a connection when it has everything: the
// next batch goes over another one, after the last octets that it got, which are whole
// messages.
func TestSyslogRestarted(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	more, received := make(chan struct{}), make(chan []judge.Message)
	defer close(more)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				<-more
				c.(*net.TCPConn).CloseWrite()
			}()
			messages, _ := parsed(c)
			c.Close()
			received <- messages
		}
	}()
	records := numbered(10)
	for i := range records {
		records[i].Kind = Flow // all of one length
	}
	records[8].Body = []byte("short}") // but this one
	r := openSensor(t, "syslog+tcp://"+l.Addr().String())
	s := r.(*syslog)
	frame, _ := s.appendFrame(nil, &records[0])
	s.limit = len(frame) - bytes.IndexByte(frame, ' ') - 1 // it just fits
	s.replay = 3*len(frame) - 1
	deliver := func(records []Record, want error) {
		t.Helper()
		verdicts, err := send(t, r, records)
		if err != want {
			t.Fatalf("%v, want %v", err, want)
		}
		allAre(t, verdicts, map[bool]State{true: Delivered, false: Pending}[err == nil])
	}
	deliver(records[:3], nil)
	deliver(records[3:5], nil)
	more <- struct{}{}
	<-s.link.ended
	if err := s.link.drain(t.Context()); err == nil || err.Error() != "the receiver ended the connection" {
		t.Errorf("the connection has ended: %v", err)
	}
	s.long = -1 // no time to repeat anything
	deliver(records[5:8], errRepeating)
	s.long = syslogLong
	deliver(records[5:8], nil)
	deliver(records[8:9], nil)
	deliver(records[9:], nil)
	if len(s.window) != s.replay {
		t.Errorf("%d octets are kept, want %d", len(s.window), s.replay)
	}
	r.Close()
	for _, from := range []int{0, 3} {
		messages := <-received
		to := map[int]int{0: 5, 3: 10}[from]
		if len(messages) != to-from {
			t.Fatalf("%d messages, want those from %d to %d", len(messages), from, to)
		}
		for i, m := range messages {
			checkMessage(t, m, &records[from+i], false)
		}
	}
}

// TestSyslogGivenUp: a receiver that reads on only when the batch was given up finds that the
// connection was broken off, and gets nothing more over it.
func TestSyslogGivenUp(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	for _, scheme := range []string{"tcp", "tls"} {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		begun := make(chan net.Conn, 1)
		go func() {
			defer close(begun)
			if c, err := l.Accept(); err == nil {
				c.(*net.TCPConn).SetReadBuffer(32 << 10)
				c.Read(make([]byte, 1))
				begun <- c
			}
			cancel()
		}()
		records := numbered(1000)
		for i := range records {
			records[i].Body = bytes.Repeat([]byte("x"), 8000)
		}
		r := openSensor(t, "syslog+"+scheme+"://"+l.Addr().String())
		verdicts := make([]Verdict, len(records))
		err := r.Deliver(ctx, records, verdicts)
		if !errors.Is(err, context.Canceled) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: %v", scheme, err)
		}
		allAre(t, verdicts[deliveredFirst(verdicts):], Pending)
		c := <-begun
		if _, err := io.Copy(io.Discard, c); (err == nil) != (scheme == "tls") { // which had nothing to send
			t.Errorf("%s: the connection ends with %v", scheme, err)
		}
		c.Close()
	}
}

// TestSyslogUnread: what a local receiver has not read is not delivered, whether or not
// the socket has room for it.
func TestSyslogUnread(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("NOT TESTED: only Linux tells what the peer has read")
	}
	path := filepath.Join(t.TempDir(), "log")
	local, err := net.ListenPacket("unixgram", path)
	if err != nil {
		t.Fatal(err)
	}
	defer local.Close()
	for _, n := range []int{1, 5000} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		verdicts := make([]Verdict, n)
		err := openSensor(t, "syslog+unix://"+path).Deliver(ctx, numbered(n), verdicts)
		if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%d records: %v", n, err)
		}
		allAre(t, verdicts, Pending)
	}
}

func TestSyslogUDPRefused(t *testing.T) {
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := openSensor(t, "syslog+udp://"+udp.LocalAddr().String())
	if _, err := send(t, r, numbered(3)); err != nil {
		t.Fatal(err)
	}
	udp.Close()
	r.(*syslog).link.Write([]byte("of the last batch"))
	<-r.(*syslog).link.ended
	for _, want := range []string{"what was sent last was not taken", "", ""} {
		verdicts, err := send(t, r, numbered(3))
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "refused") {
			t.Errorf("got %v", err)
		}
		allAre(t, verdicts, Pending)
	}
}

func TestSyslogNotThere(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	address := l.Addr().String()
	l.Close()
	for _, to := range []string{"syslog+tcp://" + address, "syslog+tls://" + address, "syslog+unix://" + filepath.Join(t.TempDir(), "log")} {
		verdicts, err := send(t, openSensor(t, to), numbered(3))
		if err == nil {
			t.Errorf("%s: no error", to)
		}
		allAre(t, verdicts, Pending)
	}
}

func TestSyslogFacilities(t *testing.T) {
	for name, code := range map[string]int{"local0": 16, "local7": 23, "kern": 0, "user": 1, "authpriv": 10, "ftp": 11} {
		r := openSensor(t, "syslog+udp://h?facility="+name)
		if got := r.(*syslog).facility; got != code {
			t.Errorf("%s is %d, want %d", name, got, code)
		}
	}
}

func TestSyslogSettings(t *testing.T) {
	wrong := map[string]string{
		"syslog+tcp://":              "syslog+tcp://HOST[:PORT]",
		"syslog+tcp://a,b":           "syslog+tcp://HOST[:PORT]",
		"syslog+udp://h/path":        "syslog+udp://HOST[:PORT]",
		"syslog+tcp://u@h":           "not of the form",
		"syslog+unix://h/dev/log":    "syslog+unix:///PATH",
		"syslog+unix://":             "syslog+unix:///PATH",
		"syslog+tcp://h?max=100":     "every receiver takes 480",
		"syslog+tcp://h?facility=x":  "one of local0",
		"syslog+tcp://h?pen=x":       "whole number",
		"syslog+tcp://h?ca=/x":       "unknown setting",
		"syslog+udp://h?replay=1MiB": "unknown setting",
		"syslog+tls://h?ca=/-/":      "no such file",
		"syslog+tls://h?key=/-/":     "cert and key",
	}
	for _, to := range slices.Sorted(maps.Keys(wrong)) {
		if _, _, err := Open(to, "", ""); err == nil || !strings.Contains(err.Error(), wrong[to]) {
			t.Errorf("%s: %v, want %q", to, err, wrong[to])
		}
	}
	for to, want := range map[string]string{"syslog+tcp://h": "h:601", "syslog+tls://[::1]": "[::1]:6514", "syslog+udp://h:99": "h:99", "syslog+tcp://h/": "h:601", "syslog+unix:///dev/log": "/dev/log", "syslog+unix:///l": "/l"} {
		if got := openSensor(t, to).(*syslog).address; got != want {
			t.Errorf("%s goes to %s, want %s", to, got, want)
		}
	}
}

func TestSyslogHost(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	for observer, want := range map[string]string{
		"": own, "a sensor": "asensor", "~!": "~!", "\x7f \t": "-", "sénsor": "snsor", strings.Repeat("x", 256): strings.Repeat("x", 255),
	} {
		_, r, err := Open("syslog+udp://h", observer, "")
		if err != nil {
			t.Fatal(err)
		}
		if got := r.(*syslog).host; got != want {
			t.Errorf("%q is %q, want %q", observer, got, want)
		}
	}
}

func TestSyslogAllocations(t *testing.T) {
	s := openSensor(t, "syslog+tcp://h?pen=32473").(*syslog)
	records := numbered(100)
	appendAll := func() {
		s.frames = s.frames[:0]
		for i := range records {
			s.frames, _ = s.appendFrame(s.frames, &records[i])
		}
	}
	if n := testing.AllocsPerRun(10, appendAll); n > 0 {
		t.Errorf("%v allocations for %d records", n, len(records))
	}
}
