"""`nixl-efa cost` on the local AWS."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.cost import price_list
from tests.cli.conftest import (
    BLOCK,
    REGION,
    Cli,
    actions,
    aws,
    cli,
    until,
    usable,
    write_environment,
)
from tests.clients import clients_are_made_once
from tests.launches import IMAGE
from tests.policies import denied, in_policy, under, used

__all__ = ["aws", "cli", "clients_are_made_once"]

ROOT = Path(__file__).resolve().parents[2]
ON_DEMAND = """region = "us-east-2"
instance_type = "g7e.12xlarge"
"""
Cost = Callable[..., Any]


@pytest.fixture
def cost(cli: Cli) -> Cost:
    """The document of `cost ... --json`. dev is On-Demand here."""
    write_environment(Path(), "dev", ON_DEMAND)

    def ask(*words: str) -> Any:
        ran = cli("cost", *words, "--json")
        assert ran.code == 0, ran.err
        return ran.json

    return ask


def bought(cli: Cli, aws: LocalAws) -> str:
    """A block for prod that is active, by its id."""
    ran = cli.buy(cli.offer())
    assert ran.code == 0, ran.err
    aws.advance(timedelta(hours=1))
    return ran.out.strip()


def launched(environment: str, block: str = "", **more: Any) -> None:
    """The two nodes of an environment, each with a public address."""
    ec2 = boto3.client("ec2", REGION)
    zone = f"{REGION}a"
    if block:
        (found,) = ec2.describe_capacity_reservations(CapacityReservationIds=[block])["CapacityReservations"]
        zone = found["AvailabilityZone"]
        more |= {
            "InstanceMarketOptions": {"MarketType": "capacity-block"},
            "CapacityReservationSpecification": {
                "CapacityReservationTarget": {"CapacityReservationId": block}
            },
        }
    image = boto3.client("ssm", REGION).get_parameter(Name=IMAGE)["Parameter"]["Value"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    for name in ("producer", "consumer"):
        tags: Any = [{"Key": "Name", "Value": f"nixl-efa-{environment}-{name}"}]
        answer = ec2.run_instances(
            ImageId=image,
            InstanceType="p5.48xlarge" if block else "g7e.12xlarge",
            MinCount=1,
            MaxCount=1,
            SubnetId=subnets[0]["SubnetId"],
            TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
            BlockDeviceMappings=[
                {"DeviceName": "/dev/sda1", "Ebs": {"VolumeType": "gp3", "VolumeSize": 720}}
            ],
            **more,
        )
        address = ec2.allocate_address(Domain="vpc")["AllocationId"]
        ec2.associate_address(AllocationId=address, InstanceId=answer["Instances"][0]["InstanceId"])


def test_the_three_markets_stand_side_by_side(cli: Cli, cost: Cost) -> None:
    document = cost("prod", "--hours", "20")
    (request,) = document["requests"]
    # The cheapest block of a day, On-Demand as the Price List has it, Spot where it is lowest.
    assert request["block"]["bought"] is False
    assert request["block"]["fee"] == {"amount": "1535.6425", "currency": "USD", "unknown": ""}
    assert request["on_demand"]["total"]["amount"] == "2201.6"
    assert request["spot"]["availability_zone"] == "us-east-2a"
    assert [one["market"] for one in request["break_even"]] == ["on-demand", "spot"]
    assert document["together"] == request["together"]
    shown = cli("cost", "prod", "--hours", "20").out
    assert "for 20 h                    CAPACITY BLOCK          ON-DEMAND               SPOT" in shown
    assert "EFA has no extra cost, nor has data between the nodes" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert not [line for line in shown.splitlines() if line != line.rstrip()]


def test_a_block_that_was_bought_is_taken_with_its_extension(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    block = bought(cli, aws)
    extended = cli("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "9999")
    assert extended.code == 0, extended.err
    (request,) = cost("prod")["requests"]
    assert request["block"]["payment_pending"]["amount"] == "1510.272"
    aws.advance(timedelta(minutes=10))
    document = cost("prod")
    found = document["requests"][0]["block"]
    assert (found["id"], found["bought"], found["payment_pending"]["amount"]) == (block, True, "0")
    assert (found["fee"]["amount"], found["extension_fees"][0]["amount"]) == ("3155.3043", "1510.272")
    # 26 h 49 min and 24 h, but for the last half hour.
    assert document["requests"][0]["hours"] == "50.45"


def test_a_block_that_was_bought_elsewhere_has_no_fee_and_no_break_even(
    cli: Cli, aws: LocalAws, cost: Cost
) -> None:
    block = bought(cli, aws)
    boto3.client("ec2", REGION).delete_tags(Resources=[block], Tags=[{"Key": "nixl-efa:upfront-fee"}])
    (request,) = cost("prod")["requests"]
    assert request["block"]["fee"]["amount"] is None
    assert "was not bought with this project" in request["block"]["fee"]["unknown"]
    assert (request["break_even"], request["together"]["capacity-block"]["amount"]) == ([], None)
    assert "The fee is unknown: cr-" in cli("cost", "prod").out


def test_nodes_in_a_block_so_far_and_by_its_end(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    block = bought(cli, aws)
    launched("prod", block)
    aws.advance(timedelta(hours=10))
    document = cost("prod")["running"]
    parts = {one["what"]: one for one in document["parts"]}
    assert [one["name"] for one in document["nodes"]] == ["consumer", "producer"]
    of_block = parts[f"block {block}"]
    assert (of_block["so_far"]["amount"], of_block["by_end"]["amount"]) == ("1645.0323", "1645.0323")
    assert (of_block["used_instance_hours"], of_block["end"]) == ("20.0", "2026-12-02T11:00:00Z")
    # Two volumes of 720 GiB for 10 and 26 of 720 hours, and their addresses.
    assert (parts["volumes"]["so_far"]["amount"], parts["volumes"]["by_end"]["amount"]) == ("1.6", "4.16")
    assert (parts["public addresses"]["by_end"]["amount"]) == "0.26"
    shown = cli("cost", "prod").out
    assert "BY 2026-12-02 11:00 UTC" in shown
    assert "of its instance-hours so far: 20 used, 0.9 idle" in shown
    assert max(len(line) for line in shown.splitlines()) <= 80


def test_nodes_by_the_hour_have_no_end(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    launched("dev")
    aws.advance(timedelta(hours=10))
    document = cost("dev")["running"]
    assert (document["by_end"], document["so_far"]["unknown"]) == (None, "")
    assert document["parts"][0]["so_far"]["amount"] == "165.722"
    assert "EACH FURTHER HOUR" in cli("cost", "dev").out


def test_a_next_block_stands_by_itself(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    bought(cli, aws)
    later = [one for one in usable(cli) if one["starts_in_seconds"] > 24 * 3600]
    assert cli.buy(later[0]).code == 0
    (request,) = cost("prod")["requests"]
    assert request["next_block"]["fee"]["amount"] == later[0]["fee"]
    assert request["together"]["capacity-block"]["amount"].startswith("1651.")
    assert "fee, not counted here" in cli("cost", "prod").out


def test_public_addresses_cost_after_their_nodes(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    ec2 = boto3.client("ec2", REGION)
    identity = "nixl-efa-dev local"
    tags: Any = [{"Key": "nixl-efa:stack", "Value": identity}]
    for _ in range(2):
        ec2.allocate_address(Domain="vpc", TagSpecifications=[{"ResourceType": "elastic-ip", "Tags": tags}])
    ec2.allocate_address(Domain="vpc")
    left = cost("dev")["left_addresses"]
    assert (left["count"], left["each_hour"]["amount"]) == (2, "0.01")
    assert "2 public addresses of the stack without a node: 0.010 USD an hour" in cli("cost", "dev").out
    aws.faults.add("DescribeAddresses", code="UnauthorizedOperation", message="no", times=None)
    assert cost("dev")["left_addresses"] == {"count": None, "unknown": "no permission: ec2:DescribeAddresses"}


def test_an_on_demand_reservation_costs_without_nodes(cli: Cli, cost: Cost) -> None:
    write_environment(Path(), "dev", f'{ON_DEMAND}capacity_reservation_id = "cr-0123456789abcdef0"\n')
    assert "An On-Demand reservation costs the On-Demand price" in cli("cost", "dev").out


def test_an_offer_in_another_zone_than_the_environments_is_not_taken(cli: Cli, cost: Cost) -> None:
    text = BLOCK.partition("capacity_reservation_parameter")[0]
    for zone in ("us-east-2a", "us-east-2b"):
        write_environment(Path(), "dev", f'{text}availability_zone = "{zone}"\n')
        (request,) = cost("dev")["requests"]
        assert (request["block"]["availability_zone"], request["spot"]["availability_zone"]) == (zone, zone)


def test_where_a_local_zone_has_other_prices_the_regions_are_told_and_its_own_are_not_known(
    cost: Cost,
) -> None:
    text = ON_DEMAND.replace(REGION, "us-west-2")
    write_environment(Path(), "dev", text)
    assert cost("dev")["requests"][0]["volumes"]["amount"] == "1.6"
    write_environment(Path(), "dev", f'{text}availability_zone = "us-west-2-lax-1a"\n')
    (request,) = cost("dev")["requests"]
    for part in (request["volumes"], request["on_demand"]["total"], request["public_addresses"]):
        assert part["amount"] is None
    assert "us-west-2-lax-1a is a Local Zone" in request["on_demand"]["instance_hour"]["unknown"]


def test_hours_beyond_ten_years_are_refused(cli: Cli) -> None:
    ran = cli("cost", "dev", "--hours", "1" + "0" * 40)
    assert (ran.code, ran.out) == (2, "")


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"])
def test_without_an_answer_to_who_asks_there_is_one_error_and_no_table(
    cli: Cli, aws: LocalAws, variable: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")  # clients are kept by key and endpoint
    ran = cli("cost", "prod")
    assert (ran.code, ran.out) == (1, "")
    assert "http://127.0.0.1:9" in ran.err


def test_prices_that_are_not_awss_are_said_to_be_so(cli: Cli, aws: LocalAws) -> None:
    assert f"those of {aws.endpoint}, which is not AWS." in cli("cost", "prod").err


REFUSED = {
    "GetProducts": ("on-demand", "pricing:GetProducts"),
    "DescribeSpotPriceHistory": ("spot", "ec2:DescribeSpotPriceHistory"),
}


@pytest.mark.parametrize("action", REFUSED)
def test_a_price_that_may_not_be_asked_for_is_unknown_and_never_0(
    cli: Cli, aws: LocalAws, cost: Cost, action: str
) -> None:
    market, permission = REFUSED[action]
    aws.faults.add(action, code="AccessDeniedException", message="no", times=None)
    document = cost("dev")
    (request,) = document["requests"]
    part = request["on_demand" if market == "on-demand" else "spot"]
    assert part["instance_hour"] == {
        "amount": None, "currency": None, "unknown": f"no permission: {permission}",
    }  # fmt: skip
    assert request["together"][market]["amount"] is None
    assert f"unknown: no permission: {permission}." in cli("cost", "dev").out


def test_a_type_without_an_on_demand_price_says_so(cli: Cli, cost: Cost) -> None:
    write_environment(Path(), "dev", BLOCK.format(name="dev", parameter="/d").replace("p5.", "p5e."))
    (request,) = cost("dev")["requests"]
    assert request["on_demand"]["instance_hour"]["unknown"] == (
        "the Price List has no price for p5e.48xlarge On-Demand in us-east-2"
    )
    assert request["block"]["id"]


def test_a_price_list_that_can_not_be_reached_leaves_its_prices_unknown(
    cli: Cli, aws: LocalAws, cost: Cost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", "http://127.0.0.1:9")
    # The Price List of a region that no other test asks: clients are kept.
    monkeypatch.setitem(price_list.ENDPOINTS, "aws", "eu-central-1")
    (request,) = cost("dev")["requests"]
    assert "http://127.0.0.1:9" in request["on_demand"]["instance_hour"]["unknown"]
    assert request["spot"]["instance_hour"]["amount"]
    assert actions(aws, "GetProducts") == 0


def test_each_of_several_requests_has_its_own_block(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    text = f'{ON_DEMAND}[consumer]\ninstance_type = "p5.48xlarge"\nuse_capacity_block = true\n'
    write_environment(Path(), "dev", text)
    document = cost("dev")
    producer, consumer = document["requests"]
    assert (producer["block"]["unknown"], consumer["block"]["instances"]) == (
        "AWS sells no Capacity Blocks of g7e.12xlarge", 1,
    )  # fmt: skip
    assert document["together"]["capacity-block"]["unknown"] == "producer block"
    assert document["together"]["on-demand"]["amount"]
    shown = cli("cost", "dev").out
    assert "consumer: 1 x p5.48xlarge" in shown
    assert "all nodes" in shown


def test_blocks_of_different_ends_are_compared_each_for_its_own_time(cli: Cli, aws: LocalAws) -> None:
    ec2, ids = boto3.client("ec2", REGION), []
    for hours in (24, 48):
        offered = ec2.describe_capacity_block_offerings(
            InstanceType="p5.48xlarge", InstanceCount=1, CapacityDurationHours=hours, MaxResults=100
        )["CapacityBlockOfferings"]
        whole = [one for one in offered if "CapacityBlockOfferingSegments" not in one]
        (soonest,) = [
            one
            for one in whole
            if one["StartDate"].minute == 41 and one["CapacityBlockDurationHours"] >= hours
        ]
        found = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=soonest["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )["CapacityReservation"]
        ids.append(found["CapacityReservationId"])
        tag: Any = {"Key": "nixl-efa:upfront-fee", "Value": f"{soonest['UpfrontFee']} USD"}
        ec2.create_tags(Resources=ids[-1:], Tags=[tag])
    text = 'region = "us-east-2"\ninstance_type = "p5.48xlarge"\nuse_capacity_block = true\n'
    for role, name in zip(("producers", "consumers"), ids, strict=True):
        text += f'[[capacity]]\ncapacity_reservation_id = "{name}"\n{role} = 1\n'
    write_environment(Path(), "dev", f'availability_zone = "us-east-2b"\n{text}')
    aws.advance(timedelta(hours=1))
    asked = cli("cost", "dev", "--json").json
    first, second = asked["requests"]
    assert (first["hours"], second["hours"]) == ("26.316667", "50.316667")
    assert (first["block"]["idle_instance_hours"], first["block"]["covered_hours"]) == ("0.5", "26.316667")
    longer = cli("cost", "dev", "--hours", "50")
    assert "It covers 26.3 of the 50 hours: its column is for these only." in longer.out
    assert "The column of the blocks counts less" in longer.out


def test_the_policy_of_cost_is_enough_and_all_of_it_is_needed(cli: Cli, aws: LocalAws, cost: Cost) -> None:
    block = bought(cli, aws)
    launched("prod", block)
    printed = cli("policy", "cost", "--env", "prod").out
    under(aws, printed)
    found = cost("prod", "--billed")
    assert found["running"]["parts"][0]["so_far"]["amount"]
    # And before there is a block.
    write_environment(Path(), "prod", BLOCK.format(name="prod", parameter="/nixl-efa/prod/other"))
    assert cost("prod")["requests"][0]["block"]["bought"] is False
    assert denied(aws) == []
    assert in_policy(json.loads(printed)) - used(aws) == set()


def members() -> dict[str, set[str]]:
    """The names of each part of the form on the page."""
    page = (ROOT / "docs" / "cost.md").read_text(encoding="utf-8").partition("## JSON")[2]
    rows = [line.split("|")[1:3] for line in page.splitlines() if line.startswith("| ")]
    return {name.strip(): set(cell.partition("`")[2].partition("`")[0].split()) for name, cell in rows}


def test_the_form_has_the_members_that_are_documented_and_no_others(
    cli: Cli, aws: LocalAws, cost: Cost
) -> None:
    launched("prod", bought(cli, aws))
    later = [one for one in usable(cli) if one["starts_in_seconds"] > 24 * 3600]
    assert cli.buy(later[0]).code == 0
    document, told = cost("prod", "--billed"), members()
    (request,) = document["requests"]
    assert set(document) == told["the document"]
    assert set(request) == told["one of `requests`"]
    for name in ("block", "next_block", "on_demand", "spot"):
        assert set(request[name]) == told[f"`{name}`"]
    assert set(request["break_even"][0]) == told["one of `break_even`"]
    assert set(document["running"]) == told["`running`"]
    assert set(document["running"]["parts"][0]) == told["one of `parts`"]
    assert set(document["billed"]) == told["`billed`"]
    assert set(document["left_addresses"]) == told["`left_addresses`"] - {"unknown"}


@pytest.mark.parametrize(
    ("words", "action"),
    [
        (("cost", "prod"), "GetProducts"),
        (("check", "dev"), "GetProducts"),
        (("capacity", "calendar", "--region", REGION), "DescribeCapacityBlockOfferings"),
    ],
)
def test_ctrl_c_does_not_wait_for_an_answer(
    cli: Cli, aws: LocalAws, cost: Cost, words: tuple[str, ...], action: str
) -> None:
    aws.faults.add(action, delay=10, times=None)
    aws.calls.clear()
    process = cli.start(*words)
    until(lambda: actions(aws, action) >= 1, process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert time.monotonic() - began < 5
