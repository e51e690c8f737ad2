"""What a rehearsal with real nodes makes of verify's answer: pure."""

from pathlib import Path
from typing import Any

import pytest

from local_aws.machines.failure import CannotBootError
from nixl_efa.failure import Failure
from nixl_efa.nodes.outputs import Node
from nixl_efa.nodes.run_command import Outcome
from nixl_efa.rehearse.real_nodes import Booted, booted_of, judge, tell_verified, why_none_boots

ALL = ["efa", "gpu", "memlock"]
NODE = Node("producer", "producer", "i-1", "10.0.0.1", "")


def booted(*failed: str) -> list[Booted]:
    return [Booted(NODE, 0.0, "status: done", failed, ())]


MOVED = (
    {"tool": "nixl", "rows": [], "error": "no EFA"},
    {"tool": "nixl", "rows": [{"gbps": 1.0}], "error": ""},
)


def report(
    *failed: tuple[str, str], of_the_pair: tuple[tuple[str, str], ...] = (), transfers: Any = MOVED
) -> dict[str, Any]:
    def findings(pairs: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
        return [{"level": "FAIL", "check": check, "message": message} for check, message in pairs]

    fine = {"level": "PASS", "check": "libfabric", "message": "2.5.1"}
    return {
        "nodes": [{"name": "producer", "findings": [fine, *findings(failed)]}],
        "findings": findings(of_the_pair),
        "transfers": transfers,
    }


@pytest.mark.parametrize(
    ("check", "lacking", "expected"),
    [
        ("EFA devices", ["efa"], True),
        ("EFA devices", ["gpu", "memlock"], False),
        ("accelerators", ["gpu"], True),
        ("accelerators", ["efa", "memlock"], False),
        ("memlock", ["memlock"], True),
        ("memlock", ["efa", "gpu"], False),
        ("pair.json", ALL, False),
        ("Run Command", ALL, False),
        ("libfabric", ALL, False),
    ],
)
def test_a_fail_is_expected_for_what_the_machines_lack_and_by_its_name(
    check: str, lacking: list[str], expected: bool
) -> None:
    seen = judge(report((check, "words")), booted(), lacking)
    assert bool(seen.expected) is expected
    assert bool(seen.unexpected) is not expected


def test_a_finding_of_the_pair_is_judged_too() -> None:
    seen = judge(report(of_the_pair=(("pair.json", "missing"),)), booted(), ALL)
    assert seen.unexpected == ("pair.json: missing",)


@pytest.mark.parametrize("check", ["boot report", "cloud-init"])
@pytest.mark.parametrize(
    ("failed", "expected"),
    [
        (("efa_devices", "memlock"), True),
        (("efa_devices", "libibverbs_preload"), False),
        # cloud-init has an error and the report has none: something else failed.
        ((), False),
    ],
)
def test_cloud_init_may_fail_by_a_boot_report_that_lacks_devices_and_by_nothing_else(
    check: str, failed: tuple[str, ...], expected: bool
) -> None:
    seen = judge(report((check, "words")), booted(*failed), ALL)
    assert bool(seen.expected) is expected


def test_nixl_that_is_not_installed_is_no_lack_of_a_device() -> None:
    seen = judge(report(("NIXL", "LIBFABRIC fails: No module named 'nixl'")), booted(), ALL)
    assert len(seen.unexpected) == 1
    assert judge(report(("NIXL", "NIXL_ERR_BACKEND")), booted(), ALL).unexpected == ()


def test_bytes_are_moved_without_efa_too_and_the_provider_is_told() -> None:
    failed = {
        "tool": "nixl",
        "backend": "LIBFABRIC",
        "segment": "DRAM",
        "provider": "",
        "rows": [],
        "error": "no EFA",
    }
    moved = {**failed, "provider": "tcp", "rows": [{"gbps": 8.94}, {"gbps": 1.0}], "error": ""}
    seen = report(of_the_pair=(("transfer", "failed"),))
    nothing = judge(seen | {"transfers": [failed]}, booted(), ALL)
    assert nothing.unexpected == ("transfer: nothing was moved between the nodes, not even over tcp",)
    both = seen | {"transfers": [failed, moved]}
    assert judge(both, booted(), ALL).unexpected == ()
    told: list[str] = []
    tell_verified(both, judge(both, booted(), ALL), told.append)
    assert "  transfer with nixl (LIBFABRIC, DRAM): no EFA" in told
    assert "  transfer with nixl (LIBFABRIC, DRAM, provider tcp): 2 sizes, up to 8.9 Gbit/s" in told


def test_what_fails_alike_on_both_nodes_is_told_once() -> None:
    both = report(("memlock", "8192 KiB."))
    both["nodes"].append({**both["nodes"][0], "name": "consumer"})
    seen = judge(both, booted(), ALL)
    assert seen.expected == ("memlock (producer and consumer): 8192 KiB. [no memlock here]",)


def test_where_no_machine_can_boot_one_line_says_why(tmp_path: Path) -> None:
    said: list[str] = []
    why = why_none_boots({"HOME": str(tmp_path), "PATH": str(tmp_path)}, said.append)
    assert (said, why.startswith("machines need ")) == ([], True)


def test_where_no_namespace_can_be_had_none_boots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_home: Path, _tree: Path) -> None:
        raise CannotBootError("machines can't run here: unshare: Operation not permitted")

    monkeypatch.setattr("nixl_efa.rehearse.real_nodes.prepare", lambda _environ, _tell: tmp_path)
    monkeypatch.setattr("nixl_efa.rehearse.real_nodes.Run", refuse)
    said: list[str] = []
    why = why_none_boots({"HOME": str(tmp_path)}, said.append)
    assert (said, why) == ([], "machines can't run here: unshare: Operation not permitted")


@pytest.mark.parametrize(
    ("printed", "words"),
    [
        ('status: error \n{"checks": []}\n', "wrote no result: its node says status: error"),
        ("", "wrote no result: its node says nothing"),
    ],
)
def test_a_node_whose_cloud_init_wrote_no_result_ends_the_rehearsal_in_a_sentence(
    printed: str, words: str
) -> None:
    with pytest.raises(Failure, match=words):
        booted_of(NODE, Outcome(printed))
