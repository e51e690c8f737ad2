#!/bin/sh
# Prints what this node has, a section for each command: "@@ begin NAME", the command's own output, "@@ end NAME
# CODE". Changes nothing. NIXL_EFA_ROOT stands before every path (tests; empty on a node). POSIX sh, since
# Run Command may use any.
root=${NIXL_EFA_ROOT:-}
# EFA's own tools come before those of the distribution's libfabric, which is another one than NIXL loads.
PATH=$root/opt/amazon/efa/bin:$PATH:$root/opt/aws/neuron/bin:$root/usr/local/nixlbench/bin:$root/opt/nixl-efa/bin

section() { # NAME COMMAND...
  name=$1
  shift
  output=$(timeout 60 "$@" 2>&1)
  code=$?
  printf '@@ begin %s\n%s\n@@ end %s %s\n' "$name" "$output" "$name" "$code"
}

# Each RDMA device with its PCI vendor: not every one is an EFA's (NVLink's on a p6-b200).
# shellcheck disable=SC2016,SC2317 # expanded by the inner shell
devices='for device in "$1"/sys/class/infiniband/*; do
  [ -d "$device" ] || continue
  vendor=unknown
  { read -r vendor <"$device/device/vendor"; } 2>/dev/null
  echo "${device##*/} $vendor"
done'
# A device stands in fi_info's list once for each of libfabric's fabrics: once is told, and without the rest of an entry.
# Where there is no list, libfabric's log says why.
# shellcheck disable=SC2016
fabric='listed=$(fi_info -p efa -t FI_EP_RDM 2>&1)
code=$?
[ "$code" = 0 ] || listed=$(FI_LOG_LEVEL=warn fi_info -p efa -t FI_EP_RDM 2>&1 | tail -n 5)
printf "%s\n" "$listed" | awk "\$1 == \"provider:\" {provider = \$0; fresh = 0} provider == \"\"
  \$1 == \"domain:\" {fresh = !seen[provider, \$2]++; if (fresh) print provider}
  fresh && \$1 ~ /^(domain|version):/ {print \$1, \$2}"
exit "$code"'
# Of containerd, docker's engine too, and of each container's first process: the memory that it may lock, in bytes, and how
# many RDMA devices it sees. A container gets containerd's limit, unless it is given one of its own.
# shellcheck disable=SC2016
containers='shims=$(pgrep -d , containerd-shim)
for process in $(pgrep -x containerd) ${shims:+$(pgrep -P "$shims")}; do
  { read -r name <"$1/proc/$process/comm"; } 2>/dev/null || continue
  locked=$(sed -n "s/^Max locked memory *\([^ ]*\).*/\1/p" "$1/proc/$process/limits")
  set -- "$1" "$1/proc/$process/root/dev/infiniband"/uverbs*
  [ -e "$2" ] && seen=$(($# - 1)) || seen=0
  echo "$locked $seen $name"
done'
# Of Neuron's devices their numbers: an entry also names every process of the device, with its whole command line.
# shellcheck disable=SC2016
neuron='listed=$(neuron-ls --json-output 2>&1)
code=$?
numbers=$(printf "%s\n" "$listed" | grep -o "\"neuron_device\": *[0-9]*" | sed "s/.*/{&}/" | paste -s -d , -)
if [ -n "$numbers" ]; then echo "[$numbers]"; else printf "%s\n" "$listed" | head -n 20; fi
exit "$code"'
# nvidia-smi lists GPUs with which CUDA cannot start (NVIDIA/gpu-operator#2781), so CUDA is asked itself.
cuda='import ctypes; print("cuInit", ctypes.CDLL("libcuda.so.1").cuInit(0))'

section pair cat "$root/etc/nixl-efa/pair.json"
section cloud_init cloud-init status --long
section cloud_final systemctl is-active cloud-final.service
section failed_units systemctl list-units --failed --plain --no-legend --no-pager
section boot_report cat "$root/var/lib/nixl-efa/boot-report.json"
section efa_devices sh -c "$devices" sh "$root"
section fi_info sh -c "$fabric"
section libfabric fi_info --version
# The kernel's own module tells no version; the EFA installer's does.
# shellcheck disable=SC2016
section efa_driver sh -c 'cd "$1/sys/module/efa" && { cat version 2>/dev/null || echo "of the kernel"; }' sh "$root"
section kernel uname -r
section efa_module modinfo -F version efa
section efa_installer head -n 1 "$root/opt/amazon/efa_installed_packages"
section nvidia nvidia-smi --query-gpu=index,name,driver_version,memory.total --format=csv,noheader
section gpu_fabric sh -c 'nvidia-smi -q | grep -A 6 "^ *Fabric$" | grep -e State -e Status -e Summary'
section cuda python3 -c "$cuda"
section fabric_manager journalctl -b -u nvidia-fabricmanager -n 5 -o cat --no-pager
section neuron sh -c "$neuron"
section memlock sh -c 'ulimit -l'
section service_memlock systemctl show --property DefaultLimitMEMLOCK --value
section containers sh -c "$containers" sh "$root"
# The one line that is read: each container has one of two thousand characters.
section mounts grep ' /opt/dlami/nvme ' "$root/proc/mounts"
section disk df -Pk "$root/"
section nixlbench sh -c 'command -v nixlbench'
# NIXL tells at this level alone why a plugin does not load: of its log these lines, and what the probe says.
# shellcheck disable=SC2016 # expanded by the inner shell, in NIXL's environment
section nixl sh -c 'set -a; . "$1/etc/nixl-efa/env"; NIXL_LOG_LEVEL=INFO
  "$1/opt/nixl-efa/bin/nixl-probe" "$PAIR_NIXL_BACKEND" "$1" 2>&1 |
    grep -e "Failed to load plugin" -e "^[^IWE]" | cut -c 1-500 | tail -n 5' \
  sh "$root"
