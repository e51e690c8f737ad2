"""The room in a reservation: what runs in it, which places become free, and whether a launch has enough. Pure.

Source: EC2 user guide, capacity-blocks-launch.
"""

from dataclasses import dataclass

from nixl_efa.capacity.reservation import Reservation
from nixl_efa.findings import Finding, aws_call, counted, failed, listed, passed, warned
from nixl_efa.launch import Launch
from nixl_efa.reservation_source import environment_of


@dataclass(frozen=True, slots=True)
class Use:
    """What was seen to run in a reservation.

    own:    running nodes of this environment; their places become free before the nodes that replace them are launched.
    others: other running instances, in words.
    ending: instances that are being terminated. After its end an instance still holds its place for some minutes.
    accounts: the other accounts that run instances in it, and how many: it is shared with them, or owned by one of
            them.
    """

    own: int = 0
    others: tuple[str, ...] = ()
    ending: tuple[str, ...] = ()
    accounts: tuple[tuple[str, int], ...] = ()

    @property
    def taken(self) -> int:
        """The instances that were seen to run in it."""
        return self.own + len(self.others) + sum(count for _, count in self.accounts)


def coming_back(found: Reservation, use: Use) -> int:
    """The places in which nothing runs, but which are not free yet: a slot is free again only some minutes after its
    instance has ended. When the use by other accounts was not seen, their instances may be in these places."""
    return max(found.size - found.free - use.taken, 0) if found.state == "active" else 0


def awaits_places(found: Reservation, launch: Launch, use: Use) -> bool:
    """Whether the launch has no room now, but will have it when the places of ended instances are free."""
    free = found.free + use.own
    return free < launch.count_in_reservation <= free + coming_back(found, use)


def room_findings(found: Reservation, launch: Launch, use: Use | None) -> list[Finding]:
    """Whether the launch finds room in a living reservation, and what else runs in it. use: None when not looked up."""
    return [_room(found, launch, use), *_others(found, launch, use)]


def use_command(reservation_id: str, launch: Launch) -> str:
    """The AWS CLI call that shows what runs in a reservation."""
    words = ("--filters", f"Name=capacity-reservation-id,Values={reservation_id}")
    return aws_call("ec2", "describe-instances", *words, region=launch.region, profile=launch.profile)


def _room(found: Reservation, launch: Launch, use: Use | None) -> Finding:
    check, size = "reservation room", counted(found.size, "instance")
    own = use.own if use is not None else 0
    active = found.state == "active"
    free = found.free + own if active else found.size
    wanted = launch.count_in_reservation
    if free >= wanted:
        when = "free" if active else "in it once it is active"
        held = f", {own} of them held by this stack" if active and own else ""
        return passed(check, f"{free} of {size} {when}{held}.")
    message = f"{free} of {size} in {found.id} are free; the launch needs {wanted}."
    too_small = "End other instances in it, or take a larger one."
    if use is None:
        if found.size < wanted:
            return failed(check, message, too_small)
        remedy = "This is in order if the others are used by this environment's own nodes, which end before new ones start."  # noqa: E501
        return warned(check, message, remedy)
    if back := coming_back(found, use):
        ending = f" ({listed(use.ending)} is ending)" if use.ending else ""
        message += f" {counted(back, 'place')} more will be free some minutes after the instance there ended{ending}."
    if awaits_places(found, launch, use):
        deploy = f"`nixl-efa deploy {environment_of(launch.environment)}`"
        remedy = f"Wait some minutes and check again; {deploy} waits for it."
        return warned(check, message, remedy)
    return failed(check, message, too_small)


def _others(found: Reservation, launch: Launch, use: Use | None) -> list[Finding]:
    if use is None:
        return []
    check, by_hand = "reservation use", use_command(found.id, launch)
    accounts = [f"{counted(count, 'instance')} of account {account}" for account, count in use.accounts]
    if not use.others and not accounts:
        return [passed(check, f"No other stack is in {found.id}.", by_hand)]
    message = f"Others are already in {found.id}: {listed([*use.others, *accounts])}."
    return [warned(check, message, "Make sure that they are meant to share it with these nodes.", by_hand)]
