//go:build siem

package siem

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// A place is where one test's records go: a topic, a data stream, a table, a file.
type place struct {
	to      string // the destination, without a format
	ids     func(t *testing.T) ids
	arrange func(t *testing.T) // before the first record; may be nil
}

// A target is a receiver, with the ways to reach it.
type target struct {
	server *receiver.Server
	plain  func(name, addr string) place         // addr: where to connect; empty: at the receiver itself
	tls    func(name, ca string) place           // ca: empty for the right one
	cutter func(t *testing.T, cuts int64) *proxy // nil: nothing can stand between
	small  string                                // the setting that makes batches small, if there is one
	// forgetful: it may lose what it has acknowledged when it is killed, so it is stopped
	// instead.
	forgetful bool
	// ordered: it takes records only in the order of their times, so it refuses records
	// that it has and is sent again, and those of another savefile.
	ordered bool
}

// arrive wants to find at the place what the capture has, after a while if need be: a
// receiver that acknowledges nothing may not be finished.
func (g *target) arrive(t *testing.T, p place, want ids) {
	t.Helper()
	limit := time.Now().Add(15 * time.Second)
	for len(p.ids(t)) < len(want) && time.Now().Before(limit) {
		time.Sleep(200 * time.Millisecond)
	}
	compare(t, p.ids(t), want)
}

func (p place) begin(t *testing.T) place {
	t.Helper()
	if p.arrange != nil {
		p.arrange(t)
	}
	return p
}

// suite tests what holds for every receiver that knows what it has taken.
func (g *target) suite(t *testing.T) {
	sample := office
	if g.ordered {
		sample = capture(t, 0, 1000, 500)
	}
	t.Run("arrive", func(t *testing.T) {
		p := g.plain("arrive", "").begin(t)
		start(t, "-q", "-r", sample, "--no-alerts", "--to", p.to).all()
		g.arrive(t, p, idsOf(t, sample))
	})
	if g.tls != nil {
		t.Run("TLS", func(t *testing.T) {
			p := g.tls("tls", "").begin(t)
			start(t, "-q", "-r", sample, "--no-alerts", "--to", p.to).all()
			g.arrive(t, p, idsOf(t, sample))
		})
		t.Run("wrong CA", func(t *testing.T) {
			p := g.tls("wrongca", otherCA(t)).begin(t)
			r := start(t, "-r", office, "--no-alerts", "--to", p.to, "--drain-timeout", "3s")
			if b := r.end(); b.Delivered != 0 {
				t.Errorf("%d records were delivered to a peer that nobody vouches for", b.Delivered)
			}
			if !strings.Contains(r.err.String(), "certificate") {
				t.Error("no word of a certificate")
			}
			if status := r.cmd.ProcessState.ExitCode(); status != 1 {
				t.Errorf("status %d, want 1", status)
			}
			if got := p.ids(t); len(got) != 0 {
				t.Errorf("%d records came", len(got))
			}
		})
	}
	t.Run("killed and restarted", func(t *testing.T) {
		const n = 20000
		p := g.plain("killed", "").begin(t)
		r := start(t, "-r", "-", "--no-alerts", "--to", p.to)
		r.feed(fileHeader)
		const part = n / 4
		for i := range 4 {
			switch i {
			case 1, 3:
				time.Sleep(500 * time.Millisecond) // in the middle of what came before
				g.kill()
			case 2:
				time.Sleep(time.Second)
				g.restart(t)
			}
			r.feed(packets(i*part, part, none))
		}
		r.in.Close()
		time.Sleep(time.Second)
		g.restart(t)
		if g.ordered {
			r.end()
		} else {
			r.all()
		}
		g.arrive(t, p, idsOf(t, capture(t, 0, n, none)))
	})
	t.Run("not there at start", func(t *testing.T) {
		const first, n = 100_000, 3000
		p := g.plain("late", "").begin(t)
		g.server.Stop()
		r := start(t, "-r", capture(t, first, n, none), "--no-alerts", "--to", p.to)
		time.Sleep(2 * time.Second)
		g.restart(t)
		r.all()
		g.arrive(t, p, idsOf(t, capture(t, first, n, none)))
	})
	t.Run("stops reading", func(t *testing.T) {
		const first, n = 200_000, 30000
		p := g.plain("stopped", "").begin(t)
		r := start(t, "-r", "-", "--no-alerts", "--to", join(p.to, "queue=4MiB", "timeout=20s"))
		r.feed(append(fileHeader[:len(fileHeader):len(fileHeader)], packets(first, n/3, none)...))
		g.server.Pause()
		defer g.server.Resume()
		fed := make(chan struct{})
		go func() {
			defer close(fed)
			r.in.Write(packets(first+n/3, n-n/3, none))
		}()
		time.Sleep(4 * time.Second)
		select {
		case <-fed:
			t.Log("everything was read before the window closed") // then the queue has it
		default:
		}
		const bound = 256 << 20
		if rss := r.rss(); rss > bound {
			t.Errorf("%d octets of memory while the receiver stood still", rss)
		}
		g.server.Resume()
		<-fed
		r.all()
		g.arrive(t, p, idsOf(t, capture(t, first, n, none)))
	})
	if g.cutter == nil {
		return
	}
	t.Run("cut in the middle of a record", func(t *testing.T) {
		const first, n, cuts = 300_000, 10000, 5
		x := g.cutter(t, cuts)
		p := g.plain("cut", x.addr).begin(t)
		r := start(t, "-r", capture(t, first, n, none), "--no-alerts", "--to", join(p.to, g.small))
		r.all()
		if n := x.cut.Load(); n < cuts { // more, where several were open at a time
			t.Errorf("%d of %d connections were cut", n, cuts)
		}
		g.arrive(t, p, idsOf(t, capture(t, first, n, none)))
	})
}

func (g *target) kill() {
	if g.forgetful {
		g.server.Stop()
	} else {
		g.server.Kill()
	}
}

// restart starts the server again, at the ports it had.
func (g *target) restart(t *testing.T) {
	t.Helper()
	var err error
	for range 3 {
		if err = g.server.Start(); err == nil {
			return
		}
		time.Sleep(time.Second)
	}
	t.Fatal(err)
}

// join appends settings to a destination that may already have some.
func join(to string, settings ...string) string {
	for _, s := range settings {
		if s == "" {
			continue
		}
		mark := "?"
		if strings.Contains(to, "?") {
			mark = "&"
		}
		to = fmt.Sprint(to, mark, s)
	}
	return to
}
