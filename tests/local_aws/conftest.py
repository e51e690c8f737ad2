"""One local AWS for a module, emptied before each test, and clients whose every answer is compared with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from local_aws import LocalAws
from tests import launches
from tests.launches import IMAGE, subnet_in
from tests.local_aws.shapes import faults_of
from tests.offerings import soonest_offering

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ec2.type_defs import CapacityReservationTypeDef, InstanceTypeDef
    from mypy_boto3_ssm import SSMClient

REGION = "us-east-2"
ZONE = "us-east-2a"
NOW = datetime(2026, 12, 1, 8, 0, tzinfo=UTC)

MakeClient = Callable[..., Any]
Launch = Callable[..., "InstanceTypeDef"]
Refused = Callable[..., AbstractContextManager[None]]


@pytest.fixture
def aws(local_aws: LocalAws) -> LocalAws:
    local_aws.reset()
    local_aws.clock.set(NOW)
    return local_aws


@pytest.fixture
def client(aws: LocalAws) -> MakeClient:
    """Makes a client of a service. An answer that is not in botocore's words fails the test that asked."""

    def make(service: str, region: str = REGION, retries: int = 1, checked: bool = True) -> Any:
        found = boto3.client(
            service,  # type: ignore[call-overload]
            region_name=region,
            endpoint_url=aws.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
            config=Config(retries={"total_max_attempts": retries, "mode": "standard"}, read_timeout=20),
        )
        if checked:
            found.meta.events.register(
                f"before-parse.{found.meta.service_model.service_id.hyphenize()}", _check
            )
        return found

    return make


def _check(operation_model: Any, response_dict: Any, **_: Any) -> None:
    if response_dict["status_code"] == 200:
        assert faults_of(operation_model, response_dict["body"]) == []


@pytest.fixture
def ec2(client: MakeClient) -> EC2Client:
    found: EC2Client = client("ec2")
    return found


@pytest.fixture
def ssm(client: MakeClient) -> SSMClient:
    found: SSMClient = client("ssm")
    return found


@pytest.fixture
def image(ssm: SSMClient) -> str:
    return ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]


@pytest.fixture
def subnet(ec2: EC2Client) -> str:
    return subnet_in(ec2, ZONE)


def show(ec2: EC2Client, instance: str) -> InstanceTypeDef:
    """An instance as DescribeInstances tells it."""
    return ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]


def shown(ec2: EC2Client, reservation: str) -> Any:
    """A reservation as DescribeCapacityReservations tells it; the stubs lag behind botocore."""
    return ec2.describe_capacity_reservations(CapacityReservationIds=[reservation])["CapacityReservations"][0]


def on_demand(ec2: EC2Client, **more: Any) -> CapacityReservationTypeDef:
    """A new On-Demand Capacity Reservation of one g7e.8xlarge, unless something else is asked for."""
    given = {"InstanceType": "g7e.8xlarge", "InstancePlatform": "Linux/UNIX", "AvailabilityZone": ZONE}
    return ec2.create_capacity_reservation(**{**given, "InstanceCount": 1, **more})["CapacityReservation"]


def into(reservation: Any) -> dict[str, Any]:
    """What a launch into a block names."""
    return launches.into(reservation["CapacityReservationId"])


@pytest.fixture
def refused() -> Refused:
    """A block that must end in an error with this code (and these words in its message)."""

    @contextmanager
    def expect(code: str, words: str = "") -> Iterator[None]:
        with pytest.raises(ClientError) as caught:
            yield
        assert caught.value.response["Error"]["Code"] == code, caught.value
        assert words in caught.value.response["Error"]["Message"]

    return expect


@pytest.fixture
def block(ec2: EC2Client) -> Callable[..., CapacityReservationTypeDef]:
    """Buys a block of p5.48xlarge; it starts within the hour."""

    def buy(count: int = 2, instance_type: str = "p5.48xlarge", **more: Any) -> CapacityReservationTypeDef:
        offering = soonest_offering(ec2, instance_type, count)
        answer = ec2.purchase_capacity_block(
            CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX", **more
        )
        return answer["CapacityReservation"]

    return buy


@pytest.fixture
def active(aws: LocalAws, block: Any) -> CapacityReservationTypeDef:
    """A block of two that has begun."""
    bought: CapacityReservationTypeDef = block()
    aws.clock.set(bought["StartDate"])
    return bought


@pytest.fixture
def launch(ec2: EC2Client, image: str) -> Launch:
    """Launches one instance as RunInstances and shows it as DescribeInstances."""

    def run(zone: str = ZONE, **more: Any) -> InstanceTypeDef:
        given = {"ImageId": image, "InstanceType": "g7e.8xlarge", "MinCount": 1, "MaxCount": 1, **more}
        if "NetworkInterfaces" not in given and "LaunchTemplate" not in given:
            given.setdefault("SubnetId", subnet_in(ec2, zone))
        return show(ec2, ec2.run_instances(**given)["Instances"][0]["InstanceId"])

    return run
