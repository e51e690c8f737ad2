#!/bin/sh
# Starts a copy of a model, unless it runs, and says how far it is. Usage: start-copy PROGRAM UNIT STATUS [SOURCE FOLDER
# MANIFEST]; without SOURCE it only looks. Sections "unit" (systemd's word), "status" (the program's document), "end".
root=${NIXL_EFA_ROOT:-}
program=$1 unit=$2 status=$root$3
if [ $# -gt 3 ] && ! systemctl is-active --quiet "$unit"; then
  rm -f "$status"
  started=$(systemd-run --quiet --collect --unit="$unit" --description="a model's copy from S3 (nixl-efa serve)" \
    --property=EnvironmentFile=-/etc/nixl-efa/env --property=EnvironmentFile=-/etc/nixl-efa/service.env \
    python3 -c "$program" "$4" "$5" "$status" "$6" 2>&1) || printf '%s\n' "$started" >&2
fi
printf '@@ begin unit\n%s\n@@ end unit 0\n' "$(systemctl is-active "$unit")"
printf '@@ begin status\n%s\n@@ end status 0\n' "$(cat "$status" 2>/dev/null)"
printf '@@ begin end\n%s\n@@ end end 0\n' "${started:-$(journalctl --no-pager --output=cat -n 1 -u "$unit" 2>/dev/null)}"
exit 0
