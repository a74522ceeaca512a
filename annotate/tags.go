package annotate

// Tags is the set of words that say what is special about a record: the rules of its
// findings, and what is in doubt. It is a set of bits, those of the rules first.
type Tags uint8

// The tags other than the rules.
const (
	// DirectionUnknownTag: see Record.DirectionUnknown.
	DirectionUnknownTag Tags = 1 << (Rules + iota)
	// MidstreamTag: the Flow's beginning was not seen.
	MidstreamTag

	// AllTags is the set of all tags.
	AllTags Tags = 1<<(Rules+iota) - 1
)

// Tags returns the record's tags.
func (r *Record) Tags() Tags {
	var t Tags
	for i := range r.Findings {
		t |= 1 << r.Findings[i].Rule
	}
	if r.DirectionUnknown {
		t |= DirectionUnknownTag
	}
	if r.Flow.Midstream {
		t |= MidstreamTag
	}
	return t
}

// Names returns the tags in the order of the bits.
func (t Tags) Names() []string {
	names := []string{}
	for rule := range Rule(Rules) {
		if t&(1<<rule) != 0 {
			names = append(names, rule.String())
		}
	}
	if t&DirectionUnknownTag != 0 {
		names = append(names, "direction-unknown")
	}
	if t&MidstreamTag != 0 {
		names = append(names, "midstream")
	}
	return names
}
