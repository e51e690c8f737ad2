"""A pair of machines that boot with the product's user data, and what lies on them for a service."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from local_aws import LocalAws
from local_aws.machines.run import Run
from nixl_efa.bootstrap import Bootstrap, PeerNode
from nixl_efa.clock import SystemClock
from nixl_efa.nodes import run_command
from nixl_efa.nodes.facts import Planned, planned
from nixl_efa.nodes.outputs import PairOutputs
from nixl_efa.nodes.run_command import Outcome, Script
from nixl_efa.nodes.verify import PairReport
from nixl_efa.service import vllm
from nixl_efa.service.on_nodes import OnNodes
from nixl_efa.service.staged import MANIFEST, folder
from nixl_efa.service.status import Status, status
from nixl_efa.service.way import IP, Way, way_of
from tests.real_nodes.conftest import BUCKET, Account, account, boot, place, tree
from tests.service.local_index import wheel
from tests.told_at_boot import P5

__all__ = ["account", "tree"]

ROOT = Path(__file__).resolve().parents[2]
ROUTER = ROOT / ".tools" / "router"
# What the machines can have: no EFA and no GPU. The real engine goes by UCX over their IP interface; the stand-in by
# LIBFABRIC, as on AWS, but over tcp, which the settings of a rehearsal ask for.
PLANNED: Planned = planned("g7e.8xlarge", None, 0, "1.5.0")
WAY: Way = way_of(PLANNED, {})
OVER_EFA: Planned = planned("g7e.12xlarge", None, 1, "1.5.0")
OVER_TCP = Way("LIBFABRIC", "tcp", IP)
MODEL = "/models/stand-in"


def manifest_key(model: str) -> str:
    """The object that holds a staged model's manifest."""
    return f"{folder(model)}/{MANIFEST}"


def first_boot(own: PeerNode) -> Bootstrap:
    """What the product tells a node of a type without EFA and accelerators."""
    return replace(
        P5,
        environment="trial",
        instance_type="g7e.8xlarge",
        efa_interfaces=0,
        accelerators=0,
        accelerator_kind="none",
        node=own.name,
        nodes=(own,),
    )


@pytest.fixture(scope="module")
def router_wheels() -> list[Path]:
    """vllm-router, and what it needs."""
    if not (ROUTER / "installed").exists():
        message = "vllm-router is missing: make .tools/router/installed"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(message)
    return list(ROUTER.glob("*.whl"))


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory, router_wheels: list[Path]) -> Path:
    """What lies on each machine: wheels of the router and of the stand-in of vLLM, and a model."""
    folder = tmp_path_factory.mktemp("layer")
    folder.chmod(0o755)
    wheels, model = folder / "opt/wheels", folder / MODEL.lstrip("/")
    wheels.mkdir(parents=True)
    model.mkdir(parents=True)
    (folder / "opt/router").mkdir()
    for one in router_wheels:
        (wheels / one.name).symlink_to(f"/opt/router/{one.name}")
        os.link(one, folder / "opt/router" / one.name)
    name, content = stand_in("0.32.0")
    (wheels / name).write_bytes(content)
    (model / "config.json").write_text(
        '{"architectures": ["StandIn"], "dtype": "bfloat16", "vocab_size": 2048}', encoding="utf-8"
    )
    (model / "model.safetensors").write_bytes(b"x" * 1000)
    return folder


def stand_in(version: str) -> tuple[str, bytes]:
    """A wheel named vllm that holds engine.py, with the command of that name."""
    engine = (Path(__file__).parent / "engine.py").read_text(encoding="utf-8")
    command = "[console_scripts]\nvllm = vllm_stand_in:main\n"
    files = {"vllm_stand_in.py": engine, f"vllm-{version}.dist-info/entry_points.txt": command}
    return wheel("vllm", version, files=files)


@pytest.fixture(scope="module")
def aws(tree: Path, layer: Path) -> Iterator[LocalAws]:
    """A local AWS whose instances boot with that layer."""
    with LocalAws(run=Run(place(), tree, [layer])) as running:
        yield running


def with_efa(own: PeerNode) -> Bootstrap:
    """What the product tells a node of a type with one EFA interface, by which LIBFABRIC goes."""
    return replace(first_boot(own), instance_type="g7e.12xlarge", efa_interfaces=1)


@pytest.fixture(scope="module")
def nodes(account: Account) -> OnNodes:
    """A pair after its first boot, NIXL installed; it was told of EFA, which the machines don't have."""
    return on(account, PairOutputs("trial", tuple(boot(account, with_efa, "producer", "consumer")), BUCKET))


@pytest.fixture(scope="module")
def three(account: Account, nodes: OnNodes) -> OnNodes:
    """With one more producer, which boots later."""
    pair = nodes.pair
    known = [PeerNode(one.name, one.role, one.private_ip) for one in pair.nodes]
    more = boot(account, with_efa, "producer-2", known=known)
    return on(account, replace(pair, nodes=(*pair.nodes, *more)))


def status_of(nodes: OnNodes) -> Status:
    """`nixl-efa serve status` of nodes of which AWS says nothing."""
    return status(nodes, PairReport(nodes.pair, (), ()))


def on(account: Account, pair: PairOutputs) -> OnNodes:
    """The way to a pair, by Run Command."""

    def ask(scripts: Mapping[str, Script], seconds: int, what: str) -> Mapping[str, Outcome]:
        return run_command.run(account.ssm, scripts, SystemClock(), seconds, what)

    return OnNodes(pair, ask, vllm)
