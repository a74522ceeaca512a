package export_test

import (
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// From packets to lines: a datagram and its answer make a Flow, whose ports are looked
// up in the registry. A program that reads a capture gets its batches from a
// capture.Decoder.
func Example() {
	client, server := netip.MustParseAddrPort("192.0.2.11:58254"), netip.MustParseAddrPort("198.51.100.10:3300")
	var batch flow.Batch
	for i, ends := range [][2]flow.Endpoint{{client, server}, {server, client}} {
		p := batch.Extend()
		*p = flow.Packet{Time: int64(i) * int64(time.Millisecond), Octets: 35, Marks: flow.Data}
		var reverse bool
		if p.Key, reverse = flow.KeyOf(flow.UDP, ends[0], ends[1]); reverse {
			p.Marks |= flow.Reverse
		}
	}

	table := flow.NewTable(flow.Options{})
	annotator := annotate.New(registry.Embedded())
	text := export.NewText(export.TextOptions{})
	line := text.Header(nil)
	table.Add(&batch)
	table.Flush()
	var record flow.Record
	var annotated annotate.Record
	for n := uint64(1); table.Next(&record); n++ {
		annotator.Annotate(&annotated, &record)
		line = text.Append(line, &annotated, n)
	}
	os.Stdout.Write(line)
	for _, finding := range annotated.Findings {
		fmt.Println(finding.Rule.ID(), finding.Severity, annotated.Reason(finding))
	}
	// Output:
	// TIME          TRANSPORT  CLIENT                   SERVICE SIDE           ASSIGNED TO   CLASS    STATE        PKTS OCTETS
	// 00:00:00.000  udp        192.0.2.11:58254      -> 198.51.100.10:3300     (reserved)    user     established     2     70
	//               ! not registered: 3300 is reserved for udp; assigned to ceph on tcp
	// PW001 50 3300 is reserved for udp; assigned to ceph on tcp
}
