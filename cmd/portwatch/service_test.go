package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestService runs what the service unit starts as systemd would: as an unprivileged user with
// CAP_NET_RAW and a folder.
func TestService(t *testing.T) {
	space := newNamespace(t)
	unit, err := os.ReadFile("portwatch@.service")
	if err != nil {
		t.Fatal(err)
	}
	start := regexp.MustCompile(`(?m)^ExecStart=\S+ (.*)$`).FindSubmatch(unit)
	outputs := regexp.MustCompile(`(?m)^Environment="PORTWATCH_OPTIONS=(.*)"$`).FindSubmatch(unit)
	if start == nil || outputs == nil {
		t.Fatal("no ExecStart, or no PORTWATCH_OPTIONS")
	}
	args := strings.Fields(strings.NewReplacer(
		"%I", "pw1", "%H", "sensor", "$PORTWATCH_OPTIONS", string(outputs[1])).Replace(string(start[1])))

	// The user nobody can enter neither the folder of this test's program nor that of t.TempDir.
	folder, state := t.TempDir(), t.TempDir()
	program, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(folder, "portwatch")
	for _, err := range []error{
		os.WriteFile(bin, program, 0o755), os.Chmod(filepath.Dir(folder), 0o755), os.Chown(state, nobody, nobody),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	c := space.command(append([]string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs",
		"--bounding-set=-all,+net_raw", "--inh-caps=-all,+net_raw", "--ambient-caps=+net_raw",
		"env", "-u", "XDG_CACHE_HOME", "HOME=/", bin}, args...)...)
	c.Dir = state
	stop := space.start(t, c)
	space.run(t, "tcpreplay", "--intf1=pw0", "--topspeed", filepath.Join("..", "..", "testdata", "office.pcap"))
	if stderr := stop(); bytes.Contains(stderr, []byte("warning")) {
		t.Errorf("it warns: %s", stderr)
	}
	records, err := os.ReadFile(filepath.Join(state, "flows.jsonl"))
	if err != nil || len(records) == 0 {
		t.Errorf("no records: %v", err)
	}
	readCounters(t, filepath.Join(state, "stats.json"))
}

const nobody = 65534
