#!/usr/bin/env bash
# Packs everything that an installation without a network needs into one folder, with its hashes.
#   bundle.sh OUT_FOLDER [options]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jetson/board.sh
source "$here/board.sh"

usage() {
  cat << 'TEXT'
usage: jetson/bundle.sh OUT_FOLDER [options]

  --python VERSION     3.10 for JetPack 6, 3.12 for JetPack 7.2 (default: python3's)
  --machine NAME       x86_64 or aarch64 (default: this one)
  --home FOLDER        where the models were fetched (default: engines/ of this checkout)
  --models "NAMES"     which of them (default: all that are there)
  --board-wheels DIR   wheels that were built for a board (build-*.sh)
  --debs               the system packages, too; on the distribution that they are for
  --sign KEY           sign with this GnuPG key
TEXT
}

[ $# -ge 1 ] || {
  usage >&2
  exit 2
}
[ "$1" != --help ] || {
  usage
  exit 0
}
out=$1
shift
version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
machine=$(uname -m) home=$here/../engines models="" board_wheels="" debs=false sign=""
while [ $# -gt 0 ]; do
  case "$1" in
    --debs) debs=true ;;
    --python | --machine | --home | --models | --board-wheels | --sign)
      [ $# -ge 2 ] || fail "$1 wants a value"
      case "$1" in
        --python) version=$2 ;;
        --machine) machine=$2 ;;
        --home) home=$2 ;;
        --models) models=$2 ;;
        --board-wheels) board_wheels=$2 ;;
        --sign) sign=$2 ;;
      esac
      shift
      ;;
    *) fail "unknown option $1" ;;
  esac
  shift
done
lock=$here/../locks/py${version/./}-gateway.txt
[ -f "$lock" ] || fail "there is no lock for Python $version"
[ -d "$home/models" ] || fail "no models in $home; run halfsecond models fetch"

mkdir -p "$out/wheels" "$out/models" "$out/source"
git -C "$here/.." archive HEAD | tar -x -C "$out/source"
platforms=()
for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${glibc}_$machine"); done
python3 -m pip --disable-pip-version-check download --quiet --dest "$out/wheels" --require-hashes --no-deps \
  --only-binary :all: --python-version "$version" "${platforms[@]}" --platform "manylinux2014_$machine" \
  -r <(lock_without "$without_wheel" "$lock" | python3 "$here/lock_for.py" "$version" "$machine")
for package in $without_wheel; do
  python3 -m pip --disable-pip-version-check wheel --quiet --wheel-dir "$out/wheels" --no-deps \
    "$(sed -nE "s/^($package==[^ ]+).*/\1/p" "$lock" | sed -n 1p)"
done
for model in ${models:-$(ls "$home/models")}; do
  cp -a "$home/models/$model" "$out/models/"
done
if [ -n "$board_wheels" ]; then cp -a "$board_wheels" "$out/board-wheels"; fi
if $debs; then
  mkdir -p "$out/debs/partial"
  apt-get install -y -q --download-only --reinstall -o "Dir::Cache::archives=$(realpath "$out/debs")" \
    "python$version-venv" ca-certificates libgomp1 libportaudio2 alsa-utils cage xwayland weston chromium
  rm -rf "$out/debs/partial" "$out/debs/lock"
fi
(cd "$out" && rm -f SHA256SUMS* && find . -type f -print0 | sort -z | xargs -0 sha256sum > ../SHA256SUMS.new && mv ../SHA256SUMS.new SHA256SUMS)
if [ -n "$sign" ]; then gpg --local-user "$sign" --armor --detach-sign --output "$out/SHA256SUMS.asc" "$out/SHA256SUMS"; fi
du -sh "$out"
