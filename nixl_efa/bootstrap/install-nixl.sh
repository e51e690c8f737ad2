#!/bin/bash
# Installs NIXL in a virtual environment. Usage: install-nixl VERSION [ROOT]
# libhwloc15 is what the LIBFABRIC plugin links against and the wheel leaves out.
set -euo pipefail
version=$1
venv=${2:-}/opt/nixl-efa/venv
pause=${NIXL_RETRY_PAUSE_SECONDS:-15}

# A first boot shares the network and the package lock with other starters: five tries for every step.
retry() {
  for try in 1 2 3 4 5; do
    if "$@"; then return 0; fi
    echo "install-nixl: try $try of 5 failed: $*" >&2
    sleep "$pause"
  done
  echo "install-nixl: given up: $*" >&2
  return 1
}

if command -v apt-get >/dev/null; then
  export DEBIAN_FRONTEND=noninteractive
  retry apt-get -o DPkg::Lock::Timeout=300 -q update
  retry apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install libhwloc15 python3-venv
fi
python3 -m venv "$venv"
retry "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check -q "nixl==$version"
