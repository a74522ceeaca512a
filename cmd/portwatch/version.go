package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/portwatch/portwatch/registry"
)

// release is the version of a released build, set by the linker; tests fix it.
var release string

// version returns what --version and observer.version say: the release, or the
// module version that the toolchain recorded.
func version() string {
	if release != "" {
		return release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}

func versionText() string {
	return fmt.Sprintf("portwatch %s %s/%s %s\nIANA registry of %s, built in\n",
		version(), runtime.GOOS, runtime.GOARCH, runtime.Version(), registry.EmbeddedDate())
}
