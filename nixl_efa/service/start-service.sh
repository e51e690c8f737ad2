#!/bin/bash
# Starts this node's engine when it boots. Usage: start-service NAME==VERSION... (the packages of a first start)
# The engine that was started last stays the node's; before there was one, it is that of /etc/nixl-efa/boot. No router is
# started: only `nixl-efa serve start` proves a service. /run/nixl-efa/engine.json: "error" is empty once it is started.
set -uo pipefail
root=${NIXL_EFA_ROOT:-}
bin=$root/opt/nixl-efa/bin boot=$root/etc/nixl-efa/boot state=$root/run/nixl-efa
engine=nixl-efa-engine.service
unit=$root/etc/systemd/system/$engine

end() { # ERROR; empty: the engine was started
  mkdir -p "$state"
  printf '{"seconds":%s,"error":"%s"}\n' $SECONDS "$(tr -d '\\"\n' <<<"$1")" >"$state/engine.json"
  systemctl restart nixl-efa-boot-report.service
  [ -z "$1" ]
  exit
}
of_unit() { sed -n "s/^X-$1=//p" <<<"$text"; }

first=false
if [ ! -e "$root/etc/nixl-efa/service.json" ]; then first=true unit=$boot/$engine; fi
place=/opt/dlami/nvme
mountpoint -q "$root$place" || place=/opt/nixl-efa
text=$(sed "s|@PLACE@|$place|g" "$unit" 2>&1) || end "$text"
model=$(of_unit Model) folder=$(of_unit Folder)

if $first; then
  grep -q '"error":""' "$root/var/lib/nixl-efa/install.json" || end 'NIXL is not installed'
  said=$("$bin/install-engine" "$@" 2>&1) || end "not installed: $*: ${said##*$'\n'}"
fi
# The disks of an instance that was stopped are empty.
if [ -n "$model" ] && { $first || [ ! -e "$root$folder/config.json" ]; }; then
  said=$(aws s3 sync --only-show-errors "$model" "$root$folder" 2>&1) || end "not copied: $model: ${said##*$'\n'}"
fi
if $first; then
  said=$("$bin/start-unit" "$engine" "$(base64 -w 0 <<<"$text")" "$(base64 -w 0 "$boot/service.json")")
  grep -q '^@@ end started 0$' <<<"$said" || end "not started: $(sed '/^@@/d' <<<"$said" | tail -n 1)"
  end ''
fi
said=$(systemctl start "$engine" 2>&1) || end "not started: ${said##*$'\n'}"
end ''
