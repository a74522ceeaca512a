// Package annotate adds to a Flow what IANA's "Service Name and Transport Protocol
// Port Number Registry" (RFC 6335) says about both of its ports, and what of that a
// person should look at.
//
// An [Annotator] takes a [flow.Record] and fills a [Record]: a [Port] for each
// side, and a [Finding] for each [Rule] that the service side's port meets. It is a
// pure function of the Flow Record and the registry: no clock, no I/O.
//
// [Alerts] gathers the findings of many Flows into a few [Alert] documents.
//
// A finding is a question for a person, not a verdict: the registry itself warns
// that a port number proves neither which service runs there nor good intent. So
// the words are "assigned to https", never "is https".
package annotate
