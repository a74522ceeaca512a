package registry

import (
	_ "embed"
	"sync"
)

// The snapshot is renewed from a copy of IANA's XML, whose date and sha256 it
// then carries, by
//
//	XML=/absolute/path/service-names-port-numbers.xml go generate ./registry
//
//go:generate go run gen.go -o data/snapshot

//go:embed data/snapshot
var snapshot string

// Embedded returns the registry that the program was built with.
var Embedded = sync.OnceValue(func() *Registry {
	r, err := open(snapshot)
	if err != nil {
		panic(err) // no input can cause it: the tests decode the snapshot
	}
	return r
})

// EmbeddedDate returns the date of that registry. It reads only that: opening the
// registry takes longer than everything else that a short command does.
func EmbeddedDate() string {
	d := decoder{data: snapshot, at: len(magic)}
	return d.string(d.number())
}
