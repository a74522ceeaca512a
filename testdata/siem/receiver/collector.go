package receiver

import (
	"path/filepath"
	"time"
)

// HECToken is the token that the collector's Splunk receiver wants.
const HECToken = "00000000-0000-0000-0000-000000000000"

// Collector returns an OpenTelemetry Collector: hec and hecs (Splunk HEC, with
// acknowledgement), syslog (RFC 5424 with octet counting) and otlp (logs over HTTP). What
// arrived is in the files hec, syslog and otlp of dir: OTLP logs as JSON.
func Collector(dir string, a Authority) (*Server, error) {
	program, err := need(cache("collector", "collector"))
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "collector", patient: 30 * time.Second}
	if s.Ports, err = ports("hec", "hecs", "syslog", "otlp"); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "collector.yaml")
	err = write(config, `receivers:
  splunk_hec:
    endpoint: 127.0.0.1:@hec@
    ack: {extension: ack}
  splunk_hec/tls:
    endpoint: 127.0.0.1:@hecs@
    tls: {cert_file: "@cert@", key_file: "@key@"}
  syslog:
    tcp: {listen_address: "127.0.0.1:@syslog@"}
    protocol: rfc5424
    enable_octet_counting: true
  otlp:
    protocols:
      http: {endpoint: "127.0.0.1:@otlp@"}
extensions:
  ack:
exporters:
  file/hec: {path: "@dir@/hec", append: true}
  file/syslog: {path: "@dir@/syslog", append: true}
  file/otlp: {path: "@dir@/otlp", append: true}
service:
  extensions: [ack]
  telemetry: {metrics: {level: none}, logs: {level: warn}}
  pipelines:
    logs/hec: {receivers: [splunk_hec, splunk_hec/tls], exporters: [file/hec]}
    logs/syslog: {receivers: [syslog], exporters: [file/syslog]}
    logs/otlp: {receivers: [otlp], exporters: [file/otlp]}
`, "dir", dir, "cert", a.Cert, "key", a.Key, "hec", s.Ports["hec"], "hecs", s.Ports["hecs"], "syslog", s.Ports["syslog"], "otlp", s.Ports["otlp"])
	s.command = []string{program, "--config", "file:" + config}
	s.ready = func() error {
		for _, protocol := range []string{"hec", "hecs", "syslog", "otlp"} {
			if err := listens(s.Ports[protocol]); err != nil {
				return err
			}
		}
		return nil
	}
	return s, err
}
