"""Root volumes: the sizes that were decided, the rule for the rest, and the warnings."""

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Level
from nixl_efa.instance_types import default_volume_gib, validate_volume

DECIDED = {
    **{f"{family}.12xlarge": 200 for family in ("g5", "g6", "g6e")},
    **{f"{family}.24xlarge": 300 for family in ("g5", "g6", "g6e")},
    **{f"{family}.48xlarge": 500 for family in ("g5", "g6", "g6e")},
    "g7e.2xlarge": 200,
    "g7e.4xlarge": 200,
    "g7e.8xlarge": 300,
    "g7e.12xlarge": 300,
    "g7e.24xlarge": 500,
    "g7e.48xlarge": 1000,
    "p4d.24xlarge": 500,
    "p4de.24xlarge": 500,
    "p5.48xlarge": 1000,
    "trn1.2xlarge": 500,
    "trn1.32xlarge": 500,
    "trn1n.32xlarge": 500,
}

BY_THE_RULE = {
    "g5.xlarge": 200,
    "g6.16xlarge": 200,
    "g4dn.metal": 300,
    "g7.48xlarge": 500,
    "p3dn.24xlarge": 500,
    "p5.4xlarge": 200,
    "p5en.48xlarge": 1000,
    "p6-b300.48xlarge": 1000,
    "inf2.48xlarge": 500,
    "trn2.3xlarge": 512,
    "trn2.48xlarge": 1000,
    "f2.48xlarge": 200,
    "hpc7a.96xlarge": 200,
    "x9zzz.48xlarge": 200,
    "no type": 200,
}


@pytest.mark.parametrize(("name", "gib"), [*DECIDED.items(), *BY_THE_RULE.items()])
def test_the_default_volume(name: str, gib: int) -> None:
    assert default_volume_gib(name) == gib


def test_no_trainium_but_trn1_has_less_than_aws_asks_for() -> None:
    trainium = [name for name in instance_types.all_types() if name.startswith("trn")]

    assert {name for name in trainium if default_volume_gib(name) < 512} == {
        "trn1.2xlarge",
        "trn1.32xlarge",
        "trn1n.32xlarge",
    }


@pytest.mark.parametrize(
    ("name", "gib"),
    [
        ("p5.48xlarge", 800),
        ("p5.48xlarge", 1000),
        ("p5.48xlarge", 4000),
        ("g7e.12xlarge", 240),
        ("trn1.32xlarge", 512),
        ("trn2.48xlarge", 1000),
        ("x9zzz.48xlarge", 160),
    ],
)
def test_a_size_of_80_percent_or_more_gives_no_finding(name: str, gib: int) -> None:
    assert validate_volume(name, gib) == []


@pytest.mark.parametrize(
    ("name", "gib", "default"),
    [("p5.48xlarge", 799, 1000), ("g7e.12xlarge", 239, 300), ("x9zzz.large", 159, 200)],
)
def test_a_size_below_80_percent_of_the_default_warns(name: str, gib: int, default: int) -> None:
    [finding] = validate_volume(name, gib)

    assert (finding.level, finding.check) == (Level.WARN, "volume_size")
    assert finding.line() == (
        f"volume_size {gib} GiB is below 80 % of the {default} GiB that {name} has by default: the image and the "
        f"models may not fit. Set volume_size to {default}, or leave it out."
    )


@pytest.mark.parametrize("gib", [500, 511])
def test_less_than_aws_asks_for_on_trainium_warns_even_as_the_default(gib: int) -> None:
    [finding] = validate_volume("trn1.32xlarge", gib)

    assert (finding.level, finding.check) == (Level.WARN, "volume_size")
    assert finding.line() == (
        f"volume_size {gib} GiB is less than the 512 GiB that AWS asks for on trn1.32xlarge with the Neuron "
        "deep-learning image. Set volume_size to 512 or more."
    )


def test_a_size_that_is_too_small_for_both_reasons_gives_both_warnings() -> None:
    assert [finding.level for finding in validate_volume("trn1.32xlarge", 300)] == [Level.WARN, Level.WARN]
