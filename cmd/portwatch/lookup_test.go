package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// asked is what a command printed, and its exit status.
type asked struct {
	stdout, stderr string
	status         int
}

// ask runs a command that asks the registry, with an empty cache unless the test
// has filled it.
func ask(t *testing.T, command func([]string, io.Writer, io.Writer) int, args ...string) asked {
	t.Helper()
	var stdout, stderr bytes.Buffer
	status := command(args, &stdout, &stderr)
	return asked{stdout.String(), stderr.String(), status}
}

// emptyCache gives the test a cache folder of its own.
func emptyCache(t *testing.T) (file string) {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("XDG_CACHE_HOME", dir)
	t.Setenv("HOME", dir)
	cacheDir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(cacheDir, "portwatch", "registry")
}

func TestLookupCommand(t *testing.T) {
	emptyCache(t)
	for args, want := range map[string]string{
		"443/tcp": `443/tcp  assigned to https
  range             system (0-1023)
  elsewhere         assigned to https on udp, sctp
  service name      https
  port number       443
  description       http protocol over TLS/SSL
  assignee          [IESG]
  contact           [IETF_Chair]
  modified          2021-10-01
  reference         [RFC9110]
`,
		"6003": `6003/tcp,udp    assigned to x11; unauthorized use reported
  range             user (1024-49151)
  unauthorized use  Known Unauthorized Use on port 6003
  service name      x11
  port number       6000-6063
  description       X Window System
  assignee          [Stephen_Gildea]
  contact           [Stephen_Gildea]

6003/sctp,dccp  unassigned: no row covers it
  range             user (1024-49151)
  elsewhere         assigned to x11 on tcp, udp
`,
		"42000/UDP": `42000/udp  unassigned; unauthorized use reported
  range             user (1024-49151)
  unauthorized use  Unauthorized Use Known on port 42000
  port number       41798-42507
  transport         none given, so it covers all
  description       Unassigned
`,
		"25/sctp 49152/tcp": `25/sctp  unassigned: no row covers it
  range             system (0-1023)
  elsewhere         assigned to smtp on tcp, udp

49152/tcp  dynamic: for anyone's use, never assigned
  range             dynamic (49152-65535)
`,
		"1407/udp": `1407/udp  reserved (tcp has it)
  range             user (1024-49151)
  elsewhere         assigned to tibet-server on tcp
  port number       1407
  description       Reserved
  notes             This port has been removed on 2015-06-16.
`,
		"CL/1/udp": `172/udp  assigned to cl-1, also named cl/1
  range             system (0-1023)
  elsewhere         assigned to cl-1 on tcp
  service name      cl/1
  port number       172
  description       Network Innovations CL/1
  assignee          [Kevin_DeVault]
  contact           [Kevin_DeVault]
  notes             This entry is an alias to "cl-1". This entry is now historic, not usable for use with many common service discovery mechanisms.
`,
		"dccp-ping": `dccp-ping/dccp  a service name without a port
  service name      dccp-ping
  description       ping/traceroute using DCCP
  assignee          [Samuel_Jero]
  contact           [Samuel_Jero]
  registered        2012-11-14
  service code      1885957735
  notes             Defined TXT keys: None
`,
	} {
		if got := ask(t, lookupCommand, strings.Fields(args)...); got.stdout != want || got.stderr != "" || got.status != exitDone {
			t.Errorf("lookup %s: status %d\n%s%s\nwant\n%s", args, got.status, got.stderr, got.stdout, want)
		}
	}
}

// What longer answers must and must not contain.
func TestLookupSays(t *testing.T) {
	emptyCache(t)
	for _, tt := range []struct {
		args, want string
	}{
		{"465", "465/tcp        assigned to submissions, also named urd\n"},
		{"465", "465/udp        assigned to igmpv3lite\n"},
		{"465", "elsewhere         assigned to submissions on tcp; igmpv3lite on udp\n"},
		{"https", "443/tcp,udp  assigned to https\n"},
		{"https", "https/tcp    a service name without a port\n"},
		{"24/tcp", "24/tcp  assigned without a service name\n"},
		{"15/tcp", "15/tcp  unassigned\n"},
		{"14001/udp", "14001/udp  deregistered\n"},
		{"6010/tcp", "unauthorized use  not of this port: Known Unauthorized Use on port 6003\n"},
		{"53/udplite", "53/udp  assigned to domain\n"},
		{"domain/UDP-Lite", "53/udp  assigned to domain\n"},
		{"80/dccp", "elsewhere         assigned to http on tcp, udp, sctp\n"},
		{"8282/dccp", "8282/dccp  reserved (tcp and udp have it)\n"},
		{"--help", "Examples:\n"},
	} {
		got := ask(t, lookupCommand, tt.args)
		if !strings.Contains(got.stdout, tt.want) || got.status != exitDone {
			t.Errorf("lookup %s: status %d\n%s\nlacks %q", tt.args, got.status, got.stdout, tt.want)
		}
		if strings.Contains(got.stdout, " is http") {
			t.Errorf("lookup %s says that a port is a service", tt.args)
		}
	}
}

func TestLookupErrors(t *testing.T) {
	emptyCache(t)
	for args, want := range map[string]struct {
		status int
		stderr string
	}{
		"":             {exitUsage, "portwatch: lookup needs a port or a service name\n  try: portwatch lookup 443/tcp\n"},
		"htpps":        {exitFailed, "portwatch: lookup htpps: no service of that name\n  try: https, http, rtsps, ipps, ftps; or portwatch registry search htpps\n"},
		"65536":        {exitUsage, "portwatch: lookup 65536: \"65536\" is not a port number from 0 to 65535\n  try: one port from 0 to 65535, or a service name\n"},
		"80/icmp":      {exitUsage, "portwatch: lookup 80/icmp: unknown transport \"icmp\"\n  try: tcp, udp, sctp or dccp after the slash\n"},
		"6000-6063":    {exitUsage, "portwatch: lookup 6000-6063: 64 ports at once\n  try: one port from 0 to 65535, or a service name\n"},
		"/tcp":         {exitUsage, "portwatch: lookup \"/tcp\": neither a port nor a name\n  try: portwatch lookup 443/tcp\n"},
		"--nonsense x": {exitUsage, "portwatch: unknown flag: --nonsense\n  try: the same command with --help lists the options\n"},
		"domain/dccp":  {exitFailed, "portwatch: lookup domain/dccp: domain has no entry for dccp\n  try: portwatch lookup domain\n"},
	} {
		got := ask(t, lookupCommand, strings.Fields(args)...)
		if got.status != want.status || got.stderr != want.stderr || got.stdout != "" {
			t.Errorf("lookup %s: %+v\nwant %+v", args, got, want)
		}
	}
}

func TestLookupJSON(t *testing.T) {
	emptyCache(t)
	got := ask(t, lookupCommand, "--json", "6003", "rdp", "ms-wbt-server")
	lines := strings.SplitAfter(got.stdout, "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines: %s", len(lines)-1, got.stdout)
	}
	var port struct {
		Query   string
		Answers []struct {
			Transport, Class, Status, Service string
			Services                          []string
			RegisteredOn                      []string `json:"registered_on"`
			Unauthorized                      struct {
				Reported bool
				Note     string
			} `json:"unauthorized_use"`
			Rows []map[string]string
		}
	}
	if err := json.Unmarshal([]byte(lines[0]), &port); err != nil {
		t.Fatal(err)
	}
	if len(port.Answers) != 4 || port.Query != "6003" {
		t.Fatalf("%+v", port)
	}
	tcp, sctp := port.Answers[0], port.Answers[2]
	if tcp.Service != "x11" || !tcp.Unauthorized.Reported || tcp.Rows[0]["port_number"] != "6000-6063" {
		t.Errorf("tcp: %+v", tcp)
	}
	if sctp.Status != "unassigned" || !slices.Equal(sctp.RegisteredOn, []string{"tcp", "udp"}) || len(sctp.Rows) != 0 {
		t.Errorf("sctp: %+v", sctp)
	}
	var name struct {
		Rows    []map[string]string
		Answers []struct {
			Transport     string
			Port          int
			Class, Status string
			Services      []string
		}
	}
	if err := json.Unmarshal([]byte(lines[1]), &name); err != nil {
		t.Fatal(err)
	}
	if len(name.Rows) != 2 || name.Rows[1]["description"] != "Windows Remote Desktop Protocol" || len(name.Rows[0]) != 12 {
		t.Errorf("rdp: %+v", name)
	}
	if name.Answers != nil {
		t.Errorf("rdp, which has no port: %+v", name.Answers)
	}
	if err := json.Unmarshal([]byte(lines[2]), &name); err != nil {
		t.Fatal(err)
	}
	if len(name.Answers) != 2 || name.Answers[1].Transport != "udp" || name.Answers[1].Port != 3389 ||
		name.Answers[1].Class != "user" || name.Answers[1].Status != "assigned" || name.Answers[1].Services[0] != "ms-wbt-server" {
		t.Errorf("ms-wbt-server: %+v", name.Answers)
	}
}

func TestEditDistance(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"ssh", "ssh", 0}, {"ssh", "", 3}, {"", "ssh", 3}, {"htpp", "http", 1}, {"shh", "ssh", 1},
		{"http", "https", 1}, {"domian", "domain", 1}, {"kitten", "sitting", 3}, {"ab", "ba", 1}, {"abc", "ca", 3},
	} {
		if got := editDistance(tt.a, tt.b); got != tt.want {
			t.Errorf("from %q to %q: %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestWrap(t *testing.T) {
	text := "Fünf große Wörter stehen in dieser Zeile und brauchen Platz"
	for _, width := range []int{0, 19, 20, 30, 200} {
		lines := wrap(text, width)
		if strings.Join(lines, " ") != text {
			t.Errorf("width %d loses words: %q", width, lines)
		}
		for _, line := range lines {
			if width >= 20 && len([]rune(line)) > width {
				t.Errorf("width %d: line %q", width, line)
			}
		}
		if width < 20 && len(lines) != 1 {
			t.Errorf("width %d: %d lines", width, len(lines))
		}
	}
}

// A registry is a file from somewhere: it must not steer the terminal.
func TestRegistryCannotSteerTerminal(t *testing.T) {
	emptyCache(t)
	file := filepath.Join(t.TempDir(), "evil.csv")
	if err := os.WriteFile(file, []byte(csvOf("evil\x1b[31m,7,tcp,\u202eText\x07,,,,,,,,\x1b]0;owned\x07")), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, got := range []asked{
		ask(t, lookupCommand, "--registry", file, "7"),
		ask(t, registryCommand, "search", "--registry", file, "owned"),
		ask(t, registryCommand, "diff", file, file),
	} {
		if strings.ContainsAny(got.stdout, "\x1b\x07\u202e") || got.status != exitDone {
			t.Errorf("status %d, %q", got.status, got.stdout)
		}
	}
	for _, name := range []string{"evil[31m", "EVIL\x1b[31m/udp"} { // one it suggests, and one it has only for tcp
		got := ask(t, lookupCommand, "--registry", file, name)
		if strings.Contains(got.stderr, "evil\x1b") || !strings.Contains(got.stderr, "evil\ufffd[31m") {
			t.Errorf("%q: %q", name, got.stderr)
		}
	}
}
