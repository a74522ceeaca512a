// Bench writes the captures on which portwatch is compared with other programs. Package traffic says
// what is in them.
//
//	go run ./testdata/bench [-mix FOLDER] [-scale 1] FOLDER [small] [flows] [mix]
package main

import (
	"flag"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/portwatch/portwatch/testdata/bench/traffic"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("bench: ")
	mix := flag.String("mix", "testdata", "`FOLDER` of real captures for mix")
	scale := flag.Float64("scale", 1, "`PART` of the full size: 5 M packets, 2 M Flows, 2.5 M packets")
	flag.Parse()
	if flag.NArg() < 1 {
		log.Fatal("usage: bench [-mix FOLDER] [-scale 1] FOLDER [small] [flows] [mix]")
	}
	part := func(n int) int { return int(float64(n) * *scale) }
	captures := map[string]func(io.Writer) (traffic.Made, error){
		"small": func(w io.Writer) (traffic.Made, error) { return traffic.Small(w, part(100_000), 50) },
		"flows": func(w io.Writer) (traffic.Made, error) { return traffic.Flows(w, part(2_000_000)) },
		"mix":   func(w io.Writer) (traffic.Made, error) { return traffic.Mix(w, *mix, part(2_500_000)) },
	}
	names := flag.Args()[1:]
	if len(names) == 0 {
		names = []string{"small", "flows", "mix"}
	}
	folder := flag.Arg(0)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		log.Fatal(err)
	}
	for _, name := range names {
		write := captures[name]
		if write == nil {
			log.Fatalf("%s: no such capture: small, flows, mix", name)
		}
		path := filepath.Join(folder, name+".pcap")
		made, err := traffic.Create(path, write)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s: %s\n", path, made)
	}
}
