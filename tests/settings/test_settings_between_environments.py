"""What is said about two environments that meet, word for word."""

import pytest

from tests.settings.conftest import DEV, P5, Load, Said, lines


def test_two_environments_may_not_give_their_resources_one_name(load_texts: Load) -> None:
    files = {"a-b": P5 + 'project_prefix = "kv"', "b": P5 + 'project_prefix = "kv-a"'}
    loaded = load_texts(files)
    assert lines(loaded) == [
        "FAIL b: its names in AWS begin with kv-a-b, as those of a-b do (environments/b.toml: project_prefix and "
        "environments/a-b.toml: project_prefix). AWS refuses the second of a name. Give each environment a "
        "project_prefix with which its names differ."
    ]
    assert [one.name for one in loaded.environments] == ["a-b"]


@pytest.mark.parametrize("apart", ['region = "us-west-2"', 'account_id = "123456789012"'])
def test_one_name_in_two_places_is_no_fault(said: Said, apart: str) -> None:
    assert said({"a-b": P5 + 'project_prefix = "kv"', "b": f'{P5}project_prefix = "kv-a"\n{apart}'}) == []


KEPT_IN = (
    'use_capacity_block = true\ncapacity_reservation_parameter = "{}"\navailability_zone_parameter = "{}"\n'
)


@pytest.mark.parametrize(
    ("first", "second", "name"),
    [
        (("/team/a", "/team/zone"), ("/team/b", "/team/zone"), "/team/zone"),
        (("/team/a", "/team/zone-a"), ("/team/a", "/team/zone-b"), "/team/a"),
        (("/team/a", "/team/zone-a"), ("/team/a-next", "/team/zone-b"), "/team/a-next"),
        (("/team/a", "/team/zone"), ("/team/b", "/team/a"), "/team/a"),
    ],
)
def test_what_is_saved_for_one_environment_may_not_change_what_another_reads(
    said: Said, first: tuple[str, str], second: tuple[str, str], name: str
) -> None:
    def given(environment: str, parameters: tuple[str, str]) -> str:
        of_block = name.removesuffix("-next") in (parameters[0], parameters[0].removesuffix("-next"))
        setting = "capacity_reservation_parameter" if of_block else "availability_zone_parameter"
        return f"environments/{environment}.toml: {setting}"

    where = {"a": given("a", first), "b": given("b", second)}
    expected = [
        f"FAIL {one}: the parameter {name} would be written for {other}, too, and would not fit both: what is saved "
        f"for one would change what the other reads ({where[one]} and {where[other]}). Give each environment a "
        "capacity_reservation_parameter and an availability_zone_parameter of its own, or both the same two."
        for one, other in (("a", "b"), ("b", "a"))
    ]
    assert said({"a": P5 + KEPT_IN.format(*first), "b": P5 + KEPT_IN.format(*second)}) == expected


@pytest.mark.parametrize(
    "second",
    [
        KEPT_IN.format("/team/b", "/team/zone-b"),
        KEPT_IN.format("/team/a", "/team/zone"),  # one reservation for both
        KEPT_IN.format("/team/b", "/team/zone") + 'region = "us-west-2"\n',
        KEPT_IN.format("/team/b", "/team/zone") + 'account_id = "123456789012"\n',
        'availability_zone_parameter = "/team/zone"\n',  # no reservation, so nothing is saved for it
    ],
)
def test_parameters_that_hold_one_thing_for_both_are_no_fault(said: Said, second: str) -> None:
    assert said({"a": P5 + KEPT_IN.format("/team/a", "/team/zone"), "b": P5 + second}) == []


@pytest.mark.parametrize(
    ("block", "zone"), [("/team/a", "/team/a"), ("/team/a", "/team/a-next"), ("/team/a-next", "/team/a")]
)
def test_an_id_and_its_zone_need_parameters_of_their_own(said: Said, block: str, zone: str) -> None:
    assert said({"dev": P5 + KEPT_IN.format(block, zone)}) == [
        f'FAIL dev: capacity_reservation_parameter = "{block}" ({DEV}: capacity_reservation_parameter) and '
        f'availability_zone_parameter = "{zone}" ({DEV}: availability_zone_parameter) exclude each other: the next '
        "block's id and zone are kept in parameters with the same names and the suffix -next, and each "
        "needs a parameter of its own. "
        "Change one of them."
    ]


def test_two_environments_may_not_share_a_state(load_texts: Load) -> None:
    s3 = P5 + '[backend]\ntype = "s3"\nbucket = "states"\nkey = "one"'
    cloud = P5 + '[backend]\ntype = "cloud"\norganization = "acme"\nworkspace = "one"'
    loaded = load_texts({"a": s3, "b": cloud, "c": s3, "d": cloud})
    assert lines(loaded) == [
        "FAIL c: the Terraform state would lie in one place with that of a: s3 states one (environments/c.toml: "
        "backend and environments/a.toml: backend). Each would destroy the other's resources. Give each environment a "
        "backend.key of its own.",
        "FAIL d: the Terraform state would lie in one place with that of b: cloud app.terraform.io acme one "
        "(environments/d.toml: backend and environments/b.toml: backend). Each would destroy the other's resources. "
        "Give each environment a backend.workspace of its own.",
    ]
    assert [one.name for one in loaded.environments] == ["a", "b"]


def test_workspaces_that_tags_choose_are_no_shared_state(said: Said) -> None:
    tagged = P5 + '[backend]\ntype = "cloud"\norganization = "acme"\ntags = ["nixl"]'
    assert said({"a": tagged, "b": tagged}) == []
