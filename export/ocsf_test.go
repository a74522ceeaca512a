package export

import (
	"strings"
	"testing"

	"github.com/portwatch/portwatch/flow"
)

func TestOCSFOutcomes(t *testing.T) {
	for _, test := range []struct {
		transport flow.Transport
		state     flow.State
		final     bool
		want      string // activity_name, type_uid, status
	}{
		{flow.TCP, flow.Established, false, "Traffic 400106 Success"},
		{flow.TCP, flow.Established, true, "Traffic 400106 Success"},
		{flow.TCP, flow.Closed, true, "Close 400102 Success"},
		{flow.TCP, flow.Reset, true, "Reset 400103 Success"},
		{flow.TCP, flow.Reset, false, "Traffic 400106 Success"},
		{flow.TCP, flow.Attempt, true, "Fail 400104 Failure"},
		{flow.SCTP, flow.Attempt, true, "Fail 400104 Failure"},
		{flow.UDP, flow.Attempt, true, "Traffic 400106 Unknown"},
		{flow.TCP, flow.Rejected, true, "Refuse 400105 Failure"},
		{flow.UDP, flow.Rejected, true, "Refuse 400105 Failure"},
		{flow.UDP, flow.OneWay, true, "Traffic 400106 Unknown"},
		{flow.UDPLite, flow.Established, true, "Traffic 400106 Success"},
	} {
		f := conversation(test.transport, "10.0.0.5:1024", "10.0.0.9:80", 0, test.state)
		f.Final = test.final
		got := ocsfFields(t, f)
		if s := got["activity_name"] + " " + got["type_uid"] + " " + got["status"]; s != test.want {
			t.Errorf("%s, %s, final %t: %s, want %s", test.transport, test.state, test.final, s, test.want)
		}
		if got["type_uid"] != "40010"+got["activity_id"] || got["type_name"] != "Network Activity: "+got["activity_name"] {
			t.Errorf("type %s %s of activity %s", got["type_uid"], got["type_name"], got["activity_id"])
		}
	}
}

func TestOCSFSeverity(t *testing.T) {
	for severity, want := range map[int]int{0: 1, 1: 2, 39: 2, 40: 3, 60: 3, 69: 3, 70: 4, 100: 4} {
		if got := severityID(severity); got != want {
			t.Errorf("severity %d is severity_id %d, want %d", severity, got, want)
		}
	}
}

func TestOCSFDirection(t *testing.T) {
	for _, test := range []struct {
		source, destination string
		method              flow.Method
		direction, known    string
	}{
		{"10.0.0.5:1024", "10.0.0.9:80", flow.Handshake, "Unknown", "true"},
		{"10.0.0.5:1024", "10.0.0.9:80", flow.LowerPort, "Unknown", "false"},
		{"127.0.0.1:1024", "127.0.0.53:53", flow.Learned, "Local", "true"},
		{"10.0.0.5:1024", "10.0.0.5:80", flow.Registered, "Local", "false"},
		{"[::1]:1024", "[::1]:80", flow.Handshake, "Local", "true"},
	} {
		f := conversation(flow.TCP, test.source, test.destination, 0, flow.Closed)
		f.Direction.Method = test.method
		got := ocsfFields(t, f)
		if got["connection_info.direction"] != test.direction || got["is_src_dst_assignment_known"] != test.known {
			t.Errorf("%s to %s by %s: direction %s, known %s", test.source, test.destination, test.method,
				got["connection_info.direction"], got["is_src_dst_assignment_known"])
		}
	}
}

// TestOCSFNames: a port number gives no protocol and no service a name.
func TestOCSFNames(t *testing.T) {
	for line := range strings.Lines(string(renderFlat(t, nil, NewOCSF(testRegistry(t), Options{}).Append))) {
		for _, name := range []string{"app_protocol_name", "app_name", "svc_name"} {
			if strings.Contains(line, `"`+name+`"`) {
				t.Errorf("%s in %s", name, line)
			}
		}
	}
}

func ocsfFields(t *testing.T, f *flow.Record) map[string]string {
	t.Helper()
	reg := testRegistry(t)
	return flatten(t, NewOCSF(reg, Options{}).Append(nil, annotated(reg, []*flow.Record{f})[0], 0))
}
