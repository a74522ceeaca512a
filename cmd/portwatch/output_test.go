package main

import (
	"bytes"
	"net/netip"
	"testing"

	"github.com/portwatch/portwatch/annotate"
	"github.com/portwatch/portwatch/flow"
	"github.com/portwatch/portwatch/registry"
)

// TestFormatOfDevices: records of live packets say when they were made and, with a single
// device, its name.
func TestFormatOfDevices(t *testing.T) {
	f := &flow.Record{Transport: flow.TCP, Version: 4}
	f.Source.Endpoint = netip.MustParseAddrPort("10.0.0.5:40000")
	f.Destination.Endpoint = netip.MustParseAddrPort("10.0.0.9:80")
	var r annotate.Record
	annotate.New(registry.Embedded()).Annotate(&r, f)
	for _, test := range []struct {
		devices       []string
		created, name bool
	}{
		{nil, false, false},
		{[]string{"eth7"}, true, true},
		{[]string{"eth7", "eth8"}, true, false},
	} {
		o := &options{devices: test.devices}
		line := o.newFormat("ecs", registry.Embedded(), screen{}).Append(nil, &r, 1)
		created, name := bytes.Contains(line, []byte(`"created":`)), bytes.Contains(line, []byte("eth7"))
		if created != test.created || name != test.name {
			t.Errorf("devices %q: %s", test.devices, line)
		}
	}
}
