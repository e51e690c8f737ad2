"""Who is in the environment: the object that Terraform writes, and nodes that read it. The AWS CLI is a stand-in."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.bootstrap import PeerNode, members_json
from nixl_efa.bootstrap.files import pair_json
from tests.told_at_boot import P5

Node = Any
PAIR_JSON = "etc/nixl-efa/pair.json"
NODES = (*P5.nodes, PeerNode("consumer-2", "consumer", "10.0.0.13"))


@pytest.fixture
def node(make_node: Callable[..., Node]) -> Node:
    """The producer, which knows itself alone; no time passes on it."""
    made = make_node()
    made.command("sleep", f'echo "$1" >>{made.root}/slept')
    return made


def read(node: Node) -> tuple[int, str]:
    """The script's exit code and what it printed."""
    ran = node.run("/opt/nixl-efa/bin/read-members", str(node.root))
    assert sorted(one.name for one in (node.root / "etc/nixl-efa").iterdir()) == ["env", "pair.json"]
    return ran.returncode, (ran.stdout + ran.stderr).strip()


def held(node: Node) -> str:
    text: str = (node.root / PAIR_JSON).read_text(encoding="utf-8")
    return text


def test_the_object_lists_the_nodes_and_leaves_opaque_addresses_as_they_are() -> None:
    own = '${aws_network_interface.producer["primary"].private_ip}'
    text = members_json("${x}", [PeerNode("producer", "producer", own)])
    assert own in text
    assert json.loads(text.replace(own, "10.0.0.11")) == {
        "form": 1,
        "environment": "$${x}",
        "nodes": [{"name": "producer", "role": "producer", "address": "10.0.0.11"}],
    }


@pytest.mark.parametrize("environment", ["prod", 'ä "odd" one'])
def test_a_node_that_read_the_object_has_the_bytes_that_nodes_sync_would_write(
    environment: str, make_node: Callable[..., Node]
) -> None:
    node = make_node(environment=environment)
    node.members(members_json(environment, NODES))
    for _ in range(2):
        assert read(node) == (0, "3 known")
        assert held(node) == pair_json(replace(P5, environment=environment, nodes=NODES))
        assert (node.root / PAIR_JSON).stat().st_mode & 0o777 == 0o644


def test_the_aws_cli_is_asked_for_the_buckets_object_and_gets_no_preloaded_library(node: Node) -> None:
    node.command("aws", f'echo "$*" >{node.root}/asked; env >{node.root}/environ; exit 1')
    # The boot report hands on what it has read from /etc/nixl-efa/env.
    node.run("/opt/nixl-efa/bin/read-members", str(node.root), environ={"LD_PRELOAD": ""})
    asked = (node.root / "asked").read_text(encoding="utf-8")
    assert asked.startswith(
        "--region us-east-1 s3api get-object --bucket nixl-efa-prod-scripts --key members.json "
    )
    assert "LD_PRELOAD" not in (node.root / "environ").read_text(encoding="utf-8")


DENIED = "An error occurred (AccessDenied) when calling the GetObject operation: no policy allows it"


@pytest.mark.parametrize(
    ("aws", "why"),
    [
        (f"echo '{DENIED}' >&2; exit 254", DENIED),
        ('printf half >"${@: -1}"; exit 124', "no answer from S3"),
        ("exec /missing/aws", "/missing/aws: No such file or directory"),
        ('echo "{}" >"${@: -1}"', "members.json is damaged or foreign"),
        ('sed s/producer/other/ "$0.json" >"${@: -1}"', "members.json is damaged or foreign"),
        ('head -n 15 "$0.json" >"${@: -1}"', "members.json is damaged or foreign"),
        ('head -c -2 "$0.json" >"${@: -1}"', "members.json is damaged or foreign"),
        ('sed "2s/1/2/" "$0.json" >"${@: -1}"', "members.json is damaged or foreign"),
    ],
)
def test_a_node_that_can_not_read_the_object_says_why_and_keeps_what_it_knew(
    aws: str, why: str, node: Node
) -> None:
    before = held(node)
    (node.commands / "aws.json").write_text(members_json("prod", NODES), encoding="utf-8")
    node.command("aws", aws)
    code, said = read(node)
    assert (code, said.startswith("1 known: not read anew: "), why in said) == (1, True, True), said
    assert held(node) == before
    # Bounded: three times.
    assert (node.root / "slept").read_text(encoding="utf-8").split() == ["2", "5", "0"]


def test_one_that_knew_others_is_in_order_all_the_same(node: Node) -> None:
    assert read(node) == (0, "2 known")
    node.command("aws", f"echo '{DENIED}' >&2; exit 254")
    assert read(node) == (0, f"2 known: not read anew: {DENIED}")
    assert held(node) == pair_json(P5)


def test_keys_that_come_some_seconds_after_the_node_are_waited_for(node: Node) -> None:
    given = node.commands / "members.json"
    node.command(
        "aws",
        f'if [ -e {node.root}/slept ]; then cp {given} "${{@: -1}}"; else echo "Unable to locate keys"; exit 253; fi',
    )
    assert read(node) == (0, "2 known")
