#!/bin/sh
# Ends units of ours; what they were and their logs stay. Usage: stop-units UNIT...; section "stopped". One that starts at
# boot does so no longer.
root=${NIXL_EFA_ROOT:-}
rm -f "$root/run/nixl-efa/proven.json"
output=$(for unit in "$@"; do
  [ ! -e "$root/etc/systemd/system/$unit" ] || systemctl stop "$unit" || exit 1
  [ "$(systemctl is-enabled "$unit" 2>/dev/null)" != enabled ] || systemctl disable --quiet "$unit" || exit 1
done 2>&1)
printf '@@ begin stopped\n%s\n@@ end stopped %s\n' "$output" $?
exit 0
