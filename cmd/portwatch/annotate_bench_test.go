package main

import (
	"bytes"
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/export"
	"github.com/portwatch/portwatch/records"
	"github.com/portwatch/portwatch/registry"
)

// annotatorLines has a typical line of each kind.
var annotatorLines = map[string]string{
	"zeek":    `{"ts":1591367999.305988,"uid":"CMdzit1AMNsmfAIiQc","id.orig_h":"192.168.4.76","id.orig_p":36844,"id.resp_h":"192.168.4.1","id.resp_p":53,"proto":"udp","service":"dns","duration":0.06685185432434082,"orig_bytes":62,"resp_bytes":141,"conn_state":"SF","missed_bytes":0,"history":"Dd","orig_pkts":2,"orig_ip_bytes":118,"resp_pkts":2,"resp_ip_bytes":197,"ip_proto":17}`,
	"eve":     `{"timestamp":"2026-11-20T12:00:00.000000+0000","flow_id":1234567890123456,"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":15,"pkts_toclient":14,"bytes_toserver":2415,"bytes_toclient":9001,"start":"2026-11-20T12:00:00.000000+0000","end":"2026-11-20T12:00:00.000000+0000","age":0,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true,"fin":true,"psh":true,"ack":true,"state":"closed"}}`,
	"netflow": `{"type":"NETFLOW_V9","time_received_ns":1681583295157626000,"sequence_num":2999,"sampling_rate":100,"sampler_address":"192.168.0.1","time_flow_start_ns":1681583295157626000,"time_flow_end_ns":1681583295157626000,"bytes":1500,"packets":1,"src_addr":"192.168.0.1","dst_addr":"10.0.0.1","etype":"IPv4","proto":"TCP","src_port":443,"dst_port":50001,"in_if":13,"out_if":20,"src_mac":"00:00:00:00:00:00","dst_mac":"00:00:00:00:00:00","tcp_flags":16}`,
	"vpc":     `2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 42000 6 20 4249 1418530010 1418530070 ACCEPT OK`,
}

// newBenchJob returns an annotator, and a job of lines as a reader makes one.
func newBenchJob(line string) (*annotator, *job, int) {
	const size = 256 << 10
	reg := registry.Embedded()
	n := size / (len(line) + 1)
	return &annotator{
		reader: records.NewReader(records.Auto, assigned(reg)), annotate: annotate.New(reg), format: export.NewAnnotation(reg),
	}, &job{block: records.Block{Source: "x", Line: 1, Data: bytes.Repeat([]byte(line+"\n"), n)}}, n
}

// BenchmarkAnnotator is one core's work on lines that are in memory: without sinks,
// and with what they need to know of each record. Its rate is by processor time.
func BenchmarkAnnotator(b *testing.B) {
	for _, name := range []string{"zeek", "eve", "netflow", "vpc"} {
		for _, way := range []string{"file", "sink"} {
			b.Run(name+"/"+way, func(b *testing.B) {
				a, j, n := newBenchJob(annotatorLines[name])
				if way == "sink" {
					j.marks = new(marks)
				}
				b.ReportAllocs()
				before := processorTime()
				for b.Loop() {
					a.work(j)
				}
				if len(j.rejects) > 0 {
					b.Fatal(j.rejects[0].cause)
				}
				b.ReportMetric(float64(b.N*n)/(processorTime()-before).Seconds(), "lines/cpu-s")
				b.ReportMetric(float64(len(annotatorLines[name])), "octets-in/line")
				b.ReportMetric(float64(len(j.out)/n), "octets-out/line")
			})
		}
	}
}

// TestAnnotatorAllocations wants no allocations for a line once an annotator has seen such
// lines.
func TestAnnotatorAllocations(t *testing.T) {
	for name, line := range annotatorLines {
		a, j, _ := newBenchJob(line)
		a.work(j)
		if n := testing.AllocsPerRun(5, func() { a.work(j) }); n > 0 {
			t.Errorf("%s: %v allocations a block", name, n)
		}
	}
}

// BenchmarkAnnotateCommand is the command as typed, on 100,000 lines.
func BenchmarkAnnotateCommand(b *testing.B) {
	lines := bytes.Repeat([]byte(annotatorLines["zeek"]+"\n"), 100000)
	for b.Loop() {
		c := program("annotate", "--offline", "-q", "--from", "-")
		c.Stdin = bytes.NewReader(lines)
		if err := c.Run(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)*100000/b.Elapsed().Seconds(), "lines/s")
}
