"""The one place that knows the product: a user's step becomes a call of its library, as the command line makes it."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from unittest.mock import patch

from nixl_efa.aws_errors import explain
from nixl_efa.capacity.agreement import Agreement
from nixl_efa.capacity.buy import BuyRequest, buy
from nixl_efa.capacity.buyer import Buyer, identify, lock_region
from nixl_efa.capacity.extend import ExtendRequest, extend
from nixl_efa.capacity.order import UNBOUND
from nixl_efa.capacity.purchase import Outcome
from nixl_efa.capacity.recover import known_names, recover
from nixl_efa.capacity.reservation import locate
from nixl_efa.capacity.save import save, switch
from nixl_efa.capacity.search import checked_question
from nixl_efa.capacity.users import node_names
from nixl_efa.failure import Failure
from nixl_efa.launch import Launch
from nixl_efa.launch import launch_of as launch_of_settings
from nixl_efa.settings import Settings
from tests.campaign.clients import Clients
from tests.campaign.ec2 import Offer
from tests.campaign.scenario import NO_ENVIRONMENT, TYPE, Environment, Step

# The local journals, below a directory that holds the machines' state directories.
JOURNAL_FILES = "*/purchases/*.json"
LIMIT = Decimal(99999)


def launch_of(environment: Environment) -> Launch:
    """What the environment's nodes are launched from."""
    settings = Settings(
        name=environment.name,
        region=environment.region,
        instance_type=TYPE,
        use_capacity_block=True,
        capacity_reservation_parameter=environment.id_parameter,
    )
    return launch_of_settings(settings)


@dataclass(frozen=True, slots=True)
class Machine:
    """A machine with a user at it: what the command line takes from its surroundings."""

    clients: Clients
    clock: Any
    state: Path
    talk: Any
    launches: Mapping[str, Launch]

    def buyer(self) -> Buyer:
        account = identify(cast(Any, self.clients), self.clients.region, "")
        clients = cast(Any, self.clients)
        return Buyer(clients, self.clock, self.state, account, lock_region(account, {}), self.talk)

    def buy(self, step: Step, offer: Offer) -> None:
        """`nixl-efa capacity buy OFFERING --env ENV`, or --unbound."""
        question = checked_question(
            offer.id,
            None,
            instance_type=offer.instance_type,
            count=offer.count,
            hours=offer.hours,
            region=offer.region,
            now=self.clock.now(),
        )
        bound = step.environment != NO_ENVIRONMENT
        launches = {step.environment: self.launches[step.environment]} if bound else {}
        name = step.environment if bound else UNBOUND
        _end(buy(BuyRequest(question, launches, name, _agreed(step)), self.buyer()))

    def recover(self, step: Step) -> None:
        """`nixl-efa capacity recover`, with or without --env."""
        buyer = self.buyer()
        names = {step.environment} if step.environment else {*self.launches, *known_names(buyer)}
        found = recover(
            names, buyer, lambda question: self.talk.ask(question) == "y", replace_living=step.replace
        )
        if not found.entries and not found.problems:
            self.talk.tell("no purchase is open")
        if found.problems:
            raise Failure("; ".join(found.problems))

    def extend(self, step: Step, block: str, region: str) -> None:
        """`nixl-efa capacity extend ID --hours 24`."""
        found = locate(cast(Any, self.clients.ec2), [region], block, self.clock.sleep)
        _end(extend(ExtendRequest(found, 24, _agreed(step), step.environment), self.buyer()))

    def save(self, step: Step, block: str, region: str) -> None:
        """`nixl-efa capacity save ID --env ENV`."""
        found = locate(cast(Any, self.clients.ec2), [region], block, self.clock.sleep)
        launch = self.launches[step.environment]
        save(found, launch, node_names(launch, self.launches.values()), self.buyer(), replace=step.replace)

    def switch(self, step: Step) -> None:
        """`nixl-efa capacity switch ENV`."""
        launch = self.launches[step.environment]
        switch(launch, node_names(launch, self.launches.values()), self.buyer())


def _agreed(step: Step) -> Agreement:
    return Agreement(yes=not step.types_fee, max_fee=LIMIT, replace=step.replace)


def _end(outcome: Outcome) -> None:
    if outcome.problem:
        raise Failure(outcome.problem)


def is_message(error: BaseException) -> bool:
    """Whether the command line ends with one line for this error, and not with a traceback."""
    return isinstance(error, Failure) or _is_botocores(error)


def message(error: BaseException) -> str:
    """What the command line prints for it."""
    if isinstance(error, Failure):
        return error.message
    return explain(error) if isinstance(error, Exception) and _is_botocores(error) else repr(error)


def _is_botocores(error: BaseException) -> bool:
    return type(error).__module__.startswith("botocore.")


class _Done(Future[Any]):
    """A future with a number for its hash, so that a set of them has the same order in every run."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self._number = number

    def __hash__(self) -> int:
        return self._number


class _OneByOne:
    """Stands in for a pool of threads: whoever submits does the work. Only one thread runs in a simulation."""

    def __init__(self, max_workers: int = 1) -> None:
        self._submitted = 0

    def __enter__(self) -> _OneByOne:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def submit(self, work: Callable[..., Any], *arguments: Any) -> Future[Any]:
        self._submitted += 1
        future = _Done(self._submitted)
        try:
            future.set_result(work(*arguments))
        except Exception as error:
            future.set_exception(error)
        return future

    def shutdown(self, **_: Any) -> None:
        return None


@contextmanager
def one_thread() -> Iterator[None]:
    """As long as it lasts, the product starts no threads of its own."""
    users = [
        module
        for name, module in sys.modules.items()
        if name.startswith("nixl_efa.") and hasattr(module, "ThreadPoolExecutor")
    ]
    with ExitStack() as stack:
        for module in users:
            stack.enter_context(patch.object(module, "ThreadPoolExecutor", _OneByOne))
        yield
