package main

// A command is one way to process a capture.
type command struct {
	name    string   // as in the tables
	shell   string   // {capture}, {out}, {bin} and {port} are filled in
	needs   []string // programs that it starts, besides those that every system has
	packets int      // how many it reads; 0: all
}

// A contest runs two commands in turn. Its ratio is the time of the one expected to be slower to
// that of the other.
type contest struct {
	quicker, slower command
	captures        []string
}

const ours = "{bin}/portwatch -q --offline "

// What portwatch does in the contests. On every machine it uses the built-in registry.
var (
	toNull = command{name: "portwatch, ECS to /dev/null", shell: ours + "-r {capture} -o ecs > /dev/null"}
	toFile = command{name: "portwatch, ECS to a file", shell: ours + "-r {capture} --to file:{out}/portwatch.jsonl"}
	toNone = command{name: "portwatch, counters only", shell: ours + "-r {capture} -o none"}
	toSome = command{name: "portwatch, ECS to /dev/null, a part",
		shell: ours + "-c 300000 -r {capture} -o ecs > /dev/null", packets: 300_000}
	gzipped  = command{name: "portwatch -r mix.pcap.gz", shell: ours + "-r {capture}.gz -o none"}
	zcat     = command{name: "zcat, and portwatch -r -", shell: "zcat {capture}.gz | " + ours + "-r - -o none", needs: []string{"zcat"}}
	zstded   = command{name: "portwatch -r mix.pcap.zst", shell: ours + "-r {capture}.zst -o none"}
	zstdcat  = command{name: "zstdcat, and portwatch -r -", shell: "zstdcat {capture}.zst | " + ours + "-r - -o none", needs: []string{"zstdcat"}}
	libpcap  = command{name: "a C loop that counts with libpcap", shell: "{bin}/pcaploop {capture}"}
	unpacked = []string{"mix", "small", "flows"}
)

// The peers, each as its users would run it on a file. softflowd exports to a port that is open, but
// from which nobody reads; it gets room for all Flows of the captures.
var (
	nfpcapd = command{name: "nfpcapd", shell: "mkdir {out}/nf && nfpcapd -r {capture} -w {out}/nf",
		needs: []string{"nfpcapd"}}
	nfdump = command{name: "nfpcapd, and nfdump -o json to a file", needs: []string{"nfpcapd", "nfdump"},
		shell: nfpcapd.shell + " && nfdump -R {out}/nf -o json -q > {out}/nf.json"}
	softflowd = command{name: "softflowd", needs: []string{"softflowd"},
		shell: "softflowd -r {capture} -d -6 -m 3000000 -v 9 -n 127.0.0.1:{port} -c none -p {out}/softflowd.pid"}
	argus = command{name: "argus, and ra to a file", needs: []string{"argus", "ra"},
		shell: "argus -X -r {capture} -w - | ra -F /dev/null -r - -s stime dur proto saddr sport dir daddr dport pkts bytes state > {out}/ra.txt"}
	ndpi   = command{name: "ndpiReader -q", shell: "ndpiReader -i {capture} -q", needs: []string{"ndpiReader"}}
	tshark = command{name: "tshark -z conv", shell: "tshark -n -c 300000 -r {capture} -q -z conv,tcp -z conv,udp",
		needs: []string{"tshark"}, packets: 300_000}
)

// contests are the rows of the first table, in order.
var contests = []contest{
	{toNull, nfpcapd, unpacked},
	{toNull, softflowd, unpacked},
	{toFile, nfpcapd, unpacked},
	{toFile, softflowd, unpacked},
	{toFile, argus, unpacked},
	{toFile, nfdump, unpacked},
	{toNull, ndpi, unpacked},
	{toSome, tshark, []string{"mix"}},
	{libpcap, toNull, unpacked},
	{libpcap, toNone, unpacked},
	{gzipped, zcat, []string{"mix"}},
	{zstded, zstdcat, []string{"mix"}},
}

// packages says which Debian package has each program.
var packages = map[string]string{
	"argus": "argus-server", "ndpiReader": "libndpi-bin", "nfdump": "nfdump", "nfpcapd": "nfdump",
	"ra": "argus-client", "softflowd": "softflowd", "tshark": "tshark", "zcat": "gzip", "zstdcat": "zstd",
}

// missing returns the programs of a command that are not installed.
func (c command) missing(find func(string) (string, error)) (names []string) {
	for _, name := range c.needs {
		if _, err := find(name); err != nil {
			names = append(names, name)
		}
	}
	return names
}
