#!/bin/sh
# Fuzzes every target of the module, one after another, since go test takes one at a
# time. Targets are found by their names, so a new one is never forgotten.
#
#     scripts/fuzz.sh [TIME-PER-TARGET]     default: 1m
set -eu

time=${1:-1m}
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# fuzz PACKAGE TARGET returns 0 if nothing was found.
fuzz() {
    echo "fuzz: $1 $2, $time"
    # Unless it is told how often to try, go test takes up to a minute to shorten each input that
    # reaches new code: all the time of a target that needs milliseconds for one, as FuzzSpool.
    if go test -run '^$' -fuzz "^$2\$" -fuzztime "$time" -fuzzminimizetime 10x "$1" >"$log" 2>&1 </dev/null; then
        tail -n 3 "$log"
        return
    fi
    # Before Go 1.27, go test now and then mistakes the end of its own time for a
    # failure (golang/go#75804). A real failure names the file with its input.
    if grep -q 'context deadline exceeded' "$log" && ! grep -q 'Failing input' "$log"; then
        tail -n 5 "$log"
        return
    fi
    cat "$log"
    return 1
}

targets=$(grep -rEo --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sed 's|/[^/]*:func | |' | sort -u)
if [ -z "$targets" ]; then
    echo "fuzz: no target was found" >&2
    exit 1
fi
echo "$targets" | while read -r package target; do
    fuzz "$package" "$target"
done
