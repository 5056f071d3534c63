# Debian's packages, unpacked into a cache: nothing is installed, and no root is needed. To be sourced; wants `fail`.
# shellcheck shell=bash
#
# EQN_SERVICES_CACHE    where unpacked packages are kept between runs; default: ${XDG_CACHE_HOME:-~/.cache}/eqn/services

cache=${EQN_SERVICES_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/eqn/services}

# Unpacks the packages that LIST names, once, and sets `root` to where they are.
unpack_packages() { # NAME WHAT LIST [FINISH]; FINISH gets the folder, and the one that it will become
  root=$cache/$1-$(dpkg --print-architecture)
  mkdir -p "$cache"
  (
    flock 8
    if [ -d "$root" ]; then exit; fi
    echo "${0##*/}: fetching $2 into $cache, once" >&2
    rm -rf "$root.part"
    mkdir -p "$root.part/debs"
    cd "$root.part/debs"
    download_packages "$3" 2>/dev/null || { apt-get -qq update >&2 && download_packages "$3"; } ||
      fail "expected Debian 12's packages of $2; they cannot be fetched. Is the mirror reachable?"
    local package
    for package in *.deb; do dpkg -x "$package" "$root.part"; done
    rm -rf "$root.part/debs"
    ${4:-true} "$root.part" "$root"
    mv "$root.part" "$root"
  ) 8>"$cache/lock" 9>&- # a caller's own lock, which nothing in here may outlive
}

download_packages() { # LIST
  local packages
  packages=$("$1") || return
  # shellcheck disable=SC2086  # a list of names
  apt-get -qq -o APT::Sandbox::User="$(id -un)" download $packages >&2
}
