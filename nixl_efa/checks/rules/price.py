"""What the launch costs for an hour On-Demand or on Spot. A block costs nothing more than its fee, which is paid.

Never a FAIL: a price that AWS does not show is a SKIP.
"""

from datetime import datetime
from decimal import Decimal

from nixl_efa.checks.facts import Facts, NoAnswer
from nixl_efa.checks.rules.common import aws, no_answer
from nixl_efa.cost import price_list
from nixl_efa.cost.compare import Rates, volume_hours
from nixl_efa.cost.money import Price, Sum, Unknown, reasons_of, shown, times
from nixl_efa.findings import Finding, aws_call, passed, skipped
from nixl_efa.launch import Launch
from nixl_efa.policy.document import partition_of

CHECK = "price"


def check(launch: Launch, facts: Facts, _now: datetime) -> list[Finding]:
    """The price of an hour, as one finding."""
    rates = facts.rates
    if isinstance(rates, NoAnswer):
        return [no_answer(CHECK, rates)]
    if rates is None:
        return []
    by_hand = _by_hand(launch)
    price = rates.on_demand if launch.market == "on-demand" else rates.spot
    market = "On-Demand" if launch.market == "on-demand" else f"on Spot ({rates.spot_zone or 'no zone'}, now)"
    what = f"{launch.count} x {launch.instance_type} {market}"
    more = _more(launch, rates)
    if isinstance(price, Unknown):
        return [
            skipped(
                CHECK, f"What {what} cost an hour is unknown: {price.reason.rstrip('.')}.{more}", "", by_hand
            )
        ]
    cost = shown(times(price, launch.count))
    return [
        passed(CHECK, f"{what} cost {cost} an hour, {shown(price)} each.{more}", by_hand),
    ]


def _more(launch: Launch, rates: Rates) -> str:
    """The cost of volumes and public addresses, which are paid in addition to the instances, as a sentence."""
    count = Decimal(launch.count)
    parts: list[tuple[str, Price | Sum]] = [("volumes", volume_hours(launch.volume, rates, count))]
    if launch.elastic_ip:
        parts.append(("public addresses", times(rates.address, count)))
    words = (f"{name} {_with_reason(found)}" for name, found in parts)
    return f" Beside them: {', '.join(words)}."


def _with_reason(found: Price | Sum) -> str:
    reasons = "; ".join(one.rstrip(".") for one in reasons_of(found))
    return f"{shown(found)} ({reasons})" if reasons else shown(found)


def _by_hand(launch: Launch) -> str:
    if launch.market == "spot":
        return aws(
            launch,
            "ec2",
            "describe-spot-price-history",
            "--instance-types",
            launch.instance_type,
            "--product-descriptions",
            "Linux/UNIX",
            "--max-results",
            "10",
        )
    question = price_list.of_instances(launch.region, launch.instance_type)
    filters = [f"Type=TERM_MATCH,Field={name},Value={value}" for name, value in question.attributes.items()]
    return aws_call(
        "pricing",
        "get-products",
        "--service-code",
        question.service,
        "--filters",
        *filters,
        region=price_list.ENDPOINTS.get(partition_of(launch.region), launch.region),
        profile=launch.profile,
    )
