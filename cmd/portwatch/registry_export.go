package main

import (
	"encoding/csv"
	"fmt"
	"strconv"
	"strings"

	"github.com/portwatch/portwatch/registry"
)

// export prints the answer for each of the 4 x 65536 pairs, by transport, then
// port.
func (q *query) export() func([]string) error {
	output := q.flags.StringP("output", "o", "tsv", "")
	return func(args []string) error {
		if err := noArguments("export", args); err != nil {
			return err
		}
		formats := map[string]func(*registry.Registry){
			"tsv": q.exportTSV, "csv": q.exportCSV, "json": q.exportJSON,
		}
		if formats[*output] == nil {
			return usageError{fmt.Sprintf("registry export -o %s: unknown format", *output), "formats: tsv, csv, json"}
		}
		r, _, err := q.open()
		if err != nil {
			return err
		}
		formats[*output](r)
		return nil // a failed write is reported at the end
	}
}

// exportColumns is the header of a table of pairs. Services are joined by |, the
// transports of registered_on by commas, and unauthorized is 0 or 1.
var exportColumns = []string{"transport", "port", "class", "status", "service", "services", "registered_on", "unauthorized"}

func exportCells(r *registry.Registry, t registry.Transport, port uint16) []string {
	e := r.Lookup(t, port)
	unauthorized := "0"
	if _, reported := e.UnauthorizedUse(); reported {
		unauthorized = "1"
	}
	return []string{
		t.String(), strconv.Itoa(int(port)), registry.ClassOf(port).String(), e.Status.String(),
		e.Service(), strings.Join(e.Services(), "|"), setOf(e.RegisteredOn()).String(), unauthorized,
	}
}

func setOf(transports []registry.Transport) (s registry.TransportSet) {
	for _, t := range transports {
		s |= registry.SetOf(t)
	}
	return s
}

// exportTSV needs no quoting: white space in names is folded to single spaces.
func (q *query) exportTSV(r *registry.Registry) {
	q.printf("%s\n", strings.Join(exportColumns, "\t"))
	eachPair(func(t registry.Transport, port uint16) error {
		_, err := q.stdout.WriteString(strings.Join(exportCells(r, t, port), "\t") + "\n")
		return err
	})
}

func (q *query) exportCSV(r *registry.Registry) {
	w := csv.NewWriter(q.stdout)
	defer w.Flush()
	w.Write(exportColumns)
	eachPair(func(t registry.Transport, port uint16) error { return w.Write(exportCells(r, t, port)) })
}

func (q *query) exportJSON(r *registry.Registry) {
	eachPair(func(t registry.Transport, port uint16) error { return q.printJSON(pairOf(r, t, port)) })
}

// eachPair calls do for each pair, until it fails to write.
func eachPair(do func(registry.Transport, uint16) error) {
	for _, t := range registry.Transports {
		for port := range 1 << 16 {
			if do(t, uint16(port)) != nil {
				return
			}
		}
	}
}

// pairJSON is the answer for a pair, in the words of the ECS record's
// portwatch.destination.port.
type pairJSON struct {
	Transport    string            `json:"transport"`
	Port         uint16            `json:"port"`
	Class        string            `json:"class"`
	Status       string            `json:"status"`
	Service      string            `json:"service,omitempty"`
	Services     []string          `json:"services"`
	RegisteredOn []string          `json:"registered_on"`
	Unauthorized *unauthorizedJSON `json:"unauthorized_use,omitempty"`
}

type unauthorizedJSON struct {
	Reported bool   `json:"reported"`
	Note     string `json:"note"`
}

func pairOf(r *registry.Registry, t registry.Transport, port uint16) pairJSON {
	e := r.Lookup(t, port)
	j := pairJSON{
		Transport: t.String(), Port: port, Class: registry.ClassOf(port).String(), Status: e.Status.String(),
		Service: e.Service(), Services: append([]string{}, e.Services()...), RegisteredOn: []string{},
	}
	for _, other := range e.RegisteredOn() {
		j.RegisteredOn = append(j.RegisteredOn, other.String())
	}
	if note, reported := e.UnauthorizedUse(); reported {
		j.Unauthorized = &unauthorizedJSON{true, note}
	}
	return j
}
