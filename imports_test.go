// Package portwatch_test holds what is true of the module as a whole.
package portwatch_test

import (
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/portwatch/portwatch/"

// arrows says which top-level folders the packages of a folder may import, besides their own.
// docs/architecture.md draws it.
var arrows = map[string][]string{
	"flow":     nil,
	"registry": nil,
	"unpack":   nil,
	"capture":  {"flow", "unpack"},
	"annotate": {"flow", "registry"},
	"export":   {"flow", "registry", "annotate"},
	"records":  {"flow", "unpack"},
	"cmd":      {"flow", "registry", "annotate", "export", "unpack", "records", "capture"},
}

// The folders whose packages, and all that these need, are the standard library and nothing
// foreign; and those that build and test without a C compiler and libpcap.
var (
	standardOnly = []string{"flow", "registry", "annotate"}
	pureGo       = []string{"flow", "registry", "annotate", "export", "unpack", "records"}
)

func TestImportArrows(t *testing.T) {
	watch(t)
	packages := list(t, "-f", `{{.ImportPath}}{{range .Imports}} {{.}}{{end}}`, "./...")
	seen := map[string]bool{}
	for _, line := range packages {
		imports := strings.Fields(line)
		name, ours := strings.CutPrefix(imports[0], module)
		if !ours {
			continue // the module's root, which has this test and no package
		}
		folder := top(name)
		allowed, known := arrows[folder]
		if !known {
			t.Errorf("%s: folder %s has no row in the table of arrows", name, folder)
		}
		seen[folder] = true
		for _, path := range imports[1:] {
			if strings.HasPrefix(path, "github.com/google/gopacket") && folder != "capture" {
				t.Errorf("%s imports %s, which stops at capture's door", name, path)
			}
			to, ours := strings.CutPrefix(path, module)
			if ours && top(to) != folder && !slices.Contains(allowed, top(to)) {
				t.Errorf("%s imports %s", name, to)
			}
		}
	}
	for _, folder := range slices.Sorted(maps.Keys(arrows)) {
		if !seen[folder] {
			t.Errorf("no package in %s, which the table of arrows names", folder)
		}
	}
}

func TestStandardLibraryOnly(t *testing.T) {
	watch(t)
	for _, folder := range standardOnly {
		for _, path := range list(t, "-deps", "-f", `{{if not .Standard}}{{.ImportPath}}{{end}}`, "./"+folder+"/...") {
			if !strings.HasPrefix(path, module) {
				t.Errorf("%s needs %s", folder, path)
			}
		}
	}
}

func TestPureGo(t *testing.T) {
	watch(t)
	for _, folder := range pureGo {
		vet := exec.Command("go", "vet", "./"+folder+"/...") // compiles the tests too
		vet.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := vet.CombinedOutput(); err != nil {
			t.Errorf("%s without cgo: %v\n%s", folder, err, out)
		}
	}
}

// watch opens all folders of packages, for go test: it answers from its cache as long as what the
// test's own process has opened is unchanged, and does not see what go list and go vet read.
func watch(t *testing.T) {
	t.Helper()
	for folder := range arrows {
		err := filepath.WalkDir(folder, func(_ string, _ fs.DirEntry, err error) error { return err })
		if err != nil {
			t.Fatal(err)
		}
	}
}

// list returns the non-empty lines of go list.
func list(t *testing.T, args ...string) []string {
	t.Helper()
	command := exec.Command("go", append([]string{"list"}, args...)...)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v", command, err)
	}
	return slices.DeleteFunc(strings.Split(string(out), "\n"), func(line string) bool { return line == "" })
}

// top returns the first element of a path within the module.
func top(path string) string {
	folder, _, _ := strings.Cut(path, "/")
	return folder
}
