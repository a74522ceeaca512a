package export

import (
	"strconv"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// This file has what the formats without lists and objects share: CEF, LEEF and CSV.

// dataset is ECS's event.dataset, and the category in formats that have one.
const dataset = "portwatch.flow"

// A phase is the stage of its Flow's life that a record reports.
type phase uint8

const (
	started phase = iota // the first record, with more to follow
	updated
	ended
	phases = int(iota)
)

// String returns ECS's event.action.
func (p phase) String() string { return [phases]string{"flow_start", "flow_update", "flow_end"}[p] }

func phaseOf(f *flow.Record) phase {
	switch {
	case f.Final:
		return ended
	case f.Sequence == 0:
		return started
	}
	return updated
}

// mostSevere returns the finding with the highest severity, the first of equally
// severe ones, or nil if there are none.
func mostSevere(r *annotate.Record) *annotate.Finding {
	var worst *annotate.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; worst == nil || f.Severity > worst.Severity {
			worst = f
		}
	}
	return worst
}

// tenths scales a severity from 0-100 to 0-10. It rounds up, so that a finding is
// never as low as no finding.
func tenths(severity int) uint64 { return uint64(severity+9) / 10 }

// score returns a confidence as a number up to 100.
func score(c flow.Confidence) uint64 { return 30 * uint64(c) }

// protocol returns IANA's keyword for a transport protocol, in capitals.
func protocol(t flow.Transport) string {
	switch t {
	case flow.TCP:
		return "TCP"
	case flow.UDP:
		return "UDP"
	case flow.DCCP:
		return "DCCP"
	case flow.SCTP:
		return "SCTP"
	case flow.UDPLite:
		return "UDPLITE"
	}
	return "UNKNOWN"
}

// appendEventID appends ECS's event.id: the Flow's id and the record's number in the
// Flow. It distinguishes a second delivery from a second record.
func appendEventID(dst []byte, f *flow.Record) []byte {
	id := f.ID()
	dst = append(appendID(dst, &id), '-')
	return appendUint(dst, uint64(f.Sequence))
}

// appendID appends the id of a Flow or of an alert.
func appendID(dst []byte, id *[16]byte) []byte {
	var digits [32]byte
	putHex(&digits, id)
	return append(dst, digits[:]...)
}

// appendMillis appends nanoseconds as whole milliseconds.
func appendMillis(dst []byte, ns int64) []byte { return strconv.AppendInt(dst, ns/1e6, 10) }

// appendWords appends a list, separated by spaces: none of IANA's service names
// contains one.
func appendWords(dst []byte, words []string) []byte {
	for i, w := range words {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, w...)
	}
	return dst
}

// appendTransports appends the names of transports as appendWords does.
func appendTransports(dst []byte, list []registry.Transport) []byte {
	for i, t := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, t.String()...)
	}
	return dst
}

// cut returns as much of text, which is valid UTF-8, as fits in limit octets, whole
// characters only.
func cut(text []byte, limit int) []byte {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
