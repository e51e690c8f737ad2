"""docs/facts.md against the source: what a row names is there, and what the local AWS answers is named by a row."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from nixl_efa.rehearse.facts import PAGE, Fact, read, told

ROOT = Path(__file__).resolve().parents[1]
FACTS = read(PAGE.read_text(encoding="utf-8"))


@cache
def symbols(path: str) -> frozenset[str]:
    """What a file defines at its top, and in its classes as Class.member."""
    found: set[str] = set()
    for node in ast.parse((ROOT / path).read_text(encoding="utf-8")).body:
        found |= _defined(node)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{name}" for member in node.body for name in _defined(member)}
    return frozenset(found)


def _defined(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return {node.name}
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return {
        one.id
        for target in targets
        if target is not None
        for one in ast.walk(target)
        if isinstance(one, ast.Name)
    }


def lacking(named: str) -> str:
    """What is not there of `path::symbol`; a path without a symbol is for what is no Python."""
    path, _, symbol = named.partition("::")
    if not (ROOT / path).is_file():
        return f"{named}: no such file"
    if symbol and symbol not in symbols(path):
        return f"{named}: no such symbol"
    if path.endswith(".py") and not symbol:
        return f"{named}: names no symbol"
    return ""


def test_every_fact_has_a_name_of_its_own() -> None:
    assert [name for name, times in Counter(fact.name for fact in FACTS).items() if times > 1] == []


@pytest.mark.parametrize("fact", FACTS, ids=lambda fact: fact.name)
def test_a_row_says_what_from_where_how_sure_and_names_what_is_there(fact: Fact) -> None:
    assert fact.statement
    assert fact.source
    assert fact.sure in ("documented", "seen", "inferred")
    assert fact.used_in
    assert fact.held_by
    assert [told for told in map(lacking, (*fact.used_in, *fact.held_by)) if told] == []
    assert all(each.startswith("tests/") for each in fact.held_by)


def test_a_row_that_is_not_whole_is_told_by_its_line() -> None:
    with pytest.raises(ValueError, match="line 3 has 2 cells"):
        read("| fact | statement | source | sure | used in | held by |\n| --- |\n| a | b |\n")


def test_a_name_without_a_row_is_told_alone() -> None:
    assert told(["x", "y"], [Fact("y", "It is so.", "", "seen", (), ())]) == ["x", "y: It is so."]
