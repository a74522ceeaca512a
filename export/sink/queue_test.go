package sink

import (
	"slices"
	"testing"
)

func TestFirstBatch(t *testing.T) {
	for _, test := range []struct {
		limits Limits
		bodies []int // octets
		want   int
	}{
		{Limits{Records: 3, Octets: 6, Record: 4}, nil, 0},
		{Limits{Records: 3, Octets: 6, Record: 4}, []int{1, 1, 1, 1}, 3},
		{Limits{Records: 3, Octets: 6, Record: 4}, []int{3, 3, 1}, 2},
		{Limits{Records: 3, Octets: 6, Record: 4}, []int{4, 3, 1}, 1},
		{Limits{Records: 3, Octets: 6, Record: 4}, []int{5, 1}, 0},
		{Limits{Records: 3, Octets: 6, Record: 4}, []int{1, 5}, 1},
		{Limits{Records: 3, Octets: 2, Record: 4}, []int{4, 1}, 1}, // one alone may have more
	} {
		var records []Record
		for _, n := range test.bodies {
			records = append(records, Record{Body: slices.Repeat([]byte("x"), n)})
		}
		if got := len(test.limits.first(records)); got != test.want {
			t.Errorf("%+v: %d of %v, want %d", test.limits, got, test.bodies, test.want)
		}
	}
}
