package export

import (
	"encoding/binary"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

func TestEVEStates(t *testing.T) {
	for _, test := range []struct {
		history         string
		state           flow.State
		source, dest    flow.TCPFlags
		wantTCP, wantIn string // tcp.state, flow.state
	}{
		{"S", flow.Attempt, flow.SYN, 0, "syn_sent", "new"},
		{"S", flow.Rejected, flow.SYN, 0, "syn_sent", "new"}, // by ICMP
		{"Sr", flow.Rejected, flow.SYN, flow.RST, "closed", "closed"},
		{"SR", flow.Attempt, flow.SYN | flow.RST, 0, "closed", "closed"},
		{"Sh", flow.Established, flow.SYN, flow.SYN | flow.ACK, "syn_recv", "new"},
		{"ShA", flow.Established, flow.SYN | flow.ACK, flow.SYN | flow.ACK, "established", "established"},
		{"ShD", flow.Established, flow.SYN | flow.ACK, flow.SYN | flow.ACK, "established", "established"},
		{"Dad", flow.Established, flow.ACK, flow.ACK, "established", "established"},
		{"ShADadF", flow.Established, flow.SYN | flow.FIN, flow.SYN, "close_wait", "established"},
		{"ShADadf", flow.Established, flow.SYN, flow.SYN | flow.FIN, "fin_wait1", "established"},
		{"ShADadFf", flow.Closed, flow.SYN | flow.FIN, flow.SYN | flow.FIN, "closed", "closed"},
		{"ShAr", flow.Reset, flow.SYN, flow.RST, "closed", "closed"},
		{"D", flow.OneWay, flow.ACK, 0, "", "new"},
		{"A", flow.Attempt, flow.ACK, 0, "", "new"},
	} {
		f := conversation(flow.TCP, "10.0.0.5:1024", "10.0.0.9:80", 0, test.state)
		f.HistoryLen = uint8(copy(f.History[:], test.history))
		f.Source.Flags, f.Destination.Flags = test.source, test.dest
		if got := eveTCPState(f); got != test.wantTCP {
			t.Errorf("%s, %s: tcp.state %q, want %q", test.history, test.state, got, test.wantTCP)
		}
		if got := eveState(f); got != test.wantIn {
			t.Errorf("%s, %s: flow.state %q, want %q", test.history, test.state, got, test.wantIn)
		}
	}
	f := conversation(flow.UDP, "10.0.0.5:1024", "10.0.0.9:53", 0, flow.Established)
	if got := eveState(f); got != "established" {
		t.Errorf("UDP, answered: %s", got)
	}
	if f.Destination.Total = (flow.Count{}); eveState(f) != "new" {
		t.Errorf("UDP, not answered: %s", eveState(f))
	}
}

// TestEVEFlowID: what JavaScript can hold, and the beginning of the Flow id.
func TestEVEFlowID(t *testing.T) {
	for _, f := range testFlows() {
		id := f.ID()
		var digits [32]byte
		putHex(&digits, &id)
		if got, want := eveFlowID(&digits), binary.BigEndian.Uint64(id[:])>>13; got != want {
			t.Errorf("flow_id %#x of Flow id %x, want %#x", got, id, want)
		}
	}
}
