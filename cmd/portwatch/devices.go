package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/portwatch/portwatch/capture"
)

// listDevices prints what -i takes: number, name, state and addresses.
func listDevices(stdout, stderr io.Writer) int {
	devices, err := capture.Devices()
	if err != nil {
		report(stderr, err)
		return exitFailed
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, d := range devices {
		var addresses []string
		for _, a := range d.Addresses {
			addresses = append(addresses, a.String())
		}
		about := strings.Join(addresses, " ")
		if about == "" {
			about = d.Description
		}
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", d.Number, d.Name, orDash(d.State.String()), about)
	}
	w.Flush()
	return write(stdout, stderr, b.String())
}

// orDash keeps a column from being empty, so that programs can rely on it.
func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
