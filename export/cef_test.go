package export

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/portwatch/portwatch/annotate"
)

func TestCEFGolden(t *testing.T) {
	golden(t, "cef.golden", renderFlat(t, nil, NewCEF(testRegistry(t), Options{Version: "1.2.3"}).Append))
}

// The lengths of the dictionary's strings, and of the header's; those of keys that
// the dictionary does not have are our own.
var cefLengths = map[string]int{
	"vendor": 63, "product": 63, "version": 31, "class": 1023, "name": 512,
	"act": 63, "cat": 1023, "proto": 31, "externalId": 40, "outcome": 63, "reason": 1023, "msg": 1023, "dvchost": 100,
	"deviceInboundInterface": 128, "cs1": 4000, "cs2": 4000, "cs3": 4000, "cs4": 4000, "cs5": 4000, "cs6": 4000,
	"cs1Label": 1023, "cs2Label": 1023, "cs3Label": 1023, "cs4Label": 1023, "cs5Label": 1023, "cs6Label": 1023,
	"cn1Label": 1023, "cn2Label": 1023, "cn3Label": 1023, "c6a2Label": 1023, "c6a3Label": 1023,
}

var (
	cefNumber = regexp.MustCompile(`^(start|end|rt|spt|dpt|in|out|cnt|cn[123])$`)
	cefOwn    = regexp.MustCompile(`^portwatch[A-Z][A-Za-z]+$`)
	cefKey    = regexp.MustCompile(`(^| )([A-Za-z0-9]+)=`)
)

// readCEF reads a line as the CEF Implementation Standard describes it: seven fields,
// each with a pipe after it, in which a backslash escapes backslash and pipe; then keys
// and values with an equals sign between. A key begins after the last space before its
// equals sign, which is not escaped.
func readCEF(line string) (map[string]string, error) {
	fields := make(map[string]string)
	rest := strings.TrimSuffix(line, "\n")
	for _, name := range []string{"format", "vendor", "product", "version", "class", "name", "severity"} {
		var value []byte
		for ; rest != "" && rest[0] != '|'; rest = rest[1:] {
			if rest[0] == '\\' {
				if len(rest) == 1 || rest[1] != '\\' && rest[1] != '|' {
					return nil, fmt.Errorf("bad escape in %s", name)
				}
				rest = rest[1:]
			}
			value = append(value, rest[0])
		}
		if rest == "" {
			return nil, fmt.Errorf("no end of %s", name)
		}
		rest = rest[1:]
		fields[name] = string(value)
	}
	for rest != "" {
		key := cefKey.FindStringSubmatchIndex(rest)
		if key == nil || key[0] != 0 {
			return nil, fmt.Errorf("no key in %.100q", rest)
		}
		name := rest[key[4]:key[5]]
		rest = rest[key[1]:]
		end := len(rest)
		if next := cefKey.FindStringIndex(rest); next != nil {
			end = next[0]
		}
		value, err := unescapeCEF(rest[:end])
		if err != nil {
			return nil, fmt.Errorf("%w in %s", err, name)
		}
		if _, twice := fields[name]; twice {
			return nil, fmt.Errorf("%s twice", name)
		}
		fields[name] = value
		rest = rest[end:]
	}
	return fields, checkCEF(fields)
}

func unescapeCEF(s string) (string, error) {
	var value []byte
	for ; s != ""; s = s[1:] {
		switch {
		case s[0] == '=':
			return "", errors.New("bare equals sign")
		case s[0] != '\\':
			value = append(value, s[0])
			continue
		case len(s) == 1:
			return "", errors.New("half an escape")
		}
		s = s[1:]
		switch s[0] {
		case '\\', '=':
			value = append(value, s[0])
		case 'n':
			value = append(value, '\n')
		case 'r':
			value = append(value, '\r')
		default:
			return "", errors.New("bad escape")
		}
	}
	return string(value), nil
}

// checkCEF holds the fields against the dictionary's types and lengths.
func checkCEF(fields map[string]string) error {
	for name, value := range fields {
		limit, text := cefLengths[name]
		var err error
		switch {
		case text && len(value) > limit:
			err = fmt.Errorf("%d octets, %d are allowed", len(value), limit)
		case text, cefOwn.MatchString(name), name == "format":
		case cefNumber.MatchString(name):
			_, err = strconv.ParseInt(value, 10, 64)
		case name == "severity":
			if n, bad := strconv.Atoi(value); bad != nil || n < 0 || n > 10 {
				err = fmt.Errorf("severity %q", value)
			}
		case name == "src" || name == "dst":
			if a, bad := netip.ParseAddr(value); bad != nil || !a.Is4() {
				err = fmt.Errorf("%q is no IPv4 address", value)
			}
		case name == "c6a2" || name == "c6a3":
			if a, bad := netip.ParseAddr(value); bad != nil || !a.Is6() {
				err = fmt.Errorf("%q is no IPv6 address", value)
			}
		default:
			err = errors.New("not in the dictionary")
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// TestReadCEFRefuses shows that the reader can say no.
func TestReadCEFRefuses(t *testing.T) {
	const head = "CEF:0|portwatch|portwatch|1|flow_end|Flow ended|0|"
	for _, bad := range []string{
		"CEF:0|a|b|c|d|e", `CEF:0|a\x|b|c|d|e|0|`, "CEF:0|a|b|c|d|e|11|", "CEF:0|a|b|" + strings.Repeat("v", 32) + "|d|e|0|",
		head + "no key", head + "msg=a=b", head + `msg=a\|b`, head + `msg=a\`, head + "act=1 act=2", head + "src=::1", head + "c6a2=10.0.0.1",
		head + "spt=http", head + "service=x", head + "dvchost=" + strings.Repeat("h", 101),
	} {
		if fields, err := readCEF(bad); err == nil {
			t.Errorf("%.80q was read as %v", bad, fields)
		}
	}
	fields, err := readCEF(head + `msg=a \= b | c \\ \n  act=x y=\n`)
	if err == nil || !strings.Contains(err.Error(), "y: not in") || fields["msg"] != "a = b | c \\ \n " || fields["act"] != "x" {
		t.Errorf("%v, %q", err, fields)
	}
}

// TestCEFReadsBack checks that every value of the ECS record is under its CEF key.
func TestCEFReadsBack(t *testing.T) {
	names := map[string]string{
		"flow_start": "Flow started", "flow_update": "Flow goes on", "flow_end": "Flow ended",
		"PW001": "unregistered-port", "PW002": "unauthorized-use-reported", "PW003": "dynamic-port-service",
	}
	format := func(c flatCase) func([]byte, *annotate.Record, uint64) []byte {
		return NewCEF(c.reg, c.o).Append
	}
	checkFlat(t, format, readCEF, func(c flatCase, ecs map[string]string) map[string]string {
		const port = "portwatch.%s.port."
		side := func(name, field string) string { return ecs[fmt.Sprintf(port, name)+field] }
		want := map[string]string{
			"format": "CEF:0", "vendor": "portwatch", "product": "portwatch",
			"class": eventClass(ecs), "name": names[eventClass(ecs)], "severity": fmt.Sprint(upTo10(ecs["event.severity"])),
			"start": millis(t, ecs["event.start"]), "end": millis(t, ecs["event.end"]),
			"spt": ecs["source.port"], "dpt": ecs["destination.port"], "proto": strings.ToUpper(ecs["network.transport"]),
			"in": ecs["source.bytes"], "out": ecs["destination.bytes"], "act": ecs["event.action"], "cat": ecs["event.dataset"],
			"externalId": ecs["event.id"], "outcome": ecs["portwatch.flow.state"], "reason": cefText(ecs["event.reason"], 1023),
			"cs1": cefText(side("destination", "services"), 4000), "cs2": cefText(side("source", "services"), 4000),
			"cs3":      side("destination", "class") + " " + side("destination", "status"),
			"cs4":      side("source", "class") + " " + side("source", "status"),
			"cs5":      cefText(side("destination", "unauthorized_use.note"), 4000),
			"cs3Label": "dstIanaPort", "cs4Label": "srcIanaPort", "cs6Label": "communityId", "cs6": ecs["network.community_id"],
			"cn1Label": "srcPackets", "cn1": ecs["source.packets"], "cn2Label": "dstPackets", "cn2": ecs["destination.packets"],
			"cn3Label":           "directionConfidence",
			"cn3":                map[string]string{"high": "90", "medium": "60", "low": "30"}[ecs["portwatch.flow.direction.confidence"]],
			"portwatchEndReason": ecs["portwatch.flow.end_reason"], "portwatchDirectionMethod": ecs["portwatch.flow.direction.method"],
			"portwatchVlan": ecs["network.vlan.id"], "portwatchInnerVlan": ecs["network.inner.vlan.id"],
			"portwatchTunnelType": ecs["portwatch.tunnel.type"], "portwatchTunnelId": ecs["portwatch.tunnel.id"],
			"portwatchOuterCommunityId": ecs["portwatch.tunnel.outer_community_id"],
			"portwatchRegistryDate":     ecs["portwatch.registry.date"], "portwatchSequence": ecs["event.sequence"],
			"dvchost": cefText(c.o.ObserverName, 100), "deviceInboundInterface": cefText(c.o.Interface, 128),
		}
		if ecs["network.type"] == "ipv4" {
			want["src"], want["dst"] = ecs["source.ip"], ecs["destination.ip"]
		} else {
			want["c6a2"], want["c6a2Label"] = ecs["source.ip"], "Source IPv6 Address"
			want["c6a3"], want["c6a3Label"] = ecs["destination.ip"], "Destination IPv6 Address"
		}
		for key, label := range map[string]string{"cs1": "dstIanaService", "cs2": "srcIanaService", "cs5": "ianaUnauthorizedUse"} {
			if want[key] != "" {
				want[key+"Label"] = label
			}
		}
		if c.o.Now != nil {
			want["rt"] = millis(t, ecs["event.created"])
		}
		if n := len(strings.Fields(ecs["portwatch.findings.id"])); n > 1 {
			var all []string
			for i := range n {
				path := fmt.Sprintf("portwatch.findings.%d.", i)
				all = append(all, ecs[path+"id"]+" "+ecs[path+"side"]+": "+ecs[path+"reason"])
			}
			want["msg"] = cefText(strings.Join(all, "; "), 1023)
		}
		dropEmpty(want)["version"] = clipped(printed(c.o.Version), 31)
		return want
	})
}

// cefText is a text after a way through CEF: line breaks come back, what else cannot
// be printed does not.
func cefText(s string, limit int) string {
	var b strings.Builder
	for _, r := range s {
		if r == '\n' || r == '\r' {
			b.WriteRune(r)
		} else {
			b.WriteString(printed(string(r)))
		}
	}
	return clipped(b.String(), limit)
}
