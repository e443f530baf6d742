#!/usr/bin/env bash
# The kiosk's screen: a compositor with one browser in it. Waits for the page, then never returns.
set -euo pipefail
url=${HALFSECOND_PAGE:-http://127.0.0.1:8443/}

for ((tries = 0; tries < 120; tries++)); do
  if (exec 3<> "/dev/tcp/$(sed -E 's#^[a-z]+://([^:/]+):([0-9]+).*#\1/\2#' <<< "$url")") 2> /dev/null; then
    break
  fi
  sleep 0.5
done

for name in chromium chromium-browser google-chrome; do
  if browser=$(command -v "$name"); then break; fi
done
[ -n "${browser:-}" ] || {
  echo "no chromium on this machine: apt install chromium" >&2
  exit 2
}

# The page asks for the microphone once and is answered here; nothing else is ever asked.
flags=(
  --kiosk "$url"
  --ozone-platform=wayland
  --user-data-dir="${STATE_DIRECTORY:-$HOME}/chromium"
  --use-fake-ui-for-media-stream
  --autoplay-policy=no-user-gesture-required
  --no-first-run --noerrdialogs --disable-infobars --disable-session-crashed-bubble
  "--disable-features=Translate,OverscrollHistoryNavigation" --disable-pinch
  --password-store=basic --check-for-update-interval=31536000
)
compositor=${HALFSECOND_COMPOSITOR:-$(command -v cage || echo weston)}
if [ "$(basename "$compositor")" = cage ]; then
  exec cage -s -- "$browser" "${flags[@]}"
fi
# Weston's own kiosk shell, for boards whose distribution has no cage. When one of the two ends, both do,
# and systemd starts them again.
weston --shell=kiosk-shell.so --idle-time=0 --socket=halfsecond &
weston=$!
trap 'kill "$weston" 2> /dev/null' EXIT
for ((tries = 0; tries < 100; tries++)); do
  [ ! -S "$XDG_RUNTIME_DIR/halfsecond" ] || break
  kill -0 "$weston"
  sleep 0.1
done
WAYLAND_DISPLAY=halfsecond "$browser" "${flags[@]}" &
wait -n
