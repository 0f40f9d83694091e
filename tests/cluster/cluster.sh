#!/usr/bin/env bash
# A one-node Slurm with two stand-in GPUs, and Apptainer, for the tests: on a bare Debian machine, as root.
#
#   tests/cluster/cluster.sh install get what is missing: packages of Debian, Apptainer; a second call finds it done
#   tests/cluster/cluster.sh up      the same, and start
#   tests/cluster/cluster.sh env     print the variables that point commands at it (eval them)
#   tests/cluster/cluster.sh down    stop the daemons; with --purge also remove the folder
#
# Everything but Debian's packages and one link (/etc/slurm/slurm.conf: the executor plugin hides $SLURM_CONF from its
# jobs) lies in one folder, $PETSCALE_CLUSTER. Not for production: anyone on the machine may submit.
set -euo pipefail
folder=${PETSCALE_CLUSTER:-/var/tmp/petscale-cluster}
host=$(hostname -s)
link=/etc/slurm/slurm.conf

say() { printf 'cluster: %s\n' "$1" >&2; }
die() { say "$1"; exit 2; }

packages() {
    [ "$(id -u)" = 0 ] || die "root is needed (daemons, and user namespaces for Apptainer)"
    command -v apt-get >/dev/null || die "apt-get is needed: this set-up is for Debian"
    local missing=() name
    # command:package
    for name in slurmctld:slurmctld slurmd:slurmd sbatch:slurm-client munged:munge mmdebstrap:mmdebstrap \
        mksquashfs:squashfs-tools squashfuse:squashfuse fuse-overlayfs:fuse-overlayfs fuse2fs:fuse2fs \
        newuidmap:uidmap patchelf:patchelf; do
        command -v "${name%%:*}" >/dev/null || [ -x "/usr/sbin/${name%%:*}" ] || missing+=("${name##*:}")
    done
    [ "${#missing[@]}" = 0 ] && return
    say "installing ${missing[*]}"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >"$folder/apt.log" 2>&1 ||
        die "apt-get install failed, see $folder/apt.log"
}

# Debian 12 has no Apptainer, and newer suites' needs a newer C library: both are unpacked into the folder and the
# programs pointed at that library, so the system stays as it is.
apptainer_unpack() {
    local place=$folder/apptainer
    [ -x "$place/bin/apptainer" ] && return
    say "unpacking Apptainer"
    local work=$folder/debs mirror
    mkdir -p "$work/lists/partial"
    # shellcheck disable=SC2016
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | head -n 1)
    [ -n "$mirror" ] || die "apt has no source to take the mirror's address from"
    echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror sid main" >"$work/sid.list"
    local apt=(-o "Dir::Etc::sourcelist=$work/sid.list" -o Dir::Etc::sourceparts=- -o "Dir::State::lists=$work/lists"
        -o APT::Get::List-Cleanup=0 -o Dir::Cache::pkgcache= -o Dir::Cache::srcpkgcache= -o APT::Sandbox::User=root)
    apt-get "${apt[@]}" update -qq
    (cd "$work" && apt-get "${apt[@]}" download -qq apptainer libc6 libseccomp2 libsqlite3-0)
    rm -rf "$place.part" "$work/root"
    mkdir -p "$place.part/bin" "$place.part/etc" "$place.part/lib/x86_64-linux-gnu" "$place.part/newer" "$work/root"
    local deb
    for deb in "$work"/*.deb; do dpkg-deb -x "$deb" "$work/root"; done
    local lib=$work/root/usr/lib/x86_64-linux-gnu
    cp -a "$lib"/*.so* "$place.part/newer/"
    # It finds its parts relative to where it lies.
    cp -a "$work/root/usr/bin/apptainer" "$place.part/bin/"
    cp -a "$lib/apptainer" "$place.part/lib/x86_64-linux-gnu/"
    cp -a "$work/root/etc/apptainer" "$place.part/etc/"
    mkdir -p "$place.part/lib/var/lib/apptainer/mnt/session"
    local program
    for program in "$place.part/bin/apptainer" "$place.part/lib/x86_64-linux-gnu/apptainer/bin/starter"; do
        patchelf --set-interpreter "$place/newer/ld-linux-x86-64.so.2" --force-rpath --set-rpath "$place/newer" "$program"
    done
    mv "$place.part" "$place"
    rm -rf "$work"
}

munge_start() {
    local place=$folder/munge
    [ -f "$place/pid" ] && kill -0 "$(cat "$place/pid")" 2>/dev/null && return
    mkdir -p "$place"
    [ -f "$place/key" ] || dd if=/dev/urandom of="$place/key" bs=1024 count=1 status=none
    chmod 400 "$place/key"
    chmod 755 "$folder" "$place"
    # Its output goes to a file: a daemon that keeps the caller's pipe would hang the caller.
    /usr/sbin/munged --force --socket="$place/socket" --key-file="$place/key" --pid-file="$place/pid" \
        --log-file="$place/log" --seed-file="$place/seed" >"$place/out" 2>&1
}

slurm_write() {
    local place=$folder/slurm memory
    if [ -e "$link" ] && [ "$(readlink "$link")" != "$place/slurm.conf" ]; then
        die "$link is there already: this machine has a Slurm of its own"
    fi
    mkdir -p "$place/state" "$place/spool" "$(dirname "$link")"
    ln -sfn "$place/slurm.conf" "$link"
    memory=$(awk '/MemTotal/ { print int($2 / 1024 * 0.8) }' /proc/meminfo)
    cat >"$place/slurm.conf" <<CONF
ClusterName=petscale-test
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
# The second value also bounds how long a requeued job waits before it starts again.
AuthInfo=socket=$place/../munge/socket,cred_expire=10
StateSaveLocation=$place/state
SlurmdSpoolDir=$place/spool
SlurmctldPidFile=$place/slurmctld.pid
SlurmdPidFile=$place/slurmd.pid
SlurmctldLogFile=$place/slurmctld.log
SlurmdLogFile=$place/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
GresTypes=gpu
ReturnToService=2
KillWait=15
MinJobAge=300
SchedulerParameters=bf_interval=3,sched_interval=3
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
# No accounting on purpose: the profile must not hang where it is missing.
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
NodeName=$host NodeAddr=127.0.0.1 CPUs=$(nproc) RealMemory=$memory Gres=gpu:2
PartitionName=gpu Nodes=ALL Default=YES MaxTime=60 PriorityTier=1
PartitionName=urgent Nodes=ALL MaxTime=60 PriorityTier=10 PreemptMode=OFF
CONF
    printf 'Name=gpu File=/dev/null\nName=gpu File=/dev/zero\n' >"$place/gres.conf"
    local plugin=cgroup/v1
    [ -f /sys/fs/cgroup/cgroup.controllers ] && plugin=cgroup/v2
    printf 'CgroupPlugin=%s\nCgroupMountpoint=/sys/fs/cgroup\n' "$plugin" >"$place/cgroup.conf"
}

slurm_start() {
    local place=$folder/slurm
    scontrol ping >/dev/null 2>&1 || /usr/sbin/slurmctld -c -f "$place/slurm.conf" >"$place/slurmctld.out" 2>&1
    [ -f "$place/slurmd.pid" ] && kill -0 "$(cat "$place/slurmd.pid")" 2>/dev/null ||
        /usr/sbin/slurmd -f "$place/slurm.conf" -N "$host" >"$place/slurmd.out" 2>&1
    local tries
    for tries in $(seq 60); do
        [ "$(sinfo -h -p gpu -o %t 2>/dev/null)" = idle ] && return
        sleep 0.5
    done
    tail -n 5 "$place"/*.log >&2
    die "the node did not come up after $((tries / 2)) s: $(sinfo -h -R 2>&1 | head -n 1)"
}

stop() {
    local pid file
    for file in "$folder"/slurm/slurmd.pid "$folder"/slurm/slurmctld.pid "$folder"/munge/pid; do
        [ -f "$file" ] || continue
        pid=$(cat "$file")
        kill "$pid" 2>/dev/null || continue
        for _ in $(seq 40); do kill -0 "$pid" 2>/dev/null || break; sleep 0.25; done
    done
}

install() {
    mkdir -p "$folder"
    packages
    apptainer_unpack
}

case "${1:-}" in
install) install ;;
up)
    install
    slurm_write
    munge_start
    slurm_start
    say "up: $(sinfo -h -p gpu -o '%n %G %t'), $("$folder/apptainer/bin/apptainer" --version)"
    ;;
env)
    echo "export PATH=$folder/apptainer/bin:\$PATH"
    # Root without every capability cannot use Apptainer's privileged way.
    echo "export APPTAINER_USERNS=1 APPTAINER_CACHEDIR=$folder/cache APPTAINER_CONFIGDIR=$folder/config"
    ;;
down)
    stop
    [ "$(readlink "$link")" != "$folder/slurm/slurm.conf" ] || rm "$link"
    if [ "${2:-}" = --purge ]; then
        rm -rf "$folder"
    fi
    ;;
*) die "usage: $0 install|up|env|down [--purge]" ;;
esac
