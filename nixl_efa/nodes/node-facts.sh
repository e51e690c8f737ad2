#!/bin/sh
# Prints what this node has, a section for each command: "@@ begin NAME", the command's own output, "@@ end NAME
# CODE". Changes nothing. NIXL_EFA_ROOT stands before every path (tests; empty on a node). POSIX sh, since
# Run Command may use any.
root=${NIXL_EFA_ROOT:-}
PATH=$PATH:$root/opt/amazon/efa/bin:$root/opt/aws/neuron/bin:$root/usr/local/nixlbench/bin:$root/opt/nixl-efa/bin

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
# nvidia-smi lists GPUs with which CUDA cannot start (NVIDIA/gpu-operator#2781), so CUDA is asked itself.
cuda='import ctypes; print("cuInit", ctypes.CDLL("libcuda.so.1").cuInit(0))'

section pair cat "$root/etc/nixl-efa/pair.json"
section cloud_init cloud-init status --long
section cloud_final systemctl is-active cloud-final.service
section failed_units systemctl list-units --failed --plain --no-legend --no-pager
section boot_report cat "$root/var/lib/nixl-efa/boot-report.json"
section efa_devices sh -c "$devices" sh "$root"
section fi_info fi_info -p efa -t FI_EP_RDM
section libfabric fi_info --version
section efa_driver cat "$root/sys/module/efa/version"
section efa_installer head -n 1 "$root/opt/amazon/efa_installed_packages"
section nvidia nvidia-smi --query-gpu=index,name,driver_version,memory.total --format=csv,noheader
section gpu_fabric sh -c 'nvidia-smi -q | grep -A 6 "^ *Fabric$" | grep -e State -e Status -e Summary'
section cuda python3 -c "$cuda"
section fabric_manager journalctl -b -u nvidia-fabricmanager -n 5 -o cat --no-pager
section neuron neuron-ls --json-output
section memlock sh -c 'ulimit -l'
section mounts cat "$root/proc/mounts"
section nixlbench sh -c 'command -v nixlbench'
# NIXL tells at this level alone why a plugin does not load.
# shellcheck disable=SC2016 # expanded by the inner shell, in NIXL's environment
section nixl sh -c 'set -a; . "$1/etc/nixl-efa/env"; NIXL_LOG_LEVEL=INFO
  "$1/opt/nixl-efa/bin/nixl-probe" "$PAIR_NIXL_BACKEND" "$1" 2>&1 | grep -v -e "^I[0-9].*Discovered" | tail -n 20' \
  sh "$root"
