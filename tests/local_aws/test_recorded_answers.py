"""The local AWS's own answer has the members of the answer that AWS was recorded with, in the same types; the words of
enums are held by the clients of these tests (shapes.py)."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest

from local_aws import LocalAws
from local_aws.world import CommandOutput
from tests.local_aws.conftest import ZONE
from tests.records import answer

# AWS writes moments as texts, which a client reads as datetimes.
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\S*")


def lacking(recorded: Any, ours: Any, path: str = "") -> Iterator[str]:
    """What our answer lacks of a recorded one, or has in another type."""
    if isinstance(recorded, dict):
        for name, value in recorded.items():
            if not isinstance(ours, dict) or name not in ours:
                yield f"{path}.{name}"
            else:
                yield from lacking(value, ours[name], f"{path}.{name}")
    elif isinstance(recorded, list):
        if not isinstance(ours, list):
            yield f"{path}: {ours!r} is no list"
        elif recorded and ours:
            yield from lacking(recorded[0], ours[0], f"{path}[0]")
    elif isinstance(recorded, str) and _MOMENT.fullmatch(recorded.strip()):
        if not (hasattr(ours, "isoformat") or _MOMENT.fullmatch(str(ours))):
            yield f"{path}: {ours!r} is no moment"
    elif isinstance(recorded, int | float) and not isinstance(recorded, bool):
        if not isinstance(ours, int | float):
            yield f"{path}: {ours!r} is no number"
    elif not isinstance(ours, type(recorded)):
        yield f"{path}: {ours!r} is no {type(recorded).__name__}"


class Account:
    """What the questions below are put to."""

    def __init__(self, aws: LocalAws, client: Callable[..., Any], launch: Any, block: Any) -> None:
        self.aws, self.launch, self.block = aws, launch, block
        self.ec2, self.ssm, self.iam = client("ec2"), client("ssm"), client("iam", checked=False)

    def bought(self, state: str) -> Any:
        """A block in a state, as DescribeCapacityReservations shows it."""
        bought = self.block()
        if state != "payment-pending":
            self.aws.clock.advance(timedelta(minutes=5))
        if state == "active":
            self.aws.clock.set(bought["StartDate"])
        (found,) = self.ec2.describe_capacity_reservations()["CapacityReservations"]
        assert found["State"] == state
        return found

    def on_demand(self, match: str) -> Any:
        return self.ec2.create_capacity_reservation(
            InstanceType="g7e.8xlarge",
            InstancePlatform="Linux/UNIX",
            AvailabilityZone=ZONE,
            InstanceCount=3,
            InstanceMatchCriteria=match,
        )["CapacityReservation"]

    def offerings(self) -> Any:
        return self.ec2.describe_capacity_block_offerings(
            InstanceType="p4d.24xlarge", InstanceCount=1, CapacityDurationHours=24
        )

    def instance_type(self, name: str) -> Any:
        # Some are of other regions.
        found = self.ec2.describe_instance_types(InstanceTypes=[name], IncludeUnsupportedInRegion=True)
        return found["InstanceTypes"][0]

    def invocation(self) -> Any:
        self.iam.create_instance_profile(InstanceProfileName="node")
        node = self.launch(IamInstanceProfile={"Name": "node"})["InstanceId"]
        self.aws.world.command_outputs["*"] = CommandOutput(stdout="done\n")
        sent = self.ssm.send_command(InstanceIds=[node], DocumentName="AWS-RunShellScript")
        found = self.ssm.get_command_invocation(CommandId=sent["Command"]["CommandId"], InstanceId=node)
        return {name: value for name, value in found.items() if name != "ResponseMetadata"}


QUESTIONS: dict[str, Callable[[Account], Any]] = {
    "offerings/p4d-asked-24h-got-24-19-43": lambda account: account.offerings(),
    "reservations/block-active-with-tags": lambda account: account.bought("active"),
    "reservations/block-pending-zero-counts": lambda account: account.bought("scheduled"),
    "reservations/block-payment-pending-typed": lambda account: account.bought("payment-pending"),
    "reservations/odcr-active-open": lambda account: account.on_demand("open"),
    "reservations/odcr-targeted": lambda account: account.on_demand("targeted"),
    "instance_types/g7e.2xlarge": lambda account: account.instance_type("g7e.2xlarge"),
    "instance_types/g7e.48xlarge": lambda account: account.instance_type("g7e.48xlarge"),
    "instance_types/p5.48xlarge": lambda account: account.instance_type("p5.48xlarge"),
    "instance_types/p5.4xlarge": lambda account: account.instance_type("p5.4xlarge"),
    "instance_types/p6-b300.48xlarge": lambda account: account.instance_type("p6-b300.48xlarge"),
    "instance_types/g6f.large": lambda account: account.instance_type("g6f.large"),
    "instance_types/trn2u.48xlarge": lambda account: account.instance_type("trn2u.48xlarge"),
    "run_command/invocation-success": lambda account: account.invocation(),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_answer_has_what_awss_had(
    name: str, aws: LocalAws, client: Callable[..., Any], launch: Any, block: Any
) -> None:
    ours = QUESTIONS[name](Account(aws, client, launch, block))
    assert list(lacking(answer(name), ours)) == []


def test_the_limits_of_offerings_are_those_of_the_newer_page(
    aws: LocalAws, client: Callable[..., Any]
) -> None:
    page = answer("offerings/limits-told-over-time")
    ec2 = client("ec2")
    wish = {"InstanceType": "p5.48xlarge", "CapacityDurationHours": 24, "MaxResults": 100}
    # Any count, not powers of two alone; never more offerings than the page says, all of them ending at its time.
    for count in (1, 3, 7, 64):
        found = ec2.describe_capacity_block_offerings(InstanceCount=count, **wish)["CapacityBlockOfferings"]
        assert 0 < len(found) <= page["newer"]["max_offerings_returned"]
        assert {f"{one['EndDate']:%H:%M}" for one in found} == {page["both"]["end_time_utc"]}


def test_the_same_question_has_new_ids_each_time_and_old_ones_can_be_bought_for_a_while(
    aws: LocalAws, client: Callable[..., Any], refused: Any
) -> None:
    (*_, new_ids) = answer("offerings/terraform-test-remarks")["observed"]
    assert new_ids == "capacity_block_offering_id changes on each run"
    ec2 = client("ec2")

    def ask(hours: int) -> dict[tuple[Any, ...], str]:
        found = ec2.describe_capacity_block_offerings(
            InstanceType="p5.48xlarge", InstanceCount=2, CapacityDurationHours=hours, MaxResults=100
        )["CapacityBlockOfferings"]
        members = ("AvailabilityZone", "StartDate", "EndDate", "UpfrontFee")
        return {tuple(one[each] for each in members): one["CapacityBlockOfferingId"] for one in found}

    first, second, longer = ask(24), ask(24), ask(48)
    assert first.keys() == second.keys()
    assert not set(first.values()) & set(second.values())
    assert not set(longer.values()) & {*first.values(), *second.values()}
    identifier = next(iter(first.values()))
    aws.clock.advance(timedelta(minutes=1))
    ec2.purchase_capacity_block(CapacityBlockOfferingId=identifier, InstancePlatform="Linux/UNIX")
    aws.clock.advance(timedelta(days=1))
    with refused("InvalidCapacityBlockOfferingIdExpired"):
        ec2.purchase_capacity_block(
            CapacityBlockOfferingId=next(iter(second.values())), InstancePlatform="Linux/UNIX"
        )


@pytest.mark.parametrize(
    ("stream", "most", "mark"),
    [("stdout", 24_000, "---Output truncated---"), ("stderr", 8_000, "---Error truncated----")],
)
def test_a_long_output_is_cut_with_the_agents_mark(
    aws: LocalAws, client: Callable[..., Any], launch: Any, block: Any, stream: str, most: int, mark: str
) -> None:
    assert answer("run_command/agent-truncation-marks")[f"long_{stream}"].endswith(f"\n{mark}")
    account = Account(aws, client, launch, block)
    found = account.invocation()
    long = {stream: "word " * most}
    aws.world.command_outputs["*"] = CommandOutput(
        stdout=long.get("stdout", ""), stderr=long.get("stderr", "")
    )
    again = account.ssm.get_command_invocation(CommandId=found["CommandId"], InstanceId=found["InstanceId"])
    said = again["StandardOutputContent" if stream == "stdout" else "StandardErrorContent"]
    assert said.endswith(f"\n{mark}")
    assert len(said) == most
