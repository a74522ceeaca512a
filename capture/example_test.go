package capture_test

import (
	"fmt"
	"io"
	"log"

	"github.com/portwatch/portwatch/capture"
	"github.com/portwatch/portwatch/flow"
)

// All Flows of a savefile.
func Example() {
	file, err := capture.OpenFile("../testdata/transports.pcap")
	if err != nil {
		log.Fatal(err)
	}
	defer file.Close()
	decoder := capture.NewDecoder(capture.DecoderOptions{})
	table := flow.NewTable(flow.Options{})

	var batch flow.Batch
	var record flow.Record
	tell := func() {
		for table.Next(&record) {
			fmt.Println(record.Transport, record.Source.Endpoint, "->", record.Destination.Endpoint,
				record.State, record.Source.Packets+record.Destination.Packets)
		}
	}
	frames := make([]capture.Frame, 64)
	for err == nil {
		var n int
		n, err = file.Read(frames)
		batch.Reset()
		decoder.Decode(frames[:n], &batch)
		table.Add(&batch)
		tell()
	}
	if err != io.EOF {
		log.Fatal(err) // what came before it is metered
	}
	table.Flush()
	tell()
	// Output:
	// sctp 192.0.2.10:40000 -> 198.51.100.10:9 established 15
	// dccp 192.0.2.10:40001 -> 198.51.100.10:5004 established 7
	// udplite 192.0.2.10:40002 -> 198.51.100.10:5004 established 2
	// sctp [2001:db8:2::10]:40010 -> [2001:db8:51::10]:9 established 15
	// dccp [2001:db8:2::10]:40011 -> [2001:db8:51::10]:5004 established 7
	// udplite [2001:db8:2::10]:40012 -> [2001:db8:51::10]:5004 established 2
}
