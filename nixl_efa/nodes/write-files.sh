#!/bin/sh
# Writes files on the node: all of them, or none. Then runs what reads them: configure, and the boot report.
# Usage: write-files NAMES. The function `files` stands before this text and prints a line for each file: PATH PERMISSIONS
# SHA256 BASE64. In /etc/nixl-efa/env the lines of other variables than NAMES ("A|B") stay: they are the user's own, or
# configure's. What was there before is PATH.previous. NIXL_EFA_ROOT stands before every path (tests; empty on a node).
# Exit: 0 when the files are written, and the sections say how the rest went; otherwise nothing was changed.
set -eu
root=${NIXL_EFA_ROOT:-}
names=$1
state=$root/var/lib/nixl-efa
env=/etc/nixl-efa/env
mkdir -p "$state"
exec 9>"$state/sync.lock"
if ! flock -n 9; then
  echo "another sync is at work on this node" >&2
  exit 1
fi
trap 'files | while read -r path _; do rm -f "$root$path.new"; done' EXIT

# Each one whole beside its place, so that nothing is left to fail but the renames.
files | while read -r path permissions sum content; do
  new=$root$path.new
  mkdir -p "${new%/*}"
  if [ -d "$root$path" ]; then
    echo "$path is a folder" >&2
    exit 1
  fi
  printf %s "$content" | base64 -d >"$new"
  if [ "$sum" != "$(sha256sum <"$new" | cut -d ' ' -f 1)" ]; then
    echo "$path did not arrive whole" >&2
    exit 1
  fi
  if [ "$path" = "$env" ] && [ -e "$root$env" ]; then
    grep -vE "^($names)=" "$root$env" >>"$new" || [ $? -eq 1 ]
  fi
  chmod "$permissions" "$new"
  sync "$new"
done

echo '@@ begin written'
files | while read -r path _; do
  if [ -e "$root$path" ]; then ln -f "$root$path" "$root$path.previous"; fi
  mv -f "$root$path.new" "$root$path"
  echo "$path"
done
echo '@@ end written 0'

set +e
systemctl daemon-reload
output=$("$root/opt/nixl-efa/bin/configure" "$root" 2>&1)
printf '@@ begin configure\n%s\n@@ end configure %s\n' "$output" $?
# Not as planned is an error of the unit.
systemctl restart nixl-efa-boot-report.service
code=$?
report=$(cat "$state/boot-report.json" 2>/dev/null)
printf '@@ begin boot_report\n%s\n@@ end boot_report %s\n' "$report" "$code"
exit 0
