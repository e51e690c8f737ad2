"""Why a node does not run, and what to do about it. Pure.

The sources: EC2's StateReason (its codes: EC2 API reference, StateReason), the time in StateTransitionReason, the
node's reservation and the clock. AWS documents no code for instances that EC2 terminates at the end of a Capacity
Block, nor for those whose interruptible reservation is taken back. Both are inferred, and the message says so.
"""

from dataclasses import dataclass
from datetime import datetime

from nixl_efa.capacity.judge import stops_at
from nixl_efa.capacity.reservation import INTERRUPTIBLE, Reservation
from nixl_efa.instance_states import ENDED, STOPPED
from nixl_efa.refusals import Advice, Asked, Refusal, advice_for
from nixl_efa.times import moment

# Not a state of EC2: EC2 does not show an instance with this id.
UNKNOWN = "unknown to EC2"
GONE = (*ENDED, UNKNOWN)

BY_USER = "Client.UserInitiatedShutdown"


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a node does not run, as a clause ("its own operating system shut down"), and what to do, as sentences."""

    why: str
    remedy: str


# EC2 API reference, StateReason, in its order. More about launches that end at once: EC2 user guide,
# troubleshooting-launch.
REASONS = {
    "Server.InsufficientInstanceCapacity": "EC2 had no capacity for it",
    "Server.InternalError": "EC2 ended it because of an EC2 error",
    "Server.ScheduledStop": "EC2 stopped it, because its host is retired",
    "Server.SpotInstanceShutdown": "EC2 took the Spot Instance's capacity back and stopped it",
    "Server.SpotInstanceTermination": "EC2 took the Spot Instance's capacity back",
    "Client.InstanceInitiatedShutdown": "its own operating system shut down",
    "Client.InstanceTerminated": "it was terminated or rebooted while an image was created from it",
    "Client.InternalError": "its launch failed, usually because the key of its encrypted volume can't be used",
    "Client.InvalidSnapshot.NotFound": "a snapshot of its image was not found",
    "Client.UserInitiatedHibernate": "somebody hibernated it through the EC2 API",
    BY_USER: "somebody shut it down through the EC2 API",
    "Client.VolumeLimitExceeded": "the account's limit of EBS volumes or of their storage was exceeded",
}
# Endings that are refusals of a launch: the advice for the refusal comes before the next attempt.
_REFUSED = frozenset(
    {
        "Server.InsufficientInstanceCapacity",
        "Client.InternalError",
        "Client.InvalidSnapshot.NotFound",
        "Client.VolumeLimitExceeded",
    }
)


def cause(
    *,
    environment: str,
    state: str,
    code: str,
    market: str,
    reservation: Reservation | None,
    now: datetime,
    target: str = "",
    ended: datetime | None = None,
    start_command: str = "",
) -> Cause:
    """Why a node of `environment` that does not run is in its state, and what to do.

    state:       EC2's word, or UNKNOWN. code: StateReason's, empty where EC2 gives none.
    market:      the instance's InstanceLifecycle, "on-demand" without one.
    reservation: the one that it ran in; None without one, or if it could not be read.
    target: that reservation's name in the commands ("prod/2"), if the environment has several; else empty.
    ended:       when a user ended it, by EC2; None where EC2 does not say.
    start_command: starts a stopped instance.
    """
    if state == "pending":
        return Cause("it is still starting", "Wait until it runs.")
    end = stops_at(reservation) if reservation is not None and reservation.is_block else None
    # The time of a user's call is known to the second. Any other cause may have happened at any time until now.
    happened = ended if ended is not None and code == BY_USER else now
    if end is not None and reservation is not None and happened >= end:
        unseen = "EC2 no longer shows it; " if state == UNKNOWN else ""
        why = f"{unseen}{reservation.id} is at its end, and EC2 terminates what runs in it from {moment(end)} on"
        why = _inferred(why, code)
    elif state == UNKNOWN:
        why = (
            "it ended so long ago that EC2 shows it no more, which as a rule is an hour,"
            " or it belongs to another account or region than was asked"
        )
    elif (advice := _advice(code, reservation)) is not None and code not in REASONS:
        why = f"{advice.meaning} ({code})"
    elif code not in REASONS and is_interruptible(market, reservation):
        why = _inferred("the owner of its interruptible reservation took the capacity back", code)
    elif code in REASONS:
        at = f", at {moment(ended)}" if ended is not None and code == BY_USER else ""
        why = f"{REASONS[code]} ({code}{at})"
    else:
        why = f"EC2 gives the reason {code!r}, which AWS does not document" if code else "EC2 gives no reason"
    if end is not None and now >= end:
        search = f"`nixl-efa capacity search --env {target}`" if target else "`nixl-efa capacity search`"
        remedy = (
            f"Its block accepts no more launches: {search} finds another one,"
            f" and `nixl-efa deploy {environment}` then builds {'it' if target else 'the nodes'} again."
        )
        return Cause(why, remedy)
    if state in STOPPED and code != "Server.SpotInstanceShutdown":
        return Cause(why, f"Start it: `{start_command}`.")
    return Cause(why, _building(environment, code, reservation))


def _building(environment: str, code: str, reservation: Reservation | None) -> str:
    """How to create a node again."""
    deploy = f"`nixl-efa deploy {environment}` builds it again, at the same address."
    if code == "Server.SpotInstanceShutdown":
        return f"EC2 starts it again when it has capacity; or terminate it, and {deploy}"
    slot = ""
    if reservation is not None and reservation.is_block and reservation.state == "active":
        slot = f" Its slot in {reservation.id} is free again some minutes after it ended."
    first = ""
    if advice := _advice(code, reservation):
        first = f"{advice.remedy} "
    elif code == "Server.SpotInstanceTermination":
        first = "Set spot = false if that must not happen again. "
    return f"{first}{deploy}{slot}"


def _advice(code: str, reservation: Reservation | None) -> Advice | None:
    """The advice for an ending that is a refusal of the launch, also if it is not in AWS's list of endings."""
    if code in REASONS and code not in _REFUSED:
        return None
    return advice_for(Refusal(code, ""), Asked(reserved=reservation is not None))


def is_interruptible(market: str, reservation: Reservation | None) -> bool:
    """Whether the owner of the node's reservation can take its capacity back, with two minutes' notice."""
    return market == INTERRUPTIBLE or (reservation is not None and reservation.interruptible)


def _inferred(why: str, code: str) -> str:
    said = f"its reason is {code}" if code else "it gives no reason"
    return f"{why} (inferred: AWS documents no reason for that; {said})"
