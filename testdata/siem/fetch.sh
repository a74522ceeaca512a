#!/bin/sh
# Fetches the receivers that the tests send to into a cache folder, and prints
# that folder. Receivers that are already there are left as they are.
#
#     fetch.sh             all of them
#     fetch.sh NAME...     rsyslog syslog-ng kafka opensearch clickhouse loki collector
#
# A receiver that cannot be fetched is reported on standard error, and makes the
# status 1; the others are fetched all the same.
set -u

here=$(cd "$(dirname "$0")" && pwd)
cache=${PORTWATCH_SIEM_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/portwatch-siem}
export PATH="$PATH:/usr/sbin:/sbin"

say() { echo "siem: $*" >&2; }
has() { command -v "$1" >/dev/null; }

# quietly runs a command, and shows its output only if it fails.
quietly() {
    log=$(mktemp)
    if "$@" >"$log" 2>&1; then
        rm -f "$log"
        return 0
    fi
    tail -n 30 "$log" >&2
    rm -f "$log"
    return 1
}

sudo=
[ "$(id -u)" = 0 ] || sudo=sudo

updated=
# lists updates Debian's package lists, once.
lists() {
    [ -z "$updated" ] || return 0
    quietly $sudo apt-get -qq -o DPkg::Lock::Timeout=120 update ||
        say 'apt-get update failed; continuing with the lists that are here'
    updated=1
}

# install installs Debian packages.
install() {
    lists
    say "installing $*"
    quietly $sudo env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -y -o DPkg::Lock::Timeout=120 install --no-install-recommends "$@"
}

# debian installs packages if a program is missing: debian PROGRAM PACKAGE...
debian() {
    has "$1" && return
    if ! has apt-get; then
        say "$1 is not installed, and neither is apt-get"
        return 1
    fi
    shift
    install "$@"
}

# settle makes a folder of the cache from its half-made one, in one step.
settle() { rm -rf "${cache:?}/$1" && mv "$cache/$1.new" "$cache/$1"; }

fresh() { rm -rf "${cache:?}/$1.new" && mkdir -p "$cache/$1.new"; }

rsyslog() {
    debian rsyslogd rsyslog rsyslog-gnutls || return
    [ -e /usr/lib/"$(uname -m)"-linux-gnu/rsyslog/lmnsd_gtls.so ] || install rsyslog-gnutls
}

# Debian lets syslog-ng and rsyslog not be installed side by side, so this one is
# unpacked beside the system, and only what it needs is installed.
syslog_ng() {
    [ -x "$cache/syslog-ng/usr/sbin/syslog-ng" ] && return
    fresh syslog-ng
    lists
    (
        cd "$cache/syslog-ng.new" && quietly apt-get -q download syslog-ng-core &&
            dpkg-deb -x syslog-ng-core_*.deb . && rm syslog-ng-core_*.deb
    ) || return
    libraries=$(apt-cache depends syslog-ng-core | awk '$1 == "Depends:" && $2 ~ /^lib/ { print $2 }')
    # shellcheck disable=SC2086 # one word per package
    install $libraries && settle syslog-ng
}

# maven fetches the jars that a project in the folder maven needs.
maven() {
    [ -d "$cache/$1" ] && return
    debian java openjdk-17-jre-headless && debian mvn maven || return
    fresh "$1"
    quietly mvn -q -B -f "$here/maven/$1.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$cache/$1.new" && settle "$1"
}

kafka() { maven kafka && debian kcat kcat; }
opensearch() { maven opensearch; }

clickhouse() { debian clickhouse-server clickhouse-server && debian clickhouse-client clickhouse-client; }

# built builds a program that is a module of its own, again if its sources have
# changed: go build knows whether they have.
built() {
    mkdir -p "$cache/$1"
    quietly go -C "$here/$1" build -trimpath -o "$cache/$1/$1" .
}

mkdir -p "$cache"
# The programs with which the pages of docs/siem query receivers.
{ debian curl curl && debian jq jq; } || say '!! without curl and jq the tests of the pages fail'
[ $# != 0 ] || set -- rsyslog syslog-ng kafka opensearch clickhouse loki collector
status=0
for name in "$@"; do
    case $name in
    rsyslog) rsyslog ;;
    syslog-ng) syslog_ng ;;
    kafka) kafka ;;
    opensearch) opensearch ;;
    clickhouse) clickhouse ;;
    loki | collector) built "$name" ;;
    *)
        say "no such receiver: $name"
        false
        ;;
    esac || {
        say "!! $name could not be fetched: its tests will not run"
        status=1
    }
done
echo "$cache"
exit $status
