"""The four cases that users of the AWS CDK design know."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from nixl_efa.findings import warnings
from tests.synthesis import findings_of, resources, synthesize

RESERVATION = "cr-0123456789abcdef0"
TARGET = {"capacity_reservation_target": {"capacity_reservation_id": RESERVATION}}


@dataclass(frozen=True)
class Case:
    settings: dict[str, object]
    warning: str | None
    volume_gib: int
    efa_interfaces: int
    target: dict[str, Any] | None = None
    market: dict[str, str] | None = field(default=None)


CASES = {
    "g7e.12xlarge": Case({"instance_type": "g7e.12xlarge"}, None, 300, 1),
    "g7e.2xlarge": Case(
        {"instance_type": "g7e.2xlarge"}, "Instance type g7e.2xlarge may not support EFA", 200, 0
    ),
    "p5.48xlarge with a reservation id": Case(
        {"instance_type": "p5.48xlarge", "capacity_reservation_id": RESERVATION},
        None,
        1000,
        32,
        target=TARGET,
    ),
    "p5.48xlarge with use_capacity_block": Case(
        {"instance_type": "p5.48xlarge", "use_capacity_block": True},
        "use_capacity_block",
        1000,
        32,
        market={"market_type": "capacity-block"},
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_of_the_cdk_design_gives_what_it_promised(case: Case) -> None:
    found = [finding.message for finding in warnings(findings_of("dev", **case.settings))]
    stack = synthesize("dev", **case.settings)
    nodes = resources(stack, "aws_instance")

    assert sorted(nodes) == ["consumer", "producer"]
    for node in nodes.values():
        assert node["instance_type"] == case.settings["instance_type"]
        assert node["root_block_device"]["volume_size"] == case.volume_gib
        assert node.get("capacity_reservation_specification") == case.target
        assert node.get("instance_market_options") == case.market
    for template in resources(stack, "aws_launch_template").values():
        kinds = [interface.get("interface_type") for interface in template["network_interfaces"]]
        assert kinds.count("efa-only") == case.efa_interfaces
    if case.warning is None:
        assert found == []
    else:
        assert len(found) == 1
        assert case.warning in found[0]
