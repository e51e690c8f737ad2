"""Where a value came from: which kind of source, how high it ranks, and how a message names it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum


class Layer(IntEnum):
    """The kinds of sources, the one that wins first."""

    VARIABLE_OF_ENVIRONMENT = 0
    VARIABLE_OF_ALL = 1
    CONTEXT_OF_ENVIRONMENT = 2
    CONTEXT_OF_ALL = 3
    FILE = 4
    DEFAULT = 5


@dataclass(frozen=True, slots=True)
class Source:
    """One place in one source. `label` is what a message calls it."""

    layer: Layer
    label: str


@dataclass(frozen=True, slots=True)
class Given:
    """A value as its source gives it. `is_text`: it may be text that stands for another type."""

    value: object
    source: Source
    is_text: bool = False


GivenSettings = Mapping[str, Given]

DEFAULT = Source(Layer.DEFAULT, "default")
