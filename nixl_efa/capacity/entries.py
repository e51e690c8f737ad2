"""The entries of `capacity` that don't say which nodes they take. They are filled from what EC2 shows of their
reservations, and kept in a file beside the environment's own file; synthesis reads it."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nixl_efa.capacity.buyer import Buyer
from nixl_efa.capacity.environment import holdings
from nixl_efa.capacity.fill import Room, fill
from nixl_efa.capacity.save import switch_when_free
from nixl_efa.capacity.users import nodes_running
from nixl_efa.failure import Failure
from nixl_efa.files import write_durably
from nixl_efa.launch import Launch
from nixl_efa.node_names import nodes_of, place
from nixl_efa.settings import Settings
from nixl_efa.settings.files import reservation_of, shares_file
from nixl_efa.settings.parts import COUNTS, RESERVATION

# Numbers of nodes by "producers" and "consumers".
Shares = dict[str, list[int]]


@dataclass(frozen=True, slots=True)
class Filled:
    """One entry: its reservation, the places in it, and the nodes that it takes."""

    room: Room
    shares: Shares


def fill_entries(
    settings: Settings,
    acting: Mapping[str, tuple[Launch, Buyer, Sequence[str]]],
    directory: Path,
    tell: Callable[[str], None],
) -> list[Filled]:
    """Fills the entries and writes what changed. Failure where there is not room for all nodes.

    First makes an entry's next block its current one, where that needs no question to the user.

    settings:  with the entries not filled.
    acting:    for each entry, by its target's name: the launch into it, its buyer, and the names of the nodes that may
               run in it (users.node_names).
    directory: the folder of the environments' files.
    """
    rooms: list[Room] = []
    running: dict[str, int] = {}
    for name, (launch, buyer, names) in acting.items():
        if taken := switch_when_free(launch, names, buyer):
            tell(f"{name}'s next block {taken} is its current one now.")
        found = holdings(buyer, launch.reservation, regions=[launch.region]).current
        places = found.size if found is not None else 0
        if found is not None and found.state == "active":
            inside = nodes_running(buyer, found, names)
            places = found.free + len(inside)
            running.update(dict.fromkeys(inside, len(rooms)))
        rooms.append(Room(found, places))
    file = shares_file(directory, settings.name)
    before = _read(file)
    named = [{name: getattr(entry, name) for name in RESERVATION} for entry in settings.capacity]
    placed = _placed(settings, [before.get(reservation_of(one), {}) for one in named], running)
    counts = {role: getattr(settings, setting) for role, setting in COUNTS.items()}
    now = next(buyer.clock.now() for _, buyer, _ in acting.values())
    filled = [
        Filled(room, {COUNTS[role]: numbers for role, numbers in one.items()})
        for room, one in zip(rooms, fill(counts, rooms, placed, now), strict=True)
    ]
    rows = [
        {**{name: value for name, value in names.items() if value}, **one.shares}
        for names, one in zip(named, filled, strict=True)
    ]
    if rows != [*before.values()]:
        lines = ",\n".join(f" {json.dumps(one)}" for one in rows)
        write_durably(file, f"[\n{lines}\n]\n")
        tell(f"{directory.name}/{file.name} is written: keep it under version control.")
    return filled


def _placed(
    settings: Settings, before: Sequence[Mapping[str, Any]], running: Mapping[str, int]
) -> list[dict[str, list[int]]]:
    """The entry of each node, by role: the one that it runs in, else the one that the file gives it.

    A node can run elsewhere than the file says: when there is no file yet, or when the user refused the deployment that
    would have moved it. running: the entry of each running node, by its tag Name.
    """
    placed: list[dict[str, list[int]]] = [{role: [] for role in COUNTS} for _ in before]
    for node in nodes_of(settings.name_prefix, settings.producers, settings.consumers):
        _, number = place(node.name)
        filled_in = (at for at, one in enumerate(before) if number in one.get(COUNTS[node.role], []))
        at = running.get(node.tag_name, next(filled_in, None))
        if at is not None:
            placed[at][node.role].append(number)
    return placed


def _read(file: Path) -> dict[str, Any]:
    """The nodes in the file, by reservation. Failure for a file that this command did not write."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        for one in found:
            if not all(isinstance(number, int) for setting in COUNTS.values() for number in one[setting]):
                raise TypeError("a node is not a number")
        return {reservation_of(one): one for one in found}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
        raise Failure(
            f"{file.parent.name}/{file.name} can't be read as what this command writes ({error}): the nodes in it "
            "could not keep their places. Put it back from version control, or remove it"
        ) from error
