package registry

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
)

// This file has the four rules that turn rows into answers. Each works on one
// row, or on the rows of one pair; answers.go applies them to all.

// specificity is the first half of Rule O: a row that names its transport comes
// before one that covers all, then a narrower range before a wider one. So named
// rows win over a blank Unassigned range that was left lying over them.
func specificity(a, b *Row) int {
	return cmp.Or(
		compareBool(a.Transports == AllTransports, b.Transports == AllTransports),
		cmp.Compare(a.Ports.Count, b.Ports.Count),
	)
}

// ruleO orders the rows that cover one pair, the row that answers for it first. It
// is meant for a stable sort of rows in the registry's order, which decides ties.
func ruleO(a, b *Row) int {
	if c := specificity(a, b); c != 0 {
		return c
	}
	return cmp.Compare(rank(status(a)), rank(status(b)))
}

// rank orders the statuses: assigned, reserved, deregistered, unassigned.
func rank(s Status) int {
	return slices.Index([]Status{Assigned, Reserved, Deregistered, Unassigned}, s)
}

// status is Rule S: the first word of the description decides, whatever its
// case or brackets, and a service name makes nearly any row assigned. Notes
// never count: they are about the past (a row that is Unassigned has the note
// "De-registered 08 June 2001").
func status(r *Row) Status {
	if r.Service != "" {
		if strings.EqualFold(r.Description, "De-Registered") {
			return Deregistered
		}
		return Assigned
	}
	switch firstWord(r.Description) {
	case "unassigned", "possibly", "":
		return Unassigned
	case "reserved":
		return Reserved
	case "de-registered", "deregistered", "removed", "deprecated",
		"de-commissioned", "decommissioned", "decomissioned": // sic
		return Deregistered
	}
	return Assigned // "any private mail system": a use without a name
}

// firstWord returns the first word in lower case and without brackets.
func firstWord(s string) string {
	word, _, _ := strings.Cut(s, " ")
	return strings.ToLower(strings.TrimFunc(word, func(c rune) bool { return !unicode.IsLetter(c) }))
}

// ruleP orders the assigned rows of one pair by how good their service name is,
// the primary one first. Like ruleO it leaves ties to the registry's order.
func ruleP(a, b *Row) int {
	return cmp.Or(
		compareBool(isSecondary(a), isSecondary(b)),
		specificity(a, b),
		compareBool(a.Description == "", b.Description == ""),
		compareBool(a.Reference == "", b.Reference == ""),
	)
}

// isSecondary reports whether the notes say that the name is not the port's own:
// a historic spelling, a duplicate, a use that nobody registered.
func isSecondary(r *Row) bool {
	for _, s := range []string{
		`This entry is an alias to "`,
		`This is a duplicate of the "`,
		"unassigned but widespread use",
		"NOTE Conflict",
	} {
		if strings.Contains(r.Notes, s) {
			return true
		}
	}
	return false
}

// unauthorizedPorts is Rule U: the ports, on the row's transports, that its
// column "Unauthorized Use Reported" refers to. Those are the numbers in the
// text, even if they lie outside the row, or the row's own ports if the text has
// no numbers. A row without ports refers to none.
func unauthorizedPorts(r *Row) []Ports {
	if r.Unauthorized == "" || r.Ports.Empty() {
		return nil
	}
	if named := namedPorts(withoutBrackets(r.Unauthorized)); len(named) > 0 {
		return named
	}
	return []Ports{r.Ports}
}

// withoutBrackets cuts out references, whose numbers are not ports: "[RFC4146]".
func withoutBrackets(s string) string {
	for {
		before, rest, found := strings.Cut(s, "[")
		_, after, closed := strings.Cut(rest, "]")
		if !found || !closed {
			return s
		}
		s = before + " " + after
	}
}

// namedPorts returns the N and N-M in a text that stand alone: with no letter or
// digit beside them, so that the name "krb524" is not a port.
func namedPorts(s string) (named []Ports) {
	for _, word := range strings.FieldsFunc(s, isBetweenWords) {
		if p, err := ParsePorts(strings.Trim(word, "-")); err == nil && !p.Empty() {
			named = append(named, p)
		}
	}
	return named
}

func isBetweenWords(c rune) bool {
	return c != '-' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
}

// compareBool puts false before true.
func compareBool(a, b bool) int {
	switch {
	case a == b:
		return 0
	case b:
		return -1
	}
	return 1
}
