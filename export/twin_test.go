package export

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"strconv"
	"testing"
	"time"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
)

// The twin of ECS.Append: the same record as types that encoding/json writes.
type (
	twinRecord struct {
		Timestamp twinTime       `json:"@timestamp"`
		ECS       twinVersion    `json:"ecs"`
		Event     twinEvent      `json:"event"`
		Source    twinSide       `json:"source"`
		Dest      twinSide       `json:"destination"`
		Client    *twinSide      `json:"client,omitempty"`
		Server    *twinSide      `json:"server,omitempty"`
		Network   twinNetwork    `json:"network"`
		Observer  twinObserver   `json:"observer"`
		Related   map[string]any `json:"related"`
		Tags      []string       `json:"tags"`
		Portwatch twinPortwatch  `json:"portwatch"`
	}
	twinTime    int64
	twinVersion struct {
		Version string `json:"version"`
	}
	twinEvent struct {
		Kind     string    `json:"kind"`
		Category []string  `json:"category"`
		Type     []string  `json:"type"`
		Action   string    `json:"action"`
		Module   string    `json:"module"`
		Dataset  string    `json:"dataset"`
		Provider string    `json:"provider"`
		ID       string    `json:"id"`
		Sequence uint64    `json:"sequence"`
		Start    twinTime  `json:"start"`
		End      twinTime  `json:"end"`
		Duration int64     `json:"duration"`
		Created  *twinTime `json:"created,omitempty"`
		Severity *int      `json:"severity,omitempty"`
		Reason   *string   `json:"reason,omitempty"`
	}
	twinSide struct {
		IP      string `json:"ip"`
		Port    uint16 `json:"port"`
		Bytes   uint64 `json:"bytes"`
		Packets uint64 `json:"packets"`
	}
	twinID struct {
		ID string `json:"id"`
	}
	twinInner struct {
		VLAN twinID `json:"vlan"`
	}
	twinNetwork struct {
		Type        string     `json:"type"`
		Transport   string     `json:"transport"`
		IANANumber  string     `json:"iana_number"`
		CommunityID string     `json:"community_id"`
		Bytes       uint64     `json:"bytes"`
		Packets     uint64     `json:"packets"`
		VLAN        *twinID    `json:"vlan,omitempty"`
		Inner       *twinInner `json:"inner,omitempty"`
	}
	twinObserver struct {
		Name    string         `json:"name,omitempty"`
		Type    string         `json:"type"`
		Vendor  string         `json:"vendor"`
		Product string         `json:"product"`
		Version string         `json:"version"`
		Ingress map[string]any `json:"ingress,omitempty"`
	}
	twinPortwatch struct {
		Source      twinPortOf    `json:"source"`
		Destination twinPortOf    `json:"destination"`
		Flow        twinFlow      `json:"flow"`
		Findings    []twinFinding `json:"findings"`
		Tunnel      *twinTunnel   `json:"tunnel,omitempty"`
		Registry    twinRegistry  `json:"registry"`
	}
	twinPortOf struct {
		Port twinPort `json:"port"`
	}
	twinPort struct {
		Class        string    `json:"class"`
		Role         string    `json:"role"`
		Status       string    `json:"status"`
		Service      string    `json:"service,omitempty"`
		Services     []string  `json:"services,omitempty"`
		RegisteredOn []string  `json:"registered_on,omitempty"`
		Unauthorized *twinNote `json:"unauthorized_use,omitempty"`
	}
	twinNote struct {
		Reported bool   `json:"reported"`
		Note     string `json:"note"`
	}
	twinFlow struct {
		ID             string         `json:"id"`
		Sequence       uint32         `json:"sequence"`
		Final          bool           `json:"final"`
		EndReason      string         `json:"end_reason"`
		State          string         `json:"state"`
		Midstream      bool           `json:"midstream"`
		History        string         `json:"history,omitempty"`
		Direction      twinDirection  `json:"direction"`
		TCPFlags       *twinFlags     `json:"tcp_flags,omitempty"`
		Total          twinTotal      `json:"total"`
		LaterFragments *twinFragments `json:"later_fragments,omitempty"`
	}
	twinDirection struct {
		Method     string `json:"method"`
		Confidence string `json:"confidence"`
	}
	twinFlags struct {
		Source      []string `json:"source"`
		Destination []string `json:"destination"`
	}
	twinCount struct {
		Packets uint64 `json:"packets"`
		Bytes   uint64 `json:"bytes"`
	}
	twinTotal struct {
		Source      twinCount `json:"source"`
		Destination twinCount `json:"destination"`
		Start       twinTime  `json:"start"`
	}
	twinFragments struct {
		Source      twinCount `json:"source"`
		Destination twinCount `json:"destination"`
	}
	twinFinding struct {
		Rule       string `json:"rule"`
		ID         string `json:"id"`
		Side       string `json:"side"`
		Reason     string `json:"reason"`
		Severity   int    `json:"severity"`
		Confidence string `json:"confidence"`
	}
	twinTunnel struct {
		Type             string `json:"type"`
		ID               string `json:"id"`
		OuterCommunityID string `json:"outer_community_id"`
	}
	twinRegistry struct {
		Date   string `json:"date"`
		SHA256 string `json:"sha256"`
	}
)

func (t twinTime) MarshalText() ([]byte, error) {
	return time.Unix(0, int64(t)).UTC().AppendFormat(nil, "2006-01-02T15:04:05.000000000Z07:00"), nil
}

// twinOf returns what Append should write, as types for encoding/json.
func twinOf(o Options, r *annotate.Record, sequence uint64) *twinRecord {
	f := r.Flow
	record := &twinRecord{
		Timestamp: twinTime(f.End),
		ECS:       twinVersion{"9.4.0"},
		Event:     twinEventOf(o, r, sequence),
		Source:    twinSideOf(f.Source),
		Dest:      twinSideOf(f.Destination),
		Network:   twinNetworkOf(f),
		Observer:  twinObserver{Name: o.ObserverName, Type: "sensor", Vendor: "portwatch", Product: "portwatch", Version: o.Version},
		Related:   map[string]any{"ip": []string{f.Source.Addr().String(), f.Destination.Addr().String()}},
		Tags:      r.Tags().Names(),
		Portwatch: twinPortwatch{
			Source:      twinPortOf{twinPortOfSide(r.Source)},
			Destination: twinPortOf{twinPortOfSide(r.Destination)},
			Flow:        twinFlowOf(f),
			Findings:    []twinFinding{},
			Registry:    twinRegistry{r.Registry.Date(), r.Registry.SHA256()},
		},
	}
	switch f.Direction.Method.String() {
	case "handshake", "group", "announced", "learned":
		record.Client, record.Server = &record.Source, &record.Dest
	}
	if f.Source.Addr() == f.Destination.Addr() {
		record.Related["ip"] = []string{f.Source.Addr().String()}
	}
	if o.Interface != "" {
		record.Observer.Ingress = map[string]any{"interface": map[string]string{"name": o.Interface}}
	}
	for _, f := range r.Findings {
		record.Portwatch.Findings = append(record.Portwatch.Findings, twinFinding{
			f.Rule.String(), f.Rule.ID(), f.Side.String(), r.Reason(f), f.Severity, f.Confidence.String()})
	}
	if f.Tunnel.Type != 0 {
		record.Portwatch.Tunnel = &twinTunnel{
			f.Tunnel.Type.String(), strconv.Itoa(int(f.Tunnel.ID)), twinCommunityID(f.Tunnel.CommunityID())}
	}
	return record
}

func encodeTwin(t testing.TB, out *bytes.Buffer, record *twinRecord) {
	e := json.NewEncoder(out)
	e.SetEscapeHTML(false)
	if err := e.Encode(record); err != nil {
		t.Fatal(err)
	}
}

func twinEventOf(o Options, r *annotate.Record, sequence uint64) twinEvent {
	f := r.Flow
	id := twinID128(f)
	event := twinEvent{
		Kind: "event", Category: []string{"network"}, Type: []string{"connection"}, Action: "flow_update",
		Module: "portwatch", Dataset: "portwatch.flow", Provider: "portwatch",
		ID: id + "-" + strconv.Itoa(int(f.Sequence)), Sequence: sequence,
		Start: twinTime(f.Start), End: twinTime(f.End), Duration: f.End - f.Start,
	}
	if f.Sequence == 0 {
		event.Type, event.Action = append(event.Type, "start"), "flow_start"
	}
	if f.Final {
		event.Type, event.Action = append(event.Type, "end"), "flow_end"
	}
	if len(event.Type) == 1 {
		event.Type = append(event.Type, "info")
	}
	if o.Now != nil {
		created := twinTime(o.Now().UnixNano())
		event.Created = &created
	}
	for _, f := range r.Findings {
		if event.Severity == nil || f.Severity > *event.Severity {
			severity, reason := f.Severity, r.Reason(f)
			event.Severity, event.Reason = &severity, &reason
		}
	}
	return event
}

func twinSideOf(s flow.Side) twinSide {
	return twinSide{s.Addr().String(), s.Port(), s.Octets, s.Packets}
}

func twinNetworkOf(f *flow.Record) twinNetwork {
	n := twinNetwork{
		Type: "ipv" + strconv.Itoa(int(f.Version)), Transport: f.Transport.String(),
		IANANumber: strconv.Itoa(int(f.Transport)), CommunityID: twinCommunityID(f.CommunityID()),
		Bytes: f.Source.Octets + f.Destination.Octets, Packets: f.Source.Packets + f.Destination.Packets,
	}
	if f.VLANs >= 1 {
		n.VLAN = &twinID{strconv.Itoa(int(f.VLAN[0]))}
	}
	if f.VLANs >= 2 {
		n.Inner = &twinInner{twinID{strconv.Itoa(int(f.VLAN[1]))}}
	}
	return n
}

func twinID128(f *flow.Record) string {
	id := f.ID()
	return hex.EncodeToString(id[:])
}

func twinCommunityID(sum [20]byte) string { return "1:" + base64.StdEncoding.EncodeToString(sum[:]) }

func twinPortOfSide(p annotate.Port) twinPort {
	twin := twinPort{Class: p.Class.String(), Role: p.Role.String(), Status: p.Entry.Status.String(),
		Service: p.Entry.Service(), Services: p.Entry.Services()}
	for _, t := range p.Entry.RegisteredOn() {
		twin.RegisteredOn = append(twin.RegisteredOn, t.String())
	}
	if note, reported := p.Entry.UnauthorizedUse(); reported {
		twin.Unauthorized = &twinNote{true, note}
	}
	return twin
}

func twinFlowOf(f *flow.Record) twinFlow {
	twin := twinFlow{
		ID: twinID128(f), Sequence: f.Sequence, Final: f.Final,
		EndReason: f.EndReason.String(), State: f.State.String(), Midstream: f.Midstream,
		History:   string(f.History[:f.HistoryLen]),
		Direction: twinDirection{f.Direction.Method.String(), f.Direction.Confidence.String()},
		Total:     twinTotal{twinCountOf(f.Source.Total), twinCountOf(f.Destination.Total), twinTime(f.FlowStart)},
	}
	if f.Transport == flow.TCP {
		twin.TCPFlags = &twinFlags{twinFlagNames(f.Source.Flags), twinFlagNames(f.Destination.Flags)}
	}
	if f.Source.LaterFragments.Packets > 0 || f.Destination.LaterFragments.Packets > 0 {
		twin.LaterFragments = &twinFragments{twinCountOf(f.Source.LaterFragments), twinCountOf(f.Destination.LaterFragments)}
	}
	return twin
}

func twinFlagNames(flags flow.TCPFlags) []string {
	names := []string{}
	for _, flag := range []struct {
		bit  flow.TCPFlags
		name string
	}{{flow.FIN, "fin"}, {flow.SYN, "syn"}, {flow.RST, "rst"}, {flow.PSH, "psh"},
		{flow.ACK, "ack"}, {flow.URG, "urg"}, {flow.ECE, "ece"}, {flow.CWR, "cwr"}} {
		if flags&flag.bit != 0 {
			names = append(names, flag.name)
		}
	}
	return names
}

func twinCountOf(c flow.Count) twinCount { return twinCount{c.Packets, c.Octets} }
