"""What is said about settings that meet, within an environment and between two, word for word."""

import json
from dataclasses import replace

import pytest

from nixl_efa import instance_types
from nixl_efa.findings import Finding
from tests.settings.conftest import DEV, G7E, NO_RESERVATION, P5, RESERVED, Load, Said

KEY = "arn:aws:kms:us-west-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"
ONE_MARKET = ": an instance has one market type."
NO_GROUP = ": AWS takes no placement group for a Capacity Block; its instances are close together anyway."
NO_SPOT = ": Spot Instances can't run in a reservation."
BLOCK_TYPES = (
    "Types with Capacity Blocks: p4d.24xlarge, p4de.24xlarge, p5.4xlarge, p5.48xlarge, p5e.48xlarge, "
    "p5en.48xlarge, p6-b200.48xlarge, p6-b300.48xlarge, trn1.32xlarge, trn2.3xlarge, trn2.48xlarge, "
    "trn2u.48xlarge."
)


def excluded(first: str, second: str, why: str, ways: str, where: str = DEV) -> str:
    """The message about two settings of the file that exclude each other, each as `name = value`."""
    names = [text.split(" =")[0] for text in (first, second)]
    return f"FAIL dev: {first} ({where}: {names[0]}) and {second} ({where}: {names[1]}) exclude each other{why} {ways}"


# Settings of the file dev.toml, then all that is said about them, if anything.
TOGETHER: list[tuple[str, ...]] = [
    (
        'instance_type = "vt1.24xlarge"',
        f"WARN No deep-learning image holds the driver for the xilinx accelerators of vt1.24xlarge; NVIDIA's is "
        f"used for its EFA installer. (dev: {DEV}: instance_type) Set ami_id or ami_parameter to an image with "
        "the driver.",
    ),
    (G7E + "producers = 1\nconsumers = 63",),
    (
        G7E + "producers = 2\nconsumers = 63",
        f"FAIL dev: producers = 2 ({DEV}: producers) and consumers = 63 ({DEV}: consumers) make 65 nodes: an "
        "environment has at most 64. Make a second environment, or use an engine for clusters (docs/scale.md).",
    ),
    (
        P5 + RESERVED + 'capacity_reservation_parameter = "/a"',
        excluded(
            'capacity_reservation_id = "cr-01234567"',
            'capacity_reservation_parameter = "/a"',
            ".",
            "Keep one of them.",
        ),
    ),
    (
        P5 + 'ami_id = "ami-01234567"\nami_parameter = "/a"',
        excluded('ami_id = "ami-01234567"', 'ami_parameter = "/a"', ".", "Keep one of them."),
    ),
    (
        P5 + 'availability_zone = "us-east-2a"\navailability_zone_parameter = "/a"',
        excluded(
            'availability_zone = "us-east-2a"', 'availability_zone_parameter = "/a"', ".", "Keep one of them."
        ),
    ),
    (
        P5 + "spot = true\nuse_capacity_block = true",
        excluded(
            "spot = true",
            "use_capacity_block = true",
            ONE_MARKET,
            "Change one of them, or set NIXL_EFA_DEV_SPOT=false or NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
        ),
        NO_RESERVATION,
    ),
    (
        P5 + RESERVED + "spot = true",
        excluded(
            "spot = true",
            'capacity_reservation_id = "cr-01234567"',
            NO_SPOT,
            "Change one of them, or set NIXL_EFA_DEV_SPOT=false or "
            "NIXL_EFA_DEV_CAPACITY_RESERVATION_ID=none.",
        ),
    ),
    (
        P5 + 'capacity_reservation_parameter = "/a"\nspot = true',
        excluded(
            "spot = true",
            'capacity_reservation_parameter = "/a"',
            NO_SPOT,
            "Change one of them, or set NIXL_EFA_DEV_SPOT=false or "
            "NIXL_EFA_DEV_CAPACITY_RESERVATION_PARAMETER=none.",
        ),
    ),
    (
        P5 + RESERVED + 'use_capacity_block = true\nplacement_group = "on"',
        excluded(
            'placement_group = "on"',
            "use_capacity_block = true",
            NO_GROUP,
            "Change one of them, or set NIXL_EFA_DEV_PLACEMENT_GROUP=auto or "
            "NIXL_EFA_DEV_USE_CAPACITY_BLOCK=false.",
        ),
    ),
    (
        P5 + RESERVED + 'placement_group = "on"',
        f'WARN dev: placement_group = "on" ({DEV}: placement_group) and capacity_reservation_id = '
        f'"cr-01234567" ({DEV}: capacity_reservation_id): the launch succeeds only if the reservation was '
        "created in the stack's own placement group. With any other reservation set placement_group to "
        '"auto" or "off".',
    ),
    (P5 + RESERVED + 'use_capacity_block = true\nplacement_group = "off"',),
    (P5 + "use_capacity_block = true", NO_RESERVATION),
    (P5 + RESERVED + "use_capacity_block = true",),
    (P5 + RESERVED,),
    (
        P5 + f'kms_key_id = "{KEY}"',
        f'FAIL dev: kms_key_id = "{KEY}" ({DEV}: kms_key_id) is no key of region = "us-east-2" (default). '
        "A volume is encrypted with a key of its own region.",
    ),
    (
        P5 + 'instance_profile = "mine"\npermissions_boundary = "arn:aws:iam::123456789012:policy/b"',
        f'FAIL dev: permissions_boundary = "arn:aws:iam::123456789012:policy/b" ({DEV}: permissions_boundary) '
        f'applies to the role that the stack creates, and with instance_profile = "mine" ({DEV}: '
        "instance_profile) it creates none. Leave one of them out; what permissions_boundary stands "
        "for belongs to the profile's role.",
    ),
    (P5 + 'instance_profile = "mine"',),
    (P5 + 'spot = true\nplacement_group = "on"',),
    (
        G7E + RESERVED + "use_capacity_block = true",
        excluded(
            "use_capacity_block = true",
            'instance_type = "g7e.12xlarge"',
            ": g7e.12xlarge is not sold as a Capacity Block.",
            BLOCK_TYPES,
        ),
    ),
    (
        'instance_type = "vt1.24xlarge"\nami_id = "ami-01234567"\nplacement_group = "on"',
        f'FAIL dev: placement_group = "on" ({DEV}: placement_group) does not go with instance_type = '
        f'"vt1.24xlarge" ({DEV}: instance_type), a type that can\'t be in a cluster placement group. Set '
        'placement_group to "auto" or "off".',
    ),
    (
        P5 + 'project_prefix = "sg"',
        f'FAIL dev: project_prefix = "sg" ({DEV}: project_prefix) begins with sg-, which AWS does not allow for '
        "the names made from it.",
    ),
    (
        P5 + 'project_prefix = "sthree-x"',
        f'FAIL dev: project_prefix = "sthree-x" ({DEV}: project_prefix) begins with sthree-, which AWS does not '
        "allow for the names made from it.",
    ),
    (
        P5 + "volume_throughput = 1000",
        f"FAIL dev: volume_throughput = 1000 ({DEV}: volume_throughput) is too much for volume_iops = 3000 "
        "(default): gp3 allows a quarter of it. Set volume_throughput to 750 or less, or volume_iops to 4000 "
        "or more.",
    ),
    (P5 + "volume_throughput = 1000\nvolume_iops = 4000",),
    ('instance_type = "g5.12xlarge"\nvolume_size = 160\nvolume_iops = 80000',),
]


@pytest.mark.parametrize(("file", "expected"), [(file, told) for file, *told in TOGETHER])
def test_what_is_said_about_settings_that_meet(said: Said, file: str, expected: list[str]) -> None:
    assert said({"dev": file}) == expected


def test_a_block_of_a_part_of_an_ultra_server_is_none(said: Said) -> None:
    assert said({"dev": f'instance_type = "p6e-gb200.36xlarge"\n{RESERVED}use_capacity_block = true'}) == []


@pytest.mark.parametrize(
    ("blocks", "public"),
    [
        (["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"], []),
        (["10.1.0.0/16", "203.0.113.7/32"], ["203.0.113.7/32"]),
        (["0.0.0.0/0"], ["0.0.0.0/0"]),
        (["10.0.0.0/7"], ["10.0.0.0/7"]),
    ],
)
def test_service_ports_that_the_internet_may_reach_are_warned_about(
    said: Said, blocks: list[str], public: list[str]
) -> None:
    found = said({"dev": G7E + f"service_cidrs = {json.dumps(blocks)}"})
    named = [line.split("internet: ")[1].split(". A model")[0] for line in found]
    assert named == ([", ".join(public)] if public else [])
    assert all(line.startswith("WARN dev: service_cidrs = ") for line in found)


def test_more_iops_than_the_volume_allows_are_a_fault(said: Said) -> None:
    file = 'instance_type = "g5.12xlarge"\nvolume_size = 159\nvolume_iops = 80000'
    assert said({"dev": file})[-1] == (
        f"FAIL dev: volume_iops = 80000 ({DEV}: volume_iops) is too much for a volume of 159 GiB: gp3 allows 500 a "
        "GiB. Set volume_iops to 79500 or less, or volume_size to 160 or more."
    )


def test_a_type_that_is_not_known_gets_no_image_of_a_guessed_architecture(said: Said) -> None:
    _, refused = said({"dev": 'instance_type = "c99gn.16xlarge"'})
    assert refused == (
        f'FAIL dev: instance_type = "c99gn.16xlarge" ({DEV}: instance_type) is not in this data (of '
        f"{instance_types.data_source().date}), so whether its image must be for x86_64 or arm64 is not known. Run "
        "`nixl-efa instance-types refresh`, or set ami_id or ami_parameter."
    )


def test_a_block_with_a_type_whose_network_cards_are_not_known_is_refused(said: Said) -> None:
    file = 'instance_type = "p99-x.36xlarge"\nami_id = "ami-01234567"\nuse_capacity_block = true\n' + RESERVED
    told = said({"dev": file})
    assert [line.partition(" ")[0] for line in told] == ["WARN", "FAIL"]
    assert told[1] == (
        f'FAIL dev: use_capacity_block = true ({DEV}: use_capacity_block) and instance_type = "p99-x.36xlarge" ({DEV}: '
        f"instance_type): p99-x.36xlarge is not in this data (of {instance_types.data_source().date}), so which EFA "
        "interfaces its network cards take is not known. Run `nixl-efa instance-types refresh`, which reads the type "
        f"from EC2. {BLOCK_TYPES}"
    )


# A type and a size, on which the facts about instance types have the say.
SAID_BY_FACTS: list[tuple[str, str, list[Finding]]] = [
    (G7E, "instance_type", []),
    ('instance_type = "g7e.2xlarge"', "instance_type", instance_types.validate("g7e.2xlarge")),
    (
        'instance_type = "p5.49xlarge"\nami_parameter = "/team/image"',
        "instance_type",
        instance_types.validate("p5.49xlarge"),
    ),
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


@pytest.mark.parametrize(
    ("key", "own"),
    [
        ("project", "Project"),
        ("ENVIRONMENT", "Environment"),
        ("managedby", "ManagedBy"),
        ("owner", "Owner"),
        ("name", "Name"),
        ("role", "Role"),
    ],
)
def test_a_tag_may_not_differ_in_case_alone_from_one_of_the_stack(said: Said, key: str, own: str) -> None:
    owner = 'owner = "ann"\n'
    assert said({"dev": f'{P5}{owner}tags = {{ {key} = "kv" }}'}) == [
        f"FAIL dev: the tags {key} and {own} differ only in case ({DEV}: tags). IAM treats such keys as the same and "
        f"refuses to create the nodes' role. Rename {key}: the stack itself sets {own}."
    ]
    assert said({"dev": f'{P5}{owner}tags = {{ {own} = "kv" }}'}) == []


def test_the_tag_owner_is_free_where_the_setting_makes_none(said: Said) -> None:
    assert said({"dev": f'{P5}tags = {{ owner = "kv" }}'}) == []
