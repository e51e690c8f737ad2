"""The reservation of a rehearsal, got with the commands that a user will type."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from local_aws.control import Control
from nixl_efa.failure import Failure
from nixl_efa.rehearse.programs import Programs
from nixl_efa.rehearse.tools import Tools
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable

Tell = Callable[[str], None]
NODES = "2"
HOURS = "24"


@dataclass(frozen=True, slots=True)
class Block:
    """A reservation, and the variables by which the environment's stack finds it."""

    reservation_id: str
    variables: Mapping[str, str]


def buy_block(settings: Settings, tools: Tools, programs: Programs, control: Control, tell: Tell) -> Block:
    """Search, buy and save a Capacity Block, and move the clock until it is active.

    The environment's variables for it are empty where the environment reads what `buy` saved.
    """
    capacity = [*tools.nixl_efa, "capacity"]
    where = ["--region", settings.region]
    search = ["search", settings.instance_type, NODES, HOURS, *where]
    tell(f"$ nixl-efa capacity {' '.join(search)}")
    programs.show([*capacity, *search])
    offering = _first_usable(json.loads(programs.read([*capacity, *search, "--json"])), settings)
    buy = [
        "buy",
        offering["offering_id"],
        "--env",
        settings.name,
        "--yes",
        "--max-fee",
        offering["fee"],
        *where,
    ]
    tell(f"$ nixl-efa capacity {' '.join(buy)}")
    bought = json.loads(programs.read([*capacity, *buy, "--json"]))
    [reservation] = bought["reservation_ids"]
    tell(f"$ nixl-efa capacity list {' '.join(where)}")
    programs.show([*capacity, "list", *where])
    start = datetime.fromisoformat(offering["start"])
    tell(
        f"The clock of the local AWS is moved to five minutes after the block's start, {start:%Y-%m-%d %H:%M} UTC."
    )
    control.clock.set(start + timedelta(minutes=5))
    control.clock.run(1.0)
    tell(f"$ nixl-efa capacity wait {reservation} --for active")
    programs.show([*capacity, "wait", reservation, "--for", "active", "--timeout", "1m", *where])
    if settings.capacity_reservation_parameter in saved_parameters(settings.name):
        return Block(reservation, {})
    # The environment reads its reservation elsewhere than where `buy` saves it.
    return Block(
        reservation,
        {
            variable("capacity_reservation_id", settings.name): reservation,
            variable("availability_zone", settings.name): offering["availability_zone"],
        },
    )


def saved_parameters(environment: str) -> tuple[str, ...]:
    """Where `capacity save` writes a reservation's id: prod, the default, has the old name too."""
    names = (f"/nixl-efa/{environment}/capacity-reservation-id",)
    return (*names, "/nixl-efa/capacity-reservation-id") if environment == "prod" else names


def _first_usable(found: dict[str, Any], settings: Settings) -> dict[str, Any]:
    for offering in found["offerings"]:
        if offering["usable"]:
            result: dict[str, Any] = offering
            return result
    raise Failure(
        f"the local AWS offers no Capacity Block of {settings.instance_type} in {settings.region}: it sells them, as "
        "AWS does, in some regions only. Set another region (docs/local-aws.md)."
    )
