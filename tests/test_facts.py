"""docs/facts.md against the source: what a row names is there, and what the local AWS answers is named by a row."""

import ast
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from nixl_efa.rehearse.facts import PAGE, Fact, read, told
from tests.local_aws_source import Refusal, sources

ROOT = Path(__file__).resolve().parents[1]
FACTS = read(PAGE.read_text(encoding="utf-8"))
# Not of AWS: what the local AWS says of itself, and an error's name in Python.
OWN = {
    ("local_aws/__init__.py::__all__", "PortInUseError"),
    ("local_aws/gate.py::Gate._carry_out", "LocalAwsFailure"),
    ("local_aws/gate.py::_lacking", "InvalidParameterValue"),
}
LINE = 180


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
        read("| fact | statement | source | sure | used in | tested by |\n| --- |\n| a | b |\n")


def test_a_name_without_a_row_is_told_alone() -> None:
    assert told(["x", "y"], [Fact("y", "It is so.", "", "seen", (), ())]) == ["x", "y: It is so."]


def known(refusal: Refusal) -> bool:
    """Whether a row names its code and place, and its words: in the statement or in the source's recorded answer."""
    return any(
        refusal.symbol in fact.used_in
        and f"`{refusal.code}`" in fact.statement
        and (bool(refusal.inferred) or _said(refusal.words, " ".join((fact.statement, *recorded(fact)))))
        for fact in FACTS
        if not refusal.inferred or fact.name == refusal.inferred
    )


def recorded(fact: Fact) -> list[str]:
    """What the recorded answers that a row names as its source say."""
    found = []
    for path in re.findall(r"tests/recorded/[\w/.-]+\.json", fact.source):
        found += _strings(json.loads((ROOT / path).read_text(encoding="utf-8"))["answer"])
    return found


def _strings(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [each for one in inner for each in _strings(one)]


def _said(words: tuple[str, ...], text: str) -> bool:
    return re.search(".*".join(map(re.escape, words)), text, re.DOTALL) is not None


def test_every_refusal_of_the_local_aws_is_in_a_row_with_its_words_or_is_marked_as_inferred() -> None:
    refusals = [refusal for source in sources() for refusal in source.refusals]
    assert [str(refusal) for refusal in refusals if not known(refusal)] == []
    assert len(refusals) > 90  # that they are found at all


def test_every_error_code_and_reason_of_the_local_aws_is_named_by_a_row() -> None:
    named = {(symbol, code) for fact in FACTS for symbol in fact.used_in for code in _codes(fact)}
    found = {each for source in sources() for each in source.codes}
    assert sorted(found - named - OWN) == []
    assert found >= OWN


def _codes(fact: Fact) -> list[str]:
    return re.findall(r"`([\w.]+)`", fact.statement)


def test_every_limit_of_the_local_aws_is_named_by_a_row() -> None:
    used = {symbol for fact in FACTS for symbol in fact.used_in}
    assert sorted({number for source in sources() for number in source.limits} - used) == []


def test_what_is_inferred_is_marked_where_it_is_answered() -> None:
    marks = {mark for source in sources() for mark in source.marks}
    rows = {fact.name: fact for fact in FACTS if fact.sure == "inferred"}
    places = {
        (symbol, name)
        for name, fact in rows.items()
        for symbol in fact.used_in
        if symbol.startswith("local_aws/")
    }
    # Made-up figures are marked by what answers them.
    functions = {symbol for source in sources() for symbol in source.functions}
    answering = {(symbol, name) for symbol, name in places if symbol in functions}
    # Marks without a row, of another function than its row says, or of a row that is sure; then functions without one.
    assert sorted(marks - places) == []
    assert sorted(answering - marks) == []
    assert sorted({name for _, name in places} - {name for _, name in marks}) == []


def test_a_statement_that_a_rehearsal_ends_with_fits_on_a_line() -> None:
    told_by = {name for source in sources() for _, name in source.marks}
    assert [fact.name for fact in FACTS if fact.name in told_by and len(fact.statement) > LINE] == []
