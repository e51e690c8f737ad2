#!/bin/sh
# Usage: start-unit UNIT TEXT SERVICE
# Writes one of our units and what belongs to it, and starts it anew. TEXT: the unit's, in base64; SERVICE: the text of
# /etc/nixl-efa/service.json, in base64, or empty. Section "started": what failed, with its exit code.
root=${NIXL_EFA_ROOT:-}
unit=$1 text=$2 service=$3
begin() {
  set -e
  # From here on until the start, nobody may take the engine that runs for one of the old or of the new service.
  [ -z "$service" ] || rm -f "$root/etc/nixl-efa/service.json"
  mkdir -p "$root/etc/systemd/system"
  printf %s "$text" | base64 -d >"$root/etc/systemd/system/$unit.new"
  mv -f "$root/etc/systemd/system/$unit.new" "$root/etc/systemd/system/$unit"
  systemctl daemon-reload
  # What failed before, and how often, does not count.
  systemctl reset-failed "$unit" 2>/dev/null || true
  # Not --no-block: that the program can't be started at all is told at once.
  systemctl restart "$unit"
  if [ -n "$service" ]; then
    printf %s "$service" | base64 -d >"$root/etc/nixl-efa/service.json.new"
    mv -f "$root/etc/nixl-efa/service.json.new" "$root/etc/nixl-efa/service.json"
  fi
}
# A subshell of its own, since "set -e" has no effect in a function whose code is asked for.
output=$( (begin) 2>&1)
code=$?
printf '@@ begin started\n%s\n@@ end started %s\n' "$output" "$code"
exit 0
