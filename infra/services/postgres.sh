#!/usr/bin/env bash
# PostgreSQL's server programs: this machine's, or Debian's package, installed as root. Prints the folder they are in.
# Debian's own cluster is not made: the stack has one of its own.
#
#   binaries="$(infra/services/postgres.sh)"
#
# Exit codes: 0 the folder is on standard output, 2 wrong call, 5 it cannot be had.
set -euo pipefail

oldest=14 # of those that Prefect and MLflow take

main() {
  if [ $# -ne 0 ]; then
    sed -n '2,/^set /s/^# \{0,1\}//p' "${BASH_SOURCE[0]}" >&2
    exit 2
  fi
  local folder
  folder=$(newest) || { install_package && folder=$(newest); } ||
    fail "expected Debian's package postgresql to bring PostgreSQL $oldest or newer; it did not."
  echo "$folder"
}

fail() {
  echo "postgres.sh: $1" >&2
  exit 5
}

newest() { # the folder with the newest server; Debian's are not on PATH
  local folder
  for folder in $(printf '%s\n' /usr/lib/postgresql/*/bin | sort -rV) "$(on_path)"; do
    if [ -n "$folder" ] && [ -x "$folder/initdb" ] && [ "$(version "$folder")" -ge $oldest ]; then
      echo "$folder"
      return
    fi
  done
  return 1
}

on_path() {
  local postgres
  postgres=$(command -v postgres) && dirname "$(realpath "$postgres")" || true
}

version() { # FOLDER
  local said
  said=$("$1/postgres" --version 2>/dev/null) && [[ $said =~ \ ([0-9]+)\. ]] && echo "${BASH_REMATCH[1]}" || echo 0
}

install_package() {
  command -v apt-get >/dev/null || fail "expected PostgreSQL $oldest or newer; install it, then run the same command again."
  [ "$(id -u)" = 0 ] || fail "expected PostgreSQL $oldest or newer. On Debian: sudo apt-get install postgresql, then the same command again."
  echo "postgres.sh: installing PostgreSQL" >&2
  install postgresql-common || { apt-get -qq update >&2 && install postgresql-common; } || refused
  local settings=/etc/postgresql-common/createcluster.conf
  if ! grep -q '^ *create_main_cluster' $settings 2>/dev/null; then
    echo 'create_main_cluster = false' >>$settings
  fi
  install postgresql || refused
}

refused() {
  fail "expected Debian's package postgresql; it cannot be installed. Is the mirror reachable, and dpkg free?"
}

install() { # PACKAGE
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$1" >/dev/null 2>&1
}

main "$@"
