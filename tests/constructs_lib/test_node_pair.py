"""The pair as a construct of a user's own stack."""

from pathlib import Path

import pytest
from cdktf import App, TerraformStack

from constructs_lib.node_pair import NodePair
from nixl_efa.launch import launch_of
from tests.synthesis import settings_of


def test_a_second_pair_in_a_stack_is_refused_and_one_in_another_stack_is_not(tmp_path: Path) -> None:
    app, settings = App(outdir=str(tmp_path)), settings_of("dev")
    stack, other = TerraformStack(app, "one"), TerraformStack(app, "other")
    NodePair(stack, "pair", settings=settings, launch=launch_of(settings))
    with pytest.raises(ValueError, match=r"holds a pair already \(one/pair\)"):
        NodePair(stack, "second", settings=settings, launch=launch_of(settings))
    NodePair(other, "pair", settings=settings, launch=launch_of(settings))
