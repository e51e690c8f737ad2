"""Whether the reservation that is stored for an environment still fits it. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from nixl_efa.block_end import lead, terminates_at
from nixl_efa.capacity.reservation import Reservation
from nixl_efa.findings import Finding, Level

if TYPE_CHECKING:
    from nixl_efa.settings import Settings

CHECK = "reservation"
PAIR = 2


def fit(
    stored_id: str, stored_zone: str, found: Reservation | None, settings: Settings | None, now: datetime
) -> list[Finding]:
    """What speaks for and against launching the environment's pair into what is stored.

    found: the reservation with `stored_id`, None when there is none; settings: the environment's, if known.
    """
    if not stored_id:
        return [_fail("no reservation is stored", "Run `nixl-efa capacity save ID --env NAME`.")]
    if found is None:
        return [_fail(f"{stored_id} does not exist in this region and account", "Buy or save another one.")]
    findings = [_state(found, now)]
    if stored_zone and stored_zone != found.zone:
        findings.append(
            _fail(f"the stored zone is {stored_zone}, the reservation is in {found.zone}", "Save it again.")
        )
    if settings is not None and settings.instance_type != found.instance_type:
        findings.append(
            _fail(
                f"it holds {found.instance_type}, the environment wants {settings.instance_type}",
                "Change instance_type, or save another reservation.",
            )
        )
    if settings is not None and settings.use_capacity_block != found.is_block:
        kind = "a Capacity Block" if found.is_block else "an On-Demand Capacity Reservation"
        findings.append(
            _fail(
                f"it is {kind}, but use_capacity_block is {str(settings.use_capacity_block).lower()}",
                "Change use_capacity_block, or save another reservation.",
            )
        )
    if found.size < PAIR:
        findings.append(_fail(f"it holds {found.size} instance, the pair needs {PAIR}", "Save a larger one."))
    elif found.state == "active" and found.free < PAIR:
        findings.append(
            Finding(
                Level.WARN,
                CHECK,
                f"{found.free} of its {found.size} instances are free.",
                "In order if this environment runs in it already; else something else does.",
            )
        )
    return findings


def _state(found: Reservation, now: datetime) -> Finding:
    if found.is_dead:
        return _fail(f"it is {found.state}", "Buy or save another one.")
    if found.is_block and found.end is not None and now >= terminates_at(found.end, found.instance_type):
        minutes = lead(found.instance_type).total_seconds() / 60
        return _fail(
            f"EC2 is terminating its instances: it ends within {minutes:.0f} minutes", "Buy another one."
        )
    if found.state != "active":
        start = f" It starts at {found.start:%Y-%m-%d %H:%M} UTC." if found.start else ""
        wait = f"`nixl-efa capacity wait {found.id} --for active` waits for it."
        return Finding(Level.WARN, CHECK, f"It is {found.state}: a launch would be refused.{start}", wait)
    return Finding(Level.PASS, CHECK, "It is active.")


def _fail(message: str, remedy: str) -> Finding:
    return Finding(Level.FAIL, CHECK, f"{message[0].upper()}{message[1:]}.", remedy)
