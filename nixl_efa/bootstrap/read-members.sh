#!/bin/bash
# Puts the nodes of members.json, an object in the scripts bucket, into pair.json. Usage: read-members [ROOT]
# pair.json is whole at any time, and its last member is "nodes", in the same lines (members.py, files.py). Prints what the
# node knows, and why the object was not taken. Exit: 1 when it knows itself alone. Takes a minute at most.
set -uo pipefail
pair=${1:-}/etc/nixl-efa/pair.json
new=$pair.$$
# shellcheck source=/dev/null
. "${1:-}/etc/nixl-efa/env"
unset LD_PRELOAD
trap 'rm -f "$new"*' EXIT
# A role's keys, and what it may do, can come some seconds after the node.
for pause in 2 5 0; do
  why=$(timeout 17 aws --region "$AWS_REGION" s3api get-object \
    --bucket "$PAIR_SCRIPTS_BUCKET" --key members.json "$new" 2>&1 >/dev/null) &&
    why='members.json is damaged or foreign' &&
    [ "$(grep -cxF $' "form": 1,\n}\n'"$(sed -n 's/^ "node": /   "name": /p' "$pair")" "$new")" = 3 ] &&
    { sed '/^ "nodes": /,$d' "$pair" && sed -n '/^ "nodes": /,$p' "$new"; } >"$new.pair" &&
    mv "$new.pair" "$pair" && why='' && break
  why=${why:-no answer from S3}
  sleep $pause
done
known=$(grep -c '^   "name": ' "$pair")
echo "$known known${why:+: not read anew: $why}"
[ "$known" -gt 1 ]
