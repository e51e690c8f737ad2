"""Every message for what a user may get wrong, word for word."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Finding, Level
from nixl_efa.settings import SETTING_NAMES, Loaded, load

Load = Callable[..., Loaded]

P5 = 'instance_type = "p5.48xlarge"\n'
G7E = 'instance_type = "g7e.12xlarge"\n'
RESERVED = 'capacity_reservation_id = "cr-01234567"\n'
BLOCK_TYPES = (
    "Types with Capacity Blocks: p4d.24xlarge, p4de.24xlarge, p5.4xlarge, p5.48xlarge, p5e.48xlarge, "
    "p5en.48xlarge, p6-b200.48xlarge, p6-b300.48xlarge, trn1.32xlarge, trn2.3xlarge, trn2.48xlarge, "
    "trn2u.48xlarge."
)
SETTINGS = f"There are: {', '.join(sorted(SETTING_NAMES))}."
BUCKET = "a bucket's name: 3 to 63 lower-case letters, digits, hyphens and dots"
CLOUD_NAME = "at most 90 letters, digits, underscores and hyphens"
TAG_CHARACTERS = "letters, digits, spaces and _ . : / = + - @"
PARAMETER = 'the full name of a parameter in Parameter Store, such as "/team/name"'
VERSION = 'a version as PEP 440 writes it, such as "1.5.1"'


def lines(loaded: Loaded) -> list[str]:
    return [f"{one.level.value} {one.line()}" for one in loaded.findings]


# A setting, a value as TOML writes it, and what the message says that it must be.
REFUSED_VALUES: list[tuple[str, str, str]] = [
    ("region", '"moon-1"', "the name of an AWS region, such as us-east-2."),
    ("region", '"us-esat-1"', 'the name of an AWS region, such as us-east-2. Did you mean "us-east-1"?'),
    (
        "availability_zone",
        '"use2-az1"',
        "the name of a zone, such as us-east-2a (not a zone's id such as use2-az1).",
    ),
    ("availability_zone_parameter", '"zone"', f"{PARAMETER}."),
    ("instance_type", "5", "an EC2 instance type, such as g7e.12xlarge."),
    ("volume_size", '"300"', "a whole number of GiB from 8 to 65536."),
    ("volume_size", "7", "a whole number of GiB from 8 to 65536."),
    ("volume_size", "65537", "a whole number of GiB from 8 to 65536."),
    ("volume_size", "true", "a whole number of GiB from 8 to 65536."),
    ("volume_iops", "3000.5", "a whole number of I/O operations a second from 3000 to 80000."),
    ("volume_iops", "2999", "a whole number of I/O operations a second from 3000 to 80000."),
    ("volume_iops", "80001", "a whole number of I/O operations a second from 3000 to 80000."),
    ("volume_throughput", "124", "a whole number of MiB/s from 125 to 2000."),
    ("volume_throughput", "2001", "a whole number of MiB/s from 125 to 2000."),
    ("vpc_id", '"vpc-1"', "a VPC's id: vpc- and 8 to 17 hexadecimal digits."),
    ("subnet_id", '"subnet-0123456G"', "a subnet's id: subnet- and 8 to 17 hexadecimal digits."),
    ("security_group_id", '"default"', "a security group's id: sg- and 8 to 17 hexadecimal digits."),
    (
        "key_name",
        '"a{b"',
        "the name of an EC2 key pair: up to 255 ASCII characters, no braces, no space at either end.",
    ),
    ("use_capacity_block", '"yes"', "true or false."),
    (
        "capacity_reservation_id",
        '"cr-123"',
        "a Capacity Reservation's id: cr- and 8 to 17 hexadecimal digits.",
    ),
    ("capacity_reservation_parameter", '"nixl-efa/id"', f"{PARAMETER}."),
    ("spot", "1", "true or false."),
    ("placement_group", '"of"', '"auto", "on" or "off". Did you mean "off"?'),
    ("placement_group", "true", '"auto", "on" or "off".'),
    ("ami_id", '"ami-latest"', "an image's id: ami- and 8 to 17 hexadecimal digits."),
    ("ami_parameter", '"/a//b"', f"{PARAMETER}."),
    ("elastic_ip", '"no"', "true or false."),
    ("service_ports", "8000", "a list of ports, in a variable divided by commas."),
    ("install_nixl", "0", "true or false."),
    ("nixl_version", "1.5", 'a version of NIXL, such as "1.5.1".'),
    ("nixl_version", '"latest"', f"{VERSION}."),
    ("nixl_version", '"1.5.1; rm -rf /"', f"{VERSION}."),
    (
        "mlflow_tracking_server_arn",
        '"arn:aws:s3:::mine"',
        "an ARN such as arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/NAME.",
    ),
    (
        "mlflow_artifact_bucket_arn",
        '"mine"',
        "the ARN of a bucket without a path, such as arn:aws:s3:::my-artifacts.",
    ),
    (
        "project_prefix",
        '"Nixl"',
        "at most 24 lower-case letters, digits and hyphens, a letter first and no hyphen at the end.",
    ),
    ("owner", '"${x}"', f"text of up to 256 {TAG_CHARACTERS}."),
    ("tags", '"a=b"', "a table of tags, in a variable KEY=VALUE,KEY=VALUE or JSON."),
    (
        "backend",
        "5",
        '"local", or a table (JSON in a variable) with the type "local", "s3" or "cloud".',
    ),
    ("check", '"errors"', '"off", "warn" or "error". Did you mean "error"?'),
    ("min_hours", "-1", "a whole number of hours from 0 to 4368."),
]


@pytest.mark.parametrize(("setting", "value", "must_be"), REFUSED_VALUES)
def test_a_refused_value_is_named_with_its_source_and_what_is_allowed(
    load_texts: Load, setting: str, value: str, must_be: str
) -> None:
    file = f"{setting} = {value}\n" + ("" if setting == "instance_type" else P5)
    loaded = load_texts({"dev": file})
    assert lines(loaded) == [f"FAIL {setting} = {value} (environments/dev.toml: {setting}) must be {must_be}"]
    assert loaded.findings[0].check == setting
    assert loaded.environments == ()


def test_every_setting_refuses_something() -> None:
    assert {setting for setting, _, _ in REFUSED_VALUES} == set(SETTING_NAMES)


# The file of the environment dev, and all that is said about it.
FILES: list[tuple[str, list[str]]] = [
    (
        "",
        [
            "FAIL dev: instance_type is missing. Set it in the environment's file or as "
            "NIXL_EFA_DEV_INSTANCE_TYPE: an EC2 instance type, such as g7e.12xlarge."
        ],
    ),
    (
        P5 + "instanceTyp = 1\n",
        [
            "FAIL instanceTyp is not a setting (environments/dev.toml: instanceTyp). Did you mean instance_type?"
        ],
    ),
    (P5 + "xyz = 1\n", [f"FAIL xyz is not a setting (environments/dev.toml: xyz). {SETTINGS}"]),
    (
        P5 + 'service_ports = [0, 80, "81"]',
        [
            "FAIL service_ports[0] = 0 (environments/dev.toml: service_ports) must be a port from 1 to 65535.",
            'FAIL service_ports[2] = "81" (environments/dev.toml: service_ports) must be a port from 1 to '
            "65535.",
        ],
    ),
    (
        P5 + "service_ports = [80, 81, 80]",
        [
            "FAIL service_ports = [80, 81, 80] (environments/dev.toml: service_ports) names port 80 more than "
            "once."
        ],
    ),
    (
        P5 + 'nixl_version = "0.9.0"',
        [
            'FAIL nixl_version = "0.9.0" (environments/dev.toml: nixl_version) is too old: EFA needs NIXL 1.0.0 '
            "or later."
        ],
    ),
    (
        P5 + 'nixl_version = "1.0rc1"',
        [
            'FAIL nixl_version = "1.0rc1" (environments/dev.toml: nixl_version) is too old: EFA needs NIXL 1.0.0 '
            "or later."
        ],
    ),
    (
        P5 + 'tags = { Cost = 5, "aws:x" = "1", "a$" = "1" }',
        [
            "FAIL tags.Cost = 5 (environments/dev.toml: tags.Cost) must be a tag's value as text: up to 256 "
            f"{TAG_CHARACTERS}.",
            'FAIL tags has the key "aws:x" (environments/dev.toml: tags): it may not begin with "aws:", which '
            "AWS keeps to itself.",
            'FAIL tags has the key "a$" (environments/dev.toml: tags): it must be a tag\'s key: up to 128 '
            f"{TAG_CHARACTERS}.",
        ],
    ),
    (
        P5 + 'tags = { Team = "a", team = "b" }',
        [
            'FAIL tags = {"Team": "a", "team": "b"} (environments/dev.toml: tags) has the keys "Team" and '
            '"team", which IAM takes for one.'
        ],
    ),
    (
        P5 + "[tags]\n" + "".join(f"k{number} = ''\n" for number in range(41)),
        [
            'FAIL tags = {"k0": "", "k1": "", "k2": "", "k3": "", "k4": "", "k5": "", "k6": "", "k7": "", '
            '"k8": "", "k9": "",... (environments/dev.toml: tags) has 41 tags; at most 40 are allowed beside '
            "the stack's own."
        ],
    ),
    (
        P5 + 'backend = "s4"',
        [
            'FAIL backend.type = "s4" (environments/dev.toml: backend.type) must be one of "local", "s3", "cloud".'
        ],
    ),
    (
        P5 + '[backend]\ntype = "locla"',
        [
            'FAIL backend.type = "locla" (environments/dev.toml: backend.type) must be one of "local", "s3", '
            '"cloud". Did you mean "local"?'
        ],
    ),
    (
        P5 + '[backend]\nbucket = "states"',
        [
            'FAIL backend.type is missing (environments/dev.toml: backend). It must be one of "local", "s3", "cloud".'
        ],
    ),
    (
        P5 + 'backend = "s3"',
        [f"FAIL backend.bucket is missing (environments/dev.toml: backend.bucket). It must be {BUCKET}."],
    ),
    (
        P5
        + '[backend]\ntype = "s3"\nbucket = "My_Bucket"\nkey = "/x"\nbuckt = 1\nencrypt = "no"\nregion = "x"\n'
        'dynamodb_table = "t"\nuse_lockfile = 1',
        [
            f'FAIL backend.bucket = "My_Bucket" (environments/dev.toml: backend.bucket) must be {BUCKET}.',
            'FAIL backend.key = "/x" (environments/dev.toml: backend.key) must be an object\'s key, such as '
            "nixl-efa/prod.tfstate.",
            'FAIL backend.region = "x" (environments/dev.toml: backend.region) must be the name of an AWS '
            "region, such as us-east-2.",
            'FAIL backend.dynamodb_table = "t" (environments/dev.toml: backend.dynamodb_table) must be a '
            "DynamoDB table's name: 3 to 255 letters, digits, underscores, hyphens and dots.",
            "FAIL backend.use_lockfile = 1 (environments/dev.toml: backend.use_lockfile) must be true or false.",
            'FAIL backend.encrypt = "no" (environments/dev.toml: backend.encrypt) must be true or false.',
            "FAIL backend.buckt is not known (environments/dev.toml: backend.buckt). Did you mean bucket?",
        ],
    ),
    (
        P5 + '[backend]\ntype = "cloud"\nhostname = "https://x"\norganization = "a b"\nworkspace = "w w"\n'
        'project = " "\ntags = [1]',
        [
            'FAIL backend.hostname = "https://x" (environments/dev.toml: backend.hostname) must be a host\'s '
            "name, such as app.terraform.io.",
            'FAIL backend.organization = "a b" (environments/dev.toml: backend.organization) must be '
            f"{CLOUD_NAME}.",
            f'FAIL backend.workspace = "w w" (environments/dev.toml: backend.workspace) must be {CLOUD_NAME}.',
            'FAIL backend.project = " " (environments/dev.toml: backend.project) must be a project\'s name: at '
            "most 40 letters, digits, underscores, hyphens and spaces within.",
            f"FAIL backend.tags[0] = 1 (environments/dev.toml: backend.tags) must be {CLOUD_NAME}.",
        ],
    ),
    (
        P5 + '[backend]\ntype = "cloud"\norganization = "acme"',
        ["FAIL backend (environments/dev.toml: backend) needs a workspace or a project (or tags)."],
    ),
    (
        P5 + '[backend]\ntype = "cloud"\norganization = "acme"\nworkspace = "a"\ntags = ["b"]',
        ["FAIL backend (environments/dev.toml: backend) has both workspace and tags: give one of them."],
    ),
    (
        P5 + 'region = "us-east-9"',
        [
            'WARN dev: region = "us-east-9" (environments/dev.toml: region) is none of the regions known here. '
            "Did you mean us-east-2?"
        ],
    ),
    (
        P5 + 'availability_zone = "us-east-1a"',
        [
            'FAIL dev: availability_zone = "us-east-1a" (environments/dev.toml: availability_zone) is not a zone '
            'of region = "us-east-2" (default). A zone of that region is called us-east-2a, for example.'
        ],
    ),
    (
        P5 + "volume_size = 801\nvolume_iops = 80000",
        [],
    ),
    (
        G7E + "volume_iops = 80000\nvolume_size = 240",
        [],
    ),
]


@pytest.mark.parametrize(("file", "expected"), FILES)
def test_what_is_said_about_a_file(load_texts: Load, file: str, expected: list[str]) -> None:
    assert lines(load_texts({"dev": file})) == expected


BOTH = "exclude each other"
DEV = "environments/dev.toml"


def excluded(first: str, second: str, why: str, ways: str, where: str = DEV) -> str:
    """The message about two settings of the file that exclude each other, each as `name = value`."""
    names = [text.split(" =")[0] for text in (first, second)]
    return f"FAIL dev: {first} ({where}: {names[0]}) and {second} ({where}: {names[1]}) exclude each other{why} {ways}"


ONE_MARKET = ": an instance has one market type."
NO_GROUP = ": AWS takes no placement group for a Capacity Block; its instances are close together anyway."
NO_SPOT = ": Spot Instances can't run in a reservation."
NO_RESERVATION = (
    f"WARN dev: use_capacity_block = true ({DEV}: use_capacity_block) without a reservation: AWS refuses such a "
    "launch. Set capacity_reservation_id or capacity_reservation_parameter."
)

# Settings of the file dev.toml that do not go together, and all that is said about them.
TOGETHER: list[tuple[str, list[str]]] = [
    (
        P5 + RESERVED + 'capacity_reservation_parameter = "/a"',
        [
            excluded(
                'capacity_reservation_id = "cr-01234567"',
                'capacity_reservation_parameter = "/a"',
                ".",
                "Keep one of them.",
            )
        ],
    ),
    (
        P5 + 'ami_id = "ami-01234567"\nami_parameter = "/a"',
        [excluded('ami_id = "ami-01234567"', 'ami_parameter = "/a"', ".", "Keep one of them.")],
    ),
    (
        P5 + 'availability_zone = "us-east-2a"\navailability_zone_parameter = "/a"',
        [
            excluded(
                'availability_zone = "us-east-2a"',
                'availability_zone_parameter = "/a"',
                ".",
                "Keep one of them.",
            )
        ],
    ),
    (
        P5 + "spot = true\nuse_capacity_block = true",
        [
            excluded(
                "spot = true",
                "use_capacity_block = true",
                ONE_MARKET,
                "Change one of them, or set NIXL_EFA_DEV_SPOT=false or NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
            ),
            NO_RESERVATION,
        ],
    ),
    (
        P5 + RESERVED + "spot = true",
        [
            excluded(
                "spot = true",
                'capacity_reservation_id = "cr-01234567"',
                NO_SPOT,
                "Change one of them, or set NIXL_EFA_DEV_SPOT=false or "
                "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none.",
            )
        ],
    ),
    (
        P5 + 'capacity_reservation_parameter = "/a"\nspot = true',
        [
            excluded(
                "spot = true",
                'capacity_reservation_parameter = "/a"',
                NO_SPOT,
                "Change one of them, or set NIXL_EFA_DEV_SPOT=false or "
                "NIXL_EFA_DEV_CAPACITY_RESERVATION_PARAMETER=none.",
            )
        ],
    ),
    (
        P5 + RESERVED + 'use_capacity_block = true\nplacement_group = "on"',
        [
            excluded(
                'placement_group = "on"',
                "use_capacity_block = true",
                NO_GROUP,
                "Change one of them, or set NIXL_EFA_DEV_PLACEMENT_GROUP=auto or "
                "NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
            )
        ],
    ),
    (
        P5 + RESERVED + 'placement_group = "on"',
        [
            f'WARN dev: placement_group = "on" ({DEV}: placement_group) and capacity_reservation_id = '
            f'"cr-01234567" ({DEV}: capacity_reservation_id): the launch succeeds only if the reservation was '
            "created in the stack's own placement group. With any other reservation set placement_group to "
            '"auto" or "off".'
        ],
    ),
    (P5 + RESERVED + 'use_capacity_block = true\nplacement_group = "off"', []),
    (P5 + "use_capacity_block = true", [NO_RESERVATION]),
    (P5 + RESERVED + "use_capacity_block = true", []),
    (P5 + RESERVED, []),
    (P5 + 'spot = true\nplacement_group = "on"', []),
    (
        G7E + RESERVED + "use_capacity_block = true",
        [
            excluded(
                "use_capacity_block = true",
                'instance_type = "g7e.12xlarge"',
                ": g7e.12xlarge can't be had as a Capacity Block.",
                BLOCK_TYPES,
            )
        ],
    ),
    (
        'instance_type = "vt1.24xlarge"\nplacement_group = "on"',
        [
            f'FAIL dev: placement_group = "on" ({DEV}: placement_group) does not go with instance_type = '
            f'"vt1.24xlarge" ({DEV}: instance_type), a type that can\'t be in a cluster placement group. Set '
            'placement_group to "auto" or "off".',
        ],
    ),
    (
        P5 + 'project_prefix = "sg"',
        [
            f'FAIL dev: project_prefix = "sg" ({DEV}: project_prefix) begins with sg-, which AWS does not allow '
            "for the names made of it."
        ],
    ),
    (
        P5 + 'project_prefix = "sthree-x"',
        [
            f'FAIL dev: project_prefix = "sthree-x" ({DEV}: project_prefix) begins with sthree-, which AWS does '
            "not allow for the names made of it."
        ],
    ),
    (
        P5 + "volume_throughput = 1000",
        [
            f"FAIL dev: volume_throughput = 1000 ({DEV}: volume_throughput) is too much for volume_iops = 3000 "
            "(default): gp3 allows a quarter of it. Set volume_throughput to 750 or less, or volume_iops to 4000 "
            "or more."
        ],
    ),
    (P5 + "volume_throughput = 1000\nvolume_iops = 4000", []),
    (
        G7E + "volume_size = 240\nvolume_iops = 120500",
        [
            f"FAIL volume_iops = 120500 ({DEV}: volume_iops) must be a whole number of I/O operations a second "
            "from 3000 to 80000."
        ],
    ),
    (
        'instance_type = "g7e.8xlarge"\nvolume_size = 241\nvolume_iops = 80000',
        [],
    ),
]


@pytest.mark.parametrize(("file", "expected"), TOGETHER)
def test_what_is_said_about_settings_that_meet(load_texts: Load, file: str, expected: list[str]) -> None:
    assert lines(load_texts({"dev": file})) == expected


# A type and a size, on which the facts about instance types have the say.
SAID_BY_FACTS: list[tuple[str, str, list[Finding]]] = [
    (G7E, "instance_type", []),
    ('instance_type = "g7e.2xlarge"', "instance_type", instance_types.validate("g7e.2xlarge")),
    ('instance_type = "p5.49xlarge"', "instance_type", instance_types.validate("p5.49xlarge")),
    ('instance_type = "p5"', "instance_type", instance_types.validate("p5")),
    (G7E + "volume_size = 240", "volume_size", []),
    (G7E + "volume_size = 239", "volume_size", instance_types.validate_volume("g7e.12xlarge", 239)),
]


@pytest.mark.parametrize(("file", "setting", "findings"), SAID_BY_FACTS)
def test_what_the_facts_about_types_say_comes_with_environment_and_source(
    load_texts: Load, file: str, setting: str, findings: list[Finding]
) -> None:
    assert list(load_texts({"dev": file}).findings) == [
        replace(one, message=f"{one.message} (dev: {DEV}: {setting})") for one in findings
    ]


def test_a_type_without_efa_is_warned_about_and_goes_on(load_texts: Load) -> None:
    loaded = load_texts({"dev": 'instance_type = "g7e.2xlarge"'})
    assert loaded.findings[0].message.startswith("Instance type g7e.2xlarge may not support EFA")
    assert [one.volume_gib for one in loaded.environments] == [200]


# Variables and context above a file of the environment dev, and all that is said.
ABOVE: list[tuple[str, dict[str, str], dict[str, object], list[str]]] = [
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_SPOT": "yes", "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID": "none"},
        {},
        [
            f"FAIL dev: spot = true (variable NIXL_EFA_SPOT) and use_capacity_block = true ({DEV}: "
            "use_capacity_block) exclude each other: an instance has one market type. Change one of them, or set "
            "NIXL_EFA_DEV_SPOT=false or NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
            NO_RESERVATION,
        ],
    ),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false"},
        {},
        [
            f'WARN dev: capacity_reservation_id = "cr-01234567" ({DEV}: capacity_reservation_id) stays the '
            "launch's target though use_capacity_block = false (variable NIXL_EFA_DEV_USE_CAPACITY_BLOCK) "
            f"overrides use_capacity_block = true ({DEV}: use_capacity_block); AWS refuses the launch if that "
            "reservation is a Capacity Block. To launch without it set "
            "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none."
        ],
    ),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false", "NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-76543210"},
        {"useCapacityBlock": True},
        [
            'WARN dev: capacity_reservation_id = "cr-76543210" (variable NIXL_EFA_CAPACITY_RESERVATION_ID) stays '
            "the launch's target though use_capacity_block = false (variable NIXL_EFA_DEV_USE_CAPACITY_BLOCK) "
            "overrides use_capacity_block = true (cdktf context: useCapacityBlock); AWS refuses the launch if "
            "that reservation is a Capacity Block. To launch without it set "
            "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none."
        ],
    ),
    (
        P5 + RESERVED,
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false"},
        {},
        [],
    ),
    (
        P5 + RESERVED + "use_capacity_block = true",
        {"NIXL_EFA_DEV_USE_CAPACITY_BLOCK": "false", "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID": "cr-76543210"},
        {},
        [],
    ),
    (
        P5 + RESERVED + 'availability_zone_parameter = "/z"',
        {"NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "/b"},
        {},
        [
            f'WARN dev: availability_zone_parameter = "/z" ({DEV}: availability_zone_parameter) is passed over: '
            "it belongs to another reservation than that of variable NIXL_EFA_CAPACITY_RESERVATION_PARAMETER. "
            "Set availability_zone to that reservation's zone."
        ],
    ),
    (
        P5 + RESERVED + 'availability_zone_parameter = "/z"',
        {},
        {"capacityReservationId": None},
        [
            f'WARN dev: availability_zone_parameter = "/z" ({DEV}: availability_zone_parameter) is passed over: '
            "its reservation is taken back by cdktf context: capacityReservationId. Set availability_zone if the "
            "zone matters."
        ],
    ),
    (
        P5,
        {"NIXL_EFA_CAPACITY_RESERVATION_ID": "cr-01234567", "NIXL_EFA_CAPACITY_RESERVATION_PARAMETER": "/a"},
        {},
        [
            'FAIL dev: capacity_reservation_id = "cr-01234567" (variable NIXL_EFA_CAPACITY_RESERVATION_ID) and '
            'capacity_reservation_parameter = "/a" (variable NIXL_EFA_CAPACITY_RESERVATION_PARAMETER) exclude '
            "each other. Keep one of them."
        ],
    ),
    (
        P5,
        {
            "NIXL_EFA_BACKEND": '{"type": "s3"',
            "NIXL_EFA_SERVICE_PORTS": "80,x",
            "NIXL_EFA_SPOT": "maybe",
            "NIXL_EFA_DEV_TAGS": "a",
            "NIXL_EFA_VOLUME_SIZE": "9" * 30,
        },
        {},
        [
            f'FAIL volume_size = "{"9" * 30}" (variable NIXL_EFA_VOLUME_SIZE) must be a whole number of GiB from 8 '
            "to 65536.",
            'FAIL spot = "maybe" (variable NIXL_EFA_SPOT) must be true or false.',
            'FAIL service_ports[1] = "x" (variable NIXL_EFA_SERVICE_PORTS) must be a port from 1 to 65535.',
            'FAIL tags = "a" (variable NIXL_EFA_DEV_TAGS) must be a table of tags, in a variable '
            "KEY=VALUE,KEY=VALUE or JSON.",
            'FAIL backend = "{\\"type\\": \\"s3\\"" (variable NIXL_EFA_BACKEND) must be "local", or a table (JSON '
            'in a variable) with the type "local", "s3" or "cloud".',
        ],
    ),
    (
        P5,
        {"NIXL_EFA_BACKEND": '{"type": "s3", "bucket": "B"}'},
        {},
        [f'FAIL backend.bucket = "B" (variable NIXL_EFA_BACKEND) must be {BUCKET}.'],
    ),
    (
        P5,
        {
            "NIXL_EFA_DEV_REGON": "x",
            "NIXL_EFA_ENVIRONMENT": "dev",
            "NIXL_EFA_INSTANCE_TYP": "x",
            "NIXL_EFA_QQ": "1",
            "nixl_efa_spot": "1",
            "NIXL_EFA_UNUSED": "",
            "NIXL_EFA": "1",
        },
        {},
        [
            'FAIL The variable NIXL_EFA_ENVIRONMENT = "dev" names no setting. Did you mean NIXL_EFA_ENVIRONMENTS?',
            'FAIL The variable NIXL_EFA_INSTANCE_TYP = "x" names no setting. Did you mean NIXL_EFA_INSTANCE_TYPE?',
            'FAIL The variable NIXL_EFA_QQ = "1" names no setting. docs/settings.md lists the settings.',
            'FAIL The variable nixl_efa_spot = "1" names no setting. Did you mean NIXL_EFA_SPOT?',
            'FAIL The variable NIXL_EFA_DEV_REGON = "x" names no setting. Did you mean NIXL_EFA_DEV_REGION?',
        ],
    ),
    (
        P5,
        {"NIXL_EFA_ENVIRONMENTS": "dve,nothing"},
        {},
        [
            'FAIL There is no environment "dve" (variable NIXL_EFA_ENVIRONMENTS). Did you mean dev?',
            'FAIL There is no environment "nothing" (variable NIXL_EFA_ENVIRONMENTS). There are: dev.',
        ],
    ),
    (P5, {}, {"dev": 5}, ["FAIL dev = 5 (cdktf context: dev) must be an object of settings."]),
    (
        P5,
        {},
        {"dev": {"instanceTyp": 1, "vllmPort": "x", "service_ports": [80]}},
        [
            "FAIL instanceTyp is not a setting (cdktf context: dev.instanceTyp). Did you mean instance_type?",
            "FAIL service_ports is given twice (cdktf context: dev.vllmPort and dev.service_ports). Keep one of "
            "them.",
            'FAIL service_ports[0] = "x" (cdktf context: dev.vllmPort) must be a port from 1 to 65535.',
        ],
    ),
    (
        P5,
        {},
        {"instanceTyp": 1, "Dev": {}, "excludeStackIdFromLogicalIds": "true", "version": 1, "region": None},
        [
            "WARN instanceTyp is no setting and no environment (cdktf context: instanceTyp); it is passed over. "
            "Did you mean instanceType?",
            "WARN Dev is no setting and no environment (cdktf context: Dev); it is passed over. Did you mean dev?",
            "FAIL region = null (cdktf context: region) must be the name of an AWS region, such as us-east-2.",
        ],
    ),
]


@pytest.mark.parametrize(("file", "environ", "context", "expected"), ABOVE)
def test_what_is_said_about_variables_and_context(
    load_texts: Load,
    file: str,
    environ: dict[str, str],
    context: dict[str, object],
    expected: list[str],
) -> None:
    assert lines(load_texts({"dev": file}, environ, context)) == expected


# What the directory of environments holds, by file name, and all that is said.
DIRECTORIES: list[tuple[dict[str, bytes], list[str]]] = [
    ({}, ["FAIL There is no environment: {path} holds no .toml file. Add a file such as dev.toml."]),
    (
        {"dev.yaml": b""},
        ["FAIL There is no environment: {path} holds no .toml file. Add a file such as dev.toml."],
    ),
    (
        {"dev.toml": b'region = "us-east-2"\ninstance_type = p5\n'},
        ["FAIL environments/dev.toml, line 2, column 17: not valid TOML: Invalid value."],
    ),
    (
        {"dev.toml": b'region = "us-east-2"\nregion = "us-east-1"'},
        ["FAIL environments/dev.toml, line 2, the end: not valid TOML: Cannot overwrite a value."],
    ),
    (
        {"dev.toml": b"a = 1\nb = '\xff'\n"},
        ["FAIL environments/dev.toml, line 2: not UTF-8. Save the file as UTF-8."],
    ),
    (
        {"dev.toml": b"a = " + b"[" * 9999},
        ["FAIL environments/dev.toml: not valid TOML: it is nested too deeply."],
    ),
    (
        {"dev.toml": b"a = " + b"9" * 9999},
        ["FAIL environments/dev.toml: not valid TOML: a number has thousands of digits."],
    ),
    ({"dev.toml": b"\xef\xbb\xbf" + P5.encode()}, []),
    (
        {"Prod.toml": P5.encode()},
        [
            'FAIL "Prod" can\'t be the name of an environment (environments/Prod.toml): it must be at most 24 '
            "lower-case letters, digits and single hyphens, a letter first. Rename the file."
        ],
    ),
    (
        {"spot.toml": P5.encode(), "keyName.toml": P5.encode()},
        [
            'FAIL "keyName" can\'t be the name of an environment (environments/keyName.toml): it must be at most '
            "24 lower-case letters, digits and single hyphens, a letter first. Rename the file.",
            'FAIL "spot" can\'t be the name of an environment (environments/spot.toml): it is the name of a '
            "setting. Rename the file.",
        ],
    ),
    (
        {"a-name-of-24-characters-x.toml": P5.encode()},
        [
            'FAIL "a-name-of-24-characters-x" can\'t be the name of an environment '
            "(environments/a-name-of-24-characters-x.toml): it must be at most 24 lower-case letters, digits and "
            "single hyphens, a letter first. Rename the file."
        ],
    ),
    (
        {"a-name-of-24-characters.toml": P5.encode() + b'project_prefix = "thirteen-char"'},
        [
            'FAIL a-name-of-24-characters: project_prefix = "thirteen-char" '
            "(environments/a-name-of-24-characters.toml: project_prefix) must be at most 12 characters beside the "
            "environment's name \"a-name-of-24-characters\", for a bucket's name holds both."
        ],
    ),
]


@pytest.mark.parametrize(("files", "expected"), DIRECTORIES)
def test_what_is_said_about_a_directory(
    tmp_path: Path, files: Mapping[str, bytes], expected: list[str]
) -> None:
    directory = tmp_path / "environments"
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)
    assert lines(load(directory, {}, {})) == [line.format(path=directory) for line in expected]


def test_a_missing_directory_and_an_unreadable_file_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "nowhere"
    assert lines(load(missing, {}, {})) == [
        f"FAIL The directory of the environments' files can't be read: {missing} (No such file or directory). Each "
        "environment is a file NAME.toml in it."
    ]
    (tmp_path / "dev.toml").mkdir()
    assert lines(load(tmp_path, {}, {})) == [f"FAIL {tmp_path.name}/dev.toml can't be read: Is a directory."]


def test_two_environments_may_not_share_a_state(load_texts: Load) -> None:
    s3 = P5 + '[backend]\ntype = "s3"\nbucket = "states"\nkey = "one"'
    cloud = P5 + '[backend]\ntype = "cloud"\norganization = "acme"\nworkspace = "one"'
    loaded = load_texts({"a": s3, "b": cloud, "c": s3, "d": cloud})
    assert lines(loaded) == [
        "FAIL c: the Terraform state would lie in one place with that of a: s3 states one (environments/c.toml: "
        "backend and environments/a.toml: backend). Each would destroy what the other made. Give each environment a "
        "backend.key of its own.",
        "FAIL d: the Terraform state would lie in one place with that of b: cloud app.terraform.io acme one "
        "(environments/d.toml: backend and environments/b.toml: backend). Each would destroy what the other made. "
        "Give each environment a backend.workspace of its own.",
    ]
    assert [one.name for one in loaded.environments] == ["a", "b"]


def test_all_faults_of_all_environments_come_at_once_and_a_shared_one_once(load_texts: Load) -> None:
    files = {
        "prod": P5 + "spot = 1\nregion = 2\n" + 'placement_group = "on"\nuse_capacity_block = true',
        "dev": "",
    }
    loaded = load_texts(files, {"NIXL_EFA_VOLUME_SIZE": "big", "NIXL_EFA_REGOIN": "x"})
    assert [one.check for one in loaded.findings if one.level is Level.FAIL] == [
        "NIXL_EFA_REGOIN",
        "instance_type",
        "volume_size",
        "region",
        "spot",
        "placement_group",
    ]
    assert loaded.environments == ()
    assert [one.check for one in loaded.by_environment["dev"]] == ["instance_type", "volume_size"]
    assert [one.check for one in loaded.general] == ["NIXL_EFA_REGOIN"]


def test_environments_without_a_fault_are_there_beside_those_with_one(load_texts: Load) -> None:
    loaded = load_texts({"dev": P5, "prod": P5 + "spot = 1", "staging": 'instance_type = "g7e.2xlarge"'})
    assert [one.name for one in loaded.environments] == ["dev", "staging"]


def test_a_message_stays_on_one_line_and_short(load_texts: Load) -> None:
    environ: dict[str, Any] = {"NIXL_EFA_OWNER": "a\nb\x1b[31m" + "x" * 5000}
    (message,) = lines(load_texts({"dev": P5}, environ))
    assert message.isprintable()
    assert len(message) < 300
