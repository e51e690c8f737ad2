"""How far a copy is, as a terminal and a pipe show it."""

from __future__ import annotations

import os
import sys

import pytest

from nixl_efa.cli import copy
from nixl_efa.cli.progress import Progress, size

GB = 10**9


class Clock:
    """A second later at each look."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1
        return self.now


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(
        "nixl_efa.cli.output.get_terminal_size", lambda: os.terminal_size((columns, 24)), raising=True
    )


@pytest.mark.parametrize(("columns", "longest"), [(40, 39), (80, 79)])
def test_the_line_is_never_wider_than_the_terminal(
    columns: int, longest: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, columns)
    shown = Progress("nixl-efa-1.whl in s3://nixl-efa-prod-20261127093125856200000001", 9 * GB, Clock())
    for _ in range(4):
        shown.add(GB)
    lines = capsys.readouterr().err.split("\r")[1:]
    assert [len(line.removesuffix("\x1b[K")) for line in lines] == [longest] * 4


def test_a_copy_that_is_interrupted_leaves_no_line_before_its_message(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    on_a_terminal(monkeypatch, 80)
    with pytest.raises(copy._Interrupted), copy._bar("sent", GB, lambda: True) as done:
        done(1)
    assert capsys.readouterr().err.endswith("\r\x1b[K")


@pytest.mark.parametrize(
    ("count", "told"),
    [(0, "0 bytes"), (1, "1 byte"), (999, "999 bytes"), (1000, "1.0 KB"), (16 * GB, "16.0 GB")],
)
def test_a_size_is_told_in_its_unit(count: int, told: str) -> None:
    assert size(count) == told
