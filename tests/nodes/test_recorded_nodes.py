"""What real tools printed on real machines (tests/recorded), from the node's sections to the finding."""

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap import Bootstrap
from nixl_efa.bootstrap.files import env_file
from nixl_efa.findings import Level
from nixl_efa.nodes import counters, parse, run_command
from nixl_efa.nodes.facts import Planned, node_facts
from nixl_efa.nodes.sections import Section, script
from tests.nodes.looked_at import assert_told, looked_at
from tests.nodes.stand_in import ADDRESSES, FakeClock
from tests.records import answer, names
from tests.told_at_boot import P5

FAIL, WARN, PASS = Level.FAIL, Level.WARN, Level.PASS


def test_an_invocation_is_read_as_aws_gives_it() -> None:
    recorded = answer("run_command/invocation-success")

    class Ssm:
        """Systems Manager that answers as recorded."""

        def send_command(self, **_: Any) -> dict[str, Any]:
            return {"Command": {"CommandId": recorded["CommandId"]}}

        def get_command_invocation(self, **_: Any) -> Any:
            return recorded

    clock: Any = FakeClock()
    ssm: Any = Ssm()
    outcomes = run_command.run(ssm, {recorded["InstanceId"]: run_command.Script("true")}, clock, 60, "")
    outcome = outcomes[recorded["InstanceId"]]
    assert (outcome.stdout, outcome.problem) == (recorded["StandardOutputContent"], "")


def devices(efa: list[str], others: list[str]) -> str:
    """What node-facts.sh prints of these devices."""
    vendor = answer("rdma/ibv-devinfo-efa0").split("vendor_id:")[1].split()[0]
    return "".join(f"{name} {vendor}\n" for name in efa) + "".join(f"{name} 0x15b3\n" for name in others)


def test_a_p6_b200_has_ten_rdma_devices_and_eight_of_efa(p5_plan: Planned) -> None:
    seen = answer("rdma/p6-b200-ten-devices")
    efa = [f"rdmap{index}s0" for index in range(79, 79 + seen["efa"])]
    assert set(seen["efa_names_seen"]) < set(efa)
    printed = devices(efa, seen["nvlink_controllers"])
    assert len(printed.splitlines()) == seen["total"]
    plan = replace(p5_plan, efa_interfaces=8)
    found = looked_at(plan, {"efa_devices": printed})["EFA devices"]
    assert_told(found, PASS, "8 of 8; no EFA: ibp115s0f0, ibp116s0f0")
    # One EFA device less is not hidden by them.
    found = looked_at(plan, {"efa_devices": devices(efa[1:], seen["nvlink_controllers"])})["EFA devices"]
    assert_told(found, FAIL, "7 of 8; no EFA: ibp115s0f0, ibp116s0f0.")
    # Where their driver is not loaded they are not there, and nothing else changes.
    assert answer("rdma/p6-b200-without-ib-modules")["output"] == ""
    assert_told(looked_at(plan, {"efa_devices": devices(efa, [])})["EFA devices"], PASS, "8 of 8")


def test_a_device_is_an_efa_by_its_vendor_alone(p5_plan: Planned) -> None:
    names = answer("rdma/sysfs-names-p5")
    plan = replace(p5_plan, efa_interfaces=24)
    assert_told(looked_at(plan, {"efa_devices": devices(names, [])})["EFA devices"], PASS, "24 of 24")
    assert answer("rdma/not-every-device-is-efa")["efa_means"]["vendor_id"] == parse.EFA_VENDOR
    assert parse.rdma_devices("rdmap0s0 unknown\nls: cannot access") == {"rdmap0s0": "unknown"}


def test_the_counters_that_are_read_are_those_of_aws_page() -> None:
    assert set(counters.SENT + counters.RECEIVED) <= set(answer("rdma/metrics-of-the-user-guide")["counters"])


def test_a_small_transfer_is_seen_though_rdma_write_bytes_stand_still() -> None:
    seen = answer("rdma/nixl-traffic-not-in-write-bytes")
    before, after = (
        {seen["device"]: {name: seen[name][when] for name in ("tx_bytes", "rdma_write_bytes")}}
        for when in ("before", "after")
    )
    assert counters.moved(before, after).sent_bytes == 544_004
    # The card's bytes hold those that RDMA wrote: counted once.
    nothing = {seen["device"]: dict.fromkeys(("tx_bytes", "rdma_write_bytes"), 0)}
    assert counters.moved(nothing, after).sent_bytes == seen["tx_bytes"]["after"]


@pytest.mark.parametrize(
    ("name", "domains", "version"),
    [
        ("fi_info/libfabric-2.1-one-device", ("rdmap49s0-rdm",), "2.1"),
        ("fi_info/libfabric-2.1-rdm-alone", ("rdmap47s0-rdm",), "2.1"),
        ("fi_info/p4d-two-devices", ("rdmap16s27-rdm", "rdmap32s27-rdm"), "1.11"),
        # The provider's own version tells nothing, and what is layered over efa is no device.
        ("fi_info/libfabric-1.9-with-a-layered-provider", ("efa_0-rdm",), ""),
        ("fi_info/tcp", (), ""),
    ],
)
def test_a_device_counts_once_and_tells_libfabrics_version(
    name: str, domains: tuple[str, ...], version: str
) -> None:
    facts = node_facts({"fi_info": Section(answer(name), 0)})
    assert (facts.domains, facts.libfabric) == (domains, version)


def test_the_installers_version_stands_in_the_first_line(p5_plan: Planned) -> None:
    printed = {
        "libfabric": answer("fi_info/version"),
        "efa_installer": answer("fi_info/installed-packages-file"),
    }
    found = looked_at(p5_plan, {**printed})["libfabric"]
    assert_told(found, PASS, "1.22.0amzn5.0, EFA installer 1.5.1")


def test_no_data_of_fi_info_is_told(p5_plan: Planned) -> None:
    found = looked_at(p5_plan, {"fi_info": ("fi_getinfo: -61 (No data available)", 61)})["fi_info"]
    assert_told(found, FAIL, "0 of 32 domains (fi_getinfo: -61 (No data available))")


def test_why_an_earlier_versions_probe_found_no_plugin_is_taken_from_nixls_log(p5_plan: Planned) -> None:
    failed = "I1126 05:00:00.000001 7 nixl_plugin_manager.cpp:1] Failed to load plugin from /p/libplugin"
    said = "libhwloc.so.15: cannot open shared object file: No such file or directory"
    log = f"{failed}_GDS.so: libcufile\n{failed}_LIBFABRIC.so: {said}\nnixl 1.5.1 LIBFABRIC missing\n"
    found = looked_at(p5_plan, {"nixl": log})["NIXL"]
    assert_told(found, FAIL, f"1.5.1 makes no LIBFABRIC: {said}")


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (
            "not finished, tried for 290 s more: apt_install libhwloc15",
            "if the node was rebooted meanwhile, run",
        ),
        ("given up: /opt/nixl-efa/venv/bin/python -m pip install -q nixl==1.5.0", "is there room?"),
        ("failed: python3 -m venv", "is there room?"),
    ],
)
def test_an_installation_that_did_not_end_is_to_be_made_again(
    told: str, words: str, p5_plan: Planned
) -> None:
    found = looked_at(p5_plan, {"nixl": f"nixl LIBFABRIC failed: {told}\n"})["NIXL"]
    assert (found.level, words in found.remedy, "/opt/nixl-efa/bin/install-nixl" in found.remedy) == (
        FAIL,
        True,
        True,
    )


SECTIONS = re.findall(r"^section (\w+) ", script("node-facts.sh"), re.MULTILINE)
TEXTS = [said for name in names() if isinstance(said := answer(name), str)]


@pytest.mark.parametrize("section", SECTIONS)
def test_no_output_of_any_tool_breaks_the_look_at_a_node(section: str, p5_plan: Planned) -> None:
    """Each in the place of another's, which changes what is said of its own subjects alone."""
    nothing = looked_at(p5_plan, {})
    for said in ("", "\n\n", "{}", "[]", "null", '"x"', "[1, null]", '{"checks": 1}', *TEXTS):
        for code in (0, 1):
            found = looked_at(p5_plan, {section: (said, code)})
            # fi_info's list tells libfabric's version, too.
            assert len([name for name, one in found.items() if one != nothing[name]]) <= 2
            assert counters.moved(counters.counters(said), counters.counters(said)).sent_bytes == 0


def env(boot: Bootstrap) -> dict[str, Any]:
    lines = (line.partition("=") for line in env_file(boot).splitlines())
    return {name: value.strip("'") for name, _, value in lines}


def test_a_node_tells_vllm_the_backend_its_own_address_and_port() -> None:
    """verify reads no log of vLLM, whose "Backend UCX was instantiated" is what it says without the extra config, and
    whose decode asks the prefill's private address and port."""
    (line,) = [one for one in answer("vllm/engine-start-ucx") if "was instantiated" in one]
    told = env(P5)
    assert line.endswith("Backend UCX was instantiated")
    config = json.loads(told["PAIR_KV_TRANSFER_CONFIG"])
    assert config["kv_connector_extra_config"]["backends"] == ["LIBFABRIC"]
    assert told["VLLM_NIXL_SIDE_CHANNEL_HOST"] == ADDRESSES["producer"]
    assert f"'remote_port': {told['VLLM_NIXL_SIDE_CHANNEL_PORT']}," in answer("vllm/decode-params")
