package export

import (
	"strconv"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
)

// Counts are the counters of a run.
type Counts struct {
	Packets PacketCounts
	// Filtered packets did not match the filter, and are in no other counter.
	Filtered uint64
	// LaterFragmentsJoined is how many later fragments were joined to the Flow of
	// their first fragment.
	LaterFragmentsJoined uint64
	BytesRead            uint64 // of packets as captured, without the file's own headers

	// Drops are packets that were lost: in the kernel's buffer, in the interface, and
	// in portwatch itself.
	Drops struct{ Kernel, Interface, Own uint64 }

	Flows struct {
		Created  uint64
		Exported uint64                           // records
		ByReason [flow.LackOfResources + 1]uint64 // records, by flow.EndReason
	}
	Findings  Findings
	Alerts    struct{ Opened, Updated uint64 }
	LinkTypes []Named // packets
	Limits    []Named // how often each bound was reached
	Delivery  DeliveryCounts

	Seconds struct {
		Wall    time.Duration // from start to end of the run
		CPU     time.Duration // user and system time of the process
		Capture time.Duration // from the first packet to the last
	}

	// Live makes the summary show drops even if there are none.
	Live bool
}

// PacketCounts count every packet read in exactly one class, by its outermost IP
// header: Read is the sum of the others.
type PacketCounts struct {
	Read, WithPorts, ICMP, OtherIP, LaterFragments, BadTransport, BadIP, NonIP, UnknownLink uint64
}

// Named is a counter and its name.
type Named struct {
	Name  string
	Count uint64
}

// DeliveryCounts say what became of the records for the sinks, if there are any.
type DeliveryCounts struct {
	Sinks []SinkCounts
	Spool []Named
}

// SinkCounts count one sink's records. Found + Accepted = Delivered + InSpool +
// DeadLettered + Dropped.
type SinkCounts struct {
	Name         string
	Found        uint64 // in the spool, from earlier runs
	Accepted     uint64 // from this run
	Delivered    uint64
	InSpool      uint64 // left for the next run
	DeadLettered uint64
	Dropped      uint64

	Retries uint64 // how often a record had to be sent again
	Outages uint64 // how often the receiver became unreachable
}

func (c *SinkCounts) named() [8]Named {
	return [...]Named{
		{"found", c.Found}, {"accepted", c.Accepted}, {"delivered", c.Delivered}, {"in_spool", c.InSpool},
		{"dead_lettered", c.DeadLettered}, {"dropped", c.Dropped}, {"retries", c.Retries}, {"outages", c.Outages},
	}
}

// Findings counts the findings of each annotate.Rule.
type Findings [annotate.Rules]uint64

// Add adds the record's findings.
func (f *Findings) Add(r *annotate.Record) {
	for i := range r.Findings {
		f[r.Findings[i].Rule]++
	}
}

// Sum returns the number of findings of all rules.
func (f *Findings) Sum() (n uint64) {
	for _, of := range f {
		n += of
	}
	return n
}

func (f *Findings) named() (all []Named) {
	for rule, n := range f {
		all = append(all, Named{annotate.Rule(rule).String(), n})
	}
	return all
}

// classes returns the counters of PacketCounts except Read, with their names in JSON
// and for people.
func (p *PacketCounts) classes() [8]struct {
	Named
	title string
} {
	type class = struct {
		Named
		title string
	}
	return [...]class{
		{Named{"with_ports", p.WithPorts}, "with ports"},
		{Named{"icmp", p.ICMP}, "ICMP"},
		{Named{"other_ip", p.OtherIP}, "other IP"},
		{Named{"later_fragments", p.LaterFragments}, "later fragments"},
		{Named{"bad_transport", p.BadTransport}, "bad transport header"},
		{Named{"bad_ip", p.BadIP}, "bad IP header"},
		{Named{"non_ip", p.NonIP}, "not IP"},
		{Named{"unknown_link", p.UnknownLink}, "unknown link type"},
	}
}

// AppendJSON appends the counters as one JSON object on one line, including the
// newline.
func (c *Counts) AppendJSON(dst []byte) []byte {
	dst = append(dst, `{"packets":{"read":`...)
	dst = strconv.AppendUint(dst, c.Packets.Read, 10)
	for _, class := range c.Packets.classes() {
		dst = append(dst, ',')
		dst = appendMember(dst, class.Named)
	}
	dst = append(dst, `},"filtered":`...)
	dst = strconv.AppendUint(dst, c.Filtered, 10)
	dst = append(dst, `,"later_fragments_joined":`...)
	dst = strconv.AppendUint(dst, c.LaterFragmentsJoined, 10)
	dst = append(dst, `,"bytes":`...)
	dst = appendObject(dst, []Named{{"read", c.BytesRead}})
	dst = append(dst, `,"drops":`...)
	dst = appendObject(dst, []Named{
		{"kernel", c.Drops.Kernel}, {"interface", c.Drops.Interface}, {"own", c.Drops.Own}})
	dst = append(dst, `,"flows":{"created":`...)
	dst = strconv.AppendUint(dst, c.Flows.Created, 10)
	dst = append(dst, `,"exported":`...)
	dst = strconv.AppendUint(dst, c.Flows.Exported, 10)
	dst = append(dst, `,"by_end_reason":`...)
	dst = appendObject(dst, c.byReason())
	dst = append(dst, `},"findings":`...)
	dst = appendObject(dst, c.Findings.named())
	dst = append(dst, `,"alerts":`...)
	dst = appendObject(dst, []Named{{"opened", c.Alerts.Opened}, {"updated", c.Alerts.Updated}})
	dst = append(dst, `,"link_types":`...)
	dst = appendObject(dst, c.LinkTypes)
	dst = append(dst, `,"limits":`...)
	dst = appendObject(dst, c.Limits)
	if len(c.Delivery.Sinks) > 0 {
		dst = append(dst, `,"delivery":`...)
		dst = c.Delivery.appendJSON(dst)
	}
	dst = append(dst, `,"seconds":{"wall":`...)
	dst = appendSeconds(dst, c.Seconds.Wall)
	dst = append(dst, `,"cpu":`...)
	dst = appendSeconds(dst, c.Seconds.CPU)
	dst = append(dst, `,"capture":`...)
	dst = appendSeconds(dst, c.Seconds.Capture)
	return append(dst, "}}\n"...)
}

func (c *DeliveryCounts) appendJSON(dst []byte) []byte {
	separator := `{"sinks":[{"name":`
	for i := range c.Sinks {
		n := c.Sinks[i].named()
		dst = append(dst, separator...)
		dst = appendString(dst, c.Sinks[i].Name)
		for _, member := range n {
			dst = append(dst, ',')
			dst = appendMember(dst, member)
		}
		separator = `},{"name":`
	}
	dst = append(dst, `}],"spool":`...)
	dst = appendObject(dst, c.Spool)
	return append(dst, '}')
}

// byReason returns the counters of all end reasons, including those that are 0.
func (c *Counts) byReason() []Named {
	var all []Named
	for reason := flow.IdleTimeout; reason <= flow.LackOfResources; reason++ {
		all = append(all, Named{reason.String(), c.Flows.ByReason[reason]})
	}
	return all
}

func appendObject(dst []byte, members []Named) []byte {
	dst = append(dst, '{')
	for i, m := range members {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendMember(dst, m)
	}
	return append(dst, '}')
}

func appendMember(dst []byte, m Named) []byte {
	dst = appendString(dst, m.Name)
	dst = append(dst, ':')
	return strconv.AppendUint(dst, m.Count, 10)
}

func appendSeconds(dst []byte, d time.Duration) []byte {
	return strconv.AppendFloat(dst, d.Seconds(), 'f', 6, 64)
}
