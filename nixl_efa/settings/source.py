"""Where a value came from: the kind of source and its rank; and the text for the value and its source in messages."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from nixl_efa.findings import Finding, Level

SHOWN_CHARACTERS = 100


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
    """One place in one source. label: its name in messages."""

    layer: Layer
    label: str


@dataclass(frozen=True, slots=True)
class Given:
    """A value as its source gives it. is_text: it can be the text form of another type."""

    value: object
    source: Source
    is_text: bool = False


GivenSettings = Mapping[str, Given]

DEFAULT = Source(Layer.DEFAULT, "default")


def fault(check: str, message: str, remedy: str = "") -> Finding:
    """A fault: it ends the run of its environment."""
    return Finding(Level.FAIL, _printable(check), _printable(message), _printable(remedy))


def warning(check: str, message: str, remedy: str = "") -> Finding:
    """A warning: shown, and the run continues."""
    return Finding(Level.WARN, _printable(check), _printable(message), _printable(remedy))


def shown(value: object) -> str:
    """A value as a message shows it: as TOML and JSON write it, cut when it is long."""
    try:
        text = json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[:SHOWN_CHARACTERS]}..."


def given(setting: str, value: object, source: Source) -> str:
    """A setting, its value and where it came from: `spot = true (environments/dev.toml: spot)`."""
    return f"{setting} = {shown(value)} ({source.label})"


def within(source: Source, rest: str) -> Source:
    """The place of a part of a table; a variable has no names for parts. For a part of a list it is the list's."""
    if source.layer in (Layer.VARIABLE_OF_ENVIRONMENT, Layer.VARIABLE_OF_ALL):
        return source
    return Source(source.layer, source.label + rest.partition("[")[0])


def _printable(text: str) -> str:
    """The text on one line, without control characters that a terminal would execute."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
