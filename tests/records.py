"""Recorded answers of AWS and of tools on EFA machines (tests/recorded), read for the tests."""

import json
from pathlib import Path
from typing import Any

RECORDED = Path(__file__).parent / "recorded"


def record(name: str) -> dict[str, Any]:
    """A record by its name, for example "purchase/terraform-purchase-takes-minutes"."""
    found: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text(encoding="utf-8"))
    return found


def answer(name: str) -> Any:
    """What AWS or the tool answered."""
    return record(name)["answer"]


def names(kind: str = "*") -> list[str]:
    """The names of the records of a kind, of all kinds by default; sorted."""
    return sorted(f"{path.parent.name}/{path.stem}" for path in RECORDED.glob(f"{kind}/*.json"))
