package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// zeekConns is what Zeek's own tests expect of its conn.log for captures that come
// from there (testing/btest/Baseline, core and scripts.base.protocols.ftp), ICMP
// left out: originator, responder, proto, conn_state, history, then packets and
// octets of the originator and of the responder.
//
// Duration is not included: Zeek leaves out the packets after a FIN.
var zeekConns = map[string][]string{
	"zeek__mixed-vlan-mpls.pcap": {
		"10.1.2.1 11001 10.34.0.1 23 tcp SH SADF 11 470 0 0",
		"141.42.64.125 56730 125.190.109.199 80 tcp SF ShADdFaf 12 730 10 9945",
		"10.20.80.1 50343 10.0.0.15 80 tcp SF ShADadfF 7 381 7 3801",
	},
	"zeek__ftp_ipv4.pcap": {
		"141.142.220.235 37604 199.233.217.249 56666 tcp SF ShAdfFa 4 216 4 562",
		"141.142.220.235 59378 199.233.217.249 56667 tcp SF ShAdfFa 4 216 4 297",
		"199.233.217.249 61920 141.142.220.235 33582 tcp SF ShADaFf 5 614 3 164",
		"199.233.217.249 61918 141.142.220.235 37835 tcp SF ShADaFf 5 349 3 164",
		"141.142.220.235 50003 199.233.217.249 21 tcp SF ShAdDfFa 38 2164 25 4458",
	},
	"zeek__ftp_ipv6.pcap": {
		"2001:470:1f11:81f:c999:d94:aa7c:2e3e 49186 2001:470:4867:99::21 57086 tcp SF ShAdfFa 5 372 4 642",
		"2001:470:1f11:81f:c999:d94:aa7c:2e3e 49187 2001:470:4867:99::21 57087 tcp SF ShAdfFa 5 372 4 343",
		"2001:470:1f11:81f:c999:d94:aa7c:2e3e 49188 2001:470:4867:99::21 57088 tcp SF ShAdfFa 5 372 4 377",
		"2001:470:4867:99::21 55785 2001:470:1f11:81f:c999:d94:aa7c:2e3e 49189 tcp SF ShADFaf 5 449 4 300",
		"2001:470:1f11:81f:c999:d94:aa7c:2e3e 49185 2001:470:4867:99::21 21 tcp SF ShAdDfFa 57 4426 34 5908",
		"2001:470:4867:99::21 55647 2001:470:1f11:81f:c999:d94:aa7c:2e3e 49190 tcp SF ShADFaf 5 714 4 300",
	},
	"zeek__pppoe.pcap": {
		// Zeek has the DHCPv6 server as originator here, "S0 D 2 288 0 0": it answers
		// what its client sent to a group, and RFC 8415 section 7.2 says who has 547.
		"fe80::ce05:eff:fe88:0 546 fe80::c801:eff:fe88:8 547 udp SHR d 0 0 2 288",
		"fe80::ce05:eff:fe88:0 546 ff02::1:2 547 udp S0 D 2 210 0 0",
	},
	"zeek__radiotap.pcap": {
		"172.17.156.76 61738 208.67.220.220 53 udp SF Dd 1 63 1 156",
		"fe80::a667:6ff:fef7:ec54 5353 ff02::fb 5353 udp S0 D 1 328 0 0",
	},
}

// TestZeek compares our conn.log with Zeek's.
func TestZeek(t *testing.T) {
	dir := captures(t)
	for name, want := range zeekConns {
		stdout, stderr, status := runCommand(t, "-q", "--offline", "-r", filepath.Join(dir, "real", name), "-o", "zeek")
		if status != exitDone {
			t.Fatalf("%s: exit status %d: %s", name, status, stderr)
		}
		var got []string
		for line := range bytes.Lines(stdout) {
			got = append(got, connOf(t, line))
		}
		slices.Sort(got)
		if want := slices.Sorted(slices.Values(want)); !slices.Equal(got, want) {
			t.Errorf("%s: got\n\t%s\nwant\n\t%s", name, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
		}
	}
}

// connOf returns the fields of a line that zeekConns has.
func connOf(t *testing.T, line []byte) string {
	t.Helper()
	var conn map[string]any
	if err := json.Unmarshal(line, &conn); err != nil {
		t.Fatalf("%v in %s", err, line)
	}
	var words []string
	for _, field := range strings.Fields("id.orig_h id.orig_p id.resp_h id.resp_p proto conn_state history " +
		"orig_pkts orig_ip_bytes resp_pkts resp_ip_bytes") {
		words = append(words, fmt.Sprint(conn[field]))
	}
	return strings.Join(words, " ")
}
