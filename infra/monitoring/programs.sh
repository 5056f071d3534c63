#!/usr/bin/env bash
# Run Debian's Prometheus, its promtool or its Pushgateway without installing them.
#
#   infra/monitoring/programs.sh promtool check rules infra/monitoring/alerts.yml
#   infra/monitoring/programs.sh prometheus --config.file=infra/monitoring/prometheus.yml --web.listen-address=127.0.0.1:9090
#
# EQN_SERVICES_CACHE    where unpacked packages are kept between runs; default: ${XDG_CACHE_HOME:-~/.cache}/eqn/services
# Exit codes: the program's, 2 wrong call, 5 the packages cannot be had.
set -euo pipefail

case ${1:-} in
  prometheus | promtool | prometheus-pushgateway) ;;
  *)
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
    ;;
esac

cache=${EQN_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/eqn/services}
root=$cache/prometheus-$(dpkg --print-architecture)

fetch() {
  apt-get -qq -o APT::Sandbox::User="$(id -un)" download prometheus prometheus-pushgateway >&2
}

mkdir -p "$cache"
(
  flock 8
  if [ -d "$root" ]; then exit; fi
  echo "programs.sh: fetching Debian's Prometheus into $cache, once" >&2
  rm -rf "$root.part"
  mkdir -p "$root.part/debs"
  cd "$root.part/debs"
  fetch || { apt-get -qq update >&2 && fetch; } ||
    { echo "programs.sh: the packages cannot be fetched; is the mirror reachable?" >&2 && exit 5; }
  for package in *.deb; do dpkg -x "$package" "$root.part"; done
  rm -rf "$root.part/debs"
  mv "$root.part" "$root"
) 8>"$cache/prometheus.lock"
exec "$root/usr/bin/$1" "${@:2}"
