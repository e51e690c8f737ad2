#!/bin/sh
# One end of a transfer from producer to consumer, between two readings of the EFA devices' hardware counters.
# Arguments: TOOL (nixlbench or fi_pingpong) ROLE (producer or consumer) PRODUCER_ADDRESS CONSUMER_ADDRESS
# BACKEND (of nixlbench LIBFABRIC or UCX, of fi_pingpong efa or tcp) SEGMENT (VRAM or DRAM). Sections as in
# node-facts.sh. Both ends are started at the same time by Run Command, seconds apart at worst: the end that connects
# tries again.
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
    [ -d "$device/ports/1/hw_counters" ] || continue
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
nixlbench_end() {
  timeout 150 nixlbench --runtime_type ASIO --asio_address "$producer" --asio_port 12345 --backend "$backend" \
    --initiator_seg_type "$segment" --target_seg_type "$segment" --op_type WRITE --total_buffer_size 1073741824 \
    --start_block_size 65536 --max_block_size 67108864 --num_iter 256 --warmup_iter 32 --large_blk_iter_ftr 16
}

fi_pingpong_end() { # [SERVER]
  timeout 90 fi_pingpong -p "$backend" -e rdm -I 1000 "$@"
}

section counters_before counters
case $tool-$role in
  nixlbench-producer) section transfer nixlbench_end ;;
  nixlbench-consumer) section transfer again nixlbench_end ;;
  fi_pingpong-consumer) section transfer fi_pingpong_end ;;
  fi_pingpong-producer) section transfer again fi_pingpong_end "$consumer" ;;
  *) section transfer sh -c 'echo "transfer.sh: unknown tool or role" >&2; exit 64' ;;
esac
section counters_after counters
