"""Which environments there are, which are loaded, and what they say of themselves."""

from pathlib import Path

import pytest

from nixl_efa.settings import Settings, load, source_of
from tests.settings.conftest import BLOCK, P5, Load


def test_only_the_chosen_environments_are_loaded_and_anothers_faults_do_not_matter(load_texts: Load) -> None:
    files = {"dev": P5, "prod": "not = = toml", "Bad Name": P5, "staging": P5}
    environ = {
        "NIXL_EFA_ENVIRONMENTS": " staging,dev,,dev ",
        "NIXL_EFA_PROD_REGION": "nowhere",
        "NIXL_EFA_PROD_NO_SUCH_SETTING": "x",
    }
    loaded = load_texts(files, environ, {"prod": {"nothing": 1}})
    assert [one.name for one in loaded.environments] == ["dev", "staging"]
    assert not loaded.findings


def test_a_caller_may_choose_in_place_of_the_variable(load_texts: Load) -> None:
    loaded = load_texts({"dev": P5, "prod": P5}, {"NIXL_EFA_ENVIRONMENTS": "dev"}, only=("prod",))
    assert [one.name for one in loaded.environments] == ["prod"]


def test_a_new_file_is_a_new_stack(load_texts: Load) -> None:
    files = {"dev": P5, "team-7": P5}
    assert [one.stack_name for one in load_texts(files).environments] == ["nixl-efa-dev", "nixl-efa-team-7"]


def test_the_three_environments_that_come_with_the_project() -> None:
    loaded = load(Path("environments"), {}, {})
    assert not loaded.findings
    assert [(one.name, one.instance_type, one.volume_gib) for one in loaded.environments] == [
        ("dev", "g7e.8xlarge", 300),
        ("prod", "p5.48xlarge", 1000),
        ("staging", "g7e.12xlarge", 300),
    ]
    prod = loaded.environments[1]
    assert prod.use_capacity_block
    assert prod.capacity_reservation_parameter == "/nixl-efa/capacity-reservation-id"
    assert prod.availability_zone_parameter == "/nixl-efa/prod/availability-zone"


def test_settings_made_without_sources_say_so() -> None:
    environment = Settings(name="x", instance_type="p5.48xlarge")
    assert source_of(environment, "region") == "default"
    with pytest.raises(KeyError):
        source_of(environment, "no_such_setting")


PLACEMENT: list[tuple[str, bool]] = [
    ('instance_type = "p5.48xlarge"', True),
    ('instance_type = "p5.48xlarge"\nspot = true', True),
    ('instance_type = "p5.48xlarge"\nplacement_group = "off"', False),
    ('instance_type = "p5.48xlarge"\ncapacity_reservation_id = "cr-01234567"', False),
    ('instance_type = "p5.48xlarge"\ncapacity_reservation_id = "cr-01234567"\nplacement_group = "on"', True),
    (BLOCK, False),
    ('instance_type = "p5.999xlarge"\nami_id = "ami-01234567"', False),
]


@pytest.mark.parametrize(("file", "wanted"), PLACEMENT)
def test_a_placement_group_is_made_unless_the_capacity_refuses_it(
    load_texts: Load, file: str, wanted: bool
) -> None:
    assert load_texts({"dev": file}).environments[0].wants_placement_group is wanted


def test_states_have_places_of_their_own_by_default(load_texts: Load) -> None:
    s3 = P5 + '[backend]\ntype = "s3"\nbucket = "states"'
    loaded = load_texts({"dev": s3, "prod": s3})
    assert [one.state_key for one in loaded.environments] == ["nixl-efa/dev.tfstate", "nixl-efa/prod.tfstate"]
    cloud = P5 + '[backend]\ntype = "cloud"\norganization = "acme"\nproject = "ml"'
    loaded = load_texts({"dev": cloud, "prod": cloud})
    assert [one.cloud_workspace for one in loaded.environments] == ["nixl-efa-dev", "nixl-efa-prod"]
