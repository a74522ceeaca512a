package records

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/flow"
)

// known is a registry with few ports.
func known(_ flow.Transport, port uint16) bool {
	switch port {
	case 53, 80, 123, 443, 6003:
		return true
	}
	return false
}

const tsvHead = `#separator \x09
#set_separator	,
#empty_field	(empty)
#unset_field	-
#path	conn
#open	2026-11-20-12-00-00
#fields	ts	uid	id.orig_h	id.orig_p	id.resp_h	id.resp_p	proto	service	duration	local_orig	conn_state	history	orig_pkts	resp_pkts	tunnel_parents
#types	time	string	addr	port	addr	port	enum	string	interval	bool	string	string	count	count	set[string]
`

// headOf reads lines of a head.
func headOf(text string) (h *Head) {
	for line := range strings.Lines(text) {
		h, _ = h.read([]byte(line))
	}
	return h
}

func TestRead(t *testing.T) {
	vpc5 := headOf("version srcaddr dstaddr srcport dstport protocol tcp-flags packets bytes action log-status\n# of one subnet\n#fields\n")
	for _, test := range []struct {
		name, line string
		head       *Head
		want       string // source > destination transport method confidence state
	}{
		{"zeek", `{"ts":1764000000.25,"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443,"proto":"tcp","conn_state":"SF","history":"ShADadFf"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp handshake high closed"},
		{"zeek nested", `{"id":{"orig_h":"fe80::1%eth0","orig_p":40000,"resp_h":"fe80::2","resp_p":53},"proto":"udp","conn_state":"S0","orig_pkts":9}`, nil,
			"[fe80::1]:40000 > [fe80::2]:53 udp first-packet medium one-way"},
		{"zeek midstream, other way round", `{"id.orig_h":"10.0.0.1","id.orig_p":443,"id.resp_h":"10.0.0.2","id.resp_p":40000,"proto":"tcp","conn_state":"OTH","history":"DdAa","orig_pkts":5,"resp_pkts":4}`, nil,
			"10.0.0.2:40000 > 10.0.0.1:443 tcp registry medium established reversed"},
		{"zeek, only the responder of datagrams", `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"udp","conn_state":"SHR","history":"^d","orig_pkts":0,"resp_pkts":1}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 udp first-packet medium attempt"},
		{"zeek, an IPv4 address within IPv6", `{"id.orig_h":"::ffff:10.0.0.1","id.orig_p":40000,"id.resp_h":"2001:db8::2","id.resp_p":42000,"proto":"tcp","conn_state":"S0","history":"S"}`, nil,
			"[::ffff:10.0.0.1]:40000 > [2001:db8::2]:42000 tcp handshake high attempt"},
		{"zeek, both within IPv6", `{"id.orig_h":"::ffff:10.0.0.1","id.orig_p":40000,"id.resp_h":"::ffff:10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"S0","history":"S"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high attempt"},
		{"zeek flipped", `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"SF","history":"^hADadFf"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high closed"},
		{"zeek scan", `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"S0","history":"S"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high attempt"},
		{"zeek refused", `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"tcp","conn_state":"REJ","history":"Sr"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high rejected"},
		{"zeek by number", `{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":42000,"proto":"unknown_transport","ip_proto":132,"conn_state":"OTH"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 sctp record medium attempt"},
		{"zeek tsv", "1764000000.25\tC1\t10.0.0.1\t40000\t10.0.0.2\t443\ttcp\t-\t1.5\tT\tRSTR\tShADadr\t5\t4\t(empty)", headOf(tsvHead),
			"10.0.0.1:40000 > 10.0.0.2:443 tcp handshake high reset"},
		{"eve", `{"timestamp":"2026-11-20T12:00:00.000000+0000","event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","flow":{"pkts_toserver":5,"pkts_toclient":4,"state":"closed"},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp handshake high closed"},
		{"eve refused", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":42000,"proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":1},"tcp":{"tcp_flags_ts":"02","tcp_flags_tc":"14"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high rejected"},
		{"eve, a SYN again and again", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":42000,"proto":"TCP","flow":{"pkts_toserver":3,"pkts_toclient":0},"tcp":{"tcp_flags_ts":"02","tcp_flags_tc":"00"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high attempt"},
		{"eve, reset behind the answer", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":42000,"proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":2},"tcp":{"tcp_flags_ts":"02","tcp_flags_tc":"16"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp handshake high reset"},
		{"eve without tcp, unanswered payload", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":42000,"proto":"TCP","flow":{"pkts_toserver":0,"pkts_toclient":4,"bytes_toserver":0,"bytes_toclient":4000}}`, nil,
			"10.0.0.2:42000 > 10.0.0.1:40000 tcp lower-port low one-way reversed"},
		{"eve udp", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":53,"proto":"UDP","flow":{"pkts_toserver":1,"pkts_toclient":1}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:53 udp first-packet medium established"},
		{"eve midstream", `{"event_type":"flow","src_ip":"10.0.0.1","src_port":443,"dest_ip":"10.0.0.2","dest_port":40000,"proto":"TCP","flow":{"pkts_toserver":1,"pkts_toclient":1},"tcp":{"tcp_flags_ts":"18","tcp_flags_tc":"10"}}`, nil,
			"10.0.0.2:40000 > 10.0.0.1:443 tcp registry medium established reversed"},
		{"ecs with a server", `{"source":{"ip":"10.0.0.2","port":42000},"destination":{"ip":"10.0.0.1","port":40000},"client":{"ip":"10.0.0.1","port":40000},"network":{"transport":"tcp"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp record medium established reversed"},
		{"ecs behind a proxy", `{"source":{"ip":"10.0.0.1","port":443},"destination":{"ip":"10.0.0.2","port":42000},"client":{"ip":"203.0.113.9","port":51000},"network":{"transport":"tcp"}}`, nil,
			"10.0.0.2:42000 > 10.0.0.1:443 tcp registry medium established reversed"},
		{"ecs, another spelling", `{"source":{"ip":"FE80::1","port":443},"destination":{"ip":"fe80::2","port":42000},"client":{"ip":"fe80::1","port":443},"network":{"transport":"tcp"}}`, nil,
			"[fe80::1]:443 > [fe80::2]:42000 tcp record medium attempt"},
		{"ecs of a product, a SYN again and again", `{"agent":{"type":"packetbeat"},"source":{"ip":"10.0.0.1","port":40000,"packets":6,"bytes":360},"destination":{"ip":"10.0.0.2","port":42000,"packets":0,"bytes":0},"network":{"transport":"tcp"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp record medium attempt"},
		{"ecs of a product, unanswered payload", `{"agent":{"type":"packetbeat"},"source":{"ip":"10.0.0.1","port":40000,"packets":3,"bytes":3600},"destination":{"ip":"10.0.0.2","port":42000,"packets":0,"bytes":0},"network":{"transport":"tcp"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp record medium one-way"},
		{"ecs of another protocol's number", `{"protocol":"dns","source":{"ip":"10.0.0.1","port":40000},"destination":{"ip":"10.0.0.2","port":53},"network":{"transport":"tcp","iana_number":""}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:53 tcp registry medium attempt"},
		{"ecs of a product", `{"agent":{"type":"packetbeat"},"source":{"ip":"10.0.0.1","port":40000,"packets":3},"destination":{"ip":"10.0.0.2","port":42000,"packets":3},"network":{"transport":"tcp"}}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:42000 tcp record medium established"},
		{"ecs with points", `{"source.ip":"10.0.0.1","source.port":40000,"source.packets":9,"destination.ip":"10.0.0.2","destination.port":"53","network.iana_number":"17"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:53 udp registry medium one-way"},
		{"goflow2", `{"type":"NETFLOW_V9","src_addr":"10.0.0.2","dst_addr":"10.0.0.1","src_port":443,"dst_port":40000,"proto":"TCP","tcp_flags":27,"packets":4,"bytes":900}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp registry medium established reversed"},
		{"goflow2, a SYN", `{"type":"IPFIX","src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":443,"dst_port":40000,"proto":"TCP","tcp_flags":2,"packets":1,"bytes":60}`, nil,
			"10.0.0.1:443 > 10.0.0.2:40000 tcp handshake high attempt"},
		{"goflow2, a refusal", `{"type":"IPFIX","src_addr":"10.0.0.2","dst_addr":"10.0.0.1","src_port":443,"dst_port":40000,"proto":"TCP","tcp_flags":20,"packets":1,"bytes":40}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp registry medium rejected reversed"},
		{"goflow2, a packet and an RST", `{"type":"IPFIX","src_addr":"10.0.0.2","dst_addr":"10.0.0.1","src_port":443,"dst_port":40000,"proto":"TCP","tcp_flags":20,"packets":2,"bytes":80}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp registry medium reset reversed"},
		{"goflow2 1", `{"Type":2,"SrcAddr":"10.0.0.1","DstAddr":"224.0.0.251","SrcPort":5353,"DstPort":5353,"Proto":17,"TCPFlags":0,"Packets":9,"Bytes":900}`, nil,
			"10.0.0.1:5353 > 224.0.0.251:5353 udp group high one-way"},
		{"nfdump", `{"type":"FLOW","src4_addr":"10.0.0.1","dst4_addr":"10.0.0.2","src_port":40000,"dst_port":443,"proto":6,"tcp_flags":"...AP.SF","in_packets":5,"in_bytes":900}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp registry medium established"},
		{"pmacct", `{"ip_src":"10.0.0.1","ip_dst":"10.0.0.2","port_src":123,"port_dst":123,"ip_proto":"udp","tcp_flags":"0","packets":1,"bytes":76}`, nil,
			"10.0.0.1:123 > 10.0.0.2:123 udp symmetric medium attempt"},
		{"vpc", "2 123456789010 eni-1235b8ca 172.31.16.139 172.31.16.21 20641 443 6 20 4249 1418530010 1418530070 ACCEPT OK", nil,
			"172.31.16.139:20641 > 172.31.16.21:443 tcp registry medium established"},
		{"vpc refused", "2 123456789010 eni-1235b8ca 172.31.9.69 172.31.9.12 49761 3389 6 20 4249 1418530010 1418530070 REJECT OK", nil,
			"172.31.9.69:49761 > 172.31.9.12:3389 tcp range medium rejected"},
		{"vpc with flags", "3 10.0.0.2 10.0.0.1 50000 443 6 18 8 4249 ACCEPT OK", vpc5,
			"10.0.0.1:443 > 10.0.0.2:50000 tcp handshake high established reversed"},
		{"an escaped name", `{"ip_src":"10.0.0.1","ip_dst":"10.0.0.2","port_src":40000,"\u0070ort_dst":443,"ip_proto":"tcp"}`, nil,
			"10.0.0.1:40000 > 10.0.0.2:443 tcp registry medium attempt"},
	} {
		t.Run(test.name, func(t *testing.T) {
			var r Record
			if err := NewReader(Auto, known).Read(&r, []byte(test.line), test.head); err != nil {
				t.Fatal(err)
			}
			f := &r.Flow
			got := strings.Join([]string{f.Source.String(), ">", f.Destination.String(), f.Transport.String(),
				f.Direction.Method.String(), f.Direction.Confidence.String(), f.State.String()}, " ")
			if r.Reversed {
				got += " reversed"
			}
			if r.Class != Annotatable || got != test.want {
				t.Errorf("%v: %s, want %s", r.Class, got, test.want)
			}
			if !json.Valid(r.Body) || r.Body[r.End] != '}' {
				t.Errorf("body %s, end %d", r.Body, r.End)
			}
		})
	}
}

func TestClass(t *testing.T) {
	for line, want := range map[string]Class{
		`{"event_type":"alert","src_ip":"10.0.0.1","src_port":1,"dest_ip":"10.0.0.2","dest_port":2,"proto":"TCP"}`:                              OtherType,
		`{"uid":"C1","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":2,"method":"GET"}`:                                 OtherType,
		`{"event":{"kind":"alert"},"destination":{"ip":"10.0.0.2","port":2},"network":{"transport":"tcp"}}`:                                     OtherType,
		`{"event_type":"stats","stats":{"uptime":1}}`:                                                                                           OtherType,
		`{"event_type":"flow","src_ip":"10.0.0.1","dest_ip":"10.0.0.2","proto":"ICMP"}`:                                                         WithoutPorts,
		`{"id.orig_h":"10.0.0.1","id.orig_p":8,"id.resp_h":"10.0.0.2","id.resp_p":0,"proto":"icmp"}`:                                            WithoutPorts,
		`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","proto":"GRE"}`:                                                                           WithoutPorts,
		`{"source":{"ip":"10.0.0.1"},"destination":{"ip":"10.0.0.2"}}`:                                                                          WithoutPorts,
		`{"source":{"ip":"10.0.0.1","port":1},"destination":{"ip":"10.0.0.2","port":2},"network":{"transport":"tcp"},"port\u0077atch":{"a":1}}`: Annotated,
		`{"source":{"ip":"10.0.0.1","port":1},"destination":{"ip":"10.0.0.2","port":2},"network":{"transport":"tcp"},"portwatch.flow.id":"1"}`:  Annotated,
		`{"source":{"ip":"10.0.0.1","port":1},"destination":{"ip":"10.0.0.2","port":2},"network":{"transport":"tcp"},"portwatcher":"1"}`:        Annotatable,
		"2 123456789010 eni-1235b8ca - - - - - - - 1431280876 1431280934 - NODATA":                                                              OtherType,
	} {
		var r Record
		if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil || r.Class != want {
			t.Errorf("%s: %v, %v; want %v", line, r.Class, err, want)
		}
	}
}

// TestFlagged: an alert has no list of findings.
func TestFlagged(t *testing.T) {
	for line, want := range map[string]bool{
		`{"portwatch":{"findings":[{"id":"PW001"}],"tags":[]}}`:            true,
		`{"portwatch":{"findings":[ ]}}`:                                   false,
		`{"portwatch.findings":[],"event.kind":"event"}`:                   false,
		`{"portwatch":{"alert":{"findings":[]}},"event":{"kind":"alert"}}`: true,
		`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","proto":"GRE"}`:      false,
	} {
		var r Record
		if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil || r.Flagged() != want {
			t.Errorf("%s: %v, %v; want %v", line, r.Flagged(), err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for _, test := range []struct {
		line, want string
		format     Format
	}{
		{``, "an empty line", Auto},
		{`hello`, "neither JSON nor a line of values, nor is there a head above it", Auto},
		{`{"a":1}`, "no names of a flow record of ecs, zeek, eve, netflow, vpc", Auto},
		{`{"srcaddr":"10.0.0.1"}`, "no names of a record of zeek", Zeek},
		{`{"a":1`, "the line ends where JSON wants a comma or a closing brace", Auto},
		{`{"a":01}`, "octet 7 is '1' where JSON wants a comma or a closing brace", Auto},
		{`{"a":"\x"}`, `octet 7 is '\\' where JSON wants an escape that it has`, Auto},
		{"{\"a\":\"\x01\"}", `octet 7 is '\x01' where JSON wants an escape for it`, Auto},
		{`{"a":tru}`, "octet 6 is 't' where JSON wants a value", Auto},
		{`{"a":1} {`, "octet 9 is '{' where JSON wants the end of the line", Auto},
		{`{"a":` + strings.Repeat("[", 65), "more than 64 levels of JSON", Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1,"dst_port":2}`, "no transport", Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1,"dst_port":70000,"proto":"TCP"}`, `destination port: "70000"`, Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1,"dst_port":2,"proto":300}`, `transport: "300"`, Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","src_port":1,"dst_port":2,"proto":6.0}`, `transport: "6.0"`, Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"10.0.0.2","dst_port":7,"proto":"TCP"}`, "source port: there is none", Auto},
		{`{"src_addr":"10.0.0.01","dst_addr":"10.0.0.2","src_port":1,"dst_port":7,"proto":"TCP"}`, `source address: "10.0.0.01"`, Auto},
		{`{"src_addr":"10.0.0.1","dst_addr":"::1","src_port":1,"dst_port":7,"proto":"TCP"}`, "its addresses are of two IP versions", Auto},
		{"2 1 eni 10.0.0.1", "4 fields, and 14 in the head", Auto},
		{strings.Repeat(" ", MaxLine+1), "longer than 1048576 octets", Auto},
	} {
		var r Record
		err := NewReader(test.format, known).Read(&r, []byte(test.line), nil)
		if err == nil || err.Error() != test.want || r.Body != nil {
			t.Errorf("%.80s: %v; want %s", test.line, err, test.want)
		}
	}
}

// TestText wants of TSV what Zeek's own JSON writer makes of it.
func TestText(t *testing.T) {
	head := headOf("#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n" +
		"#fields\tts\tproto\tid.orig_h\tid.orig_p\tid.resp_h\tid.resp_p\tlocal\tnote\tparents\tsizes\tnone\tempty\n" +
		"#types\ttime\tenum\taddr\tport\taddr\tport\tbool\tstring\tset[string]\tvector[count]\tstring\tset[addr]\n")
	line := "1764000000.250000\ttcp\t10.0.0.1\t1\t10.0.0.2\t2\tF\ta\\x09\"b\\\\\tC1,C2\t1,2\t-\t(empty)"
	want := `{"ts":1764000000.250000,"proto":"tcp","id.orig_h":"10.0.0.1","id.orig_p":1,"id.resp_h":"10.0.0.2","id.resp_p":2,` +
		`"local":false,"note":"a\u0009\"b\\","parents":["C1","C2"],"sizes":[1,2],"empty":[]}`
	var r Record
	if err := NewReader(Auto, known).Read(&r, []byte(line), head); err != nil {
		t.Fatal(err)
	}
	if string(r.Body) != want {
		t.Errorf("%s\nwant %s", r.Body, want)
	}
}

// TestTextOfVPC: what is no number by its field stays a text, though it may look like one.
func TestTextOfVPC(t *testing.T) {
	line := "2 123456789010 eni-1 172.31.16.139 172.31.16.21 20641 443 6 20 4249 1418530010 1418530070 ACCEPT OK"
	want := `{"version":2,"account-id":"123456789010","interface-id":"eni-1","srcaddr":"172.31.16.139","dstaddr":"172.31.16.21",` +
		`"srcport":20641,"dstport":443,"protocol":6,"packets":20,"bytes":4249,"start":1418530010,"end":1418530070,"action":"ACCEPT","log-status":"OK"}`
	var r Record
	if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil || string(r.Body) != want {
		t.Errorf("%s, %v\nwant %s", r.Body, err, want)
	}
}

func TestUnescape(t *testing.T) {
	for text, want := range map[string]string{
		`a\\b`: `a\b`, `\x09\x0a`: "\t\n", `\x5cx41`: `\x41`, // once
		`a\`: `a\`, `\x4`: `\x4`, `\xzz`: `\xzz`, `\n`: `\n`, // of no escape all stays
	} {
		if got := unescape(text); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}

func TestTime(t *testing.T) {
	const want = 1764000000_250000000
	local := time.Unix(0, want)
	for _, line := range []string{
		`{"ts":1764000000.25,"id.orig_h":"::1","id.resp_h":"::1","id.orig_p":1,"id.resp_p":1,"proto":"tcp"}`,
		`{"timestamp":"2025-11-24T16:00:00.250000+0000","event_type":"dns"}`,
		`{"@timestamp":"2025-11-24T16:00:00.25Z","source.port":null}`,
		`{"@timestamp":1764000000250,"source.ip":null}`,
		`{"@timestamp":1764000000250000,"source.ip":null}`,
		`{"time_received_ns":1764000000250000000,"src_addr":"","proto":"GRE"}`,
		`{"received":"` + local.Format("2006-01-02T15:04:05.000") + `","src4_addr":"10.0.0.1","proto":"GRE"}`,
		`{"stamp_inserted":"` + local.Format("2006-01-02 15:04:05.00") + `","ip_src":"10.0.0.1","proto":"GRE"}`,
	} {
		var r Record
		if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil {
			t.Fatal(err)
		}
		if ns, ok := r.Time(); !ok || ns != want {
			t.Errorf("%s: %d %v", line, ns, ok)
		}
	}
}

// TestTimeBeyond: nanoseconds reach to the year 2262, and what lies behind is no time.
func TestTimeBeyond(t *testing.T) {
	for stamp, ok := range map[string]bool{
		"9223372036.8": true, "9223372036.9": false, "9223372037": false, "99999999999": false, // seconds
		"9223372036854": true, "9223372036855": false, "50000000000000": false, // milliseconds
		"9223372036854775": true, "9223372036854776": false, // microseconds
		`"2262-04-11T23:47:16Z"`: true, `"2262-04-11T23:47:17Z"`: false, `"9999-12-31T23:59:59Z"`: false,
		`"0001-01-01T00:00:00Z"`: false, `"3000-01-01T00:00:00.000000+0000"`: false,
		`"2026-01-01"`: false, `"2026-01-01 25:00:00"`: false,
	} {
		var r Record
		line := `{"ts":` + stamp + `,"id.orig_h":"::1","id.resp_h":"::1","id.orig_p":1,"id.resp_p":1,"proto":"tcp"}`
		if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil {
			t.Fatal(err)
		}
		if ns, got := r.Time(); got != ok || got && ns < 0 {
			t.Errorf("%s: %d %v", stamp, ns, got)
		}
	}
}

func TestCommunityID(t *testing.T) {
	for line, want := range map[string]string{
		`{"src_addr":"128.232.110.120","dst_addr":"66.35.250.204","src_port":34855,"dst_port":80,"proto":"TCP"}`:                            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
		`{"src_addr":"66.35.250.204","dst_addr":"128.232.110.120","src_port":80,"dst_port":34855,"proto":"TCP"}`:                            "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
		`{"community_id":"1:x","src_addr":"128.232.110.120","dst_addr":"66.35.250.204","src_port":34855,"dst_port":80,"proto":"TCP"}`:       "1:x",
		`{"community_id":"1:y","src_addr":"128.232.110.120","dst_addr":"66.35.250.204","src_port":34855,"dst_port":80,"proto":"IPv6-ICMP"}`: "1:y",
		`{"src_addr":"128.232.110.120","dst_addr":"66.35.250.204","proto":"ICMP"}`:                                                          "",
	} {
		var r Record
		if err := NewReader(Auto, known).Read(&r, []byte(line), nil); err != nil {
			t.Fatal(err)
		}
		if got := string(r.AppendCommunityID(nil)); got != want {
			t.Errorf("%s: %s", line, got)
		}
	}
}

// FuzzRead wants a result or an error, not both; that JSON stays as it is, and that it
// is JSON still with a further member.
func FuzzRead(f *testing.F) {
	for _, seed := range []string{
		`{"id.orig_h":"10.0.0.1","id.orig_p":40000,"id.resp_h":"10.0.0.2","id.resp_p":443,"proto":"tcp","history":"^hADadFf"}`,
		`{"event_type":"flow","src_ip":"::1","src_port":1,"dest_ip":"::2","dest_port":2,"proto":"TCP","tcp":{"tcp_flags_ts":"1b"}} `,
		`{"source":{"ip":"10.0.0.2","port":1},"destination":{"ip":"10.0.0.1","port":2},"network":{"transport":"\ud83d"},"portwatch":[]}`,
		"2 123456789010 eni-1235b8ca 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
		"1.5\tC\\x41\t10.0.0.1\t1\t10.0.0.2\t2\ttcp\t-\t1\tT\tSF\tSh\t1\t1\t(empty)",
		`{"a":[1e5,-0.1,{"b":null}],"src_addr":"` + "\xff" + `"}`,
	} {
		f.Add([]byte(seed))
	}
	head := headOf(tsvHead)
	f.Fuzz(func(t *testing.T, line []byte) {
		for _, head := range []*Head{nil, head} {
			given := string(line)
			var r Record
			err := NewReader(Auto, known).Read(&r, line, head)
			if string(line) != given {
				t.Fatal("the line was changed")
			}
			if err != nil {
				if r.Body != nil || r.Class != 0 {
					t.Fatalf("both a result and %v", err)
				}
				continue
			}
			if !json.Valid(r.Body) {
				t.Fatalf("%q is no JSON", r.Body)
			}
			if text := strings.TrimLeft(given, " \t"); text[0] == '{' && string(r.Body) != given {
				t.Fatalf("%q became %q", given, r.Body)
			}
			if r.Class != Annotatable {
				continue
			}
			more := string(r.Body[:r.End]) + `,"portwatch":1` + string(r.Body[r.End:])
			var object map[string]json.RawMessage
			if err := json.Unmarshal([]byte(more), &object); err != nil || string(object["portwatch"]) != "1" {
				t.Fatalf("%q: %v", more, err)
			}
			r.Time()
			r.AppendCommunityID(nil)
		}
	})
}

func BenchmarkRead(b *testing.B) {
	for name, line := range map[string]string{
		"zeek":    `{"ts":1591367999.305988,"uid":"CMdzit1AMNsmfAIiQc","id.orig_h":"192.168.4.76","id.orig_p":36844,"id.resp_h":"192.168.4.1","id.resp_p":53,"proto":"udp","service":"dns","duration":0.06685185432434082,"orig_bytes":62,"resp_bytes":141,"conn_state":"SF","missed_bytes":0,"history":"Dd","orig_pkts":2,"orig_ip_bytes":118,"resp_pkts":2,"resp_ip_bytes":197,"ip_proto":17}`,
		"eve":     `{"timestamp":"2026-11-20T12:00:00.000000+0000","flow_id":1234567890123456,"event_type":"flow","src_ip":"10.0.0.1","src_port":40000,"dest_ip":"10.0.0.2","dest_port":443,"proto":"TCP","app_proto":"tls","flow":{"pkts_toserver":15,"pkts_toclient":14,"bytes_toserver":2415,"bytes_toclient":9001,"start":"2026-11-20T12:00:00.000000+0000","end":"2026-11-20T12:00:00.000000+0000","age":0,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true,"fin":true,"psh":true,"ack":true,"state":"closed"}}`,
		"netflow": `{"type":"NETFLOW_V9","time_received_ns":1681583295157626000,"sequence_num":2999,"sampling_rate":100,"sampler_address":"192.168.0.1","time_flow_start_ns":1681583295157626000,"time_flow_end_ns":1681583295157626000,"bytes":1500,"packets":1,"src_addr":"192.168.0.1","dst_addr":"10.0.0.1","etype":"IPv4","proto":"TCP","src_port":443,"dst_port":50001,"in_if":13,"out_if":20,"src_mac":"00:00:00:00:00:00","dst_mac":"00:00:00:00:00:00","tcp_flags":16}`,
		"vpc":     "2 123456789010 eni-1235b8ca123456789 172.31.16.139 172.31.16.21 20641 22 6 20 4249 1418530010 1418530070 ACCEPT OK",
		"tsv":     "1591367999.305988\tCMdzit1AMNsmfAIiQc\t192.168.4.76\t36844\t192.168.4.1\t53\tudp\tdns\t0.066852\tT\tSF\tDd\t2\t2\t-",
	} {
		b.Run(name, func(b *testing.B) {
			d := NewReader(Auto, known)
			var r Record
			var head *Head
			if name == "tsv" {
				head = headOf(tsvHead)
			}
			octets := []byte(line)
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Read(&r, octets, head); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "lines/s")
		})
	}
}
