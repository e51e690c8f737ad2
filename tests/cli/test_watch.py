"""`capacity search --watch` on the local AWS, and what searches leave for the calendar."""

import json
import signal
from datetime import timedelta
from pathlib import Path

import pytest

from local_aws import LocalAws
from nixl_efa.capacity import history
from nixl_efa.clock import EndpointClock
from tests.cli.conftest import REGION, Cli, actions, names_of, until

OFFERINGS = "DescribeCapacityBlockOfferings"
SEARCH = ("capacity", "search", "p5.48xlarge", "2", "24", "--region", REGION)


@pytest.fixture
def waits(aws: LocalAws, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long commands waited: the local AWS's time passes instead of ours."""
    slept: list[float] = []

    def sleep(_: EndpointClock, seconds: float) -> None:
        slept.append(seconds)
        aws.advance(timedelta(seconds=seconds))

    monkeypatch.setattr(EndpointClock, "now", lambda _: aws.clock.now())
    monkeypatch.setattr(EndpointClock, "sleep", sleep)
    return slept


@pytest.fixture
def kept(aws: LocalAws, tmp_path: Path) -> Path:
    return history.path_in(tmp_path / "state" / "nixl-efa")


def test_one_that_fits_is_shown_at_once_and_none_is_bought(
    cli: Cli, aws: LocalAws, waits: list[float]
) -> None:
    found = cli(*SEARCH, "--watch", "--max-rate", "30", "--json")
    assert found.code == 0, found.err
    shown = found.json["offerings"]
    assert shown
    assert all(float(one["fee_per_instance_hour"]) <= 30 and one["usable"] for one in shown)
    assert not any(one["shorter_than_asked"] for one in shown)
    assert waits == []
    assert names_of(aws) == []
    # `buy` finds it.
    dry = cli(
        "capacity", "buy", shown[0]["offering_id"], "--env", "prod", "--dry-run", "--yes", "--max-fee", "9999"
    )
    assert dry.code == 0, dry.err


def test_while_none_fits_it_says_why_looks_again_and_ends_with_1(
    cli: Cli, aws: LocalAws, waits: list[float]
) -> None:
    found = cli(*SEARCH, "--watch", "--max-rate", "0.50", "--poll", "600", "--timeout", "30m")
    assert (found.code, found.out) == (1, "")
    assert waits == [600, 600, 600]
    assert "for an instance-hour" in found.err
    assert "more than 0.50. Looking again every 10 min; Ctrl-C ends it." in found.err
    assert "nothing that fits was on offer in 30 min" in found.err


def test_throttling_is_waited_out(cli: Cli, aws: LocalAws, waits: list[float]) -> None:
    aws.faults.add(OFFERINGS, code="CapacityBlockDescribeLimitExceeded", status=400, times=2)
    assert cli(*SEARCH, "--watch").code == 0
    assert len(waits) == 2
    assert max(waits) <= 1


def test_a_refusal_is_told_at_once(cli: Cli, aws: LocalAws, waits: list[float]) -> None:
    aws.faults.add(OFFERINGS, code="UnauthorizedOperation", status=403, times=None)
    found = cli(*SEARCH, "--watch")
    assert (found.code, waits) == (1, [])
    assert "no permission" in found.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--max-rate", "30"), "--max-rate 30: only with --watch"),
        (("--poll", "60"), "--poll 60.0: only with --watch"),
        (("--timeout", "1h"), "--timeout 1h: only with --watch"),
        (("--watch", "--poll", "5"), "--poll 5: give 30 seconds or more"),
        (("--watch", "--poll", "nan"), "--poll nan: give 30 seconds or more"),
        (("--watch", "--poll", "inf"), "--poll inf: give 86400 seconds (a day) or less"),
        (("--watch", "--max-rate", "30,5"), "--max-rate '30,5': give an amount"),
        (("--watch", "--timeout", "soon"), "--timeout 'soon': give a time"),
    ],
)
def test_what_can_not_be_meant_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, words: tuple[str, ...], said: str
) -> None:
    aws.calls.clear()
    found = cli(*SEARCH, *words)
    assert (found.code, found.out) == (2, "")
    assert said in found.err
    assert actions(aws, OFFERINGS) == 0


@pytest.mark.parametrize("one", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_word_of_failure(cli: Cli, aws: LocalAws, one: signal.Signals) -> None:
    aws.calls.clear()
    process = cli.start(*SEARCH, "--watch", "--max-rate", "0.5")
    until(lambda: actions(aws, OFFERINGS) >= 2, process)  # both pages
    process.send_signal(one)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err


def test_each_search_is_kept_with_when_type_region_and_fee(
    cli: Cli, aws: LocalAws, kept: Path, waits: list[float]
) -> None:
    found = cli(*SEARCH, "--json").json["offerings"]
    cli("capacity", "search", "p5en.48xlarge", "--hours", "24,48", "--region", "eu-north-1")
    first, second = history.read(kept).looks
    assert (first.instance_type, first.count, first.hours, first.regions) == (
        "p5.48xlarge",
        2,
        (24,),
        (REGION,),
    )
    assert first.endpoint == aws.endpoint
    assert sorted((one.zone, str(one.fee)) for one in first.seen) == sorted(
        (one["availability_zone"], one["fee"]) for one in found
    )
    assert (second.instance_type, second.hours, second.regions) == (
        "p5en.48xlarge",
        (24, 48),
        ("eu-north-1",),
    )


def test_a_region_that_does_not_answer_or_sells_none_is_not_kept_as_empty(
    cli: Cli, aws: LocalAws, kept: Path, waits: list[float]
) -> None:
    cli(*SEARCH, "--region", "eu-west-1")
    aws.faults.add(OFFERINGS, code="UnauthorizedOperation", status=403, times=1)
    cli(*SEARCH, "--region", "us-west-2")
    both, one = history.read(kept).looks
    assert both.regions == (REGION,)
    assert one.regions in [(REGION,), ("us-west-2",)]
    assert {each.region for each in one.seen} == {*one.regions}


def test_a_watch_keeps_what_changes_and_else_a_look_an_hour(
    cli: Cli, aws: LocalAws, waits: list[float], kept: Path
) -> None:
    cli(*SEARCH, "--watch", "--max-rate", "0.5", "--from", "+2d", "--poll", "60", "--timeout", "40m")
    looks = history.read(kept).looks
    assert len(waits) == 40
    assert 1 <= len(looks) < 10


def test_where_nothing_can_be_kept_the_search_is_shown_all_the_same(
    cli: Cli, aws: LocalAws, kept: Path
) -> None:
    kept.parent.mkdir(parents=True)
    kept.mkdir()
    found = cli(*SEARCH, "--json")
    assert found.code == 0
    assert json.loads(found.out)["offerings"]
    assert f"the search could not be kept for `calendar` in {kept}: Is a directory" in found.err
