//go:build siem

package siem

import (
	"crypto/tls"
	"io"
	"net"
	"sync/atomic"
	"testing"
)

// A proxy stands before a receiver. It cuts its first connections after some octets from
// the client, wherever in a record that is.
type proxy struct {
	addr string
	cuts atomic.Int64 // connections yet to be cut
	cut  atomic.Int64 // connections that were cut
}

// cutter returns a proxy that cuts so many connections, each a little earlier than the
// one before.
func cutter(t *testing.T, listen, to string, cuts int64, after int64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	p.cuts.Store(cuts)
	p.serve(t, l, to, after)
	return p
}

// terminate returns a proxy that speaks TLS for a receiver that cannot.
func terminate(t *testing.T, cert, key, to string) *proxy {
	t.Helper()
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{addr: l.Addr().String()}
	p.serve(t, l, to, 0)
	return p
}

func (p *proxy) serve(t *testing.T, l net.Listener, to string, after int64) {
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return // closed
			}
			go p.pass(client, to, after)
		}
	}()
}

func (p *proxy) pass(client net.Conn, to string, after int64) {
	defer client.Close()
	server, err := net.Dial("tcp4", to)
	if err != nil {
		return
	}
	defer server.Close()
	go func() {
		io.Copy(client, server)
		client.Close()
	}()
	if left := p.cuts.Load(); left > 0 {
		// 7 has no common factor with the length of a record
		if n, _ := io.CopyN(server, client, after+7*left); n < after+7*left {
			return // it ended before its time
		}
		p.cuts.Add(-1)
		p.cut.Add(1)
		if c, ok := client.(*net.TCPConn); ok {
			c.SetLinger(0) // a reset, as when a firewall forgets
		}
		return
	}
	io.Copy(server, client)
}
