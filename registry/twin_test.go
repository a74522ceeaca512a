package registry

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The twin answers from the rows as a person would who has only the rules and plenty
// of time. It shares only the rows with the code that it checks.
type twin struct {
	rows    []Row
	flagged map[string][]string // "42000/tcp" -> IANA's texts
}

var (
	bracketed  = regexp.MustCompile(`\[[^\]]*\]`)
	standAlone = regexp.MustCompile(`\b([0-9]+)(?:-([0-9]+))?\b`)
	goneWords  = regexp.MustCompile(`(?i)^[^a-z]*(de-registered|removed|deprecated|decomissioned|de-commissioned)\b`)
	freeWords  = regexp.MustCompile(`(?i)^[^a-z]*(unassigned|possibly)\b`)
	keptWords  = regexp.MustCompile(`(?i)^[^a-z]*reserved\b`)
	laterNotes = regexp.MustCompile(`This entry is an alias to "|This is a duplicate of the "http" service|unassigned but widespread use|NOTE Conflict`)
)

func newTwin(rows []Row) *twin {
	w := &twin{rows: rows, flagged: make(map[string][]string)}
	for _, row := range rows {
		if row.Unauthorized == "" || row.Ports.Count == 0 {
			continue
		}
		var ports []int
		for _, m := range standAlone.FindAllStringSubmatch(bracketed.ReplaceAllString(row.Unauthorized, ""), -1) {
			first, _ := strconv.Atoi(m[1])
			last := first
			if m[2] != "" {
				last, _ = strconv.Atoi(m[2])
			}
			for port := first; port <= last; port++ {
				ports = append(ports, port)
			}
		}
		if len(ports) == 0 {
			for port := int(row.Ports.First); port <= int(row.Ports.Last()); port++ {
				ports = append(ports, port)
			}
		}
		for _, transport := range []string{"tcp", "udp", "sctp", "dccp"} {
			for _, port := range ports {
				if cell := row.Fields()[2]; cell == "" || cell == transport {
					key := strconv.Itoa(port) + "/" + transport
					if !slices.Contains(w.flagged[key], row.Unauthorized) {
						w.flagged[key] = append(w.flagged[key], row.Unauthorized)
					}
				}
			}
		}
	}
	return w
}

func (w *twin) status(row Row) string {
	switch {
	case row.Service != "" && strings.ToLower(row.Description) == "de-registered":
		return "deregistered"
	case row.Service != "":
		return "assigned"
	case goneWords.MatchString(row.Description):
		return "deregistered"
	case freeWords.MatchString(row.Description):
		return "unassigned"
	case keptWords.MatchString(row.Description):
		return "reserved"
	}
	return "assigned"
}

// covering returns the numbers of those among some rows that cover a transport, the
// one that decides the answer first.
func (w *twin) covering(some []int, transport string) []int {
	var rows []int
	for _, i := range some {
		if cell := w.rows[i].Fields()[2]; cell == "" || cell == transport {
			rows = append(rows, i)
		}
	}
	order := map[string]int{"assigned": 0, "reserved": 1, "deregistered": 2, "unassigned": 3}
	slices.SortFunc(rows, func(i, j int) int {
		return slices.Compare(
			[]int{w.width(i), order[w.status(w.rows[i])], i},
			[]int{w.width(j), order[w.status(w.rows[j])], j})
	})
	return rows
}

// width is larger for a less specific row.
func (w *twin) width(i int) int {
	if w.rows[i].Fields()[2] == "" {
		return 1000000 + int(w.rows[i].Ports.Count)
	}
	return int(w.rows[i].Ports.Count)
}

func (w *twin) names(rows []int) []string {
	var named []int
	for _, i := range rows {
		if w.status(w.rows[i]) == "assigned" && w.rows[i].Service != "" {
			named = append(named, i)
		}
	}
	one := func(yes bool) int {
		if yes {
			return 1
		}
		return 0
	}
	slices.SortFunc(named, func(i, j int) int {
		key := func(i int) []int {
			row := w.rows[i]
			return []int{one(laterNotes.MatchString(row.Notes)), w.width(i),
				one(row.Description == ""), one(row.Reference == ""), i}
		}
		return slices.Compare(key(i), key(j))
	})
	var names []string
	for _, i := range named {
		names = append(names, w.rows[i].Service)
	}
	return names
}

// answers returns what describe should return for a port on the four transports.
func (w *twin) answers(port int) (answers [4]string) {
	var rows []int
	for i := range w.rows {
		if p := w.rows[i].Ports; p.Count > 0 && int(p.First) <= port && port < int(p.First)+int(p.Count) {
			rows = append(rows, i)
		}
	}
	var status, names [4]string
	for t, transport := range []string{"tcp", "udp", "sctp", "dccp"} {
		mine := w.covering(rows, transport)
		switch {
		case port >= 49152:
			status[t] = "dynamic"
		case len(mine) == 0:
			status[t] = "unassigned"
		default:
			status[t] = w.status(w.rows[mine[0]])
		}
		if status[t] == "assigned" {
			names[t] = strings.Join(w.names(mine), ",")
		}
	}
	for t, transport := range []string{"tcp", "udp", "sctp", "dccp"} {
		answers[t] = status[t]
		if names[t] != "" {
			answers[t] += " " + names[t]
		}
		var on []string
		for o, other := range []string{"tcp", "udp", "sctp", "dccp"} {
			if o != t && status[o] == "assigned" {
				on = append(on, other)
			}
		}
		if on != nil {
			answers[t] += " on " + strings.Join(on, ",")
		}
		if notes := w.flagged[strconv.Itoa(port)+"/"+transport]; notes != nil {
			answers[t] += " flagged: " + strings.Join(notes, "; ")
		}
	}
	return answers
}

func TestTwin(t *testing.T) {
	r := Embedded()
	w := newTwin(slices.Collect(r.Rows()))
	wrong := 0
	for port := range 1 << 16 {
		want := w.answers(port)
		for i, transport := range Transports {
			e := r.Lookup(transport, uint16(port))
			got := describe(e)
			if note, reported := e.UnauthorizedUse(); reported {
				got += ": " + note
			}
			if got != want[i] {
				if wrong++; wrong <= 20 {
					t.Errorf("%d/%v: %s, want %s", port, transport, got, want[i])
				}
			}
		}
	}
	if wrong > 20 {
		t.Errorf("%d pairs in all", wrong)
	}
}
