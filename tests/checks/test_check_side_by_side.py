"""How long a check takes: as long as three calls in turn. Shown without a clock: a call is held back until every
call of its round has been made, so a check that made them one after the other would never end."""

import threading
from collections import Counter
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa import checks
from nixl_efa.aws import Clients
from nixl_efa.settings import Settings
from tests.checks.in_order import NOW
from tests.checks.local_project import REGION, Project

BLOCK_SETTINGS: dict[str, Any] = {
    "instance_type": "p5.48xlarge",
    "use_capacity_block": True,
    "capacity_reservation_parameter": "/block",
    "availability_zone_parameter": "/zone",
}
OF_THE_ACCOUNT = [
    "DescribeVpcBlockPublicAccessOptions",
    "DescribeDhcpOptions",
    "DescribeVpcEndpoints",
    "GetAllowedImagesSettings",
    "GetEbsDefaultKmsKeyId",
    "GetServiceQuota",
    "DescribeVolumes",
]
FIRST = [
    *OF_THE_ACCOUNT,
    "GetCallerIdentity",
    "GetParameter",
    "GetParameter",
    "GetParameter",
    "GetParameter",
    "DescribeVpcs",
    "DescribeInstanceTypeOfferings",
    "DescribeInstanceTypes",
    "DescribeCapacityReservations",
    "DescribeRegions",
    "DescribeInstances",
    "DescribeAddresses",
    "GetServiceQuota",
]
# The role, its profile, the bucket, template, security group and address.
SIMULATED = ["SimulatePrincipalPolicy"] * 6
ROUNDS = [
    FIRST,
    [
        "DescribeSubnets",
        "DescribeImages",
        "DescribeCapacityBlockExtensionHistory",
        "GetParametersByPath",
        "GetCapacityReservationUsage",
        *SIMULATED,
    ],
    [
        "DescribeRouteTables",
        "DescribeInternetGateways",
        "DescribeNetworkAcls",
        "DescribeVpcAttribute",
        "DescribeVpcAttribute",
        "RunInstances",
    ],
]
ON_DEMAND: dict[str, Any] = {
    "instance_type": "g7e.8xlarge",
    "key_name": "ann",
    "security_group_id": "sg-0123456789abcdef0",
}
ON_DEMAND_ROUNDS = [
    [
        *OF_THE_ACCOUNT,
        "GetCallerIdentity",
        "GetParameter",
        "DescribeVpcs",
        "DescribeInstanceTypeOfferings",
        "DescribeInstanceTypes",
        "DescribeCapacityReservations",
        "DescribeInstances",
        "DescribeAddresses",
        "GetServiceQuota",
        "GetServiceQuota",
        "DescribeSecurityGroups",
        "DescribeKeyPairs",
    ],
    # A placement group more, and no security group of its own.
    ["DescribeSubnets", "DescribeImages", *SIMULATED],
    ROUNDS[2],
]


class Rounds:
    """Holds each call back until its whole round is there. Calls that are in no round pass."""

    def __init__(self, rounds: list[list[str]]) -> None:
        self._barriers = [threading.Barrier(len(names)) for names in rounds]
        self._round_of = {name: number for number, names in enumerate(rounds) for name in names}
        self._lock = threading.Lock()
        self.order: list[int] = []
        self.seen: Counter[str] = Counter()

    def wait(self, model: Any, context: Any, **_: Any) -> None:
        """For botocore's event before-call."""
        number = self._round_of.get(model.name)
        with self._lock:
            self.seen[model.name] += 1
        if number is None:
            return
        self._barriers[number].wait(timeout=60)
        with self._lock:
            self.order.append(number)


class HeldClients(Clients):
    """Clients whose calls wait for their round."""

    def __init__(self, rounds: Rounds) -> None:
        super().__init__(None, REGION)
        # None of those that tests share: what is registered here stays with a client.
        self._made = {}
        self._rounds = rounds

    def _client(self, service: str, region: str | None, *, once: bool = False) -> Any:
        found = super()._client(service, region, once=once)
        found.meta.events.register("before-call", self._rounds.wait, unique_id="rounds")
        return found


class StoppedClock:
    """Always the same time."""

    def now(self) -> Any:
        """The time."""
        return NOW

    def sleep(self, seconds: float) -> None:
        """Nothing waits."""
        raise AssertionError("a check does not wait")


@pytest.mark.parametrize(("settings", "rounds"), [(BLOCK_SETTINGS, ROUNDS), (ON_DEMAND, ON_DEMAND_ROUNDS)])
def test_a_check_takes_three_calls_in_turn(
    project: Project, aws: LocalAws, settings: dict[str, Any], rounds: list[list[str]]
) -> None:
    ssm = boto3.client("ssm", REGION)
    block = project.buy_block()
    ssm.put_parameter(Name="/block", Value=block["capacity_reservation_id"], Type="String")
    ssm.put_parameter(Name="/zone", Value=block["availability_zone"], Type="String")
    held = Rounds(rounds)
    found = checks.run(Settings(name="x", region=REGION, **settings), HeldClients(held), StoppedClock())
    assert not [each for each in found if "look failed" in each.message]
    assert held.order == sorted(held.order)
    assert Counter(held.order) == {number: len(names) for number, names in enumerate(rounds)}
    in_no_round = set(held.seen) - {name for names in rounds for name in names}
    # Prices, which come in pages here, are asked once it is known who asks.
    assert in_no_round <= {"GetAWSDefaultServiceQuota", "GetProducts"}


class RegionRounds(Rounds):
    """Lets everything pass but the question to the other regions, which they are all asked at once."""

    def __init__(self, regions: int) -> None:
        super().__init__([])
        self._regions = threading.Barrier(regions)

    def wait(self, model: Any, context: Any, **_: Any) -> None:
        """For botocore's event before-call."""
        with self._lock:
            self.seen[model.name] += 1
        # The journal of purchases is in one region for all.
        if context["client_region"] != REGION and model.name != "GetParametersByPath":
            self._regions.wait(timeout=60)


def test_every_other_region_is_asked_at_once(aws: LocalAws) -> None:
    others = len(boto3.client("ec2", REGION).describe_regions()["Regions"]) - 1
    held = RegionRounds(others)
    settings = Settings(
        name="x",
        region=REGION,
        instance_type="p5.48xlarge",
        use_capacity_block=True,
        capacity_reservation_id="cr-0123456789abcdef0",
    )
    found = checks.run(settings, HeldClients(held), StoppedClock())
    assert any(f"the {others} other regions that were asked" in each.message for each in found)
    assert (held.seen["DescribeRegions"], held.seen["DescribeCapacityReservations"]) == (1, 1 + others)
