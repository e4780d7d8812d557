# Starting a naraed, calling it and stopping it again, for the scripts that own one. Sourced after
# lib.sh, by a script that has set: listen, url, data, run (folders), run_option (of naraed; may be empty), log,
# work (a private folder).
# shellcheck shell=bash disable=SC2154

daemon=

# The run folder naraed would choose by itself for a data folder: with its device in the name where that one is in use already.
run_folder() {
    local name
    name=$(printf '/run/narae/%08x' $(($(stat -c %i "$1") & 0xffffffff)))
    [ ! -d "$name-$(printf %08x "$(stat -c %d "$1")")" ] || name=$name-$(printf %08x "$(stat -c %d "$1")")
    printf '%s\n' "$name"
}

# What naraed of this run folder has on the Engine, one id a line.
containers() {
    local ids
    ids=$(docker_cli ps -aq --no-trunc --filter label=narae.installation 2> /dev/null) || return 0
    [ -n "$ids" ] || return 0
    # shellcheck disable=SC2086
    docker_cli inspect -f '{{.Id}}{{range .Mounts}} {{.Source}}{{end}}' $ids 2> /dev/null |
        awk -v run="$run/" 'index($0, " " run) { print $1 }'
}

# Whoever it belongs to: kill -0 says no of a process of sudo's.
alive() { [ -e "/proc/$1" ]; }

# must_be_free: ends here, with the way out, when the port or the data folder is somebody else's; what
# follows would otherwise talk to that naraed and take its containers for ours.
must_be_free() {
    local pid status=0
    [ ! -e "$data/lock" ] || as_root flock -n -E 75 "$data/lock" true || status=$?
    if [ "$status" -eq 75 ]; then
        pid=$(as_root lslocks -n -o PID,PATH 2> /dev/null |
            awk -v path="$(realpath "$data")/lock" '$2 == path { print $1; exit }')
        die "a naraed${pid:+ (process $pid)} works on $data already: end it first" \
            "${pid:+(kill $pid) }or take another folder with NARAE_DATA=FOLDER"
    fi
    status=0
    curl -s -m 2 -o /dev/null "$url/" || status=$?
    case $status in
        3 | 6) die "$listen is not an address and a port, as in NARAE_LISTEN=127.0.0.1:3233" ;;
    esac
    if [ "$status" -ne 7 ]; then # 7: nobody listens
        die "$listen is taken: end the program that listens there or take another port with" \
            "NARAE_LISTEN=127.0.0.1:PORT"
    fi
}

# Returns when naraed is ready and the guest's key is in work. It gets a session of its own: Ctrl-C
# reaches this script, which then sends one TERM.
start_naraed() {
    must_be_free
    local sudo=()
    [ "$(id -u)" -eq 0 ] || sudo=(sudo --)
    ${sudo[@]+"${sudo[@]}"} setsid build/naraed "--listen=$listen" "--data=$data" \
        ${run_option:+"$run_option"} "--docker=$NARAE_DOCKER" > "$log" 2>&1 < /dev/null &
    daemon=$!
    local tries=300
    while [ "$tries" -gt 0 ]; do
        if ! alive "$daemon"; then
            tail -n 5 "$log" >&2
            daemon=
            die "naraed ended at its start; its log is $log"
        fi
        grep -q '^listening on ' "$log" && # ours, not another that answers there
            [ "$(curl -s -m 2 -o /dev/null -w '%{http_code}' "$url/readyz")" = 200 ] && break
        sleep 0.1
        tries=$((tries - 1))
    done
    if [ "$tries" -eq 0 ]; then
        tail -n 20 "$log" >&2
        die "naraed is not ready after 30 s; its log is $log"
    fi
    as_root cat "$data/guest.key" > "$work/guest.key" || die "no key in $data/guest.key"
    printf 'user = "%s"\n' "$(cat "$work/guest.key")" > "$work/guest"
}

# stop_naraed: 0 when it ended by itself with status 0 and left no container.
stop_naraed() {
    [ -n "$daemon" ] || return 0
    local pid=$daemon left=800 status=0
    daemon=
    as_root kill -TERM "$pid" 2> /dev/null
    while alive "$pid" && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    if [ "$left" -eq 0 ]; then
        warn "naraed does not end: killing it"
        as_root kill -KILL "$pid" 2> /dev/null
    fi
    wait "$pid" || status=$?
    [ "$status" -eq 0 ] || warn "naraed ended with status $status; the end of $log:"
    [ "$status" -eq 0 ] || tail -n 10 "$log" >&2
    local rest
    rest=$(containers)
    if [ -n "$rest" ]; then
        warn "containers were left behind; removing them: $(echo "$rest" | cut -c1-12 | paste -sd' ')"
        # shellcheck disable=SC2086
        docker_cli rm -f $rest > /dev/null
        return 1
    fi
    return "$status"
}

# call METHOD PATH [FILE]: as guest; the key stays off the command line. Prints body and status.
call() {
    local body=()
    [ $# -lt 3 ] || body=(-H 'Content-Type: application/json' --data-binary "@$3")
    curl -s -m 120 -X "$1" -K "$work/guest" ${body[@]+"${body[@]}"} -w '\n%{http_code}\n' "$url$2"
}

deploy_example() {
    python3 - examples/validate/validate.py > "$work/action.json" << 'PYTHON' || return 1
import json, sys
code = open(sys.argv[1], encoding="utf-8").read()
json.dump({"exec": {"kind": "python:3", "code": code},
           "limits": {"memory": 128, "timeout": 30000}}, sys.stdout)
PYTHON
    local answer
    answer=$(call PUT '/api/v1/namespaces/_/actions/validate?overwrite=true' "$work/action.json")
    case "$(echo "$answer" | tail -n 1)" in
    200) say "deployed examples/validate as the action /_/validate" ;;
    *) die "the deployment was refused: $answer" ;;
    esac
}

program() {
    local p
    for p in "build/examples/$1/$1" "build/examples/$1"; do
        [ -f "$p" ] && [ -x "$p" ] && echo "$p" && return
    done
    die "build/examples has no $1"
}

# What the generator sends in one hour of both boards, and what it knows must come out.
make_hour() {
    "$(program sensor-sim)" --hours=1 --format=lines > "$work/lines" &&
        "$(program sensor-sim)" --hours=1 --counts > "$work/counts" || die "the generator failed"
}

# feed_hour OPTION...: one blocking call per reading; 0 when every count is the expected one.
feed_hour() {
    attend "$(program sensor-feed)" "--url=$url" "--auth-file=$work/guest.key" \
        --action=validate "--lines=$work/lines" "--expect=$work/counts" "$@"
}
