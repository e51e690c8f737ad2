"""An extension counts only when it is paid: what is said of it from its purchase on."""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import Cli, Result, actions

EXTENSION = "PurchaseCapacityBlockExtension"
PENDING = timedelta(minutes=6)


@pytest.fixture
def block(cli: Cli, aws: LocalAws) -> dict[str, Any]:
    """prod's block, which is paid."""
    bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    aws.advance(PENDING)
    (one,) = cli.reservations()
    return one


def extend(cli: Cli, block: dict[str, Any], *more: str, hours: int = 24) -> Result:
    words = (block["reservation_id"], "--hours", str(hours), "--yes", "--max-fee", "999999")
    return cli("capacity", "extend", *words, *more)


def ends(block: dict[str, Any], hours: int = 24) -> tuple[str, str]:
    """The old and the new end in words."""
    old = datetime.fromisoformat(block["end"])
    return f"{old:%Y-%m-%d %H:%M}", f"{old + timedelta(hours=hours):%Y-%m-%d %H:%M}"


def said(cli: Cli, block: dict[str, Any], command: str) -> str:
    """What a command says of the block."""
    words = {
        "show": ("capacity", "show", block["reservation_id"]),
        "list": ("capacity", "list"),
        "check": ("check", "prod"),
    }[command]
    result = cli(*words)
    return result.out + result.err


def test_an_extension_is_bought_and_its_payment_is_pending(
    cli: Cli, aws: LocalAws, block: dict[str, Any]
) -> None:
    bought = extend(cli, block)
    assert bought.code == 0, bought.err
    old, new = ends(block)
    assert "bought, payment pending" in bought.err
    assert new in bought.err
    assert f"extended to {new}" not in bought.err
    assert f"nixl-efa capacity wait {block['reservation_id']} --extension" in bought.err
    (one,) = cli.reservations()
    # Until it is paid, the block ends as before.
    assert (one["end"], one["extension"]["status"]) == (block["end"], "payment-pending")
    assert (one["extension"]["old_end"][:16], one["extension"]["new_end"][:16]) == (
        old.replace(" ", "T"),
        new.replace(" ", "T"),
    )


@pytest.mark.parametrize(
    ("command", "state"),
    [*((command, state) for command in ("show", "list", "check") for state in ("pending", "paid", "failed"))],
)
def test_the_state_of_an_extension_is_said_with_both_ends(
    cli: Cli, aws: LocalAws, block: dict[str, Any], command: str, state: str
) -> None:
    aws.world.payment_fails = state == "failed"
    assert extend(cli, block).code == 0
    if state != "pending":
        aws.advance(PENDING)
    told = said(cli, block, command)
    old, new = ends(block)
    assert new in told or new[5:] in told
    if state != "paid" or command == "show":
        assert old in told
    words = {
        "pending": "pending",
        "failed": "failed",
        "paid": "payment-succeeded" if command == "show" else "",
    }
    assert words[state] in told


@pytest.mark.parametrize(
    ("state", "code", "words"),
    [("pending", 1, "still pending"), ("paid", 0, "that is paid"), ("failed", 1, "failed")],
)
def test_waiting_for_the_payment_of_an_extension(
    cli: Cli, aws: LocalAws, block: dict[str, Any], state: str, code: int, words: str
) -> None:
    aws.world.payment_fails = state == "failed"
    assert extend(cli, block).code == 0
    if state != "pending":
        aws.advance(PENDING)
    waited = cli("capacity", "wait", block["reservation_id"], "--extension", "--timeout", "0s")
    assert (waited.code, words in waited.out + waited.err) == (code, True)
    old, new = ends(block)
    if state != "pending":
        assert (new if state == "paid" else old) in waited.out + waited.err


def test_waiting_for_an_extension_that_nobody_bought_ends_at_once(cli: Cli, block: dict[str, Any]) -> None:
    waited = cli("capacity", "wait", block["reservation_id"], "--extension")
    assert (waited.code, "no extension" in waited.err) == (1, True)


def test_after_a_failed_payment_it_can_be_extended_again(
    cli: Cli, aws: LocalAws, block: dict[str, Any]
) -> None:
    aws.world.payment_fails = True
    assert extend(cli, block).code == 0
    aws.advance(PENDING)
    aws.world.payment_fails = False
    again = extend(cli, block, "--json")
    assert (again.code, again.json["outcome"]) == (0, "bought"), again.err
    aws.advance(PENDING)
    (one,) = cli.reservations()
    assert one["extension"]["status"] == "payment-succeeded"
    assert one["end"] == one["extension"]["new_end"] != block["end"]


def test_there_is_no_second_extension_while_one_is_pending(
    cli: Cli, aws: LocalAws, block: dict[str, Any]
) -> None:
    assert extend(cli, block).code == 0
    refused = extend(cli, block)
    assert (refused.code, "not yet paid" in refused.err) == (1, True)
    assert actions(aws, EXTENSION) == 1


@pytest.mark.parametrize(("before_end", "warned"), [(12, True), (3, True), (20, False)])
def test_one_that_is_bought_in_the_last_hours_may_not_be_paid_in_time(
    cli: Cli, aws: LocalAws, block: dict[str, Any], before_end: int, warned: bool
) -> None:
    end = datetime.fromisoformat(block["end"])
    aws.advance(end - timedelta(hours=before_end) - aws.clock.now())
    shown = cli("capacity", "extend", block["reservation_id"], "--hours", "24", stdin="no\n")
    before, asked, _ = shown.err.partition("type the fee")
    assert asked, shown.err
    assert ("WARN" in before and "may not be paid in time" in before) is warned
    # At the latest 35 minutes before the old end (EC2 user guide, capacity-blocks-extend).
    assert (f"{end - timedelta(minutes=35):%Y-%m-%d %H:%M}" in before) is warned
    assert actions(aws, EXTENSION) == 0


def test_in_the_last_hour_nothing_is_extended(cli: Cli, aws: LocalAws, block: dict[str, Any]) -> None:
    aws.advance(datetime.fromisoformat(block["end"]) - timedelta(minutes=59) - aws.clock.now())
    refused = extend(cli, block)
    assert (refused.code, "1 hour before" in refused.err) == (1, True)
    assert actions(aws, EXTENSION) == 0


def test_a_block_lasts_at_most_182_days_with_its_extensions(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "2", "4368", "--sort", "start", "--json").json
    offering = next(one for one in found["offerings"] if one["usable"] and not one["shorter_than_asked"])
    cli.buy(offering, "--max-fee", "99999999")
    aws.advance(PENDING)
    (one,) = cli.reservations()
    refused = extend(cli, one)
    assert (refused.code, "182 days" in refused.err) == (1, True)
    assert actions(aws, EXTENSION) == 0


def test_256_instances_in_blocks_are_said_before_the_fee(cli: Cli, aws: LocalAws) -> None:
    for region in ("us-east-1", "us-east-2", "us-west-2", "eu-north-1"):
        ec2 = boto3.client("ec2", region_name=region)
        offered = ec2.describe_capacity_block_offerings(
            InstanceType="p5.48xlarge", InstanceCount=64, CapacityDurationHours=24
        )["CapacityBlockOfferings"]
        whole = next(one for one in offered if not one.get("CapacityBlockOfferingSegments"))
        ec2.purchase_capacity_block(
            CapacityBlockOfferingId=whole["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
        )
    shown = cli("capacity", "buy", cli.offer()["offering_id"], "--env", "prod", stdin="no\n")
    before, asked, _ = shown.err.partition("type the fee")
    assert asked, shown.err
    assert "WARN: instances: " in before
    assert "256" in before


def test_a_block_of_an_environment_that_is_gone_is_extended(
    cli: Cli, aws: LocalAws, block: dict[str, Any]
) -> None:
    (Path("environments") / "prod.toml").unlink()
    bought = extend(cli, block)
    assert (bought.code, bought.out.strip()) == (0, block["reservation_id"]), bought.err
    assert actions(aws, EXTENSION) == 1


def test_a_page_in_place_of_the_history_of_extensions_extends_nothing(
    cli: Cli, aws: LocalAws, block: dict[str, Any]
) -> None:
    aws.faults.add("DescribeCapacityBlockExtensionHistory", answer="html", times=None)
    assert extend(cli, block).code == 1
    assert actions(aws, EXTENSION) == 0
