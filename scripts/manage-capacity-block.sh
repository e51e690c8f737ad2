#!/usr/bin/env bash
# Capacity Blocks by the positional arguments of the CDK design; all the work is done by `nixl-efa capacity`.
#
#   scripts/manage-capacity-block.sh search TYPE COUNT HOURS     for example: search p5.48xlarge 2 24
#   scripts/manage-capacity-block.sh purchase OFFERING_ID
#   scripts/manage-capacity-block.sh list
#
# Options of `nixl-efa capacity` may follow (--region, --profile, --env, --json, ...).
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"

case "${1:-}" in
search | purchase | list) ;;
*)
  echo "usage: $0 search TYPE COUNT HOURS | purchase OFFERING_ID | list" >&2
  exit 2
  ;;
esac

python="$root/.venv/bin/python"
[ -x "$python" ] || python=python3
# The settings of the environments are looked for in the project's folder.
cd "$root"
exec "$python" -m nixl_efa capacity "$@"
