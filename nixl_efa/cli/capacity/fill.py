"""`nixl-efa capacity fill`: which node goes into which reservation, where the entries of `capacity` leave it open."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nixl_efa.cli.capacity.session import AsJson, Profile, Session, session
from nixl_efa.cli.output import BadInput, Failure, both_times, data, print_json, say
from nixl_efa.cli.project import environments

if TYPE_CHECKING:
    from pathlib import Path

    from nixl_efa.capacity.fill import Room
    from nixl_efa.settings import Settings


def fill(
    environment: Annotated[str, typer.Argument(metavar="ENV", autocompletion=environments)],
    as_json: AsJson = False,
    profile: Profile = None,
) -> None:
    """Put an environment's nodes into its reservations, in the order of their ends.

    For entries of `capacity` that don't say which nodes they take. A node stays where it is while its reservation
    lives. Writes environments/ENV.capacity.json, which belongs under version control.
    """
    run = session(profile)
    settings = unfilled_settings(environment, run)
    if settings is None:
        raise BadInput(
            f"{environment}: there are no entries of capacity that leave open which nodes they take (docs/settings.md)"
        )
    rooms, shares = fill_entries(settings, run)
    if as_json:
        rows = [
            {"reservation_id": room.reservation.id if room.reservation else None, **share}
            for room, share in zip(rooms, shares, strict=True)
        ]
        print_json("capacity-fill", {"environment": environment, "entries": rows})
        return
    for number, (room, share) in enumerate(zip(rooms, shares, strict=True), 1):
        found = room.reservation
        end = f"until {both_times(found.end)}" if found is not None and found.end else "no end"
        data(f"{number}  {found.id if found else '-':<20}  {end:<26}  {', '.join(_names(share)) or '-'}")


def unfilled_settings(environment: str, run: Session) -> Settings | None:
    """The environment's settings without what was filled in; None where its entries of capacity say themselves which
    nodes they take, or there are none."""
    from nixl_efa.cli.environments import environment_settings

    settings = environment_settings(environment, run.environ, run.project, run.profile, filled=False)
    return settings if settings.is_unfilled else None


def fill_entries(settings: Settings, run: Session) -> tuple[list[Room], list[dict[str, list[int]]]]:
    """Fills the entries and writes what changed. Failure where there is not room for all nodes.

    Goes over to the next block of an entry first, where nobody has to be asked.
    """
    from nixl_efa.capacity import environment as held
    from nixl_efa.capacity.fill import Room
    from nixl_efa.capacity.fill import fill as filled
    from nixl_efa.capacity.save import switch_when_free
    from nixl_efa.capacity.targets import targets
    from nixl_efa.capacity.users import nodes_running
    from nixl_efa.files import write_durably
    from nixl_efa.launch import launch_of
    from nixl_efa.node_names import nodes_of, place
    from nixl_efa.settings.files import reservation_of, shares_file
    from nixl_efa.settings.parts import COUNTS, RESERVATION

    rooms: list[Room] = []
    running: dict[str, int] = {}
    for name, launch in targets(launch_of(settings, profile=run.profile)).items():
        acting = run.acting_for(launch)
        buyer, nodes = acting.buyer(launch.region), acting.node_names(launch)
        if taken := switch_when_free(launch, nodes, buyer):
            say(f"{name}'s next block {taken} is its current one now.")
        found = held.holdings(buyer, launch.reservation, regions=[launch.region]).current
        places = found.size if found is not None else 0
        if found is not None and found.state == "active":
            inside = nodes_running(buyer, found, nodes)
            places = found.free + len(inside)
            running.update(dict.fromkeys(inside, len(rooms)))
        rooms.append(Room(found, places))
    file = shares_file(run.project / "environments", settings.name)
    before = _read(file)
    names = [{name: getattr(entry, name) for name in RESERVATION} for entry in settings.capacity]
    was = [before.get(reservation_of(one), {}) for one in names]
    placed: list[dict[str, list[int]]] = [{role: [] for role in COUNTS} for _ in rooms]
    for node in nodes_of(settings.name_prefix, settings.producers, settings.consumers):
        _, number = place(node.name)
        filled_in = (at for at, one in enumerate(was) if number in one.get(COUNTS[node.role], []))
        # Where it runs, also before the first time, and where a deployment that was to move it was not agreed.
        at = running.get(node.tag_name, next(filled_in, None))
        if at is not None:
            placed[at][node.role].append(number)
    counts = {role: getattr(settings, setting) for role, setting in COUNTS.items()}
    shares = [
        {COUNTS[role]: numbers for role, numbers in one.items()}
        for one in filled(counts, rooms, placed, run.clock.now())
    ]
    rows = [
        {**{name: value for name, value in named.items() if value}, **share}
        for named, share in zip(names, shares, strict=True)
    ]
    if rows != [*before.values()]:
        lines = ",\n".join(f" {json.dumps(one)}" for one in rows)
        write_durably(file, f"[\n{lines}\n]\n")
        say(f"environments/{file.name} is written: keep it under version control.")
    return rooms, shares


def _read(file: Path) -> dict[str, Any]:
    """What was filled in, by reservation. Failure for a file that this command has not written."""
    from nixl_efa.settings.files import reservation_of
    from nixl_efa.settings.parts import COUNTS

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


def _names(share: dict[str, list[int]]) -> list[str]:
    from nixl_efa.node_names import node_of
    from nixl_efa.settings.parts import COUNTS

    return [node_of("", role, number).name for role, setting in COUNTS.items() for number in share[setting]]
