"""Parameter Store has no compare-and-swap; nothing of somebody else's is overwritten all the same."""

from __future__ import annotations

from typing import Any, cast

import pytest

from nixl_efa.capacity.parameters import Change, Changed, Stored, changes, read, read_all, write
from tests.capacity.fake_aws import FakeAws, FakeSsm

NAME = "/nixl-efa/dev/capacity-reservation-id"


@pytest.fixture
def ssm(aws: FakeAws) -> Any:
    return cast(Any, FakeSsm(aws))


def test_the_default_environment_has_the_legacy_name_as_well(ssm: Any) -> None:
    assert [one.name for one in read_all(ssm, "prod")] == [
        "/nixl-efa/prod/availability-zone",
        "/nixl-efa/prod/capacity-reservation-id",
        "/nixl-efa/capacity-reservation-id",
    ]
    assert len(read_all(ssm, "dev")) == 2


def test_the_zone_goes_to_the_zone_and_the_id_to_the_ids(ssm: Any) -> None:
    planned = changes(read_all(ssm, "prod"), "prod", "cr-1", "us-east-2a")
    assert [change.new for change in planned] == ["us-east-2a", "cr-1", "cr-1"]
    assert not any(change.replaces for change in planned)


def test_a_parameter_that_somebody_made_since_is_left_alone(aws: FakeAws, ssm: Any) -> None:
    before = read(ssm, NAME)
    aws.parameters[NAME] = ["cr-theirs"]
    with pytest.raises(Changed, match=r"then nothing, now 'cr-theirs'"):
        write(ssm, Change(before, "cr-ours"))
    assert aws.parameters[NAME] == ["cr-theirs"]


def test_a_parameter_that_somebody_changed_since_is_left_alone(aws: FakeAws, ssm: Any) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.parameters[NAME].append("cr-theirs")
    with pytest.raises(Changed, match=r"then 'cr-old', now 'cr-theirs'"):
        write(ssm, Change(before, "cr-ours"))
    assert aws.parameters[NAME][-1] == "cr-theirs"


def test_a_change_at_the_very_moment_of_ours_is_put_back(aws: FakeAws, ssm: Any) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.script.meanwhile = lambda: aws.parameters[NAME].append("cr-theirs")
    aws.script.begin({1: "other-buyer"})  # between the second look and the write
    with pytest.raises(Changed, match=r"somebody wrote 'cr-theirs' at the same moment\. That was put back"):
        write(ssm, Change(before, "cr-ours"))
    assert aws.parameters[NAME] == ["cr-old", "cr-theirs", "cr-ours", "cr-theirs"]


@pytest.mark.parametrize("existing", [[], ["cr-old"]])
def test_a_write_whose_answer_is_lost_counts_when_it_is_found(
    aws: FakeAws, ssm: Any, existing: list[str]
) -> None:
    if existing:
        aws.parameters[NAME] = list(existing)
    before = read(ssm, NAME)
    aws.script.begin({len(existing): "lose-answer"})
    write(ssm, Change(before, "cr-ours"))
    assert aws.parameters[NAME] == [*existing, "cr-ours"]


@pytest.mark.parametrize("existing", [[], ["cr-old"]])
def test_a_write_that_was_refused_is_reported(aws: FakeAws, ssm: Any, existing: list[str]) -> None:
    if existing:
        aws.parameters[NAME] = list(existing)
    before = read(ssm, NAME)
    aws.script.begin({len(existing): "refuse"})
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        write(ssm, Change(before, "cr-ours"))
    assert aws.parameters.get(NAME, []) == existing


def test_what_stands_there_already_is_not_written(aws: FakeAws, ssm: Any) -> None:
    aws.parameters[NAME] = ["cr-ours"]
    write(ssm, Change(Stored(NAME, "cr-ours", 1), "cr-ours"))
    assert aws.parameters[NAME] == ["cr-ours"]
