"""What a user hears about an instance type."""

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Level
from nixl_efa.instance_types import is_well_formed, nearest, validate


@pytest.mark.parametrize(
    "name",
    [
        "p5.48xlarge",
        "p6-b200.48xlarge",
        "u-6tb1.metal",
        "c8gn.metal-48xl",
        "mac2-m2pro.metal",
        "x9zzz.7xlarge",
    ],
)
def test_the_form_of_a_name_is_known_whether_or_not_the_type_is(name: str) -> None:
    assert is_well_formed(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "p5",
        "p5.",
        ".48xlarge",
        "P5.48xlarge",
        "p5 .48xlarge",
        "p5.48xlarge\n",
        "p5_48xlarge",
        "ml.p5.48xlarge",
        "5p.48xlarge",
        "p5-.48xlarge",
        "p5.48xlarge-",
        "p" * 60 + ".large",
    ],
)
def test_a_malformed_name_fails_and_says_the_form(name: str) -> None:
    [finding] = validate(name)

    assert finding.level is Level.FAIL
    assert finding.check == "instance_type"
    assert (
        finding.message == f"Instance type {name!r} is not of the form FAMILY.SIZE, for example p5.48xlarge."
    )
    assert finding.remedy


def test_every_known_name_is_well_formed() -> None:
    assert [name for name in instance_types.all_types() if not is_well_formed(name)] == []


@pytest.mark.parametrize(
    "name", ["g7e.8xlarge", "g7e.12xlarge", "p5.48xlarge", "trn1.32xlarge", "hpc6id.32xlarge"]
)
def test_a_type_with_efa_gives_no_finding(name: str) -> None:
    assert validate(name) == []


@pytest.mark.parametrize(
    ("name", "rest"),
    [
        (
            "g7e.2xlarge",
            "Sizes of g7e with EFA: g7e.8xlarge, g7e.12xlarge, g7e.24xlarge, g7e.48xlarge. "
            "For EFA, set instance_type to g7e.8xlarge or larger.",
        ),
        (
            "trn1.2xlarge",
            "Sizes of trn1 with EFA: trn1.32xlarge. For EFA, set instance_type to trn1.32xlarge.",
        ),
        (
            "inf2.48xlarge",
            "No size of inf2 has EFA. "
            "For EFA, take another family, for example inf1.24xlarge, trn2.48xlarge or trn2u.48xlarge.",
        ),
        (
            "g6f.large",
            "No size of g6f has EFA. "
            "For EFA, take another family, for example g6.8xlarge, g6e.8xlarge or g6.12xlarge.",
        ),
    ],
)
def test_a_type_without_efa_gives_a_warning_that_says_what_follows_and_what_has_efa(
    name: str, rest: str
) -> None:
    [finding] = validate(name)

    assert finding.level is Level.WARN
    assert finding.line() == (
        f"Instance type {name} may not support EFA: NIXL will use TCP over a plain network interface. {rest}"
    )


def test_what_is_offered_instead_of_a_type_without_efa_has_efa() -> None:
    without = [one for one in instance_types.all_types().values() if not one.supports_efa]

    for one in without:
        [finding] = validate(one.name)
        named = [word.strip(",.") for word in finding.line().split() if "." in word.strip(",.")][1:]
        known = [instance_types.find(name) for name in named]
        assert known, one.name
        assert all(other is not None and other.supports_efa for other in known), finding


def test_an_unknown_type_gives_a_warning_with_the_nearest_names() -> None:
    [finding] = validate("p5.49xlarge")

    assert finding.level is Level.WARN
    assert finding.message == (
        f"Instance type p5.49xlarge is not in this data (of {instance_types.data_source().date}), which holds "
        f"{len(instance_types.all_types())} types with EFA or accelerators: no EFA interface can be planned, so NIXL "
        "will use TCP over a plain network interface."
    )
    assert finding.remedy == (
        "Did you mean p5.48xlarge, p5.4xlarge or p5e.48xlarge? "
        "If there is such a type, run `nixl-efa instance-types refresh`."
    )


@pytest.mark.parametrize("name", ["p6e-gb200.36xlarge", "dl1.24xlarge", "g4ad.xlarge"])
def test_of_a_type_that_the_data_lacks_it_is_not_said_that_there_is_none(name: str) -> None:
    if instance_types.find(name) is not None:
        pytest.skip("the data has it now")
    [finding] = validate(name)

    assert f"is not in this data (of {instance_types.data_source().date})" in finding.message
    assert finding.remedy.endswith("run `nixl-efa instance-types refresh`.")


def test_an_unknown_type_that_resembles_none_is_not_compared() -> None:
    [finding] = validate("qq9.large")

    assert finding.remedy == "If there is such a type, run `nixl-efa instance-types refresh`."


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("g7e.16xlarge", ("g7e.12xlarge", "g7e.24xlarge", "g7e.8xlarge")),  # the family's nearest sizes
        (
            "p7.48xlarge",
            ("p6-b200.48xlarge", "p6-b300.48xlarge", "p5.48xlarge"),
        ),  # the series' nearest generation
        ("g8e.8xlarge", ("g7e.8xlarge", "g7.8xlarge", "g7e.12xlarge")),
        ("tnr1.32xlarge", ("trn1.32xlarge", "trn1n.32xlarge", "trn1.2xlarge")),  # a slip of the fingers
        ("P5.48xlarge", ("p5.48xlarge", "p5e.48xlarge", "p5.4xlarge")),
        ("p548xlarge", ("p5.48xlarge", "p5e.48xlarge", "p5.4xlarge")),
        ("ml.p5.48xlarge", ("p5.48xlarge", "p5e.48xlarge", "p5.4xlarge")),
        ("g5.metal", ("g5.48xlarge", "g5.24xlarge", "g5.16xlarge")),
        ("c8gn.metal-40xl", ("c8gn.metal-48xl", "c8gn.48xlarge", "c8gn.metal-24xl")),
        ("p5", ("p5.4xlarge", "p5.48xlarge")),  # a family without a size
        ("zzz", ()),
    ],
)
def test_the_nearest_names(name: str, expected: tuple[str, ...]) -> None:
    assert nearest(name) == expected


def test_as_many_nearest_names_as_asked_for() -> None:
    assert nearest("p5.49xlarge", 1) == ("p5.48xlarge",)
