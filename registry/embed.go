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
		panic(err) // nothing that a user gave: the tests decode the snapshot
	}
	return r
})

// EmbeddedDate is the date of that registry. It is read without the rest, which
// takes longer than all else that a short command does.
func EmbeddedDate() string {
	d := decoder{data: snapshot, at: len(magic)}
	return d.string(d.number())
}
