package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

const lookupUsage = `Usage:
  portwatch lookup [options] PORT[/TRANSPORT] | NAME[/TRANSPORT] ...

Prints everything that IANA's registry has on a port or a service name, for all
transports (tcp, udp, sctp, dccp) or for the one given. Names are
case-insensitive.

Options:
      --json            one JSON line for each argument
      --registry FILE   IANA's CSV or XML instead of the registry in use
      --offline         never use the cache of 'registry update'
  -h, --help            print this help

Examples:
  portwatch lookup 443/tcp
  portwatch lookup 6003 42000/udp
  portwatch lookup https
  portwatch lookup --json 465 | jq '.answers[].services'

A registered port proves neither the service nor good intent.
`

// lookupCommand runs "portwatch lookup" with the arguments after this word, and
// returns the exit status.
func lookupCommand(args []string, stdout, stderr io.Writer) int {
	q := newQuery(lookupUsage, stdout, stderr)
	return q.run(args, q.lookup())
}

// lookup adds its option, and returns the function that answers the questions.
func (q *query) lookup() func([]string) error {
	asJSON := q.flags.Bool("json", false, "")
	return func(args []string) error {
		questions, err := parseQuestions(args)
		if err != nil {
			return err
		}
		r, _, err := q.open()
		if err != nil {
			return err
		}
		for i, question := range questions {
			answers := question.answers(r)
			switch {
			case len(answers) == 0:
				return unknownName(r, &question)
			case *asJSON:
				err = q.printJSON(question.json(r))
			default:
				q.printAnswers(answers, i > 0)
			}
			if err != nil {
				return err
			}
		}
		return nil
	}
}

// A question is an argument of lookup: a port or, if name is not empty, a service
// name.
type question struct {
	text       string
	name       string
	port       uint16
	transports []registry.Transport
}

func parseQuestions(args []string) (questions []question, err error) {
	if len(args) == 0 {
		return nil, usageError{"lookup needs a port or a service name", "portwatch lookup 443/tcp"}
	}
	for _, arg := range args {
		q, err := parseQuestion(arg)
		if err != nil {
			return nil, err
		}
		questions = append(questions, q)
	}
	return questions, nil
}

// parseQuestion takes a slash for part of the name ("cl/1") unless a transport
// follows it.
func parseQuestion(arg string) (question, error) {
	q := question{text: arg, transports: registry.Transports[:]}
	subject := arg
	slash := strings.LastIndexByte(arg, '/')
	if slash >= 0 {
		t, err := parseTransport(arg[slash+1:])
		switch {
		case err == nil:
			subject, q.transports = arg[:slash], []registry.Transport{t}
		case isNumber(arg[:slash]):
			return question{}, usageError{fmt.Sprintf("lookup %s: %v", arg, err), "tcp, udp, sctp or dccp after the slash"}
		}
	}
	if !isNumber(subject) {
		if q.name = strings.TrimSpace(subject); q.name == "" {
			return question{}, usageError{fmt.Sprintf("lookup %q: neither a port nor a name", arg), "portwatch lookup 443/tcp"}
		}
		return q, nil
	}
	ports, err := registry.ParsePorts(subject)
	if err == nil && ports.Count > 1 {
		err = fmt.Errorf("%d ports at once", ports.Count)
	}
	if err != nil {
		return question{}, usageError{fmt.Sprintf("lookup %s: %v", arg, err), "one port from 0 to 65535, or a service name"}
	}
	q.port = ports.First
	return q, nil
}

// parseTransport accepts the registry's transports, and UDP-Lite, which records have.
func parseTransport(word string) (registry.Transport, error) {
	if strings.EqualFold(strings.ReplaceAll(word, "-", ""), flow.UDPLite.String()) {
		return annotate.RegistryTransport(flow.UDPLite), nil
	}
	return registry.ParseTransport(word)
}

// isNumber reports whether s is meant as a number or a range.
func isNumber(s string) bool { return s != "" && strings.Trim(s, "0123456789-") == "" }

// An answer is what the registry has about some pairs of one port cell, for all of
// which it says the same, or about a name without a port.
type answer struct {
	ports      registry.Ports // what was asked for, or the row's cell
	transports registry.TransportSet
	entry      *registry.Entry // nil without a port
	rows       []registry.Row
	elsewhere  string // what the port is assigned to on other transports
}

func (q *question) answers(r *registry.Registry) (answers []answer) {
	if q.name == "" {
		for _, t := range q.transports {
			ports := registry.PortRange(q.port, q.port)
			answers = addAnswer(answers, answer{ports, registry.SetOf(t), r.Lookup(t, q.port), r.RowsOf(t, q.port), ""})
		}
	} else {
		for _, row := range q.rows(r) {
			answers = addAnswer(answers, q.answerOfRow(r, row))
		}
	}
	for i := range answers {
		answers[i].elsewhere = elsewhere(r, &answers[i])
	}
	return answers
}

// rows returns the rows that have the name.
func (q *question) rows(r *registry.Registry) (rows []registry.Row) {
	for row := range r.Rows() {
		if strings.EqualFold(row.Service, q.name) && slices.ContainsFunc(q.transports, row.Transports.Has) {
			rows = append(rows, row)
		}
	}
	return rows
}

// answerOfRow returns the answer for the row's first requested pair, if it has one.
func (q *question) answerOfRow(r *registry.Registry, row registry.Row) answer {
	a := answer{ports: row.Ports, rows: []registry.Row{row}}
	for _, t := range q.transports {
		a.transports |= row.Transports & registry.SetOf(t)
	}
	if !row.Ports.Empty() {
		a.entry = r.Lookup(a.transports.List()[0], row.Ports.First)
	}
	return a
}

// addAnswer adds to the transports of the last answer if everything else is the same:
// most services have the same words for tcp and udp.
func addAnswer(answers []answer, a answer) []answer {
	if n := len(answers); n > 0 && answers[n-1].sameWords(&a) {
		answers[n-1].transports |= a.transports
		return answers
	}
	return append(answers, a)
}

func (a *answer) sameWords(b *answer) bool {
	if a.ports != b.ports || (a.entry == nil) != (b.entry == nil) {
		return false
	}
	if a.entry != nil {
		aNote, _ := a.entry.UnauthorizedUse()
		bNote, _ := b.entry.UnauthorizedUse()
		if a.entry.Status != b.entry.Status || aNote != bNote || !slices.Equal(a.entry.Services(), b.entry.Services()) {
			return false
		}
	}
	return slices.EqualFunc(a.rows, b.rows, func(x, y registry.Row) bool {
		if x.Transports != registry.AllTransports && y.Transports != registry.AllTransports {
			x.Transports = y.Transports
		}
		return x == y
	})
}

// elsewhere says which other transports have the answer's first port: "smtp on
// tcp, udp".
func elsewhere(r *registry.Registry, a *answer) string {
	if a.entry == nil {
		return ""
	}
	var names, parts []string
	on := make(map[string][]string)
	for _, t := range registry.Transports {
		e := r.Lookup(t, a.ports.First)
		if e.Status != registry.Assigned || a.transports.Has(t) {
			continue
		}
		name := cmp.Or(e.Service(), "a use without a name")
		if on[name] == nil {
			names = append(names, name)
		}
		on[name] = append(on[name], t.String())
	}
	for _, name := range names {
		parts = append(parts, name+" on "+strings.Join(on[name], ", "))
	}
	return strings.Join(parts, "; ")
}

// printAnswers prints each answer as a headline and facts.
func (q *query) printAnswers(answers []answer, further bool) {
	width := 0
	for i := range answers {
		width = max(width, len(answers[i].subject()))
	}
	for i := range answers {
		if i > 0 || further {
			q.printf("\n")
		}
		a := &answers[i]
		q.printf("%-*s  %s\n", width, printable(a.subject()), printable(a.headline()))
		q.printFacts(a)
	}
}

// subject returns "443/tcp,udp", or the name if there is no port.
func (a *answer) subject() string {
	subject := a.ports.String()
	if a.entry == nil {
		subject = a.rows[0].Service
		if a.transports == registry.AllTransports {
			return subject
		}
	}
	return subject + "/" + a.transports.String()
}

func (a *answer) headline() string {
	switch {
	case a.entry == nil:
		return "a service name without a port"
	case a.entry.Status == registry.Reserved && a.elsewhere != "":
		return strings.Replace(says(a.entry), "reserved", "reserved ("+haveIt(a.entry.RegisteredOn())+")", 1)
	case a.entry.Status == registry.DynamicStatus:
		return says(a.entry) + ": for anyone's use, never assigned"
	case len(a.rows) == 0:
		return says(a.entry) + ": no row covers it"
	}
	return says(a.entry)
}

// haveIt returns "tcp has it" or "tcp and udp have it".
func haveIt(on []registry.Transport) string {
	if len(on) == 1 {
		return on[0].String() + " has it"
	}
	names := make([]string, len(on))
	for i, t := range on {
		names[i] = t.String()
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " have it"
}

// printFacts prints what is true of all the pairs, then each row.
func (q *query) printFacts(a *answer) {
	note := ""
	if a.entry != nil {
		class := registry.ClassOf(a.ports.First)
		q.printFact("range", fmt.Sprintf("%v (%v)", class, class.Ports()))
		if a.elsewhere != "" {
			q.printFact("elsewhere", "assigned to "+a.elsewhere)
		}
		note, _ = a.entry.UnauthorizedUse()
		q.printFact("unauthorized use", note)
	}
	for _, row := range a.rowsByName() {
		if len(a.rows) > 1 {
			q.printf("\n")
		}
		q.printRow(&row, note, a.ports.Count > 1)
	}
}

// rowsByName returns the rows with the primary name's first, and those with none of the
// answer's names last.
func (a *answer) rowsByName() []registry.Row {
	if a.entry == nil {
		return a.rows
	}
	place := func(row registry.Row) int {
		if i := slices.Index(a.entry.Services(), row.Service); i >= 0 {
			return i
		}
		return len(a.entry.Services())
	}
	return slices.SortedStableFunc(slices.Values(a.rows), func(x, y registry.Row) int {
		return cmp.Compare(place(x), place(y))
	})
}

// printRow prints what the row says and the note above it does not. Its text about
// unauthorized use may be about another port than the one asked for, unless the question
// is about a range.
func (q *query) printRow(row *registry.Row, note string, ranged bool) {
	q.printFact("service name", row.Service)
	q.printFact("port number", row.Ports.String())
	if row.Transports == registry.AllTransports && !row.Ports.Empty() {
		q.printFact("transport", "none given, so it covers all")
	}
	q.printFact("description", row.Description)
	q.printFact("assignee", row.Assignee)
	q.printFact("contact", row.Contact)
	q.printFact("registered", row.Registered)
	q.printFact("modified", row.Modified)
	q.printFact("reference", row.Reference)
	q.printFact("service code", row.ServiceCode)
	switch {
	case row.Unauthorized == "" || strings.Contains(note, row.Unauthorized):
	case ranged:
		q.printFact("unauthorized use", row.Unauthorized)
	default:
		q.printFact("unauthorized use", "not of this port: "+row.Unauthorized)
	}
	q.printFact("notes", row.Notes)
}

// unknownName suggests names that are close to one that the registry does not have.
func unknownName(r *registry.Registry, q *question) error {
	hint := "portwatch registry search " + q.name
	near := nearNames(r, q.name)
	if len(near) > 0 && strings.EqualFold(near[0], q.name) {
		return failure{fmt.Errorf("lookup %s: %s has no entry for %v", q.text, printable(near[0]), q.transports[0]), "portwatch lookup " + q.name}
	}
	if len(near) > 0 {
		hint = printable(strings.Join(near, ", ")) + "; or " + hint
	}
	return failure{fmt.Errorf("lookup %s: no service of that name", q.text), hint}
}

const maxSuggestions = 5

// nearNames returns the names that are few edits away, the nearest first, equals in the
// registry's order.
func nearNames(r *registry.Registry, name string) []string {
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	seen := make(map[string]bool)
	for row := range r.Rows() {
		if row.Service == "" || seen[row.Service] {
			continue
		}
		seen[row.Service] = true
		if d := editDistance(strings.ToLower(name), strings.ToLower(row.Service)); d <= 1+len(name)/4 {
			near = append(near, candidate{row.Service, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var names []string
	for _, c := range near[:min(len(near), maxSuggestions)] {
		names = append(names, c.name)
	}
	return names
}

// editDistance counts the octets to insert, delete, change or swap with a neighbour in
// order to turn a into b (optimal string alignment).
func editDistance(a, b string) int {
	before, last, this := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range this {
		this[j] = j
	}
	for i := range len(a) {
		before, last, this = last, this, before
		this[0] = i + 1
		for j := range len(b) {
			change := last[j]
			if a[i] != b[j] {
				change++
			}
			this[j+1] = min(last[j+1]+1, this[j]+1, change)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				this[j+1] = min(this[j+1], before[j-1]+1)
			}
		}
	}
	return this[len(b)]
}

// answersJSON is what --json prints for a question: the pairs, each with the rows that
// cover it, and for a name also the rows that have it.
type answersJSON struct {
	Query   string       `json:"query"`
	Answers []answerJSON `json:"answers,omitempty"`
	Rows    []rowJSON    `json:"rows,omitempty"`
}

type answerJSON struct {
	pairJSON
	// Ports is the range of a row that has the name, if it is not a single port: the answer
	// is for its first port.
	Ports string    `json:"ports,omitempty"`
	Rows  []rowJSON `json:"rows"`
}

// rowJSON has the headings of IANA's columns as keys, in the same order.
type rowJSON struct {
	Service      string `json:"service_name"`
	Ports        string `json:"port_number"`
	Transport    string `json:"transport_protocol"`
	Description  string `json:"description"`
	Assignee     string `json:"assignee"`
	Contact      string `json:"contact"`
	Registered   string `json:"registration_date"`
	Modified     string `json:"modification_date"`
	Reference    string `json:"reference"`
	ServiceCode  string `json:"service_code"`
	Unauthorized string `json:"unauthorized_use_reported"`
	Notes        string `json:"assignment_notes"`
}

func rowsJSON(rows []registry.Row) []rowJSON {
	list := make([]rowJSON, len(rows)) // [], not null, if there are none
	for i := range rows {
		f := rows[i].Fields()
		list[i] = rowJSON{f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], f[8], f[9], f[10], f[11]}
	}
	return list
}

// rangeOf returns a range in IANA's form, "" for a single port.
func rangeOf(ports registry.Ports) string {
	if ports.Count == 1 {
		return ""
	}
	return ports.String()
}

func (q *question) json(r *registry.Registry) answersJSON {
	j := answersJSON{Query: q.text}
	if q.name != "" {
		rows := q.rows(r)
		j.Rows = rowsJSON(rows)
		for _, row := range rows { // the first port of each, as in the text output
			for _, t := range row.Transports.List() {
				if !row.Ports.Empty() && slices.Contains(q.transports, t) {
					j.Answers = append(j.Answers, answerJSON{pairOf(r, t, row.Ports.First), rangeOf(row.Ports), rowsJSON([]registry.Row{row})})
				}
			}
		}
		return j
	}
	for _, t := range q.transports {
		j.Answers = append(j.Answers, answerJSON{pairOf(r, t, q.port), "", rowsJSON(r.RowsOf(t, q.port))})
	}
	return j
}
