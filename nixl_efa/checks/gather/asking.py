"""How a check asks: in parallel threads. Each question waits only for the answers that it needs."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from nixl_efa.aws_calls import Pool
from nixl_efa.aws_errors import explain, refusal_of
from nixl_efa.checks.facts import Answer, NoAnswer, Quota, Subnet
from nixl_efa.checks.gather import launch as named
from nixl_efa.checks.gather import usage
from nixl_efa.failure import Failure
from nixl_efa.launch import Launch
from nixl_efa.refusals import denial, names_cause, said

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client

    from nixl_efa.aws import Clients

T = TypeVar("T")

# More than the number of questions: a question that waits for another one must not take the thread that it needs.
_THREADS = 60


class Asking:
    """Questions about one launch's surroundings. A context manager: its threads end with the block.

    beside: the Asking for another request of the same environment. A question with a key is asked once for both.
    """

    def __init__(self, launch: Launch, clients: Clients, beside: Asking | None = None) -> None:
        self._launch = launch
        self._clients = clients
        self._begun: dict[object, Future[Any]] = beside._begun if beside is not None else {}
        self._pool = Pool(max_workers=_THREADS, thread_name_prefix="gather")
        self._own_ec2: EC2Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.__exit__(kind, error, trace)

    def begin(self, call: Callable[[], T], key: object = None) -> Future[T]:
        """Starts a call in a thread of its own. With a key, only the first call with that key is started.

        One thread starts all calls, one after the other (Gatherer.facts), so the look-up of the key needs no lock.
        """
        if key is None:
            return self._pool.submit(call)
        if key not in self._begun:
            self._begun[key] = self._pool.submit(call)
        return self._begun[key]

    def _ec2(self) -> EC2Client:
        # Kept here: the factory may be busy, since it makes the clients of all other regions one after the other.
        if self._own_ec2 is None:
            self._own_ec2 = self._clients.ec2(self._launch.region)
        return self._own_ec2

    def _ask(self, permission: str, call: Callable[[], T], key: object = None) -> Future[Answer[T]]:
        return self.begin(lambda: answer_of(permission, call), key)

    def _of_ec2(
        self, permission: str, call: Callable[[EC2Client], T], key: object = None
    ) -> Future[Answer[T]]:
        return self._ask(permission, lambda: call(self._ec2()), key)

    def _now(
        self, permission: str, call: Callable[[EC2Client, str], T], name: str | None
    ) -> Answer[T] | None:
        """Asks by this name, in the caller's thread; None without a name."""
        return answer_of(permission, lambda: call(self._ec2(), name)) if name else None

    def _named(
        self, permission: str, call: Callable[[EC2Client, str], T], name: str | None
    ) -> Future[Answer[T] | None]:
        return self.begin(lambda: self._now(permission, call, name), (call, name))

    def _in_vpc(
        self, permission: str, call: Callable[[EC2Client, str], T], subnet: Future[Subnet | None]
    ) -> Future[Answer[T] | None]:
        """Asks about the VPC of the chosen subnet; None without a subnet."""

        def ask() -> Answer[T] | None:
            chosen = subnet.result()
            return self._now(permission, call, chosen.vpc_id if chosen is not None else None)

        # All requests of an environment are launched into the same subnet.
        return self.begin(ask, (permission, call))

    def _parameter(self, given: str, name: str) -> Future[Answer[str | None]]:
        """The value that the settings give, else the one that the parameter holds."""

        def ask() -> Answer[str | None]:
            if given or not name:
                return given or None
            return answer_of(
                "ssm:GetParameter", lambda: named.parameter(self._clients.ssm(self._launch.region), name)
            )

        return self.begin(ask, ("parameter", given, name))

    def _quota(self, code: str, service: str = "ec2") -> Answer[Quota | None]:
        if not code:
            return None
        return answer_of(
            "servicequotas:GetServiceQuota",
            lambda: usage.quota(self._clients.service_quotas(self._launch.region), code, service),
        )

    def _quotas(self, codes: tuple[str, ...]) -> Answer[tuple[Quota, ...]]:
        if not codes:
            return ()
        ask = self._clients.service_quotas
        return answer_of(
            "servicequotas:GetServiceQuota", lambda: usage.quotas(ask(self._launch.region), codes)
        )


def known(value: Answer[str | None]) -> str | None:
    return None if isinstance(value, NoAnswer) else value


def answer_of(permission: str, call: Callable[[], T]) -> T | NoAnswer:
    """What `call` returns; NoAnswer, with the permission that it needs, when AWS refuses or can't be reached.

    Errors of this program are raised: they say nothing about AWS.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return call()
    except ClientError as error:
        service = permission.partition(":")[0]  # a question may have two calls; one can be denied
        if (refusal := refusal_of(error)).operation == "AssumeRole":
            return named.role_refused(refusal)
        denied = denial(refusal, service)
        cause, remedy = "", ""
        if denied is not None and names_cause(refusal):
            cause, remedy = f"{denied.meaning} ({said(refusal)})", denied.remedy
        return NoAnswer(
            f"{service}:{error.operation_name}",
            explain(error),
            denied=denied is not None,
            cause=cause,
            remedy=remedy,
        )
    except (BotoCoreError, OSError) as error:
        return NoAnswer(permission, explain(error))
    except Failure as error:
        return NoAnswer(permission, error.message.rstrip("."))
