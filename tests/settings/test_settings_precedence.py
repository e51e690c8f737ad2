"""Which source wins, and that each value knows where it came from."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nixl_efa.settings import Loaded, Settings, source_of
from tests.settings.conftest import BLOCK, P5, Load, lines


def the_one(loaded: Loaded) -> Settings:
    assert not [one for one in loaded.findings if one.level.value == "FAIL"], lines(loaded)
    (environment,) = loaded.environments
    assert isinstance(environment, Settings)
    return environment


# The highest source first: where a region is put, and what source_of then says.
SOURCES: list[tuple[str, str]] = [
    ("variable of the environment", "variable NIXL_EFA_DEV_REGION"),
    ("variable of all", "variable NIXL_EFA_REGION"),
    ("context of the environment", "cdktf context: dev.region"),
    ("context of all", "cdktf context: region"),
    ("file", "environments/dev.toml: region"),
    ("default", "default"),
]
REGION_OF = {
    "variable of the environment": "eu-west-1",
    "variable of all": "eu-west-2",
    "context of the environment": "eu-west-3",
    "context of all": "eu-north-1",
    "file": "eu-central-1",
    "default": "us-east-2",
}


def put_region(used: set[str], file: str = P5) -> tuple[dict[str, str], dict[str, str], dict[str, object]]:
    files = {"dev": file + (f'region = "{REGION_OF["file"]}"\n' if "file" in used else "")}
    environ: dict[str, str] = {}
    context: dict[str, object] = {}
    if "variable of the environment" in used:
        environ["NIXL_EFA_DEV_REGION"] = REGION_OF["variable of the environment"]
    if "variable of all" in used:
        environ["NIXL_EFA_REGION"] = REGION_OF["variable of all"]
    if "context of all" in used:
        context["region"] = REGION_OF["context of all"]
    nested = (
        {"region": REGION_OF["context of the environment"]} if "context of the environment" in used else {}
    )
    return files, environ, {**context, "dev": nested}


@pytest.mark.parametrize(("highest", "label"), SOURCES)
def test_a_source_wins_over_every_lower_one(load_texts: Load, highest: str, label: str) -> None:
    names = [name for name, _ in SOURCES]
    environment = the_one(load_texts(*put_region(set(names[names.index(highest) :]))))
    assert environment.region == REGION_OF[highest]
    assert source_of(environment, "region") == label


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(used=st.sets(st.sampled_from([name for name, _ in SOURCES])))
def test_the_highest_of_any_set_of_sources_wins(load_texts: Load, used: set[str]) -> None:
    environment = the_one(load_texts(*put_region(used)))
    highest = next(name for name, _ in SOURCES if name in used or name == "default")
    assert environment.region == REGION_OF[highest]


SPELLINGS: list[tuple[dict[str, object], str, object]] = [
    ({"instanceType": "g7e.8xlarge"}, "instance_type", "g7e.8xlarge"),
    ({"instance_type": "g7e.8xlarge"}, "instance_type", "g7e.8xlarge"),
    ({"volumeSize": 900}, "volume_size", 900),
    ({"volumeSize": "900"}, "volume_size", 900),
    ({"useCapacityBlock": True}, "use_capacity_block", True),
    ({"useCapacityBlock": "true"}, "use_capacity_block", True),
    ({"useCapacityBlock": "false"}, "use_capacity_block", False),
    ({"capacityReservationId": "cr-0123456789abcdef0"}, "capacity_reservation_id", "cr-0123456789abcdef0"),
    ({"availabilityZone": "us-east-2b"}, "availability_zone", "us-east-2b"),
    ({"vpcId": "vpc-01234567"}, "vpc_id", "vpc-01234567"),
    ({"keyName": "my key"}, "key_name", "my key"),
    ({"keyName": None}, "key_name", None),
    ({"projectPrefix": "llm"}, "project_prefix", "llm"),
    ({"vllmPort": 9000}, "service_ports", (8000, 9000, 8200)),
    ({"vllmPort": " 9000 "}, "service_ports", (8000, 9000, 8200)),
    ({"vllmPort": 8100}, "service_ports", (8000, 8100, 8200)),
    ({"vllmPort": "8000"}, "service_ports", (8000, 8200)),
    ({"servicePorts": [80, "81"]}, "service_ports", (80, 81)),
    ({"tags": {"Team": "ml"}}, "tags", {"Team": "ml"}),
    ({"mlflowArtifactBucketArn": "arn:aws:s3:::mine"}, "mlflow_artifact_bucket_arn", "arn:aws:s3:::mine"),
]


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize(("context", "setting", "value"), SPELLINGS)
def test_the_context_takes_both_spellings_and_text(
    load_texts: Load, context: dict[str, object], setting: str, value: object, nested: bool
) -> None:
    environment = the_one(load_texts({"dev": P5}, {}, {"dev": context} if nested else context))
    assert getattr(environment, setting) == value
    (key,) = context
    assert source_of(environment, setting) == f"cdktf context: {'dev.' if nested else ''}{key}"


TEXTS: list[tuple[str, str, object]] = [
    ("VOLUME_SIZE", " 1500 ", 1500),
    ("SPOT", "true", True),
    ("SPOT", "1", True),
    ("SPOT", "Yes", True),
    ("ELASTIC_IP", "FALSE", False),
    ("ELASTIC_IP", "0", False),
    ("ELASTIC_IP", "no", False),
    ("SERVICE_PORTS", "80, 81", (80, 81)),
    ("SERVICE_PORTS", "[80, 81]", (80, 81)),
    ("SERVICE_PORTS", "none", ()),
    ("TAGS", "Team=ml, Cost = a=b", {"Team": "ml", "Cost": "a=b"}),
    ("TAGS", '{"Team": "ml"}', {"Team": "ml"}),
    ("TAGS", "none", {}),
    ("OWNER", " me@example.org ", "me@example.org"),
    ("KEY_NAME", "None", None),
    ("PLACEMENT_GROUP", "off", "off"),
    ("NIXL_VERSION", "1.10", "1.10"),
    ("MIN_HOURS", "3", 3),
]


@pytest.mark.parametrize(("variable", "text", "value"), TEXTS)
def test_a_variable_is_read_as_its_settings_type(
    load_texts: Load, variable: str, text: str, value: object
) -> None:
    environment = the_one(load_texts({"dev": P5}, {f"NIXL_EFA_DEV_{variable}": text}))
    assert getattr(environment, variable.lower()) == value


@pytest.mark.parametrize("text", ["", "   "])
def test_an_empty_variable_counts_as_not_set(load_texts: Load, text: str) -> None:
    environment = the_one(load_texts({"dev": P5 + 'owner = "me"'}, {"NIXL_EFA_OWNER": text}))
    assert environment.owner == "me"


@pytest.mark.parametrize(
    ("file", "environ", "context"),
    [
        ('owner = "me"', {"NIXL_EFA_OWNER": "none"}, {}),
        ('owner = "me"', {}, {"owner": ""}),
        ('owner = "me"', {}, {"owner": None}),
        ('owner = ""', {}, {}),
        ('owner = "none"', {}, {}),
    ],
)
def test_none_takes_back_what_lower_sources_say(
    load_texts: Load, file: str, environ: dict[str, str], context: dict[str, object]
) -> None:
    assert the_one(load_texts({"dev": P5 + file}, environ, context)).owner is None


def test_a_variable_belongs_to_the_environment_with_the_longest_name(load_texts: Load) -> None:
    loaded = load_texts({"prod": P5, "prod-eu": P5}, {"NIXL_EFA_PROD_EU_REGION": "eu-west-1"})
    assert [one.region for one in loaded.environments] == ["us-east-2", "eu-west-1"]
    assert not loaded.findings


def test_a_setting_of_all_environments_comes_before_an_environment_that_its_name_begins_with(
    load_texts: Load,
) -> None:
    loaded = load_texts({"volume": P5}, {"NIXL_EFA_VOLUME_SIZE": "2000"})
    assert source_of(the_one(loaded), "volume_size") == "variable NIXL_EFA_VOLUME_SIZE"


# The file's values, what is set above it, and which of the two alternatives then holds.
REPLACED: list[tuple[str, dict[str, str], dict[str, object], str, str, str | None]] = [
    (
        'capacity_reservation_parameter = "/a"',
        {"NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-01234567"},
        {},
        "capacity_reservation_id",
        "cr-01234567",
        "capacity_reservation_parameter",
    ),
    (
        'capacity_reservation_id = "cr-01234567"',
        {},
        {"capacityReservationParameter": "/a"},
        "capacity_reservation_parameter",
        "/a",
        "capacity_reservation_id",
    ),
    (
        'ami_parameter = "/a"',
        {"NIXL_EFA_DEV_AMI_ID": "ami-01234567"},
        {},
        "ami_id",
        "ami-01234567",
        "ami_parameter",
    ),
    (
        'availability_zone_parameter = "/a"',
        {},
        {"availabilityZone": "us-east-2a"},
        "availability_zone",
        "us-east-2a",
        "availability_zone_parameter",
    ),
    (
        'ami_id = "ami-01234567"',
        {"NIXL_EFA_AMI_PARAMETER": "none"},
        {},
        "ami_id",
        "ami-01234567",
        "ami_parameter",
    ),
    (
        'ami_parameter = "/a"',
        {"NIXL_EFA_AMI_ID": "none"},
        {"amiId": "ami-01234567"},
        "ami_parameter",
        "/a",
        "ami_id",
    ),
]


@pytest.mark.parametrize(("file", "environ", "context", "kept", "value", "dropped"), REPLACED)
def test_from_a_higher_source_one_alternative_replaces_the_other(
    load_texts: Load,
    file: str,
    environ: dict[str, str],
    context: dict[str, object],
    kept: str,
    value: str,
    dropped: str,
) -> None:
    environment = the_one(load_texts({"dev": P5 + file}, environ, context))
    assert getattr(environment, kept) == value
    assert getattr(environment, dropped) is None


@pytest.mark.parametrize(
    "above",
    [
        {"NIXL_EFA_PROD_CAPACITY_RESERVATION_ID": "cr-01234567"},
        {"NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "/other"},
        {"NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "none"},
    ],
)
def test_a_zone_stored_beside_a_reservation_goes_with_it(load_texts: Load, above: dict[str, str]) -> None:
    loaded = load_texts({"prod": BLOCK}, above)
    assert loaded.environments[0].availability_zone_parameter is None
    assert [one.check for one in loaded.findings if "is ignored" in one.message] == [
        "availability_zone_parameter"
    ]


@pytest.mark.parametrize(
    "above",
    [
        {},
        {"NIXL_EFA_PROD_CAPACITY_RESERVATION_ID": "none"},
        {
            "NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-01234567",
            "NIXL_EFA_AVAILABILITY_ZONE_PARAMETER": "/its-zone",
        },
    ],
)
def test_a_zone_stored_beside_the_reservation_that_holds_stays(
    load_texts: Load, above: dict[str, str]
) -> None:
    loaded = load_texts({"prod": BLOCK}, above)
    assert loaded.environments[0].availability_zone_parameter is not None
    assert not loaded.findings


def test_a_zone_given_with_a_reservation_above_the_file_is_taken_without_a_warning(load_texts: Load) -> None:
    above = {"NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-01234567", "NIXL_EFA_AVAILABILITY_ZONE": "us-east-2c"}
    loaded = load_texts({"prod": BLOCK}, above)
    assert the_one(loaded).availability_zone == "us-east-2c"
    assert not loaded.findings
