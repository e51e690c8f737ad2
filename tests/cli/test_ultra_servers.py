"""UltraServers at the command line, against the local AWS: one purchase, several reservations, one environment."""

from datetime import datetime
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from moto.ec2.models import ec2_backends

from local_aws import LocalAws
from local_aws.ec2.backend import Backend as Ec2
from tests.cli.conftest import ID_NAME, Cli, actions, locked, write_environment

GB200 = """region = "us-east-1"
instance_type = "p6e-gb200.36xlarge"
use_capacity_block = true
capacity_reservation_parameter = "{parameter}"
availability_zone_parameter = "/nixl-efa/prod/availability-zone"
"""


@pytest.fixture
def opted_in(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """EC2 of us-east-1 of an account that has opted in to Dallas; prod's type is p6e-gb200.36xlarge there."""
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    write_environment(Path(), "prod", GB200.format(parameter=ID_NAME))
    ec2 = boto3.client("ec2", region_name="us-east-1")
    ec2.modify_availability_zone_group(GroupName="us-east-1-dfw-2", OptInStatus="opted-in")
    return ec2


def offer(cli: Cli, *what: str) -> dict[str, Any]:
    found = cli("capacity", "search", *what, "--sort", "start", "--json")
    assert found.code == 0, found.err
    return next(one for one in found.json["offerings"] if not one["shorter_than_asked"])


@pytest.mark.usefixtures("opted_in")
def test_a_search_by_the_pair_s_type_finds_every_ultra_server_of_it(cli: Cli) -> None:
    found = cli("capacity", "search", "p6e-gb200.36xlarge", "--json").json["offerings"]
    sizes = {(one["ultraserver_type"], one["ultraserver_count"], one["instance_count"]) for one in found}
    assert sizes == {("u-p6e-gb200x36", 1, 9), ("u-p6e-gb200x72", 1, 18)}
    shown = cli("capacity", "search", "u-p6e-gb200x72")
    assert "yes, 18 instances (1 x u-p6e-gb200x72)" in shown.out


@pytest.mark.usefixtures("opted_in")
def test_a_calendar_says_what_an_ultra_server_holds_and_that_its_instances_end_an_hour_before(
    aws: LocalAws, cli: Cli
) -> None:
    bought = cli.buy(offer(cli, "u-p6e-gb200x36"))
    assert bought.code == 0, bought.err
    shown = cli("capacity", "calendar", "--env", "prod", "--hours", "24")
    assert shown.code == 0, shown.err
    text = " ".join(shown.out.split())
    assert "OFFERS: 2 x p6e-gb200.36xlarge, USD for an instance-hour" in text
    assert "18 instances (1 x u-p6e-gb200x72)" in text
    assert "9 instances (1 x u-p6e-gb200x36)" in text
    assert "for prod (same purchase)" in text
    assert "EC2 terminates its instances from 10:30 UTC on" in text
    assert "no environment uses it" not in text
    # A command stays whole, so that it can be pasted.
    assert max(len(line) for line in shown.out.splitlines() if not line.strip().startswith("`")) <= 80


def test_without_opt_in_nothing_is_shown_and_why_is_said(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    shown = cli("capacity", "search", "u-p6e-gb200x72")
    assert shown.code == 0
    assert "opted in" in shown.err


def test_an_ultra_server_is_bought_once_saved_shown_and_extended(
    aws: LocalAws, cli: Cli, opted_in: Any
) -> None:
    chosen = offer(cli, "u-p6e-gb200x72")

    bought = cli.buy(chosen)

    assert bought.code == 0, bought.err
    assert "18 x p6e-gb200.36xlarge (1 x u-p6e-gb200x72) in us-east-1-dfw-2a" in bought.err
    assert "It holds 18 instances, and prod launches 2." in bought.err
    first, second = bought.out.split()
    assert f"{first}, {second} were bought together" in bought.err
    assert f"{second} of the same purchase: no node of this environment is launched there." in bought.err
    there = opted_in.describe_capacity_reservations()["CapacityReservations"]
    assert {one["CapacityReservationId"] for one in there} == {first, second}
    parameter = boto3.client("ssm", region_name="us-east-1").get_parameter(Name=ID_NAME)["Parameter"]
    assert parameter["Value"] == first
    assert not locked()

    again = cli.buy(chosen)
    assert (again.code, again.out.split()) == (0, [first, second])
    assert actions(aws, "PurchaseCapacityBlock") == 1

    rows = {one["reservation_id"]: one for one in cli.reservations()}
    assert rows[first]["used_by"] == [{"environment": "prod", "as": "current"}]
    assert rows[second]["used_by"] == [{"environment": "prod", "as": "same purchase"}]
    assert "FAIL" not in cli("capacity", "list").err
    assert rows[second]["ultraservers"] == "1 x u-p6e-gb200x72"
    assert rows[first]["capacity_block_id"] == rows[second]["capacity_block_id"]
    shown = cli("capacity", "show", second)
    assert "launches     unlaunchable" in shown.out
    assert "used by      prod (same purchase)" in shown.out
    assert f"fee          {chosen['fee']} USD pending for 1 x u-p6e-gb200x72" in shown.out

    aws.clock.set(datetime.fromisoformat(chosen["start"]))
    extended = cli("capacity", "extend", first, "--hours", "24", "--yes", "--max-fee", "99999")
    assert extended.code == 0, extended.err
    assert "18 x p6e-gb200.36xlarge" in extended.err
    twice = cli("capacity", "extend", second, "--hours", "24", "--yes", "--max-fee", "99999")
    assert twice.code == 1
    assert actions(aws, "PurchaseCapacityBlockExtension") == 1


def test_a_lost_answer_finds_both_reservations(aws: LocalAws, cli: Cli, opted_in: Any) -> None:
    chosen = offer(cli, "u-p6e-gb200x36")
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    bought = cli.buy(chosen)
    assert bought.code == 0, bought.err
    there = opted_in.describe_capacity_reservations()["CapacityReservations"]
    assert {*bought.out.split()} == {one["CapacityReservationId"] for one in there}
    assert len(there) == 2


def test_a_part_of_the_purchase_that_ec2_does_not_show_yet_is_waited_for(
    aws: LocalAws, cli: Cli, opted_in: Any
) -> None:
    chosen = offer(cli, "u-p6e-gb200x36")
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    added: list[str] = []
    add = Ec2.add_reservation

    def late(self: Any, reservation: Any, tags: Any) -> Any:
        if added:
            reservation.hidden_reads = 1000
        added.append(reservation.id)
        return add(self, reservation, tags)

    with patch.object(Ec2, "add_reservation", late):
        unclear = cli.buy(chosen, "--look-seconds", "1")
    assert (unclear.code, locked()) == (1, True)
    assert f"EC2 shows only a part of the purchase, {added[0]}." in unclear.err
    ec2_backends["123456789012"]["us-east-1"].capacity_reservations[added[1]].hidden_reads = 0
    bought = cli.buy(chosen)
    assert (bought.code, bought.out.split()) == (0, added)
    assert (actions(aws, "PurchaseCapacityBlock"), locked()) == (1, False)


def test_the_ultra_servers_of_one_purchase_are_extended_one_after_the_other(
    aws: LocalAws, cli: Cli, opted_in: Any
) -> None:
    chosen = offer(cli, "u-p6e-gb200x36", "2")
    ids = cli.buy(chosen).out.split()
    assert len(ids) == 4
    aws.clock.set(datetime.fromisoformat(chosen["start"]))
    for one in ids[:2]:
        extended = cli("capacity", "extend", one, "--hours", "48", "--yes", "--max-fee", "99999")
        assert extended.code == 0, extended.err
        assert "both are paid for" not in extended.err
    assert actions(aws, "PurchaseCapacityBlockExtension") == 2


def test_the_successor_of_an_ultra_server_is_kept_as_the_next_one(cli: Cli, opted_in: Any) -> None:
    first = cli.buy(offer(cli, "u-p6e-gb200x36"))
    assert first.code == 0, first.err
    found = cli("capacity", "search", "u-p6e-gb200x36", "--from", "+2d", "--sort", "start", "--json").json
    later = next(one for one in found["offerings"] if not one["shorter_than_asked"])
    following = cli.buy(later)
    assert following.code == 0, following.err
    assert "as its next block" in following.err


def following_offer(cli: Cli) -> dict[str, Any]:
    return offer(cli, "u-p6e-gb200x36", "--from", "+2d")


def test_the_next_block_can_be_another_reservation_of_its_purchase(cli: Cli, opted_in: Any) -> None:
    current = cli.buy(offer(cli, "u-p6e-gb200x36")).out.split()[0]
    _, second = cli.buy(following_offer(cli)).out.split()
    saved = cli("capacity", "save", second, "--env", "prod")
    assert saved.code == 0, saved.err
    loaded = cli("capacity", "load", "--env", "prod", "--json").json
    assert (loaded["reservation_id"], loaded["next_reservation_id"]) == (current, second)


def test_what_lives_of_a_purchase_is_told_where_the_environment_s_reservation_of_it_has_failed(
    aws: LocalAws, cli: Cli, opted_in: Any
) -> None:
    first, second = cli.buy(offer(cli, "u-p6e-gb200x36")).out.split()
    failing = ec2_backends["123456789012"]["us-east-1"].capacity_reservations[first]
    failing.fails = True
    aws.clock.set(failing.paid)
    refused = cli.buy(following_offer(cli))
    assert refused.code == 1
    assert f"prod has {second} (scheduled" in refused.err
    assert actions(aws, "PurchaseCapacityBlock") == 1
    assert cli("capacity", "save", second, "--env", "prod").code == 0


def test_ec2_s_refusal_of_an_account_that_may_not_buy_ultra_servers_is_shown_as_it_is(
    aws: LocalAws, cli: Cli, opted_in: Any
) -> None:
    # Seen by an account that had asked for u-trn2x64. (The code was not told.)
    call = "DescribeCapacityBlockOfferings"
    words = f"This AWS Account is not authorized to call {call} API when requesting an EC2 UltraServer"
    aws.faults.add(call, code="UnauthorizedOperation", message=words)
    refused = cli("capacity", "search", "u-trn2x64", "--region", "us-east-2")
    assert refused.code == 1
    assert "AWS does not sell UltraServers to this account" in refused.err
    assert words in refused.err
    assert "no permission of a role or user gives it" in refused.err
