#!/usr/bin/env bash
# A Java for tests that need one (Spark): this machine's, or OpenJDK 17 from Debian 12's package, unpacked into a cache.
# Nothing is installed.
#
#   export JAVA_HOME="$(infra/services/java.sh)"
#
# EQN_SERVICES_CACHE    where the unpacked package is kept between runs; default: ${XDG_CACHE_HOME:-~/.cache}/eqn/services
# Exit codes: 0 JAVA_HOME is on standard output, 2 wrong call, 5 it cannot be fetched.
set -euo pipefail
umask 077

least=17 # what Spark 4 needs

main() {
  if [ $# -ne 0 ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
  fi
  local home
  for home in "${JAVA_HOME:-}" "$(installed)"; do
    if new_enough "$home"; then
      echo "$home"
      return
    fi
  done
  unpack
}

fail() {
  echo "java.sh: $1" >&2
  exit 5
}

installed() { # the home of the java on PATH
  local java
  java=$(command -v java) && java=$(realpath "$java") && echo "${java%/bin/java}"
}

new_enough() { # HOME
  local version
  [ -n "$1" ] && [ -x "$1/bin/java" ] && version=$(JAVA_TOOL_OPTIONS='' "$1/bin/java" -version 2>&1) &&
    [[ $version =~ version\ \"([0-9]+) ]] && [ "${BASH_REMATCH[1]}" -ge $least ]
}

unpack() {
  local cache root homes package
  cache=${EQN_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/eqn/services}
  root=$cache/java-$(dpkg --print-architecture)
  mkdir -p "$cache"
  (
    flock 8
    if [ -d "$root" ]; then exit; fi
    echo "java.sh: fetching OpenJDK 17 into $cache, once" >&2
    rm -rf "$root.part"
    mkdir -p "$root.part/debs"
    cd "$root.part/debs"
    download 2>/dev/null || { apt-get -qq update >&2 && download; } ||
      fail "expected Debian 12's package openjdk-17-jre-headless; it cannot be fetched (on a fresh machine: apt-get update)."
    for package in *.deb; do dpkg -x "$package" "$root.part"; done
    rm -rf "$root.part/debs"
    relocate "$root.part" "$root"
    mv "$root.part" "$root"
  ) 8>"$cache/lock"
  homes=("$root"/usr/lib/jvm/java-17-openjdk-*)
  new_enough "${homes[0]}" || fail "${homes[0]}/bin/java does not run; remove $root to fetch it again."
  echo "${homes[0]}"
}

download() { # of what it depends on, a Java without windows and sound loads only libraries that every Debian has
  apt-get -qq -o APT::Sandbox::User="$(id -un)" download openjdk-17-jre-headless >&2
}

relocate() { # PART ROOT: its settings are links into /etc, where they are only after an installation
  local link
  find "$1/usr/lib/jvm" -type l -lname '/etc/*' | while read -r link; do
    ln -sfn "$2$(readlink "$link")" "$link"
  done
}

main "$@"
