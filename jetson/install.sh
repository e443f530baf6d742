#!/usr/bin/env bash
# Makes this machine a halfsecond kiosk: packages, a virtual environment, models, services.
# Run it again at any time: what is there and right is left alone.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jetson/board.sh
source "$here/board.sh"

usage() {
  cat << 'TEXT'
usage: sudo jetson/install.sh [options]

  --dry-run            print what would be done, and change nothing
  --offline BUNDLE     take everything from the folder that jetson/bundle.sh wrote
  --key KEYRING        refuse a bundle that this GnuPG keyring did not sign
  --profile NAME       jp6, jp72 or cpu instead of what is detected
  --models NAME        model profile or models to fetch (default cpu-en)
  --wheels FOLDER      wheels of ONNX Runtime and CTranslate2 that were built for this board
  --build-wheels       build them here: hours, and 16 GB of memory
  --kiosk              a full-screen browser on the attached display, too
  --power MODE         nvpmodel's mode by name (default 25W where the board has it)
  --no-start           enable the services, but do not start them
TEXT
}

is_dry=false is_kiosk=false starts=true builds=false
profile="" bundle="" key="" wheels="" models=cpu-en power=25W
while [ $# -gt 0 ]; do
  case "$1" in
    --dry-run) is_dry=true ;;
    --kiosk) is_kiosk=true ;;
    --no-start) starts=false ;;
    --build-wheels) builds=true ;;
    --offline | --key | --profile | --models | --wheels | --power)
      [ $# -ge 2 ] || fail "$1 wants a value"
      case "$1" in
        --offline) bundle=$2 ;;
        --key) key=$2 ;;
        --profile) profile=$2 ;;
        --models) models=$2 ;;
        --wheels) wheels=$2 ;;
        --power) power=$2 ;;
      esac
      shift
      ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      fail "unknown option $1"
      ;;
  esac
  shift
done

prefix=/opt/halfsecond
state=/var/lib/halfsecond
etc=/etc/halfsecond
python_bin=$prefix/venv/bin

say() { printf '\n== %s\n' "$*"; }

run() {
  if $is_dry; then
    printf '+ %s\n' "$(printf '%q ' "$@")"
  else
    "$@"
  fi
}

# install_file SOURCE TARGET [MODE]: says nothing where it is there already.
install_file() {
  if ! cmp -s "$1" "$2"; then
    run install -D -m "${3:-644}" "$1" "$2"
    changed=true
  fi
}

[ -n "$profile" ] || profile=$(detect_profile)
case "$profile" in
  jp6 | jp72 | cpu) ;;
  *) fail "there is no profile $profile; it can be jp6, jp72 or cpu" ;;
esac
$is_dry || [ "$(id -u)" = 0 ] || fail "run it as root: sudo $0"
python=$(profile_python "$profile")
source_dir=$(dirname "$here")
changed=false

say "profile $profile, $python, L4T $(l4t_release), $(memory_mb) MB of memory"

if [ -n "$bundle" ]; then
  say "bundle $bundle"
  [ -f "$bundle/SHA256SUMS" ] || fail "$bundle has no SHA256SUMS; make it with jetson/bundle.sh"
  if [ -n "$key" ]; then
    gpgv --keyring "$(realpath "$key")" "$bundle/SHA256SUMS.asc" "$bundle/SHA256SUMS" ||
      fail "$bundle is not signed by a key of $key"
  else
    echo "warning: the bundle's signature is not checked (--key)"
  fi
  (cd "$bundle" && sha256sum --check --quiet SHA256SUMS) || fail "$bundle was changed or cut off"
  source_dir=$bundle/source
  [ -n "$wheels" ] || { [ -d "$bundle/board-wheels" ] && wheels=$bundle/board-wheels; } || true
fi

say "system packages"
packages=("$python-venv" ca-certificates libgomp1)
case "$profile" in
  jp6 | jp72) packages+=(python3-libnvinfer libportaudio2 alsa-utils) ;;
  cpu) packages+=(libportaudio2 alsa-utils) ;;
esac
# Chromium as a snap does not start on L4T 36.4.4, so it is left to the integrator there.
if $is_kiosk; then
  packages+=(weston)
  # Debian's cage wants Xwayland although nothing here does.
  [ "$profile" = cpu ] && packages=("${packages[@]/weston/cage}" xwayland chromium)
fi
missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f '${Status}' "$package" 2> /dev/null || true)
  [[ $status == *"ok installed"* ]] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  if [ -n "$bundle" ]; then
    run apt-get install -y --no-install-recommends --no-download "$bundle"/debs/*.deb
  else
    run apt-get update -q
    run apt-get install -y -q --no-install-recommends "${missing[@]}"
  fi
fi

say "service user"
if ! getent passwd halfsecond > /dev/null; then
  run useradd --system --home-dir "$state" --shell /usr/sbin/nologin --user-group halfsecond
fi
for group in video render audio input; do
  if getent group "$group" > /dev/null; then run usermod -a -G "$group" halfsecond; fi
done
run install -d -m 750 -o halfsecond -g halfsecond "$state"
run install -d -m 755 "$prefix" "$prefix/lib" "$etc"

say "virtual environment"
site=()
[ "$profile" = cpu ] || site=(--system-site-packages) # TensorRT's Python comes with JetPack
[ -x "$python_bin/python" ] || run "$python" -m venv "${site[@]}" "$prefix/venv"
pip=("$python_bin/python" -m pip --disable-pip-version-check install --quiet)
[ -z "$bundle" ] || pip+=(--no-index --find-links "$bundle/wheels")
tag=py$("$python" -c 'import sys; print("%d%d" % sys.version_info[:2])' 2> /dev/null || echo "${python#python}" | tr -d .)
lock=$source_dir/locks/$tag-gateway.txt
[ -f "$lock" ] || $is_dry || fail "there is no lock for $python: $lock"

if $builds; then
  wheels=$state/board-wheels
  run "$here/build-onnxruntime.sh" "$profile" "$wheels"
  run "$here/build-ctranslate2.sh" "$profile" "$wheels"
fi
skip=""
if [ "$profile" != cpu ] && [ -n "$wheels" ]; then
  skip="onnxruntime ctranslate2"
elif [ "$profile" != cpu ]; then
  echo "warning: no wheels for this board (--wheels, --build-wheels): ONNX Runtime and CTranslate2"
  echo "         run on its processor cores until there are some"
fi
# What the environment was made from; another lock, checkout or set of wheels makes it anew.
fingerprint() {
  {
    echo "$skip $wheels"
    cat "$lock"
    find "$source_dir"/{runtime,export,bench,engines/models.toml,pyproject.toml} \
      -type f -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 cat
  } | sha256sum | cut -d ' ' -f 1
}
stamp=$prefix/installed
wanted=dry
$is_dry || wanted=$(fingerprint)
if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
  requirements=$(mktemp --suffix .txt)
  hashes=(--require-hashes)
  $is_dry || lock_without "$skip" "$lock" > "$requirements"
  if [ -n "$bundle" ]; then # SHA256SUMS has vouched for the wheels, some of which were built for the bundle
    hashes=()
    without_hashes "$requirements" > "$requirements.plain" && mv "$requirements.plain" "$requirements"
  fi
  run "${pip[@]}" "${hashes[@]}" --no-deps -r "$requirements"
  if [ -n "$skip" ]; then run "${pip[@]}" --no-deps --force-reinstall "$wheels"/*.whl; fi
  run "${pip[@]}" --no-deps --no-build-isolation --force-reinstall "$source_dir"
  rm -f "$requirements"
  $is_dry || echo "$wanted" > "$stamp"
  changed=true
fi
$is_dry || ln -sf "$python_bin/halfsecond" /usr/local/bin/halfsecond

say "models"
if [ -n "$bundle" ]; then
  run cp -a --no-preserve=ownership "$bundle/models/." "$state/models/"
  run "$python_bin/halfsecond" models verify --home "$state"
else
  # shellcheck disable=SC2086  # several names
  run "$python_bin/halfsecond" models fetch --home "$state" $models
fi
run chown -R halfsecond:halfsecond "$state"

say "config"
[ -f "$etc/halfsecond.toml" ] || run install -m 644 "$here/profiles/$profile.toml" "$etc/halfsecond.toml"
[ -f "$etc/engines" ] || run install -m 644 "$here/profiles/engines" "$etc/engines"
[ -f "$etc/service.env" ] || $is_dry || echo "HALFSECOND_POWER_MODE=$power" > "$etc/service.env"
run "$python_bin/halfsecond" config check "$etc/halfsecond.toml"

say "services"
for script in power kiosk engines; do
  install_file "$here/$script.sh" "$prefix/lib/$script.sh" 755
done
units=(halfsecond.service halfsecond-stage@.service)
has_gateway=false
if $is_dry || "$python_bin/python" -c 'import halfsecond.gateway.running' 2> /dev/null; then
  has_gateway=true
  units+=(halfsecond-gateway.service halfsecond-restart.path halfsecond-restart.service)
else
  echo "warning: the browser gateway cannot be loaded in $prefix/venv: no unit for it"
fi
[ "$profile" = cpu ] || units+=(halfsecond-power.service halfsecond-engines.service)
if $is_kiosk; then units+=(halfsecond-kiosk.service); fi
for unit in "${units[@]}"; do
  install_file "$here/systemd/$unit" "/etc/systemd/system/$unit"
done
install_file "$here/systemd/journald.conf" /etc/systemd/journald.conf.d/halfsecond.conf
enabled=(halfsecond.service)
if $has_gateway; then enabled+=(halfsecond-gateway.service halfsecond-restart.path); fi
[ "$profile" = cpu ] || enabled+=(halfsecond-power.service halfsecond-engines.service)
if $is_kiosk; then enabled+=(halfsecond-kiosk.service); fi
run systemctl enable "${enabled[@]}"
if $starts && [ -d /run/systemd/system ]; then
  run systemctl daemon-reload
  if $changed; then run systemctl restart "${enabled[@]}"; else run systemctl start "${enabled[@]}"; fi
fi

say "installed"
cat << TEXT
config    $etc/halfsecond.toml
models    $state
log       journalctl -u halfsecond
state     systemctl status halfsecond
findings  halfsecond doctor --config $etc/halfsecond.toml
TEXT
