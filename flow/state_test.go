package flow

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	to   = "10.0.0.1:40000 > 10.0.0.2:80"
	from = "10.0.0.2:80 > 10.0.0.1:40000"
)

func TestStates(t *testing.T) {
	tests := []struct {
		name      string
		packets   []Packet
		state     State
		midstream bool
		history   string // source is the initiator, as far as the packets tell
	}{
		{"syn", []Packet{tcp(to, SYN)}, Attempt, false, "S"},
		{"syn thrice", []Packet{tcp(to, SYN), tcp(to, SYN), tcp(to, SYN)}, Attempt, false, "S"},
		{"fast open without an answer", []Packet{tcp(to, SYN, data)}, Attempt, false, "SD"},
		{"closed port", []Packet{tcp(to, SYN), tcp(from, RST|ACK)}, Rejected, false, "Sr"},
		{"given up", []Packet{tcp(to, SYN), tcp(to, RST)}, Attempt, false, "SR"},
		{"given up, and answered", []Packet{tcp(to, SYN), tcp(to, RST), tcp(from, SYN|ACK)}, Reset, false, "SRh"},
		{"given up, answered, and given up again", []Packet{tcp(to, SYN), tcp(to, RST), tcp(from, SYN|ACK), tcp(to, RST)}, Reset, false, "SRh"},
		{"given up, and refused", []Packet{tcp(to, SYN), tcp(to, RST), tcp(from, RST|ACK)}, Rejected, false, "SRr"},
		{"given up in the middle, and answered", []Packet{tcp(to, ACK, data), tcp(to, RST), tcp(from, ACK, data)}, Reset, true, "DRd"},
		{"unreachable", []Packet{tcp(to, SYN), tcp(to, 0, unreachable)}, Rejected, false, "S"},
		{"unreachable, yet answered", []Packet{tcp(to, SYN), tcp(to, 0, unreachable), tcp(from, SYN|ACK)}, Established, false, "Sh"},
		{"unreachable behind an answer", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, 0, unreachable)}, Established, false, "Sh"},
		{"unreachable from the wrong side", []Packet{tcp(to, SYN), tcp(from, 0, unreachable)}, Attempt, false, "S"},
		{"handshake", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK)}, Established, false, "ShA"},
		{"half closed", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, FIN|ACK), tcp(from, ACK, data)}, Established, false, "ShFd"},
		{"closed", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK), tcp(to, PSH|ACK, data), tcp(from, PSH|ACK, data),
			tcp(to, FIN|ACK), tcp(from, FIN|ACK), tcp(to, ACK)}, Closed, false, "ShADdFf"},
		{"closed, then RST", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, FIN|ACK), tcp(from, FIN|ACK), tcp(to, RST)}, Closed, false, "ShFfR"},
		{"reset by the client", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, RST)}, Reset, false, "ShR"},
		{"reset by the server", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK), tcp(from, RST)}, Reset, false, "ShAr"},
		{"data behind a reset", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, RST), tcp(from, ACK, data)}, Reset, false, "ShRd"},
		{"answer behind a refusal", []Packet{tcp(to, SYN), tcp(from, RST), tcp(from, SYN|ACK)}, Rejected, false, "Srh"},
		{"syn repeated behind its answer", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, SYN)}, Established, false, "Sh"},
		{"answer captured before the syn", []Packet{tcp(from, SYN|ACK), tcp(to, SYN), tcp(to, ACK)}, Established, false, "hSA"},
		{"simultaneous open", []Packet{tcp(to, SYN), tcp(from, SYN), tcp(to, SYN|ACK), tcp(from, SYN|ACK)}, Established, false, "SsHh"},
		{"backscatter of a syn", []Packet{tcp(from, SYN|ACK)}, Attempt, true, "h"},
		{"backscatter of a refusal", []Packet{tcp(from, RST|ACK)}, Rejected, true, "r"},
		{"one-sided mirror, clients", []Packet{tcp(to, SYN), tcp(to, ACK), tcp(to, ACK, data), tcp(to, FIN|ACK)}, OneWay, false, "SADF"},
		{"one-sided mirror, servers", []Packet{tcp(from, SYN|ACK), tcp(from, ACK, data)}, OneWay, true, "hd"},
		{"one-sided mirror, reset by the same side", []Packet{tcp(to, SYN), tcp(to, ACK, data), tcp(to, RST)}, OneWay, false, "SDR"},
		{"one side talked, the other resets", []Packet{tcp(to, SYN), tcp(to, ACK, data), tcp(from, RST)}, Rejected, false, "SDr"},
		{"cut behind the handshake", []Packet{tcp(to, ACK, data), tcp(from, ACK)}, Established, true, "Da"},
		{"a lone ACK", []Packet{tcp(to, ACK)}, Attempt, true, "A"},
		{"no flags at all", []Packet{tcp(to, 0)}, Attempt, true, ""},
		{"SYN and FIN", []Packet{tcp(to, SYN|FIN)}, Attempt, false, "SF"},
		{"SYN and RST", []Packet{tcp(to, SYN|RST)}, Rejected, true, "SR"},

		{"one datagram", []Packet{udp(to, data)}, Attempt, false, "D"},
		{"two datagrams", []Packet{udp(to, data), udp(to, data)}, Attempt, false, "D"},
		{"three datagrams", []Packet{udp(to, data), udp(to, data), udp(to, data)}, OneWay, false, "D"},
		{"an answer", []Packet{udp(to, data), udp(from)}, Established, false, "D"},
		{"a late answer", []Packet{udp(to), udp(to), udp(to), udp(from, data)}, Established, false, "d"},
		{"port unreachable", []Packet{udp(to, data), udp(to, unreachable)}, Rejected, false, "D"},
		{"port unreachable, again and again", []Packet{udp(to), udp(to, unreachable), udp(to), udp(to), udp(to)}, Rejected, false, ""},
		{"three datagrams, then unreachable", []Packet{udp(to), udp(to), udp(to), udp(to, unreachable)}, Rejected, false, ""},
		{"UDP-Lite", []Packet{packet(UDPLite, to), packet(UDPLite, from)}, Established, false, ""},

		{"INIT", []Packet{sctp(to, request)}, Attempt, false, ""},
		{"association", []Packet{sctp(to, request), sctp(from, response), sctp(to, data)}, Established, false, "D"},
		{"association, one-sided", []Packet{sctp(to, request), sctp(to, data)}, OneWay, false, "D"},
		{"association, cut", []Packet{sctp(to, data), sctp(from)}, Established, true, "D"},
		{"INIT ACK before its INIT", []Packet{sctp(from, response), sctp(to, request)}, Established, false, ""},
		{"association refused", []Packet{sctp(to, request), sctp(from, aborts)}, Rejected, false, "r"},
		{"association given up", []Packet{sctp(to, request), sctp(to, aborts)}, Attempt, false, "R"},
		{"association aborted", []Packet{sctp(to, request), sctp(from, response), sctp(to, data), sctp(from, aborts)}, Reset, false, "Dr"},
		{"answer behind an abort", []Packet{sctp(to, request), sctp(from, aborts), sctp(from, response)}, Rejected, false, "r"},
		{"DCCP refused", []Packet{packet(DCCP, to, request), packet(DCCP, from, aborts)}, Rejected, false, "r"},
		{"DCCP request with payload", []Packet{packet(DCCP, to, request, data)}, Attempt, false, "D"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := meter(Options{}, test.packets...)
			if len(all) != 1 {
				t.Fatalf("%d records, want 1: %+v", len(all), all)
			}
			r := all[0]
			if r.State != test.state || r.Midstream != test.midstream {
				t.Errorf("state %v, midstream %v; want %v, %v", r.State, r.Midstream, test.state, test.midstream)
			}
			if got := string(r.History[:r.HistoryLen]); got != test.history {
				t.Errorf("history %q, want %q", got, test.history)
			}
			if r.Source.Port() != 40000 {
				t.Errorf("source %v", r.Source)
			}
		})
	}
}

// A packet without a Flow makes one; an ICMP error does not.
func TestUnreachableAlone(t *testing.T) {
	if all := meter(Options{}, udp(to, unreachable)); len(all) != 0 {
		t.Errorf("an ICMP error made %+v", all)
	}
}

func TestReopens(t *testing.T) {
	tests := []struct {
		name    string
		packets []Packet
		states  []State
	}{
		{"port used again", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK), tcp(to, SYN)}, []State{Established, Attempt}},
		{"port used again the other way round", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK), tcp(from, SYN)}, []State{Established, Attempt}},
		{"closed, then a SYN", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, FIN|ACK), tcp(from, FIN|ACK), tcp(to, SYN), tcp(from, SYN|ACK)}, []State{Closed, Established}},
		{"refused, and tried again", []Packet{tcp(to, SYN), tcp(from, RST), tcp(to, SYN), tcp(from, RST)}, []State{Rejected, Rejected}},
		{"cut, then opened", []Packet{tcp(to, ACK, data), tcp(to, SYN)}, []State{OneWay, Attempt}},
		{"a late segment", []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, RST), tcp(from, ACK)}, []State{Reset}},
		{"another association", []Packet{sctp(to, request), sctp(from, response), sctp(to, data), sctp(to, request)}, []State{Established, Attempt}},
		{"an association refused, and tried again", []Packet{sctp(to, request), sctp(from, aborts), sctp(to, request), sctp(from, aborts)}, []State{Rejected, Rejected}},
		{"an INIT repeated", []Packet{sctp(to, request), sctp(to, request), sctp(from, response)}, []State{Established}},
		{"UDP never", []Packet{udp(to), udp(from), udp(to)}, []State{Established}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := meter(Options{}, test.packets...)
			for i, r := range all {
				if i < len(test.states) && r.State != test.states[i] {
					t.Errorf("record %d: state %v, want %v", i, r.State, test.states[i])
				}
				if last := i == len(test.states)-1; (r.EndReason == EndOfFlow) == last {
					t.Errorf("record %d: end reason %v", i, r.EndReason)
				}
			}
			if len(all) != len(test.states) {
				t.Errorf("%d records, want %d", len(all), len(test.states))
			}
		})
	}
}

// TestDuration: times that are further apart than a Duration reaches, which a savefile can
// claim, give the longest one.
func TestDuration(t *testing.T) {
	for _, test := range []struct {
		start, end int64
		want       time.Duration
	}{
		{3, 3, 0},
		{-1e9, 2e9, 3 * time.Second},
		{math.MinInt64, math.MaxInt64 - 1, math.MaxInt64},
		{math.MinInt64, 0, math.MaxInt64},
	} {
		r := Record{Start: test.start, End: test.end}
		if got := r.Duration(); got != test.want {
			t.Errorf("from %d to %d: %d, want %d", test.start, test.end, got, test.want)
		}
	}
}

func TestWords(t *testing.T) {
	tests := []struct{ got, want string }{
		{TCP.String(), "tcp"},
		{UDPLite.String(), "udplite"},
		{Transport(1).String(), "unknown"},
		{OneWay.String(), "one-way"},
		{Reset.String(), "reset"},
		{State(9).String(), "unknown(9)"},
		{IdleTimeout.String(), "idle-timeout"},
		{LackOfResources.String(), "lack-of-resources"},
		{Multicast.String(), "group"},
		{Registered.String(), "registry"},
		{Symmetric.String(), "symmetric"},
		{High.String(), "high"},
	}
	for _, test := range tests {
		if test.got != test.want {
			t.Errorf("got %q, want %q", test.got, test.want)
		}
	}
}

// A routine packet changes nothing in step, and nearly all packets of a long conversation
// are routine.
func TestRoutine(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	routine := 0
	for range 20_000 {
		transport := []Transport{TCP, TCP, UDP, UDPLite, SCTP, DCCP}[random.IntN(6)]
		p := packet(transport, to)
		g, sent := progress{}, [2]Count{}
		for i := range 12 {
			p.Flags, p.Marks = 0, Marks(random.IntN(256))&^Unreachable
			if random.IntN(2) == 0 { // usual packets more often
				p.Marks &= Reverse | Data
			}
			if transport == TCP {
				p.Flags = []TCPFlags{SYN, SYN | ACK, ACK, PSH | ACK, ACK, TCPFlags(random.IntN(256))}[random.IntN(6)]
			}
			from := int(p.Marks & Reverse)
			sent[from].Packets++
			was, is := g, g.routine(&p)
			if i == 0 {
				g.begin(&p)
			}
			g.step(&p, from, &sent)
			if is {
				routine++
			}
			if is && was != g {
				t.Fatalf("%v with marks %#x is routine, but turns %+v into %+v", p.Flags, p.Marks, was, g)
			}
		}
	}
	if routine < 1000 {
		t.Errorf("%d packets were routine", routine)
	}
	table := NewTable(Options{})
	table.Add(&Batch{Packets: []Packet{tcp(to, SYN), tcp(from, SYN|ACK), tcp(to, ACK), tcp(to, PSH|ACK, data), tcp(from, PSH|ACK, data)}})
	for i := range table.each {
		for _, p := range []Packet{tcp(to, ACK), tcp(to, ACK, data), tcp(from, PSH|ACK, data)} {
			if !table.entries.at(i).routine(&p) {
				t.Errorf("%v with marks %#x is not routine in a conversation", p.Flags, p.Marks)
			}
		}
	}
}
