"""Facts in, findings out: what each difference from the plan means."""

from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.findings import Finding, Level
from nixl_efa.nodes.cloud_init import CloudInit
from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.pair_rules import agreement, versions
from nixl_efa.nodes.parse import UNKNOWN, Nixl
from nixl_efa.nodes.rules import node_findings

FAIL, WARN, SKIP, PASS = Level.FAIL, Level.WARN, Level.SKIP, Level.PASS


def by_check(facts: NodeFacts, plan: Planned) -> dict[str, Finding]:
    return {finding.check: finding for finding in node_findings(facts, plan)}


def test_a_node_as_planned_passes_everything(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    assert {finding.level for finding in node_findings(p5_facts, p5_plan)} == {PASS}


BROKEN_REPORT = {
    "ok": False,
    "checks": [{"check": "memlock", "ok": False, "planned": "unlimited", "seen": "64"}],
}


@pytest.mark.parametrize(
    ("changes", "check", "level", "words"),
    [
        (
            {"cloud_init": CloudInit("running"), "last_stage_ended": False},
            "cloud-init",
            FAIL,
            "not finished: running",
        ),
        ({"cloud_init": CloudInit("error", ("scripts_user",))}, "cloud-init", FAIL, "scripts_user"),
        ({"cloud_init": CloudInit()}, "cloud-init", FAIL, "says nothing"),
        ({"boot_report": None}, "boot report", FAIL, "there is none"),
        ({"boot_report": {"checks": 1}}, "boot report", FAIL, "it can't be read"),
        ({"boot_report": BROKEN_REPORT}, "boot report", FAIL, "memlock (planned unlimited, seen 64)"),
        ({"rdma_devices": {"rdmap0s0": "0x1d0f"}}, "EFA devices", FAIL, "1 of 32"),
        ({"domains": (), "fi_info_error": "fi_getinfo: -61"}, "fi_info", FAIL, "fi_getinfo: -61"),
        ({"domains": ()}, "fi_info", FAIL, "fall back to TCP without an error"),
        ({"efa_driver": ""}, "EFA driver", FAIL, "not loaded"),
        ({"libfabric": ""}, "libfabric", FAIL, "not installed"),
        ({"efa_installer": ""}, "libfabric", PASS, "2.1.0amzn3.0"),
        ({"accelerators": 7}, "accelerators", FAIL, "7 of 8."),
        ({"accelerators": 0}, "accelerators", FAIL, "0 of 8: the node has no nvidia-smi."),
        ({"memlock": "8192"}, "memlock", FAIL, "8192 KiB"),
        ({"memlock": ""}, "memlock", FAIL, "unknown"),
        ({"local_disks": ""}, "local disks", WARN, "30400 GB are not mounted"),
        ({"disk_used": 95}, "root volume", WARN, "95 % of / is used"),
        ({"disk_used": 100}, "root volume", FAIL, "100 % of / is used"),
        ({"nixl": Nixl("", "LIBFABRIC", "", "no libhwloc.so.15")}, "NIXL", FAIL, "no libhwloc.so.15"),
        ({"nixl": Nixl("1.5.1", "UCX", "ucx", "")}, "NIXL", FAIL, "the node uses UCX"),
        ({"nixl": Nixl("1.5.0", "LIBFABRIC", "tcp", "")}, "NIXL", FAIL, "uses tcp, not EFA"),
        (
            {"nixl": Nixl("1.5.0", "LIBFABRIC", UNKNOWN, "")},
            "NIXL",
            WARN,
            "does not say which provider it uses",
        ),
    ],
)
def test_each_difference_is_one_finding(
    changes: dict[str, Any], check: str, level: Level, words: str, p5_facts: NodeFacts, p5_plan: Planned
) -> None:
    found = by_check(replace(p5_facts, **changes), p5_plan)
    assert (found[check].level, words in found[check].message) == (level, True), found[check].message
    assert found[check].remedy or level is PASS
    assert all(one.level is PASS for name, one in found.items() if name != check)


def test_a_node_is_replaced_for_its_devices_only_when_their_driver_runs(
    p5_facts: NodeFacts, p5_plan: Planned
) -> None:
    """A node of a block is paid for, and its slot is away for minutes."""
    for driver, words in (("2.17.2g", "replace the node"), ("", "see the row EFA driver")):
        found = by_check(replace(p5_facts, rdma_devices={}, efa_driver=driver), p5_plan)["EFA devices"]
        assert (found.level, words in found.remedy) == (FAIL, True)


def test_a_first_boot_that_the_boot_report_failed_points_to_it(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    runcmd = CloudInit(
        "error", ("('scripts_user', RuntimeError('Runparts: 1 failures (runcmd) in 1 attempted'))",)
    )
    for report, words in ((BROKEN_REPORT, "boot report"), (None, "cloud-init-output.log")):
        found = by_check(replace(p5_facts, cloud_init=runcmd, boot_report=report), p5_plan)["cloud-init"]
        assert (found.level, words in found.remedy) == (FAIL, True)
    # Mended since, and looked at again; cloud-init says the same until the next boot.
    found = by_check(replace(p5_facts, cloud_init=runcmd), p5_plan)["cloud-init"]
    assert found == Finding(
        PASS, "cloud-init", "ended; it failed because of the boot report, which is in order now"
    )
    others = CloudInit(
        "error", ("('scripts_user', RuntimeError('Runparts: 2 failures (part-001, runcmd)'))",)
    )
    assert by_check(replace(p5_facts, cloud_init=others), p5_plan)["cloud-init"].level is FAIL


def test_the_boot_report_tells_what_nixls_installation_took(p5_facts: NodeFacts, p5_plan: Planned) -> None:
    noted = "version:1.5.0 package:nixl-cu13 bytes:151000000 seconds:34 error:"
    for install, message in (
        (noted, "as planned over EFA; NIXL installed in 34 s, 151 MB"),
        ("", "as planned over EFA"),
        (None, "as planned over EFA"),
    ):
        report = {"ok": True, "transport": "EFA", "install": install, "checks": []}
        found = by_check(replace(p5_facts, boot_report=report), p5_plan)["boot report"]
        assert (found.level, found.message) == (PASS, message)


@pytest.mark.parametrize(
    ("changes", "plan", "check", "level"),
    [
        ({"efa_driver": ""}, {"efa_interfaces": 0}, "EFA driver", PASS),
        ({"libfabric": ""}, {"efa_interfaces": 0}, "libfabric", PASS),
        ({"rdma_devices": {}, "domains": ()}, {"efa_interfaces": 0}, "EFA devices", PASS),
        ({"rdma_devices": {}, "domains": ()}, {"efa_interfaces": 0}, "fi_info", PASS),
        ({"nixl": Nixl("1.5.1", "UCX", "ucx", "")}, {"efa_interfaces": 0}, "NIXL", PASS),
        (
            {"nixl": Nixl("1.5.1", "LIBFABRIC", "efa", "")},
            {"nixl_version": "1.5.0", "nixl_pinned": True},
            "NIXL",
            WARN,
        ),
        # What a node chose by its libfabric.
        ({"nixl": Nixl("1.5.1", "LIBFABRIC", "efa", "")}, {"nixl_version": "1.5.0"}, "NIXL", PASS),
        ({"nixl": Nixl("2.0.0", "LIBFABRIC", "efa", "")}, {"nixl_version": ""}, "NIXL", PASS),
        ({"nixl": Nixl("simulated", "LIBFABRIC", "efa", "")}, {}, "NIXL", PASS),
        ({}, {"efa_interfaces": 0}, "EFA devices", FAIL),
        ({"accelerators": 0}, {"accelerator_kind": "habana"}, "accelerators", SKIP),
        ({"local_disks": ""}, {"instance_storage_gb": 0}, "local disks", PASS),
        ({"disk_used": 94}, {}, "root volume", PASS),
        ({"disk_used": None}, {}, "root volume", SKIP),
        ({"nixl": Nixl("", "", "", "not found")}, {"nixl_version": ""}, "NIXL", SKIP),
        # A Neuron node has a stub of libcuda.so.1: a plugin that does not load is a fault there, too.
        ({"nixl": Nixl("", "LIBFABRIC", "", "libcuda.so.1")}, {"accelerator_kind": "neuron"}, "NIXL", FAIL),
        # g6e has no GPUDirect: what an earlier version wrote into its environment does not work.
        ({"nixl": Nixl("1.5.1", "LIBFABRIC", "efa", "")}, {"instance_type": "g6e.12xlarge"}, "NIXL", FAIL),
        ({"nixl": Nixl("1.5.1", "UCX", "ucx", "")}, {"instance_type": "g6e.12xlarge"}, "NIXL", PASS),
    ],
)
def test_what_was_not_planned_is_not_missed(
    changes: dict[str, Any],
    plan: dict[str, Any],
    check: str,
    level: Level,
    p5_facts: NodeFacts,
    p5_plan: Planned,
) -> None:
    assert by_check(replace(p5_facts, **changes), replace(p5_plan, **plan))[check].level is level


def both(facts: NodeFacts, **consumer: Any) -> dict[str, NodeFacts]:
    document = {**(facts.pair or {}), "node": "consumer", "role": "consumer", **consumer}
    return {"producer": facts, "consumer": replace(facts, pair=document)}


BOTH = [{"name": "producer", "address": "10.0.0.11"}, {"name": "consumer", "address": "10.0.0.12"}]


def test_nodes_that_know_each_other_agree(pair: PairOutputs, p5_facts: NodeFacts) -> None:
    assert agreement(pair, both(p5_facts)).level is PASS
    other_type = {"instance_type": "p5en.48xlarge", "efa_interfaces": 16}
    assert agreement(pair, both(p5_facts, **other_type)).level is PASS


@pytest.mark.parametrize(
    ("consumer", "words"),
    [
        ({"service_ports": [9000]}, "the nodes differ in service_ports"),
        (
            {"nodes": [{"name": "producer", "address": "10.0.0.99"}]},
            "not as the outputs, on consumer: without consumer; producer at 10.0.0.99, not 10.0.0.11.",
        ),
        (
            {"nodes": [*BOTH, {"name": "consumer-2", "address": "10.0.0.13"}]},
            "not as the outputs, on consumer: with consumer-2, gone.",
        ),
        ({"nodes": 7}, "not as the outputs, on consumer: without producer, consumer."),
        ({"node": "producer"}, "on the consumer says that it is the producer"),
    ],
)
def test_nodes_that_contradict_each_other_fail(
    consumer: dict[str, Any], words: str, pair: PairOutputs, p5_facts: NodeFacts
) -> None:
    found = agreement(pair, both(p5_facts, **consumer))
    assert (found.level, words in found.message) == (FAIL, True), found.message


def test_nodes_that_agree_on_another_address_than_the_outputs_fail(
    pair: PairOutputs, p5_facts: NodeFacts
) -> None:
    moved = replace(pair, nodes=(pair.nodes[0], replace(pair.nodes[1], private_ip="10.0.0.77")))
    found = agreement(moved, both(p5_facts))
    assert found.level is FAIL
    assert found.message == (
        "not as the outputs, on producer, consumer: consumer at 10.0.0.12, not 10.0.0.77."
    )
    assert "nixl-efa nodes sync prod" in found.remedy


def test_a_pair_json_that_can_not_be_read_knows_nobody(pair: PairOutputs, p5_facts: NodeFacts) -> None:
    odd = replace(p5_facts, pair={"node": "producer", "nodes": [7]})
    found = agreement(pair, both(odd, nodes=[7]))
    assert "on producer, consumer: without producer, consumer" in found.message


def test_a_missing_pair_json_names_the_node(pair: PairOutputs, p5_facts: NodeFacts) -> None:
    facts = {"producer": p5_facts, "consumer": replace(p5_facts, pair=None)}
    assert agreement(pair, facts).message == "missing on consumer."


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"libfabric": "1.22.0amzn5.0"}, "libfabric 2.1.0amzn3.0 (producer) and 1.22.0amzn5.0 (consumer)"),
        ({"efa_driver": ""}, "EFA driver 2.17.2g (producer) and none (consumer)"),
        ({"accelerator_driver": "575.51.03"}, "accelerator driver"),
        ({"nixl": Nixl("1.4.0", "LIBFABRIC", "efa", "")}, "NIXL 1.5.0 (producer) and 1.4.0 (consumer)"),
    ],
)
def test_different_versions_are_a_warning(
    changes: dict[str, Any], words: str, pair: PairOutputs, p5_facts: NodeFacts
) -> None:
    found = versions(pair, {"producer": p5_facts, "consumer": replace(p5_facts, **changes)})
    assert (found.level, words in found.message) == (WARN, True)
    assert versions(pair, {"producer": p5_facts, "consumer": p5_facts}).level is PASS
