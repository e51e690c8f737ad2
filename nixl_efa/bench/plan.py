"""The table of a measurement: read, checked, and in the order that starts engines least often. Pure."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import timedelta
from itertools import product
from typing import Any

from nixl_efa.failure import BadInput
from nixl_efa.service.model import BY_TCP, NO_TRANSFER, PLANNED
from nixl_efa.settings.names import did_you_mean
from nixl_efa.times import span

UNIFIED, BASELINE, EFA, TCP = "unified", "baseline", "efa", "tcp"
# What the engines of a layer do with KV caches. In the order in which the layers are measured: engines are started
# again where it changes, and those of the last layer are those of the service that is put back.
TRANSFER: Mapping[str, str] = {UNIFIED: NO_TRANSFER, TCP: BY_TCP, BASELINE: PLANNED, EFA: PLANNED}
# In these no KV cache goes from engine to engine.
NO_KV_TRANSFER = (UNIFIED, BASELINE)
DEFAULTS: Mapping[str, int] = {"output_tokens": 128, "requests": 50, "seed": 0}
_REQUIRED = ("layer", "prompt_tokens", "concurrency")
_KEYS = (*_REQUIRED, *DEFAULTS)
# What a run takes even with the smallest model on the fastest machine: the start of engines; the start of the load
# tool; an output token of each of the requests that are under way at the same time.
LEAST_START, LEAST_ROW, LEAST_TOKEN = timedelta(minutes=1), timedelta(seconds=10), timedelta(milliseconds=5)
# How long a row may run; more than any engine takes of anything.
LONGEST_ROW, MOST = timedelta(hours=6), 10_000_000


@dataclass(frozen=True, slots=True)
class Row:
    """One measurement. prompt_tokens, output_tokens: of each request; requests: how many, of which so many as
    `concurrency` are under way at the same time."""

    layer: str
    prompt_tokens: int
    concurrency: int
    output_tokens: int = DEFAULTS["output_tokens"]
    requests: int = DEFAULTS["requests"]
    seed: int = DEFAULTS["seed"]

    @property
    def name(self) -> str:
        """As a part of a file's name: "efa-p4096-c4-o128-n50-s0"."""
        return (
            f"{self.layer}-p{self.prompt_tokens}-c{self.concurrency}-o{self.output_tokens}"
            f"-n{self.requests}-s{self.seed}"
        )

    @property
    def least(self) -> timedelta:
        """How long it takes at least, without the start of engines."""
        turns = -(-self.requests // self.concurrency)
        return LEAST_ROW + turns * self.output_tokens * LEAST_TOKEN


def read(text: str, name: str) -> tuple[Row, ...]:
    """The rows of a table file, in the order in which they are measured. name: the file, for messages.

    BadInput, which names all that is wrong with it.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{name} is not a TOML file: {error}.") from None
    wrong = [
        f"{name}: {key} is not known: {did_you_mean(key, ('rows',)) or 'a table has [[rows]].'}"
        for key in document
        if key != "rows"
    ]
    tables = document.get("rows", [])
    if not isinstance(tables, list) or not tables or not all(isinstance(one, dict) for one in tables):
        wrong.append(f"{name} has no [[rows]]: docs/bench.md shows a table.")
        tables = []
    found: list[Row] = []
    for number, one in enumerate(tables, 1):
        rows, faults = _rows(one)
        found += rows
        wrong += [f"{name}, [[rows]] {number}: {fault}" for fault in faults]
    wrong += [
        f"{name}: {row.name} is there more than once." for row in dict.fromkeys(found) if found.count(row) > 1
    ]
    if wrong:
        raise BadInput("\n".join(wrong))
    return ordered(found)


def _rows(table: Mapping[str, Any]) -> tuple[list[Row], list[str]]:
    """The product of a table's values, and what is wrong with it."""
    wrong = [
        f"{key} is not known. {did_you_mean(key, _KEYS) or 'Give ' + ', '.join(_KEYS) + '.'}"
        for key in table
        if key not in _KEYS
    ]
    wrong += [f"{key} is missing." for key in _REQUIRED if key not in table]
    values: dict[str, list[Any]] = {}
    for key in _KEYS:
        given = table.get(key, DEFAULTS.get(key, []))
        values[key] = given if isinstance(given, list) else [given]
        wrong += [why for one in values[key] if (why := _fault(key, one))]
        if key in table and not values[key]:
            wrong.append(f"{key} is an empty list.")
    if wrong:
        return [], wrong
    # A baseline is the same for all lengths of answers.
    rows = list(
        dict.fromkeys(
            _of_layer(Row(**dict(zip(_KEYS, one, strict=True)))) for one in product(*values.values())
        )
    )
    wrong = [
        f"{one.requests} requests can't be {one.concurrency} at a time: give requests of at least the concurrency."
        for one in rows
        if one.requests < one.concurrency
    ]
    wrong += [
        f"{one.name} takes at least {span(one.least)}, and a row may run {span(LONGEST_ROW)}: give fewer requests."
        for one in rows
        if one.least > LONGEST_ROW
    ]
    return [] if wrong else rows, list(dict.fromkeys(wrong))


def _fault(key: str, value: object) -> str:
    """Why a value can't be right; empty if it can."""
    if key == "layer":
        meant = did_you_mean(value, TRANSFER) if isinstance(value, str) else ""
        return (
            ""
            if isinstance(value, str) and value in TRANSFER
            else f"layer {value!r} is none. {meant or 'Give ' + ', '.join(TRANSFER) + '.'}"
        )
    least = 0 if key == "seed" else 1
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        return f"{key} is {value!r}: give whole numbers of at least {least}."
    return f"{key} is {value}: give at most {MOST}." if value > MOST else ""


def _of_layer(row: Row) -> Row:
    """The row as its layer measures it: the baseline is the prefill alone, which ends with the first token."""
    values = {one.name: getattr(row, one.name) for one in fields(row)}
    return Row(**{**values, "output_tokens": 1}) if row.layer == BASELINE else row


def ordered(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows layer by layer; within a layer in their own order."""
    places = list(TRANSFER)
    return tuple(sorted(rows, key=lambda one: places.index(one.layer)))


def starts(rows: Sequence[Row]) -> int:
    """How often engines are started for rows in this order."""
    kinds = [TRANSFER[one.layer] for one in rows]
    return sum(at == 0 or kinds[at - 1] != kind for at, kind in enumerate(kinds))


def least(rows: Sequence[Row]) -> timedelta:
    """How long rows take at least."""
    return sum((one.least for one in rows), starts(rows) * LEAST_START)
