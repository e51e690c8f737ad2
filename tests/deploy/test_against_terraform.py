"""What is said of a plan, held against plans that the real Terraform makes of a pair that it deployed."""

from __future__ import annotations

import json

import pytest

from nixl_efa.deploy import plan
from tests.deploy.cases import CASES, PLANS, Case, trimmed
from tests.deploy.conftest import Deployed
from tests.deploy.test_causes import assert_told

pytestmark = pytest.mark.end_to_end


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_change_of_settings_is_told_with_its_cause(
    case: Case, deployed: Deployed, pytestconfig: pytest.Config
) -> None:
    document = deployed.plan(case.variables)
    if pytestconfig.option.update_snapshots:
        text = json.dumps(trimmed(document), indent=1)
        (PLANS / f"{case.name}.json").write_text(f"{text}\n", encoding="utf-8")
    assert_told(plan.read(document, deployed.settings(case.variables)), case)
