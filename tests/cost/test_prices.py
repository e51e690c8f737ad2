"""What is asked for prices, and which of them count."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from unittest.mock import Mock

import pytest

from nixl_efa.cost.compare import Rates
from nixl_efa.cost.prices import Prices
from nixl_efa.cost.spot import Change
from tests.capacity.fake_aws import FakeClock
from tests.cost.test_blocks import usd
from tests.cost.test_compare import LAUNCH

DAY = datetime(2026, 11, 20, tzinfo=UTC)
REGION = LAUNCH.region
PRICES = tuple(
    Change(zone, DAY, Decimal(price)) for zone, price in ((f"{REGION}a", 20), (f"{REGION}-lax-1a", 8))
)


def rates(launch: Any, instance_type: str) -> tuple[Rates, dict[str, Any]]:
    """The rates of a type, and what was asked for its placement score."""
    clients: Any = Mock()
    scores = clients.ec2.return_value.get_spot_placement_scores
    scores.return_value = {"SpotPlacementScores": []}
    clients.pricing.return_value.get_products.return_value = {"PriceList": []}
    with ThreadPoolExecutor() as pool:
        found = Prices(launch, clients, FakeClock(), pool).rates(instance_type, PRICES)
    return found, scores.call_args.kwargs


@pytest.mark.parametrize(("zone", "price"), [("", "20"), (f"{REGION}a", "20"), (f"{REGION}-lax-1a", "8")])
def test_a_local_zones_spot_price_counts_only_for_nodes_in_it(zone: str, price: str) -> None:
    launch = replace(LAUNCH, reservation=replace(LAUNCH.reservation, zone=zone))
    assert rates(launch, launch.instance_type)[0].spot == usd(price)


def test_a_placement_score_is_asked_for_the_nodes_of_its_type() -> None:
    first, second = LAUNCH.nodes
    other = replace(LAUNCH, nodes=(second,), instance_type="g7e.12xlarge")
    mixed = replace(LAUNCH, parts=(replace(LAUNCH, nodes=(first,)), other))
    asked = {name: rates(mixed, name)[1]["TargetCapacity"] for name in (LAUNCH.instance_type, "g7e.12xlarge")}
    assert set(asked.values()) == {1}
    assert rates(LAUNCH, LAUNCH.instance_type)[1]["TargetCapacity"] == 2
    # A type that runs and that the settings no longer have.
    assert rates(LAUNCH, "p4d.24xlarge")[1]["TargetCapacity"] == 2
