package receiver

import (
	"path/filepath"
	"time"
)

// Loki returns a Loki with all its parts in one process: https. It is too old for some
// limits of the template; it has the others.
func Loki(dir string, a Authority) (*Server, error) {
	program, err := need(cache("loki", "loki"))
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "loki", patient: time.Minute}
	if s.Ports, err = ports("https", "grpc"); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "loki.yaml")
	err = write(config, `auth_enabled: false
server:
  http_listen_address: 127.0.0.1
  http_listen_port: @https@
  http_tls_config: {cert_file: "@cert@", key_file: "@key@"}
  grpc_listen_address: 127.0.0.1
  grpc_listen_port: @grpc@
  log_level: error
ingester:
  wal: {enabled: true, dir: "@dir@/wal"}
  lifecycler:
    address: 127.0.0.1
    ring: {kvstore: {store: inmemory}, replication_factor: 1}
    min_ready_duration: 0s
    final_sleep: 0s
  max_transfer_retries: 0
  query_store_max_look_back_period: -1ns # records of any year are asked for
schema_config:
  configs:
    - {from: 2020-10-24, store: boltdb-shipper, object_store: filesystem, schema: v11, index: {prefix: index_, period: 24h}}
storage_config:
  boltdb_shipper: {active_index_directory: "@dir@/index", cache_location: "@dir@/cache", shared_store: filesystem}
  filesystem: {directory: "@dir@/chunks"}
compactor: {working_directory: "@dir@/compactor", shared_store: filesystem}
limits_config:
  max_line_size: 256KB
  reject_old_samples: false
  ingestion_rate_mb: 32
  ingestion_burst_size_mb: 64
`, "dir", dir, "cert", a.Cert, "key", a.Key, "https", s.Ports["https"], "grpc", s.Ports["grpc"])
	if err != nil {
		return nil, err
	}
	client, err := a.Client()
	s.command = []string{program, "-config.file", config}
	s.ready = func() error { return answersTo(client, "https://"+s.Addr("https")+"/ready") }
	return s, err
}
