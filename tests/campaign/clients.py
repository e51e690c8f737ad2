"""Clients that look like boto3's, with everything that goes wrong between a machine and AWS.

A call passes three points at which its command may end: before it is sent, under way, and when the answer comes. What
was under way when the command ended still arrives at AWS, up to two minutes later.
"""

import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from types import SimpleNamespace
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError, EndpointConnectionError, ReadTimeoutError

from tests.campaign import shapes
from tests.campaign.ec2 import Ec2
from tests.campaign.schedule import Crash, Process, Schedule
from tests.campaign.shapes import refusal
from tests.campaign.ssm import Ssm

ACCOUNT = "123456789012"
LATEST = 120.0
ENDLESS_TOKEN = "endless-"
# As the product's clients are set up: seconds until a client gives up, and its attempts in all.
READ_SECONDS, PURCHASE_READ_SECONDS, ATTEMPTS = 30.0, 60.0, 3


class Fault(StrEnum):
    """What goes wrong with one call. `lost`: it had its effect, and the caller does not learn of it."""

    NONE = "none"
    SLOW = "slow"
    THROTTLED = "throttled"
    REFUSED = "refused"
    UNREACHABLE = "unreachable"
    FAILED = "status 500"
    FAILED_LOST = "status 500, lost"
    CLOSED = "connection closed"
    CLOSED_LOST = "connection closed, lost"
    TIMED_OUT = "timed out"
    TIMED_OUT_LOST = "timed out, lost"
    PAGE = "a page in place of an answer"
    PAGE_LOST = "a page in place of an answer, lost"
    ENDLESS = "pages without end"


LOST = (Fault.FAILED_LOST, Fault.CLOSED_LOST, Fault.TIMED_OUT_LOST, Fault.PAGE_LOST)
PURCHASES = ("purchase_capacity_block", "purchase_capacity_block_extension")
# Requests that may reach AWS after their caller has given up.
STRAY = PURCHASES
RETRIED = (
    Fault.THROTTLED,
    Fault.UNREACHABLE,
    Fault.FAILED,
    Fault.FAILED_LOST,
    Fault.CLOSED,
    Fault.CLOSED_LOST,
    Fault.TIMED_OUT,
    Fault.TIMED_OUT_LOST,
)


@dataclass(slots=True)
class Faults:
    """Which faults strike the calls of one command.

    rate, purchase_rate: how many of its calls, and of its purchases, go wrong.
    steady: faults that strike every call of an operation in a region ("describe_...", "us-east-1"), as a proxy or a
            permission does; the region "" stands for all.
    """

    rng: random.Random
    rate: float = 0.0
    purchase_rate: float = 0.0
    kinds: tuple[Fault, ...] = tuple(Fault)
    steady: dict[tuple[str, str], Fault] = field(default_factory=dict)
    struck: Counter[Fault] = field(default_factory=Counter)

    def draw(self, name: str, region: str) -> Fault:
        """The fault of this call."""
        fault = self.steady.get((name, region)) or self.steady.get((name, "")) or Fault.NONE
        rate = self.purchase_rate if name in PURCHASES else self.rate
        if fault is Fault.NONE and rate and self.rng.random() < rate:
            fault = self.rng.choice(self.kinds)
        self.struck[fault] += 1
        return fault


@dataclass(slots=True)
class Aws:
    """The account: both services, their time, and who is told of every call that was carried out: the operation, the
    region, the request, the answer (empty: refused) and the command."""

    schedule: Schedule
    ec2: Ec2
    ssm: Ssm
    on_call: Callable[[str, str, Mapping[str, Any], Mapping[str, Any], str], None] = lambda *_: None

    def perform(
        self, service: str, name: str, region: str, request: Mapping[str, Any], by: str
    ) -> dict[str, Any]:
        """The effect of a request and its answer, or AWS's refusal."""
        if service == "sts":
            return {"Account": ACCOUNT, "Arn": f"arn:aws:iam::{ACCOUNT}:user/{by}", "UserId": "AIDAEXAMPLE"}
        if service == "iam":
            return {"AccountAliases": ["team"], "IsTruncated": False}
        method: Callable[[str, Mapping[str, Any], str], dict[str, Any]] = getattr(
            getattr(self, service), name
        )
        answer: dict[str, Any] = {}
        try:
            answer = method(region, request, by)
        finally:
            self.on_call(name, region, request, answer, by)
        return answer


class Client:
    """A client of one service in one region, for one command. once: it does not retry, and waits longer."""

    def __init__(
        self, aws: Aws, process: Process, faults: Faults, service: str, region: str, once: bool
    ) -> None:
        self._aws = aws
        self._process = process
        self._faults = faults
        self._service = service
        self._region = region
        self._attempts = 1 if once else ATTEMPTS
        self._patience = PURCHASE_READ_SECONDS if once else READ_SECONDS
        endpoint = f"https://{service}.{region}.amazonaws.com"
        self.meta = SimpleNamespace(endpoint_url=endpoint, region_name=region, partition="aws")

    def __getattr__(self, name: str) -> Any:
        if name not in shapes.operations(self._service):
            raise AttributeError(f"boto3's {self._service} client has no {name}")
        return partial(self._call, name)

    def get_paginator(self, name: str) -> Any:
        """botocore's paginator."""
        return shapes.paginator(self._service, name, partial(self._call, name))

    def _call(self, name: str, **request: Any) -> dict[str, Any]:
        operation = shapes.operations(self._service)[name]
        shapes.check_request(operation, request)
        goes_on = str(request.get("NextToken", "")).startswith(ENDLESS_TOKEN)
        for attempt in range(1, self._attempts + 1):
            fault = Fault.ENDLESS if goes_on else self._faults.draw(name, self._region)
            try:
                return self._send(name, request, fault)
            except (ClientError, EndpointConnectionError, ConnectionClosedError, ReadTimeoutError):
                if fault not in RETRIED or attempt == self._attempts:
                    raise
            self._process.pause(self._faults.rng.uniform(0, 2**attempt))
        raise AssertionError("unreachable")

    def _send(self, name: str, request: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
        process, rng, where = self._process, self._faults.rng, f"{self._service} {name} {self._region}"
        process.point(f"before {where}")
        if fault is Fault.UNREACHABLE:
            process.pause(rng.uniform(0, 10))
            raise EndpointConnectionError(endpoint_url=self.meta.endpoint_url)
        late = rng.uniform(0, LATEST) if fault is Fault.SLOW else rng.choice((0.01, 0.1, rng.uniform(0, 2)))
        timed_out = fault in (Fault.TIMED_OUT, Fault.TIMED_OUT_LOST) or late > self._patience
        try:
            if timed_out:
                process.pause(self._patience * rng.random() if name not in STRAY else self._patience)
            else:
                process.pause(late * rng.random())
            process.point(f"under way {where}")
        except (KeyboardInterrupt, Crash):
            # The request has left the machine.
            self._stray(name, request, rng)
            raise
        if timed_out and name in STRAY and fault is not Fault.TIMED_OUT:
            self._stray(name, request, rng)
            raise ReadTimeoutError(endpoint_url=self.meta.endpoint_url)
        answer = self._answer(
            name, request, fault if not timed_out or fault in LOST else Fault.TIMED_OUT_LOST
        )
        process.pause(late * rng.random())
        process.point(f"after {where}")
        return answer

    def _answer(self, name: str, request: Mapping[str, Any], fault: Fault) -> dict[str, Any]:
        url, operation = self.meta.endpoint_url, shapes.operations(self._service)[name]
        if fault is Fault.THROTTLED:
            code = "RequestLimitExceeded" if self._service == "ec2" else "ThrottlingException"
            raise refusal(code, operation.name, 503)
        if fault is Fault.REFUSED:
            code = "UnauthorizedOperation" if self._service == "ec2" else "AccessDeniedException"
            raise refusal(code, operation.name, 403)
        members = shapes.members(operation)
        answer: dict[str, Any] = {}
        refused: ClientError | None = None
        if fault is Fault.ENDLESS and "NextToken" in members:
            # A page of nothing with a new token, for ever.
            rows: dict[str, Any] = {key: [] for key, one in members.items() if one.type_name == "list"}
            return {**rows, "NextToken": f"{ENDLESS_TOKEN}{self._faults.rng.getrandbits(32):x}"}
        if fault in LOST or fault in (Fault.NONE, Fault.SLOW, Fault.ENDLESS):
            try:
                answer = self._aws.perform(self._service, name, self._region, request, self._process.name)
                shapes.check_answer(operation, answer)
            except ClientError as error:
                refused = error
        if fault in (Fault.FAILED, Fault.FAILED_LOST):
            raise refusal("InternalError", operation.name, 500)
        if fault in (Fault.CLOSED, Fault.CLOSED_LOST):
            raise ConnectionClosedError(endpoint_url=url)
        if fault in (Fault.TIMED_OUT, Fault.TIMED_OUT_LOST):
            raise ReadTimeoutError(endpoint_url=url)
        if fault in (Fault.PAGE, Fault.PAGE_LOST):
            return shapes.page_answer(operation, self._faults.rng.choice(shapes.PAGES))
        if refused is not None:
            raise refused
        return {**answer, "ResponseMetadata": {"HTTPStatusCode": 200, "RetryAttempts": 0}}

    def _stray(self, name: str, request: Mapping[str, Any], rng: random.Random) -> None:
        """The request arrives later, whether or not its command still runs; or never."""
        if rng.random() < 0.3 or not name.startswith(("put_", "delete_", "purchase_")):
            return
        who = self._process.name

        def arrive() -> None:
            try:
                self._aws.perform(self._service, name, self._region, request, who)
            except ClientError:
                return

        delay = rng.uniform(0, LATEST) if name in STRAY else 0.0
        self._aws.schedule.at(self._aws.schedule.now + delay, arrive)


class Clients:
    """What the product asks for clients: one for each service and region."""

    def __init__(self, aws: Aws, process: Process, faults: Faults, region: str) -> None:
        self._of = partial(Client, aws, process, faults)
        self.region = region

    def ec2(self, region: str | None = None) -> Client:
        return self._of("ec2", region or self.region, False)

    def ec2_once(self, region: str | None = None) -> Client:
        return self._of("ec2", region or self.region, True)

    def ssm(self, region: str | None = None) -> Client:
        return self._of("ssm", region or self.region, False)

    def ssm_once(self, region: str | None = None) -> Client:
        return self._of("ssm", region or self.region, True)

    def sts(self, region: str | None = None) -> Client:
        return self._of("sts", region or self.region, False)

    def iam(self) -> Client:
        return self._of("iam", "us-east-1", False)
