#!/usr/bin/env bash
# Checks without a board, as root on Debian or Ubuntu, x86-64:
#   check.sh install     the install script in a clean Debian root, to a server that answers and a page
#   check.sh offline     the same from a bundle, without a network
#   check.sh boot        that root started with systemd in a container: seconds from boot to ready, and
#                        from a crash and a hang to ready again
#   check.sh aarch64     one whole turn of the CPU profile on emulated aarch64, and the same words here
# Everything is kept in WORK (default /var/tmp/halfsecond-check); a second run goes on from there.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=jetson/board.sh
source "$here/board.sh"
checkout=$(dirname "$here")
work=${WORK:-/var/tmp/halfsecond-check}
root=$work/root
question="When do you close?"
cpu_models=(silero-vad smart-turn whisper-tiny.en-onnx smollm2-135m-onnx hibari face)
mkdir -p "$work"

need() {
  command -v "$1" > /dev/null || fail "there is no $1 here: apt install $2"
}

# A clean Debian with systemd, and this checkout in it.
make_root() {
  need mmdebstrap mmdebstrap
  if [ ! -x "$root/usr/bin/python3.11" ]; then
    mmdebstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3-venv,ca-certificates \
      bookworm "$root" "deb $(debian_mirror) bookworm main"
  fi
  rm -rf "$root/srv/halfsecond"
  mkdir -p "$root/srv/halfsecond"
  git -C "$checkout" archive HEAD | tar -x -C "$root/srv/halfsecond"
  # The machine's own ways to packages.
  local file
  for file in /etc/resolv.conf /etc/pip.conf /etc/npmrc /root/.npmrc /root/.config/pip/pip.conf; do
    if [ -f "$file" ]; then install -D -m 644 "$file" "$root$file"; fi
  done
  cp -a /etc/ssl/certs /usr/local/share/ca-certificates "$work/" 2> /dev/null || true
  cp -aL /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
}

debian_mirror() {
  grep -rhoE 'https?://[^ ]+/debian/?( |$)' /etc/apt/sources.list /etc/apt/sources.list.d 2> /dev/null |
    sed -n 1p | tr -d ' '
}

# inside [--offline] COMMAND: in the root, with this machine's network or none.
inside() {
  local network=()
  if [ "$1" = --offline ]; then
    network=(--net)
    shift
  fi
  local variables=()
  while IFS= read -r name; do variables+=("$name=${!name}"); done < <(compgen -e | grep -iE '^(pip_|npm_config_|https?_proxy$|no_proxy$|ssl_cert|requests_ca|node_extra)' || true)
  # shellcheck disable=SC2016  # the variables are those of the inner shells
  unshare "${network[@]}" --mount --pid --fork --kill-child bash -euc '
    mount -t proc proc "$1/proc"; mount --rbind /dev "$1/dev"; mount --rbind /sys "$1/sys"
    root=$1; shift
    exec chroot "$root" /usr/bin/env -i "$@"' _ "$root" PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
    "${variables[@]}" "$@"
}

check_install() {
  make_root
  local options=(--no-start)
  # Models that this checkout has are taken from it: they were fetched and verified already.
  if [ -d "$checkout/engines/models" ]; then
    mkdir -p "$root/var/lib/halfsecond/models"
    local model
    for model in "${cpu_models[@]}"; do
      cp -aL -n "$checkout/engines/models/$model" "$root/var/lib/halfsecond/models/" || true
    done
  fi
  inside bash /srv/halfsecond/jetson/install.sh "${options[@]}"
  local first
  first=$(inside stat -c %Y /opt/halfsecond/installed)
  echo "== a second time: nothing is to change"
  inside bash /srv/halfsecond/jetson/install.sh "${options[@]}" | tee "$work/second.log"
  [ "$(inside stat -c %Y /opt/halfsecond/installed)" -le "$first" ] || fail "the second run installed again"
  answers
  echo "== installed, started and answered"
}

# As the unit starts it, and asked as a visitor would.
answers() {
  # shellcheck disable=SC2016
  inside bash -euc '
    install -d -o halfsecond -g halfsecond /run/halfsecond
    # The network is that of this machine, on which the port of the metrics may be taken.
    sed "s/^metrics_port.*//" /etc/halfsecond/halfsecond.toml > /srv/check.toml
    runuser -u halfsecond -- /opt/halfsecond/venv/bin/halfsecond serve --config /srv/check.toml &
    server=$!
    for ((tries = 0; tries < 120; tries++)); do
      if /opt/halfsecond/venv/bin/halfsecond talk --connect ipc:///run/halfsecond/server.ipc --text "$0" 2> /dev/null; then
        break
      fi
    done
    runuser -u halfsecond -- /opt/halfsecond/venv/bin/halfsecond gateway --config /srv/check.toml --port 0 \
      > /srv/gateway.log 2>&1 &
    gateway=$!
    for ((tries = 0; tries < 120; tries++)); do
      page=$(sed -nE "s/.*\"page\": *\"([^\"]+)\".*/\1/p" /srv/gateway.log)
      if [ -n "$page" ]; then break; fi
      sleep 0.5
    done
    /opt/halfsecond/venv/bin/python -c "from urllib.request import urlopen as get
print(\"page\", get(\"$page\").status, get(\"${page}api/health\").status)" || cat /srv/gateway.log
    kill "$gateway" "$server"
    wait' "$question" | tee "$work/install.log"
  grep -qi "answer:.*five" "$work/install.log" || fail "the installed server did not answer with the fact"
  grep -q "^page 200 200" "$work/install.log" || fail "the installed gateway shows no page"
}

check_offline() {
  [ -x "$root/opt/halfsecond/venv/bin/halfsecond" ] || check_install # brings the system packages
  rm -rf "$root"/{opt,etc,var/lib}/halfsecond "$root/srv/bundle"
  "$here/bundle.sh" "$root/srv/bundle" --python 3.11 --models "${cpu_models[*]}"
  inside --offline bash /srv/bundle/source/jetson/install.sh --no-start --offline /srv/bundle | tee "$work/offline.log"
  answers
  echo "== installed without a network, started and answered"
  rm -rf "$root/srv/bundle"
}

check_boot() {
  need systemd-nspawn systemd-container
  [ -x "$root/opt/halfsecond/venv/bin/halfsecond" ] || check_install
  cat > "$root/srv/measure.sh" << 'SCRIPT'
#!/bin/bash
# Runs in the container once the server is ready: how long that took, and what a crash and a hang do.
server() { systemctl show halfsecond.service -P "$1"; }
seconds() { awk -v us="$1" 'BEGIN { printf "%.1f", us / 1e6 }'; }
now_us() { awk '{ printf "%.0f", $1 * 1e6 }' /proc/uptime; }
ask() { halfsecond talk --connect ipc:///run/halfsecond/server.ipc --text "When do you close?"; }
again() { # WHAT COMMAND: until the server that took the place of this one is ready
  local before=$(server ActiveEnterTimestampMonotonic) from=$(now_us)
  "${@:2}"
  until [ "$(server ActiveEnterTimestampMonotonic)" -gt "$before" ] && [ "$(server ActiveState)" = active ]; do
    sleep 0.2
  done
  echo "after $1: ready again in $(seconds $(($(now_us) - from))) s, $(ask)"
}
page() {
  local tries
  for ((tries = 0; tries < 40; tries++)); do
    /opt/halfsecond/venv/bin/python -c "from urllib.request import urlopen as get
print('page', get('http://127.0.0.1:8443/').status)" 2> /dev/null && return
    sleep 0.5
  done
  echo "no page: $(systemctl status --no-pager --lines=5 halfsecond-gateway)"
}
booted=$(systemctl show -P UserspaceTimestampMonotonic) ready=$(server ActiveEnterTimestampMonotonic)
echo "boot to ready $(seconds $((ready - booted))) s, of which the server took $(
  seconds $((ready - $(server ExecMainStartTimestampMonotonic)))) s"
echo "status: $(server StatusText); $(ask)"
page
again "a crash" kill -KILL "$(server MainPID)"
again "a hang" kill -STOP "$(server MainPID)"
again "the operator's wish" runuser -u halfsecond touch /run/halfsecond/restart
SCRIPT
  chmod +x "$root/srv/measure.sh"
  cat > "$root/etc/systemd/system/halfsecond-measured.service" << 'UNIT'
[Unit]
After=halfsecond.service
Wants=halfsecond.service
[Service]
Type=oneshot
TimeoutStartSec=180
ExecStart=/bin/bash -c '/srv/measure.sh > /measured 2>&1'
ExecStopPost=/bin/systemctl poweroff --no-block
[Install]
WantedBy=multi-user.target
UNIT
  ln -sf ../halfsecond-measured.service "$root/etc/systemd/system/multi-user.target.wants/halfsecond-measured.service"
  local unit
  cp "$here"/systemd/halfsecond-restart.* "$root/etc/systemd/system/"
  ln -sf ../halfsecond-restart.path "$root/etc/systemd/system/multi-user.target.wants/"
  for unit in "$here"/systemd/halfsecond*.service; do
    if [ -e "$root/etc/systemd/system/$(basename "$unit")" ]; then cp "$unit" "$root/etc/systemd/system/"; fi
  done
  rm -f "$root/measured" "$root/etc/machine-id"
  touch "$root/etc/machine-id"
  timeout 240 systemd-nspawn --quiet --register=no --keep-unit --private-network --directory="$root" --boot \
    --console=pipe > "$work/boot.log" 2>&1 < /dev/null || true
  [ -s "$root/measured" ] || { tail -n 40 "$work/boot.log" && fail "the container did not come to ready"; }
  cat "$root/measured"
  grep -q "^page 200" "$root/measured" || fail "the gateway shows no page"
  [ "$(grep -c "answer:.*five" "$root/measured")" = 4 ] || fail "not all four questions were answered"
}

check_aarch64() {
  need mmdebstrap mmdebstrap
  local arm=$work/arm64 qemu=$work/qemu version
  # QEMU below 10 crashes where ONNX Runtime is imported; Debian 13 has 10.
  if [ ! -x "$qemu/usr/bin/qemu-aarch64" ]; then
    mmdebstrap --variant=extract --include=qemu-user trixie "$qemu" "deb $(debian_mirror) trixie main"
  fi
  "$qemu/usr/bin/qemu-aarch64" --version | sed -n 1p
  if [ ! -e "$arm/usr/bin/python3.11" ]; then
    mmdebstrap --variant=extract --architectures=arm64 --include=python3,libgomp1,libstdc++6,zlib1g,libexpat1 \
      bookworm "$arm" "deb $(debian_mirror) bookworm main"
  fi
  if [ ! -d "$arm/wheels" ]; then
    local platforms=()
    for version in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${version}_aarch64"); done
    python3 -m pip --disable-pip-version-check download --quiet --dest "$work/arm-wheels" --no-deps --require-hashes \
      --only-binary :all: --python-version 3.11 --implementation cp "${platforms[@]}" --platform manylinux2014_aarch64 \
      -r <(lock_without "$without_wheel" "$checkout/locks/py311.txt" | python3 "$here/lock_for.py" 3.11 aarch64)
    mkdir -p "$arm/wheels"
    local wheel
    for wheel in "$work"/arm-wheels/*.whl; do unzip -q -o "$wheel" -d "$arm/wheels"; done
  fi
  local program=("$here/check_turn.py" "$checkout/engines" "$checkout/runtime/halfsecond/assets/question.wav")
  echo "== here"
  PYTHONPATH="$checkout/runtime" "${HALFSECOND_PYTHON:-$checkout/.venv/bin/python}" "${program[@]}" | tee "$work/here.txt"
  echo "== on aarch64"
  PYTHONPATH="$arm/wheels:$checkout/runtime" "$qemu/usr/bin/qemu-aarch64" -cpu cortex-a76 -L "$arm" \
    "$arm/usr/bin/python3.11" "${program[@]}" | tee "$work/aarch64.txt"
  cmp "$work/here.txt" "$work/aarch64.txt" || fail "the words differ"
  echo "== the same words"
}

case "${1:-}" in
  install) check_install ;;
  offline) check_offline ;;
  boot) check_boot ;;
  aarch64) check_aarch64 ;;
  *)
    sed -nE '2,8s/^# ?//p' "$0"
    exit 2
    ;;
esac
