"""Whatever goes wrong and wherever: a command buys at most once, and what is bought is known."""

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nixl_efa.capacity.order import State
from nixl_efa.capacity.reservation import PURCHASE_TAG
from nixl_efa.failure import Failure
from tests.capacity.buyer import ID_NAME, Buyer, passed_points
from tests.capacity.fake_aws import AFTER, BEFORE, FakeAws, FakeClock, Killed

# More points than a run has: shared journal, offerings, parameters, reservations, journal, purchase, saving.
POINTS = 60


pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")
PASSED = passed_points(Buyer, FakeAws(FakeClock()))
PURCHASE = PASSED.index("PurchaseCapacityBlock")
# Half of the faults hit near the purchase: everywhere else there is less to be got wrong.
POINT = st.integers(0, POINTS) | st.integers(PURCHASE - 2, PURCHASE + 3)
FAULTS = st.sampled_from([*BEFORE, *AFTER, "disk-full"])
PLANS = st.lists(st.dictionaries(POINT, FAULTS, max_size=4), min_size=1, max_size=5)


def run(buyer: Buyer, plan: dict[int, str]) -> tuple[str, ...]:
    """One run; the reservations that it says are bought."""
    try:
        entry = buyer.buy(plan).entry
    except (Killed, Failure, BotoCoreError, ClientError):
        return ()
    return entry.reservation_ids if entry else ()


def tags(aws: FakeAws) -> list[str]:
    """The purchase tags of everything that was bought."""
    return [
        tag["Value"]
        for one in aws.reservations
        for tag in one["payload"]["Tags"]
        if tag["Key"] == PURCHASE_TAG
    ]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(plans=PLANS, invisible=st.sampled_from([0, 3, 45, 400]))
def test_reservations_bought_are_purchases_confirmed_and_at_most_one_a_command(
    plans: list[dict[int, str]], invisible: float
) -> None:
    aws = FakeAws(FakeClock(), invisible=invisible)
    with tempfile.TemporaryDirectory() as state:
        buyer = Buyer(aws, Path(state))
        said: set[str] = set()
        for plan in plans:
            said.update(run(buyer, plan))
            assert len(aws.reservations) <= 1
        outcome = run(buyer, {})
        buyer.recover()
        assert not buyer.locked()
        confirmed = {name for entry in buyer.journal() for name in entry.reservation_ids}
        bought = {one["payload"]["CapacityReservationId"] for one in aws.reservations}
        assert confirmed == bought
        assert len(bought) == 1
        assert said <= bought
        assert set(outcome) == bought
        assert all(not entry.is_open for entry in buyer.journal())
        assert len(set(tags(aws))) == 1
        assert aws.parameters[ID_NAME][-1] in bought
        assert {one for _, ids in buyer.person.reported for one in ids} == bought


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(point=POINT, plan=st.dictionaries(POINT, FAULTS, max_size=2))
def test_of_two_buyers_at_once_for_one_environment_only_one_buys(point: int, plan: dict[int, str]) -> None:
    aws = FakeAws(FakeClock())
    with tempfile.TemporaryDirectory() as state:
        ada = Buyer(aws, Path(state) / "ada", "ada")
        bob = Buyer(aws, Path(state) / "bob", "bob")
        told: list[str] = []

        def meanwhile() -> None:
            rest, at = aws.script.plan, aws.script.point
            aws.script.plan = {}
            try:
                bob.run()
            except Failure as failure:
                told.append(failure.message)
            aws.script.plan, aws.script.point = rest, at

        aws.script.meanwhile = meanwhile
        run(ada, {**plan, point: "other-buyer"})
        assert len(aws.reservations) <= 1
        for entry in bob.journal():
            assert not entry.is_open
        assert not told or "nothing was bought here" in told[0] or "has" in told[0]


@pytest.mark.parametrize("point", [PASSED.index("PutParameter") + 1, PURCHASE])
def test_a_proxy_s_page_in_place_of_an_answer_does_not_keep_the_environment_locked(
    buyer: Buyer, aws: FakeAws, point: int
) -> None:
    """The page becomes the error's text, and that the entry's note: a parameter holds 4 KB."""
    assert run(buyer, {point: "page-403"}) == ()
    assert not buyer.locked()


@pytest.mark.parametrize("fault", [*AFTER, "fail-500", "time-out"])
def test_a_lost_answer_ends_with_one_reservation_and_success(buyer: Buyer, aws: FakeAws, fault: str) -> None:
    first = run(buyer, {PURCHASE: fault})
    second = run(buyer, {})
    assert len(aws.reservations) == 1
    assert second == (aws.reservations[0]["payload"]["CapacityReservationId"],)
    assert first in ((), second)


def test_an_answer_lost_after_the_effect_is_found_by_the_same_run(buyer: Buyer, aws: FakeAws) -> None:
    aws.invisible = 20
    outcome = buyer.buy({PURCHASE: "lose-answer"})
    assert outcome.kind == "bought"
    assert len(aws.reservations) == 1


def test_nothing_is_bought_for_the_environment_while_a_purchase_is_unclear(
    buyer: Buyer, aws: FakeAws, tmp_path: Path
) -> None:
    aws.invisible = 300
    with pytest.raises(Failure, match="not known yet"):
        buyer.buy({PURCHASE: "lose-answer"})
    other = Buyer(aws, tmp_path / "bob", "bob")
    with pytest.raises(Failure, match=r"was begun by .*user/ada on .*: nothing was bought here"):
        other.buy()
    assert len(aws.reservations) == 1


def test_throttling_and_refusals_of_the_purchase_close_it_at_once(buyer: Buyer, aws: FakeAws) -> None:
    began = aws.clock.now()
    for fault in ("throttle", "refuse"):
        with pytest.raises(Failure, match="nothing was bought"):
            buyer.buy({PURCHASE: fault})
    assert [entry.state for entry in buyer.journal()] == [State.NOT_BOUGHT, State.NOT_BOUGHT]
    assert aws.clock.now() == began
    assert not buyer.locked()


@pytest.mark.parametrize(
    "point", [place for place, name in enumerate(PASSED[: PURCHASE + 1]) if name == "journal"]
)
def test_a_journal_that_can_not_be_written_stops_before_the_call(
    buyer: Buyer, aws: FakeAws, point: int
) -> None:
    with pytest.raises(Failure, match="journal of purchases can't be written"):
        buyer.buy({point: "disk-full"})
    assert not aws.reservations


def test_a_purchase_that_a_full_disk_does_not_take_is_reported_and_saved(buyer: Buyer, aws: FakeAws) -> None:
    outcome = buyer.buy({PURCHASE + 1: "disk-full"})
    (bought,) = (one["payload"]["CapacityReservationId"] for one in aws.reservations)
    assert outcome.entry
    assert outcome.entry.reservation_ids == (bought,)
    assert aws.parameters[ID_NAME] == [bought]


def test_a_purchase_that_is_found_while_the_disk_is_full_is_not_made_again(
    buyer: Buyer, aws: FakeAws
) -> None:
    assert run(buyer, {PURCHASE: "kill-after"}) == ()
    found = buyer.buy({3: "disk-full"})
    assert aws.script.passed[:3] == ["GetParametersByPath"] * 2 + ["DescribeCapacityReservations"]
    assert len(aws.reservations) == 1
    assert found.entry
    assert found.entry.reservation_ids == (aws.reservations[0]["payload"]["CapacityReservationId"],)


def test_who_buys_while_another_is_asked_is_seen_although_nothing_is_saved(
    aws: FakeAws, tmp_path: Path
) -> None:
    ada = Buyer(aws, tmp_path / "ada", "ada", save=False)
    bob = Buyer(aws, tmp_path / "bob", "bob", save=False)

    def meanwhile() -> None:
        bob.run()

    aws.script.meanwhile = meanwhile
    asked = PASSED.index("DescribeCapacityBlockOfferings")
    with pytest.raises(
        Failure, match=r"was bought for environment 'prod' by|nothing was bought: 1 FAIL above"
    ):
        ada.buy({asked: "other-buyer"})
    assert len(aws.reservations) == 1


def test_a_process_that_slept_until_just_before_the_call_does_not_buy(buyer: Buyer, aws: FakeAws) -> None:
    aws.script.meanwhile = lambda: aws.clock.sleep(3600)
    assert PASSED[PURCHASE - 1] == "journal"
    with pytest.raises(Failure, match="took too long: nothing was bought"):
        buyer.buy({PURCHASE - 1: "other-buyer"})
    assert not aws.reservations
    assert [entry.state for entry in buyer.journal()] == [State.NOT_BOUGHT]


def test_ctrl_c_at_the_question_says_that_nothing_was_bought(
    buyer: Buyer, aws: FakeAws, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_question: str) -> str:
        raise KeyboardInterrupt

    buyer.yes = False
    monkeypatch.setattr(buyer.person, "ask", interrupt)
    with pytest.raises(Failure, match="interrupted at the question: nothing was bought") as ended:
        buyer.buy()
    assert ended.value.exit_code == 130
    assert not aws.reservations
    assert buyer.journal() == []


def in_between(buyer: Buyer, plan: dict[int, str], then: Callable[[], None]) -> Callable[[], None]:
    """A whole run of this buyer's command at a point of another's; `then` runs where the plan says "other-buyer"."""

    def meanwhile() -> None:
        script = buyer.aws.script
        kept = (script.plan, script.point, script.passed, script.meanwhile)
        script.meanwhile = then
        script.begin(plan)
        with contextlib.suppress(Failure):
            buyer.run()
        script.plan, script.point, script.passed, script.meanwhile = kept

    return meanwhile


@pytest.mark.parametrize("first", ["buys", "is refused"])
def test_three_buyers_interleaved_at_every_call_buy_one_block(first: str) -> None:
    """Bob's whole command at every call of Ada's, and Carol's at every call of Bob's: also while Ada closes what she
    has not bought, when the environment is free for one of them and must be locked for the other."""
    refused = {PURCHASE: "refuse"} if first == "is refused" else {}
    who_bought: set[str] = set()
    for hers in range(len(PASSED) + 4):
        for his in range(len(PASSED) + 4):
            aws = FakeAws(FakeClock())
            with tempfile.TemporaryDirectory() as state:
                ada, bob, carol = (Buyer(aws, Path(state) / name, name) for name in ("ada", "bob", "carol"))
                last = in_between(carol, {}, lambda: None)
                aws.script.meanwhile = in_between(bob, {his: "other-buyer"}, last)
                run(ada, {**refused, hers: refused.get(hers, "other-buyer")})
                reported = {name: one.person.reported for name, one in (("a", ada), ("b", bob), ("c", carol))}
                told = {ids for one in reported.values() for _, ids in one}
                who_bought |= {name for name, one in reported.items() if one}
                assert len(aws.reservations) <= 1, (hers, his)
                assert told == {(one["payload"]["CapacityReservationId"],) for one in aws.reservations}
                assert not ada.locked()
    assert who_bought == ({"a", "b", "c"} if first == "buys" else {"b", "c"})
