"""UltraServers: one purchase, several reservations, none of which is lost; searched by their own name."""

import tempfile
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nixl_efa.block_end import terminates_at
from nixl_efa.capacity import environment
from nixl_efa.capacity.agreement import Agreement
from nixl_efa.capacity.buy import BuyRequest, buy
from nixl_efa.capacity.judge import judge
from nixl_efa.capacity.offering import extension_from_api, from_api, from_json, to_json
from nixl_efa.capacity.order import Order
from nixl_efa.capacity.purchase import Outcome
from nixl_efa.capacity.recover import recover
from nixl_efa.capacity.reservation import PURCHASE_TAG, SIZE_TAG, Reservation
from nixl_efa.capacity.reservation import from_api as reservation_from_api
from nixl_efa.capacity.search import Question, Request, checked, questions
from nixl_efa.capacity.users import users
from nixl_efa.failure import BadInput, Failure
from nixl_efa.findings import Level, failures
from nixl_efa.launch import launch_of
from nixl_efa.settings import Settings
from nixl_efa.ultra_servers import ULTRA_SERVERS
from tests.capacity.buyer import ENVIRONMENT, ID_NAME, Buyer, passed_points
from tests.capacity.fake_aws import (
    AFTER,
    BEFORE,
    OFFERING_ID,
    REGION,
    START,
    FakeAws,
    FakeClients,
    FakeClock,
    FakeEc2,
    validated,
)
from tests.capacity.test_buying_once import run

NAME, TYPE = "u-p6e-gb200x72", "p6e-gb200.36xlarge"
NOW = datetime(2026, 12, 1, 12, 0, tzinfo=UTC)
LAUNCH = launch_of(
    Settings(
        name=ENVIRONMENT,
        instance_type=TYPE,
        use_capacity_block=True,
        capacity_reservation_parameter=ID_NAME,
        availability_zone_parameter="/nixl-efa/prod/availability-zone",
    )
)


class UltraEc2(FakeEc2):
    """Sells one UltraServer, as a block of two reservations; the smaller one has the lower id."""

    def describe_capacity_block_offerings(self, **request: Any) -> dict[str, Any]:
        assert {"UltraserverType", "UltraserverCount"} <= set(request)
        assert not {"InstanceType", "InstanceCount"} & set(request)
        return super().describe_capacity_block_offerings(**request)

    def purchase_capacity_block(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "PurchaseCapacityBlock", request)
        bought: list[dict[str, Any]] = []
        for _ in self._aws.script.around("PurchaseCapacityBlock"):
            number = len(self._aws.reservations) // 2
            tags = request["TagSpecifications"][0]["Tags"]
            for place, size in enumerate((6, 12)):
                bought.append(
                    {
                        "CapacityReservationId": f"cr-{2 * number + place:017x}",
                        "CapacityBlockId": f"cb-{number:017x}",
                        "InstanceType": TYPE,
                        "State": "payment-pending",
                        "TotalInstanceCount": 0,
                        "AvailableInstanceCount": 0,
                        "AvailabilityZone": f"{REGION}a",
                        "StartDate": START,
                        "EndDate": START + timedelta(days=1),
                        "LaunchStatus": "unlaunchable",
                        "Tags": [*tags, {"Key": SIZE_TAG, "Value": str(size)}],
                    }
                )
                late = cast(UltraAws, self._aws).second_later if place else 0
                visible = self._aws.clock.now() + timedelta(seconds=self._aws.invisible + late)
                self._aws.reservations.append({"visible": visible, "payload": bought[-1]})
        return {"CapacityReservation": bought[0], "CapacityReservations": bought}


class UltraAws(FakeAws):
    """second_later: so many seconds after the first one is the second reservation shown."""

    second_later: float = 0

    def offering(self) -> dict[str, Any]:
        whole = super().offering()
        return {
            **{name: value for name, value in whole.items() if name not in ("InstanceType", "InstanceCount")},
            "UltraserverType": NAME,
            "UltraserverCount": 1,
        }


class UltraClients(FakeClients):
    def ec2(self, _region: str | None = None) -> UltraEc2:
        return UltraEc2(self._aws)

    ec2_once = ec2


class UltraBuyer(Buyer):
    def __init__(self, aws: FakeAws, state: Path) -> None:
        super().__init__(aws, state)
        self._clients = cast(Any, UltraClients(aws))

    def run(self) -> Outcome:
        question = Question(OFFERING_ID, REGION, Request(NAME, 1, (24,), self.aws.clock.now()))
        agreed = Agreement(yes=True, max_fee=Decimal(5000))
        return buy(BuyRequest(question, {ENVIRONMENT: LAUNCH}, ENVIRONMENT, agreed), self.program())


pytestmark = pytest.mark.usefixtures("no_waiting_for_the_disk")
PASSED = passed_points(UltraBuyer, UltraAws(FakeClock()))
PURCHASE = PASSED.index("PurchaseCapacityBlock")
POINT = st.integers(0, len(PASSED) + 5) | st.integers(PURCHASE - 2, PURCHASE + 4)
FAULTS = st.sampled_from([*BEFORE, *AFTER, "disk-full"])
BOTH = {"cr-00000000000000000", "cr-00000000000000001"}
LARGER = "cr-00000000000000001"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    plans=st.lists(st.dictionaries(POINT, FAULTS, max_size=3), min_size=1, max_size=3),
    invisible=st.sampled_from([0, 3, 45]),
    later=st.sampled_from([0, 4, 200]),
)
def test_an_ultra_server_is_bought_once_and_all_its_reservations_are_told_and_kept(
    plans: list[dict[int, str]], invisible: float, later: float
) -> None:
    aws = UltraAws(FakeClock(), invisible=invisible)
    aws.second_later = later
    with tempfile.TemporaryDirectory() as state:
        buyer = UltraBuyer(aws, Path(state))
        for plan in plans:
            run(buyer, plan)
            assert len(aws.reservations) in (0, 2)
        run(buyer, {})
        buyer.recover()
        assert not buyer.locked()
        assert {name for entry in buyer.journal() for name in entry.reservation_ids} == BOTH
        assert {one for _, ids in buyer.person.reported for one in ids} == BOTH
        assert len(aws.reservations) == 2
        # The nodes are launched into one reservation, so it is the larger one.
        assert aws.parameters[ID_NAME][-1] == LARGER


def test_a_part_of_a_purchase_that_is_shown_first_is_not_taken_for_all_of_it(tmp_path: Path) -> None:
    aws = UltraAws(FakeClock())
    aws.second_later = 40
    buyer = UltraBuyer(aws, tmp_path)
    assert run(buyer, {PURCHASE: "lose-answer"}) == (LARGER, min(BOTH))


def test_what_is_shown_of_a_purchase_when_all_looking_ends_is_bought(tmp_path: Path) -> None:
    aws = UltraAws(FakeClock())
    aws.second_later = 10_000
    buyer = UltraBuyer(aws, tmp_path)
    assert run(buyer, {PURCHASE: "lose-answer"}) == ()
    assert buyer.locked()
    # Within the time in which a purchase may be found, the part says that it was made, and does not end the looking.
    assert run(buyer, {}) == (min(BOTH),)
    assert len(aws.reservations) == 2


def test_a_reservation_that_is_shown_after_the_first_minute_is_not_left_out(tmp_path: Path) -> None:
    aws = UltraAws(FakeClock())
    aws.second_later = 200
    buyer = UltraBuyer(aws, tmp_path)
    assert run(buyer, {PURCHASE: "lose-answer"}) == ()
    assert run(buyer, {}) == (LARGER, min(BOTH))


def test_nobody_declares_a_purchase_not_made_of_which_a_part_is_shown(tmp_path: Path) -> None:
    aws = UltraAws(FakeClock())
    aws.second_later = 10_000
    buyer = UltraBuyer(aws, tmp_path)
    run(buyer, {PURCHASE: "lose-answer"})
    (entry,) = buyer.journal()
    with pytest.raises(Failure, match="it was bought, as cr-00000000000000000"):
        recover({ENVIRONMENT}, buyer.program(), lambda _: True, declared=entry.tag)


def reservation(identifier: str, **changes: Any) -> Reservation:
    payload = {
        "CapacityReservationId": identifier,
        "CapacityBlockId": "cb-1",
        "ReservationType": "capacity-block",
        "InstanceType": TYPE,
        "State": "active",
        "TotalInstanceCount": 9,
        "AvailableInstanceCount": 9,
        "AvailabilityZone": "us-west-2a",
        "InstancePlatform": "Linux/UNIX",
        "StartDate": NOW - timedelta(hours=1),
        "EndDate": NOW + timedelta(hours=23),
        "LaunchStatus": "launchable",
        "Tags": [{"Key": "nixl-efa:environment", "Value": ENVIRONMENT}],
        **changes,
    }
    return reservation_from_api(payload, LAUNCH.region)


def test_the_others_of_a_purchase_are_no_second_block_of_the_environment(tmp_path: Path) -> None:
    aws = UltraAws(FakeClock())
    buyer = UltraBuyer(aws, tmp_path)
    run(buyer, {})
    held = environment.holdings(buyer.program(), LAUNCH.reservation, regions=[REGION])
    assert held.current is not None
    assert (held.current.id, held.others) == (LARGER, ())


def test_they_are_listed_as_of_the_same_purchase() -> None:
    first, second, third = (
        reservation("cr-1"),
        reservation("cr-2"),
        reservation("cr-3", CapacityBlockId="cb-3"),
    )
    source = LAUNCH.reservation
    stored = {(source.region, source.id_parameter): "cr-1"}
    assert users([first, second, third], [source], stored) == {
        "cr-1": ((ENVIRONMENT, "current"),),
        "cr-2": ((ENVIRONMENT, "same purchase"),),
        "cr-3": ((ENVIRONMENT, "not saved"),),
    }


@pytest.mark.parametrize(
    ("request_of", "wishes"),
    [
        (("p5.48xlarge", 2), [{"InstanceType": "p5.48xlarge", "InstanceCount": 2}]),
        ((NAME, 2), [{"UltraserverType": NAME, "UltraserverCount": 2}]),
        (
            (TYPE, 2),
            [
                {"UltraserverType": "u-p6e-gb200x36", "UltraserverCount": 1},
                {"UltraserverType": "u-p6e-gb200x72", "UltraserverCount": 1},
            ],
        ),
        (
            (TYPE, 19),
            [
                {"UltraserverType": "u-p6e-gb200x36", "UltraserverCount": 3},
                {"UltraserverType": "u-p6e-gb200x72", "UltraserverCount": 2},
            ],
        ),
        (("trn2u.48xlarge", 2), [{"UltraserverType": "u-trn2x64", "UltraserverCount": 1}]),
    ],
)
def test_ultra_servers_are_asked_for_by_their_name_and_never_by_an_instance_type(
    request_of: tuple[str, int], wishes: list[dict[str, Any]]
) -> None:
    request = checked(Request(*request_of, (24,), NOW))
    assert [wish.body for _, _, wish in questions([REGION], request)] == wishes


@pytest.mark.parametrize(
    ("name", "count", "words"),
    [
        (
            "u-p6e-gb300x72",
            1,
            "no such UltraServer is known here. Known are: u-p6e-gb200x36 (9 x p6e-gb200.36xlarge)",
        ),
        (NAME, 0, "1 to 14 are possible"),
        (NAME, 15, "1 to 14 are possible"),
        (TYPE, 65, "1 to 64 instances"),
    ],
)
def test_what_no_ultra_server_is_sold_as_is_refused_before_any_call(
    name: str, count: int, words: str
) -> None:
    with pytest.raises(BadInput) as refused:
        checked(Request(name, count, (24,), NOW))
    assert words in refused.value.message


@pytest.mark.parametrize("more", [{}, {"InstanceType": TYPE, "InstanceCount": 18}])
def test_an_offering_tells_its_instances_whether_ec2_names_them_or_not(more: dict[str, Any]) -> None:
    payload = {
        "CapacityBlockOfferingId": OFFERING_ID,
        "UltraserverType": NAME,
        "UltraserverCount": 1,
        "AvailabilityZone": "us-east-1-dfw-2a",
        "StartDate": NOW,
        "EndDate": NOW + timedelta(hours=24),
        "UpfrontFee": "18285.696",
        **more,
    }
    offering = from_api(payload, "us-east-1", 24)
    assert (offering.instance_type, offering.count) == (TYPE, ULTRA_SERVERS[NAME].instances)
    assert offering.what == "18 x p6e-gb200.36xlarge (1 x u-p6e-gb200x72)"
    # An hour of an UltraServer costs 761.904 USD (aws.amazon.com/ec2/capacityblocks/pricing).
    assert offering.fee_per_instance_hour * 18 == Decimal("761.904")
    assert offering.usable == timedelta(hours=23)
    assert from_json(to_json(offering)) == offering


def test_the_record_of_a_plain_block_has_nothing_that_an_earlier_version_can_t_read() -> None:
    payload = {**FakeAws(FakeClock()).offering()}
    assert not {"ultra_server", "ultra_server_count", "block_id"} & set(
        to_json(from_api(payload, REGION, 24))
    )


def test_extensions_of_one_block_share_a_lock_whichever_reservation_they_name() -> None:
    payload = {
        "CapacityBlockExtensionOfferingId": "cbe-1",
        "InstanceType": TYPE,
        "CapacityBlockExtensionStartDate": NOW,
        "CapacityBlockExtensionEndDate": NOW + timedelta(hours=24),
        "UpfrontFee": "1",
    }
    locks = {
        Order(ENVIRONMENT, extension_from_api(payload, REGION, one, 24, "cb-1"), "ada", REGION).lock_name
        for one in ("cr-1", "cr-2")
    }
    assert locks == {"_cb-1"}
    plain = extension_from_api(payload, REGION, "cr-1", 24)
    assert Order(ENVIRONMENT, plain, "ada", REGION).lock_name == "_cr-1"


def test_a_block_of_ultra_servers_ends_an_hour_before_its_end() -> None:
    for one in ULTRA_SERVERS.values():
        assert terminates_at(NOW, one.instance_type) == NOW - timedelta(minutes=60)


@pytest.mark.parametrize(("status", "level"), [("launchable", Level.PASS), ("unlaunchable", Level.FAIL)])
def test_an_active_reservation_into_which_nothing_can_be_launched_is_a_fail(
    status: str, level: Level
) -> None:
    found = judge(reservation("cr-0123456789abcdef0", LaunchStatus=status), LAUNCH, NOW)
    (state,) = [one for one in found if one.check == "reservation state"]
    assert state.level is level


def test_a_pair_fits_into_one_reservation_of_an_ultra_server() -> None:
    fitting = reservation("cr-0123456789abcdef0")
    too_small = reservation("cr-0123456789abcdef0", TotalInstanceCount=1, AvailableInstanceCount=1)
    assert failures(judge(fitting, LAUNCH, NOW)) == []
    assert [one.check for one in failures(judge(too_small, LAUNCH, NOW))] == ["reservation room"]


def test_two_reservations_are_bought_together_by_their_block_or_by_the_tag_of_their_purchase() -> None:
    tag = [{"Key": PURCHASE_TAG, "Value": "nixl-efa-1"}]
    one, same_block = reservation("cr-1"), reservation("cr-2")
    assert one.is_bought_with(same_block)
    first = reservation("cr-1", CapacityBlockId="cb-1", Tags=tag)
    assert first.is_bought_with(reservation("cr-2", CapacityBlockId="cb-2", Tags=tag))
    assert not one.is_bought_with(reservation("cr-3", CapacityBlockId="cb-3"))
    assert not reservation("cr-1", CapacityBlockId="").is_bought_with(reservation("cr-2", CapacityBlockId=""))
