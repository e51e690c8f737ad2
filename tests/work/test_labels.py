"""Lines with their node's name."""

from __future__ import annotations

from nixl_efa.work.labels import Labels


def test_lines_get_names_and_come_when_they_are_whole() -> None:
    labels = Labels()
    assert labels.lines("producer", "out", b"one\n\ntw") == b"producer: one\nproducer:\n"
    assert labels.lines("consumer", "out", b"") == b""
    assert labels.lines("producer", "err", b"mine\nno end") == b"producer: mine\n"
    assert labels.lines("producer", "out", b"o\n") == b"producer: two\n"
    assert labels.rest() == [("err", b"producer: no end\n")]
    assert labels.rest() == []
