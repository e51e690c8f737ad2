"""What is said of a plan, compared with plans that the real Terraform makes of a pair that it deployed."""

import json

import pytest

from nixl_efa import checks
from nixl_efa.aws import Clients
from nixl_efa.clock import SystemClock
from nixl_efa.deploy import plan
from nixl_efa.findings import Level
from tests.deploy.cases import CASES, PLANS, Case, trimmed
from tests.deploy.conftest import REGION, Deployed
from tests.deploy.test_causes import assert_told

# In the matrix they share one pair.
pytestmark = pytest.mark.end_to_end
# Each action once.
FEW = ("nothing", "key", "volume")


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, marks=() if one.name in FEW else pytest.mark.matrix, id=one.name) for one in CASES],
)
def test_a_change_of_settings_is_told_with_its_cause(
    case: Case, deployed: Deployed, pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = deployed.plan(case.variables)
    if pytestconfig.option.update_snapshots:
        text = json.dumps(trimmed(document), indent=1)
        (PLANS / f"{case.name}.json").write_text(f"{text}\n", encoding="utf-8")
    settings = deployed.settings(case.variables)
    assert_told(plan.read(document, settings), case)
    # The check sees the same without a plan, but for what only Terraform's state knows.
    for name, value in deployed.environ.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)
    found = checks.run(
        settings,
        Clients(None, REGION),
        SystemClock(),
        project=deployed.folder,
        at_synthesis=True,
        environ=deployed.environ,
    )
    (pending,) = [one for one in found if one.check == "running nodes"]
    replaces = case.action == "replace" and case.name != "image-parameter"
    assert pending.level is (Level.FAIL if replaces else Level.PASS), pending
