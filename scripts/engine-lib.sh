# What the scripts that start a Docker Engine share: a process in a session of its own, control groups,
# a bridge. Sourced after lib.sh.
# shellcheck shell=bash

# wait_gone PID SECONDS
wait_gone() {
    local left=$(($2 * 5))
    while [ -e "/proc/$1" ] && [ "$left" -gt 0 ]; do
        sleep 0.2
        left=$((left - 1))
    done
    [ ! -e "/proc/$1" ]
}

# in_own_session LOG PID_FILE COMMAND...: starts it in a session of its own, so that it stays when this
# script, run or test end, and without its descriptor 3; its process id is in PID_FILE before the command runs.
in_own_session() {
    as_root bash -c '
        log=$1 pid_file=$2
        shift 2
        exec setsid --fork bash -c "echo \$\$ > \"\$0\"; exec \"\$@\"" "$pid_file" "$@" \
            >> "$log" 2>&1 3>&- < /dev/null' start "$@"
}

# Containers and clean roots start without control groups: mount what the kernel offers.
mount_cgroups() {
    grep -q ' /sys/fs/cgroup' /proc/self/mounts && return 0
    say "mounting the control groups"
    as_root bash -s << 'MOUNT'
        set -e
        controllers=$(awk '!/^#/ && $4 == 1 && $2 != 0 { print $1 }' /proc/cgroups)
        if [ -z "$controllers" ]; then
            mount -t cgroup2 cgroup2 /sys/fs/cgroup
            exit 0
        fi
        mount -t tmpfs -o mode=755 cgroup /sys/fs/cgroup
        cd /sys/fs/cgroup
        for c in $controllers; do
            mkdir -p "$c"
            mount -t cgroup -o "$c" cgroup "$c" || rmdir "$c"
        done
        mkdir -p systemd
        mount -t cgroup -o none,name=systemd cgroup systemd || rmdir systemd
MOUNT
}

# make_own_bridge NAME: an address range no route leads to yet.
make_own_bridge() {
    local name=$1 n
    [ -e "/sys/class/net/$name" ] && return 0
    have ip || apt_need iproute2
    as_root ip link add "$name" type bridge || return 1
    for n in $(seq 77 108); do
        if ! ip route | grep -q "198\\.18\\.$n\\."; then
            as_root ip addr add "198.18.$n.1/24" dev "$name" && as_root ip link set "$name" up
            return
        fi
    done
    return 1
}
