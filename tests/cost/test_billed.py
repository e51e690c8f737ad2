"""What Cost Explorer has billed."""

from __future__ import annotations

from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa.cost.billed import billed
from nixl_efa.cost.money import Unknown
from tests.cli.conftest import MOMENT, Cli, actions, aws, cli, usable
from tests.clients import clients_are_made_once
from tests.cost.test_compare import LAUNCH
from tests.cost.test_cost_command import Cost, cost

__all__ = ["aws", "cli", "clients_are_made_once", "cost"]


def test_cost_explorer_is_asked_by_the_option_alone(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    assert cost("dev")["billed"] is None
    assert actions(aws, "GetCostAndUsage") == 0
    aws.world.billed = {"Amazon Elastic Compute Cloud - Compute": "12.5", "EC2 - Other": "0.25"}
    billed = cost("dev", "--billed")["billed"]
    assert (billed["total"]["amount"], billed["start"], billed["end"]) == (
        "12.75",
        "2026-11-01",
        "2026-12-02",
    )
    assert actions(aws, "GetCostAndUsage") == 1
    assert "12.75 USD" in cli("cost", "dev", "--billed").out


def test_the_bill_of_a_block_that_has_not_begun_is_of_days_that_were(
    cli: Cli, aws: LocalAws, cost: Cost
) -> None:
    later = [one for one in usable(cli) if one["starts_in_seconds"] > 24 * 3600]
    assert cli.buy(later[0]).code == 0
    billed = cost("prod", "--billed")["billed"]
    assert (billed["start"], billed["end"]) == ("2026-11-01", "2026-12-02")


def test_a_bill_of_more_pages_than_are_read_is_unknown() -> None:
    class Endless:
        def get_cost_and_usage(self, **_: object) -> dict[str, Any]:
            return {"ResultsByTime": [], "NextPageToken": "more"}

    class Factory:
        def cost_explorer(self, _: str) -> Endless:
            return Endless()

    found = billed(LAUNCH, Factory(), MOMENT, MOMENT)  # type: ignore[arg-type]
    assert found.services == Unknown("Cost Explorer has more than 10 pages")


@pytest.mark.parametrize("refused", [False, True])
def test_a_bill_without_the_tag_is_unknown(cli: Cli, aws: LocalAws, cost: Cost, refused: bool) -> None:
    if refused:
        aws.faults.add("GetCostAndUsage", code="AccessDeniedException", message="no", times=None)
    total = cost("dev", "--billed")["billed"]["total"]
    assert total["amount"] is None
    words = "no permission: ce:GetCostAndUsage" if refused else "must be activated for cost allocation"
    assert words in total["unknown"]
    assert "unknown: " in cli("cost", "dev", "--billed").out
