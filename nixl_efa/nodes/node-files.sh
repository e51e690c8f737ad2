#!/bin/sh
# Prints the SHA-256 of this project's files on the node. Usage: node-files NAMES PATH...; of /etc/nixl-efa/env only the
# lines of these variables ("A|B") count: the others are the user's own, or configure's. NIXL_EFA_ROOT: see node-facts.sh.
root=${NIXL_EFA_ROOT:-}
names=$1
shift
ours() { # PATH
  case $1 in
    /etc/nixl-efa/env) grep -E "^($names)=" "$root$1" ;;
    *) cat "$root$1" ;;
  esac
}
echo '@@ begin files'
for path in "$@"; do
  sum=missing
  if [ -f "$root$path" ]; then sum=$(ours "$path" | sha256sum); fi
  echo "$path ${sum%% *}"
done
echo '@@ end files 0'
