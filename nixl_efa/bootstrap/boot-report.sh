#!/bin/bash
# Compares what this machine has with what its stack planned. Usage: boot-report [ROOT]; ROOT stands before every path.
# Says so loudly: standard output (the journal and the serial console), /var/lib/nixl-efa/boot-report.{json,txt} (the
# second is the login message). Exit: 0 all as planned, 1 otherwise.
set -uo pipefail
root=${1:-}
set -a
# shellcheck source=/dev/null
. "$root/etc/nixl-efa/env" || exit 1
set +a
# EFA's own fi_info, not that of the distribution's libfabric.
PATH="$root/opt/amazon/efa/bin:$PATH"
ok=true lines='' checks=''

plain() { tr '\n' ' ' | tr -cd '[:alnum:] ._:/=-'; }
# check NAME PLANNED SEEN [WHY]: WHY is a tool's own words, told where SEEN differs.
check() {
  local seen verdict=PASS same=true
  seen=$(plain <<<"$3" | sed 's/ $//')
  if [ "$2" != "$seen" ]; then
    verdict=FAIL same=false ok=false
    seen+=$(plain <<<"${4:+: $4}" | sed 's/ $//')
  fi
  lines+="$verdict $1: planned $2, seen ${seen:-nothing}"$'\n'
  checks+="${checks:+,}{\"check\":\"$1\",\"ok\":$same,\"planned\":\"$2\",\"seen\":\"$seen\"}"
}

# Amazon's PCI vendor: a p6-b200 has two RDMA devices more, NVLink's (aws/sagemaker-hyperpod-cli#282).
efa_devices() { cat "$root"/sys/class/infiniband/*/device/vendor 2>/dev/null | grep -c '^0x1d0f$'; }

# libfabric lists a device once for each of its fabrics (efa, efa-direct): the domains' names are what counts. A stock
# libfabric also lists a provider that is layered over efa (ofiwg/libfabric#5689).
fabric_domains() {
  awk '$1 == "provider:" {provider = $2} $1 == "domain:" && provider == "efa" {print $2}' | sort -u | wc -l
}

check efa_devices "$PAIR_EFA_INTERFACES" "$(efa_devices)"
said=$(timeout 60 fi_info -p efa -t FI_EP_RDM 2>&1) && why='' || why=${said##*$'\n'}
check fi_info_domains "$PAIR_EFA_INTERFACES" "$(fabric_domains <<<"$said")" "$why"
check memlock unlimited "$(ulimit -l)"
case $PAIR_ACCELERATOR_KIND in
  nvidia)
    said=$(timeout 60 nvidia-smi -L 2>&1) || [ $? != 124 ] || said+=$'\nno answer within 60 s'
    why=$(grep -m 1 -v -e '^GPU ' -e '^$' -e 'ld.so: ' <<<"$said")
    check accelerators "$PAIR_ACCELERATORS" "$(grep -c '^GPU ' <<<"$said")" "$why"
    ;;
  neuron) check accelerators "$PAIR_ACCELERATORS" "$(find "$root/dev" -maxdepth 1 -name 'neuron[0-9]*' | wc -l)" ;;
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
  case $probe in *" provider="*) probe=provider=${probe##* provider=} ;; esac
  case $PAIR_NIXL_BACKEND in LIBFABRIC) wanted=provider=efa ;; *) wanted=provider=ucx ;; esac
  check nixl_backend "$wanted" "$probe"
fi

# begin service
if engine=$(sed -n 's/.*"error":"\(.*\)"}$/\1/p' "$root/run/nixl-efa/engine.json" 2>/dev/null); then
  check engine started "${engine:-started}"
else
  lines+="NOTE engine: not started yet: systemctl status nixl-efa-service"$'\n'
fi
# end service
if said=$("$root/opt/nixl-efa/bin/read-members" "$root" 2>/dev/null); then
  lines+="NOTE members: $(printf %s "$said" | plain)"$'\n'
else
  check members 'other nodes' none "$said"
fi

state=$root/var/lib/nixl-efa
install=$(tr , ' ' 2>/dev/null <"$state/install.json" | plain)
if [ -n "$install" ]; then lines+="NOTE install-nixl: $install"$'\n'; fi
lines+="nixl-efa boot report of $PAIR_ENVIRONMENT $PAIR_NODE ($PAIR_INSTANCE_TYPE, $transport): "
if $ok; then lines+="as planned"; else lines+="NOT AS PLANNED"; fi
mkdir -p "$state"
printf '{"ok":%s,"node":"%s","instance_type":"%s","transport":"%s","install":"%s","checks":[%s]}\n' \
  "$ok" "$PAIR_NODE" "$PAIR_INSTANCE_TYPE" "$transport" "$install" "$checks" >"$state/boot-report.json"
printf '%s\n' "$lines" | tee "$state/boot-report.txt"
$ok
