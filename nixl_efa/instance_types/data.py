"""The data file: every instance type with EFA or an accelerator, one line each; read when first asked for.

The file's form, both ways, is defined here and nowhere else. A line leaves out what equals the file's
"defaults". Equal network cards that follow each other are one run:
[first index, number of cards, interfaces a card, interface types, baseline Gbps, peak Gbps].
A type that the latest reading did not name has "read", its reading's place in the file's "earlier".
`nixl-efa instance-types refresh` writes the file.

DOCUMENTED_FILE, of the same form, holds types that are in no recorded answer of EC2's, as AWS's pages describe them.
Once EC2's answer is in the data file, that counts.
"""

import json
import os.path
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import Any

from nixl_efa.instance_types.model import Accelerator, InstanceType, NetworkCard

# No pathlib: it would be a fifth of what importing this package costs.
DATA_FILE = os.path.join(os.path.dirname(__file__), "instance_types.json")

DOCUMENTED_FILE = os.path.join(os.path.dirname(DATA_FILE), "documented_types.json")

# What most types share, so that it isn't written 300 times.
_DEFAULTS: dict[str, Any] = {
    "accelerators": [],
    "efa_interfaces": 0,
    "usage_classes": ["on-demand", "spot"],
    "placement_strategies": ["cluster", "partition", "spread"],
    "architectures": ["x86_64"],
    "instance_storage_gb": 0,
}


@dataclass(frozen=True, slots=True)
class DataSource:
    """Where facts are from: the day on which EC2 said them (YYYY-MM-DD), no later one, and what was read."""

    date: str
    source: str


@dataclass(frozen=True, slots=True)
class Catalogue:
    """The types by name, ordered by family and then from small to large, and where they are from.

    source:  the latest reading. older: of the types that it did not name, the reading that did.
    """

    types: Mapping[str, InstanceType]
    source: DataSource
    older: Mapping[str, DataSource] = field(default_factory=dict)

    def source_of(self, name: str) -> DataSource:
        """Where a type's facts are from."""
        return self.older.get(name, self.source)


def encode(catalogue: Catalogue) -> str:
    """The data file's text: the same for the same types, in whatever order they come."""
    earlier = sorted({*catalogue.older.values()}, key=lambda one: (one.date, one.source), reverse=True)
    lines = [
        f"    {_dump(one.name)}: {_dump(_row(one) | _read(catalogue.older.get(one.name), earlier))}"
        for one in sorted(catalogue.types.values(), key=lambda one: one.name)
    ]
    head = [f'  "{key}": {_dump(value)},' for key, value in _head(catalogue.source, earlier).items()]
    return "\n".join(["{", *head, '  "types": {', ",\n".join(lines), "  }", "}", ""])


def decode(text: str) -> Catalogue:
    """The catalogue that `encode` was given."""
    document = json.loads(text)
    defaults = document["defaults"]
    types = [_instance_type(name, {**defaults, **row}) for name, row in document["types"].items()]
    types.sort(key=lambda one: (one.family, one.vcpu, one.name))
    source = DataSource(document["date"], document["source"])
    earlier = [DataSource(*values) for values in document.get("earlier", ())]
    older = {name: earlier[row["read"]] for name, row in document["types"].items() if "read" in row}
    return Catalogue(MappingProxyType({one.name: one for one in types}), source, older)


@cache
def catalogue() -> Catalogue:
    """The catalogue of the file that comes with the package."""
    with open(DATA_FILE, encoding="utf-8") as file:
        return decode(file.read())


@cache
def documented() -> Catalogue:
    """The types that AWS's pages describe and no recorded answer of EC2's holds."""
    with open(DOCUMENTED_FILE, encoding="utf-8") as file:
        return decode(file.read())


def find(name: str) -> InstanceType | None:
    """The type of this name as EC2 described it, else as AWS's pages do; None when the data doesn't hold it."""
    return catalogue().types.get(name) or documented().types.get(name)


def all_types() -> Mapping[str, InstanceType]:
    """Every type that EC2 described by its name, ordered by family and then from small to large."""
    return catalogue().types


def data_source() -> DataSource:
    """The latest reading of the data."""
    return catalogue().source


def source_of(name: str) -> DataSource:
    """Where the facts of a type of the data are from."""
    return catalogue().source_of(name)


def capacity_block_types() -> tuple[str, ...]:
    """The names of the types that are sold as Capacity Blocks (usage class "capacity-block")."""
    return tuple(name for name, one in all_types().items() if one.supports_capacity_block)


def _head(source: DataSource, earlier: Sequence[DataSource]) -> dict[str, Any]:
    before = {"earlier": [[one.date, one.source] for one in earlier]} if earlier else {}
    return {"date": source.date, "source": source.source, **before, "defaults": _DEFAULTS}


def _read(source: DataSource | None, earlier: Sequence[DataSource]) -> dict[str, Any]:
    return {} if source is None else {"read": earlier.index(source)}


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _row(one: InstanceType) -> dict[str, Any]:
    row = {
        "vcpu": one.vcpu,
        "memory_gib": _number(one.memory_gib),
        "accelerators": [[a.name, a.manufacturer, a.count, _number(a.memory_gib)] for a in one.accelerators],
        "efa_interfaces": one.efa_interfaces,
        "network_cards": _runs(one.network_cards),
        "network_gbps": _number(one.network_gbps),
        "max_interfaces": one.max_interfaces,
        "usage_classes": list(one.usage_classes),
        "placement_strategies": list(one.placement_strategies),
        "architectures": list(one.architectures),
        "instance_storage_gb": one.instance_storage_gb,
    }
    return {key: value for key, value in row.items() if key not in _DEFAULTS or value != _DEFAULTS[key]}


def _number(value: float) -> float:
    """A whole number without its ".0", any other with three decimals at most."""
    return int(value) if value == int(value) else round(value, 3)


def _runs(cards: Iterable[NetworkCard]) -> list[list[Any]]:
    runs: list[list[Any]] = []
    for card in cards:
        kind = [
            card.max_interfaces,
            " ".join(card.interface_types),
            _number(card.baseline_gbps),
            _number(card.peak_gbps),
        ]
        if runs and runs[-1][2:] == kind and card.index == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([card.index, 1, *kind])
    return runs


def _instance_type(name: str, row: Mapping[str, Any]) -> InstanceType:
    return InstanceType(
        name=name,
        vcpu=row["vcpu"],
        memory_gib=row["memory_gib"],
        accelerators=tuple(Accelerator(*values) for values in row["accelerators"]),
        efa_interfaces=row["efa_interfaces"],
        network_cards=tuple(
            NetworkCard(index, interfaces, tuple(types.split()), baseline, peak)
            for first, count, interfaces, types, baseline, peak in row["network_cards"]
            for index in range(first, first + count)
        ),
        network_gbps=row["network_gbps"],
        usage_classes=tuple(row["usage_classes"]),
        placement_strategies=tuple(row["placement_strategies"]),
        architectures=tuple(row["architectures"]),
        instance_storage_gb=row["instance_storage_gb"],
        max_interfaces=row["max_interfaces"],
    )
