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

# The file has been called pair.json since there were two nodes; of any number, its name is members.json.
ln -s pair.json "$root/etc/nixl-efa/members.json" 2>/dev/null || true

# systemd reads DefaultLimitMEMLOCK when it executes itself anew. What runs already keeps its old limit, and hands it on: the
# SSM agent to sessions and commands, an engine to its containers. They are given the new one as they are, since a restart
# would end what they run; one of these commands may be running this (nixl-efa nodes sync).
systemctl daemon-reexec
for process in $(pidof amazon-ssm-agent ssm-agent-worker containerd dockerd); do
  prlimit --pid "$process" --memlock=unlimited:unlimited || true
done
