#!/bin/bash
# Installs NIXL in a virtual environment. Usage: install-nixl VERSION [ROOT]
# libhwloc15 is what the LIBFABRIC plugin links against and the wheel leaves out.
set -euo pipefail
version=$1
root=${2:-}
venv=$root/opt/nixl-efa/venv
# shellcheck source=/dev/null
. "$root/etc/nixl-efa/env"
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
  retry apt-get -o DPkg::Lock::Timeout=300 -q -y --no-install-recommends install libhwloc15 python3-venv gcc
fi
python3 -m venv "$venv"
retry "$venv/bin/pip" install --no-cache-dir --disable-pip-version-check -q "nixl==$version"

# The plugin is linked against libcuda.so.1, which comes with NVIDIA's driver, and libfabric.so.1, which the EFA
# installer puts into its own folder. Without NVIDIA GPUs the first is never called, so a stub will do (Neuron
# documentation, vLLM Neuron, "Install dependencies for disaggregated inference"): each function answers 100, no device.
# No pipe: grep -q would end ldconfig by SIGPIPE at its first hit, which pipefail takes for none.
on_loader_path() { grep -qF "$1 " <<<"$(ldconfig -p)"; }
add_to_loader_path() { # FOLDER
  mkdir -p "$root/etc/ld.so.conf.d"
  echo "$1" >>"$root/etc/ld.so.conf.d/nixl-efa.conf"
  ldconfig
}
if [ "$PAIR_ACCELERATOR_KIND" != nvidia ] && ! on_loader_path libcuda.so.1; then
  mkdir -p "$root/opt/nixl-efa/lib"
  { find "$venv" -path '*nixl*' -name '*.so*' -exec nm -D --undefined-only {} + 2>/dev/null || true; } |
    grep -o ' cu[A-Z][A-Za-z0-9_]*' | sort -u | sed 's/.*/int&(void) { return 100; }/' |
    gcc -shared -fPIC -nostdlib -Wl,-soname,libcuda.so.1 -o "$root/opt/nixl-efa/lib/libcuda.so.1" -x c -
  add_to_loader_path /opt/nixl-efa/lib
fi
for folder in /opt/amazon/efa/lib /opt/amazon/efa/lib64; do
  if ! on_loader_path libfabric.so.1 && [ -e "$root$folder/libfabric.so.1" ]; then add_to_loader_path $folder; fi
done
