#!/bin/bash
# Usage: start-service NAME==VERSION...
# Starts this node's engine when it boots; a first start installs those packages. The engine that was started last stays
# the node's; before there was one, it is that of /etc/nixl-efa/boot. No router is started: only `nixl-efa serve start`
# proves a service. /run/nixl-efa/engine.json: "error" is empty once it is started.
# Nodes with different weights give wrong answers: what is whole on the disks is used without a look at S3, and files that
# are newer than the engine's last start are not started.
set -uo pipefail
root=${NIXL_EFA_ROOT:-}
bin=$root/opt/nixl-efa/bin boot=$root/etc/nixl-efa/boot state=$root/run/nixl-efa
engine=nixl-efa-engine.service
unit=$root/etc/systemd/system/$engine

# Usage: end ERROR; empty: the engine was started.
end() {
  mkdir -p "$state"
  printf '{"seconds":%s,"error":"%s"}\n' $SECONDS "$(tr -d '\\"\n' <<<"$1")" >"$state/engine.json"
  systemctl restart nixl-efa-boot-report.service
  # A copy that has begun is of use for the next start.
  wait
  [ -z "$1" ]
  exit
}
# Usage: fetch FOLDER. As copy_model.py, of which user data has no room: the same lock, the same room on the disk, the mark
# comes last.
fetch() {
  if [ -e "$1/$mark" ]; then return; fi
  if [ -n "$manifest" ]; then aws s3 cp --quiet "$model/$manifest" "$1.new" || return; else : >"$1.new"; fi
  cat ~/.aws/config >"$state/aws" 2>/dev/null
  export AWS_CONFIG_FILE=$state/aws
  aws configure set default.s3.max_concurrent_requests 64
  local total lacks code
  total=$(aws s3 ls --recursive --summarize "$model/" | sed -n 's/^ *Total Size: //p')
  if [ "${total:-0}" = 0 ]; then return 1; fi
  lacks=$((total + (5 << 30) - $(du -s -B 1 "$1" | cut -f 1) - $(df -B 1 --output=avail "$1" | tail -n 1)))
  if [ $lacks -gt 0 ]; then
    echo "its disk lacks $((lacks >> 20)) MiB" >&2
    return 1
  fi
  while sleep 30; do echo "copying $model: $(du -sh "$1" | cut -f 1) of $(numfmt --to=iec "$total")"; done 9>&- &
  aws s3 sync --only-show-errors --exact-timestamps --delete --exclude "$mark" "$model" "$1"
  code=$?
  # The last line of errors is the reason of a failure.
  kill $! 2>/dev/null
  if [ $code = 0 ]; then mv "$1.new" "$1/$mark"; fi
  return $code
}
# The first boot starts this unit after `nixl-efa serve stop`, too, if that came meanwhile.
systemctl is-enabled --quiet nixl-efa-service.service || exit 0

of_unit() { sed -n "s/^X-$1=//p" <<<"$text"; }

first=false
if [ ! -e "$root/etc/nixl-efa/service.json" ]; then first=true unit=$boot/$engine; fi
place=/opt/dlami/nvme
mountpoint -q "$root$place" || place=/opt/nixl-efa
source='' path='' manifest=''
if $first; then
  grep -q '"error":""' "$root/var/lib/nixl-efa/install.json" || end 'NIXL is not installed'
  # shellcheck source=/dev/null
  . "$boot/model"
  path=${path/@PLACE@/$place} name=$manifest manifest=''
  bucket=s3://${PAIR_MODELS_BUCKET:-$PAIR_SCRIPTS_BUCKET}
  staged=${staged:+$bucket/$staged} packages=$bucket/$packages
  # Only a model with its manifest is complete. 1: it is not there; 127: there is no AWS CLI. Of another error nobody knows
  # whether the other nodes have it, too.
  if [ -n "$staged" ]; then
    said=$(aws s3 ls "$staged/$name" 2>&1) && source=$staged path=$place/models/${staged#s3://} manifest=$name
    [[ $? =~ ^(0|1|127)$ ]] || end "not copied: $staged: ${said##*$'\n'}"
  fi
fi
text=$(sed "s|@PLACE@|$place|g;s|@PATH@|$path|g;s|@SOURCE@|$source|;s|@MANIFEST@|$manifest|" "$unit" 2>&1) || end "$text"
model=$(of_unit Model) folder=$(of_unit Folder) manifest=$(of_unit Manifest)
mark=${manifest:-nixl-efa-whole}

# The model comes while packages are installed. The disks of an instance that was stopped are empty.
copy=''
if [ -n "$model" ]; then
  mkdir -p "$root$folder" "$state"
  (flock 9 && fetch "$root$folder" 2>"$state/copy") 9>"$root$folder.lock" &
  copy=$!
fi
if $first; then
  said=$("$bin/install-engine" "$packages" "$name" "$@" 2>&1) || end "not installed: $*: ${said##*$'\n'}"
  echo "$* from $said"
fi
if [ -n "$copy" ] && ! wait "$copy"; then
  said=$(tail -n 1 "$state/copy")
  end "not copied: $model: ${said:-nothing is there}"
fi
if $first; then
  said=$("$bin/start-unit" "$engine" "$(base64 -w 0 <<<"$text")" "$(base64 -w 0 "$boot/service.json")")
  grep -q '^@@ end started 0$' <<<"$said" || end "not started: $(sed '/^@@/d' <<<"$said" | tail -n 1)"
  end ''
fi
newer=(-newer "$root/etc/nixl-efa/service.json")
if [ -n "$model" ] && [ -n "$(find "$root$folder" -type f ! -name "$mark" "${newer[@]}" -print -quit)" ]; then
  end "not started: $model has changed since the last start here: nixl-efa serve restart $PAIR_ENVIRONMENT"
fi
said=$(systemctl start "$engine" 2>&1) || end "not started: ${said##*$'\n'}"
end ''
