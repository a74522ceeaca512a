package export

import (
	"strconv"
	"unicode/utf8"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// What the formats share that know neither lists nor objects: CEF, LEEF and CSV.

// dataset is event.dataset of ECS, and the category of formats that have one.
const dataset = "portwatch.flow"

// A phase is what a record tells of its Flow's life.
type phase uint8

const (
	started phase = iota // the first record, and others will follow
	updated
	ended
	phases = int(iota)
)

// String returns event.action of ECS.
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

// mostSevere returns the finding of the highest severity, the first of equals; nil
// where there is none.
func mostSevere(r *annotate.Record) *annotate.Finding {
	var worst *annotate.Finding
	for i := range r.Findings {
		if f := &r.Findings[i]; worst == nil || f.Severity > worst.Severity {
			worst = f
		}
	}
	return worst
}

// tenths scales a severity from 0-100 to 0-10. It rounds up: no finding is as low
// as none.
func tenths(severity int) uint64 { return uint64(severity+9) / 10 }

// score is a confidence as a number of 100.
func score(c flow.Confidence) uint64 { return 30 * uint64(c) }

// protocol returns IANA's keyword of a transport protocol, in capitals.
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

// appendEventID appends event.id of ECS: the Flow's id and the record's number in
// the Flow. It tells a second delivery from a second record.
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

// appendMillis appends nanoseconds since the Unix epoch in whole milliseconds.
func appendMillis(dst []byte, ns int64) []byte { return strconv.AppendInt(dst, ns/1e6, 10) }

// appendWords appends a list with a space between the words: no service name of
// IANA's has one.
func appendWords(dst []byte, words []string) []byte {
	for i, w := range words {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, w...)
	}
	return dst
}

// appendTransports appends the names of a list of transports like appendWords.
func appendTransports(dst []byte, list []registry.Transport) []byte {
	for i, t := range list {
		if i > 0 {
			dst = append(dst, ' ')
		}
		dst = append(dst, t.String()...)
	}
	return dst
}

// cut returns what of valid UTF-8 has room in limit octets, whole characters only.
func cut(text []byte, limit int) []byte {
	if len(text) <= limit {
		return text
	}
	for !utf8.RuneStart(text[limit]) {
		limit--
	}
	return text[:limit]
}
