package main

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

var update = flag.Bool("update", false, "rewrite what the scripts in testdata expect")

// TestMain makes the test binary the program itself, where a test asks for it.
func TestMain(m *testing.M) {
	release = "v0.0.0-test" // golden files must not change with the commit
	if os.Getenv("PORTWATCH_TEST_MAIN") != "" {
		main()
	}
	testscript.Main(m, map[string]func(){"portwatch": main})
}

// TestScript runs the program as its users type it; testdata/script has one file
// for each subject. $DATA is the repository's folder of captures.
func TestScript(t *testing.T) {
	data, err := filepath.Abs(filepath.Join("..", "..", "testdata"))
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		UpdateScripts:       *update,
		Setup: func(e *testscript.Env) error {
			e.Setenv("DATA", data)
			e.Setenv("HOME", e.WorkDir) // its cache must not answer for the built-in registry
			e.Setenv("XDG_CACHE_HOME", filepath.Join(e.WorkDir, "cache"))
			e.Setenv("TZ", "UTC")
			return os.Unsetenv("NO_COLOR")
		},
	})
}
