"""What the words of `nixl-efa copy` mean."""

from __future__ import annotations

import re

import pytest

from nixl_efa.failure import BadInput
from nixl_efa.work.copying import Copy, Progress, Remote, parse


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (
            ["a", "b c", "prod:all:/data/"],
            Copy(Remote("prod", (), "/data/"), ("a", "b c"), to_nodes=True),
        ),
        (
            ["prod:consumer-2:~/x:y", "."],
            Copy(Remote("prod", ("consumer-2",), "~/x:y"), (".",), to_nodes=False),
        ),
        (
            ["./prod:all:x", "prod:producer,consumer:x"],
            Copy(Remote("prod", ("producer", "consumer"), "x"), ("./prod:all:x",), to_nodes=True),
        ),
        (
            ["a", "prod:consumer,producer,consumer:x"],
            Copy(Remote("prod", ("consumer", "producer"), "x"), ("a",), to_nodes=True),
        ),
    ],
)
def test_paths_are_here_or_on_nodes(words: list[str], wanted: Copy) -> None:
    assert parse(words) == wanted


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["a", "b"], "neither end is a node: write ENV:NODE:PATH for one, or ENV:all:PATH for all nodes."),
        (["prod:all:a", "dev:all:b"], "both ends are nodes"),
        (["prod:all:a", "prod:all:b", "."], "copy one path from the nodes at a time"),
        (["a", "prod:producer:"], "prod:producer:: which file or folder of the node?"),
        (["a", "prod:/data"], "prod:/data: which node? Write ENV:NODE:PATH"),
    ],
)
def test_what_can_not_be_meant_is_said(words: list[str], told: str) -> None:
    with pytest.raises(BadInput, match=re.escape(told)):
        parse(words)


def test_the_same_copy_of_the_same_user_has_the_same_name() -> None:
    one = parse(["a", "prod:all:/data/"])
    others = [
        parse(["a", "prod:all:/data"]),
        parse(["b", "prod:all:/data/"]),
        parse(["prod:all:/data/", "a"]),
    ]
    assert one.name("me") == parse(["./a", "prod:all:/data/"]).name("me")
    assert len({one.name("me"), one.name("you"), *(other.name("me") for other in others)}) == 5


def test_progress_is_what_the_nodes_have_together() -> None:
    progress = Progress()
    progress.heard("producer", b"5 of 10\n7 of 10\n")
    progress.heard("consumer", b"noise\n10 of 10\n")
    assert progress.done == 17
