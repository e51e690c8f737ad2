"""Writing a reservation to an environment's parameters, with the user's agreement to every replacement."""

from __future__ import annotations

from collections.abc import Callable

from nixl_efa.capacity import parameters
from nixl_efa.capacity.parameters import Stored
from nixl_efa.cli.capacity.tools import Tools
from nixl_efa.cli.output import Failure, ask, say


def asks(*, replace: bool) -> Callable[[str], bool]:
    """Whether a replacement is agreed to: by --replace, else by the user's word."""

    def agree(question: str) -> bool:
        return replace or ask(f"{question} [y/N]").lower() in ("y", "yes")

    return agree


def save_reservation(
    kit: Tools,
    region: str,
    environment: str,
    reservation_id: str,
    zone: str,
    agree: Callable[[str], bool],
    stored: list[Stored] | None = None,
) -> list[str]:
    """Writes the id and the zone; returns the names of the parameters that now hold them.

    stored: what stood there when the user agreed; read now without it. Failure when the user does not agree
    or when somebody else has written since.
    """
    before = stored if stored is not None else parameters.read_all(kit.clients.ssm(region), environment)
    planned = parameters.changes(before, environment, reservation_id, zone)
    replacing = [change for change in planned if change.replaces]
    for change in replacing:
        say(f"{change.old.name} holds {change.old.value!r}, to become {change.new!r}")
    if replacing and stored is None and not agree("Replace?"):
        raise Failure(f"nothing was written: environment {environment!r} keeps {replacing[0].old.value}")
    for change in planned:
        parameters.write(kit.clients.ssm_once(region), change)
        say(f"{change.old.name} = {change.new}" + ("" if change.needed else " (as before)"))
    return [change.old.name for change in planned]
