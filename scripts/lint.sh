#!/bin/sh
# Every linter that needs nothing but this module and Go; shellcheck too where it
# is installed. The folder testdata/gen is named because ./... leaves testdata out.
set -eu

cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
    echo "lint: gofmt -w is due for:" "$unformatted" >&2
    exit 1
fi
set -- ./... ./testdata/gen
go vet "$@"
go tool staticcheck "$@"
if command -v shellcheck >/dev/null; then
    shellcheck .ci/run scripts/*.sh testdata/*.sh
else
    echo "lint: shellcheck is not installed, so the scripts were not looked at" >&2
fi
