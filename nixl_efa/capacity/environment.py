"""What an environment has: the reservation that it uses, the block that follows it, and everything bought for it.

The current reservation's id and zone are in the parameters that `launch.ReservationSource` names. The next block's are
in parameters of the same names with "-next" at the end. Every region is searched for living reservations, since a block
is paid for in whichever region it is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from nixl_efa.aws_calls import all_items, ask_all, enabled_regions
from nixl_efa.aws_errors import explain, missing_permission
from nixl_efa.capacity import parameters
from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.judge import judge
from nixl_efa.capacity.offering import Offering
from nixl_efa.capacity.order import Entry, State
from nixl_efa.capacity.parameters import Change, Stored
from nixl_efa.capacity.reservation import (
    CAPACITY_BLOCK,
    ENVIRONMENT_TAG,
    PURCHASE_TAG,
    UNKNOWN,
    Reservation,
    reservations_in,
)
from nixl_efa.failure import Failure
from nixl_efa.findings import Finding, Level, failures
from nixl_efa.launch import Launch
from nixl_efa.reservation_source import ReservationSource
from nixl_efa.times import moment, span

CHECK = "environment"
# The next block may begin before the current one ends. If both last longer than this at the same time, the user pays
# twice for no reason.
LONGEST_OVERLAP = timedelta(hours=24)


class Slot(StrEnum):
    """As which block of its environment a reservation is kept."""

    CURRENT = "current"
    NEXT = "next"


@dataclass(frozen=True, slots=True)
class Holdings:
    """What an environment has.

    current, next:    living or not; None when none is stored.
    others:           living ones that were bought for it and are neither current nor next, nor bought together with one
                      of these.
    stored:           its four parameters as they were read.
    not_asked:        regions that these credentials may not read, each with the reason.
    living_instances: the size of all living blocks of the account together.
    owned:            living ones that were bought for any environment (tag ENVIRONMENT_TAG).
    """

    source: ReservationSource
    current: Reservation | None
    next: Reservation | None
    others: tuple[Reservation, ...]
    stored: Mapping[str, Stored]
    not_asked: Mapping[str, str]
    living_instances: int = 0
    owned: tuple[Reservation, ...] = ()

    def living(self, now: datetime) -> list[Reservation]:
        """All that can still be used, now or later."""
        every = (self.current, self.next, *self.others)
        return [one for one in every if one is not None and one.lives(now)]


def holdings(
    buyer: Buyer,
    source: ReservationSource,
    entries: Iterable[Entry] = (),
    regions: Sequence[str] | None = None,
) -> Holdings:
    """What the environment has, in every region that is enabled (or in those given), asked in parallel.

    entries: the journals' entries of its purchases. Failure when a region does not answer: it could have a living
    block.
    """
    everywhere = regions or enabled_regions(buyer.clients.ec2(source.region), buyer.clock.sleep)
    stored = read_stored(buyer, source)
    found, not_asked = reservations_everywhere(buyer, everywhere)
    by_id = {one.id: one for one in found}
    bought = {one: entry for entry in entries for one in entry.reservation_ids}
    current_id = source.id or stored[source.id_parameter].value
    next_id = stored[source.next_id_parameter].value
    now = buyer.clock.now()
    named = {one for one in (current_id, next_id) if one}
    tagged = [one for one in found if one.tags.get(ENVIRONMENT_TAG) == source.environment]
    hidden = [
        _unknown(one, entry.order.offering.region, entry)
        for one, entry in bought.items()
        if one not in by_id
        and entry.state is not State.NOT_BOUGHT
        # A block in a region that may not be read counts as living until its end.
        and (now < buyer.rule.settled_at(entry) or entry.order.offering.region in not_asked)
    ]

    def named_one(reservation_id: str) -> Reservation | None:
        if not reservation_id:
            return None
        return by_id.get(reservation_id) or _unknown(
            reservation_id, source.region, bought.get(reservation_id)
        )

    current = named_one(current_id)
    following = named_one(next_id) if next_id != current_id else None
    # Only a living one: where the current one failed or ended, others of the same purchase may still live unused.
    used = [one for one in (current, following) if one is not None and one.lives(now)]
    others = [
        one
        for one in (*tagged, *hidden)
        if one.id not in named and one.lives(now) and not any(map(one.is_bought_with, used))
    ]
    if others and source.beside:
        # Bought for this target and kept for another target of the environment: the order of the entries was changed.
        ssm = buyer.clients.ssm(source.region)
        kept = {one.value for one in parameters.read_many(ssm, source.beside).values()}
        others = [one for one in others if one.id not in kept]
    return Holdings(
        source=source,
        current=current,
        next=following,
        others=tuple(others),
        stored=stored,
        not_asked=not_asked,
        living_instances=sum(one.size for one in found if one.is_block and one.lives(now)),
        owned=tuple(one for one in found if ENVIRONMENT_TAG in one.tags and one.lives(now)),
    )


def read_stored(buyer: Buyer, source: ReservationSource) -> dict[str, Stored]:
    """The environment's four parameters, by name."""
    names = (
        source.zone_parameter,
        source.id_parameter,
        source.next_zone_parameter,
        source.next_id_parameter,
    )
    return parameters.read_many(buyer.clients.ssm(source.region), names)


def reservations_everywhere(buyer: Buyer, regions: Sequence[str]) -> tuple[list[Reservation], dict[str, str]]:
    """Every reservation of the regions, and the regions that may not be read, each with the reason. Failure when a
    region does not answer."""

    def ask(region: str) -> list[Reservation]:
        return reservations_in(buyer.clients.ec2(region), region, buyer.clock.sleep)

    answers, errors = ask_all(regions, ask)
    # Credentials that may not read a region can't buy in it either: a policy of the organization closes such regions.
    denied = {region: explain(error) for region, error in errors.items() if missing_permission(error)}
    for region, error in errors.items():
        if region not in denied:
            raise Failure(
                f"{region} could not be asked for reservations ({explain(error)}), so nothing was bought. "
                "If the environment has a block there, you would pay for two. Try again."
            ) from error
    return [one for found in answers.values() for one in found], denied


def slot_for(
    offering: Offering, held: Holdings, now: datetime, *, replace: bool
) -> tuple[Slot, list[Finding]]:
    """The slot in which a purchase is kept, and what speaks against it. Pure.

    An environment has one living block at a time. While its current one lives, a later one is kept as the next.
    """
    name, living = held.source.environment, held.living(now)
    if not living or replace:
        return Slot.CURRENT, [
            _warn(f"{_named(one)} is replaced as the environment's current block by {name}.", "")
            for one in living
        ]
    current = held.current
    if held.others:
        other = held.others[0]
        return Slot.NEXT, [
            _fail(
                f"{name} has {_named(other)} already, in {other.region}.",
                f"Keep it with `nixl-efa capacity save {other.id} --env {name}`, or give --replace.",
            )
        ]
    if held.next is not None and held.next.lives(now):
        return Slot.NEXT, [
            _fail(
                f"{name} has a next block already: {_named(held.next)}.", "Use that one, or give --replace."
            )
        ]
    if current is None:
        return Slot.CURRENT, []
    if current.state == UNKNOWN:
        return Slot.NEXT, [
            _fail(
                f"{name} has {current.id!r} stored, which EC2 does not show. It may have been bought just now.",
                "Try again in some minutes; if it ended long ago or is not a reservation, give --replace.",
            )
        ]
    if not current.is_block or current.end is None:
        return Slot.NEXT, [
            _fail(f"{name} uses {_named(current)}.", "Give --replace to use this block instead.")
        ]
    if offering.end <= current.end:
        return Slot.NEXT, [
            _fail(
                f"{name} has {_named(current)}, and this block does not end later.",
                "Choose one that ends later, or give --replace.",
            )
        ]
    return Slot.NEXT, [_next(name, offering, current)]


def not_saved_findings(held: Holdings, now: datetime) -> list[Finding]:
    """What speaks against a purchase for the environment that is not to be saved for it. Pure."""
    return [
        _fail(
            f"{held.source.environment} has {_named(one)} already, and --no-save keeps the new block nowhere.",
            "Leave out --no-save to keep it as the next block, or buy it for no environment (--unbound).",
        )
        for one in held.living(now)
    ]


def next_finding(
    following: Reservation, launch: Launch, now: datetime, current: Reservation | None = None
) -> Finding:
    """A finding about the environment's next block: whether it will fit and last longer than the current one. Pure."""
    check, name = "next block", launch.environment
    faults = failures(judge(following, launch, now))
    if faults:
        message = f"{name}'s next block {_named(following)} does not fit: {faults[0].message}"
        return Finding(Level.WARN, check, message, faults[0].remedy)
    if current is not None and current.end and following.end and following.end <= current.end:
        message = (
            f"{name}'s next block {_named(following)} does not end later than the current {_named(current)}."
        )
        return Finding(Level.WARN, check, message, "It adds no time; another environment may use it.")
    if following.state == "active":
        remedy = f"`nixl-efa capacity switch {name}` makes it the current one."
        return Finding(Level.WARN, check, f"{name}'s next block {_named(following)} can be used.", remedy)
    starts = f", and starts at {moment(following.start)}" if following.start is not None else ""
    return Finding(Level.PASS, check, f"{name}'s next block is {_named(following)}{starts}.")


def overlap(offering: Offering, current: Reservation | None) -> timedelta:
    """For how long both are paid for at the same time."""
    if current is None or current.end is None:
        return timedelta(0)
    return max(current.end - offering.start, timedelta(0))


def overlap_of_extension(
    extension: Offering, extended: Reservation, held: Holdings, now: datetime
) -> tuple[timedelta, list[Finding]]:
    """For how much of an extension another block of the environment is paid for too, and the finding about it. Pure.

    Blocks that were bought together with this one don't count: they are extended together with it, or after it.
    """
    others = [one for one in held.living(now) if one.id != extended.id and not one.is_bought_with(extended)]
    both = [
        (one, length)
        for one in others
        if one.start is not None
        and (length := min(extension.end, one.end or extension.end) - max(extension.start, one.start))
        > timedelta(0)
    ]
    found = [
        _warn(
            f"{held.source.environment} has {_named(one)}, too: both are paid for at once for {span(length)}.",
            "Extend by fewer hours, or not at all.",
        )
        for one, length in both
    ]
    return max((length for _, length in both), default=timedelta(0)), found


def changes(held: Holdings, slot: Slot, reservation_id: str, zone: str) -> list[Change]:
    """The parameters to write, with the values that were read, to make the reservation the environment's current or
    next one. The zone comes first, so that the new id is never stored beside the old zone."""
    source, stored = held.source, held.stored
    at_zone, at_id = (
        (source.zone_parameter, source.id_parameter)
        if slot is Slot.CURRENT
        else (source.next_zone_parameter, source.next_id_parameter)
    )
    return [Change(stored[at_zone], zone), Change(stored[at_id], reservation_id)]


def save(buyer: Buyer, held: Holdings, slot: Slot, reservation_id: str, zone: str) -> list[str]:
    """Writes the reservation as the environment's current or next one and returns the names of the parameters that hold
    it. Changed when somebody else has written them since `held` was read."""
    planned = changes(held, slot, reservation_id, zone)
    parameters.write_together(buyer.clients.ssm_once(held.source.region), planned, buyer.clock.sleep)
    for change in planned:
        as_before = "" if change.needed else " (as before)"
        buyer.talk.tell(f"{change.old.name} = {change.new}{as_before}")
    if held.source.id and slot is Slot.CURRENT and held.source.id != reservation_id:
        buyer.talk.tell(
            f"{held.source.environment} is set to {held.source.id} ({held.source.set_by}). "
            f"Set that to {reservation_id}, or to capacity_reservation_parameter = {held.source.id_parameter!r}."
        )
    return [change.old.name for change in planned]


def subnets(buyer: Buyer, launch: Launch, zone: str) -> tuple[str, list[Finding]]:
    """The zone of the subnet that the settings name (empty when they name none), and findings about subnets for a block
    in `zone`."""
    wanted = (
        ("subnet-id", launch.subnet_id)
        if launch.subnet_id
        else ("vpc-id", launch.vpc_id)
        if launch.vpc_id
        else ("default-for-az", "true")
    )
    ec2 = buyer.clients.ec2(launch.region)
    request = {"Filters": [{"Name": wanted[0], "Values": [wanted[1]]}]}
    try:
        found = [
            one["AvailabilityZone"]
            for one in all_items(ec2.describe_subnets, "Subnets", buyer.clock.sleep, request)
        ]
    except Exception as error:
        if not missing_permission(error):
            raise
        return "", [
            _warn(f"The subnets could not be looked at: {explain(error)}", "Look whether one is in the zone.")
        ]
    if launch.subnet_id and not found:
        return "", [
            _fail(f"subnet_id {launch.subnet_id} is not in {launch.region}.", "Set one that is there.")
        ]
    if launch.subnet_id:
        return found[0], []
    if zone in found:
        return "", []
    where = launch.vpc_id or "the default VPC"
    return "", [_warn(f"{where} has no subnet in {zone}.", "Create one there before the block starts.")]


def _unknown(reservation_id: str, region: str, entry: Entry | None) -> Reservation:
    """A reservation that EC2 does not show, with the data that a journal has about it."""
    bought = entry.order.offering if entry is not None else None
    return Reservation(
        id=reservation_id,
        region=region,
        kind=CAPACITY_BLOCK,
        state=UNKNOWN,
        instance_type=bought.instance_type if bought else "",
        size=bought.count if bought else 0,
        free=0,
        zone=bought.zone if bought else "",
        platform="",
        start=bought.start if bought else None,
        end=bought.end if bought else None,
        tags={PURCHASE_TAG: entry.tag} if entry is not None else {},
    )


def _named(one: Reservation) -> str:
    end = f", until {moment(one.end)}" if one.end is not None else ""
    return f"{one.id} ({one.state}{end})"


def _next(name: str, offering: Offering, current: Reservation) -> Finding:
    message = f"{name} uses {_named(current)}: this block is kept as its next one."
    both = overlap(offering, current)
    if both:
        message += f" Both are paid for at once for {span(both)}."
    return _warn(message, f"`nixl-efa capacity switch {name}` makes it the current one when it is active.")


def _fail(message: str, remedy: str) -> Finding:
    return Finding(Level.FAIL, CHECK, message, remedy)


def _warn(message: str, remedy: str) -> Finding:
    return Finding(Level.WARN, CHECK, message, remedy)
