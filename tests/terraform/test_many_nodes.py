"""A pair that becomes one producer and three consumers, and a pair again: by Terraform, on the local AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.synthesis import synthesize
from tests.terraform.conftest import Terraform, place

KINDS = ("aws_eip", "aws_instance", "aws_launch_template", "aws_network_interface")


@pytest.mark.matrix
def test_more_consumers_are_added_and_fewer_destroyed_and_nothing_else_is_touched(
    aws_environ: dict[str, str], tmp_path: Path
) -> None:
    terraform = place(tmp_path, synthesize("dev"), aws_environ)
    terraform("init", "-input=false")
    terraform.apply()
    before = terraform.ids()
    added = {f"{kind}.consumer_{number}" for kind in KINDS for number in (2, 3)}
    added |= {f'terraform_data.nodes_beyond_a_pair["consumer-{number}"]' for number in (2, 3)}

    place(tmp_path, synthesize("dev", consumers=3), aws_environ)
    terraform.apply()
    three = terraform.ids()
    assert {address: three[address] for address in before} == before
    assert three.keys() - before.keys() == added

    place(tmp_path, synthesize("dev"), aws_environ)
    terraform.apply()
    assert terraform.ids() == before


@pytest.mark.parametrize("protected", [True, False])
def test_a_plan_that_leaves_out_a_protected_node_fails_and_names_it(
    protected: bool, plain_environ: dict[str, str], tmp_path: Path
) -> None:
    """A node's own prevent_destroy goes with its block. Needs no provider."""

    def placed(consumers: int) -> Terraform:
        stack = synthesize("dev", consumers=consumers, protect_nodes=protected)
        guard = {"nodes_beyond_a_pair": stack["resource"]["terraform_data"]["nodes_beyond_a_pair"]}
        return place(tmp_path, {"resource": {"terraform_data": guard}}, plain_environ)

    terraform = placed(3)
    terraform("init", "-input=false")
    terraform.apply()
    assert [one["actions"] for one in placed(4).changes().values()] == [["create"]]
    for fewer, gone in ((2, 'nodes_beyond_a_pair["consumer-3"]'), (1, 'nodes_beyond_a_pair["consumer-2"]')):
        ran = placed(fewer)("plan", "-input=false", "-no-color", check=False)
        assert ran.returncode == (1 if protected else 0)
        assert (
            f"terraform_data.{gone} has lifecycle.prevent_destroy" in " ".join(ran.stderr.split())
        ) == protected
