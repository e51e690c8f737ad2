from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from local_aws import LocalAws
from local_aws.faults import Faults
from tests.local_aws.conftest import NOW, MakeClient

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client


def test_a_fault_is_taken_for_its_action_and_as_often_as_it_says() -> None:
    faults = Faults()
    faults.add("RunInstances", code="InsufficientInstanceCapacity", times=2)
    assert faults.take("ec2", "DescribeVpcs") == []
    assert [fault.code for _ in range(3) for fault in faults.take("ec2", "RunInstances")] == [
        "InsufficientInstanceCapacity"
    ] * 2


def test_a_fault_can_be_meant_for_one_service() -> None:
    faults = Faults()
    faults.add("*", service="ssm", throttle=True)
    assert faults.take("ec2", "DescribeVpcs") == []
    assert len(faults.take("ssm", "GetParameter")) == 1


def test_delays_add_to_the_next_other_fault_and_other_faults_wait_their_turn() -> None:
    faults = Faults()
    faults.add("*", delay=0.2, times=None)
    faults.add("X", code="First")
    faults.add("X", code="Second")
    assert [fault.code for fault in faults.take("ec2", "X")] == ["", "First"]
    assert [fault.code for fault in faults.take("ec2", "X")] == ["", "Second"]
    assert [fault.code for fault in faults.take("ec2", "X")] == [""]


def test_a_fault_without_an_effect_is_refused() -> None:
    with pytest.raises(ValueError, match="code, throttle, delay, late, lose_answer and answer"):
        Faults().add("X")


@pytest.mark.parametrize(
    ("service", "method", "arguments"),
    [
        ("ec2", "describe_vpcs", {}),
        ("ssm", "describe_parameters", {}),
        ("iam", "list_roles", {}),
        ("sts", "get_caller_identity", {}),
        ("s3", "list_buckets", {}),
        ("service-quotas", "list_service_quotas", {"ServiceCode": "ec2"}),
    ],
)
def test_an_error_comes_in_the_words_of_each_service(
    aws: LocalAws, client: Any, refused: Any, service: str, method: str, arguments: dict[str, str]
) -> None:
    aws.faults.add("*", code="UnauthorizedOperation", message="You shall <not> pass.", status=403)
    call = getattr(client(service, checked=False), method)
    with refused("UnauthorizedOperation", "You shall <not> pass."):
        call(**arguments)
    call(**arguments)


@pytest.mark.parametrize(
    ("service", "method", "code"),
    [
        ("ec2", "describe_vpcs", "RequestLimitExceeded"),
        ("ssm", "describe_parameters", "ThrottlingException"),
        ("iam", "list_roles", "Throttling"),
        ("s3", "list_buckets", "SlowDown"),
    ],
)
def test_throttling_is_answered_as_each_service_does_and_sdks_retry_it(
    aws: LocalAws, client: Any, refused: Any, service: str, method: str, code: str
) -> None:
    aws.faults.add("*", throttle=True)
    with refused(code):
        getattr(client(service, checked=False), method)()
    aws.faults.add("*", throttle=True)
    getattr(client(service, retries=3, checked=False), method)()
    assert [call.code for call in aws.calls.all()] == [code, code, ""]


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("InternalError", 500),
        ("Unavailable", 503),
        ("RequestLimitExceeded", 503),
        # EC2 API reference, errors-overview: server errors; ray 49097.
        ("InsufficientInstanceCapacity", 500),
        ("InsufficientVolumeCapacity", 500),
        ("InsufficientAddressCapacity", 500),
        ("InsufficientFreeAddressesInSubnet", 400),
        ("UnauthorizedOperation", 403),
        ("AuthFailure", 401),
        ("InvalidParameterValue", 400),
    ],
)
def test_an_error_has_the_status_of_its_code(aws: LocalAws, ec2: EC2Client, code: str, status: int) -> None:
    aws.faults.add("DescribeVpcs", code=code)
    with pytest.raises(ClientError) as caught:
        ec2.describe_vpcs()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_an_answer_to_a_dry_run_has_the_status_412(ec2: EC2Client) -> None:
    with pytest.raises(ClientError) as caught:
        ec2.create_placement_group(GroupName="pair", DryRun=True)
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 412


def test_a_lost_answer_comes_after_the_action_took_effect(aws: LocalAws, ec2: EC2Client) -> None:
    aws.faults.add("CreatePlacementGroup", lose_answer=True)
    with pytest.raises(ConnectionClosedError):
        ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    assert [group["GroupName"] for group in ec2.describe_placement_groups()["PlacementGroups"]] == ["pair"]


def test_a_refused_action_has_no_effect(aws: LocalAws, ec2: EC2Client, refused: Any) -> None:
    aws.faults.add("CreatePlacementGroup", code="InternalError")
    with refused("InternalError"):
        ec2.create_placement_group(GroupName="pair", Strategy="cluster")
    assert ec2.describe_placement_groups()["PlacementGroups"] == []


def test_a_delay_is_waited_for_outside_the_lock(
    aws: LocalAws, ec2: EC2Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 1:
            ec2.describe_vpcs()  # another call gets through while this one waits

    monkeypatch.setattr("local_aws.gate.sleep", sleep)
    aws.faults.add("DescribeSubnets", delay=0.25)
    ec2.describe_subnets()
    assert waited == [0.25]
    assert aws.calls.actions() == ("DescribeVpcs", "DescribeSubnets")


def test_an_answer_can_be_late_after_the_action_took_effect(
    aws: LocalAws, ec2: EC2Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        assert [group["GroupName"] for group in ec2.describe_placement_groups()["PlacementGroups"]] == [
            "pair"
        ]

    monkeypatch.setattr("local_aws.gate.sleep", sleep)
    aws.faults.add("CreatePlacementGroup", late=120)
    ec2.create_placement_group(GroupName="pair")
    assert waited == [120]


def test_delays_can_pass_on_the_local_clock_alone(aws: LocalAws, ec2: EC2Client) -> None:
    aws.faults.add("DescribeVpcs", delay=20, late=100, simulated=True)
    ec2.describe_vpcs()
    assert aws.clock.now() == NOW + timedelta(seconds=120)


@pytest.mark.parametrize("answer", ["html", "empty"])
@pytest.mark.parametrize(
    ("service", "action", "member"),
    [
        ("ec2", "describe_capacity_reservations", "CapacityReservations"),
        ("ec2", "create_internet_gateway", "InternetGateway"),
        ("ssm", "describe_parameters", "Parameters"),
        ("iam", "list_account_aliases", "AccountAliases"),
    ],
)
def test_another_answer_with_the_status_200_comes_in_place_of_the_right_one(
    aws: LocalAws, client: Any, answer: str, service: str, action: str, member: str
) -> None:
    """botocore takes it for an answer without the member; one that found nothing has an empty list there.

    For IAM and STS it raises a bare KeyError, with the name of the element that is missing.
    """
    call = getattr(client(service, checked=False), action)
    assert call()[member] is not None
    aws.faults.add("*", answer=answer)
    if service == "iam":
        with pytest.raises(KeyError, match="ListAccountAliasesResult"):
            call()
        return
    found = call()
    assert (found["ResponseMetadata"]["HTTPStatusCode"], found.get(member)) == (200, None)


@pytest.mark.parametrize(
    ("fault", "effect"),
    [
        ({"lose_answer": True}, True),
        ({"lose_answer": True, "effect": False}, False),
        ({"answer": "html"}, True),
        ({"answer": "html", "effect": False}, False),
        ({"answer": "empty"}, True),
        ({"answer": "empty", "effect": False}, False),
    ],
)
def test_what_spoils_the_answer_lets_the_action_happen_or_keeps_it_from_happening(
    aws: LocalAws, client: Any, fault: dict[str, Any], effect: bool
) -> None:
    ec2 = client("ec2", checked=False)
    aws.faults.add("CreatePlacementGroup", **fault)
    with suppress(ConnectionClosedError):
        ec2.create_placement_group(GroupName="pair")
    assert bool(ec2.describe_placement_groups()["PlacementGroups"]) is effect
    assert aws.calls.all()[0].status == (200 if effect else 0)


@pytest.mark.parametrize(
    ("service", "action", "given"),
    [
        (
            "ec2",
            "describe_capacity_block_offerings",
            {"InstanceType": "p5.48xlarge", "InstanceCount": 2, "CapacityDurationHours": 24},
        ),
        ("ec2", "describe_capacity_reservations", {}),
        ("ssm", "get_parameters_by_path", {"Path": "/journal"}),
    ],
)
def test_pages_can_have_no_end(
    aws: LocalAws, client: Any, service: str, action: str, given: dict[str, Any]
) -> None:
    aws.faults.add("*", answer="endless", times=None)
    call = getattr(client(service), action)
    tokens: list[str] = []
    for _ in range(20):
        tokens.append(call(**given, **({"NextToken": tokens[-1]} if tokens else {}))["NextToken"])
    assert len(set(tokens)) == 20


@pytest.mark.parametrize(
    "fault", [{"delay": 1, "effect": False}, {"answer": "endless", "effect": False}, {"effect": False}]
)
def test_only_what_spoils_the_answer_can_keep_an_action_from_happening(fault: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Faults().add("X", **fault)


def test_a_call_that_was_on_its_way_when_all_was_emptied_leaves_nothing(
    aws: LocalAws, client: MakeClient
) -> None:
    ssm = client("ssm", checked=False)
    aws.faults.add("PutParameter", delay=1)
    with ThreadPoolExecutor(1) as pool:
        late = pool.submit(ssm.put_parameter, Name="/late", Value="x", Type="String")
        while aws.faults.pending():
            assert not late.done()
            time.sleep(0.01)
        aws.reset()
        assert isinstance(late.exception(timeout=30), ConnectionClosedError)
    assert ssm.get_parameters(Names=["/late"])["Parameters"] == []
