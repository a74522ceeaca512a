// Loki is Grafana Loki 2.2.1, the last release under the Apache License, as one
// process, whose only option is -config.file. It is a module of its own: portwatch needs
// none of its dependencies.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/cortexproject/cortex/pkg/util/flagext"
	"github.com/cortexproject/cortex/pkg/util/log"
	"github.com/grafana/loki/pkg/cfg"
	"github.com/grafana/loki/pkg/loki"
	"github.com/grafana/loki/pkg/util/validation"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "loki:", err)
		os.Exit(1)
	}
}

func run() error {
	var c config
	if err := cfg.Parse(&c); err != nil {
		return err
	}
	validation.SetDefaultLimitsForYAMLUnmarshalling(c.LimitsConfig)
	log.InitLogger(&c.Server)
	if err := c.Validate(log.Logger); err != nil {
		return err
	}
	l, err := loki.New(c.Config)
	if err != nil {
		return err
	}
	return l.Run()
}

// A config is Loki's own, with the place that it is read from: cfg wants an option of
// that name.
type config struct {
	loki.Config `yaml:",inline"`
	file        string
	expand      bool
}

func (c *config) RegisterFlags(f *flag.FlagSet) {
	f.StringVar(&c.file, "config.file", "", "")
	f.BoolVar(&c.expand, "config.expand-env", false, "")
	c.Config.RegisterFlags(f)
}

// Clone returns a copy, into which cfg reads the options the first time.
func (c *config) Clone() flagext.Registerer {
	clone := *c
	return &clone
}
