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
# shellcheck source=infra/services/debian.sh
. "$(dirname "$(realpath "${BASH_SOURCE[0]}")")/debian.sh"

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
  local homes
  unpack_packages java 'OpenJDK 17' wanted relocate
  homes=("$root"/usr/lib/jvm/java-17-openjdk-*)
  new_enough "${homes[0]}" || fail "${homes[0]}/bin/java does not run; remove $root to fetch it again."
  echo "${homes[0]}"
}

wanted() { # of what it depends on, a Java without windows and sound loads only libraries that every Debian has
  echo openjdk-17-jre-headless
}

relocate() { # PART ROOT: its settings are links into /etc, where they are only after an installation
  local link
  find "$1/usr/lib/jvm" -type l -lname '/etc/*' | while read -r link; do
    ln -sfn "$2$(readlink "$link")" "$link"
  done
}

main "$@"
