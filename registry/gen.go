//go:build ignore

// This program writes the snapshot that package registry embeds; see embed.go.
package main

import (
	"flag"
	"fmt"
	"log"
	"os"

	"github.com/portwatch/portwatch/registry"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("gen: ")
	from := flag.String("xml", os.Getenv("XML"), "IANA's service-names-port-numbers.xml; the variable XML is its default")
	to := flag.String("o", "registry/data/snapshot", "the snapshot to write")
	flag.Parse()
	if *from == "" {
		log.Fatal("no source: give -xml PATH, or set XML to an absolute path " +
			"(https://www.iana.org/assignments/service-names-port-numbers/service-names-port-numbers.xml)")
	}

	f, err := os.Open(*from)
	if err != nil {
		log.Fatal(err)
	}
	r, warnings, err := registry.Parse(f, *from)
	if err != nil {
		log.Fatal(err)
	}
	if len(warnings) > 0 {
		log.Fatalf("%s is not fit to embed: %s", *from, warnings)
	}
	if err := os.WriteFile(*to, []byte(r.Encoded()), 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s: %s, %d rows, %d octets\n", *to, r.Date(), r.Len(), len(r.Encoded()))
}
