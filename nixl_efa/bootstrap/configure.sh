#!/bin/bash
# Settles what only the node itself knows. Usage: configure [ROOT]; ROOT stands before every path.
set -euo pipefail
root=${1:-}

# NIXL's wheel bundles an old libibverbs that breaks UCX over EFA; the system's must be loaded first. Its
# directory is named after the architecture (Debian multiarch) or is /usr/lib64.
for library in "/usr/lib/$(uname -m)-linux-gnu/libibverbs.so.1" /usr/lib64/libibverbs.so.1; do
  if [ -e "$root$library" ]; then
    sed -i '/^LD_PRELOAD=/d' "$root/etc/nixl-efa/env"
    echo "LD_PRELOAD=$library" >>"$root/etc/nixl-efa/env"
    break
  fi
done

# systemd reads DefaultLimitMEMLOCK when it executes itself anew. Services that already run keep their old
# limit; the SSM agent hands its own to every session and Run Command, so it is started again.
systemctl daemon-reexec
systemctl try-restart amazon-ssm-agent.service snap.amazon-ssm-agent.amazon-ssm-agent.service || true
# A container has its engine's limit. An engine that runs is given the new one as it is: a restart would end what it runs.
for engine in $(pidof containerd dockerd); do
  prlimit --pid "$engine" --memlock=unlimited:unlimited || true
done
