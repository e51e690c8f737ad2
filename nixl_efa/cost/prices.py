"""Asks AWS for prices: the Price List, Spot's history and scores. What it does not tell is Unknown, with the reason."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, TypeVar

from nixl_efa.aws_calls import Pool, all_items
from nixl_efa.checks.facts import NoAnswer
from nixl_efa.checks.gather.asking import answer_of
from nixl_efa.clock import Clock
from nixl_efa.cost import price_list, spot
from nixl_efa.cost.compare import Rates
from nixl_efa.cost.money import Price, Unknown
from nixl_efa.launch import Launch
from nixl_efa.policy.document import partition_of

if TYPE_CHECKING:
    from nixl_efa.aws import Clients

T = TypeVar("T")

History = tuple[spot.Change, ...] | Unknown
Texts = list[str] | Unknown
THREADS = 16


def hourly(launch: Launch, clients: Clients, clock: Clock, zone: Callable[[], str]) -> Rates:
    """The prices of a launch On-Demand or on Spot, for the check: no scores, and of Spot the price of now alone.

    zone: waits for the one that the launch goes into; empty where that is not known.
    """
    with Pool(THREADS, thread_name_prefix="cost") as pool:
        asked = Prices(launch, clients, clock, pool)
        history: History = ()
        if launch.market == "spot":
            history = asked.history(launch.instance_type, clock.now())
        return asked.rates(launch.instance_type, history, zone, scores=False)


class Prices:
    """Questions about an environment's region, asked in the threads of `pool`."""

    def __init__(self, launch: Launch, clients: Clients, clock: Clock, pool: ThreadPoolExecutor) -> None:
        self._launch, self._clients, self._clock, self._pool = launch, clients, clock, pool
        self._region = launch.region
        self._volumes = self._begin(price_list.of_volumes(self._region))
        self._addresses = self._begin(price_list.of_addresses(self._region))

    def rates(
        self, instance_type: str, history: History, chosen: Callable[[], str] = str, *, scores: bool = True
    ) -> Rates:
        """The prices of a type in the region. history: of its Spot price. chosen: the zone, where the settings name
        none."""
        region, zone, span = self._region, "", None
        instances = self._begin(price_list.of_instances(region, instance_type))
        scored = self._pool.submit(self._scores, instance_type) if scores else None
        of_spot: Price = history if isinstance(history, Unknown) else Unknown("")
        wanted = self._launch.reservation.zone or chosen()
        if not isinstance(history, Unknown):
            # Local Zones have prices of their own, and a pair is in one only if the settings say so.
            history = tuple(one for one in history if wanted or one.zone[:-1] == region)
            of_spot, zone = spot.now_in(history, spot.currency_of(region), wanted)
            span = spot.span_in(history, zone, self._clock.now() - spot.LOOKED_BACK)
        of_instances, of_volumes, of_addresses = (
            one.result() for one in (instances, self._volumes, self._addresses)
        )
        if wanted and wanted[:-1] != region:
            # Not those of the region, and known by the names of cities alone.
            of_instances = of_volumes = of_addresses = Unknown(
                f"{wanted} is a Local Zone, whose prices are not looked up"
            )
        return Rates(
            on_demand=_read(
                of_instances, lambda texts: price_list.instance_hour(texts, instance_type, region)
            ),
            spot=of_spot,
            gib_month=_read(of_volumes, lambda texts: price_list.gib_month(texts, region)),
            iops_month=_read(of_volumes, lambda texts: price_list.iops_month(texts, region)),
            mibps_month=_read(of_volumes, lambda texts: price_list.mibps_month(texts, region)),
            address=_read(of_addresses, lambda texts: price_list.address_hour(texts, region)),
            spot_zone=zone,
            spot_span=span,
            scores=scored.result() if scored else (),
        )

    def history(self, instance_type: str, since: datetime) -> History:
        """The changes of the Spot price since a moment, with the price that was in force then."""
        now = self._clock.now()
        body = {
            "InstanceTypes": [instance_type],
            "ProductDescriptions": [spot.PLATFORM],
            "StartTime": max(since, now - spot.KEPT),
            "EndTime": now,
        }
        ec2 = self._clients.ec2(self._region)

        def found() -> tuple[spot.Change, ...]:
            call = ec2.describe_spot_price_history
            return spot.changes(all_items(call, "SpotPriceHistory", self._clock.sleep, body))

        return ask("ec2:DescribeSpotPriceHistory", found)

    def _scores(self, instance_type: str) -> tuple[spot.Score, ...] | Unknown:
        ec2 = self._clients.ec2(self._region)
        mine = [one.count for one in self._launch.beside if one.instance_type == instance_type]
        body = {
            "InstanceTypes": [instance_type],
            # Of a type that the settings no longer have, as many as there are nodes.
            "TargetCapacity": sum(mine) or len(self._launch.every_node),
            "SingleAvailabilityZone": True,
            "RegionNames": [self._region],
        }

        def found() -> tuple[spot.Score, ...]:
            items = all_items(ec2.get_spot_placement_scores, "SpotPlacementScores", self._clock.sleep, body)
            return tuple(spot.Score(one.get("AvailabilityZoneId", ""), one["Score"]) for one in items)

        return ask("ec2:GetSpotPlacementScores", found)

    def _begin(self, question: price_list.Question) -> Future[Texts]:
        return self._pool.submit(self._products, question)

    def _products(self, question: price_list.Question) -> Texts:
        endpoint = price_list.ENDPOINTS.get(partition_of(self._region))
        if endpoint is None:
            return Unknown(f"the Price List has no endpoint for {self._region}")
        pricing = self._clients.pricing(endpoint)

        def found() -> list[str]:
            items = all_items(pricing.get_products, "PriceList", self._clock.sleep, question.request)
            return [str(one) for one in items]

        return ask("pricing:GetProducts", found)


def ask(permission: str, call: Callable[[], T]) -> T | Unknown:
    """What `call` returns; Unknown, with the reason, where AWS refuses or can't be reached."""
    found = answer_of(permission, call)
    if not isinstance(found, NoAnswer):
        return found
    return Unknown(f"no permission: {found.permission}" if found.denied else found.reason.rstrip("."))


def _read(texts: Texts, parse: Callable[[list[str]], Price]) -> Price:
    return texts if isinstance(texts, Unknown) else parse(texts)
