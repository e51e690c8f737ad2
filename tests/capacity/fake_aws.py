"""An AWS in memory for purchases: it takes only requests that botocore's own model takes, and it fails on
demand.

Before and after the effect of each call, and around each write of the journal, `Script` decides what
happens: an error, a lost answer, a killed process, or another buyer who is quicker.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError
from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import validate_parameters

REGION = "us-east-2"
ACCOUNT = "123456789012"
START = datetime(2026, 12, 1, 11, 30, tzinfo=UTC)
OFFERING_ID = "cb-0123456789abcdef0"
FEE = "1888.42"
# Of a standard parameter (Systems Manager user guide, parameter-store-advanced-parameters).
LONGEST_VALUE = 4096


class Killed(BaseException):
    """kill -9: nothing of the command runs after it."""


@cache
def _model(service: str) -> ServiceModel:
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def validated(service: str, operation: str, request: Mapping[str, Any]) -> None:
    """Raises ParamValidationError for a request that botocore would not send."""
    shape = _model(service).operation_model(operation).input_shape
    assert shape is not None
    validate_parameters(dict(request), shape)


def refusal(code: str, operation: str, status: int = 400, message: str = "refused") -> ClientError:
    """An error as botocore raises it."""
    return ClientError(
        {"Error": {"Code": code, "Message": message}, "ResponseMetadata": {"HTTPStatusCode": status}},  # type: ignore[typeddict-item]
        operation,
    )


class FakeClock:
    """Time passes only while somebody sleeps."""

    def __init__(self) -> None:
        self.time = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)

    def now(self) -> datetime:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += timedelta(seconds=max(seconds, 0.001))


# What can happen at a point. The first group before an effect, the second after it.
BEFORE = ("refuse", "throttle", "fail-500", "page-403", "time-out", "kill")
AFTER = ("lose-500", "lose-answer", "lose-time-out", "kill-after")


@dataclass
class Script:
    """What goes wrong at which point: points are counted from 0 in each run of a command."""

    plan: dict[int, str] = field(default_factory=dict)
    point: int = 0
    passed: list[str] = field(default_factory=list)
    meanwhile: Callable[[], None] = lambda: None

    def begin(self, plan: Mapping[int, str] | None = None) -> None:
        """A new run of the command."""
        self.plan, self.point, self.passed = dict(plan or {}), 0, []

    def around(self, operation: str) -> Iterator[None]:
        """One point: what fails before the effect, then after it."""
        fault = self.plan.get(self.point, "")
        self.point += 1
        self.passed.append(operation)
        if fault == "kill":
            raise Killed
        if fault == "other-buyer":
            self.meanwhile()
        errors: dict[str, Exception] = {
            "refuse": refusal("UnauthorizedOperation", operation, 403),
            "throttle": refusal("RequestLimitExceeded", operation, 503),
            "fail-500": refusal("InternalError", operation, 500),
            # A proxy's whole page becomes the message where botocore can't read it.
            "page-403": refusal("403", operation, 403, message=f"<html>{'x' * 5000}</html>"),
            "time-out": ReadTimeoutError(endpoint_url="https://aws"),
            "lose-500": refusal("InternalError", operation, 500),
            "lose-answer": ConnectionClosedError(endpoint_url="https://aws"),
            "lose-time-out": ReadTimeoutError(endpoint_url="https://aws"),
        }
        if fault in BEFORE:
            raise errors[fault]
        yield
        if fault == "kill-after":
            raise Killed
        if fault in AFTER:
            raise errors[fault]


@dataclass
class FakeAws:
    """The account: reservations, parameters, one offering. Nothing bought is visible for `invisible`
    seconds."""

    clock: FakeClock
    script: Script = field(default_factory=Script)
    invisible: float = 0
    fee: str = FEE
    offered: bool = True
    reservations: list[dict[str, Any]] = field(default_factory=list)
    parameters: dict[str, list[str]] = field(default_factory=dict)
    purchases: int = 0

    def offering(self) -> dict[str, Any]:
        return {
            "CapacityBlockOfferingId": OFFERING_ID,
            "InstanceType": "p5.48xlarge",
            "AvailabilityZone": f"{REGION}a",
            "InstanceCount": 2,
            "StartDate": START,
            "EndDate": START + timedelta(days=1),
            "CapacityBlockDurationHours": 24,
            "UpfrontFee": self.fee,
            "CurrencyCode": "USD",
        }


class FakeEc2:
    """EC2 of one region."""

    def __init__(self, aws: FakeAws) -> None:
        self._aws = aws
        self.meta = SimpleNamespace(endpoint_url="https://ec2.us-east-2.amazonaws.com")

    def describe_capacity_block_offerings(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "DescribeCapacityBlockOfferings", request)
        for _ in self._aws.script.around("DescribeCapacityBlockOfferings"):
            pass
        return {"CapacityBlockOfferings": [self._aws.offering()] if self._aws.offered else []}

    def purchase_capacity_block(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "PurchaseCapacityBlock", request)
        payload: dict[str, Any] = {}
        for _ in self._aws.script.around("PurchaseCapacityBlock"):
            payload = {
                "CapacityReservationId": f"cr-{len(self._aws.reservations):017x}",
                "InstanceType": "p5.48xlarge",
                "State": "payment-pending",
                "TotalInstanceCount": 0,
                "AvailableInstanceCount": 0,
                "AvailabilityZone": f"{REGION}a",
                "StartDate": START,
                "EndDate": START + timedelta(days=1),
                "Tags": request["TagSpecifications"][0]["Tags"],
            }
            visible = self._aws.clock.now() + timedelta(seconds=self._aws.invisible)
            self._aws.reservations.append({"visible": visible, "payload": payload})
        return {"CapacityReservation": payload, "CapacityReservations": [payload]}

    def describe_regions(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "DescribeRegions", request)
        for _ in self._aws.script.around("DescribeRegions"):
            pass
        return {"Regions": [{"RegionName": REGION}]}

    def describe_subnets(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "DescribeSubnets", request)
        for _ in self._aws.script.around("DescribeSubnets"):
            pass
        return {"Subnets": [{"SubnetId": "subnet-1", "AvailabilityZone": f"{REGION}a"}]}

    def describe_capacity_reservations(self, **request: Any) -> dict[str, Any]:
        validated("ec2", "DescribeCapacityReservations", request)
        for _ in self._aws.script.around("DescribeCapacityReservations"):
            pass
        now = self._aws.clock.now()
        shown = [one["payload"] for one in self._aws.reservations if one["visible"] <= now]
        wanted = request.get("CapacityReservationIds")
        if wanted:
            shown = [payload for payload in shown if payload["CapacityReservationId"] in wanted]
            if not shown:
                raise refusal("InvalidCapacityReservationId.NotFound", "DescribeCapacityReservations")
        return {"CapacityReservations": shown}


class FakeSsm:
    """Parameter Store of one region."""

    def __init__(self, aws: FakeAws) -> None:
        self._aws = aws

    def get_parameter(self, **request: Any) -> dict[str, Any]:
        validated("ssm", "GetParameter", request)
        for _ in self._aws.script.around("GetParameter"):
            pass
        values = self._aws.parameters.get(request["Name"])
        if not values:
            raise refusal("ParameterNotFound", "GetParameter")
        return {"Parameter": {"Name": request["Name"], "Value": values[-1], "Version": len(values)}}

    def put_parameter(self, **request: Any) -> dict[str, Any]:
        validated("ssm", "PutParameter", request)
        if self._aws.script.plan.get(self._aws.script.point) == "page":
            # The page of a proxy, with status 200.
            return {"message": "<html>"}
        for _ in self._aws.script.around("PutParameter"):
            if len(request["Value"]) > LONGEST_VALUE:
                raise refusal("ValidationException", "PutParameter")
            values = self._aws.parameters.setdefault(request["Name"], [])
            if values and not request.get("Overwrite"):
                raise refusal("ParameterAlreadyExists", "PutParameter")
            values.append(request["Value"])
        return {"Version": len(self._aws.parameters[request["Name"]])}

    def get_parameters(self, **request: Any) -> dict[str, Any]:
        validated("ssm", "GetParameters", request)
        for _ in self._aws.script.around("GetParameters"):
            pass
        known = [name for name in request["Names"] if self._aws.parameters.get(name)]
        return {"Parameters": [self._parameter(name) for name in known]}

    def get_parameters_by_path(self, **request: Any) -> dict[str, Any]:
        validated("ssm", "GetParametersByPath", request)
        for _ in self._aws.script.around("GetParametersByPath"):
            pass
        below = [name for name in sorted(self._aws.parameters) if name.startswith(f"{request['Path']}/")]
        first = int(request.get("NextToken", 0))
        more = {"NextToken": str(first + 10)} if len(below) > first + 10 else {}
        return {"Parameters": [self._parameter(name) for name in below[first : first + 10]], **more}

    def _parameter(self, name: str) -> dict[str, Any]:
        values = self._aws.parameters[name]
        return {"Name": name, "Value": values[-1], "Version": len(values)}

    def get_parameter_history(self, **request: Any) -> dict[str, Any]:
        validated("ssm", "GetParameterHistory", request)
        for _ in self._aws.script.around("GetParameterHistory"):
            pass
        values = self._aws.parameters.get(request["Name"], [])
        entries = [{"Version": place, "Value": value} for place, value in enumerate(values, 1)]
        return {"Parameters": [{**entry, "LastModifiedUser": "arn:somebody"} for entry in entries]}


class FakeClients:
    """Stands in for nixl_efa.aws.Clients."""

    def __init__(self, aws: FakeAws, user: str = "ada") -> None:
        self._aws = aws
        self._user = user
        self.region = REGION

    def ec2(self, _region: str | None = None) -> FakeEc2:
        return FakeEc2(self._aws)

    ec2_once = ec2

    def iam(self) -> Any:
        return SimpleNamespace(list_account_aliases=lambda: {"AccountAliases": []})

    def ssm(self, _region: str | None = None) -> FakeSsm:
        return FakeSsm(self._aws)

    ssm_once = ssm

    def sts(self, _region: str | None = None) -> Any:
        identity = {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/{self._user}"}
        return SimpleNamespace(get_caller_identity=lambda: identity)
