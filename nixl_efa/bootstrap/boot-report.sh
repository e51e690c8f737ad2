#!/bin/bash
# Compares what this machine has with what its stack planned, and says so loudly: standard output (the journal
# and the serial console), /var/lib/nixl-efa/boot-report.{json,txt} (the second is the login message).
# Usage: boot-report [ROOT]; ROOT stands before every path. Exit: 0 all as planned, 1 otherwise.
set -uo pipefail
root=${1:-}
set -a
# shellcheck source=/dev/null
. "$root/etc/nixl-efa/env" || exit 1
set +a
PATH="$PATH:$root/opt/amazon/efa/bin"
ok=true lines='' checks=''

check() { # NAME PLANNED SEEN
  local seen verdict=PASS same=true
  seen=$(printf %s "$3" | tr '\n' ' ' | tr -cd '[:alnum:] ._:/=-')
  if [ "$2" != "$seen" ]; then verdict=FAIL same=false ok=false; fi
  lines+="$verdict $1: planned $2, seen ${seen:-nothing}"$'\n'
  checks+="${checks:+,}{\"check\":\"$1\",\"ok\":$same,\"planned\":\"$2\",\"seen\":\"$seen\"}"
}

# Amazon's PCI vendor: a p6-b200 has two RDMA devices more, NVLink's (aws/sagemaker-hyperpod-cli#282).
efa_devices() { cat "$root"/sys/class/infiniband/*/device/vendor 2>/dev/null | grep -c '^0x1d0f$'; }

# libfabric lists a device once for each of its fabrics (efa, efa-direct): the domains' names are what counts. A stock
# libfabric also lists a provider that is layered over efa (ofiwg/libfabric#5689).
fabric_domains() {
  fi_info -p efa -t FI_EP_RDM 2>/dev/null |
    awk '$1 == "provider:" {provider = $2} $1 == "domain:" && provider == "efa" {print $2}' | sort -u | wc -l
}

accelerators() {
  case $PAIR_ACCELERATOR_KIND in
    nvidia) nvidia-smi -L 2>/dev/null | grep -c '^GPU ' ;;
    neuron) find "$root/dev" -maxdepth 1 -name 'neuron[0-9]*' 2>/dev/null | wc -l ;;
  esac
}

check efa_devices "$PAIR_EFA_INTERFACES" "$(efa_devices)"
check fi_info_domains "$PAIR_EFA_INTERFACES" "$(fabric_domains | tr -d ' ')"
check memlock unlimited "$(ulimit -l)"
case $PAIR_ACCELERATOR_KIND in
  nvidia | neuron) check accelerators "$PAIR_ACCELERATORS" "$(accelerators | tr -d ' ')" ;;
esac
if [ "$PAIR_EFA_INTERFACES" -gt 0 ]; then
  transport=EFA
  check libibverbs_preload present "$([ -e "$root${LD_PRELOAD:-/missing}" ] && echo present || echo missing)"
else
  transport=TCP
  lines+="NOTE transport: $PAIR_INSTANCE_TYPE has no EFA interface, so NIXL uses TCP"$'\n'
fi
if [ "$PAIR_NIXL" = yes ]; then
  probe=$("$root/opt/nixl-efa/bin/nixl-probe" "$PAIR_NIXL_BACKEND" "$root" 2>&1 | tail -n 1)
  case $probe in *" loaded") probe=loaded ;; esac
  check nixl_backend loaded "$probe"
fi

lines+="nixl-efa boot report of $PAIR_ENVIRONMENT $PAIR_NODE ($PAIR_INSTANCE_TYPE, $transport): "
if $ok; then lines+="as planned"; else lines+="NOT AS PLANNED"; fi
state=$root/var/lib/nixl-efa
mkdir -p "$state"
printf '{"ok":%s,"node":"%s","instance_type":"%s","transport":"%s","checks":[%s]}\n' \
  "$ok" "$PAIR_NODE" "$PAIR_INSTANCE_TYPE" "$transport" "$checks" >"$state/boot-report.json"
printf '%s\n' "$lines" | tee "$state/boot-report.txt"
$ok
