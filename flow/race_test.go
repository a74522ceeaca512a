//go:build race

package flow

// raced tells that the race detector watches. For its sake, the standard library makes a
// temporary slice where it marshals the state of a hash.
const raced = true
