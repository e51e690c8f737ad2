"""How a finding about settings is worded."""

from __future__ import annotations

import json

from nixl_efa.findings import Finding, Level
from nixl_efa.settings.source import Source

SHOWN_CHARACTERS = 100


def fault(check: str, message: str, remedy: str = "") -> Finding:
    """A fault: it ends the run of its environment."""
    return Finding(Level.FAIL, _printable(check), _printable(message), _printable(remedy))


def warning(check: str, message: str, remedy: str = "") -> Finding:
    """A warning: shown, and the run goes on."""
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


def _printable(text: str) -> str:
    """The text on one line, so that nothing that a user wrote can steer a terminal."""
    return "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in text)
