package registry

import "slices"

// A Difference is what changed from one Registry to another.
type Difference struct {
	// Pairs are those whose answer changed, by port, then transport.
	Pairs []PairChange
	// Added, Removed and Changed are rows, in the order of the Registry that has
	// them, matched by service name, ports and transport. That is exact but
	// noisy: one new port splits an Unassigned range in two.
	Added, Removed []Row
	Changed        []RowChange
}

// A PairChange is a (transport, port) and each Registry's answer for it.
type PairChange struct {
	Transport Transport
	Port      uint16
	Old, New  *Entry
}

// A RowChange is a row that changed in fields outside its key.
type RowChange struct{ Old, New Row }

// Compare returns what changed from old to new.
func Compare(old, new *Registry) Difference {
	d := Difference{Pairs: comparePairs(old, new)}
	before := rowsByKey(old)
	for row := range new.Rows() {
		same := before[row.key()]
		switch {
		case len(same) == 0:
			d.Added = append(d.Added, row)
			continue
		case same[0] != row:
			d.Changed = append(d.Changed, RowChange{same[0], row})
		}
		before[row.key()] = same[1:]
	}
	after := rowsByKey(new)
	for row := range old.Rows() {
		if same := after[row.key()]; len(same) > 0 {
			after[row.key()] = same[1:]
		} else {
			d.Removed = append(d.Removed, row)
		}
	}
	return d
}

// rowsByKey groups the rows by key: "rdp" without port or transport occurs twice.
func rowsByKey(r *Registry) map[rowKey][]Row {
	rows := make(map[rowKey][]Row)
	for row := range r.Rows() {
		rows[row.key()] = append(rows[row.key()], row)
	}
	return rows
}

func comparePairs(old, new *Registry) (changes []PairChange) {
	for port := range 1 << 16 {
		for _, t := range Transports {
			a, b := old.Lookup(t, uint16(port)), new.Lookup(t, uint16(port))
			if !sameAnswer(a, b) {
				changes = append(changes, PairChange{t, uint16(port), a, b})
			}
		}
	}
	return changes
}

// sameAnswer ignores RegisteredOn: it repeats the answers for the port's other
// transports, and changes of those are listed themselves.
func sameAnswer(a, b *Entry) bool {
	return a.Status == b.Status && a.note == b.note && slices.Equal(a.services, b.services)
}

// rowKey identifies a row across two registries.
type rowKey struct {
	service    string
	ports      Ports
	transports TransportSet
}

func (r *Row) key() rowKey { return rowKey{r.Service, r.Ports, r.Transports} }
