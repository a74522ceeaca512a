package export

import (
	"testing"

	"github.com/portwatch/portwatch/flow"
)

// TestTCPConnState has the states as the comments of main.zeek describe them, and
// what its function makes of the rest.
func TestTCPConnState(t *testing.T) {
	for history, want := range map[string]string{
		"S": "S0", "SA": "S0", "SAD": "S0", // no reply
		"Sh": "S1", "ShA": "S1", "ShADad": "S1", "SahA": "S1", "hA": "S1", "hADad": "S1", // established, not terminated
		"ShADadFf": "SF", "ShADadfF": "SF", "ShADadFfR": "SF", "ShADadFfr": "SF", "DadFAf": "SF",
		"Sr": "REJ", "SrR": "REJ", "SAr": "REJ",
		"ShADadF": "S2", "ShADadf": "S3",
		"ShADadR": "RSTO", "ShR": "RSTO", "ShADadfR": "RSTO", "ShADadFR": "RSTO", "hR": "RSTO",
		"ShADadr": "RSTR", "Shr": "RSTR", "ShADadFr": "RSTR", "ShADadfr": "RSTR", "ShADaRr": "RSTR",
		"ShADadFRf": "SF", // FIN and RST, and then the FIN of the other side
		"ShADadFrf": "RSTR",
		"SR":        "RSTOS0", "SaR": "RSTOS0", "SDR": "RSTOS0",
		"Hr": "REJ", // of a SYN-ACK
		"hr": "RSTRH", "r": "RSTRH", "Dadr": "RSTRH",
		"SF": "SH", "F": "SH", "DF": "SH",
		"hf": "SHR", "f": "SHR",
		"": "OTH", "D": "OTH", "A": "OTH", "DadA": "OTH", "R": "OTH", "DadR": "OTH", "SAR": "OTH", "h": "OTH", "H": "OTH",
		"Ss": "S1", // a simultaneous open
	} {
		if got := tcpConnState([]byte(history)); got != want {
			t.Errorf("history %q is %s, want %s", history, got, want)
		}
	}
}

func TestConnState(t *testing.T) {
	for _, test := range []struct {
		transport           flow.Transport
		source, destination uint64 // packets
		want, wantProto     string
	}{
		{flow.UDP, 3, 2, "SF", "udp"},
		{flow.UDP, 3, 0, "S0", "udp"},
		{flow.UDP, 0, 2, "SHR", "udp"},
		{flow.UDPLite, 3, 2, "OTH", "unknown_transport"},
		{flow.SCTP, 3, 2, "OTH", "unknown_transport"},
		{flow.DCCP, 3, 0, "OTH", "unknown_transport"},
		{flow.TCP, 3, 2, "OTH", "tcp"}, // without a history
	} {
		f := conversation(test.transport, "10.0.0.5:1024", "10.0.0.9:53", 0, flow.Established)
		f.Source.Total.Packets, f.Destination.Total.Packets = test.source, test.destination
		if got := connState(f); got != test.want {
			t.Errorf("%s, %d and %d packets: %s, want %s", test.transport, test.source, test.destination, got, test.want)
		}
		if got := transportProto(test.transport); got != test.wantProto {
			t.Errorf("%s: %s, want %s", test.transport, got, test.wantProto)
		}
	}
}
