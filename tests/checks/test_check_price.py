"""The price of an hour: told, or a SKIP with the reason; never a reason to stop."""

import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import boto3
import pytest

from nixl_efa.checks.facts import NoAnswer
from nixl_efa.checks.rules.price import check
from nixl_efa.cost.compare import Rates
from nixl_efa.cost.money import Amount, Unknown
from nixl_efa.findings import Level
from nixl_efa.launch import Market
from tests.checks.in_order import BLOCK_FACTS, BLOCK_LAUNCH, DEMAND_FACTS, DEMAND_LAUNCH, DENIED, NOW
from tests.checks.local_project import Project

NONE = Unknown("no permission: pricing:GetProducts")
RATES = Rates(
    on_demand=Amount(Decimal("5.2682"), "USD"),
    spot=Amount(Decimal("2.4"), "USD"),
    gib_month=Amount(Decimal("0.08"), "USD"),
    iops_month=NONE,
    mibps_month=NONE,
    address=Amount(Decimal("0.005"), "USD"),
    spot_zone="us-east-2a",
)
# 2 x 300 GiB for an hour of 720.
MORE = "Beside them: volumes 0.07 USD, public addresses 0.01 USD."


@pytest.mark.parametrize(
    ("market", "rates", "level", "message"),
    [
        (
            "on-demand",
            RATES,
            Level.PASS,
            f"2 x g7e.8xlarge On-Demand cost 10.54 USD an hour, 5.27 USD each. {MORE}",
        ),
        (
            "spot",
            RATES,
            Level.PASS,
            f"2 x g7e.8xlarge on Spot (us-east-2a, now) cost 4.80 USD an hour, 2.40 USD each. {MORE}",
        ),
        (
            "on-demand",
            replace(RATES, on_demand=NONE),
            Level.SKIP,
            "What 2 x g7e.8xlarge On-Demand cost an hour is unknown: no permission: pricing:GetProducts. "
            + MORE,
        ),
        ("on-demand", DENIED, Level.SKIP, "No permission to look: ec2:Something is not allowed."),
    ],
)
def test_the_price_of_an_hour(market: Market, rates: Rates | NoAnswer, level: Level, message: str) -> None:
    (found,) = check(replace(DEMAND_LAUNCH, market=market), replace(DEMAND_FACTS, rates=rates), NOW)
    assert (found.level, found.message) == (level, message)


def test_a_launch_into_a_block_has_no_price_of_an_hour() -> None:
    assert check(BLOCK_LAUNCH, BLOCK_FACTS, NOW) == []


def test_what_is_not_known_beside_them_says_why() -> None:
    facts = replace(DEMAND_FACTS, rates=replace(RATES, address=Unknown("It is late.")))
    (found,) = check(DEMAND_LAUNCH, facts, NOW)
    assert found.message.endswith("Beside them: volumes 0.07 USD, public addresses unknown (It is late).")


def test_without_public_addresses_none_are_counted() -> None:
    launch = replace(DEMAND_LAUNCH, elastic_ip=False)
    (found,) = check(launch, replace(DEMAND_FACTS, rates=replace(RATES, address=NONE)), NOW)
    assert found.message.endswith("Beside them: volumes 0.07 USD.")


@pytest.mark.parametrize("region", ["us-east-2", "cn-north-1", "us-gov-west-1"])
def test_by_hand_it_is_asked_where_the_price_list_answers(region: str) -> None:
    facts = replace(DEMAND_FACTS, rates=RATES)
    (found,) = check(replace(DEMAND_LAUNCH, region=region), facts, NOW)
    at = {"us-east-2": "us-east-1", "cn-north-1": "cn-northwest-1"}.get(region, region)
    assert f"--region {at} " in found.command
    assert f"Field=regionCode,Value={region}" in found.command
    assert "Field=marketoption,Value=OnDemand" in found.command


@pytest.mark.parametrize("spot", [False, True])
def test_the_check_asks_aws(project: Project, spot: bool) -> None:
    # Not in the cheapest zone: in that of the subnet that the nodes go into.
    by_zone: Any = {"Name": "availability-zone", "Values": ["us-east-2b"]}
    (subnet,) = boto3.client("ec2", "us-east-2").describe_subnets(Filters=[by_zone])["Subnets"]
    project.environment("dev", instance_type="g7e.8xlarge", spot=spot, subnet_id=subnet["SubnetId"])
    document = json.loads(project.run("check", "dev", "--json").out)
    (found,) = [one for one in document["findings"] if one["check"] == "price"]
    assert found["level"] == "PASS"
    # On Spot it changes with the day.
    price = "on Spot (us-east-2b, now) cost " if spot else "On-Demand cost 10.54 USD an hour, 5.27 USD each"
    assert price in found["message"]
