#!/usr/bin/env bash
# Installs what `make test-stack` needs beside Python, from Debian's packages, where it is missing: strace, which kills
# a process at a chosen system call, PostgreSQL, and Chromium, which looks at pages.
# Ceph needs no preparation: infra/services/s3.sh fetches and unpacks it by itself.
#
# What cannot be had is named with NOT RUN: the tests that need it are skipped, unless CI=true, where that is a failure.
# Exit codes: 0 everything is there, or its tests are skipped; 5 something cannot be had, in CI.
set -euo pipefail
cd "$(dirname "$0")"

missing=()

need() { # COMMAND PACKAGE
  if command -v "$1" >/dev/null || install "$2"; then return; fi
  missing+=("$2")
}

install() { # PACKAGE
  [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
  echo "Installing $1."
  add "$1" || { apt-get -qq update >/dev/null 2>&1 && add "$1"; }
}

add() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 install -y --no-install-recommends "$1" >/dev/null 2>&1
}

need strace strace
need chromium chromium
./postgres.sh >/dev/null 2>&1 || missing+=(postgresql)

[ ${#missing[@]} -gt 0 ] || exit 0
echo "NOT RUN: the tests that need Debian's ${missing[*]}, which cannot be had here. By hand: sudo apt-get install ${missing[*]}" >&2
[ "${CI:-}" != true ] || exit 5
