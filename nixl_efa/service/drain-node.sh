#!/bin/sh
# Writes what drains this node, and arms it or drains now. Usage: drain-node PROGRAM CONFIG WATCH DRAIN NOW
# PROGRAM: drain_node.py; CONFIG: drain.json; WATCH, DRAIN: the units' texts, all in base64. NOW: empty arms; else the text
# of /run/nixl-efa/drain.json, in base64. Sections "armed" and "asked": what failed; "ask": EC2's answer.
root=${NIXL_EFA_ROOT:-}
program=$1 config=$2 watch=$3 drain=$4 now=$5
put() { # PATH PERMISSIONS BASE64: whole or not there
  mkdir -p "$root${1%/*}"
  printf %s "$3" | base64 -d >"$root$1.new"
  chmod "$2" "$root$1.new"
  mv -f "$root$1.new" "$root$1"
}
arm() {
  set -e
  # It may be a link to a disk that is empty after a stop.
  mkdir -p "$(readlink -m "$root/opt/nixl-efa/results")"
  put /opt/nixl-efa/bin/drain 0755 "$program"
  put /etc/nixl-efa/drain.json 0644 "$config"
  put /etc/systemd/system/nixl-efa-watch.service 0644 "$watch"
  put /etc/systemd/system/nixl-efa-drain.service 0644 "$drain"
  systemctl daemon-reload
  [ -z "$now" ] || return 0
  # A drain of the service that ran would end the next one, and is not that of the next one.
  systemctl stop nixl-efa-drain.service
  rm -f "$root"/run/nixl-efa/drain.json "$root"/run/nixl-efa/drained.json
  systemctl restart nixl-efa-watch.service
}
output=$( (arm) 2>&1)
code=$?
# What is on a full disk is saved, too: by what the node was told before.
[ -z "$now" ] || [ ! -e "$root/etc/systemd/system/nixl-efa-drain.service" ] || code=0
printf '@@ begin armed\n%s\n@@ end armed %s\n' "$output" "$code"
[ "$code" = 0 ] || exit 0
if [ -z "$now" ]; then
  # shellcheck source=/dev/null
  output=$(set -a && . "$root/etc/nixl-efa/env" && unset LD_PRELOAD && python3 "$root/opt/nixl-efa/bin/drain" ask 2>&1)
  printf '@@ begin ask\n%s\n@@ end ask %s\n' "$output" $?
  exit 0
fi
# One that runs already reads it, too.
put /run/nixl-efa/drain.json 0644 "$now"
output=$(systemctl start --no-block nixl-efa-drain.service 2>&1)
printf '@@ begin asked\n%s\n@@ end asked %s\n' "$output" $?
exit 0
