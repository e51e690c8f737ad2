"""The pair of the tests: two p5.48xlarge in order, in stand-ins."""

from __future__ import annotations

from pathlib import Path

import pytest

from nixl_efa.nodes.facts import NodeFacts, Planned
from nixl_efa.nodes.outputs import Node, PairOutputs
from nixl_efa.nodes.parse import Nixl
from tests.nodes.stand_in import (
    ADDRESSES,
    CONSUMER_ID,
    PRODUCER_ID,
    FakeClock,
    FakeEc2,
    FakeSsm,
    StandIn,
    instance,
)


@pytest.fixture
def pair() -> PairOutputs:
    """The outputs of a p5.48xlarge pair without a reservation."""
    return PairOutputs(
        "prod",
        Node("producer", PRODUCER_ID, ADDRESSES["producer"], "203.0.113.11"),
        Node("consumer", CONSUMER_ID, ADDRESSES["consumer"], ""),
        32,
        "",
    )


@pytest.fixture
def nodes(tmp_path: Path) -> dict[str, StandIn]:
    """Both nodes, in order, by name."""
    return {name: StandIn(name, tmp_path / name) for name in ADDRESSES}


@pytest.fixture
def ssm(nodes: dict[str, StandIn]) -> FakeSsm:
    """Run Command on both nodes."""
    return FakeSsm({PRODUCER_ID: nodes["producer"], CONSUMER_ID: nodes["consumer"]})


@pytest.fixture
def ec2() -> FakeEc2:
    """Both instances, running."""
    return FakeEc2(
        [instance(PRODUCER_ID, ADDRESSES["producer"]), instance(CONSUMER_ID, ADDRESSES["consumer"])]
    )


@pytest.fixture
def clock() -> FakeClock:
    """A clock of the tests."""
    return FakeClock()


@pytest.fixture
def p5_plan() -> Planned:
    """What a p5.48xlarge should have."""
    return Planned(
        instance_type="p5.48xlarge",
        efa_interfaces=32,
        accelerators=8,
        accelerator_kind="nvidia",
        instance_storage_gb=30400,
        network_gbps=3200.0,
        install_nixl=True,
    )


@pytest.fixture
def p5_facts() -> NodeFacts:
    """A producer in which all is as planned."""
    return NodeFacts(
        pair={
            "node": "producer",
            "role": "producer",
            "nodes": [{"name": n, "address": a} for n, a in ADDRESSES.items()],
        },
        cloud_init="done",
        cloud_init_errors="",
        boot_report={"ok": True, "transport": "EFA", "checks": []},
        efa_devices=tuple(f"rdmap{index}s0" for index in range(32)),
        domains=tuple(f"rdmap{index}s0-rdm" for index in range(32)),
        fi_info_error="",
        efa_driver="2.17.2g",
        libfabric="2.1.0amzn3.0",
        efa_installer="1.47.0",
        accelerators=8,
        accelerator="NVIDIA H100 80GB HBM3",
        accelerator_driver="580.65.06",
        memlock="unlimited",
        local_disks="/dev/mapper/vg.01-lv_ephemeral",
        nixl=Nixl("1.5.1", "LIBFABRIC", True, ""),
        nixlbench="/usr/local/nixlbench/bin/nixlbench",
    )
