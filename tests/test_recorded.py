"""No recorded answer is forgotten: each is named by a test that reads it, and is in the table of its README."""

import ast
from pathlib import Path

import pytest

from tests.records import RECORDED, names, record

# Records that no code can read, and why.
NOT_FOR_CODE: dict[str, str] = {
    "events/block-delivered-two-spellings": "nothing here listens to EventBridge: `capacity wait` and `status` ask EC2",
    "events/future-dated-reservation-scheduled": "nothing here listens to EventBridge; the states are in MEANINGS",
}
# Records that no test reads yet.
UNREAD: set[str] = set()


def named_in_tests() -> set[str]:
    """Every text in the tests, this file apart, that could be a record's name."""
    return {
        node.value
        for path in Path(__file__).parent.rglob("*.py")
        if path != Path(__file__)
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def test_every_record_is_named_by_a_test() -> None:
    texts = named_in_tests()
    told = set(NOT_FOR_CODE) | UNREAD
    assert sorted(set(names()) - texts - told) == []
    assert sorted(told & texts) == []
    assert sorted(told - set(names())) == []


@pytest.mark.parametrize("name", names())
def test_a_record_has_its_members_and_its_row_in_the_readme(name: str) -> None:
    found = record(name)
    assert set(found) == {"kind", "source", "seen", "date", "question", "answer", "says"}
    assert found["kind"] == name.partition("/")[0]
    assert found["seen"] in {"documentation", "issue", "log", "fixture"}
    row = " | ".join((f"{name}.json", found["kind"], found["source"], found["says"]))
    assert f"| {row} |\n" in (RECORDED / "README.md").read_text(encoding="utf-8")
