"""`capacity list`, `show`, `wait`, `extend` and `cancel`."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import BLOCK, ID_NAME, REGION, Cli, actions, write_environment
from tests.nodes.test_environments import leave_behind


@pytest.fixture
def block(cli: Cli, aws: LocalAws) -> str:
    """A block that was bought for prod, still to be paid."""
    bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    return bought.out.strip()


def on_demand() -> str:
    """An On-Demand Capacity Reservation."""
    ec2 = boto3.client("ec2", region_name=REGION)
    made = ec2.create_capacity_reservation(
        InstanceType="g7e.8xlarge",
        InstancePlatform="Linux/UNIX",
        AvailabilityZone=f"{REGION}a",
        InstanceCount=2,
    )
    return made["CapacityReservation"]["CapacityReservationId"]


def start(cli: Cli, aws: LocalAws, reservation_id: str) -> None:
    """Moves the clock to just after the block's start."""
    (one,) = [one for one in cli.reservations() if one["reservation_id"] == reservation_id]
    from datetime import datetime

    begins = datetime.fromisoformat(one["start"].replace("Z", "+00:00"))
    aws.advance(max(begins - aws.clock.now(), timedelta(0)) + timedelta(minutes=6))


def test_the_size_of_a_scheduled_block_is_known_although_ec2_counts_none(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    aws.advance(timedelta(minutes=6))
    (one,) = cli.reservations()
    assert (one["state"], one["kind"], one["instance_count"], one["free_count"]) == (
        "scheduled", "capacity-block", 2, 0,
    )  # fmt: skip


def test_the_list_shows_blocks_and_on_demand_reservations_of_all_regions(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    other = on_demand()
    listed = cli("capacity", "list", "--region", "all", "--json").json
    kinds = {one["reservation_id"]: one["kind"] for one in listed["reservations"]}
    assert kinds == {block: "capacity-block", other: "on-demand"}
    table = cli("capacity", "list", "--region", "all").out
    assert all(part in table for part in (block, other, "prod", "USD", "g7e.8xlarge"))


def test_a_region_that_fails_is_named_in_the_list(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add("DescribeCapacityReservations", code="OptInRequired", message="no")
    listed = cli("capacity", "list", "--region", "us-east-1", "--region", "us-west-2", "--json")
    assert listed.code == 0
    assert len(listed.json["failed_regions"]) == 1


def test_a_list_without_permission_for_parameter_store_still_lists(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    aws.faults.add("GetParameters", code="AccessDeniedException", message="no")
    listed = cli("capacity", "list", "--json")
    assert [one["reservation_id"] for one in listed.json["reservations"]] == [block]
    assert "ssm:GetParameters" in listed.err


def test_one_reservation_is_shown_with_all_that_is_known(cli: Cli, aws: LocalAws, block: str) -> None:
    shown = cli("capacity", "show", block)
    for part in (block, "payment-pending", "2, of which 0 free now", "prod", "nixl-efa:purchase"):
        assert part in shown.out
    form = cli("capacity", "show", block, "--json").json
    assert form["schema"] == "nixl-efa/capacity-reservation/1"
    assert form["seconds_left"] > 0


def test_an_unknown_reservation_is_said_to_be_unknown(cli: Cli, aws: LocalAws) -> None:
    missing = cli("capacity", "show", "cr-00000000000000000")
    assert (missing.code, "there is no reservation cr-00000000000000000" in missing.err) == (1, True)
    assert cli("capacity", "show", "i-0").code == 2


def test_waiting_ends_when_the_block_is_active(cli: Cli, aws: LocalAws, block: str) -> None:
    aws.clock.run(200_000)
    waited = cli("capacity", "wait", block, "--for", "active", "--poll", "0.1")
    assert (waited.code, waited.out) == (0, f"{block} is active\n")


def test_waiting_for_a_payment_that_failed_ends_at_once(cli: Cli, aws: LocalAws) -> None:
    aws.world.payment_fails = True
    block = cli.buy(cli.offer()).out.strip()
    aws.advance(timedelta(hours=13))
    waited = cli("capacity", "wait", block)
    assert (waited.code, "payment-failed: it will never be active" in waited.err) == (1, True)


@pytest.mark.parametrize(("wanted", "code"), [("active", 1), ("expired", 0)])
def test_waiting_for_a_block_that_has_ended(
    cli: Cli, aws: LocalAws, block: str, wanted: str, code: int
) -> None:
    aws.advance(timedelta(days=70))
    assert cli("capacity", "wait", block, "--for", wanted).code == code


def test_waiting_gives_up_after_its_timeout(cli: Cli, aws: LocalAws, block: str) -> None:
    waited = cli("capacity", "wait", block, "--timeout", "1s", "--poll", "0.2")
    assert (waited.code, "still payment-pending after 1 s, and not active" in waited.err) == (1, True)


@pytest.mark.parametrize(("option", "value"), [("--timeout", "soon"), ("--for", "cancelled")])
def test_waiting_for_what_can_not_be_is_refused(cli: Cli, aws: LocalAws, option: str, value: str) -> None:
    refused = cli("capacity", "wait", "cr-00000000", option, value)
    assert (refused.code, f"{option} '{value}'" in refused.err) == (2, True)


def extend(cli: Cli, block: str, *arguments: str) -> Any:
    return cli("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "99999", *arguments)


def test_an_active_block_is_extended_once_under_the_same_id(cli: Cli, aws: LocalAws, block: str) -> None:
    start(cli, aws, block)
    before = cli("capacity", "show", block, "--json").json["end"]
    extended = extend(cli, block, "--json")
    assert extended.code == 0, extended.err
    assert extended.json["reservation_ids"] == [block]
    aws.advance(timedelta(minutes=6))
    assert cli("capacity", "show", block, "--json").json["end"] > before
    assert actions(aws, "PurchaseCapacityBlockExtension") == 1


def test_an_extension_is_in_what_was_paid_once_it_is_paid(cli: Cli, aws: LocalAws, block: str) -> None:
    def cost() -> tuple[dict[str, Any], str, str]:
        shown = cli("capacity", "show", block, "--json").json
        return shown, cli("capacity", "list").out, cli("capacity", "show", block).out

    own = cli.reservations()[0]["fee"].removesuffix(" USD")
    shown, listed, told = cost()
    assert (shown["paid"], shown["payment_pending"]) == (None, f"{own} USD")
    assert f"{own} USD pending" in told
    start(cli, aws, block)
    assert extend(cli, block).code == 0
    shown, listed, told = cost()
    added = shown["extension"]["fee"]
    assert (shown["paid"], shown["payment_pending"]) == (f"{own} USD", f"{added} USD")
    assert f"{own} USD, {added} USD pending" in told
    aws.advance(timedelta(minutes=6))
    shown, listed, told = cost()
    total = f"{Decimal(own) + Decimal(added)} USD"
    assert (shown["fee"], shown["paid"], shown["payment_pending"]) == (f"{own} USD", total, None)
    assert f"fee          {total}\n" in told
    assert total in listed
    # It stays so when the block is over.
    aws.advance(timedelta(days=70))
    shown, listed, _ = cost()
    assert (shown["state"], shown["paid"]) == ("expired", total)
    assert total in listed


def test_where_extensions_can_not_be_asked_for_the_fee_is_said_to_be_without_them(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    aws.faults.add("DescribeCapacityBlockExtensionHistory", code="UnauthorizedOperation", times=2)
    assert "USD without extensions" in cli("capacity", "show", block).out
    assert cli("capacity", "show", block, "--json").json["paid"] is None


def test_an_extension_whose_answer_is_lost_is_found_in_its_history(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    start(cli, aws, block)
    aws.faults.add("PurchaseCapacityBlockExtension", lose_answer=True)
    extended = extend(cli, block)
    assert (extended.code, extended.out.strip()) == (0, block)
    assert actions(aws, "PurchaseCapacityBlockExtension") == 1


def test_a_fee_above_the_limit_extends_nothing(cli: Cli, aws: LocalAws, block: str) -> None:
    start(cli, aws, block)
    refused = cli("capacity", "extend", block, "--hours", "24", "--yes", "--max-fee", "1")
    assert (refused.code, "more than --max-fee" in refused.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlockExtension") == 0


def test_the_dry_run_of_an_extension_buys_nothing(cli: Cli, aws: LocalAws, block: str) -> None:
    start(cli, aws, block)
    assert extend(cli, block, "--dry-run").code == 0
    assert aws.calls.all()[-1].code == "DryRunOperation"


@pytest.mark.parametrize(("hours", "reason"), [("25", "The nearest: 24 or 48"), ("24", "is payment-pending")])
def test_an_extension_that_aws_does_not_sell_is_refused(
    cli: Cli, aws: LocalAws, block: str, hours: str, reason: str
) -> None:
    refused = cli("capacity", "extend", block, "--hours", hours, "--yes", "--max-fee", "99999")
    assert refused.code != 0
    assert reason in refused.err
    assert actions(aws, "DescribeCapacityBlockExtensionOfferings") == 0


def test_an_on_demand_reservation_is_cancelled_when_agreed(cli: Cli, aws: LocalAws) -> None:
    reservation_id = on_demand()
    assert cli("capacity", "cancel", reservation_id, stdin="n\n").code == 1
    assert actions(aws, "CancelCapacityReservation") == 0
    assert cli("capacity", "cancel", reservation_id, stdin="y\n").code == 0
    assert cli.reservations()[0]["state"] == "cancelled"


def test_a_block_is_not_cancelled_because_aws_does_not_allow_it(cli: Cli, aws: LocalAws, block: str) -> None:
    refused = cli("capacity", "cancel", block, "--yes")
    assert (refused.code, "AWS does not allow cancelling one" in refused.err) == (1, True)
    assert actions(aws, "CancelCapacityReservation") == 0


def test_the_list_says_what_speaks_against_a_reservation_for_who_uses_it(
    cli: Cli, aws: LocalAws, block: str
) -> None:
    assert "FAIL" not in cli("capacity", "list").err
    write_environment(Path(), "prod", BLOCK.format(name="prod", parameter=ID_NAME).replace("p5.", "p5e."))
    assert (
        f"FAIL: prod: {block} is for p5.48xlarge, but instance_type is p5e.48xlarge"
        in cli("capacity", "list").err
    )


def test_the_list_warns_of_a_state_that_lost_its_environment_and_so_does_its_name(
    cli: Cli, aws: LocalAws
) -> None:
    leave_behind(Path(), "old")
    listed = cli("capacity", "list")
    assert (listed.code, "WARN: state/nixl-efa-old.tfstate still holds" in listed.err) == (0, True)
    refused = cli("capacity", "buy", "cb-0123456789abcdef0", "--env", "old")
    assert refused.code == 2
    assert "there is no such environment" in refused.err
    assert "run `cdktf destroy nixl-efa-old`." in refused.err
