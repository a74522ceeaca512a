package registry

import (
	"iter"
	"slices"
)

// A Registry is one dated state of IANA's registry. It is immutable and safe for
// concurrent use.
type Registry struct {
	data    string // the compact form
	date    string
	sha256  string
	entries []Entry
	index   index

	rows     decoder // at the first row
	rowCount int
}

// An Entry is what the registry says about a (transport, port). All pairs with the
// same answer share one Entry.
type Entry struct {
	// Status is Assigned for a registered pair.
	Status Status

	on       TransportSet
	services []string
	note     string
}

// Lookup returns the answer for a pair, which is never nil; t must be one of Transports.
func (r *Registry) Lookup(t Transport, port uint16) *Entry { return r.Entry(r.Index(t, port)) }

// Index returns the number of a pair's Entry, from 0 to Entries()-1. Clients' ports are
// spread all over the registry, and it takes longer to fetch their entries than to look them
// up. Who keeps something for each answer can find it by this number alone.
func (r *Registry) Index(t Transport, port uint16) uint16 { return r.index.entry(t, port) }

// Entry returns the answer with a number.
func (r *Registry) Entry(index uint16) *Entry { return &r.entries[index] }

// Service returns the primary service name, or "" if the pair is not assigned or is
// one of the few that are assigned without a name.
func (e *Entry) Service() string {
	if len(e.services) == 0 {
		return ""
	}
	return e.services[0]
}

// Services returns all service names, the primary one first. The slice is
// shared and must not be changed.
func (e *Entry) Services() []string { return e.services }

// RegisteredOn returns the other transports on which the same port is assigned,
// whatever this pair's own status. The slice is shared and must not be changed.
func (e *Entry) RegisteredOn() []Transport { return e.on.List() }

// UnauthorizedUse reports whether IANA knows of unauthorized use of exactly this
// pair, and returns IANA's note on it. A pair of any status can have one.
func (e *Entry) UnauthorizedUse() (note string, reported bool) { return e.note, e.note != "" }

// Date returns when IANA last changed the registry, YYYY-MM-DD. The CSV does not
// say: its date is the newest of its rows, or "" if no row has a full date.
func (r *Registry) Date() string { return r.date }

// SHA256 returns the hash of the source that was parsed, in hexadecimal.
func (r *Registry) SHA256() string { return r.sha256 }

// Entries returns how many different answers there are.
func (r *Registry) Entries() int { return len(r.entries) }

// Len returns how many rows there are.
func (r *Registry) Len() int { return r.rowCount }

// Rows returns the rows in the registry's order.
func (r *Registry) Rows() iter.Seq[Row] {
	return r.rowsWhere(func(*packedRow) bool { return true })
}

// RowsOf returns the rows that cover the pair, the one that decides its status
// first (Rule O). There may be none: IANA does not list everything that is unassigned.
func (r *Registry) RowsOf(t Transport, port uint16) []Row {
	covers := func(p *packedRow) bool { return p.transports.Has(t) && p.ports.Contains(port) }
	return slices.SortedStableFunc(r.rowsWhere(covers), func(a, b Row) int { return ruleO(&a, &b) })
}

// rowsWhere yields the rows that match, and reads the texts of no others.
func (r *Registry) rowsWhere(match func(*packedRow) bool) iter.Seq[Row] {
	return func(yield func(Row) bool) {
		d, p := r.rows, packedRow{}
		for range r.rowCount {
			d.row(&p)
			if !match(&p) {
				continue
			}
			if row, _ := p.unpack(d.texts); !yield(row) {
				return
			}
		}
	}
}

// Encoded returns the compact form of the Registry, for Decode. It has all rows
// and fields.
func (r *Registry) Encoded() string { return r.data }

// An index holds the number of each pair's entry. It is divided into leaves, so that a long
// range of ports with the same answer needs only one. A single array of all pairs would be
// half a megabyte, and clients' ports would be spread all over it.
type index struct {
	pages  [len(Transports)][1 << 16 / leafSize]uint16 // indices into leaves
	leaves [][leafSize]uint16                          // indices into Registry.entries
}

const leafSize = 32 // ports: one cache line

func (x *index) entry(t Transport, port uint16) uint16 {
	return x.leaves[x.pages[t][port/leafSize]][port%leafSize]
}

// grow adds a leaf and returns its number.
func (x *index) grow() uint16 {
	x.leaves = append(x.leaves, [leafSize]uint16{})
	return uint16(len(x.leaves) - 1)
}
