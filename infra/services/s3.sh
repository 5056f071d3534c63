#!/usr/bin/env bash
# A real S3 service on loopback: Ceph's gateway with one monitor and one storage daemon, from Debian 12's packages.
# They are unpacked into a cache; nothing is installed. For tests and trials, not for data worth keeping.
#
#   infra/services/s3.sh DIR [PORT]          start with all state in DIR, or find it running; PORT: by default a free one
#   infra/services/s3.sh --stop DIR          stop; the state stays, and the next start goes on with it
#   eval "$(infra/services/s3.sh DIR)"       the same, and let this shell's S3 clients use it
#
# EQN_SERVICES_CACHE    where unpacked packages are kept between runs; default: ${XDG_CACHE_HOME:-~/.cache}/eqn/services
# Exit codes: 0 healthy (or stopped), 2 wrong call, 5 it does not start.
set -euo pipefail
umask 077 # DIR holds keys
# shellcheck source=infra/services/debian.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/debian.sh"

daemons=(mon osd rgw) # in the order in which they start
seconds_to_start=120

main() {
  if [ "${1:-}" = --stop ] && [ $# -eq 2 ]; then
    use "$2"
    stop
  elif [ $# -ge 1 ] && [ $# -le 2 ] && [ "${1#-}" = "$1" ] && [[ ${2:-1} =~ ^[0-9]+$ ]]; then
    use "$1"
    start "${2:-}"
  else
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
  fi
}

fail() {
  echo "s3.sh: $1" >&2
  exit 5
}

# --- the state in DIR --------------------------------------------------------------------------------------------------

use() {
  mkdir -p "$1/log" "$1/run"
  dir=$(realpath "$1")
  conf=$dir/ceph.conf
  exec 9>"$dir/lock"
  flock 9
  fsid='' mon_port='' port=''
  # shellcheck source=/dev/null
  if [ -f "$dir/settings" ]; then . "$dir/settings"; fi
}

start() {
  if [ -f "$dir/created" ] && all_alive && healthy && [ "${1:-$port}" = "$port" ]; then
    cat "$dir/credentials"
    return
  fi
  stop
  find "$dir/log" -name '*.log' -size +10M -exec mv {} {}.1 \;
  unpack
  trap 'code=$?; [ $code = 0 ] || stop; exit $code' EXIT
  trap 'exit 5' INT TERM HUP
  port=${1:-${port:-$(free_port)}}
  if listening "$port"; then fail "expected port $port to be free; something listens there. Name another one."; fi
  if [ -f "$dir/created" ]; then
    # The monitor's port is part of the cluster.
    if listening "$mon_port"; then fail "expected port $mon_port to be free; something listens there. Use another DIR."; fi
  else
    # What a creation that broke off has left cannot be gone on with.
    rm -rf "$dir"/{created,credentials,keyring,mon,osd}
    fsid=$(cat /proc/sys/kernel/random/uuid)
    mon_port=$(free_port)
  fi
  printf 'fsid=%s\nmon_port=%s\nport=%s\n' "$fsid" "$mon_port" "$port" >"$dir/settings"
  write_conf
  [ -f "$dir/created" ] || create_monitor
  launch mon ceph-mon -i a
  [ -f "$dir/created" ] || create_storage
  launch osd ceph-osd -i 0
  launch rgw radosgw -n client.rgw.a
  await
  [ -f "$dir/created" ] || create_user
  touch "$dir/created"
  # Keys stay as they were made, the port need not.
  sed -i "s|^export AWS_ENDPOINT_URL=.*|export AWS_ENDPOINT_URL=http://127.0.0.1:$port|" "$dir/credentials"
  cat "$dir/credentials"
}

stop() {
  local index pid name
  for ((index = ${#daemons[@]} - 1; index >= 0; index--)); do
    name=${daemons[index]}
    if alive "$name"; then
      pid=$(cat "$dir/run/$name.pid")
      kill "$pid" || true
      for _ in {1..100}; do
        alive "$name" || break
        sleep 0.1
      done
      if alive "$name"; then kill -KILL "$pid" || true; fi
    fi
    rm -f "$dir/run/$name.pid"
  done
}

# --- packages ----------------------------------------------------------------------------------------------------------

unpack() {
  unpack_packages ceph Ceph wanted
  local libraries=("$root"/usr/lib/*-linux-gnu)
  lib=${libraries[0]}
  export LD_LIBRARY_PATH=$lib:$lib/ceph:$root/usr/lib/ceph:$root/lib/${lib##*/} PATH=$root/usr/bin:$PATH
}

wanted() { # what an installation would add: of that, the programs and libraries that are run here
  apt-get -qq -s install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common 2>/dev/null |
    sed -n 's/^Inst \([^ ]*\).*/\1/p' | grep -E '^(ceph|lib|rados)'
}

# --- the cluster -------------------------------------------------------------------------------------------------------

write_conf() {
  cat >"$conf" <<END
[global]
fsid = $fsid
keyring = $dir/keyring
mon host = v2:127.0.0.1:$mon_port
public addr = 127.0.0.1
cluster addr = 127.0.0.1
run dir = $dir/run
# paths of sockets may have 107 characters, DIR may have more
admin socket =
log file = $dir/log/\$name.log
plugin dir = $lib/ceph
osd class dir = $lib/rados-classes
erasure code dir = $lib/ceph/erasure-code
# one copy on one daemon
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd crush chooseleaf type = 0
osd pool default pg num = 8
mon max pg per osd = 2000
[mon.a]
mon data = $dir/mon
# a disk that is nearly full is no reason to stop
mon data avail warn = 1
mon data avail crit = 1
[osd.0]
osd data = $dir/osd
osd objectstore = bluestore
# a sparse file
bluestore block size = 8589934592
bluestore cache autotune = false
bluestore cache size = 134217728
[client.rgw.a]
rgw data = $dir/rgw
rgw frontends = beast endpoint=127.0.0.1:$port
rgw thread pool size = 64
END
}

create_monitor() {
  local new=$dir/mon.new
  rm -rf "$new"
  mkdir "$dir/mon" "$new"
  key mon. --cap mon 'allow *'
  key client.admin --cap mon 'allow *' --cap osd 'allow *' --cap mgr 'allow *'
  key client.rgw.a --cap mon 'allow rw' --cap osd 'allow rwx'
  key osd.0 --cap mon 'allow profile osd' --cap osd 'allow *'
  {
    monmaptool --create --fsid "$fsid" --addv a "[v2:127.0.0.1:$mon_port]" "$new/monmap"
    # The storage daemon stands in the first map: nobody has to add it, which would take Ceph's Python programs.
    osdmaptool -c "$conf" --createsimple 1 "$new/osdmap"
    ceph-mon -c "$conf" --mkfs -i a --monmap "$new/monmap" --osdmap "$new/osdmap" --keyring "$dir/keyring"
  } >"$dir/log/create-mon.out" 2>&1 || fail "the monitor cannot be created, see $dir/log/create-mon.out"
  rm -rf "$new"
}

create_storage() { # with the monitor running
  mkdir "$dir/osd"
  timeout "$seconds_to_start" ceph-osd -c "$conf" --mkfs -i 0 --osd-uuid "$(cat /proc/sys/kernel/random/uuid)" \
    >"$dir/log/create-osd.out" 2>&1 9>&- || fail "the storage cannot be created, see $dir/log/create-osd.out"
}

key() { # NAME CAPS...
  local options=(--gen-key -n "$@")
  [ -f "$dir/keyring" ] || options=(--create-keyring "${options[@]}")
  ceph-authtool "$dir/keyring" "${options[@]}" >/dev/null
}

create_user() {
  local user
  # The gateway makes the keys, so that they are on no command line.
  user=$(radosgw-admin -c "$conf" -n client.rgw.a user create --uid=eqn --display-name=EQN 2>"$dir/log/user.log") ||
    fail "the user cannot be created, see $dir/log/user.log"
  {
    echo "export AWS_ENDPOINT_URL="
    echo "export AWS_ACCESS_KEY_ID=$(field access_key "$user")"
    echo "export AWS_SECRET_ACCESS_KEY=$(field secret_key "$user")"
    echo "export AWS_REGION=us-east-1"
  } >"$dir/credentials"
}

field() { # NAME JSON
  sed -n "s/.*\"$1\": \"\\([^\"]*\\)\".*/\\1/p" <<<"$2" | head -n 1
}

# --- daemons -----------------------------------------------------------------------------------------------------------

launch() { # NAME COMMAND...
  setsid "$2" -c "$conf" -f "${@:3}" >"$dir/log/$1.out" 2>&1 </dev/null 9>&- &
  echo $! >"$dir/run/$1.pid"
  # On a busy machine it takes a while until the new process has become the daemon that `alive` knows.
  for _ in {1..100}; do
    if alive "$1"; then break; fi
    sleep 0.05
  done
}

await() {
  local end=$((SECONDS + seconds_to_start)) name
  until healthy; do
    for name in "${daemons[@]}"; do
      alive "$name" || fail "$name ended before the service was ready, see $dir/log"
    done
    [ "$SECONDS" -lt "$end" ] || fail "the service is not ready after $seconds_to_start s, see $dir/log"
    sleep 0.3
  done
}

all_alive() {
  local name
  for name in "${daemons[@]}"; do alive "$name" || return 1; done
}

alive() { # NAME; a process that only got the number of a daemon long gone is none
  local pid
  pid=$(cat "$dir/run/$1.pid" 2>/dev/null) && { tr '\0' ' ' <"/proc/$pid/cmdline"; } 2>/dev/null | grep -qF -- "$conf"
}

healthy() { # an answer to an anonymous listing of buckets comes from the storage behind the gateway, not from it alone
  local answer
  answer=$(
    exec 2>/dev/null 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && timeout 10 head -n 1 <&3
  ) && [[ $answer == *' 200 '* ]]
}

listening() {
  (: <"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

free_port() {
  local candidate
  while candidate=$((20000 + RANDOM % 12000)) && listening "$candidate"; do :; done
  echo "$candidate"
}

main "$@"
