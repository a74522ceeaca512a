#!/bin/sh
# Every linter that needs nothing but this module and Go; shellcheck too where it
# is installed. The folders of testdata are named because ./... leaves them out.
set -eu

cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
    echo "lint: gofmt -w is due for:" "$unformatted" >&2
    exit 1
fi
set -- ./... ./testdata/gen ./testdata/bench/...
go vet "$@"
go tool staticcheck "$@"
if command -v shellcheck >/dev/null; then
    shellcheck .ci/run scripts/*.sh testdata/*.sh
else
    echo "lint: shellcheck is not installed, so the scripts were not looked at" >&2
fi
