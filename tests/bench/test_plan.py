"""The table of a measurement: what it says, what is wrong with it, and in which order its rows are measured."""

from collections import Counter
from datetime import timedelta

import pytest

from nixl_efa.bench import plan
from nixl_efa.bench.plan import Row
from nixl_efa.failure import BadInput
from tests.printed import ROOT, blocks

TABLE = """
[[rows]]
layer = ["efa", "unified"]
prompt_tokens = [1024, 4096]
concurrency = 4
requests = 40
"""


def test_a_table_is_the_product_of_its_values_layer_by_layer() -> None:
    assert plan.read(TABLE, "t.toml") == (
        Row("unified", 1024, 4, 128, 40, 0),
        Row("unified", 4096, 4, 128, 40, 0),
        Row("efa", 1024, 4, 128, 40, 0),
        Row("efa", 4096, 4, 128, 40, 0),
    )


@pytest.mark.parametrize(
    ("layers", "order", "starts"),
    [
        (["efa", "tcp", "baseline", "unified"], ["unified", "tcp", "baseline", "efa"], 3),
        (["baseline", "efa"], ["baseline", "efa"], 1),
        (["tcp", "efa"], ["tcp", "efa"], 2),
        (["efa"], ["efa"], 1),
    ],
)
def test_engines_start_as_seldom_as_can_be_and_those_for_users_last(
    layers: list[str], order: list[str], starts: int
) -> None:
    text = "".join(
        f'[[rows]]\nlayer = "{one}"\nprompt_tokens = {tokens}\nconcurrency = 1\n'
        for tokens in (1024, 2048)
        for one in layers
    )
    rows = plan.read(text, "t.toml")
    assert list(dict.fromkeys(one.layer for one in rows)) == order
    assert plan.starts(rows) == starts
    assert len(rows) == 2 * len(layers)


def test_the_baseline_ends_with_the_first_token() -> None:
    (row,) = plan.read(
        TABLE.replace('["efa", "unified"]', '"baseline"').replace("[1024, 4096]", "1024"), "t.toml"
    )
    assert row == Row("baseline", 1024, 4, 1, 40, 0)


def test_a_baseline_is_measured_once_for_answers_of_several_lengths() -> None:
    text = (
        TABLE.replace('"unified"', '"baseline"').replace("[1024, 4096]", "1024")
        + "output_tokens = [16, 64]\n"
    )
    rows = [(one.layer, one.output_tokens) for one in plan.read(text, "t.toml")]
    assert rows == [("baseline", 1), ("efa", 16), ("efa", 64)]


def test_how_long_rows_take_at_least() -> None:
    rows = plan.read(TABLE, "t.toml")
    # 40 requests, 4 at a time, 128 tokens of 5 ms each.
    assert rows[0].least == timedelta(seconds=10 + 10 * 128 * 0.005)
    assert plan.least(rows) == 4 * rows[0].least + timedelta(minutes=2)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rows = 1", "t.toml has no [[rows]]: docs/bench.md shows a table."),
        ("", "t.toml has no [[rows]]: docs/bench.md shows a table."),
        ("[[rows]", "t.toml is not a TOML file: "),
        (TABLE + "[row]\n", "t.toml: row is not known: Did you mean rows?"),
        (
            TABLE.replace("prompt_tokens", "promt_tokens"),
            "[[rows]] 1: promt_tokens is not known. Did you mean prompt_tokens?",
        ),
        (TABLE.replace("prompt_tokens", "promt_tokens"), "[[rows]] 1: prompt_tokens is missing."),
        (TABLE.replace('"efa"', '"eva"'), "[[rows]] 1: layer 'eva' is none. Did you mean efa?"),
        (TABLE.replace('"efa"', "1"), "[[rows]] 1: layer 1 is none. Give unified, tcp, baseline, efa."),
        (TABLE.replace("1024", "0"), "[[rows]] 1: prompt_tokens is 0: give whole numbers of at least 1."),
        (
            TABLE.replace("1024", "true"),
            "[[rows]] 1: prompt_tokens is True: give whole numbers of at least 1.",
        ),
        (TABLE.replace("1024", "1.5"), "[[rows]] 1: prompt_tokens is 1.5: give whole numbers of at least 1."),
        (TABLE.replace("= 4\n", "= []\n"), "[[rows]] 1: concurrency is an empty list."),
        (TABLE + "seed = -1\n", "[[rows]] 1: seed is -1: give whole numbers of at least 0."),
        (
            TABLE.replace("= 4\n", "= 64\n"),
            "[[rows]] 1: 40 requests can't be 64 at a time: give requests of at least the concurrency.",
        ),
        # What can't be in a set.
        (TABLE.replace('"efa"', '["efa"]'), "[[rows]] 1: layer ['efa'] is none."),
        (
            TABLE.replace("[1024, 4096]", "{a = 1}"),
            "[[rows]] 1: prompt_tokens is {'a': 1}: give whole numbers",
        ),
        (TABLE.replace("1024", "9" * 30), f"[[rows]] 1: prompt_tokens is {'9' * 30}: give at most 10000000."),
        (
            TABLE.replace("= 40", "= 9999999"),
            "[[rows]] 1: unified-p4096-c4-o128-n9999999-s0 takes at least 18 d 12 h, and a row may run 6 h",
        ),
        (TABLE + TABLE, "t.toml: efa-p1024-c4-o128-n40-s0 is there more than once."),
    ],
)
def test_what_is_wrong_with_a_table_is_said_with_its_place(text: str, said: str) -> None:
    with pytest.raises(BadInput) as error:
        plan.read(text, "t.toml")
    assert said in error.value.message


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(BadInput) as error:
        plan.read(TABLE.replace("1024", "0").replace('"efa"', '"eva"') + "x = 1\n", "t.toml")
    assert len(error.value.message.splitlines()) == 3


def test_the_plan_of_the_aws_cdk_design_has_92_rows() -> None:
    """As the page prints it: 23 of each layer, prompts of 1K to 128K tokens, concurrency 1, 4 and 16, 3 starts."""
    tables = [block.text for block in blocks((ROOT / "docs/bench.md").read_text(encoding="utf-8"), "toml")]
    rows = plan.read(tables[-1], "docs/bench.md")
    assert len(rows) == len(set(rows)) == 92
    assert Counter(one.layer for one in rows) == dict.fromkeys(("baseline", "unified", "efa", "tcp"), 23)
    assert {one.concurrency for one in rows} == {1, 4, 16}
    assert min(one.prompt_tokens for one in rows) == 1 << 10
    assert max(one.prompt_tokens + one.output_tokens for one in rows if one.layer != "baseline") == 128 << 10
    assert plan.starts(rows) == 3
    for one in tables[:-1]:
        assert plan.read(one, "docs/bench.md")
