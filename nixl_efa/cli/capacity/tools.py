"""What every command works with: clients, clock, state directory, settings."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from nixl_efa.aws import Clients
from nixl_efa.aws_calls import chosen_regions
from nixl_efa.cli.output import BadInput, say
from nixl_efa.clock import Clock, SystemClock
from nixl_efa.files import state_directory

if TYPE_CHECKING:
    from nixl_efa.capacity.reservation import Reservation
    from nixl_efa.settings import Settings


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


@dataclass(frozen=True, slots=True)
class Tools:
    """The command's collaborators; a test hands in its own."""

    clients: Clients
    clock: Clock = field(default_factory=SystemClock)
    state: Path = field(default_factory=lambda: state_directory(os.environ))

    @property
    def searches(self) -> Path:
        """The file of the offerings that searches have shown."""
        return self.state / "searches.json"

    def regions(self, asked: Sequence[str] | None) -> tuple[str, ...]:
        """The regions to ask."""
        return chosen_regions(asked or (), self.clients, self.clock.sleep)

    def region(self) -> str:
        """The one region to work in. BadInput when there is none."""
        return self.regions(None)[0]


def tools(profile: str | None, region: str | None = None) -> Tools:
    """The tools for AWS and this machine."""
    return Tools(Clients(profile, region))


def settings_of(environment: str) -> Settings | None:
    """The environment's settings; None outside of a project and for an environment that has no file there.

    BadInput for what can't be an environment's name: it becomes part of the names of files and parameters.
    Faulty settings are said and count as none: a fault elsewhere must not stop a purchase or its recovery.
    """
    from nixl_efa.cli.environments import environment_settings

    if not _NAME.fullmatch(environment):
        raise BadInput(
            f"--env {environment!r}: a name has letters, digits, - and _, and begins with a letter or digit"
        )
    if not (Path("environments") / f"{environment}.toml").is_file():
        return None
    try:
        return environment_settings(environment, os.environ, Path())
    except BadInput as fault:
        say(f"the settings of {environment} are left out of account: {fault.message}")
        return None


def all_settings() -> list[Settings]:
    """The settings of every environment of the project; none outside of one."""
    names = sorted(path.stem for path in Path("environments").glob("*.toml"))
    return [settings for name in names if (settings := settings_of(name)) is not None]


def locate(kit: Tools, reservation_id: str) -> Reservation:
    """The reservation with this id in the chosen region. Failure when it has none."""
    from nixl_efa.capacity import reservations

    if not reservation_id.startswith("cr-"):
        raise BadInput(f"ID {reservation_id!r}: a reservation's id begins with cr-")
    region = kit.region()
    return reservations.locate(kit.clients.ec2, [region], reservation_id, kit.clock.sleep)
