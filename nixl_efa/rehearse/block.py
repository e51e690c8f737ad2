"""The reservation of a rehearsal, got with the commands that a user will type."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from local_aws.control import Control
from nixl_efa.failure import Failure
from nixl_efa.launch import launch_of
from nixl_efa.rehearse.programs import Programs
from nixl_efa.rehearse.tools import Tools
from nixl_efa.settings import Settings
from nixl_efa.settings.names import variable

Tell = Callable[[str], None]
NODES = 2
HOURS = 24


def parameters_to_read(settings: Settings) -> dict[str, str]:
    """The variables by which the environment finds the block that `buy` saves; empty where its settings say so already.

    An environment that uses a block and reads its reservation from no parameter is told to read those that `buy` writes
    by default: its settings name no reservation, or one of the real account.
    """
    source = launch_of(settings).reservation
    if source.reads_id or not settings.use_capacity_block:
        return {}
    return {
        variable("capacity_reservation_parameter", settings.name): source.id_parameter,
        variable("availability_zone_parameter", settings.name): source.zone_parameter,
    }


def buy_block(settings: Settings, tools: Tools, programs: Programs, control: Control, tell: Tell) -> None:
    """Search, buy and save a Capacity Block, and move the clock until it is active."""
    capacity = [*tools.nixl_efa, "capacity"]
    where = ["--region", settings.region]
    search = ["search", settings.instance_type, str(NODES), str(HOURS), *where]
    tell(f"$ nixl-efa capacity {' '.join(search)}")
    programs.show([*capacity, *search])
    offering = _first_that_fits(json.loads(programs.read([*capacity, *search, "--json"])), settings)
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


def _first_that_fits(found: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The first that a pair can use for the hours asked for. AWS offers shorter ones too."""
    source = launch_of(settings).reservation
    zone = source.zone if source.reads_id else ""
    offering: dict[str, Any]
    for offering in found["offerings"]:
        in_zone = zone in ("", offering["availability_zone"])
        if offering["usable"] and offering["hours"] >= HOURS and in_zone:
            return offering
    where = zone or settings.region
    raise Failure(
        f"the local AWS offers no Capacity Block of {settings.instance_type} for {HOURS} h in {where}: "
        "it sells them, as AWS does, in some regions only. Set another region (docs/local-aws.md)."
    )
