#!/bin/sh
# Runs a program of ours on a node with the Python that has NIXL and the engine, in the nodes' environment.
# Usage: run-python PROGRAM ARGUMENT (their texts). Section as in node-facts.sh: "program" is the program's document; what
# it says on stderr is not kept, but for the last line where it fails. NIXL_EFA_ROOT: see there.
root=${NIXL_EFA_ROOT:-}
python=$root/opt/nixl-efa/venv/bin/python
set -a
# shellcheck source=/dev/null
. "$root/etc/nixl-efa/env"
# The user's own, as the engine has it. A line that is no assignment is named in no output: it may be a token.
if [ -r "$root/etc/nixl-efa/service.env" ]; then
  # shellcheck source=/dev/null
  . "$root/etc/nixl-efa/service.env" 2>/dev/null
fi
set +a
# The preload is for NIXL, which nothing here loads.
unset LD_PRELOAD
if [ -x "$python" ]; then
  errors=$(mktemp)
  output=$("$python" -c "$1" "$2" 2>"$errors")
  code=$?
  [ "$code" = 0 ] || output=$(tail -n 1 "$errors")
  rm -f "$errors"
else
  output="no $python: install_nixl is false, or NIXL's installation has failed (/var/lib/nixl-efa/install.json)"
  code=127
fi
printf '@@ begin program\n%s\n@@ end program %s\n' "$output" "$code"
exit 0
