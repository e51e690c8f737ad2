"""`capacity buy`: what it asks, what stops it, and what it leaves behind."""

from pathlib import Path
from unittest.mock import patch

import boto3
import pytest

from local_aws import LocalAws
from tests.cli.conftest import ID_NAME, REGION, Cli, actions, stored, write_environment


def test_a_block_is_bought_by_its_id_alone_and_saved(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    write_environment(Path(), "dev", 'instance_type = "g7e.8xlarge"\n')
    bought = cli("capacity", "buy", offering["offering_id"], stdin=offering["fee"] + "\n")
    assert bought.code == 0, bought.err
    reservation_id = bought.out.strip()
    assert [one["reservation_id"] for one in cli.reservations()] == [reservation_id]
    assert "for environment 'prod', the only one that it fits" in bought.err
    assert stored(ID_NAME) == reservation_id
    assert stored("/nixl-efa/prod/availability-zone") == offering["availability_zone"]


def test_the_question_shows_what_is_bought_and_what_can_not_be_undone(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    shown = cli("capacity", "buy", offering["offering_id"], "--env", "prod", stdin="no\n")
    assert shown.code != 0
    for part in ("2 x p5.48xlarge", offering["availability_zone"], "can't be cancelled", "UTC", "prod"):
        assert part in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("answer", ["", "\n", "yes\n", "1\n"])
def test_anything_but_the_fee_buys_nothing(cli: Cli, aws: LocalAws, answer: str) -> None:
    offering = cli.offer()
    assert cli("capacity", "buy", offering["offering_id"], "--env", "prod", stdin=answer).code != 0
    assert actions(aws, "PurchaseCapacityBlock") == 0
    assert cli.reservations() == []


def test_it_is_saved_where_the_environment_reads_it_and_nowhere_else(cli: Cli, aws: LocalAws) -> None:
    bought = cli.buy(cli.offer(), "--env", "dev")
    assert bought.code == 0, bought.err
    names = {
        one["Name"] for one in boto3.client("ssm", region_name=REGION).describe_parameters()["Parameters"]
    }
    assert {name for name in names if name.startswith(("/nixl-efa", "/team"))} == {
        "/nixl-efa/dev/availability-zone",
        "/team/dev-block",
    }


def test_the_reservation_says_who_it_is_for_and_what_it_cost(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    cli.buy(offering)
    (one,) = cli.reservations()
    assert one["fee"] == f"{offering['fee']} USD"
    assert one["tags"]["nixl-efa:environment"] == "prod"
    assert one["environments"] == ["prod"]
    assert one["instance_count"] == 2


def test_yes_needs_a_limit(cli: Cli, aws: LocalAws) -> None:
    refused = cli("capacity", "buy", "cb-0", "--yes")
    assert (refused.code, "--max-fee" in refused.err) == (2, True)
    assert not aws.calls.all()


def test_a_fee_that_has_risen_since_the_search_stops(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.world.price_factor = 1.1
    stopped = cli.buy(offering)
    assert (stopped.code, "has risen from" in stopped.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlock") == 0


def test_an_offering_that_is_gone_stops(cli: Cli, aws: LocalAws) -> None:
    from datetime import timedelta

    offering = cli.offer()
    aws.advance(timedelta(days=60))
    stopped = cli.buy(offering)
    assert (stopped.code, "is gone" in stopped.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlock") == 0


def test_an_offering_that_expires_between_look_and_purchase_is_not_bought(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", code="InvalidCapacityBlockOfferingIdExpired", message="expired")
    stopped = cli.buy(offering)
    assert stopped.code == 1
    assert "nothing was bought" in stopped.err
    assert "InvalidCapacityBlockOfferingIdExpired" in stopped.err
    assert cli.buy(offering).code == 0


def test_a_dry_run_asks_ec2_and_buys_nothing(cli: Cli, aws: LocalAws) -> None:
    tried = cli("capacity", "buy", cli.offer()["offering_id"], "--env", "prod", "--dry-run", "--json")
    assert tried.json["outcome"] == "dry-run"
    assert aws.calls.all()[-1].code == "DryRunOperation"
    assert cli.reservations() == []


def test_a_dry_run_keeps_to_the_limit_of_the_fee(cli: Cli) -> None:
    tried = cli(
        *("capacity", "buy", cli.offer()["offering_id"], "--env", "prod"),
        *("--dry-run", "--yes", "--max-fee", "5"),
    )
    assert tried.code == 1
    assert "more than --max-fee 5.00: nothing was bought" in tried.err


def test_a_dry_run_without_permission_names_it(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", code="UnauthorizedOperation", message="no")
    refused = cli("capacity", "buy", offering["offering_id"], "--env", "prod", "--dry-run")
    assert (refused.code, "ec2:PurchaseCapacityBlock" in refused.err) == (1, True)


@pytest.mark.parametrize(
    ("action", "code", "permission"),
    [
        ("PurchaseCapacityBlock", "UnauthorizedOperation", "ec2:PurchaseCapacityBlock"),
        ("PutParameter", "AccessDeniedException", "ssm:PutParameter"),
        ("DescribeCapacityBlockOfferings", "UnauthorizedOperation", "ec2:DescribeCapacityBlockOfferings"),
    ],
)
def test_no_permission_names_which_one_and_buys_nothing(
    cli: Cli, aws: LocalAws, action: str, code: str, permission: str
) -> None:
    offering = cli.offer()
    aws.faults.add(action, code=code, message="denied", times=1)
    refused = cli.buy(offering)
    assert (refused.code, permission in refused.err) == (1, True)
    assert cli.reservations() == []


def test_the_permission_that_aws_itself_names_is_the_one_that_is_said(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    words = "User: arn:aws:iam::1:user/ada is not authorized to perform: ec2:CreateTags on resource: *"
    aws.faults.add("PurchaseCapacityBlock", code="UnauthorizedOperation", message=words)
    assert "ec2:CreateTags" in cli.buy(offering).err


@pytest.mark.parametrize("price_factor", [1, 0.75])
def test_an_offering_in_pieces_is_not_bought_nor_taken_for_the_whole_when_prices_fall(
    cli: Cli, aws: LocalAws, price_factor: float
) -> None:
    search = cli("capacity", "search", "p5.48xlarge", "--json")
    split = next(one for one in search.json["offerings"] if not one["usable"])
    aws.world.price_factor = price_factor
    refused = cli.buy(split)
    assert (refused.code, "A pair can't use it: 2 segments" in refused.err) == (1, True)
    assert cli.reservations() == []


def test_an_unknown_offering_says_what_to_give(cli: Cli, aws: LocalAws) -> None:
    refused = cli("capacity", "buy", "cb-00000000000000000")
    assert refused.code == 2
    assert "Search again, or give --type, --count, --hours and --region" in refused.err


def test_an_offering_of_another_machine_can_not_be_looked_up_since_each_search_gives_new_ids(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offering = cli.offer()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "other"))
    options = ("--type", "p5.48xlarge", "--count", "2", "--hours", "24", "--region", REGION)
    refused = cli.buy(offering, *options)
    assert (refused.code, "has another id now" in refused.err) == (1, True)
    assert cli.reservations() == []
    # What a search here shows can be bought.
    assert cli.buy(cli.offer()).code == 0


def test_a_block_in_use_is_only_replaced_when_asked_for(cli: Cli, aws: LocalAws) -> None:
    offered = cli("capacity", "search", "p5.48xlarge", "--sort", "start", "--json").json["offerings"]
    usable = [one for one in offered if one["usable"] and not one["shorter_than_asked"]]
    last = max(usable, key=lambda one: str(one["end"]))
    other = next(one for one in usable if one is not last)
    first = cli.buy(last).out.strip()
    refused = cli.buy(other)
    assert (refused.code, first in refused.err, "--replace" in refused.err) == (1, True, True)
    assert actions(aws, "PurchaseCapacityBlock") == 1
    second = cli.buy(other, "--replace")
    assert second.code == 0, second.err
    assert stored(ID_NAME) == second.out.strip() != first


def test_the_same_command_again_buys_nothing_more(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    first, second = cli.buy(offering), cli.buy(offering)
    assert (second.code, second.out) == (0, first.out)
    assert "has bought" in second.err
    assert actions(aws, "PurchaseCapacityBlock") == 1


def test_a_purchase_that_can_not_be_saved_is_said_and_kept(cli: Cli, aws: LocalAws) -> None:
    from nixl_efa.capacity import parameters
    from nixl_efa.failure import Failure

    offering = cli.offer()
    with patch.object(parameters, "write", side_effect=Failure("no room")):
        bought = cli.buy(offering)
    (one,) = cli.reservations()
    assert bought.code == 1
    assert bought.out.strip() == one["reservation_id"]
    assert f"{one['reservation_id']} was bought, but not saved for 'prod' (no room)" in bought.err
    assert f"nixl-efa capacity save {one['reservation_id']} --env prod" in bought.err


def test_a_journal_that_can_not_be_written_buys_nothing(cli: Cli, aws: LocalAws, tmp_path: Path) -> None:
    offering = cli.offer()
    journal = tmp_path / "state" / "nixl-efa" / "purchases"
    journal.write_text("a file where the directory should be")
    refused = cli.buy(offering)
    assert refused.code == 1
    assert "nothing was bought: the journal" in refused.err
    assert "XDG_STATE_HOME" in refused.err
    assert actions(aws, "PurchaseCapacityBlock") == 0


def test_a_journal_that_can_not_be_read_buys_nothing(cli: Cli, aws: LocalAws, tmp_path: Path) -> None:
    offering = cli.offer()
    journal = tmp_path / "state" / "nixl-efa" / "purchases"
    journal.mkdir()
    (journal / "nixl-efa-1.json").write_text("{")
    refused = cli.buy(offering)
    assert (refused.code, "can't be read" in refused.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlock") == 0


def test_what_is_bought_as_json_has_its_documented_members(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    document = cli.buy(offering, "--json").json
    assert document["schema"] == "nixl-efa/capacity-purchase/1"
    assert document["outcome"] == "bought"
    assert document["tag"].startswith("nixl-efa-")
    assert document["order"]["offering_id"] == offering["offering_id"]
    assert document["order"]["fee"] == offering["fee"]
