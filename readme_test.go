package portwatch_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestReadme types each portwatch command that README.md shows, and wants on standard output what
// stands below it. Below some commands nothing stands, and they must merely succeed; 3 is the status
// of findings with --exit-code. Live capture and what leaves this machine are not typed.
func TestReadme(t *testing.T) {
	watch(t)
	bin, folder := t.TempDir(), t.TempDir() // of the command, and of the files that it writes
	build := exec.Command("go", "build", "-o", filepath.Join(bin, "portwatch"), "./cmd/portwatch")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	captures, err := filepath.Abs("testdata")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(captures, filepath.Join(folder, "testdata")); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(filepath.ListSeparator)+os.Getenv("PATH"))
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	examples := readme(t)
	if len(examples) < 5 {
		t.Errorf("only %d commands found in README.md", len(examples))
	}
	for _, e := range examples {
		shell := exec.Command("sh", "-c", e.command)
		shell.Dir = folder
		out, err := shell.Output()
		if code := shell.ProcessState.ExitCode(); code != 0 && (code != 3 || !strings.Contains(e.command, "--exit-code")) {
			t.Errorf("%s: %v", e.command, err)
		}
		if e.output != "" && string(out) != e.output {
			t.Errorf("%s: README.md shows\n%sand it prints\n%s", e.command, e.output, out)
		}
	}
}

// example is a command, and what is shown below it, with the indentation taken off.
type example struct{ command, output string }

func readme(t *testing.T) []example {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var examples []example
	var current *example // nil: what follows belongs to no command of ours
	for line := range strings.Lines(string(text)) {
		line, indented := strings.CutPrefix(line, "    ")
		command, typed := strings.CutPrefix(line, "$ ")
		switch {
		case !indented:
			current = nil
		case typed && strings.HasPrefix(command, "portwatch "):
			examples = append(examples, example{command: strings.TrimSpace(command)})
			current = &examples[len(examples)-1]
		case typed:
			current = nil
		case current != nil:
			current.output += line
		}
	}
	return examples
}
