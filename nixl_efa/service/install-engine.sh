#!/bin/bash
# Installs packages beside NIXL, which keeps the version that fits this node. Usage: install-engine NAME==VERSION...
set -euo pipefail
root=${NIXL_EFA_ROOT:-}
python=$root/opt/nixl-efa/venv/bin/python
kept=$root/var/lib/nixl-efa/service-constraints.txt
mkdir -p "${kept%/*}"
"$python" -m pip list --disable-pip-version-check --format=freeze | grep -E '^nixl(-cu1[23])?==' >"$kept" || true
"$python" -m pip install --quiet --no-cache-dir --disable-pip-version-check --constraint "$kept" "$@"
