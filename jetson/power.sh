#!/usr/bin/env bash
# Sets the power mode of a Jetson by its name, then fixes the clocks of that mode.
# Names, not numbers: the id of "25W" differs from board to board.
set -euo pipefail
conf=${NVPMODEL_CONF:-/etc/nvpmodel.conf}
wanted=${1:-${HALFSECOND_POWER_MODE:-25W}}

if ! command -v nvpmodel > /dev/null; then
  echo "no nvpmodel on this machine: nothing to set"
  exit 0
fi

# < POWER_MODEL ID=1 NAME=25W >
modes=$(sed -nE 's/^< *POWER_MODEL +ID=([0-9]+) +NAME=([^ ]+) *>.*/\2 \1/p' "$conf")
id=$(awk -v name="$wanted" '$1 == name { print $2; exit }' <<< "$modes")
if [ -z "$id" ]; then
  names=$(awk '{ printf "%s%s", separator, $1; separator = ", " }' <<< "$modes")
  echo "this board has no mode $wanted; it has: $names (HALFSECOND_POWER_MODE in /etc/halfsecond/service.env)" >&2
  exit 2
fi
# A mode that needs a restart asks for one: not in a service that runs at every start.
nvpmodel -m "$id" < /dev/null
jetson_clocks
echo "power mode $wanted (id $id), clocks fixed"
