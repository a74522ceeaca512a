#!/bin/sh
# Runs every linter that needs nothing but this module and Go, and shellcheck and
# mandoc if they are installed.
set -eu

cd "$(dirname "$0")/.."

unformatted=$(gofmt -l .)
if [ -n "$unformatted" ]; then
    echo "lint: run gofmt -w on:" "$unformatted" >&2
    exit 1
fi

# ./... leaves out testdata, with the programs that make captures; the collector and
# Loki are modules of their own, which need hundreds of others
# shellcheck disable=SC2046 # one word per folder
set -- ./... $(find testdata \( -path testdata/siem/collector -o -path testdata/siem/loki \) -prune -o -name '*.go' -exec dirname ./{} \; | sort -u)
go vet -tags siem "$@"
go tool staticcheck -tags siem "$@"

if command -v shellcheck >/dev/null; then
    # shellcheck disable=SC2046 # one word per file
    shellcheck .ci/run $(find scripts testdata export -name '*.sh')
else
    echo "lint: shellcheck is not installed, so the scripts were not checked" >&2
fi

if command -v mandoc >/dev/null; then
    mandoc -T lint -W warning cmd/portwatch/portwatch.1
else
    echo "lint: mandoc is not installed, so the manual page was not checked" >&2
fi
