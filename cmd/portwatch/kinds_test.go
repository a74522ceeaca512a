package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/registry"
)

// TestDirectionKinds has one real capture for each kind of traffic in which neither
// ports nor handshakes clearly show who serves whom. The scripts announced and
// directions have the same kinds in captures of our own.
func TestDirectionKinds(t *testing.T) {
	dir := filepath.Join(captures(t), "real")
	tests := []struct {
		name, capture, filter string
		want                  []string // source > destination: method, state, number of findings
	}{
		{"symmetric", "ndpi__ah.pcapng", "udp", []string{
			"10.2.3.2:500 > 10.3.4.4:500: symmetric, established, 0"}},
		{"symmetric, nobody answers", "ndpi__dos_win98_smb_netbeui.pcap", "udp port 137 and host 192.168.239.2", []string{
			"192.168.239.129:137 > 192.168.239.2:137: symmetric, one-way, 0",
			"192.168.239.129:137 > 192.168.239.2:137: symmetric, one-way, 0"}},
		{"multicast", "ndpi__netflix.pcap", "dst net 224.0.0.0/4", []string{
			"192.168.1.7:53776 > 239.255.255.250:1900: group, one-way, 0"}},
		{"multicast from the group's port", "ndpi__android.pcap", "udp port 5353", []string{
			"169.254.225.216:5353 > 224.0.0.251:5353: group, attempt, 0",
			"192.168.2.1:5353 > 224.0.0.251:5353: group, attempt, 0"}},
		{"broadcast", "ndpi__android.pcap", "udp port 17500", []string{
			"192.168.2.1:17500 > 192.168.2.255:17500: group, attempt, 0",
			"192.168.2.1:17500 > 192.168.2.255:17500: group, attempt, 0",
			"192.168.2.1:17500 > 192.168.2.255:17500: group, attempt, 0"}},
		{"a SYN-ACK whose SYN went another way, and what it teaches", "ndpi__syslog.pcap", "vlan and tcp", []string{
			"10.186.117.194:49948 > 169.46.82.162:52173: handshake, one-way, 1",
			"10.186.117.194:49948 > 169.46.82.162:52173: handshake, attempt, 1",
			"10.186.117.194:49948 > 169.46.82.162:52173: learned, attempt, 1"}},
		{"an RST alone, of a client that gave up before", "ndpi__KakaoTalk_talk.pcap", "tcp[tcpflags] & tcp-rst != 0 and host 216.58.220.161", []string{
			"10.24.82.188:56697 > 216.58.220.161:443: registry, rejected, 0"}},
		{"a scan from one port", "zeek__rotation.pcap", "host 10.0.0.1", unanswered("10.0.0.1:20", "10.0.0.2", 1024, 1033)},
		{"FTP, the server calls", "sv__output-eve-ftp-data_input.pcap", "tcp port 20 or tcp port 21", []string{
			"192.168.0.13:59898 > 192.168.0.10:21: handshake, closed, 0",
			"192.168.0.10:20 > 192.168.0.13:59914: announced, closed, 0",
			"192.168.0.10:20 > 192.168.0.13:59926: announced, closed, 0"}},
		{"FTP, both ways", "zeek__ftp_ipv4.pcap", "", []string{
			"141.142.220.235:50003 > 199.233.217.249:21: handshake, closed, 0",
			"141.142.220.235:37604 > 199.233.217.249:56666: announced, closed, 0",
			"141.142.220.235:59378 > 199.233.217.249:56667: announced, closed, 0",
			"199.233.217.249:61920 > 141.142.220.235:33582: announced, closed, 0",
			"199.233.217.249:61918 > 141.142.220.235:37835: announced, closed, 0"}},
		{"SIP's media", "ndpi__sip.pcap", "not host 200.68.120.81", []string{
			"192.168.1.2:5060 > 212.242.33.35:5060: symmetric, established, 0",
			"192.168.1.2:5060 > 212.242.33.35:5060: symmetric, established, 0",
			"192.168.1.2:5060 > 212.242.33.35:5060: symmetric, established, 0",
			"192.168.1.2:5060 > 212.242.33.35:5060: symmetric, established, 0",
			"192.168.1.2:5060 > 212.242.33.35:5060: symmetric, established, 0",
			"192.168.1.2:30000 > 212.242.33.36:40392: announced, one-way, 0",
			"192.168.1.2:30001 > 212.242.33.36:40393: announced, attempt, 0"}},
		{"who answers a search for devices", "ndpi__anyconnect-vpn.pcap", "udp port 57547 and not port 53", []string{
			"10.0.0.227:57547 > 239.255.255.250:1900: group, one-way, 0",
			"10.0.0.227:57547 > 10.0.0.151:1900: announced, one-way, 0",
			"10.0.0.227:57547 > 10.0.0.149:50081: announced, attempt, 0",
			"10.0.0.227:57547 > 10.0.0.149:49816: announced, attempt, 0",
			"10.0.0.227:57547 > 10.0.0.149:48166: announced, attempt, 0",
			"10.0.0.227:57547 > 10.0.0.149:51382: announced, attempt, 0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got := directionsOf(t, filepath.Join(dir, test.capture), test.filter)
			want := slices.Sorted(slices.Values(test.want))
			if slices.Sort(got); !slices.Equal(got, want) {
				t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
			}
		})
	}
}

// unanswered are the lines of a scan that nobody answered.
func unanswered(from, to string, first, last uint16) (lines []string) {
	reg := registry.Embedded()
	for port := first; port <= last; port++ {
		findings := 0
		if reg.Lookup(registry.TCP, port).Status != registry.Assigned {
			findings = 1
		}
		lines = append(lines, fmt.Sprintf("%s > %s:%d: handshake, attempt, %d", from, to, port, findings))
	}
	return lines
}

// directionsOf runs the program and makes a short line of each record.
func directionsOf(t *testing.T, capture, filter string) (lines []string) {
	args := []string{"-q", "-o", "ecs", "--no-alerts", "-r", capture}
	if filter != "" {
		args = append(args, filter)
	}
	stdout, stderr, status := runCommand(t, args...)
	if status != exitDone {
		t.Fatalf("exit status %d: %s", status, stderr)
	}
	type end struct {
		IP   netip.Addr
		Port uint16
	}
	for line := range bytes.Lines(stdout) {
		var r struct {
			Source, Destination end
			Portwatch           struct {
				Flow struct {
					State     string
					Direction struct{ Method string }
				}
				Findings []struct{}
			}
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		f := r.Portwatch.Flow
		lines = append(lines, fmt.Sprintf("%v > %v: %s, %s, %d", netip.AddrPortFrom(r.Source.IP, r.Source.Port),
			netip.AddrPortFrom(r.Destination.IP, r.Destination.Port), f.Direction.Method, f.State, len(r.Portwatch.Findings)))
	}
	return lines
}
