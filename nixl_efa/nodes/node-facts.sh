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

section pair cat "$root/etc/nixl-efa/pair.json"
section cloud_init cloud-init status --long
section boot_report cat "$root/var/lib/nixl-efa/boot-report.json"
section efa_devices ls "$root/sys/class/infiniband"
section fi_info fi_info -p efa -t FI_EP_RDM
section libfabric fi_info --version
section efa_driver cat "$root/sys/module/efa/version"
section efa_installer head -n 1 "$root/opt/amazon/efa_installed_packages"
section nvidia nvidia-smi --query-gpu=index,name,driver_version,memory.total --format=csv,noheader
section neuron neuron-ls --json-output
section memlock sh -c 'ulimit -l'
section mounts cat "$root/proc/mounts"
section nixlbench sh -c 'command -v nixlbench'
# shellcheck disable=SC2016 # expanded by the inner shell, in NIXL's environment
section nixl sh -c 'set -a; . "$1/etc/nixl-efa/env"; exec "$1/opt/nixl-efa/bin/nixl-probe" "$PAIR_NIXL_BACKEND" "$1"' \
  sh "$root"
