#!/bin/sh
# One end of a transfer from producer to consumer, between two readings of the EFA devices' hardware counters.
# Arguments: TOOL (nixl, nixlbench or fi_pingpong) ROLE (producer or consumer) OWN_ADDRESS PEERS (addresses in their
# order, with spaces between; of nixl alone more than one) BACKEND (of NIXL LIBFABRIC or UCX, of fi_pingpong efa or tcp)
# SEGMENT (VRAM or DRAM) PROVIDER (of libfabric in the place of the one in /etc/nixl-efa/env; empty: that one) SECONDS
# (how long an end of nixl's waits for another) PROGRAM (nixl_transfer.py, its text). Sections as in node-facts.sh; of
# nixl's, "transfer" is the program's document and "log" what NIXL said. The ends are started at the same time by Run
# Command, seconds apart at worst: the end that connects tries again. All ports are below 32768.
root=${NIXL_EFA_ROOT:-}
pause=${NIXL_EFA_RETRY_SECONDS:-2}
PATH=$root/opt/amazon/efa/bin:$PATH:$root/usr/local/nixlbench/bin:$root/opt/nixl-efa/bin
tool=$1 role=$2 own=$3 peers=$4 backend=$5 segment=$6 provider=$7 seconds=$8 program=$9
if [ -r "$root/etc/nixl-efa/env" ]; then
  set -a
  # shellcheck source=/dev/null
  . "$root/etc/nixl-efa/env"
  set +a
fi
[ -z "$provider" ] || export FI_PROVIDER="$provider"
# At this level NIXL names libfabric's provider and says why a plugin does not load.
export NIXL_LOG_LEVEL=INFO

section() { # NAME COMMAND...
  name=$1
  shift
  output=$("$@" 2>&1)
  code=$?
  printf '@@ begin %s\n%s\n@@ end %s %s\n' "$name" "$output" "$name" "$code"
}

# A line for each EFA device, and one for each network card, which EFA's traffic does not pass: TCP's does.
counters() {
  for device in "$root"/sys/class/infiniband/*; do
    # Amazon's PCI vendor: other RDMA devices (NVLink's on a p6-b200) have counters of other names.
    grep -qs '^0x1d0f$' "$device/device/vendor" || continue
    printf '%s' "${device##*/}"
    for counter in tx_bytes rx_bytes rdma_write_bytes rdma_write_recv_bytes rdma_read_bytes rdma_read_resp_bytes; do
      { read -r value <"$device/ports/1/hw_counters/$counter"; } 2>/dev/null && printf ' %s=%s' "$counter" "$value"
    done
    echo
  done
  for interface in "$root"/sys/class/net/*; do
    # lo, docker0, veth and their like have no device: nothing leaves the machine by them.
    [ -e "$interface/device" ] || continue
    read -r sent <"$interface/statistics/tx_bytes"
    read -r received <"$interface/statistics/rx_bytes"
    echo "net/${interface##*/} tx_bytes=$sent rx_bytes=$received"
  done
}

again() { # COMMAND... : up to ten tries while the other end does not listen yet
  for try in 1 2 3 4 5 6 7 8 9 10; do
    output=$("$@" 2>&1)
    code=$?
    case $code$output in
      0*) break ;;
      *[Rr]efused* | *ECONNREFUSED*) [ "$try" = 10 ] || sleep "$pause" ;;
      *) break ;;
    esac
  done
  printf '%s\n' "$output"
  return "$code"
}

nixl_end() { # PEER...
  timeout -k 5 "$((140 + seconds))" "$root/opt/nixl-efa/venv/bin/python" -c "$program" \
    "$role" "$backend" "$segment" "$seconds" "$own" "$@" 2>"$log"
}

# What is read of NIXL's log: rails and their provider, errors, and the last lines, where a crash would be.
log_end() {
  grep -e '^E[0-9]' -e '[0-9] rails using' -e 'Failed to load plugin from' "$log" | head -n 20
  tail -n 3 "$log"
}

# With the ASIO runtime the end that owns the address listens and is rank 0, the initiator; it writes, and it
# prints the figures (NIXL, benchmark/nixlbench/README.md). No list of its options comes back, and of NIXL's log no
# word but on rails, warnings and errors.
nixlbench_end() { # PRODUCER
  output=$(timeout 150 nixlbench --runtime_type ASIO --asio_address "$1" --asio_port 12345 \
    --backend "$backend" --initiator_seg_type "$segment" --target_seg_type "$segment" --op_type WRITE \
    --total_buffer_size 1073741824 --num_iter 256 --warmup_iter 32 --large_blk_iter_ftr 16 \
    --start_block_size 65536 --max_block_size 67108864 2>&1)
  code=$?
  printf '%s\n' "$output" | grep -v -e '(--[a-z_]*=' -e '^I[0-9]' -e '^-*$'
  printf '%s\n' "$output" | grep -e '^I[0-9].*[0-9] rails' | tail -n 2
  return "$code"
}

# From libfabric 2.1 on the first fabric of the provider efa is efa-direct, whose messages end at the MTU
# (ofiwg/libfabric#10802); where fi_pingpong can name a fabric, it names the one that has no such limit.
fi_pingpong_end() { # OPTIONS...
  [ "$backend" != efa ] || ! fi_pingpong -h 2>&1 | grep -q -e '^ *-f ' || set -- -f efa "$@"
  timeout 90 fi_pingpong -p "$backend" -e rdm -I 1000 "$@"
}

# Two transfers at once would meet each other's ends, and count each other's bytes.
mkdir -p "$root/var/lib/nixl-efa"
exec 9>"$root/var/lib/nixl-efa/transfer.lock"
if ! flock -w "${NIXL_EFA_LOCK_SECONDS:-60}" 9; then
  section transfer sh -c 'echo "another verify measures on this node"; exit 75'
  exit 0
fi
log=$(mktemp)
trap 'rm -f "$log"' EXIT
section counters_before counters
# shellcheck disable=SC2086
case $tool-$role in
  nixl-*) section transfer nixl_end $peers ;;
  nixlbench-producer) section transfer nixlbench_end "$own" ;;
  nixlbench-consumer) section transfer again nixlbench_end "$peers" ;;
  fi_pingpong-consumer) section transfer fi_pingpong_end -B 18601 ;;
  fi_pingpong-producer) section transfer again fi_pingpong_end -P 18601 "$peers" ;;
  *) section transfer sh -c 'echo "transfer.sh: unknown tool or role" >&2; exit 64' ;;
esac
section counters_after counters
section log log_end
