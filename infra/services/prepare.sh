#!/usr/bin/env bash
# Installs what `make test-stack` needs beside Python: strace, which kills a process at a chosen system call.
# Ceph needs no preparation: infra/services/s3.sh fetches and unpacks it by itself.
set -euo pipefail
command -v strace >/dev/null && exit
[ "$(id -u)" = 0 ] || { echo "expected strace. On Debian: sudo apt-get install strace, then the same command again." >&2; exit 2; }
echo "Installing strace."
{ apt-get install -y --no-install-recommends strace || { apt-get update && apt-get install -y --no-install-recommends strace; }; } >/dev/null
