"""`capacity search`: every region and page, nothing twice, one bad region named, what AWS does not sell
refused."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from local_aws import LocalAws
from tests.cli.conftest import REGION, Cli, actions

OFFERINGS = "DescribeCapacityBlockOfferings"
MEMBERS = {
    "offering_id",
    "region",
    "availability_zone",
    "instance_type",
    "instance_count",
    "start",
    "end",
    "hours",
    "asked_hours",
    "shorter_than_asked",
    "starts_in_seconds",
    "fee",
    "currency",
    "fee_per_instance_hour",
    "fee_per_accelerator_hour",
    "usable",
    "unusable_because",
    "segments",
}


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def test_two_instances_for_a_day_are_searched_without_more_words(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "--json").json
    assert found["schema"] == "nixl-efa/capacity-search/1"
    assert found["failed_regions"] == []
    for one in found["offerings"]:
        assert set(one) == MEMBERS
        assert (one["instance_count"], one["asked_hours"], one["region"]) == (2, 24, REGION)


def test_every_page_is_read_and_none_twice(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "2", "24", "--json").json["offerings"]
    assert len(found) == len({one["offering_id"] for one in found}) == 6
    assert actions(aws, OFFERINGS) == 2  # pages of four


def test_the_positional_arguments_of_the_cdk_design_are_taken(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "4", "48", "--json").json["offerings"]
    assert {(one["instance_count"], one["asked_hours"]) for one in found} == {(4, 48)}


def test_an_environment_says_which_type_how_many_and_where(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NIXL_EFA_PROD_CONSUMERS", "3")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    found = cli("capacity", "search", "--env", "prod", "--hours", "48", "--json").json["offerings"]
    assert found
    assert {
        (one["instance_type"], one["instance_count"], one["asked_hours"], one["region"]) for one in found
    } == {("p5.48xlarge", 4, 48, REGION)}
    said = cli("capacity", "search", "--env", "prod", "--hours", "48").err
    assert "Buy one: `nixl-efa capacity buy OFFERING --env prod`" in said


def test_prices_are_for_an_instance_hour_and_an_accelerator_hour(cli: Cli, aws: LocalAws) -> None:
    for one in cli("capacity", "search", "p5.48xlarge", "--json").json["offerings"]:
        expected = float(one["fee"]) / one["instance_count"] / one["hours"]
        assert float(one["fee_per_instance_hour"]) == pytest.approx(expected, abs=1e-4)
        assert float(one["fee_per_accelerator_hour"]) == pytest.approx(expected / 8, abs=1e-4)


@pytest.mark.parametrize(
    ("sort", "member"), [("fee", "fee"), ("start", "start"), ("rate", "fee_per_instance_hour")]
)
def test_offerings_are_sorted_and_those_too_short_and_the_unusable_ones_come_last(
    cli: Cli, aws: LocalAws, sort: str, member: str
) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "--sort", sort, "--json").json["offerings"]
    fits = [one["usable"] and one["hours"] >= one["asked_hours"] for one in found]
    ranks = [0 if fit else 1 if one["usable"] else 2 for fit, one in zip(fits, found, strict=True)]
    assert ranks == sorted(ranks)
    assert set(ranks) == {0, 1, 2}
    key = (lambda one: one[member]) if member == "start" else (lambda one: float(one[member]))
    covering = [key(one) for one, fit in zip(found, fits, strict=True) if fit]
    assert covering == sorted(covering)


def test_an_offering_in_two_zones_is_shown_as_unusable_with_the_reason(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "--json").json["offerings"]
    (split,) = [one for one in found if not one["usable"]]
    assert "EFA needs one zone" in split["unusable_because"]
    assert len(split["segments"]) == 2
    assert "EFA needs one zone" in " ".join(cli("capacity", "search", "p5.48xlarge").out.split())


def test_the_table_shows_zone_times_fees_and_a_timeline(cli: Cli, aws: LocalAws) -> None:
    shown = cli("capacity", "search", "p5.48xlarge")
    cheapest = cli("capacity", "search", "p5.48xlarge", "--json").json["offerings"][0]
    # Each search gives new ids.
    row = next(line for line in shown.out.splitlines() if line.startswith("cb-"))
    assert "START UTC" in shown.out
    assert "FEE USD" in shown.out
    for part in (
        cheapest["availability_zone"],
        cheapest["start"][5:10],
        f"{float(cheapest['fee']):,.2f}"[:-3],
    ):
        assert part in row
    assert "█" in shown.out
    assert "\x1b" not in shown.out + shown.err


def test_all_regions_and_lengths_are_asked_once_for_each_page(cli: Cli, aws: LocalAws) -> None:
    found = cli("capacity", "search", "p5.48xlarge", "--hours", "24,48,24", "--region", "all", "--json").json
    assert len({one["region"] for one in found["offerings"]}) > 3
    assert {one["asked_hours"] for one in found["offerings"]} == {24, 48}
    calls = Counter(call.region for call in aws.calls.all() if call.action == OFFERINGS)
    selling = {one["region"] for one in found["offerings"]}
    assert all(count == (4 if region in selling else 2) for region, count in calls.items())
    assert actions(aws, "DescribeRegions") == 1


def test_regions_can_be_given_several_times(cli: Cli, aws: LocalAws) -> None:
    cli("capacity", "search", "p5.48xlarge", "--region", "us-east-1", "--region", "us-west-2", "--json")
    assert {call.region for call in aws.calls.all()} == {"us-east-1", "us-west-2"}


def test_a_region_that_does_not_sell_the_type_has_none_and_is_no_failure(cli: Cli) -> None:
    found = cli(
        "capacity", "search", "p5.48xlarge", "--region", "us-east-2", "--region", "ca-central-1", "--json"
    )
    assert (found.code, found.json["failed_regions"]) == (0, [])
    assert {one["region"] for one in found.json["offerings"]} == {"us-east-2"}


def test_one_bad_region_is_named_and_does_not_spoil_the_rest(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add(OFFERINGS, code="OptInRequired", message="not subscribed")
    found = cli("capacity", "search", "p5.48xlarge", "--region", "all", "--json")
    assert found.code == 0
    (failed,) = found.json["failed_regions"]
    assert f"not asked: {failed['region']}" in found.err
    assert len(found.json["offerings"]) > 6


def test_when_no_region_answers_the_command_fails(cli: Cli, aws: LocalAws) -> None:
    aws.faults.add(OFFERINGS, code="UnauthorizedOperation", message="no", times=None)
    failed = cli("capacity", "search", "p5.48xlarge", "--region", "us-east-1", "--region", "us-west-2")
    assert failed.code == 1
    assert "us-east-1, us-west-2: no permission: ec2:DescribeCapacityBlockOfferings" in failed.err


def test_throttling_is_waited_out_and_only_the_throttled_call_is_repeated(cli: Cli, aws: LocalAws) -> None:
    quiet = cli("capacity", "search", "p5.48xlarge", "--json").json["offerings"]
    aws.calls.clear()
    aws.faults.add(OFFERINGS, throttle=True, times=4)
    # The search's own rate, which botocore does not know as throttling (EC2 API reference, errors-overview).
    aws.faults.add(OFFERINGS, code="CapacityBlockDescribeLimitExceeded", message="Try again later.", times=2)
    found = cli("capacity", "search", "p5.48xlarge", "--json")
    blocks = [
        [(one["availability_zone"], one["start"], one["end"], one["fee"]) for one in offered]
        for offered in (found.json["offerings"], quiet)
    ]
    assert blocks[0] == blocks[1]
    answered = [call for call in aws.calls.all() if call.action == OFFERINGS and not call.code]
    assert len(answered) == 2


def test_an_account_without_a_quota_of_blocks_is_told_at_once(cli: Cli, aws: LocalAws) -> None:
    words = "Your existing service limits for this AWS account are not sufficient to use EC2 Capacity Blocks."
    aws.faults.add(OFFERINGS, code="CapacityBlockDescribeLimitExceeded", message=words, times=None)
    failed = cli("capacity", "search", "p5.48xlarge")
    assert (failed.code, words in failed.err) == (1, True)
    assert 'Ask for "Concurrent ... Capacity Blocks per account" of the type in Service Quotas.' in failed.err
    assert actions(aws, OFFERINGS) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("g7e.8xlarge",), "sells no Capacity Blocks of it"),
        (("p5.48xlrge",), "did you mean p5.48xlarge"),
        (("p5.48xlarge", "65"), "1 to 64 instances"),
        ((), "which type? Give TYPE, for example p5.48xlarge, or --env with an environment's name"),
        (("p5.48xlarge", "--env", "prod"), "--env prod and TYPE p5.48xlarge exclude each other"),
        (("--env", "prd"), "Did you mean prod?"),
        (("p5.48xlarge", "2", "25"), "The nearest: 24 or 48"),
        (("p5.48xlarge", "--hours", "24,25"), "The nearest: 24 or 48"),
        (("p5.48xlarge", "--hours", "a day"), "give numbers of hours"),
        (("p5.48xlarge", "2", "24", "--hours", "48"), "exclude each other"),
        (("p5.48xlarge", "--from", "soon"), "--from 'soon'"),
        (("p5.48xlarge", "--to", "2020-01-01"), "is not after --from"),
        (("p5.48xlarge", "--sort", "zone"), "--sort 'zone': give fee, start, rate"),
        (("p5.48xlarge", "--to", "+2d", "--hours", "168"), "no block of 168 hours fits"),
        (("p5.48xlarge", "--watch", "--max-rate", "0.00"), "--max-rate 0.00: give more than 0"),
    ],
)
def test_what_can_not_be_is_refused_before_any_call(
    cli: Cli, aws: LocalAws, arguments: tuple[str, ...], message: str
) -> None:
    refused = cli("capacity", "search", *arguments)
    assert refused.code == 2
    assert message in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not aws.calls.all()


def test_nothing_on_offer_says_what_to_try(cli: Cli, aws: LocalAws) -> None:
    empty = cli("capacity", "search", "p5.48xlarge", "--region", "ca-central-1")
    assert (empty.code, empty.out) == (0, "")
    assert "Try --region all" in empty.err


def test_a_window_holds_the_offerings(cli: Cli, aws: LocalAws) -> None:
    # The command's clock: the simulated one is ahead of it at times.
    now = datetime.now(UTC)
    found = cli("capacity", "search", "p5.48xlarge", "--from", "+10d", "--to", "+20d", "--json").json[
        "offerings"
    ]
    assert found
    for one in found:
        assert moment(one["start"]) >= now + timedelta(days=10)
        assert moment(one["end"]) <= now + timedelta(days=20, minutes=5)


def test_a_search_that_can_not_be_kept_is_shown_all_the_same(
    cli: Cli, aws: LocalAws, monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nowhere")
    found = cli("capacity", "search", "p5.48xlarge", "--json")
    assert found.code == 0
    assert "could not be kept" in found.err
    assert found.json["offerings"]
