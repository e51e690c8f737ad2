"""The block of a rehearsal is bought with the commands that a user types."""

import os
import re
import sys
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import boto3
import pytest

from local_aws import LocalAws
from local_aws.control import Control
from nixl_efa.cli.environments import environment_settings
from nixl_efa.launch import launch_of
from nixl_efa.rehearse.block import Market
from nixl_efa.rehearse.programs import Programs
from tests.cli.conftest import REGION, ROOT, aws

__all__ = ["aws"]


def test_what_is_bought_is_an_offering_that_the_search_has_shown(
    aws: LocalAws, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    programs = Programs(Path.cwd(), {**os.environ, "PYTHONPATH": str(ROOT)}, tmp_path / "log")
    tools: Any = Mock(nixl_efa=(sys.executable, "-m", "nixl_efa"))
    ec2 = boto3.client("ec2", REGION)
    market = Market(REGION, tools, programs, Control(aws.endpoint), said.append, ec2, ("p5.48xlarge",))
    (block,) = market.buy_blocks({"prod": launch_of(environment_settings("prod", {}, Path.cwd()))})
    shown = capfd.readouterr().out
    (bought,) = (
        found[1] for line in said if (found := re.match(r"\$ nixl-efa capacity buy (cb-\w+) ", line))
    )
    first, *_ = re.findall(rf"^cb-\w+(?=  {block.zone} )", shown, re.MULTILINE)
    assert bought == first
    assert f"{block.id} is active" in shown
