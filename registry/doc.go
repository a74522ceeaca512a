// Package registry answers what IANA's "Service Name and Transport Protocol
// Port Number Registry" (RFC 6335) says about a (transport, port).
//
// A [Registry] is one dated state of it: [Embedded] is the one that portwatch
// was built with, [Parse] reads IANA's CSV or XML. [Registry.Lookup] returns
// the [Entry] for a pair, in a few array reads; [Registry.Rows] and
// [Registry.RowsOf] return the rows from which the answers were made. [Compare]
// returns what changed between two states.
//
// An Entry says what is assigned, and nothing about traffic: the registry
// itself warns that a port number proves neither the service nor good intent.
//
// # From rows to answers
//
// The rules that turn rows into answers have letters; rules.go describes each.
//
//   - Rule O orders the rows that cover one pair.
//   - Rule S reads a row's status from its name and description.
//   - Rule P orders the service names of a pair.
//   - Rule U finds the pairs whose unauthorized use has been reported.
//
// # How it is stored
//
// A Registry keeps its rows in a compact form of its own (format.go), which is
// also what is embedded and cached. Opening it reads the answers; a row is
// decoded each time it is asked for.
package registry
