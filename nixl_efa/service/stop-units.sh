#!/bin/sh
# Ends units of ours; what they were and their logs stay. Usage: stop-units UNIT...; section "stopped".
root=${NIXL_EFA_ROOT:-}
rm -f "$root/run/nixl-efa/proven.json"
output=$(for unit in "$@"; do
  [ ! -e "$root/etc/systemd/system/$unit" ] || systemctl stop "$unit" || exit 1
done 2>&1)
printf '@@ begin stopped\n%s\n@@ end stopped %s\n' "$output" $?
exit 0
