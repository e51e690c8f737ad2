"""Parameter Store has no compare-and-swap; nothing of somebody else's is overwritten all the same."""

from typing import Any, cast

import pytest

from nixl_efa.aws_calls import NoResultError
from nixl_efa.capacity.parameters import Change, Changed, Stored, read, read_many, write, write_together
from tests.capacity.fake_aws import FakeAws, FakeSsm

NAME = "/nixl-efa/dev/capacity-reservation-id"
ZONE = "/nixl-efa/dev/availability-zone"


@pytest.fixture
def ssm(aws: FakeAws) -> Any:
    return cast(Any, FakeSsm(aws))


def test_many_are_read_in_calls_of_ten_and_those_that_do_not_exist_are_among_them(
    aws: FakeAws, ssm: Any
) -> None:
    names = [f"/nixl-efa/e{number}/capacity-reservation-id" for number in range(12)]
    aws.parameters[names[11]] = ["cr-old", "cr-new"]
    found = read_many(ssm, names)
    assert list(found) == names
    assert found[names[11]] == Stored(names[11], "cr-new", 2)
    assert found[names[0]] == Stored(names[0])
    assert aws.script.passed == ["GetParameters", "GetParameters"]


def test_white_space_around_a_value_is_no_part_of_it_and_no_change_by_somebody_else(
    aws: FakeAws, ssm: Any
) -> None:
    aws.parameters[NAME] = ["cr-old\n"]
    before = read(ssm, NAME)
    assert (before, read_many(ssm, [NAME])) == (Stored(NAME, "cr-old", 1), {NAME: before})
    write(ssm, Change(before, "cr-new"), aws.clock.sleep)
    assert aws.parameters[NAME] == ["cr-old\n", "cr-new"]


def test_a_parameter_that_somebody_made_since_is_left_alone(aws: FakeAws, ssm: Any) -> None:
    before = read(ssm, NAME)
    aws.parameters[NAME] = ["cr-theirs"]
    with pytest.raises(Changed, match=r"then nothing, now 'cr-theirs'"):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters[NAME] == ["cr-theirs"]


def test_a_parameter_that_somebody_changed_since_is_left_alone(aws: FakeAws, ssm: Any) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.parameters[NAME].append("cr-theirs")
    with pytest.raises(Changed, match=r"then 'cr-old', now 'cr-theirs'"):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters[NAME][-1] == "cr-theirs"


def test_a_change_at_the_very_moment_of_ours_is_put_back(aws: FakeAws, ssm: Any) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.script.meanwhile = lambda: aws.parameters[NAME].append("cr-theirs")
    aws.script.begin({1: "other-buyer"})  # between the second look and the write
    with pytest.raises(
        Changed, match=r"somebody wrote 'cr-theirs' at the same moment\. Their value was restored"
    ):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters[NAME] == ["cr-old", "cr-theirs", "cr-ours", "cr-theirs"]


def test_a_parameter_made_anew_at_the_very_moment_of_ours_is_put_back(aws: FakeAws, ssm: Any) -> None:
    """Deleted and made again it has the same version as before: the number alone does not tell."""
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)

    def make_anew() -> None:
        aws.parameters[NAME] = ["cr-theirs"]

    aws.script.meanwhile = make_anew
    aws.script.begin({1: "other-buyer"})
    with pytest.raises(
        Changed, match=r"somebody wrote 'cr-theirs' at the same moment\. Their value was restored"
    ):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters[NAME] == ["cr-theirs", "cr-ours", "cr-theirs"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        (
            {1: "other-buyer", 3: "refuse"},
            r"wrote 'cr-theirs' .* was overwritten with 'cr-ours'\. Putting it back",
        ),
        ({1: "other-buyer", 2: "refuse"}, r"somebody else wrote it .* was overwritten with 'cr-ours'"),
    ],
)
def test_an_overwritten_value_that_can_not_be_put_back_is_told(
    aws: FakeAws, ssm: Any, script: dict[int, str], told: str
) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.script.meanwhile = lambda: aws.parameters[NAME].append("cr-theirs")
    aws.script.begin(script)
    with pytest.raises(Changed, match=told):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)


def test_a_write_of_which_neither_answer_nor_look_comes_back_is_told_as_unknown(
    aws: FakeAws, ssm: Any
) -> None:
    aws.parameters[NAME] = ["cr-old"]
    before = read(ssm, NAME)
    aws.script.begin({1: "lose-answer", 2: "refuse"})
    with pytest.raises(Changed, match=r"not known whether 'cr-ours' was written .* get-parameter-history"):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)


@pytest.mark.parametrize("existing", [[], ["cr-old"]])
def test_a_write_whose_answer_is_lost_counts_when_it_is_found(
    aws: FakeAws, ssm: Any, existing: list[str]
) -> None:
    if existing:
        aws.parameters[NAME] = list(existing)
    before = read(ssm, NAME)
    aws.script.begin({len(existing): "lose-answer"})
    write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters[NAME] == [*existing, "cr-ours"]


@pytest.mark.parametrize("existing", [[], ["cr-old"]])
def test_a_write_that_was_refused_is_reported(aws: FakeAws, ssm: Any, existing: list[str]) -> None:
    if existing:
        aws.parameters[NAME] = list(existing)
    before = read(ssm, NAME)
    aws.script.begin({len(existing): "refuse"})
    with pytest.raises(Exception, match="UnauthorizedOperation"):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)
    assert aws.parameters.get(NAME, []) == existing


def test_a_parameter_that_was_deleted_at_the_very_moment_of_our_write_is_told_as_deleted(
    aws: FakeAws, ssm: Any
) -> None:
    aws.parameters[NAME] = ["cr-old", "cr-older"]
    before = read(ssm, NAME)
    aws.script.meanwhile = lambda: aws.parameters[NAME].clear()
    aws.script.begin({1: "other-buyer"})
    with pytest.raises(Changed, match=r"somebody else deleted it .*, and it was made again with 'cr-ours'"):
        write(ssm, Change(before, "cr-ours"), aws.clock.sleep)


def test_what_stands_there_already_is_not_written(aws: FakeAws, ssm: Any) -> None:
    aws.parameters = {ZONE: ["2a"], NAME: ["cr-ours"]}
    write_together(ssm, _pair(ssm, "2a", "cr-ours"), aws.clock.sleep)
    assert aws.parameters == {ZONE: ["2a"], NAME: ["cr-ours"]}


def test_what_stood_there_already_and_was_changed_since_is_not_told_as_saved(aws: FakeAws, ssm: Any) -> None:
    aws.parameters = {ZONE: ["2a"], NAME: ["cr-ours"]}
    changes = _pair(ssm, "2a", "cr-ours")
    aws.parameters[NAME].append("cr-theirs")
    with pytest.raises(Changed, match=r"then 'cr-ours', now 'cr-theirs'"):
        write_together(ssm, changes, aws.clock.sleep)


@pytest.mark.parametrize("zones", [("2a", "2b"), ("2b", "2a"), ("2b", "2b"), ("2b", "2c"), ("2a", "2a")])
@pytest.mark.parametrize("existing", [{}, {ZONE: ["2a"], NAME: ["cr-old"]}])
@pytest.mark.parametrize("reads", ["before", "meanwhile"])
@pytest.mark.parametrize("point", range(8))
def test_the_zone_of_one_never_stays_beside_the_reservation_of_another(
    aws: FakeAws, ssm: Any, zones: tuple[str, str], existing: dict[str, list[str]], reads: str, point: int
) -> None:
    aws.parameters = {name: list(values) for name, values in existing.items()}
    ours = _pair(ssm, zones[0], "cr-ours")
    theirs = _pair(ssm, zones[1], "cr-theirs")
    kept: list[tuple[str, str]] = []

    def other_buyer() -> None:
        _keep(ssm, theirs if reads == "before" else _pair(ssm, zones[1], "cr-theirs"), aws, kept)

    aws.script.meanwhile = other_buyer
    aws.script.begin({point: "other-buyer"})
    _keep(ssm, ours, aws, kept)
    stands = (aws.parameters[ZONE][-1], aws.parameters[NAME][-1])
    assert stands in kept


def test_a_zone_that_could_not_be_taken_back_is_told(aws: FakeAws, ssm: Any) -> None:
    aws.parameters = {ZONE: ["2a"], NAME: ["cr-old"]}
    changes = _pair(ssm, "2b", "cr-ours")
    aws.parameters[NAME].append("cr-theirs")
    aws.script.begin({4: "refuse"})  # the look at the zone, after the write of the id was given up
    with pytest.raises(Changed, match=rf"now 'cr-theirs'.*{ZONE} = '2b' was written .* it was '2a'"):
        write_together(ssm, changes, aws.clock.sleep)


def _pair(ssm: Any, zone: str, reservation_id: str) -> list[Change]:
    stored = read_many(ssm, [ZONE, NAME])
    return [Change(stored[ZONE], zone), Change(stored[NAME], reservation_id)]


def _keep(ssm: Any, changes: list[Change], aws: FakeAws, kept: list[tuple[str, str]]) -> None:
    """Writes the pair, and notes it when the user was told that it is kept."""
    try:
        write_together(ssm, changes, aws.clock.sleep)
    except Changed:
        return
    kept.append((changes[0].new, changes[1].new))


def test_a_write_that_is_answered_by_somebody_else_s_page_does_not_count(aws: FakeAws, ssm: Any) -> None:
    aws.script.begin({0: "page"})
    with pytest.raises(NoResultError, match="has no Version, so it says nothing"):
        write(ssm, Change(Stored(NAME), "cr-ours"), aws.clock.sleep)
    assert NAME not in aws.parameters
