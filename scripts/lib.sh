# What the scripts share: progress lines, root rights, apt, clean-up. Sourced, never run.
#
#   . "$(dirname "$0")/lib.sh"
#
# Every line of progress carries the seconds since the script started. Nothing here asks a question
# and nothing is installed that is already there.
# shellcheck shell=bash

set -u
set -o pipefail

NARAE_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# A script called by another goes on counting where its caller stands.
NARAE_T0=${NARAE_T0:-$(date +%s)}
export NARAE_T0

elapsed() { echo $(($(date +%s) - NARAE_T0)); }

# say TEXT...: one line of progress.
say() { printf '[%4ds] %s\n' "$(elapsed)" "$*"; }

# The help of a script is the comment at its head, unless it has words of its own: a function usage().
case "${1:-}" in
-h | --help)
    grep -q '^usage()' "$0" || {
        awk 'NR > 1 { if (!sub(/^# ?/, "")) exit; print }' "$0"
        exit 0
    }
    ;;
esac

# warn TEXT...: something a reader should know, on the error channel.
warn() { printf '[%4ds] %s\n' "$(elapsed)" "$*" >&2; }

# die TEXT...: one clear line, exit status 1.
die() {
    warn "error: $*"
    exit 1
}

have() { command -v "$1" > /dev/null 2>&1; }

# as_root COMMAND...: through sudo unless we are root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif have sudo; then
        sudo -- "$@"
    else
        die "root rights are needed for: $* (run as root, or install sudo)"
    fi
}

# need_root: asks for the password now, while the terminal is ours; without any way to root rights
# it ends before the time of a build is spent.
need_root() {
    [ "$(id -u)" -eq 0 ] && return 0
    have sudo || die "this needs root rights: run it as root, or install sudo"
    sudo -v || die "this needs root rights: run it as root, or as somebody whom sudo lets"
}

# attend COMMAND...: runs it in a process group of its own, so that a signal to this script is acted
# on at once and ends all of it; whoever sets an EXIT trap of its own calls stop_children in it.
NARAE_CHILDREN=
attend() {
    local pid status=0
    set -m
    "$@" < /dev/null &
    pid=$!
    set +m
    NARAE_CHILDREN="$NARAE_CHILDREN $pid"
    wait "$pid" || status=$?
    NARAE_CHILDREN=${NARAE_CHILDREN% "$pid"}
    return "$status"
}

# All are told before any is waited for: a wait for one that the same Ctrl-C has ended may last until
# another ends.
stop_children() {
    local pid
    for pid in $NARAE_CHILDREN; do
        kill -TERM -- "-$pid" 2> /dev/null || kill -TERM "$pid" 2> /dev/null
    done
    for pid in $NARAE_CHILDREN; do
        wait "$pid" 2> /dev/null
    done
    NARAE_CHILDREN=
}
trap stop_children EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# sign_of_life LOG: every ten seconds the last line of a log, until it is killed.
sign_of_life() {
    local began
    began=$(date +%s)
    while sleep 10 > /dev/null 2>&1 < /dev/null; do
        say "  ... $(($(date +%s) - began)) s: $(tail -n 1 "$1" 2> /dev/null |
            tr -cd '[:print:]' | cut -c1-80)"
    done
}

# with_log FILE TITLE COMMAND...: runs a long command quietly, with a sign of life every ten
# seconds; when it fails the end of its output is shown.
with_log() {
    local log=$1 title=$2 ticker status=0
    shift 2
    mkdir -p "$(dirname "$log")"
    say "$title"
    sign_of_life "$log" &
    ticker=$!
    NARAE_CHILDREN="$NARAE_CHILDREN $ticker"
    attend "$@" > "$log" 2>&1 || status=$?
    kill "$ticker" 2> /dev/null
    wait "$ticker" 2> /dev/null
    NARAE_CHILDREN=${NARAE_CHILDREN% "$ticker"}
    if [ "$status" -ne 0 ]; then
        warn "failed: $title (exit status $status); the end of $log:"
        tail -n 40 "$log" >&2
    fi
    return "$status"
}

installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2> /dev/null)" = installed ]
}

# First of "a|b|c" that apt can install, or nothing.
apt_choice() {
    local p
    for p in ${1//|/ }; do
        apt-cache show "$p" > /dev/null 2>&1 && echo "$p" && return
    done
}

any_installed() {
    local p
    for p in ${1//|/ }; do
        installed "$p" && return 0
    done
    return 1
}

# apt_need PACKAGE...: installs what is missing; "a|b" is the first of them that this Debian has.
# The package lists are fetched once, and only when something is missing.
apt_need() {
    local missing=() chosen=() p c
    for p in "$@"; do
        any_installed "$p" || missing+=("$p")
    done
    [ ${#missing[@]} -eq 0 ] && return 0
    have apt-get || die "this system has no apt; please install: ${missing[*]}"
    need_root
    if [ -z "${NARAE_APT_UPDATED:-}" ]; then
        with_log "$NARAE_LOGS/apt-update.log" "fetching the package lists" \
            as_root apt-get -q update || warn "going on with the package lists at hand"
        export NARAE_APT_UPDATED=1
    fi
    for p in "${missing[@]}"; do
        c=$(apt_choice "$p")
        [ -n "$c" ] || die "apt knows no package ${p//|/ or }"
        chosen+=("$c")
    done
    with_log "$NARAE_LOGS/apt-install.log" "installing ${chosen[*]}" \
        as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
        install "${chosen[@]}" || die "could not install: ${chosen[*]}"
}

# What the daemon, the command line and the agent are built from.
build_packages="build-essential meson ninja-build pkg-config python3 ca-certificates curl
    libuv1-dev libjansson-dev libssl-dev libcurl4-openssl-dev libsqlite3-dev libarchive-dev librdkafka-dev libyaml-dev
    libllhttp-dev|node-llhttp nettle-dev liblzma-dev libzstd-dev libbz2-dev zlib1g-dev"

# What the tests make WebAssembly modules with.
wasm_packages="clang lld wasi-libc libclang-rt-dev-wasm32"

# need_node: node and npm from wherever the machine has them; Debian's only when there are none,
# for Debian's npm does not install beside another vendor's nodejs (which brings its own). npm is to trust what the machine
# trusts.
need_node() {
    local authorities=/etc/ssl/certs/ca-certificates.crt
    if [ -z "${NODE_EXTRA_CA_CERTS:-}" ] && [ -s "$authorities" ]; then
        export NODE_EXTRA_CA_CERTS=$authorities
    fi
    have node && have npm && return 0
    if have node && ! installed nodejs; then
        die "node is here but npm is not: install the npm that belongs to $(command -v node)"
    fi
    apt_need nodejs npm
}

# need_pip: python3 with pip, from wherever the machine has them.
need_pip() {
    python3 -m pip --version > /dev/null 2>&1 || apt_need python3 python3-pip
}

# npm_client: the npm packages that some integration tests drive, in build/npm.
npm_client() {
    local dir=$NARAE_ROOT/build/npm
    mkdir -p "$dir"
    { [ -d "$dir/node_modules/openwhisk" ] && [ -d "$dir/node_modules/openwhisk-composer" ]; } ||
        with_log "$NARAE_LOGS/npm.log" "installing the npm packages openwhisk and openwhisk-composer into build/npm" \
            npm install --prefix "$dir" --no-audit --no-fund --no-save --loglevel=error \
            openwhisk@3 openwhisk-composer@0 ||
        warn "without the npm packages openwhisk and openwhisk-composer the tests of those clients fail"
}

# schemathesis_tool: the PyPI package that sends what the API's documents allow, in build/schemathesis.
schemathesis_tool() {
    local dir=$NARAE_ROOT/build/schemathesis
    [ -x "$dir/bin/st" ] || {
        apt_need python3-venv && python3 -m venv "$dir" && with_log "$NARAE_LOGS/schemathesis.log" \
            "installing the PyPI package schemathesis into build/schemathesis" \
            "$dir/bin/pip" install -q --disable-pip-version-check 'schemathesis==4.*'
    } || warn "without schemathesis the tests of the API's documents fail"
}

# prometheus_tool: prometheus and promtool out of Debian's package, in build/prometheus. It is unpacked and not installed: that
# would start a service that watches this host.
prometheus_tool() {
    local dir=$NARAE_ROOT/build/prometheus
    [ -x "$dir/usr/bin/promtool" ] && return 0
    mkdir -p "$dir"
    with_log "$NARAE_LOGS/prometheus.log" "fetching the package prometheus into build/prometheus" \
        sh -c 'cd "$1" && { apt-get -q download prometheus || { [ "$(id -u)" -eq 0 ] && apt-get -q update &&
            apt-get -q download prometheus; }; } && dpkg-deb -x prometheus_*.deb . && rm -f prometheus_*.deb' \
        sh "$dir" || warn "without prometheus the tests of docs/monitoring fail"
}

# kafka_jars: where scripts/kafka keeps the jars of its version.
kafka_jars() {
    local version
    version=$(sed -n 's/.*<version>\(.*\)<\/version> *<!-- Kafka -->.*/\1/p' "$NARAE_ROOT/scripts/kafka.pom")
    echo "${NARAE_KAFKA_JARS:-${XDG_CACHE_HOME:-$HOME/.cache}/narae/kafka-$version}"
}

# kafka_tool: a broker's jars and a client of Kafka that is not ours.
kafka_tool() {
    { apt_need kcat && "$NARAE_ROOT/scripts/kafka" install; } ||
        warn "without kcat and the jars of Kafka the tests of the bus over a broker fail"
    NARAE_KAFKA_JARS=$(kafka_jars)
    export NARAE_KAFKA_JARS
}

# python_with_pytest [MODULE]: the first python3 that has pytest, and that module; apt's belong to /usr/bin/python3.
python_with_pytest() {
    local p
    for p in /usr/bin/python3 python3; do
        "$p" -c "import pytest${1:+, $1}" 2> /dev/null && echo "$p" && return
    done
    die "no python3 here has pytest${1:+ and $1}"
}

# meson_setup DIR OPTION...: configures once, and again only when the options changed.
meson_setup() {
    local dir=$1 stamp options
    shift
    stamp="$dir/.narae-options"
    # meson remembers that a library was missing: what was installed since is a reason to configure anew
    options="$* cmocka=$(pkg-config --modversion cmocka 2> /dev/null)"
    if [ -f "$dir/build.ninja" ] && [ "$(cat "$stamp" 2> /dev/null)" = "$options" ]; then
        return 0
    fi
    local again=()
    [ -f "$dir/build.ninja" ] && again=(--wipe)
    with_log "$NARAE_LOGS/meson-$(basename "$dir").log" "configuring $dir" \
        meson setup ${again[@]+"${again[@]}"} "$dir" "$NARAE_ROOT" "$@" || return 1
    printf '%s\n' "$options" > "$stamp"
}

# build_in DIR [TARGET...]
build_in() {
    local dir=$1
    shift
    with_log "$NARAE_LOGS/ninja-$(basename "$dir").log" "building $(basename "$dir")/" \
        ninja -C "$dir" "$@"
}

# What a running platform and its demonstration need, without the tests.
programs="naraed narae narae-agent examples/sensor-sim examples/sensor-feed"

NARAE_LOGS=${NARAE_LOGS:-${TMPDIR:-/tmp}/narae-logs.$(id -u)}
export NARAE_LOGS
mkdir -p "$NARAE_LOGS"

NARAE_DOCKER=${NARAE_DOCKER:-/var/run/docker.sock}
export NARAE_DOCKER

# engine_answers: 0 when an Engine answers on its socket within five seconds.
engine_answers() {
    [ -S "$NARAE_DOCKER" ] || return 1
    [ "$(as_root curl -s -m 5 --unix-socket "$NARAE_DOCKER" http://engine/_ping 2> /dev/null)" = OK ]
}

docker_cli() { as_root docker -H "unix://$NARAE_DOCKER" "$@"; }
