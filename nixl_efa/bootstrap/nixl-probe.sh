#!/bin/bash
# Makes a backend of NIXL. Usage: nixl-probe BACKEND [ROOT]
# Last line: "nixl VERSION BACKEND provider=NAME" or "nixl [VERSION] BACKEND failed: WORDS". Exit: 0 made, 1 not.
backend=$1 root=${2:-} state=${2:-}/var/lib/nixl-efa/install.json
# At this level alone NIXL names the provider, and why a plugin does not load.
export NIXL_LOG_LEVEL=INFO
log=$(timeout 45 "$root/opt/nixl-efa/venv/bin/python" - "$backend" 2>&1 <<'PYTHON'
import os
import sys
from importlib.metadata import version

made = False
try:
    from nixl._api import nixl_agent, nixl_agent_config

    print("nixl-version", version("nixl"), flush=True)
    nixl_agent("probe", nixl_agent_config(backends=[])).create_backend(sys.argv[1])
    made = True
except Exception as error:
    print(f"error: {error}", flush=True)
# Not by Python's own end: what is unloaded then may crash, which tells nothing of the backend.
os._exit(not made)
PYTHON
)
code=$?
grep -v -e '^I[0-9].*Discovered' <<<"$log"
version=$(sed -n 's/^nixl-version //p' <<<"$log")
first() { sed -nE "s/$1//p" <<<"$log" | head -n 1; }
if [ $code -eq 0 ]; then
  provider=$(sed -nE 's/.*rails using provider=([a-z0-9_;-]+).*/\1/p' <<<"$log" | tail -n 1)
  if [ "$backend" = UCX ]; then provider=ucx; fi
  echo "nixl $version $backend provider=${provider:-unknown}"
  exit 0
fi
why=$(first "^.*Failed to load plugin from [^:]*libplugin_$backend\.so: ")
[ -n "$why" ] || why=$(first '^E[0-9].*\.cpp:[0-9]+\] ')
[ -n "$why" ] || why=$(first '^error: ')
if [ $code -eq 127 ]; then why="No module named 'nixl'" code=1; fi
# What install-nixl could not do is nearer to the cause than that nixl is not there.
if [ -z "$version" ]; then why=$(sed -n 's/.*"error":"\([^"]\{1,\}\)".*/\1/p' "$state" 2>/dev/null | grep . || echo "$why"); fi
if [ $code -gt 1 ]; then why="ended with $code: ${why:-$(tail -n 1 <<<"$log")}"; fi
echo "nixl $version $backend failed: ${why% (required by *}" | tr -s ' '
exit 1
