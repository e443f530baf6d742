#!/usr/bin/env bash
# Builds the TensorRT engines of /etc/halfsecond/engines that are missing or do not fit this board.
# Each line there is a network and its options, as for `halfsecond engines build`.
set -euo pipefail
list=${1:-/etc/halfsecond/engines}
program=${HALFSECOND:-/opt/halfsecond/venv/bin/halfsecond}
needed_mb=${HALFSECOND_BUILD_MB:-2500} # what TensorRT's builder takes beside a network of 200 MB

tell() {
  echo "$*"
  if [ -n "${NOTIFY_SOCKET:-}" ]; then systemd-notify --status="$*"; fi
}

mapfile -t lines < <(grep -Ev '^[[:space:]]*(#|$)' "$list" || true)
if [ ${#lines[@]} = 0 ]; then
  tell "no engines are wanted ($list)"
  exit 0
fi
available_mb=$(awk '/^MemAvailable:/ { print int($2 / 1024) }' /proc/meminfo)
if [ "$available_mb" -lt "$needed_mb" ]; then
  tell "$available_mb MB are free and a build takes $needed_mb: stop the desktop or the server first"
  exit 1
fi
failed=0
for number in "${!lines[@]}"; do
  read -ra words <<< "${lines[number]}"
  tell "engine $((number + 1)) of ${#lines[@]}: ${words[0]}"
  "$program" engines build "${words[@]}" --library tensorrt || failed=$((failed + 1))
done
tell "$((${#lines[@]} - failed)) of ${#lines[@]} engines are there"
[ "$failed" = 0 ]
