package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

// pair reads "443/tcp".
func pair(t *testing.T, s string) (Transport, uint16) {
	t.Helper()
	number, name, _ := strings.Cut(s, "/")
	transport, err := ParseTransport(name)
	if err != nil {
		t.Fatal(err)
	}
	ports, err := ParsePorts(number)
	if err != nil || ports.Count != 1 {
		t.Fatalf("bad pair %q: %v", s, err)
	}
	return transport, ports.First
}

// describe returns an answer in one line: status, names, other transports, flag.
func describe(e *Entry) string {
	s := e.Status.String()
	if len(e.Services()) > 0 {
		s += " " + strings.Join(e.Services(), ",")
	}
	if e.on != 0 {
		s += " on " + e.on.String()
	}
	if _, reported := e.UnauthorizedUse(); reported {
		s += " flagged"
	}
	return s
}

// Each pair is one that a plausible reading of the registry gets wrong.
func TestLookup(t *testing.T) {
	for _, tt := range []struct{ pair, want, catches string }{
		{"0/tcp", "reserved", ""},
		{"0/sctp", "unassigned", "nothing is invented for sctp"},
		{"2/tcp", "reserved", "notes do not decide"},
		{"4501/tcp", "unassigned", "notes do not decide"},
		{"9/dccp", "assigned discard on tcp,udp,sctp", "four transports"},
		{"15/tcp", "unassigned", "[was netstat]"},
		{"2825/tcp", "unassigned", "(unassigned)"},
		{"114/tcp", "unassigned", "lower case"},
		{"24/tcp", "assigned on udp", "private use has no name"},
		{"25/sctp", "unassigned on tcp,udp", "no row for the transport"},
		{"80/dccp", "unassigned on tcp,udp,sctp", "no row for the transport"},
		{"51/sctp", "reserved", "blank transport"},
		{"226/tcp", "reserved", "a range"},
		{"49151/dccp", "reserved", "a range without transport"},
		{"79/tcp", "assigned finger on udp flagged", "[RFC4146] is no port"},
		{"4146/tcp", "assigned tgcconnect on udp", "[RFC4146] is no port"},
		{"80/tcp", "assigned http,www,www-http on udp,sctp", "duplicates last"},
		{"80/sctp", "assigned http on tcp,udp", ""},
		{"100/dccp", "unassigned flagged", "the flag of a row without transport"},
		{"106/sctp", "unassigned on tcp,udp", "the flag of tcp and udp rows"},
		{"113/tcp", "assigned auth,ident on udp", "no description goes after"},
		{"113/udp", "assigned auth on tcp", ""},
		{"351/tcp", "assigned matip-type-b,bhoetty on udp", "widespread use is a note"},
		{"888/udp", "assigned accessbuilder on tcp", ""},
		{"465/tcp", "assigned submissions,urd on udp", "with a reference first"},
		{"465/udp", "assigned igmpv3lite on tcp", "transports differ"},
		{"585/sctp", "deregistered", "De-registered"},
		{"659/tcp", "deregistered", "Removed"},
		{"1783/tcp", "deregistered", "Decomissioned"},
		{"796/udp", "unassigned flagged", "ports named in a range row"},
		{"797/udp", "unassigned", ""},
		{"33534/tcp", "unassigned flagged", ""},
		{"33535/tcp", "unassigned", ""},
		{"1008/udp", "unassigned", "Possibly used"},
		{"1008/tcp", "unassigned", "no row"},
		{"1895/tcp", "unassigned", "unofficial use in a note"},
		{"4144/tcp", "unassigned", "unofficial use in a note"},
		{"2049/tcp", "assigned nfs,shilp on udp,sctp", "the row in conflict goes last"},
		{"1407/udp", "reserved on tcp", "the other half"},
		{"2376/udp", "unassigned on tcp", "the other half has no row"},
		{"2905/udp", "deregistered on tcp,sctp", ""},
		{"14001/udp", "deregistered on tcp,sctp", "a named De-Registered row"},
		{"2999/tcp", "assigned remoteware-un on udp", "described as ... Unassigned"},
		{"3300/tcp", "assigned ceph flagged", "the flag's transport"},
		{"3300/udp", "reserved on tcp", "the flag's transport"},
		{"3323/sctp", "assigned active-net on tcp,udp,dccp", "a named row without transport"},
		{"27009/tcp", "assigned flex-lm on udp,sctp,dccp", "and with a range"},
		{"6405/dccp", "assigned boe-pagesvr on tcp,udp,sctp", ""},
		{"4444/udp", "assigned krb524,nv-video on tcp flagged", "krb524 is no port"},
		{"4489/tcp", "unassigned", `"Ports 4490 and 4491"`},
		{"4490/tcp", "unassigned flagged", `"Ports 4490 and 4491"`},
		{"5162/udp", "reserved on tcp flagged", "a flag on Reserved"},
		{"6003/tcp", "assigned x11 on udp flagged", "one port of a named range"},
		{"6010/tcp", "assigned x11 on udp", ""},
		{"6003/sctp", "unassigned on tcp,udp", ""},
		{"6501/udp", "assigned boks-servc,boks_servc on tcp", "alias last"},
		{"6501/tcp", "assigned boks-servc,boks_servc on udp flagged", ""},
		{"6667/udp", "reserved on tcp", "explicit rows"},
		{"8282/dccp", "reserved on tcp,udp", "explicit rows"},
		{"6701/sctp", "unassigned on tcp,udp", "explicit rows"},
		{"7012/udp", "assigned talon-engine on tcp", "the text names 7011"},
		{"7011/udp", "assigned talon-disc on tcp flagged", ""},
		{"7775/tcp", "assigned inetfs", "a stale range lies over rows"},
		{"7775/udp", "reserved on tcp", ""},
		{"7775/sctp", "unassigned on tcp", ""},
		{"9082/tcp", "unassigned on sctp", "sctp only"},
		{"38412/udp", "reserved on sctp", "sctp only"},
		{"42000/udp", "unassigned flagged", "one port of a wide range"},
		{"44818/tcp", "assigned EtherNet-IP-2,EtherNet/IP-2 on udp", "case, slash"},
		{"49152/tcp", "dynamic", "no row"},
		{"65535/udp", "dynamic", "no row"},
	} {
		transport, port := pair(t, tt.pair)
		if got := describe(Embedded().Lookup(transport, port)); got != tt.want {
			t.Errorf("%s: %s, want %s (%s)", tt.pair, got, tt.want, tt.catches)
		}
	}
}

// The figures are those of the snapshot of 2026-08-17, counted by other means than
// this package. A new snapshot needs new ones.
func TestCounts(t *testing.T) {
	r := Embedded()
	if r.Date() != "2026-08-17" {
		t.Fatalf("the snapshot is of %s: count it anew", r.Date())
	}
	rows := slices.Collect(r.Rows())
	count := func(match func(*Row) bool) (n int) {
		for i := range rows {
			if match(&rows[i]) {
				n++
			}
		}
		return n
	}
	numbered := func(match func(*Row) bool) int {
		return count(func(r *Row) bool { return !r.Ports.Empty() && match(r) })
	}
	blank := func(s Status) int {
		return numbered(func(r *Row) bool { return r.transportCell() == "" && status(r) == s })
	}
	noted := func(text string) int {
		return count(func(r *Row) bool { return strings.Contains(r.Notes, text) })
	}
	unnumbered := func(cell string) int {
		return count(func(r *Row) bool { return r.Ports.Empty() && r.transportCell() == cell })
	}
	for _, tt := range []struct {
		what      string
		got, want int
	}{
		{"rows", r.Len(), 14533},
		{"with a port", numbered(func(*Row) bool { return true }), 13463},
		{"named without description", count(func(r *Row) bool { return r.Service != "" && r.Description == "" }), 166},

		{"one port", numbered(func(r *Row) bool { return !strings.Contains(r.Ports.String(), "-") }), 12697},
		{"a range", numbered(func(r *Row) bool { return strings.Contains(r.Ports.String(), "-") }), 766},
		{"blank transport, unassigned", blank(Unassigned), 849},
		{"blank transport, reserved", blank(Reserved), 12},
		{"blank transport, deregistered", blank(Deregistered), 9},
		{"blank transport, assigned", blank(Assigned), 16},

		{"deregistered, no name", numbered(func(r *Row) bool { return status(r) == Deregistered && r.Service == "" }), 11},
		{"deregistered, named", numbered(func(r *Row) bool { return status(r) == Deregistered && r.Service != "" }), 1},
		{"assigned, named", numbered(func(r *Row) bool { return status(r) == Assigned && r.Service != "" }), 11738},
		{"assigned, no name", numbered(func(r *Row) bool { return status(r) == Assigned && r.Service == "" }), 14},
		{"unassigned", numbered(func(r *Row) bool { return status(r) == Unassigned }), 890},
		{"reserved", numbered(func(r *Row) bool { return status(r) == Reserved }), 809},
		{"reserved on tcp or udp", numbered(func(r *Row) bool {
			return status(r) == Reserved && (r.transportCell() == "tcp" || r.transportCell() == "udp")
		}), 795},
		{"of them the other half", numbered(func(row *Row) bool {
			if status(row) != Reserved {
				return false
			}
			port := row.Ports.First
			return row.transportCell() == "tcp" && r.Lookup(UDP, port).Status == Assigned ||
				row.transportCell() == "udp" && r.Lookup(TCP, port).Status == Assigned
		}), 723},

		{"aliases", noted(`This entry is an alias to "`), 184},
		{"duplicates", noted(`This is a duplicate of the "http" service`), 4},
		{"widespread use", noted("unassigned but widespread use"), 13},
		{"conflict", noted("NOTE Conflict"), 2},
		{"secondary", count(isSecondary), 184 + 4 + 13 + 2},
		{"names not in lower case", count(func(r *Row) bool { return r.Service != strings.ToLower(r.Service) }), 72},

		{"unauthorized use", count(func(r *Row) bool { return r.Unauthorized != "" }), 112},
		{"of its own ports", count(func(r *Row) bool {
			return r.Unauthorized != "" && len(namedPorts(withoutBrackets(r.Unauthorized))) == 0
		}), 7},

		{"without a port", count(func(r *Row) bool { return r.Ports.Empty() }), 1070},
		{"without a port, blank", unnumbered(""), 581},
		{"without a port, tcp", unnumbered("tcp"), 364},
		{"without a port, udp", unnumbered("udp"), 122},
		{"without a port, sctp", unnumbered("sctp"), 2},
		{"without a port, dccp", unnumbered("dccp"), 1},
		{"service codes", count(func(r *Row) bool { return r.ServiceCode != "" }), 4},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %d, want %d", tt.what, tt.got, tt.want)
		}
	}
}

// TestNamedPorts: the numbers that stand alone in the registry's notes on unauthorized use.
func TestNamedPorts(t *testing.T) {
	for text, want := range map[string]string{
		"Known Unauthorized Use on port 6003":      `["6003"]`,
		"Known on 42000, 6000-6063 and -81-":       `["42000" "6000-6063" "81"]`,
		"Known Unauthorized Use - of all versions": "[]",
		"krb524, 70000, 1--2":                      "[]",
	} {
		if got := fmt.Sprintf("%q", namedPorts(text)); got != want {
			t.Errorf("%q names %s, want %s", text, got, want)
		}
	}
}

func TestTotals(t *testing.T) {
	want := map[Transport][5]int{
		TCP:  {42738, 250, 6155, 9, 16384},
		UDP:  {42743, 635, 5762, 12, 16384},
		SCTP: {48821, 44, 278, 9, 16384},
		DCCP: {48900, 44, 199, 9, 16384},
	}
	flags := map[Transport]int{TCP: 175, UDP: 171, SCTP: 133, DCCP: 133}
	uncovered := map[Transport]int{TCP: 17, UDP: 19, SCTP: 6114, DCCP: 6195}

	r := Embedded()
	covering, err := coveringRows(slices.Collect(r.Rows()))
	if err != nil {
		t.Fatal(err)
	}
	flaggedPorts := make(map[int]bool)
	flaggedBy := make(map[Status]int)
	severalNames, severalRows := 0, 0
	for _, transport := range Transports {
		var got [5]int
		flagged, noRow := 0, 0
		for port := range 1 << 16 {
			e := r.Lookup(transport, uint16(port))
			got[e.Status]++
			if _, reported := e.UnauthorizedUse(); reported {
				flagged++
				flaggedPorts[port] = true
				flaggedBy[e.Status]++
			}
			if len(e.Services()) > 1 {
				severalNames++
			}
			switch n := len(covering[transport][port]); {
			case n > 1:
				severalRows++
			case n == 0 && port < firstDynamic:
				noRow++
			}
		}
		if got != want[transport] || flagged != flags[transport] || noRow != uncovered[transport] {
			t.Errorf("%v: %v, %d flagged, %d without a row; want %v, %d, %d", transport,
				got, flagged, noRow, want[transport], flags[transport], uncovered[transport])
		}
	}
	if severalNames != 226 || severalRows != 234 {
		t.Errorf("%d pairs with several names, %d with several rows; want 226 and 234", severalNames, severalRows)
	}
	if len(flaggedPorts) != 176 {
		t.Errorf("%d ports flagged, want 176", len(flaggedPorts))
	}
	if got, want := fmt.Sprint(flaggedBy), fmt.Sprint(map[Status]int{Unassigned: 528, Assigned: 78, Reserved: 6}); got != want {
		t.Errorf("flagged by status: %s, want %s", got, want)
	}
}

func TestRowsOf(t *testing.T) {
	for pairName, want := range map[string]string{
		"80/tcp":   "http 80/tcp, www 80/tcp, www-http 80/tcp",
		"6003/udp": "x11 6000-6063/udp",
		"7775/tcp": "inetfs 7775/tcp,  7748-7776/",
		"25/sctp":  "",
	} {
		transport, port := pair(t, pairName)
		var got []string
		for _, row := range Embedded().RowsOf(transport, port) {
			got = append(got, fmt.Sprintf("%s %v/%s", row.Service, row.Ports, row.transportCell()))
		}
		if strings.Join(got, ", ") != want {
			t.Errorf("%s: rows %q, want %q", pairName, strings.Join(got, ", "), want)
		}
	}
}

func TestLookupDoesNotAllocate(t *testing.T) {
	r := Embedded()
	var e *Entry
	allocs := testing.AllocsPerRun(100, func() {
		for _, transport := range Transports {
			for port := 0; port < 1<<16; port += 257 {
				e = r.Lookup(transport, uint16(port))
				_, _, _ = e.Service(), e.Services(), e.RegisteredOn()
			}
		}
	})
	if allocs != 0 || e == nil {
		t.Errorf("%v allocations", allocs)
	}
}

// Callers keep things by the number of an answer, so it must be that of what Lookup returns.
func TestIndex(t *testing.T) {
	r := Embedded()
	for _, transport := range Transports {
		for port := range 1 << 16 {
			i := r.Index(transport, uint16(port))
			if int(i) >= r.Entries() || r.Entry(i) != r.Lookup(transport, uint16(port)) {
				t.Fatalf("%d/%v: index %d of %d", port, transport, i, r.Entries())
			}
		}
	}
}

func BenchmarkLookup(b *testing.B) {
	r := Embedded()
	n := 0
	for i := 0; b.Loop(); i++ {
		n += int(r.Lookup(Transport(i&3), uint16(i*40503)).Status)
	}
}

func BenchmarkOpen(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := open(snapshot); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowsOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Embedded().RowsOf(TCP, 443)
	}
}

func BenchmarkEncode(b *testing.B) {
	rows := slices.Collect(Embedded().Rows())
	b.ReportAllocs()
	for b.Loop() {
		if _, err := encode(Embedded().Date(), Embedded().SHA256(), rows); err != nil {
			b.Fatal(err)
		}
	}
}
