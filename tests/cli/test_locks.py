"""The lock in Parameter Store: who left it behind, and who may remove it."""

from __future__ import annotations

from pathlib import Path

import pytest

from local_aws import LocalAws
from tests.cli.conftest import Cli, actions, locked

# Gives up after three looks in a second.
SHORT = ("--look-seconds", "0", "--settle-seconds", "5")


def test_a_lock_of_another_machine_is_cleared_when_its_purchase_is_known(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offering = cli.offer()
    aws.faults.add("DeleteParameter", code="InternalServerError", status=500, times=None)
    assert cli.buy(offering).code == 0
    aws.faults.clear()
    assert locked()
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
    assert (refused.code, "may still be going on" in refused.err) == (1, True)
    assert locked()


def test_the_lock_is_not_removed_a_second_time_when_the_first_answer_is_lost(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add("DeleteParameter", lose_answer=True)
    assert cli.buy(cli.offer()).code == 0
    assert actions(aws, "DeleteParameter") == 1
    assert not locked()


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
    offering = cli.offer()
    aws.faults.add("DeleteParameter", code="InternalServerError", status=500, times=None)
    assert cli.buy(offering).code == 0
    aws.faults.clear()
    assert locked()
    assert cli("capacity", "recover", "--env", "prod", "--region", "us-west-2").code == 0
    assert not locked()
