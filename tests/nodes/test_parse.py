"""Recorded outputs of the real tools, read into values."""

import json
from dataclasses import replace

import pytest

from nixl_efa.nodes import bench, parse
from nixl_efa.nodes.counters import Moved, counters, moved
from nixl_efa.nodes.sections import IncompleteOutputError, Section, sections
from tests.records import answer


def rounded(row: bench.Row) -> bench.Row:
    return replace(row, gbps=round(row.gbps, 6))


@pytest.mark.parametrize(
    ("name", "domains"),
    [
        ("fi_info/p4d-two-devices", ("rdmap16s27-rdm", "rdmap32s27-rdm")),
        ("fi_info/libfabric-2.1-rdm-alone", ("rdmap47s0-rdm",)),
        ("fi_info/tcp", ()),
    ],
)
def test_each_efa_domain_counts_once_and_other_providers_not_at_all(
    name: str, domains: tuple[str, ...]
) -> None:
    assert parse.fabric_domains(answer(name)) == domains


def test_versions_are_found() -> None:
    assert parse.libfabric_version(answer("fi_info/version")) == "1.22.0amzn5.0"
    assert parse.libfabric_version("sh: fi_info: not found") == ""
    assert (
        parse.installer_version("# EFA installer version: 1.47.0\n# Debug packages installed: no") == "1.47.0"
    )
    assert parse.installer_version("") == ""


def test_nvidia_smi_gives_a_gpu_a_line() -> None:
    assert parse.gpus(answer("nvidia/l40s-csv")) == (
        parse.Gpu(0, "NVIDIA L40S", "575.51.03", 46068),
        parse.Gpu(1, "NVIDIA L40S", "575.51.03", 46068),
    )
    assert parse.gpus("NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver.") == ()


@pytest.mark.parametrize(
    ("text", "count"),
    [
        (json.dumps(answer("neuron/trn1.2xlarge")), 1),
        ("[]", 0),
        (answer("neuron/table-with-a-warning"), None),
        ('a notice [sic]\n\n[{"neuron_device": 0}, {"neuron_device": 1}]\nanother', 2),
        ('[{"neuron_device": 0}', None),
        ("neuron-ls: no neuron device found", None),
        ("7", None),
    ],
)
def test_neuron_ls_gives_the_number_of_devices(text: str, count: int | None) -> None:
    assert parse.neuron_devices(text) == count


def test_a_mount_is_found_by_its_path_alone() -> None:
    assert (
        parse.mount_source(answer("mounts/deep-learning-image"), "/opt/dlami/nvme")
        == "/dev/mapper/vg.01-lv_ephemeral"
    )
    assert parse.mount_source(answer("mounts/deep-learning-image"), "/opt/dlami") == ""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I1 log\nnixl 1.5.0 LIBFABRIC provider=efa\n", parse.Nixl("1.5.0", "LIBFABRIC", "efa", "")),
        ("nixl 1.5.0 UCX provider=ucx", parse.Nixl("1.5.0", "UCX", "ucx", "")),
        ("nixl 1.5.0 UCX failed: no ep", parse.Nixl("1.5.0", "UCX", "", "no ep")),
        # The probe of an earlier version.
        ("nixl 1.5.1 LIBFABRIC loaded\n", parse.Nixl("1.5.1", "LIBFABRIC", parse.UNKNOWN, "")),
        (
            "nixl 1.5.1 LIBFABRIC missing",
            parse.Nixl("1.5.1", "LIBFABRIC", "", "NIXL has no plugin LIBFABRIC"),
        ),
        ("nixl UCX failed: no libcuda.so.1", parse.Nixl("", "UCX", "", "no libcuda.so.1")),
        ("sh: 1: /opt/x: not found", parse.Nixl("", "", "", "sh: 1: /opt/x: not found")),
        ("", parse.Nixl("", "", "", "nixl-probe said nothing")),
    ],
)
def test_the_probes_line_is_read_among_other_lines(text: str, expected: parse.Nixl) -> None:
    assert parse.nixl(text) == expected


def test_fi_pingpongs_rows_give_gbps_latency_and_the_bytes_of_one_direction() -> None:
    rows = bench.fi_pingpong(answer("fi_pingpong/one-instance"))
    assert [row.size_bytes for row in rows] == [64, 256, 1024, 4096, 65536, 1048576]
    assert rounded(rows[-1]) == bench.Row(1048576, 123.18072, 68.10, 10 * 1048576)
    (one,) = bench.fi_pingpong("1m  1k  =1k  1.9g  0.28s  7481.00  140.17  0.01")
    assert rounded(one) == bench.Row(1048576, 59.848, 140.17, 1000 * 1048576)
    assert bench.fi_pingpong("[error] fi_pingpong: connect(): Connection refused") == ()


def test_nixlbenchs_rows_are_read_by_their_headings_in_new_and_old_versions() -> None:
    new = bench.nixlbench(answer("nixlbench/1.1-three-rows"))
    assert [row.size_bytes for row in new] == [65536, 1048576, 67108864]
    assert rounded(new[1]) == bench.Row(1048576, 193.991856, 43.2, 16 * 1048576)
    old = bench.nixlbench(answer("nixlbench/before-1.0"))
    assert rounded(old[1]) == bench.Row(67108864, 196.6264, 2730.41, 16 * 67108864)
    assert bench.nixlbench("terminate called: ASIO Connection timeout") == ()


def test_nixlbenchs_columns_may_be_more_than_those_known_here() -> None:
    head = "Block Size (B)      Batch Size     Aggregate B/W (GB/Sec)  B/W (GB/Sec)   New Thing (x/y)  Avg Lat. (us)"
    (row,) = bench.nixlbench(f"{head}\n{'-' * 80}\n65536  2  14.0  7.0  1  9.3\n")
    assert rounded(row) == bench.Row(65536, 56.0, 9.3, 65536 * 2 * 16)
    # Without the rate or the latency there is nothing to say.
    assert bench.nixlbench("Block Size (B)      Batch Size     Speed (knots)\n65536  1  7\n") == ()


def test_counters_differ_by_device_and_direction() -> None:
    before = counters(
        "rdmap0s0 tx_bytes=10 rx_bytes=5 rdma_write_bytes=1\nrdmap1s0 tx_bytes=7\nnet/ens5 tx_bytes=1\n"
    )
    after = counters(
        "rdmap0s0 tx_bytes=110 rx_bytes=6 rdma_write_bytes=51\nrdmap1s0 tx_bytes=7\nnet/ens5 tx_bytes=4\n"
    )
    assert moved(before, after) == Moved(sent_bytes=100, received_bytes=1, devices=1, ip_bytes=3)


def test_what_rdma_moves_is_counted_once() -> None:
    """Of a real device rx_bytes are its rdma_read_bytes and its recv_bytes together."""
    read, received = 987_654_321, 12_345
    before = counters("rdmap0s0 rx_bytes=0 rdma_read_bytes=0 rdma_write_recv_bytes=0")
    after = counters(f"rdmap0s0 rx_bytes={read + received} rdma_read_bytes={read} rdma_write_recv_bytes=0")
    assert moved(before, after) == Moved(0, read + received, devices=1, ip_bytes=0)


def test_a_card_that_carries_nixls_own_messages_alone_is_not_in_use() -> None:
    names = [f"rdmap{card}s0" for card in range(4)]
    before = counters("\n".join(f"{name} tx_bytes=0" for name in names))
    after = counters(
        "\n".join(f"{name} tx_bytes={size}" for name, size in zip(names, (100, 1, 99, 0), strict=True))
    )
    assert moved(before, after).devices == 3
    after = counters(
        "\n".join(f"{name} tx_bytes={size}" for name, size in zip(names, (1000, 1, 900, 0), strict=True))
    )
    assert moved(before, after).devices == 2


def test_a_device_that_appears_or_is_reset_in_between_counts_nothing() -> None:
    before = counters("rdmap0s0 tx_bytes=500")
    after = counters("rdmap0s0 tx_bytes=3\nrdmap1s0 tx_bytes=999")
    assert moved(before, after) == Moved(0, 0, 0, 0)


def test_sections_keep_text_and_exit_code_and_leave_out_what_stands_between() -> None:
    read = sections("noise\n@@ begin a\none\n\ntwo\n@@ end a 0\n@@ begin b\nsh: not found\n\n@@ end b 127\n")
    assert read == {"a": Section("one\n\ntwo", 0), "b": Section("sh: not found\n", 127)}
    assert read["b"].last_line == "sh: not found"


@pytest.mark.parametrize(
    "printed", ["", "@@ begin fi_info\nprovider: efa", "@@ begin fi_info\nx\n@@ end fi_info 0"]
)
def test_an_output_that_the_agent_cut_is_not_read_as_a_whole(printed: str) -> None:
    for cut in (answer("run_command/agent-truncation-marks")[name] for name in ("long_stdout", "both")):
        with pytest.raises(IncompleteOutputError):
            sections(f"{printed}\n{cut}")


def test_an_output_that_ends_within_a_section_is_not_read_as_a_whole() -> None:
    with pytest.raises(IncompleteOutputError, match="fi_info"):
        sections("@@ begin fi_info\nprovider: efa\n")
