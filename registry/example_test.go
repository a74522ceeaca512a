package registry_test

import (
	"fmt"
	"log"
	"strings"

	"github.com/portwatch/portwatch/registry"
)

func ExampleRegistry_Lookup() {
	r := registry.Embedded()
	for _, port := range []uint16{465, 25, 6003} {
		for _, t := range registry.Transports[:3] {
			e := r.Lookup(t, port)
			fmt.Println(port, t, e.Status, e.Services(), e.RegisteredOn())
		}
	}
	// Output:
	// 465 tcp assigned [submissions urd] [udp]
	// 465 udp assigned [igmpv3lite] [tcp]
	// 465 sctp unassigned [] [tcp udp]
	// 25 tcp assigned [smtp] [udp]
	// 25 udp assigned [smtp] [tcp]
	// 25 sctp unassigned [] [tcp udp]
	// 6003 tcp assigned [x11] [udp]
	// 6003 udp assigned [x11] [tcp]
	// 6003 sctp unassigned [] [tcp udp]
}

// A flag is of a pair, not of a service: x11 has 64 ports.
func ExampleEntry_UnauthorizedUse() {
	r := registry.Embedded()
	for _, port := range []uint16{6003, 6010} {
		e := r.Lookup(registry.TCP, port)
		note, reported := e.UnauthorizedUse()
		fmt.Printf("%d assigned to %s, unauthorized use reported: %v %q\n", port, e.Service(), reported, note)
	}
	// Output:
	// 6003 assigned to x11, unauthorized use reported: true "Known Unauthorized Use on port 6003"
	// 6010 assigned to x11, unauthorized use reported: false ""
}

func ExampleRegistry_RowsOf() {
	for _, row := range registry.Embedded().RowsOf(registry.UDP, 42000) {
		fmt.Printf("%v %s: %s\n", row.Ports, row.Description, row.Unauthorized)
	}
	// Output:
	// 41798-42507 Unassigned: Unauthorized Use Known on port 42000
}

func ExampleParse() {
	csv := strings.Join(registry.Columns[:], ",") + `
http,80-7,tcp,World Wide Web HTTP,,,,,,,,
`
	_, _, err := registry.Parse(strings.NewReader(csv), "services.csv")
	fmt.Println(err)
	// Output:
	// services.csv: row 1, line 2: port range "80-7" runs backwards
}

func ExampleCompare() {
	head := strings.Join(registry.Columns[:], ",") + "\n"
	old := parse(head + "old-name,7000,tcp,,,,,,,,,\n,49151,,IANA Reserved,,,,,,,,\n")
	new := parse(head + "new-name,7000,tcp,,,,,,,,,\n,49151,,IANA Reserved,,,,,,,,\n")
	for _, c := range registry.Compare(old, new).Pairs {
		fmt.Printf("%d/%v: %s, was %s\n", c.Port, c.Transport, c.New.Service(), c.Old.Service())
	}
	// Output:
	// 7000/tcp: new-name, was old-name
}

func parse(csv string) *registry.Registry {
	r, _, err := registry.Parse(strings.NewReader(csv), "example.csv")
	if err != nil {
		log.Fatal(err)
	}
	return r
}

func ExampleClassOf() {
	for _, port := range []uint16{1023, 1024, 49152} {
		c := registry.ClassOf(port)
		fmt.Println(port, c, c.Ports())
	}
	// Output:
	// 1023 system 0-1023
	// 1024 user 1024-49151
	// 49152 dynamic 49152-65535
}
