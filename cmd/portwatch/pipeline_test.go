package main

import (
	"net/netip"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// TestAlertsWithoutFlows: on a device that has become silent, the time on the wall ends the
// window of an alert.
func TestAlertsWithoutFlows(t *testing.T) {
	var b flow.Batch
	for client := range uint16(2) {
		from, to := netip.AddrPortFrom(netip.MustParseAddr("10.0.0.5"), 40000+client), netip.MustParseAddrPort("10.0.0.9:42001")
		for _, flags := range []flow.TCPFlags{flow.SYN, flow.SYN | flow.ACK} {
			p := flow.Packet{Time: 1, Flags: flags, Octets: 60}
			var reverse bool
			if p.Key, reverse = flow.KeyOf(flow.TCP, from, to); reverse {
				p.Marks |= flow.Reverse
			}
			b.Packets = append(b.Packets, p)
			from, to = to, from
		}
	}
	table := flow.NewTable(flow.Options{})
	table.Add(&b)
	table.Flush()
	tagger := &tagger{judge: flow.NewJudge(nil), annotator: annotate.New(registry.Embedded()), alerts: annotate.NewAlerts(time.Hour)}
	flows, silence := newChunk(nil), newChunk(nil)
	table.Take(flows.ends)
	tagger.tag(flows)
	silence.now = int64(2 * time.Hour)
	tagger.tag(silence)
	if len(flows.alerts) != 1 || len(silence.alerts) != 1 || !silence.alerts[0].Update {
		t.Errorf("%d alerts with the Flows, %d behind them", len(flows.alerts), len(silence.alerts))
	}
	if n := tagger.findings.Load(); n != 2 {
		t.Errorf("the progress line is told of %d findings", n)
	}
}
