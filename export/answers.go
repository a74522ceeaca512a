package export

import (
	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/registry"
)

// answers keep what a format writes for each of the registry's answers, from when it is first
// needed. Clients' ports are spread all over the registry, so that the texts lie side by side,
// and are found without a pointer.
type answers struct {
	spans []span // by annotate.Port.Index; empty: not kept
	text  []byte
	spare []byte // for what is not kept
}

// A span is a part of answers.text.
type span struct{ from, to uint32 }

// mostAnswers is how many octets of text are enough: once there are more, further answers are
// not kept. IANA's registry needs less than a tenth; a file may repeat a long note in tens of
// thousands of answers.
const mostAnswers = 16 << 20

func newAnswers(reg *registry.Registry) answers { return answers{spans: make([]span, reg.Entries())} }

// of returns what is kept for the answer to a port, or nil.
func (a *answers) of(p *annotate.Port) []byte {
	s := a.spans[p.Index]
	if s.to == 0 {
		return nil
	}
	return a.text[s.from:s.to]
}

// room returns the slice to append an answer to.
func (a *answers) room() []byte {
	if len(a.text) > mostAnswers {
		return a.spare[:0]
	}
	return a.text
}

// keep takes what was appended to room for the answer to a port, and returns the answer. It is
// valid until the next one.
func (a *answers) keep(p *annotate.Port, text []byte) []byte {
	if len(a.text) > mostAnswers {
		a.spare = text
		return text
	}
	from := len(a.text)
	a.spans[p.Index] = span{uint32(from), uint32(len(text))}
	a.text = text
	return text[from:]
}
