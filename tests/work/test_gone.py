"""Which nodes are gone, by EC2's answer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from botocore.exceptions import ClientError

from nixl_efa.clock import SystemClock
from nixl_efa.nodes.outputs import Node
from nixl_efa.work.gone import gone

NODE = Node("producer", "producer", "i-1", "10.0.0.4", "")


def told(answer: dict[str, Any] | Exception) -> dict[Node, str]:
    def describe_instances(**_: Any) -> dict[str, Any]:
        if isinstance(answer, Exception):
            raise answer
        return answer

    ec2: Any = SimpleNamespace(describe_instances=describe_instances)
    return gone(ec2, "prod", [NODE], SystemClock())


def in_state(state: str) -> dict[str, Any]:
    return {"Reservations": [{"Instances": [{"InstanceId": "i-1", "State": {"Name": state}}]}]}


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (in_state("stopping"), "stopping"),
        (in_state("stopped"), "stopped"),
        (in_state("shutting-down"), "shutting-down"),
        (in_state("terminated"), "terminated"),
        ({"Reservations": []}, "unknown to EC2"),
    ],
)
def test_a_node_that_does_not_run_is_told_with_its_state_and_what_to_do(
    answer: dict[str, Any], state: str
) -> None:
    said = f"producer i-1 is {state}: `nixl-efa status prod` says why and what to do."
    assert told(answer) == {NODE: said}


@pytest.mark.parametrize(
    "answer",
    [
        in_state("running"),
        in_state("pending"),
        ClientError({"Error": {"Code": "UnauthorizedOperation", "Message": ""}}, "DescribeInstances"),
        {"page": "of a proxy"},
    ],
)
def test_a_node_that_runs_or_of_which_nothing_is_known_is_waited_for(
    answer: dict[str, Any] | Exception,
) -> None:
    assert told(answer) == {}
