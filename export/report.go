package export

import (
	"bytes"
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// How much a report shows.
const (
	shownServices  = 10
	shownHosts     = 20
	shownEndpoints = 4 // of one host; the others share a line
)

// Append appends the closing report of a run: packets and their rate, Flows, the
// services with the most Flows, and the flagged endpoints.
func (s *Summary) Append(dst []byte, c *Counts) []byte {
	dst = appendPacketLines(dst, c)
	dst = s.appendFlowLine(dst, c)
	dst = s.appendServices(dst)
	dst = s.appendFlagged(dst, c)
	return c.Delivery.appendLines(dst)
}

// appendLines appends what became of each sink's records.
func (c *DeliveryCounts) appendLines(dst []byte) []byte {
	for i := range c.Sinks {
		n := &c.Sinks[i]
		dst = append(dst, "\ndelivery to "...)
		dst = appendPrintable(dst, n.Name)
		dst = appendNamedLine(append(dst, '\n'), "  ", []Named{{"found in the spool", n.Found}}, false)
		dst = append(dst, "  "...)
		for j, part := range []Named{
			{"accepted", n.Accepted}, {"delivered", n.Delivered}, {"in spool", n.InSpool},
			{"dead-lettered", n.DeadLettered}, {"dropped", n.Dropped},
		} {
			if j > 0 {
				dst = append(dst, ", "...)
			}
			dst = appendThousands(dst, part.Count)
			dst = append(dst, ' ')
			dst = append(dst, part.Name...)
		}
		dst = append(dst, '\n')
	}
	return dst
}

// appendPacketLines appends what was read, how fast, and what became of the packets.
func appendPacketLines(dst []byte, c *Counts) []byte {
	dst = appendCounted(dst, c.Packets.Read, "packet")
	dst = append(dst, ", "...)
	dst = appendScaled(dst, c.BytesRead)
	dst = append(dst, " octets, "...)
	if c.Seconds.Capture > 0 {
		dst = append(dst, "seen in "...)
		dst = appendSpan(dst, c.Seconds.Capture)
		dst = append(dst, ", "...)
	}
	dst = append(dst, "read in "...)
	dst = appendSpan(dst, c.Seconds.Wall)
	dst = appendRate(dst, c.Packets.Read, c.Seconds.Wall)
	dst = append(dst, '\n')

	var classes []Named
	for _, class := range c.Packets.classes() {
		classes = append(classes, Named{class.title, class.Count})
	}
	dst = appendNamedLine(dst, "  ", classes, false)
	dst = appendNamedLine(dst, "  not matched by the filter: ", []Named{{"", c.Filtered}}, false)
	if len(c.LinkTypes) > 1 {
		dst = appendNamedLine(dst, "  link types: ", c.LinkTypes, false)
	}
	dst = appendNamedLine(dst, "  dropped: ", []Named{
		{"by the kernel", c.Drops.Kernel},
		{"by the interface", c.Drops.Interface},
		{"by portwatch", c.Drops.Own}}, c.Live)
	return appendNamedLine(dst, "  limits reached: ", c.Limits, false)
}

func appendRate(dst []byte, packets uint64, d time.Duration) []byte {
	if d <= 0 {
		return dst
	}
	dst = append(dst, " ("...)
	dst = appendScaled(dst, uint64(float64(packets)/d.Seconds()))
	return append(dst, " packets/s)"...)
}

// appendNamedLine appends counters as one line, including those that are 0 only if
// zeros is set. If none are left, it appends nothing.
func appendNamedLine(dst []byte, title string, counters []Named, zeros bool) []byte {
	separator := title
	for _, n := range counters {
		if n.Count == 0 && !zeros {
			continue
		}
		dst = append(dst, separator...)
		dst = appendThousands(dst, n.Count)
		if n.Name != "" {
			dst = append(dst, ' ')
			dst = appendPrintable(dst, n.Name)
		}
		separator = " · "
	}
	if separator == title {
		return dst
	}
	return append(dst, '\n')
}

// appendCounted appends a number and its noun: 1 packet, 2,000 packets.
func appendCounted(dst []byte, n uint64, noun string) []byte {
	dst = appendThousands(dst, n)
	dst = append(dst, ' ')
	dst = append(dst, noun...)
	if n != 1 {
		dst = append(dst, 's')
	}
	return dst
}

func (s *Summary) appendFlowLine(dst []byte, c *Counts) []byte {
	var states []Named
	for _, state := range [...]flow.State{
		flow.Established, flow.Closed, flow.Reset, flow.OneWay, flow.Attempt, flow.Rejected} {
		states = append(states, Named{state.String(), s.states[state]})
	}
	dst = appendCounted(dst, c.Flows.Created, "Flow")
	dst = append(dst, '\n')
	return appendNamedLine(dst, "  ", states, false)
}

// appendServices appends the service ports with the most Flows. Flows that were only
// attempts are not counted.
func (s *Summary) appendServices(dst []byte) []byte {
	if len(s.services) == 0 {
		return dst
	}
	ports := slices.SortedFunc(maps.Keys(s.services), func(a, b servicePort) int {
		return cmp.Or(cmp.Compare(s.services[b].flows, s.services[a].flows),
			cmp.Compare(s.services[b].octets, s.services[a].octets),
			cmp.Compare(a.number, b.number), cmp.Compare(a.transport, b.transport))
	})
	rows := table{{"SERVICE PORT", "ASSIGNED TO", "FLOWS", "OCTETS"}}
	for _, p := range ports[:min(len(ports), shownServices)] {
		v := s.services[p]
		rows = append(rows, []string{
			strconv.Itoa(int(p.number)) + "/" + p.transport.String(),
			string(appendAssigned(nil, v.entry)), thousands(v.flows), scaled(v.octets),
		})
	}
	dst = append(dst, '\n')
	dst = rows.append(dst, "  ", 2)
	if more := len(ports) - shownServices; more > 0 {
		dst = append(dst, "  and "...)
		dst = appendCounted(dst, uint64(more), "more port")
		dst = append(dst, '\n')
	}
	return dst
}

// flaggedHost is what is reported about one host.
type flaggedHost struct {
	host
	endpoints []endpoint // those that were used, the most serious first
	attempts  *attempts  // nil if there are none
	worst     *usage
}

func (s *Summary) appendFlagged(dst []byte, c *Counts) []byte {
	hosts := s.flaggedHosts()
	if len(hosts) == 0 {
		return append(dst, "\nNo findings.\n"...)
	}
	dst = appendNamedLine(append(dst, '\n'), "! findings: ", c.Findings.named(), false)
	rows := table{{"FLAGGED ENDPOINT", "TRANSPORT", "THE REGISTRY SAYS", "STATE", "FLOWS", "CLIENTS", "OCTETS"}}
	for _, h := range hosts[:min(len(hosts), shownHosts)] {
		rows = s.appendHost(rows, h)
	}
	if s.Width > 0 && rows.width("  ") > s.Width {
		dst = rows.appendFolded(dst, "  ", 4, longColumn)
	} else {
		dst = rows.append(dst, "  ", 4)
	}
	if more := len(hosts) - shownHosts; more > 0 {
		dst = append(dst, "  and endpoints of "...)
		dst = appendCounted(dst, uint64(more), "more host")
		dst = append(dst, '\n')
	}
	if s.lost > 0 {
		dst = append(dst, "  and "...)
		dst = appendCounted(dst, s.lost, "more flagged Flow")
		dst = append(dst, " of endpoints beyond what this table can hold\n"...)
	}
	return dst
}

// flaggedHosts gathers both tables by host, the most serious host first.
func (s *Summary) flaggedHosts() []*flaggedHost {
	hosts := make(map[host]*flaggedHost)
	at := func(h host) *flaggedHost {
		if hosts[h] == nil {
			hosts[h] = &flaggedHost{host: h}
		}
		return hosts[h]
	}
	for e := range s.flagged {
		h := at(e.host)
		h.endpoints = append(h.endpoints, e)
	}
	for key, a := range s.tried {
		at(key).attempts = a
	}
	for _, h := range hosts {
		slices.SortFunc(h.endpoints, func(a, b endpoint) int {
			return cmp.Or(compareUsage(s.flagged[a], s.flagged[b]), cmp.Compare(a.port, b.port))
		})
		if len(h.endpoints) > 0 {
			h.worst = s.flagged[h.endpoints[0]]
		} else {
			h.worst = &h.attempts.usage
		}
	}
	return slices.SortedFunc(maps.Values(hosts), func(a, b *flaggedHost) int {
		return cmp.Or(compareUsage(a.worst, b.worst), a.addr.Compare(b.addr), cmp.Compare(a.transport, b.transport))
	})
}

// compareUsage sorts the more severe first and, if equally severe, the one with more
// Flows.
func compareUsage(a, b *usage) int {
	return cmp.Or(cmp.Compare(b.severity, a.severity), cmp.Compare(b.flows, a.flows))
}

// appendHost appends a row for each of the first endpoints, one for the rest of them,
// and one for the ports that were only tried.
func (s *Summary) appendHost(rows table, h *flaggedHost) table {
	shown := min(len(h.endpoints), shownEndpoints)
	for _, e := range h.endpoints[:shown] {
		rows = append(rows, usageRow(e, s.flagged[e]))
	}
	if rest := h.endpoints[shown:]; len(rest) > 0 {
		var sum usage
		for _, e := range rest {
			sum.flows += s.flagged[e].flows
			sum.octets += s.flagged[e].octets
		}
		rows = append(rows, []string{morePorts(h.host, len(rest), true), h.transport.String(),
			"", "", thousands(sum.flows), "", scaled(sum.octets)})
	}
	a := h.attempts
	switch n := s.portsOnlyTried(h); {
	case n == 0:
		return rows
	case a.ports == nil:
		return append(rows, usageRow(endpoint{h.host, a.first}, &a.usage))
	default:
		return append(rows, []string{morePorts(h.host, n, shown > 0), h.transport.String(),
			"", "attempts only", thousands(a.flows), atLeast(&a.usage), scaled(a.octets)})
	}
}

// portsOnlyTried counts the ports of a host that were tried but never used.
func (s *Summary) portsOnlyTried(h *flaggedHost) int {
	a := h.attempts
	if a == nil {
		return 0
	}
	n, has := 1, func(port uint16) bool { return port == a.first }
	if a.ports != nil {
		n, has = a.ports.n, a.ports.has
	}
	for _, e := range h.endpoints {
		if has(e.port) {
			n--
		}
	}
	return n
}

func usageRow(e endpoint, u *usage) []string {
	return []string{netip.AddrPortFrom(e.addr, e.port).String(), e.transport.String(), registrySays(u.entry),
		u.state.String(), thousands(u.flows), atLeast(u), scaled(u.octets)}
}

// morePorts returns the text that replaces the endpoint in a row of several ports.
func morePorts(h host, n int, more bool) string {
	noun := "port"
	if more {
		noun = "more port"
	}
	return h.addr.String() + ": " + string(appendCounted(nil, uint64(n), noun))
}

// registrySays returns the first name or, without one, the status, and whether
// unauthorized use is reported.
func registrySays(entry *registry.Entry) string {
	says := entry.Status.String()
	if name := entry.Service(); name != "" {
		says = string(appendClipped([]byte("assigned to "), name, maxName))
	}
	if _, reported := entry.UnauthorizedUse(); reported {
		says += ", unauthorized use reported"
	}
	return says
}

func atLeast(u *usage) string {
	if u.moreClients {
		return thousands(u.clients) + "+"
	}
	return thousands(u.clients)
}

func thousands(n uint64) string { return string(appendThousands(nil, n)) }

func scaled(n uint64) string { return string(appendScaled(nil, n)) }

// A table is rows of cells, the heading first.
type table [][]string

// longColumn is the column of the flagged endpoints that has whole phrases.
const longColumn = 2

// widths returns the width of each column's widest cell, in characters.
func (t table) widths() []int {
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, text := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	return widths
}

// width returns the width of a whole row, in columns of the terminal.
func (t table) width(indent string) int {
	width := len(indent) - 2
	for _, w := range t.widths() {
		width += w + 2
	}
	return width
}

// appendFolded appends the rows without one of their columns, each of whose cells gets
// a line of its own below its row.
func (t table) appendFolded(dst []byte, indent string, numbers, column int) []byte {
	rows := make(table, len(t))
	for i, row := range t {
		rows[i] = slices.Delete(slices.Clone(row), column, column+1)
	}
	i := 0
	for line := range bytes.Lines(rows.append(nil, indent, numbers-1)) {
		dst = append(dst, line...)
		if i > 0 && t[i][column] != "" {
			dst = append(dst, indent...)
			dst = append(dst, "    "...)
			dst = append(dst, t[i][column]...)
			dst = append(dst, '\n')
		}
		i++
	}
	return dst
}

// append appends the rows, each after indent, with columns as wide as their widest
// cell. Columns from numbers on are flush right.
func (t table) append(dst []byte, indent string, numbers int) []byte {
	widths := t.widths()
	for _, row := range t {
		gap := len(indent)
		for i, text := range row {
			room := widths[i] - utf8.RuneCountInString(text)
			if i >= numbers {
				gap, room = gap+room, 0
			}
			dst = appendSpaces(dst, gap)
			dst = append(dst, text...)
			gap = room + 2
		}
		dst = append(dst, '\n')
	}
	return dst
}
