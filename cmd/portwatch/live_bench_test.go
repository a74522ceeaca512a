package main

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/bench/traffic"
)

// BenchmarkLive replays captures as fast as they go through a pair of devices, and reports the
// processor time that a packet costs the program at the other end, because the traffic does not
// wait for it. tcpdump shows how much of that is libpcap's.
func BenchmarkLive(b *testing.B) {
	const times = 8 // so that start and end weigh little
	space := newNamespace(b)
	for _, c := range traffic.Captures(b, "../../testdata") {
		for name, program := range map[string][]string{
			"none":    {os.Args[0], "--offline", "-i", "pw1", "-o", "none"},
			"ecs":     {os.Args[0], "--offline", "-i", "pw1", "-o", "ecs"},
			"tcpdump": {"tcpdump", "-i", "pw1", "-w", os.DevNull},
		} {
			b.Run("capture="+c.Name+"/by="+name, func(b *testing.B) {
				var used time.Duration
				lost := 0
				for b.Loop() {
					run := space.command(program...)
					stop := space.start(b, run)
					space.run(b, "tcpreplay", "--intf1=pw0", "--topspeed", "--preload-pcap", fmt.Sprint("--loop=", times), c.Path)
					lost += lostPackets(b, stop())
					used += run.ProcessState.UserTime() + run.ProcessState.SystemTime()
				}
				packets := float64(c.Packets) * float64(times*b.N)
				b.ReportMetric(float64(used.Nanoseconds())/packets, "cpu-ns/packet")
				b.ReportMetric(float64(lost)/packets, "lost/packet")
			})
		}
	}
}

var byTheKernel = regexp.MustCompile(`(\d+) (?:packets dropped )?by (?:the )?kernel`)

// lostPackets finds in a program's closing lines how many packets the kernel dropped.
func lostPackets(b *testing.B, words []byte) int {
	b.Helper()
	found := byTheKernel.FindSubmatch(words)
	if found == nil {
		b.Fatalf("nothing about lost packets: %s", words)
	}
	n, _ := strconv.Atoi(string(found[1]))
	return n
}
