# shellcheck shell=sh
# NIXL's environment for login shells.
# The libibverbs preload reaches no more than these and the services that name /etc/nixl-efa/env as their
# EnvironmentFile: with /etc/ld.so.preload one bad library breaks every program.
if [ -r /etc/nixl-efa/env ]; then
  set -a
  # shellcheck source=/dev/null
  . /etc/nixl-efa/env
  set +a
  PATH="/opt/amazon/efa/bin:/opt/nixl-efa/bin:$PATH"
fi
