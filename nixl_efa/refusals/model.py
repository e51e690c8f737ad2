"""A refusal, what was asked for, and a piece of advice. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

# The codes for throttling, as in botocore's standard retries (botocore.retries.standard).
THROTTLING = (
    "Throttling",
    "ThrottlingException",
    "ThrottledException",
    "RequestThrottled",
    "RequestThrottledException",
    "TooManyRequestsException",
    "RequestLimitExceeded",
    "BandwidthLimitExceeded",
    "SlowDown",
    "PriorRequestNotComplete",
    "EC2ThrottledException",
)


@dataclass(frozen=True, slots=True)
class Refusal:
    """AWS's answer: its code and message, and the operation ("RunInstances"), empty when it is not known."""

    code: str
    message: str
    operation: str = ""


@dataclass(frozen=True, slots=True)
class Asked:
    """What was asked for, as far as advice depends on it.

    reserved:       the launch names a Capacity Block or another reservation.
    spot:           it asks for Spot Instances.
    sold_as_block:  its type can be bought as a Capacity Block.
    reservation_id: of the only reservation that it names; empty for none, and where it is not known.
    """

    reserved: bool = False
    spot: bool = False
    sold_as_block: bool = False
    reservation_id: str = ""


def always(_: Asked) -> bool:
    """The `when` of advice that is valid for every request."""
    return True


@dataclass(frozen=True, slots=True)
class Advice:
    """What a code means and what to do.

    codes:   the codes, or patterns of them ("*LimitExceeded").
    meaning: a clause: "the subnet has too few free addresses". remedy: sentences.
    text:    a part, in lower case, that AWS's message must contain.
    when:    for which requests the advice is valid.
    """

    codes: tuple[str, ...]
    meaning: str
    remedy: str
    text: str = ""
    when: Callable[[Asked], bool] = always
