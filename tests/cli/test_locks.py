"""The lock in Parameter Store: who left it behind, and who may remove it."""

from datetime import timedelta
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa.capacity.journal import SharedJournal
from nixl_efa.clock import EndpointClock
from tests.cli.conftest import LOCK_REGION, Cli, actions, locked


def buy_without_closing(cli: Cli, monkeypatch: pytest.MonkeyPatch, region: str = LOCK_REGION) -> None:
    """A purchase whose machine can't write the shared journal any more after it."""

    def refuse(*_: object) -> None:
        raise OSError("no route to Parameter Store")

    with monkeypatch.context() as patched:
        patched.setattr(SharedJournal, "write", refuse)
        bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    assert "could not be written (no route to Parameter Store)" in bought.err
    assert locked(region=region)


# Gives up after three looks in a second.
SHORT = ("--look-seconds", "0", "--settle-seconds", "5")


def test_a_lock_of_another_machine_is_cleared_when_its_purchase_is_known(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    buy_without_closing(cli, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    recovered = cli("capacity", "recover", "--env", "prod", "--json")
    assert recovered.json["purchases"][0]["outcome"] == "bought"
    assert not locked()


def test_a_fresh_lock_of_another_machine_is_left_alone(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", code="InternalError", status=500)
    assert cli.buy(offering, *SHORT).code == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    refused = cli("capacity", "recover", "--env", "prod", "--yes", "--settle-seconds", "5")
    assert (refused.code, "may still be in progress" in refused.err) == (1, True)
    assert locked()


@pytest.mark.parametrize(("minutes", "closed"), [(12, False), (22, True)])
def test_a_lock_of_a_machine_whose_clock_is_behind_is_not_taken_for_an_old_one(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, minutes: int, closed: bool
) -> None:
    """AWS takes what is signed 5 minutes before its time, and 5 minutes after: two clocks can be 10 apart."""
    aws.faults.add("PurchaseCapacityBlock", code="InternalError", status=500)
    assert cli.buy(cli.offer(), *SHORT).code == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    ahead = aws.clock.now() + timedelta(minutes=minutes)
    monkeypatch.setattr(EndpointClock, "now", lambda _: ahead)
    monkeypatch.setattr(EndpointClock, "sleep", lambda *_: None)
    recovered = cli("capacity", "recover", "--env", "prod", "--yes")
    assert (recovered.code, locked()) == ((0, False) if closed else (1, True))
    assert closed or "may still be in progress" in recovered.err


def test_a_lock_whose_answer_is_lost_is_held_by_who_made_it(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add("PutParameter", lose_answer=True)
    bought = cli.buy(cli.offer())
    assert bought.code == 0, bought.err
    assert actions(aws, "PurchaseCapacityBlock") == 1
    assert not locked()


def test_the_lock_of_an_environment_is_in_the_same_place_from_wherever_it_is_bought(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    buy_without_closing(cli, monkeypatch)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    other = cli("capacity", "search", "p5.48xlarge", "--region", "us-east-2", "--json").json["offerings"][0]
    refused = cli.buy(other)
    assert refused.code == 1
    assert "a purchase for environment 'prod' was begun by" in refused.err
    assert "nothing was bought here" in refused.err
    assert actions(aws, "PurchaseCapacityBlock") == 1


def test_a_purchase_of_a_machine_that_is_gone_is_saved_by_recover(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    aws.world.visible_after = 7
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    assert cli.buy(cli.offer(), *SHORT).code == 1
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    aws.world.visible_after = 0
    for _ in range(6):
        cli.reservations()
    recovered = cli("capacity", "recover", "--env", "prod")
    assert recovered.code == 0, recovered.err
    (one,) = cli.reservations()
    assert one["environments"] == ["prod"]
    assert not locked()


def test_recover_removes_a_lock_of_this_machine_in_another_region(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIXL_EFA_LOCK_REGION", "eu-west-1")
    buy_without_closing(cli, monkeypatch, "eu-west-1")
    monkeypatch.delenv("NIXL_EFA_LOCK_REGION")
    assert cli("capacity", "recover", "--env", "prod", "--region", "us-west-2").code == 0
    assert not locked(region="eu-west-1")
    assert not locked()
