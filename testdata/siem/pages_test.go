//go:build siem

package siem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/portwatch/portwatch/testdata/siem/receiver"
)

// TestPages types the commands of the pages of docs/siem in a folder that has nothing but
// the shipped captures. They are typed as they stand, except for what a receiver of the
// tests has elsewhere: its port, its authority. Commands below "Query it" must find what
// the page's savefile has. The pages of syslog, CEF, LEEF and OCSF are not typed: their
// commands need root, or wait for packets.
func TestPages(t *testing.T) {
	for _, page := range []struct {
		name    string
		make    func(string, receiver.Authority) (*receiver.Server, error)
		instead func(s *receiver.Server, a receiver.Authority) []string // pairs: a text of the page, what is typed instead
		not     []string                                                // commands with these words are left out: what they need is not here
		found   []string                                                // by each command below "Query it"
	}{
		{
			name: "opensearch",
			make: func(dir string, _ receiver.Authority) (*receiver.Server, error) { return receiver.OpenSearch(dir) },
			instead: func(s *receiver.Server, _ receiver.Authority) []string {
				return []string{"localhost:9200", s.Addr("http")}
			},
			not:   []string{"/_plugins/", "/_lifecycle"},
			found: []string{`"count":28,`, "3300 is reserved for udp"},
		},
		{
			name: "kafka",
			make: receiver.Kafka,
			instead: func(s *receiver.Server, _ receiver.Authority) []string {
				return []string{"localhost:9092", s.Addr("tcp")}
			},
			found: []string{`"dataset":"portwatch.flow"`, "3300 is reserved for udp"},
		},
		{
			name: "clickhouse",
			make: receiver.ClickHouse,
			instead: func(s *receiver.Server, _ receiver.Authority) []string {
				return []string{"localhost:8123", s.Addr("http"), "clickhouse-client ", fmt.Sprintf("clickhouse-client --port %d ", s.Ports["tcp"])}
			},
			found: []string{"198.51.100.53\t53\t8\t2060", "3300 is reserved for udp"},
		},
		{
			name: "loki",
			make: receiver.Loki,
			instead: func(s *receiver.Server, a receiver.Authority) []string {
				return []string{"http+http://localhost:3100/?", "http+https://" + s.Addr("https") + "/?ca=" + a.CA + "&",
					"http://localhost:3100", "--cacert " + a.CA + " https://" + s.Addr("https")}
			},
			found: []string{`["198.51.100.53","53"]`, "is unassigned 198.51.100.10"},
		},
		{
			name: "splunk",
			make: receiver.Collector,
			instead: func(s *receiver.Server, a receiver.Authority) []string {
				return []string{"localhost:8088", s.Addr("hecs"), "ca=ca.pem", "ca=" + a.CA}
			},
			found: []string{""}, // it writes a file
		},
	} {
		t.Run(page.name, func(t *testing.T) {
			s, a := serve(t, page.make)
			shell := fresh(t)
			instead := strings.NewReplacer(page.instead(s, a)...)
			commands, questions := typed(t, page.name)
			if len(commands) < 2 || len(questions) != len(page.found) {
				t.Fatalf("%d commands, %d questions", len(commands), len(questions))
			}
			for _, c := range commands {
				if contains(c, page.not) {
					t.Logf("NOT TYPED: %s", c)
				} else if out, err := shell(instead.Replace(c)); err != nil {
					t.Errorf("%s: %v\n%s", c, err, out)
				}
			}
			for i, q := range questions {
				eventually(t, 15*time.Second, func() error {
					if out, err := shell(instead.Replace(q)); err != nil || !strings.Contains(out, page.found[i]) {
						return fmt.Errorf("%s: %v, no %s in\n%s", q, err, page.found[i], out)
					}
					return nil
				})
			}
		})
	}
}

// fresh returns a shell in a new folder of a machine where portwatch is installed.
func fresh(t *testing.T) (shell func(command string) (string, error)) {
	t.Helper()
	dir := t.TempDir()
	topics, err := receiver.KafkaTopics()
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "kafka-topics.sh"), []byte("#!/bin/sh\nexec '"+strings.Join(topics, "' '")+"' \"$@\"\n"), 0o755)
	} else if errors.Is(err, receiver.ErrMissing) {
		err = nil // then there is no Kafka either
	}
	if err == nil {
		err = os.Symlink(filepath.Dir(office), filepath.Join(dir, "testdata"))
	}
	if err == nil {
		err = os.MkdirAll(filepath.Join(dir, "splunk/etc/apps"), 0o755)
	}
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "token"), []byte(receiver.HECToken+"\n"), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	environment := append(os.Environ(), "HOME="+dir, "SPLUNK_HOME="+filepath.Join(dir, "splunk"),
		"PATH="+strings.Join([]string{filepath.Dir(portwatch), os.Getenv("PATH"), dir}, string(filepath.ListSeparator)))
	return func(command string) (string, error) {
		c := exec.Command("sh", "-c", command)
		c.Dir, c.Env = dir, environment
		out, err := c.CombinedOutput()
		return string(out), err
	}
}

// typed returns the commands of a page, those below "Query it" separately.
func typed(t *testing.T, page string) (commands, questions []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../../docs/siem", page+".md"))
	if err != nil {
		t.Fatal(err)
	}
	section := ""
	for line := range strings.Lines(string(text)) {
		if title, found := strings.CutPrefix(line, "## "); found {
			section = strings.TrimSpace(title)
		}
		command, found := strings.CutPrefix(line, "    $ ")
		switch {
		case !found:
		case section == "Query it":
			questions = append(questions, strings.TrimSpace(command))
		default:
			commands = append(commands, strings.TrimSpace(command))
		}
	}
	return commands, questions
}

func contains(text string, some []string) bool {
	for _, s := range some {
		if strings.Contains(text, s) {
			return true
		}
	}
	return false
}
