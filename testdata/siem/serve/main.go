// Serve starts one real receiver on loopback, prints where it listens, and stops it on
// Ctrl-C:
//
//	go run ./testdata/siem/serve rsyslog | syslog-ng | kafka | opensearch | clickhouse | loki | collector
package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

var receivers = map[string]func(string, receiver.Authority) (*receiver.Server, error){
	"rsyslog":    receiver.Rsyslog,
	"syslog-ng":  receiver.SyslogNG,
	"kafka":      receiver.Kafka,
	"opensearch": func(dir string, _ receiver.Authority) (*receiver.Server, error) { return receiver.OpenSearch(dir) },
	"clickhouse": receiver.ClickHouse,
	"loki":       receiver.Loki,
	"collector":  receiver.Collector,
}

func serve(args []string) error {
	if len(args) != 1 || receivers[args[0]] == nil {
		return fmt.Errorf("which one? %s", strings.Join(slices.Sorted(maps.Keys(receivers)), ", "))
	}
	dir, err := os.MkdirTemp("", "portwatch-"+args[0]+"-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	authority, err := receiver.NewAuthority(dir)
	if err != nil {
		return err
	}
	server, err := receivers[args[0]](dir, authority)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := server.Start(); err != nil {
		return err
	}
	defer server.Stop()
	fmt.Println("folder:", dir)
	fmt.Println("ca=" + authority.CA)
	for _, protocol := range slices.Sorted(maps.Keys(server.Ports)) {
		fmt.Println(protocol+":", server.Addr(protocol))
	}
	<-ctx.Done()
	return nil
}
