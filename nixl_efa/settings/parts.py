"""Which nodes are launched with which settings: those of one role, or those of one entry of `capacity`, may have values
of their own instead of the environment's.

    instance_type = "p5en.48xlarge"          [producer]                          [[capacity]]
    consumers = 4                            instance_type = "g6e.12xlarge"      capacity_reservation_id = "cr-..."
                                                                                 consumers = 2
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, PlainValidator

from nixl_efa.settings import values
from nixl_efa.settings.source import Layer, Source

PRODUCER = "producer"
CONSUMER = "consumer"
ROLES = (PRODUCER, CONSUMER)
# The setting that says how many nodes of a role there are, in the environment and in an entry of `capacity`.
COUNTS = {PRODUCER: "producers", CONSUMER: "consumers"}

# The settings that divide an environment into parts.
DIVIDING = (*ROLES, "capacity")

RESERVATION = ("capacity_reservation_id", "capacity_reservation_parameter")
IMAGE = ("ami_id", "ami_parameter")

_FROZEN = ConfigDict(frozen=True, extra="forbid")


class Group(BaseModel):
    """The settings of the nodes of one role. A setting that is absent has the environment's value."""

    model_config = _FROZEN

    instance_type: values.InstanceTypeName | None = None
    ami_id: values.ImageId | None = None
    ami_parameter: values.ParameterName | None = None
    volume_size: values.VolumeSize | None = None
    volume_iops: values.VolumeIops | None = None
    volume_throughput: values.VolumeThroughput | None = None
    spot: values.YesNo | None = None
    use_capacity_block: values.YesNo | None = None
    capacity_reservation_id: values.ReservationId | None = None
    capacity_reservation_parameter: values.ParameterName | None = None


def _share(value: object) -> int | tuple[int, ...]:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= values.MAX_NODES:
        return value
    if isinstance(value, list | tuple) and all(
        type(one) is int and 1 <= one <= values.MAX_NODES for one in value
    ):
        if len(set(value)) < len(value):
            raise ValueError("names a node more than once")
        return tuple(value)
    raise ValueError(
        "must be how many of these nodes it takes, or a list of which by number ([1, 4]: the first and the fourth)"
    )


Share = Annotated[int | tuple[int, ...], PlainValidator(_share)]


class CapacityEntry(BaseModel):
    """One reservation, and the nodes that are launched into it: how many of a role, or which by their numbers."""

    model_config = _FROZEN

    capacity_reservation_id: values.ReservationId | None = None
    capacity_reservation_parameter: values.ParameterName | None = None
    use_capacity_block: values.YesNo | None = None
    producers: Share = 0
    consumers: Share = 0

    def share(self, role: str) -> int | tuple[int, ...]:
        """How many nodes of a role it takes, or their numbers."""
        found: int | tuple[int, ...] = getattr(self, COUNTS[role])
        return found

    @property
    def takes_any(self) -> bool:
        """Whether it says that it takes a node."""
        return any(self.named(role) for role in ROLES)

    def named(self, role: str) -> int:
        """How many nodes of a role it takes."""
        share = self.share(role)
        return share if isinstance(share, int) else len(share)


@dataclass(frozen=True, slots=True)
class Part:
    """Nodes that are launched with the same settings.

    entry:  the number of their entry in `capacity`, from 1; 0: they are in none.
    role:   the role whose table applies to them; empty when the role has no table, or the table changes nothing.
    nodes:  role and number of each ("consumer", 2).
    values: the values that differ from the environment's settings. sources: where each of these was given.
    reservation: the name of their reservation among the environment's: "2" for the second entry, "producer" for the
            producers' own one; empty for the first or only one.
    """

    entry: int
    role: str
    nodes: tuple[tuple[str, int], ...]
    values: Mapping[str, Any]
    sources: Mapping[str, Source]
    reservation: str = ""


def parts(
    counts: Mapping[str, int],
    groups: Mapping[str, Group | None],
    entries: tuple[CapacityEntry, ...],
    source: Mapping[str, Source],
    instance_type: str,
) -> tuple[Part, ...]:
    """The parts of an environment, in the order of their first nodes: producers first, each role by number.

    counts: nodes by role. groups: by role. source: of the settings producer, consumer and capacity. instance_type: the
    environment's. The entries' shares must fit the counts (see `misfits`).
    """
    unfilled = bool(entries) and not any(entry.takes_any for entry in entries)
    found: dict[tuple[int, str], list[tuple[str, int]]] = {}
    if unfilled:
        found = {(position, ""): [] for position, _ in enumerate(entries, 1)}
    for role in ROLES:
        # Entries that are not filled yet are one part each, without nodes.
        places = entries_of(role, counts[role], entries) if not unfilled else {}
        own = role if groups[role] is not None and _given(groups[role]) else ""
        for number in range(1, counts[role] + 1) if not unfilled else ():
            found.setdefault((places.get(number, 0), own), []).append((role, number))
    result = []
    for (entry, role), nodes in found.items():
        changed, sources = _of_group(groups.get(role), source.get(role), instance_type)
        if entry:
            given = _given(entries[entry - 1])
            own_values = {name: value for name, value in given.items() if name not in COUNTS.values()}
            changed.update(dict.fromkeys(RESERVATION))
            changed.update(own_values)
            sources.update(_labels(own_values, source.get("capacity"), f"[{entry}]"))
        called = str(entry) if entry > 1 else ""
        if not entry and (entries or any(name in changed for name in RESERVATION)):
            called = nodes[0][0]
        result.append(Part(entry, role, tuple(nodes), changed, sources, called))
    return tuple(result)


def entries_of(role: str, count: int, entries: tuple[CapacityEntry, ...]) -> dict[int, int]:
    """The entry (from 1) of each node of a role by its number; a node that no entry takes is left out.

    Nodes that an entry names by number are in it. The others are taken in order, so that adding nodes to the last entry
    moves no other node.
    """
    places: dict[int, int] = {}
    for position, entry in enumerate(entries, 1):
        share = entry.share(role)
        if isinstance(share, tuple):
            places.update(dict.fromkeys(share, position))
    free = iter([number for number in range(1, count + 1) if number not in places])
    for position, entry in enumerate(entries, 1):
        share = entry.share(role)
        if isinstance(share, int):
            places.update((number, position) for _, number in zip(range(share), free, strict=False))
    return dict(sorted(places.items()))


def misfits(counts: Mapping[str, int], entries: tuple[CapacityEntry, ...]) -> Iterator[tuple[str, str]]:
    """What is wrong with the entries' shares, by role, in words that follow on "capacity"."""
    for role in ROLES:
        count, setting = counts[role], COUNTS[role]
        numbers = [one for entry in entries if isinstance(share := entry.share(role), tuple) for one in share]
        twice = sorted({one for one in numbers if numbers.count(one) > 1})
        beyond = sorted({one for one in numbers if one > count})
        taken = sum(entry.named(role) for entry in entries)
        if twice:
            yield role, f"puts {role} {twice[0]} into two entries"
        elif beyond:
            yield role, f"names {role} {beyond[0]}, and there are {count}"
        elif taken not in (0, count):
            yield role, f"takes {taken} of the {count} {setting}"


def _of_group(
    group: Group | None, source: Source | None, instance_type: str
) -> tuple[dict[str, Any], dict[str, Source]]:
    given = _given(group)
    changed: dict[str, Any] = {}
    if given.get("instance_type", instance_type) != instance_type:
        # A reservation (also a block) is for one instance type: the environment's can't be used by these nodes.
        changed.update(dict.fromkeys(RESERVATION), use_capacity_block=False)
    for alternatives in (RESERVATION, IMAGE):
        if any(name in given for name in alternatives):
            changed.update(dict.fromkeys(alternatives))
    changed.update(given)
    return changed, _labels(given, source, "")


def _given(table: BaseModel | None) -> dict[str, Any]:
    if table is None:
        return {}
    return {name: value for name in type(table).model_fields if (value := getattr(table, name)) is not None}


def _labels(names: Mapping[str, Any], source: Source | None, within: str) -> dict[str, Source]:
    """Where each of a table's values was given; for a variable, whose parts have no names, the variable."""
    if source is None:
        return {}
    whole = source.layer in (Layer.VARIABLE_OF_ENVIRONMENT, Layer.VARIABLE_OF_ALL)
    return {
        name: source if whole else Source(source.layer, f"{source.label}{within}.{name}") for name in names
    }
