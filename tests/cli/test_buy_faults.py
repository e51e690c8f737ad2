"""`capacity buy` when answers are lost, the process is killed, or somebody else buys: one reservation, and
known."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from local_aws import LocalAws
from nixl_efa import aws as seam
from tests.cli.conftest import Cli, actions, buying, journal, locked, until

# Gives up after three looks in a second, and takes five for the proof that nothing was bought.
SHORT = ("--look-seconds", "0", "--settle-seconds", "5")
# Longer than the slowest call of these tests.
PATIENT = ("--look-seconds", "2", "--settle-seconds", "10")
QUICK = ("--look-seconds", "2", "--settle-seconds", "2")


@pytest.mark.parametrize(
    "fault",
    [{"lose_answer": True}, {"lose_answer": True, "delay": 0.2}],
    ids=["connection closed", "closed after a while"],
)
def test_an_answer_lost_after_the_effect_is_found_and_reported_as_bought(
    cli: Cli, aws: LocalAws, fault: dict[str, Any]
) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", **fault)
    bought = cli.buy(offering)
    assert bought.code == 0, bought.err
    assert [one["reservation_id"] for one in cli.reservations()] == [bought.out.strip()]
    assert actions(aws, "PurchaseCapacityBlock") == 1
    assert not locked()


def test_a_purchase_that_ec2_shows_late_is_found_by_the_same_command_again(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.world.visible_after = 8
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    unclear = cli.buy(offering, *SHORT)
    assert unclear.code == 1
    assert "is not known yet" in unclear.err
    assert locked()
    again = cli.buy(offering, *SHORT)
    assert again.code == 0, again.err
    assert actions(aws, "PurchaseCapacityBlock") == 1
    assert [one["reservation_id"] for one in cli.reservations()] == [again.out.strip()]
    assert not locked()


def test_recover_finds_it_saves_it_and_clears_the_lock(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.world.visible_after = 7
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    assert cli.buy(offering, *SHORT).code == 1
    recovered = cli("capacity", "recover", "--settle-seconds", "5", "--json")
    (purchase,) = recovered.json["purchases"]
    (one,) = cli.reservations()
    assert (purchase["outcome"], purchase["reservation_ids"]) == ("bought", [one["reservation_id"]])
    assert one["environments"] == ["prod"]
    assert not locked()


def test_a_server_error_without_effect_is_settled_and_then_bought_by_the_same_command(
    cli: Cli, aws: LocalAws
) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", code="InternalError", status=500)
    assert cli.buy(offering, *QUICK).code == 1
    assert cli.reservations() == []
    again = cli.buy(offering, *QUICK)
    assert again.code == 0, again.err
    assert len(cli.reservations()) == 1


def test_a_timeout_after_which_the_purchase_still_happens_ends_with_one(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    offering = cli.offer()
    monkeypatch.setattr(seam, "PURCHASE_READ_SECONDS", 0.5)
    aws.faults.add("PurchaseCapacityBlock", delay=1.5)
    bought = cli.buy(offering, "--look-seconds", "20", "--settle-seconds", "5")
    assert bought.code == 0, bought.err
    assert len(cli.reservations()) == 1
    assert actions(aws, "PurchaseCapacityBlock") == 1


def test_a_throttled_purchase_is_not_sent_again_by_itself(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", throttle=True)
    stopped = cli.buy(offering)
    assert (stopped.code, "nothing was bought" in stopped.err) == (1, True)
    assert actions(aws, "PurchaseCapacityBlock") == 1
    assert not locked()
    assert cli.buy(offering).code == 0
    assert len(cli.reservations()) == 1


def test_without_a_network_nothing_is_bought_and_that_is_said(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    offering = cli.offer()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    stopped = cli.buy(offering)
    assert stopped.code == 1
    assert len(stopped.err.strip().splitlines()) == 1
    assert "Check the network" in stopped.err


@pytest.mark.parametrize(
    ("action", "journal_says"),
    [("PutParameter", "prepared"), ("PurchaseCapacityBlock", "calling"), ("PutParameter", "bought")],
    ids=["before the call", "during the call", "after the call"],
)
def test_kill_9_and_the_same_command_again_buy_exactly_one(
    cli: Cli, aws: LocalAws, tmp_path: Path, action: str, journal_says: str
) -> None:
    offering = cli.offer()
    # Each of the writes after the purchase is slow, too.
    aws.faults.add(action, delay=3 if journal_says != "bought" else 1, times=None)
    command = buying(offering, *PATIENT)
    process = cli.start(*command)
    until(lambda: [entry["state"] for entry in journal(tmp_path / "state")] == [journal_says], process)
    time.sleep(0.3)
    process.kill()
    process.communicate()
    aws.faults.clear()
    again = cli(*command)
    assert again.code == 0, again.err
    assert [one["reservation_id"] for one in cli.reservations()] == [again.out.strip()]
    assert actions(aws, "PurchaseCapacityBlock") == 1
    # What the killed process had sent arrives even now: of a lock that is made so late, this machine knows better.
    time.sleep(3)
    cli("capacity", "recover", "--env", "prod")
    assert not locked()


def test_ctrl_c_during_the_call_says_what_to_do_and_the_same_command_finds_the_purchase(
    cli: Cli, aws: LocalAws
) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", delay=3)
    command = buying(offering, *PATIENT)
    process = cli.start(*command)
    until(locked, process)
    time.sleep(0.7)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "is not known yet" in err
    assert "Traceback" not in err
    again = cli(*command)
    assert again.code == 0, again.err
    assert [one["reservation_id"] for one in cli.reservations()] == [again.out.strip()]


def test_kill_9_before_the_outcome_is_written_is_settled_by_recover(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.world.visible_after = 6
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    process = cli.start(*buying(offering))
    until(lambda: actions(aws, "PurchaseCapacityBlock") == 1, process)
    time.sleep(0.3)
    process.kill()
    process.communicate()
    assert cli("capacity", "recover", "--settle-seconds", "5").code == 0
    (one,) = cli.reservations()
    assert one["environments"] == ["prod"]
    assert not locked()


def test_the_second_of_two_buyers_is_told_and_buys_nothing(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", delay=3)
    first = cli.start(*buying(offering))
    until(locked, first)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "another machine"))
    second = cli.buy(cli.offer())
    assert second.code == 1
    assert "a purchase for environment 'prod' was begun by" in second.err
    assert first.wait(60) == 0
    assert len(cli.reservations()) == 1


def test_a_second_buyer_on_the_same_machine_is_told_of_the_process(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", delay=3)
    first = cli.start(*buying(offering))
    until(locked, first)
    second = cli.buy(offering)
    assert (second.code, f"process {first.pid} on this machine" in second.err) == (1, True)
    assert first.wait(60) == 0
    assert len(cli.reservations()) == 1


def test_another_purchase_that_was_made_after_all_stops_the_next_one(cli: Cli, aws: LocalAws) -> None:
    first = cli.offer()
    aws.world.visible_after = 6
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    assert cli.buy(first, *SHORT).code == 1
    other = cli("capacity", "search", "p5.48xlarge", "2", "48", "--json").json["offerings"][0]
    stopped = cli.buy(other, "--settle-seconds", "5")
    (one,) = cli.reservations()
    assert stopped.code == 1
    assert "an earlier purchase for environment 'prod' was made" in stopped.err
    assert one["reservation_id"] in stopped.err
    assert actions(aws, "PurchaseCapacityBlock") == 1


def test_a_purchase_is_closed_by_hand_only_when_it_is_not_found(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.faults.add("PurchaseCapacityBlock", code="InternalError", status=500)
    unclear = cli.buy(offering, *SHORT)
    tag = next(word for word in unclear.err.replace(")", " ").split() if word.startswith("nixl-efa-"))
    closed = cli("capacity", "recover", "--not-bought", tag, "--settle-seconds", "1", "--json")
    assert closed.json["purchases"][0]["outcome"] == "not-bought"
    assert not locked()
    assert cli("capacity", "recover", "--not-bought", tag).code == 1


def test_closing_by_hand_what_was_bought_is_refused(cli: Cli, aws: LocalAws) -> None:
    offering = cli.offer()
    aws.world.visible_after = 6
    aws.faults.add("PurchaseCapacityBlock", lose_answer=True)
    unclear = cli.buy(offering, *SHORT)
    tag = next(word for word in unclear.err.replace(")", " ").split() if word.startswith("nixl-efa-"))
    aws.world.visible_after = 0
    for _ in range(6):
        cli.reservations()
    refused = cli("capacity", "recover", "--not-bought", tag, "--settle-seconds", "1")
    assert (refused.code, "it was bought, as cr-" in refused.err) == (1, True)
