#!/bin/bash
# Installs NIXL. Usage: install-nixl [VERSION] [ROOT]; without VERSION the newest that the node's libfabric loads.
# How it went is told in /var/lib/nixl-efa/install.json, in which "error" is empty when all is done.
set -euo pipefail
version=${1:-} root=${2:-}
here=$root/opt/nixl-efa state=$root/var/lib/nixl-efa
package='' source=index hashes=false
# shellcheck source=/dev/null
. "$root/etc/nixl-efa/env"
mkdir -p "$state"

told() { # ERROR, or what is not finished; empty: done
  echo "install-nixl: ${1:-done} ($SECONDS s)" >&2
  printf '{"version":"%s","package":"%s","source":"%s","hashes":%s,"bytes":%s,"seconds":%s,"error":"%s"}\n' \
    "$version" "$package" "$source" $hashes "$(du -sb "$here/venv" 2>/dev/null | grep -o '^[0-9]*' || echo 0)" \
    $SECONDS "$(tr -d '\\"' <<<"$1")" >"$state/install.json"
}
trap 'told "failed: $BASH_COMMAND"' ERR
give_up() {
  told "$1"
  exit 1
}
# A first boot shares the network, and apt's lock, with other starters.
patiently() { # COMMAND...
  local end=$((SECONDS + 300))
  until "$@"; do
    if [ $SECONDS -ge $end ]; then give_up "given up: $*"; fi
    told "not finished, tried for $((end - SECONDS)) s more: $*"
    sleep "${NIXL_PAUSE:-10}"
  done
}
# apt-get update ends at once where another one has its lock, whatever DPkg::Lock::Timeout says, and with an error where one
# repository of the image's is broken: what counts is the package.
apt_install() { # PACKAGE...
  apt-get -q update || true
  apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@"
}
at_least() { [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$2" ]; }
# No pipe: grep -q would end ldconfig by SIGPIPE at its first hit, which pipefail takes for none.
on_loader_path() { grep -qF "$1 " <<<"$(ldconfig -p)"; }
add_to_loader_path() { # FOLDER
  mkdir -p "$root/etc/ld.so.conf.d"
  echo "$1" >>"$root/etc/ld.so.conf.d/nixl-efa.conf"
  ldconfig
}

libfabric=$(PATH=$root/opt/amazon/efa/bin:$PATH fi_info --version 2>/dev/null | sed -n 's/^libfabric: //p') || true
if [ "$PAIR_NIXL_BACKEND" != LIBFABRIC ]; then libfabric=''; fi
chosen='' why=''
while read -r mark release needs installer; do
  if [ "$mark" != '#' ] || [ "${version:-$release}" != "$release" ]; then continue; fi
  chosen=$release why=''
  if [ -z "$libfabric" ]; then continue; fi
  if at_least "$libfabric" "$needs"; then break; fi
  why="NIXL $release needs libfabric $needs, EFA installer $installer; this node has $libfabric"
done <"$here/releases.txt"
version=${version:-$chosen}
if [ -n "$why" ]; then give_up "$why"; fi
told 'not finished'

stub=false missing=()
if [ "$PAIR_ACCELERATOR_KIND" != nvidia ] && ! on_loader_path libcuda.so.1; then stub=true; fi
on_loader_path libhwloc.so.15 || missing+=(libhwloc15)
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if $stub && ! command -v gcc >/dev/null; then missing+=(gcc); fi
if [ ${#missing[@]} -gt 0 ]; then
  command -v apt-get >/dev/null || give_up "no apt-get for ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  patiently apt_install "${missing[@]}"
fi
python3 -m venv "$here/venv"
python=$here/venv/bin/python

# CUDA 13 needs driver 580 or later (CUDA compatibility documentation).
package=nixl-cu13 cudart=nvidia-cuda-runtime
driver=$(grep -oE '[0-9]{3,}\.[0-9.]+' "$root/proc/driver/nvidia/version" 2>/dev/null | head -n 1) || true
if ! at_least "${driver:-580}" 580; then package=nixl-cu12 cudart=nvidia-cuda-runtime-cu12; fi
# Where the wheels are: nixl_wheels, a folder of the node or an index; else the bucket of what is staged, if it has those
# of this Python, as 3.12, and machine.
from=() wheels=${PAIR_NIXL_WHEELS:-} py=$("$python" -V) py=${py#* } py=${py%.*}
if [ -z "$wheels" ] &&
  timeout 120 aws s3 sync "s3://${PAIR_MODELS_BUCKET:-$PAIR_SCRIPTS_BUCKET}/nixl-wheels" "$state/wheels" &&
  compgen -G "$state/wheels/${package/-/_}-$version-cp${py/./}-*$HOSTTYPE.whl"; then
  wheels=$state/wheels
fi &>/dev/null
case $wheels in
  /*) source=$wheels from=(--no-index -f "$wheels") ;;
  ?*) source=$wheels from=(-i "$wheels") ;;
esac
what=("nixl==$version" "$package==$version" numpy "$cudart<14")
if grep -q "^$package==$version " "$here/releases.txt" && grep -q "^#python.* $py\b" "$here/releases.txt"; then
  hashes=true what=(--require-hashes -r "$state/wanted.txt")
  grep -E "^(nixl|$package)==$version |^numpy|^$cudart==" "$here/releases.txt" |
    sed 's/ / --hash=sha256:/g' >"$state/wanted.txt"
fi
patiently "$python" -m pip install --no-cache-dir --disable-pip-version-check -q "${from[@]}" --no-deps "${what[@]}"

# The plugin is linked against libcuda.so.1, which comes with NVIDIA's driver, libcudart, and libfabric.so.1, which the
# EFA installer puts into its own folder. Without NVIDIA GPUs the first is never called, so a stub will do (Neuron
# documentation, vLLM Neuron, "Install dependencies for disaggregated inference"): each function answers 100, no device.
if $stub; then
  mkdir -p "$here/lib"
  { find "$here/venv" -path '*nixl*' -name '*.so*' -exec nm -D --undefined-only {} + 2>/dev/null || true; } |
    grep -o ' cu[A-Z][A-Za-z0-9_]*' | sort -u | sed 's/.*/int&(void) { return 100; }/' |
    gcc -shared -fPIC -nostdlib -Wl,-soname,libcuda.so.1 -o "$here/lib/libcuda.so.1" -x c -
  add_to_loader_path /opt/nixl-efa/lib
fi
for file in "$here"/venv/lib/python3*/site-packages/nvidia/*/lib/libcudart.so.* \
  "$root"/opt/amazon/efa/lib{,64}/libfabric.so.1; do
  if [ -e "$file" ] && ! on_loader_path "${file##*/}"; then
    file=${file%/*}
    add_to_loader_path "${file#"$root"}"
  fi
done
told ''
