#!/bin/sh
# Makes sure that a C program can be built against libpcap, which the capture
# package needs: installs libpcap's headers if they are missing, or says what to
# type and fails.
set -eu

say() { echo "libpcap: $*" >&2; }
has() { command -v "$1" >/dev/null; }

program=$(mktemp)
trap 'rm -f "$program"' EXIT

# links tries what cgo will do. CC may hold options, so it is split.
links() {
    printf '#include <pcap/pcap.h>\nint main(void) { return !pcap_lib_version(); }\n' |
        $cc -x c -o "$program" - -lpcap
}

cc=$(go env CC)
if ! has "${cc%% *}"; then
    say "there is no C compiler: $cc"
    say "try, as root: apt-get install gcc libc6-dev, dnf install gcc, apk add build-base, or pacman -S gcc; on macOS: xcode-select --install"
    exit 1
fi
if links 2>/dev/null; then exit 0; fi

if has apt-get; then
    install='apt-get install -y --no-install-recommends libpcap-dev'
elif has dnf; then
    install='dnf install -y libpcap-devel'
elif has apk; then
    install='apk add libpcap-dev'
elif has pacman; then
    install='pacman -S --needed --noconfirm libpcap'
elif has brew; then
    install='brew install libpcap'
else
    say "its headers are missing, and none of apt-get, dnf, apk, pacman and brew is installed"
    say "install what your system calls libpcap-dev or libpcap-devel, then try again"
    exit 1
fi

sudo=
if [ "$(id -u)" != 0 ] && [ "$install" != 'brew install libpcap' ]; then
    if ! has sudo; then
        say "its headers are missing, you are not root, and there is no sudo"
        say "as root, type: $install"
        exit 1
    fi
    sudo=sudo
fi

say "its headers are missing; installing them with: ${sudo:+sudo }$install"
if has apt-get; then
    # a fresh machine has no package lists; if the mirror is down, older lists may still do
    $sudo apt-get update -q || say "apt-get update failed; continuing with the lists that are here"
fi
# shellcheck disable=SC2086 # a command of several words
if ! $sudo $install; then
    say "that failed, see above for the reason; then type: ${sudo:+sudo }$install"
    exit 1
fi
if ! links; then
    say "its headers are installed now, but a program cannot be built against them: see above"
    if has brew; then
        say "try: export CGO_CFLAGS=-I$(brew --prefix libpcap)/include CGO_LDFLAGS=-L$(brew --prefix libpcap)/lib"
    fi
    exit 1
fi
