"""A pair that becomes one producer and three consumers, and a pair again: by Terraform, on the local AWS."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.synthesis import synthesize
from tests.terraform.conftest import place

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

    place(tmp_path, synthesize("dev", consumers=3), aws_environ)
    terraform.apply()
    three = terraform.ids()
    assert {address: three[address] for address in before} == before
    assert three.keys() - before.keys() == added

    place(tmp_path, synthesize("dev"), aws_environ)
    terraform.apply()
    assert terraform.ids() == before
