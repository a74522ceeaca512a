package registry

import (
	"fmt"
	"slices"
	"strings"
)

// An answer is what the registry says about a pair. Pairs with the same answer
// share one Entry.
type answer struct {
	status   Status
	services []string // in the order of Rule P
	on       TransportSet
	note     string // unauthorized use; "" if none is reported
}

func (a *answer) equal(b *answer) bool {
	return a.status == b.status && a.on == b.on && a.note == b.note && slices.Equal(a.services, b.services)
}

// pairs has one value for each (transport, port).
type pairs[T any] [len(Transports)][1 << 16]T

// maxRows is how many rows may cover a pair, and how often unauthorized use of it may be
// reported: ten times the most in IANA's registry. Without this bound, a short file of wide
// ranges could use all memory.
const maxRows = 32

func tooMany(what string, t Transport, port uint32) error {
	return fmt.Errorf("more than %d %s %d/%v", maxRows, what, port, t)
}

// answersOf applies the rules to all pairs at once.
func answersOf(rows []Row) (*pairs[answer], error) {
	answers := new(pairs[answer])
	covering, err := coveringRows(rows)
	if err != nil {
		return nil, err
	}
	for t := range covering {
		for port, rows := range covering[t] {
			answers[t][port].status, answers[t][port].services = decide(rows, uint16(port))
		}
	}
	registeredOn(answers)
	return answers, reportUnauthorized(answers, rows)
}

// coveringRows returns for each pair the rows that cover it, in the order of Rule O.
func coveringRows(rows []Row) (*pairs[[]*Row], error) {
	ordered := make([]*Row, len(rows))
	for i := range rows {
		ordered[i] = &rows[i]
	}
	slices.SortStableFunc(ordered, ruleO)

	covering := new(pairs[[]*Row])
	for _, r := range ordered {
		for _, t := range r.Transports.List() {
			for i := range r.Ports.Count {
				port := uint32(r.Ports.First) + i
				at := &covering[t][port]
				if len(*at) == maxRows {
					return nil, tooMany("rows cover", t, port)
				}
				*at = append(*at, r)
			}
		}
	}
	return covering, nil
}

// decide returns the status and the names of a pair from the rows that cover it,
// which are in the order of Rule O. The first row decides the status.
func decide(rows []*Row, port uint16) (Status, []string) {
	switch {
	case ClassOf(port) == Dynamic:
		return DynamicStatus, nil // whatever a row says: RFC 6335 section 8.1.2
	case len(rows) == 0:
		return Unassigned, nil
	case status(rows[0]) != Assigned:
		return status(rows[0]), nil
	}
	return Assigned, serviceNames(rows)
}

// serviceNames returns the names of the assigned rows in the order of Rule P, each once.
func serviceNames(rows []*Row) (names []string) {
	var assigned []*Row
	for _, r := range rows {
		if r.Service != "" && status(r) == Assigned {
			assigned = append(assigned, r)
		}
	}
	slices.SortStableFunc(assigned, ruleP)
	for _, r := range assigned {
		if !slices.Contains(names, r.Service) {
			names = append(names, r.Service)
		}
	}
	return names
}

// registeredOn sets the other transports on which the same port is assigned.
func registeredOn(answers *pairs[answer]) {
	for port := range answers[0] {
		var assigned TransportSet
		for _, t := range Transports {
			if answers[t][port].status == Assigned {
				assigned |= SetOf(t)
			}
		}
		for _, t := range Transports {
			answers[t][port].on = assigned &^ SetOf(t)
		}
	}
}

// reportUnauthorized sets the notes of the pairs that Rule U finds. If rows with
// different texts refer to the same pair, the note has each text once, in the
// registry's order.
func reportUnauthorized(answers *pairs[answer], rows []Row) error {
	texts := new(pairs[[]string])
	times := new(pairs[uint8])
	joined := 0 // octets
	for i := range rows {
		for _, ports := range unauthorizedPorts(&rows[i]) {
			for _, t := range rows[i].Transports.List() {
				for n := range ports.Count {
					port := uint32(ports.First) + n
					if times[t][port]++; times[t][port] > maxRows {
						return tooMany("reports of unauthorized use of", t, port)
					}
					at := &texts[t][port]
					if slices.Contains(*at, rows[i].Unauthorized) {
						continue
					}
					*at = append(*at, rows[i].Unauthorized)
					note := strings.Join(*at, "; ")
					if len(*at) > 1 { // a single text is the row's own, not a copy
						joined += len(note)
					}
					if joined > MaxSource {
						return fmt.Errorf("more than %d octets of notes on unauthorized use", MaxSource)
					}
					answers[t][port].note = note
				}
			}
		}
	}
	return nil
}
