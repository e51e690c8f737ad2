#!/bin/sh
# One end of a transfer from producer to consumer, between two readings of the EFA devices' hardware counters.
# Arguments: TOOL (nixlbench or fi_pingpong) ROLE (producer or consumer) PRODUCER_ADDRESS CONSUMER_ADDRESS
# BACKEND (of nixlbench LIBFABRIC or UCX, of fi_pingpong efa or tcp) SEGMENT (VRAM or DRAM). Sections as in
# node-facts.sh. Both ends are started at the same time by Run Command, seconds apart at worst: the end that connects
# tries again. nixlbench that works is run once more with small writes (section "small").
root=${NIXL_EFA_ROOT:-}
pause=${NIXL_EFA_RETRY_SECONDS:-2}
PATH=$PATH:$root/opt/amazon/efa/bin:$root/usr/local/nixlbench/bin:$root/opt/nixl-efa/bin
tool=$1 role=$2 producer=$3 consumer=$4 backend=$5 segment=$6
if [ -r "$root/etc/nixl-efa/env" ]; then
  set -a
  # shellcheck source=/dev/null
  . "$root/etc/nixl-efa/env"
  set +a
fi

section() { # NAME COMMAND...
  name=$1
  shift
  output=$("$@" 2>&1)
  code=$?
  printf '@@ begin %s\n%s\n@@ end %s %s\n' "$name" "$output" "$name" "$code"
}

# A line for each EFA device, and one for each IP interface, which EFA's traffic does not pass: TCP's does.
# rdma_write_bytes alone proves nothing: NIXL's writes may go out as sends (ai-dynamo/nixl#1656).
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
    [ "${interface##*/}" != lo ] && [ -d "$interface/statistics" ] || continue
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

# With the ASIO runtime the end that owns the address listens and is rank 0, the initiator; it writes, and it
# prints the figures (NIXL, benchmark/nixlbench/README.md).
nixlbench_end() { # SECONDS OPTIONS... ; at this log level NIXL names libfabric's provider (1.0 and later)
  seconds=$1
  shift
  NIXL_LOG_LEVEL=INFO timeout "$seconds" nixlbench --runtime_type ASIO --asio_address "$producer" --asio_port 12345 \
    --backend "$backend" --initiator_seg_type "$segment" --target_seg_type "$segment" --op_type WRITE \
    --total_buffer_size 1073741824 --num_iter 256 --warmup_iter 32 --large_blk_iter_ftr 16 "$@"
}

large_end() { nixlbench_end 150 --start_block_size 65536 --max_block_size 67108864; }

# Few small writes in one transfer, fewer and more than the 16 that NIXL posts at once: with several rails they may never
# be complete where large ones are (ai-dynamo/nixl#1862, #1921).
small_end() {
  nixlbench_end 60 --start_block_size 8192 --max_block_size 8192 --start_batch_size 10 --max_batch_size 80
}

# What is read of a tool's output: no list of its options, no word of NIXL's log but on rails, warnings and errors.
brief() { # COMMAND...
  output=$("$@" 2>&1)
  code=$?
  printf '%s\n' "$output" | grep -v -e '(--[a-z_]*=' -e '^I[0-9]' -e '^-*$'
  printf '%s\n' "$output" | grep -e '^I[0-9].*[0-9] rails' | tail -n 2
  return "$code"
}

fi_pingpong_end() { # [SERVER]
  timeout 90 fi_pingpong -p "$backend" -e rdm -I 1000 "$@"
}

section counters_before counters
case $tool-$role in
  nixlbench-producer) section transfer brief large_end ;;
  nixlbench-consumer) section transfer brief again large_end ;;
  fi_pingpong-consumer) section transfer fi_pingpong_end ;;
  fi_pingpong-producer) section transfer again fi_pingpong_end "$consumer" ;;
  *) section transfer sh -c 'echo "transfer.sh: unknown tool or role" >&2; exit 64' ;;
esac
worked=$code
section counters_after counters
case $tool-$role-$worked in
  nixlbench-producer-0) section small brief small_end ;;
  nixlbench-consumer-0) section small brief again small_end ;;
esac
