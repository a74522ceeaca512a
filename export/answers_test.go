package export

import (
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/registry"
)

// Once there is enough text, answers are still returned, but not kept.
func TestAnswersAreBounded(t *testing.T) {
	a := newAnswers(registry.Embedded())
	first, large, late := &annotate.Port{Index: 1}, &annotate.Port{Index: 2}, &annotate.Port{Index: 3}
	a.keep(first, append(a.room(), "first"...))
	if got := a.keep(large, append(a.room(), make([]byte, mostAnswers)...)); len(got) != mostAnswers {
		t.Errorf("an answer of %d octets", len(got))
	}
	for _, want := range []string{"late", "later"} {
		if got := a.keep(late, append(a.room(), want...)); string(got) != want || a.of(late) != nil {
			t.Errorf("%q for %q, of which %q is kept", got, want, a.of(late))
		}
	}
	if string(a.of(first)) != "first" || len(a.of(large)) != mostAnswers || len(a.text) != len("first")+mostAnswers {
		t.Errorf("%d octets are kept, the first are %q", len(a.text), a.of(first))
	}
}
