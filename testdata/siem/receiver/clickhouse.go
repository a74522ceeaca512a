package receiver

import (
	"path/filepath"
	"time"
)

// ClickHouse returns a server that speaks http and https.
func ClickHouse(dir string, a Authority) (*Server, error) {
	program, err := need("clickhouse-server")
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "clickhouse", patient: time.Minute}
	if s.Ports, err = ports("http", "https", "tcp"); err != nil {
		return nil, err
	}
	config := filepath.Join(dir, "config.xml")
	err = write(config, `<yandex>
<logger><level>warning</level><console>1</console></logger>
<listen_host>127.0.0.1</listen_host>
<http_port>@http@</http_port>
<https_port>@https@</https_port>
<tcp_port>@tcp@</tcp_port>
<openSSL><server>
	<certificateFile>@cert@</certificateFile>
	<privateKeyFile>@key@</privateKeyFile>
	<caConfig>@ca@</caConfig>
	<verificationMode>none</verificationMode>
</server></openSSL>
<path>@dir@/data/</path>
<tmp_path>@dir@/tmp/</tmp_path>
<mark_cache_size>67108864</mark_cache_size>
<users_config>users.xml</users_config>
<default_profile>default</default_profile>
<default_database>default</default_database>
<timezone>UTC</timezone>
</yandex>
`, "dir", dir, "ca", a.CA, "cert", a.Cert, "key", a.Key, "http", s.Ports["http"], "https", s.Ports["https"], "tcp", s.Ports["tcp"])
	if err != nil {
		return nil, err
	}
	err = write(filepath.Join(dir, "users.xml"), `<yandex>
<profiles><default><max_memory_usage>1000000000</max_memory_usage></default></profiles>
<users><default>
	<password></password>
	<networks><ip>127.0.0.1</ip></networks>
	<profile>default</profile>
	<quota>default</quota>
</default></users>
<quotas><default></default></quotas>
</yandex>
`)
	s.command = []string{program, "--config-file=" + config}
	s.ready = func() error { return answers("http://" + s.Addr("http") + "/ping") }
	return s, err
}
