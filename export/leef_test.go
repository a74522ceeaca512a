package export

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/annotate"
)

func TestLEEFGolden(t *testing.T) {
	golden(t, "leef.golden", renderFlat(t, nil, NewLEEF(testRegistry(t), Options{Version: "1.2.3"}).Append))
}

// readLEEF reads a line as IBM describes LEEF 2.0: six header fields, each with a
// pipe after it and no way to escape one; the last is the delimiter, a character or
// x or 0x with up to four hexadecimal digits. Then come attributes with the delimiter
// between, each a key of letters and digits, an equals sign, and the value.
func readLEEF(line string) (map[string]string, error) {
	parts := strings.SplitN(strings.TrimSuffix(line, "\n"), "|", 7)
	if len(parts) < 7 {
		return nil, errors.New("header too short")
	}
	fields := map[string]string{
		"format": parts[0], "vendor": parts[1], "product": parts[2], "version": parts[3], "event id": parts[4],
	}
	delimiter := parts[5]
	if digits, hex := strings.CutPrefix(strings.TrimPrefix(delimiter, "0"), "x"); hex {
		n, err := strconv.ParseUint(digits, 16, 16)
		if err != nil {
			return nil, err
		}
		delimiter = string(rune(n))
	}
	if len([]rune(delimiter)) != 1 {
		return nil, fmt.Errorf("delimiter %q", delimiter)
	}
	for attribute := range strings.SplitSeq(parts[6], delimiter) {
		key, value, found := strings.Cut(attribute, "=")
		if !found || key == "" || strings.ContainsFunc(key, func(r rune) bool { return !isAlphanumeric(r) }) {
			return nil, fmt.Errorf("attribute %.100q", attribute)
		}
		if _, twice := fields[key]; twice {
			return nil, fmt.Errorf("%s twice", key)
		}
		if value == "" {
			return nil, fmt.Errorf("%s is empty", key)
		}
		fields[key] = value
	}
	return fields, nil
}

func isAlphanumeric(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
}

// TestReadLEEFRefuses shows that the reader can say no, and reads IBM's examples.
func TestReadLEEFRefuses(t *testing.T) {
	for _, bad := range []string{
		"LEEF:2.0|a|b|c|d|^", "LEEF:2.0|a|b|c|d|xyz|k=v", "LEEF:2.0|a|b|c|d|long|k=v", "LEEF:2.0|a|b|c|d|x09|k=v\tword",
		"LEEF:2.0|a|b|c|d|x09|k=v\tk=v", "LEEF:2.0|a|b|c|d|x09|k k=v", "LEEF:2.0|a|b|c|d|x09|k=", "LEEF:2.0|a|b|c|d|x09|",
	} {
		if fields, err := readLEEF(bad); err == nil {
			t.Errorf("%q was read as %v", bad, fields)
		}
	}
	for _, delimiter := range []string{"^", "x5E", "0x5e"} {
		fields, err := readLEEF("LEEF:2.0|Lancope|StealthWatch|1.0|41|" + delimiter + "|src=10.0.1.8^dst=10.0.0.5^sev=5")
		if err != nil || fields["event id"] != "41" || fields["dst"] != "10.0.0.5" {
			t.Errorf("%v, %v", err, fields)
		}
	}
}

// TestLEEFReadsBack checks that every value of the ECS record is under its LEEF key.
func TestLEEFReadsBack(t *testing.T) {
	format := func(c flatCase) func([]byte, *annotate.Record, uint64) []byte {
		return NewLEEF(c.reg, c.o).Append
	}
	checkFlat(t, format, readLEEF, func(c flatCase, ecs map[string]string) map[string]string {
		text := func(s string) string { return clipped(printed(s), 1023) }
		sum := func(a, b string) string {
			m, _ := strconv.Atoi(a)
			n, _ := strconv.Atoi(b)
			return fmt.Sprint(m + n)
		}
		want := map[string]string{
			"format": "LEEF:2.0", "vendor": "portwatch", "product": "portwatch", "event id": eventClass(ecs),
			"cat": ecs["event.dataset"], "devTime": fmt.Sprintf("%013s", millis(t, ecs["event.end"])),
			"sev":   fmt.Sprint(max(1, upTo10(ecs["event.severity"]))),
			"proto": strings.ToUpper(ecs["network.transport"]), "src": ecs["source.ip"], "dst": ecs["destination.ip"],
			"srcPort": ecs["source.port"], "dstPort": ecs["destination.port"],
			"srcBytes": ecs["source.bytes"], "dstBytes": ecs["destination.bytes"],
			"srcPackets": ecs["source.packets"], "dstPackets": ecs["destination.packets"],
			"totalPackets": sum(ecs["source.packets"], ecs["destination.packets"]),
			"startTime":    millis(t, ecs["event.start"]), "endTime": millis(t, ecs["event.end"]), "action": ecs["event.action"],
			"eventUid": ecs["event.id"], "communityId": ecs["network.community_id"], "flowState": ecs["portwatch.flow.state"],
			"flowEndReason": ecs["portwatch.flow.end_reason"], "directionMethod": ecs["portwatch.flow.direction.method"],
			"directionConfidence": ecs["portwatch.flow.direction.confidence"],
			"vlan":                ecs["network.vlan.id"], "innerVlan": ecs["network.inner.vlan.id"],
			"tunnelType": ecs["portwatch.tunnel.type"], "tunnelId": ecs["portwatch.tunnel.id"],
			"outerCommunityId": ecs["portwatch.tunnel.outer_community_id"],
			"findings":         ecs["portwatch.findings.rule"], "reason": text(ecs["event.reason"]),
			"observerName": text(c.o.ObserverName), "observerInterface": text(c.o.Interface),
			"registryDate": ecs["portwatch.registry.date"], "sequence": ecs["event.sequence"],
		}
		for key, side := range map[string]string{"srcIana": "source", "dstIana": "destination"} {
			port := "portwatch." + side + ".port."
			want[key+"Class"], want[key+"Status"] = ecs[port+"class"], ecs[port+"status"]
			want[key+"Service"], want[key+"RegisteredOn"] = text(ecs[port+"services"]), ecs[port+"registered_on"]
			want[key+"UnauthorizedUse"] = text(ecs[port+"unauthorized_use.note"])
		}
		dropEmpty(want)["version"] = strings.ReplaceAll(text(c.o.Version), "|", "_")
		return want
	})
}
