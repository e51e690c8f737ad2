"""Which nodes share a network node: what is asked of EC2, what its answers mean, and that none of them is needed."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from local_aws import LocalAws
from nixl_efa.aws_errors import ANSWERED_BY
from nixl_efa.cli import nodes_view
from nixl_efa.findings import Finding, Level
from nixl_efa.launch import launch_of
from nixl_efa.nodes import topology, transfer_rules
from nixl_efa.nodes import verify as look
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.transfer import DRAM, NIXL, Attempt, Link, Result
from nixl_efa.settings import Settings
from tests.nodes.local_pair import REGION, Project, Run
from tests.nodes.stand_in import CONSUMER_ID, PRODUCER_ID, FakeClock, FakeEc2, instance
from tests.nodes.test_many_nodes import LINKS, MANY, NODES
from tests.nodes.test_verify import result

PASS, SKIP = Level.PASS, Level.SKIP
NEAR, BESIDE, FAR, OTHER = (tuple(f"nn-{one}" for one in names) for names in ("abc", "abd", "aef", "xyz"))


@pytest.mark.parametrize(
    ("several", "words"),
    [
        ((NEAR, NEAR), "share the lowest network node"),
        ((NEAR, BESIDE), "share the upper 2 of 3 network nodes"),
        ((NEAR, FAR), "share only the top one of 3 network nodes"),
        ((NEAR, OTHER), "share no network node"),
        ((NEAR, NEAR, FAR), "share only the top one of 3 network nodes"),
        # A type with four layers beside one with three.
        ((NEAR, (*NEAR, "nn-q")), "share the upper 3 of 4 network nodes"),
        # The same id in another layer is another place.
        ((NEAR, ("nn-b", "nn-a", "nn-c")), "share no network node"),
        ((NEAR, ()), ""),
    ],
)
def test_how_near_instances_are_follows_from_what_they_share_from_the_top(
    several: tuple[topology.NetworkNodes, ...], words: str
) -> None:
    assert topology.how_near(several) == words


@pytest.mark.parametrize(
    ("told", "level", "message"),
    [
        ({"producer": NEAR, "consumer": NEAR}, PASS, "both nodes share the lowest network node."),
        ({"producer": NEAR, "consumer": FAR}, PASS, "both nodes share only the top one of 3 network nodes."),
        (
            {
                "producer": NEAR,
                "producer-2": FAR,
                "consumer": NEAR,
                "consumer-2": BESIDE,
                "consumer-3": BESIDE,
            },
            PASS,
            "the lowest is shared by producer, consumer; by consumer-2, consumer-3. Alone at their lowest "
            "one: producer-2. "
            "Together they share only the top one of 3 network nodes.",
        ),
        (
            {"producer": NEAR, "consumer": NEAR, "consumer-2": ()},
            PASS,
            "2 nodes share the lowest network node. EC2 gives none of consumer-2.",
        ),
        ({"producer": NEAR, "consumer": ()}, PASS, "known only for producer. EC2 gives none of consumer."),
        ({"producer": (), "consumer": ()}, SKIP, "EC2 gives no topology of g5.12xlarge."),
    ],
)
def test_the_nodes_that_share_the_lowest_network_node_are_named(
    told: Mapping[str, topology.NetworkNodes], level: Level, message: str
) -> None:
    found = topology.finding(told, ["g5.12xlarge"] * len(told))
    assert (found.level, found.message) == (level, message)


def refused(code: str, message: str = "No.") -> ClientError:
    answer: Any = {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {ANSWERED_BY: "ec2"}}
    return ClientError(answer, "DescribeInstanceTopology")


class NoTopology(FakeEc2):
    """EC2 that answers everything else."""

    answer: Any = None

    def describe_instance_topology(self, *, InstanceIds: list[str]) -> dict[str, Any]:  # noqa: N803
        if isinstance(self.answer, Exception):
            raise self.answer
        found: dict[str, Any] = self.answer
        return found


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (refused("UnauthorizedOperation"), "no permission to look: ec2:DescribeInstanceTopology."),
        (refused("UnsupportedOperation"), "EC2 gives no topology in us-east-1."),
        (
            refused("InvalidInstanceID.NotFound", "It is gone"),
            "EC2 gives no topology: DescribeInstanceTopology was",
        ),
        (ReadTimeoutError(endpoint_url="https://ec2"), "EC2 gives no topology: Read timeout on endpoint URL"),
        ({"Instances": []}, "EC2 gives no topology of p5.48xlarge."),
        (
            {"Instances": [{"InstanceId": PRODUCER_ID, "NetworkNodes": None}]},
            "EC2 gives no topology of p5.48xlarge.",
        ),
        ({}, "EC2 gives no topology: AWS's answer has no Instances"),
    ],
)
def test_status_goes_on_whatever_ec2_answers(
    answer: Any, message: str, pair: PairOutputs, clock: FakeClock
) -> None:
    ec2: Any = NoTopology([instance(PRODUCER_ID, "10.0.0.11"), instance(CONSUMER_ID, "10.0.0.12")])
    ec2.answer = answer
    report = look.status(ec2, None, pair, launch(), clock)  # type: ignore[arg-type]
    (found,) = (one for one in report.findings if one.check == topology.CHECK)
    assert (found.level, found.message[: len(message)]) == (SKIP, message)
    assert [one.network_nodes for one in report.nodes] == [(), ()]


def launch() -> Any:
    return launch_of(Settings(name="prod", instance_type="p5.48xlarge", region="us-east-1"))


def test_only_nodes_that_run_are_asked_for_and_nobody_where_one_alone_runs(
    pair: PairOutputs, clock: FakeClock
) -> None:
    ec2: Any = NoTopology([instance(PRODUCER_ID, "10.0.0.11"), instance(CONSUMER_ID, "10.0.0.12", "stopped")])
    ec2.answer = AssertionError("nothing is to be asked")
    report = look.status(ec2, None, pair, launch(), clock)  # type: ignore[arg-type]
    assert topology.CHECK not in {one.check for one in report.findings}


def test_a_slow_link_is_told_with_how_far_apart_its_nodes_are(p5_plan: Planned) -> None:
    near: dict[str, topology.NetworkNodes] = dict.fromkeys(NODES, NEAR) | {"consumer-2": FAR}
    found = rates({"producer -> consumer-2": 93.0}, p5_plan, near)
    assert found.message == (
        "1 of 8 links of NIXL (LIBFABRIC, DRAM): producer -> consumer-2: 93.0 Gbps, where half of the links have "
        "372.0 or more. They share only the top one of 3 network nodes."
    )
    assert "network node" not in rates({"producer -> consumer-2": 93.0}, p5_plan, {}).message
    assert "network node" not in rates({}, p5_plan, near).message
    alone = rates({str(LINKS[0]): 20.0}, p5_plan, near, LINKS[:1])
    assert (alone.level, alone.message.endswith("of it. They share the lowest network node.")) == (
        Level.WARN,
        True,
    )


def rates(
    slow: Mapping[str, float],
    plan: Planned,
    near: Mapping[str, topology.NetworkNodes],
    links: tuple[Link, ...] = LINKS,
) -> Finding:
    """The finding on the rates: 372 Gbps but on the slow links."""
    attempt = Attempt(NIXL, "LIBFABRIC", DRAM)
    measured: list[Result] = [
        replace(result(slow.get(str(one), 372.0)), link=one, attempt=attempt) for one in links
    ]
    return next(one for one in transfer_rules.findings(measured, plan, near) if one.check == "transfer")


def test_16_nodes_are_told_in_a_terminal_of_80_columns_those_with_a_problem_first(
    clock: FakeClock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["producer", "producer-2", "consumer", *(f"consumer-{one}" for one in range(2, 15))]
    nodes = [Node(one, one.partition("-")[0], f"i-{one}", f"10.0.1.{len(one)}", "") for one in names]
    ec2: Any = FakeEc2([instance(one.instance_id, one.private_ip) for one in nodes])
    ec2.instances[9] |= {"State": {"Name": "stopped"}}
    ec2.network_nodes = {f"i-{name}": list(FAR) for name in names[12:]}
    report = look.status(ec2, None, replace(MANY, nodes=tuple(nodes)), launch(), clock)  # type: ignore[arg-type]
    told = {one["name"]: one["network_nodes"] for one in nodes_view.document(report)["nodes"]}
    assert [told[name] for name in ("producer", "consumer-8", "consumer-14")] == [
        ["nn-1", "nn-2", "nn-3"],
        [],
        list(FAR),
    ]
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    nodes_view.show(report, "status", as_json=False)
    lines = re.sub("\x1b\\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    remedies = next(number for number, line in enumerate(lines) if line.startswith("FAIL instance"))
    tables = [line.rstrip() for line in lines[:remedies]]
    assert max(map(len, tables)) <= 80
    rows = [line.split()[0] for line in tables if line.split()[:1] and line.split()[0] in names]
    assert (rows[0], sorted(rows)) == ("consumer-8", sorted(names))
    first = next(number for number, line in enumerate(tables) if line.startswith(topology.CHECK))
    assert " ".join(tables[first + 1].split()).startswith("consumer-2,"), tables[first:]


def test_status_tells_it_of_a_pair_in_the_local_aws(project: Project, run: Run, aws: LocalAws) -> None:
    found = boto3.client("ec2", REGION).describe_instance_topology(InstanceIds=project.ids)["Instances"]
    assert len(found) == 2
    _, out, _ = run("status", "prod")
    assert "network nodes  PASS both nodes share the upper 2 of 3 network nodes." in out
