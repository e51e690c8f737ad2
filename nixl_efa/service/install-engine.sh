#!/bin/bash
# Usage: install-engine STAGED MANIFEST NAME==VERSION...
# Installs packages beside NIXL, which keeps the version that fits this node. STAGED: the folder in S3 below which they may
# be staged for each Python and machine, or empty. Wheels there are used if MANIFEST is with them, else the index: the paid
# hours of a node don't wait until somebody has mended them.
# The last line of the output says where the packages come from, and why not from S3 though something is there; or what
# has failed.
set -euo pipefail
root=${NIXL_EFA_ROOT:-}
venv=$root/opt/nixl-efa/venv
kept=$root/var/lib/nixl-efa/service-constraints.txt
from=$1 manifest=$2 why=''
shift 2
mkdir -p "${kept%/*}"
# pip writes INSTALLER after the files and the commands of a package. What has none was cut, and pip takes it for whole.
for about in "$venv"/lib/python3*/site-packages/*.dist-info; do
  [ -e "$about/INSTALLER" ] || rm -rf "$about"
done
export PIP_DISABLE_PIP_VERSION_CHECK=1
"$venv/bin/python" -m pip list --format=freeze | grep -E '^nixl(-cu1[23])?==' >"$kept" || true
install() { "$venv/bin/python" -m pip install --quiet --no-cache-dir --constraint "$kept" "$@" 2>&1; }

if [ -n "$from" ]; then
  lib=("$venv"/lib/python3*)
  from+=/${lib##*/}-$(uname -m)
  # Where nothing is below a folder, this fails and says nothing.
  if ! said=$(aws s3 ls "$from/" 2>&1); then
    why=${said##*$'\n'}
  elif ! grep -q " $manifest$" <<<"$said"; then
    why='it is not complete'
  else
    wheels=$(mktemp -d -p /opt/dlami/nvme 2>/dev/null || mktemp -d)
    trap 'rm -rf "$wheels"' EXIT
    if said=$(aws s3 sync --only-show-errors "$from" "$wheels" 2>&1 && install --no-index -f "$wheels" "$@"); then
      echo "$from"
      exit
    fi
    why=${said##*$'\n'}
    # The index needs the room.
    rm -rf "$wheels"
  fi
  why=${why:+: $from: $why}
fi
said=$(install "$@") || {
  echo "${said##*$'\n'}${why:+ (packages of S3$why)}" >&2
  exit 1
}
echo "the index$why"
