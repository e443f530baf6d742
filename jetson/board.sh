#!/usr/bin/env bash
# What machine this is. Sourced by the other scripts; prints what it found when it is run.
# HALFSECOND_ROOT looks at another tree than /, for tests.

board_root=${HALFSECOND_ROOT:-}

fail() {
  echo "error: $*" >&2
  exit 2
}

# "36.4.3" of /etc/nv_tegra_release, or of the package that brings it; empty where there is none.
l4t_release() {
  local file="$board_root/etc/nv_tegra_release" release=""
  if [ -f "$file" ]; then
    release=$(sed -nE 's/^# R([0-9]+) \(release\), REVISION: ([0-9.]+).*/\1.\2/p' "$file" | sed -n 1p)
  fi
  if [ -z "$release" ] && command -v dpkg-query > /dev/null; then
    release=$(dpkg-query --admindir="$board_root/var/lib/dpkg" -W -f '${Version}' nvidia-l4t-core 2> /dev/null |
      sed -nE 's/^([0-9.]+)-.*/\1/p') || true
  fi
  echo "$release"
}

# JetPack's own version, such as "6.2.1+b38"; empty where only the drivers were installed.
jetpack_version() {
  dpkg-query --admindir="$board_root/var/lib/dpkg" -W -f '${Version}' nvidia-jetpack 2> /dev/null || true
}

# jp6, jp72 or cpu. Fails where the board has a JetPack that is not supported.
detect_profile() {
  local release
  release=$(l4t_release)
  case "$release" in
    "")
      case "$(uname -m)" in
        x86_64 | aarch64) echo cpu ;;
        *) fail "$(uname -m) is not supported; x86_64 and aarch64 are" ;;
      esac
      ;;
    36.[4-9]*) echo jp6 ;;
    39.[2-9]*) echo jp72 ;;
    36.*) fail "L4T $release is JetPack 6.0; update to 6.2 (L4T 36.4): its TensorRT is another one" ;;
    38.* | 39.*) fail "L4T $release is JetPack 7.0 or 7.1; update to 7.2 (L4T 39.2)" ;;
    *) fail "L4T $release is not supported; JetPack 6.1, 6.2 (L4T 36.4) and 7.2 (L4T 39.2) are" ;;
  esac
}

board_model() {
  local file="$board_root/proc/device-tree/model"
  if [ -r "$file" ]; then tr -d '\0' < "$file"; fi
}

# Compute capability as CUDA's build flags want it: 87 for Orin, 110 for Thor; empty elsewhere.
board_sm() {
  case "$(board_model)" in
    *Thor*) echo 110 ;;
    *Orin*) echo 87 ;;
    *) echo "" ;;
  esac
}

memory_mb() {
  awk '/^MemTotal:/ { print int($2 / 1024) }' "$board_root/proc/meminfo"
}

available_mb() {
  awk '/^MemAvailable:/ { print int($2 / 1024) }' "$board_root/proc/meminfo"
}

# The Python of a profile: what JetPack's TensorRT bindings are for, or a supported one of here.
profile_python() {
  case "$1" in
    jp6) echo python3.10 ;;
    jp72) echo python3.12 ;;
    *)
      local version
      for version in 3.11 3.12 3.13 3.10; do
        if command -v "python$version" > /dev/null; then
          echo "python$version"
          return
        fi
      done
      echo python3
      ;;
  esac
}

# lock_without "NAME NAME" LOCK: a lock less some packages. It is complete, so nothing is resolved when it
# is installed with --no-deps, and hibari's wish for `onnxruntime` does not bring that back.
lock_without() {
  awk -v skip="$1" '
    BEGIN { count = split(skip, names, " ") }
    /^[a-z0-9]/ { drop = 0; for (i = 1; i <= count; i++) if (index($0, names[i] "==") == 1) drop = 1 }
    !drop' "$2"
}

# without_hashes LOCK: its versions alone, as constraints.
without_hashes() {
  sed -E '/^ +(--hash=|#)/d; s/ *\\$//' "$1"
}

# Packages of the locks that are published without a wheel; all are plain Python.
# shellcheck disable=SC2034  # used by those that source this file
without_wheel="docopt"

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  set -euo pipefail
  profile=$(detect_profile)
  echo "profile   $profile"
  echo "board     $(board_model)"
  echo "L4T       $(l4t_release)"
  echo "JetPack   $(jetpack_version)"
  echo "SM        $(board_sm)"
  echo "memory    $(memory_mb) MB, $(available_mb) MB available"
fi
