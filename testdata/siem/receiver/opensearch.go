package receiver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// OpenSearch returns a node: http only, since TLS is in a plugin of OpenSearch.
func OpenSearch(dir string) (*Server, error) {
	java, err := java("opensearch", 1024)
	if err != nil {
		return nil, err
	}
	s := &Server{Dir: dir, name: "opensearch", patient: 2 * time.Minute}
	// The runner takes the first free port after the given base, up to 9299.
	http := 0
	for port := 9201; port <= 9299; port++ {
		if l, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			http = port
			l.Close()
			break
		}
	}
	if http == 0 {
		return nil, errors.New("start opensearch: no port from 9201 to 9299 is free")
	}
	if s.Ports, err = ports("transport"); err != nil {
		return nil, err
	}
	s.Ports["http"] = http
	conf := filepath.Join(dir, "conf")
	if err := os.MkdirAll(conf, 0o755); err != nil {
		return nil, err
	}
	err = write(filepath.Join(conf, "opensearch.yml"), `network.host: 127.0.0.1
transport.port: @transport@
discovery.type: single-node
# A disk normally counts as full at 95%; a developer's may be fuller than that.
cluster.routing.allocation.disk.threshold_enabled: false
`, "transport", s.Ports["transport"])
	if err != nil {
		return nil, err
	}
	err = write(filepath.Join(conf, "log4j2.properties"), `status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %-5p %c{1.} %m%n
rootLogger.level = info
rootLogger.appenderRef.console.ref = console
`)
	s.command = append(java, "org.codelibs.opensearch.runner.OpenSearchRunner", "-basePath", filepath.Join(dir, "node"),
		"-confPath", conf, "-numOfNode", "1", "-baseHttpPort", fmt.Sprint(http-1), "-useLogger", "-printOnFailure")
	s.ready = func() error {
		return answers("http://" + s.Addr("http") + "/_cluster/health?wait_for_status=yellow&timeout=1s")
	}
	return s, err
}

// answers wants status 200 from a URL.
func answers(url string) error { return answersTo(http.DefaultClient, url) }

// answersTo is answers with a given client.
func answersTo(client *http.Client, url string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r, err := client.Do(request)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	if r.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10)) // only to help in the message
		return fmt.Errorf("%s: %s: %s", url, r.Status, text)
	}
	return nil
}
