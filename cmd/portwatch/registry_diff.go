package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/portwatch/portwatch/registry"
)

func (q *query) diff() func([]string) error {
	return func(args []string) error {
		if len(args) != 1 && len(args) != 2 {
			return usageError{"registry diff needs one or two files", "portwatch registry diff OLD.csv NEW.xml"}
		}
		if slices.Contains(args, "") { // it would stand for the registry in use
			return usageError{"registry diff: the name of a file is empty", "portwatch registry diff OLD.csv NEW.xml"}
		}
		if len(args) == 2 {
			if q.registry != "" {
				return usageError{"registry diff: NEW and --registry exclude each other", "portwatch registry diff OLD NEW"}
			}
			q.registry = args[1]
		}
		old, _, err := findRegistry(args[0], q.offline, q.stderr)
		if err != nil {
			return err
		}
		new, from, err := q.open()
		if err != nil {
			return err
		}
		d := registry.Compare(old, new)
		q.printf("old: %s, file %s\nnew: %s, %s\n", dateOf(old), args[0], dateOf(new), from)
		q.printf("%d pairs answer differently; %d rows added, %d removed, %d changed\n",
			len(d.Pairs), len(d.Added), len(d.Removed), len(d.Changed))
		q.printPairChanges(d.Pairs)
		q.printRowChanges(&d)
		return nil
	}
}

func (q *query) printPairChanges(changes []registry.PairChange) {
	if len(changes) == 0 {
		return
	}
	table := [][]string{{"PAIR", "OLD", "NEW"}}
	for _, c := range changes {
		table = append(table, []string{fmt.Sprintf("%d/%v", c.Port, c.Transport), says(c.Old), says(c.New)})
	}
	q.printf("\n")
	q.printTable(table)
}

// printRowChanges prints a sign for each row: + added, - removed, ~ changed.
func (q *query) printRowChanges(d *registry.Difference) {
	table := [][]string{{"", "SERVICE", "PORT", "TRANSPORT", "DESCRIPTION"}}
	changed := make([]*registry.RowChange, 1, 1+len(d.Changed))
	add := func(sign string, row *registry.Row, c *registry.RowChange) {
		fields := row.Fields()
		table = append(table, append([]string{sign}, fields[:shownColumns]...))
		changed = append(changed, c)
	}
	for i := range d.Added {
		add("+", &d.Added[i], nil)
	}
	for i := range d.Removed {
		add("-", &d.Removed[i], nil)
	}
	for i := range d.Changed {
		add("~", &d.Changed[i].New, &d.Changed[i])
	}
	if len(table) == 1 {
		return
	}
	q.printf("\n")
	widths := columnWidths(table)
	for i, cells := range table {
		q.printCells(widths, cells)
		if changed[i] != nil {
			q.printFieldChanges(changed[i])
		}
	}
}

func (q *query) printFieldChanges(c *registry.RowChange) {
	old, new := c.Old.Fields(), c.New.Fields()
	for i, name := range registry.Columns {
		if old[i] != new[i] {
			q.printf("     %s: %q, was %q\n", strings.ToLower(name), new[i], old[i])
		}
	}
}

// says returns an answer in words.
func says(e *registry.Entry) string {
	words := e.Status.String()
	switch names := e.Services(); {
	case len(names) == 1:
		words = "assigned to " + names[0]
	case len(names) > 1:
		words = "assigned to " + names[0] + ", also named " + strings.Join(names[1:], ", ")
	case e.Status == registry.Assigned:
		words = "assigned without a service name"
	}
	if _, reported := e.UnauthorizedUse(); reported {
		words += "; unauthorized use reported"
	}
	return words
}
