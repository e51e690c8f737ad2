"""What AWS has billed for an environment, by Cost Explorer.

Each request costs 0.01 USD (aws.amazon.com/aws-cost-management/aws-cost-explorer/pricing), so it is sent only with an
option. Its data is up to a day old, and contains a tag only after the tag is activated for cost allocation.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

from nixl_efa.aws_calls import result
from nixl_efa.cost.money import Amount, Price, Sum, Unknown, added
from nixl_efa.cost.prices import ask
from nixl_efa.failure import Failure
from nixl_efa.launch import Launch
from nixl_efa.policy.document import partition_of
from nixl_efa.settings.model import STACK_TAG

if TYPE_CHECKING:
    from nixl_efa.aws import Clients

_METRIC = "UnblendedCost"
# The partitions for which botocore knows an endpoint that all regions share.
_PARTITIONS = ("aws", "aws-cn")
# Cost Explorer has 13 months (Cost Management user guide, ce-api-best-practices).
LONGEST = timedelta(days=395)
MOST_PAGES = 10


@dataclass(frozen=True, slots=True)
class Billed:
    """What was billed from the day `start` until the day before `end`, by service. Unknown: there is no data for the
    tag."""

    start: date
    end: date
    services: Mapping[str, Price] | Unknown

    @property
    def total(self) -> Sum | Unknown:
        """All services together."""
        return self.services if isinstance(self.services, Unknown) else added(self.services.items())


def billed(launch: Launch, clients: Clients, since: datetime, now: datetime) -> Billed:
    """What Cost Explorer has under the tag of the environment's stack."""
    end = now.date() + timedelta(days=1)
    start = max(since, now - LONGEST).date()
    if partition_of(launch.region) not in _PARTITIONS:
        return Billed(start, end, Unknown(f"Cost Explorer has no endpoint for {launch.region}"))
    body = request(launch.stack_identity, start, end)

    def look() -> list[Mapping[str, Any]]:
        client = clients.cost_explorer(launch.region)
        pages: list[Mapping[str, Any]] = []
        more: dict[str, str] = {}
        for _ in range(MOST_PAGES):
            answer = client.get_cost_and_usage(**body, **more)
            pages += result(answer, "ResultsByTime")
            token = answer.get("NextPageToken")
            if not token:
                return pages
            more = {"NextPageToken": token}
        raise Failure(f"Cost Explorer has more than {MOST_PAGES} pages")

    found = ask("ce:GetCostAndUsage", look)
    if isinstance(found, Unknown):
        return Billed(start, end, found)
    return Billed(start, end, services(found) or _nothing(launch.stack_identity))


def request(identity: str, start: date, end: date) -> dict[str, Any]:
    """The members of GetCostAndUsage."""
    return {
        "TimePeriod": {"Start": start.isoformat(), "End": end.isoformat()},
        "Granularity": "MONTHLY",
        "Metrics": [_METRIC],
        "GroupBy": [{"Type": "DIMENSION", "Key": "SERVICE"}],
        "Filter": {"Tags": {"Key": STACK_TAG, "Values": [identity], "MatchOptions": ["EQUALS"]}},
    }


def services(periods: Iterable[Mapping[str, Any]]) -> dict[str, Price]:
    """The amounts of all periods by service; none where no service has a bill. Pure."""
    found: dict[str, Price] = {}
    for period in periods:
        for group in period.get("Groups", ()):
            name = ", ".join(group["Keys"])
            found[name] = _plus(found.get(name), group["Metrics"][_METRIC])
    return found


def _plus(known: Price | None, metric: Mapping[str, str]) -> Price:
    try:
        amount = Amount(Decimal(metric["Amount"]), metric["Unit"])
    except (InvalidOperation, KeyError):
        return Unknown(f"Cost Explorer sent {metric!r} as an amount")
    if known is None:
        return amount
    whole = added([("", known), ("", amount)]).whole
    return whole or Unknown("Cost Explorer sent amounts in several currencies")


def _nothing(identity: str) -> Unknown:
    return Unknown(
        f"Cost Explorer has nothing under the tag {STACK_TAG} = {identity}. Its data is up to a day old, and the tag "
        "must be activated for cost allocation (Billing, Cost allocation tags; up to 24 hours)"
    )
