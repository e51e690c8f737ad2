"""The table of docs/facts.md: each behaviour of AWS, Terraform, EFA and NIXL that the code depends on, a row each."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "facts.md"
COLUMNS = ("fact", "statement", "source", "sure", "used in", "tested by")


@dataclass(frozen=True, slots=True)
class Fact:
    """One row. sure: "documented", "seen" (in a public log or a recorded answer) or "inferred".

    used_in: `path::symbol`; held_by: `path::test`, both relative to the project.
    """

    name: str
    statement: str
    source: str
    sure: str
    used_in: tuple[str, ...]
    held_by: tuple[str, ...]


def page() -> str:
    """The page's text; empty where the package is installed by itself, which has no docs."""
    return PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""


def read(text: str) -> list[Fact]:
    """The rows of every table of the page whose head is COLUMNS. ValueError for a row of another width."""
    facts: list[Fact] = []
    inside = False
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|"):
            inside = False
            continue
        cells = tuple(cell.strip().replace("\0", "|") for cell in line.replace(r"\|", "\0").split("|")[1:-1])
        if cells == COLUMNS:
            inside = True
        elif inside and not set(line) <= set("|- "):
            if len(cells) != len(COLUMNS):
                raise ValueError(f"line {number} has {len(cells)} cells, not {len(COLUMNS)}: {line}")
            facts.append(
                Fact(
                    cells[0].strip("`"),
                    cells[1],
                    cells[2],
                    cells[3],
                    _names(cells[4]),
                    _names(cells[5]),
                )
            )
    return facts


def told(names: Iterable[str], facts: Iterable[Fact]) -> list[str]:
    """One line for each name: what its row says. A name without a row stands alone."""
    statements = {fact.name: fact.statement for fact in facts}
    return [f"{name}: {statements[name]}" if name in statements else name for name in names]


def _names(cell: str) -> tuple[str, ...]:
    return tuple(name.strip().strip("`") for name in cell.split(",") if name.strip())
