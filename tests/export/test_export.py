"""`nixl-efa export`: what it writes is read by the engine itself; on the local AWS, which ParallelCluster asks, too."""

from typing import Any
from unittest.mock import Mock

import boto3
import pytest
import yaml

from local_aws import LocalAws
from nixl_efa.checks.facts import Subnet
from nixl_efa.export.engines import HEAD_NODES, Engine, Found, documents
from nixl_efa.launch import launch_of
from tests.checks.local_project import REGION, Project
from tests.export.conftest import Reads
from tests.policies import denied, under, used
from tests.synthesis import settings_of

SUBNET = Subnet("subnet-0123456789abcdef0", "vpc-0123456789abcdef0", "us-east-2a", 100)


def private(zone: str) -> str:
    """A subnet of the zone whose instances get no public address."""
    ec2 = boto3.client("ec2", REGION)
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    return ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.0.0/20", AvailabilityZone=zone)["Subnet"]["SubnetId"]


@pytest.fixture
def block(project: Project) -> dict[str, Any]:
    """An environment prod of two p5.48xlarge in a block, in a private subnet; its settings."""
    bought = project.buy_block()
    values = {**bought, "subnet_id": private(bought["availability_zone"])}
    project.environment("prod", **values)
    return values


def test_parallelcluster_takes_a_block_as_a_queue_of_static_nodes(
    block: dict[str, Any], project: Project, reads: Reads
) -> None:
    ran = project.run("export", "prod", "--to", "pcluster", "--output", "cluster.yaml")
    assert (ran.code, ran.out) == (0, "")
    assert ran.err == "cluster.yaml is written. The comments at its head say what it can't hold.\n"
    found = reads("pcluster", project.folder / "cluster.yaml")
    assert found == {
        "read": [
            {
                "queue": "nodes",
                "market": "CAPACITY_BLOCK",
                "type": "p5.48xlarge",
                "count": [2, 2],
                "efa": True,
                "reservation": block["capacity_reservation_id"],
                "subnets": [block["subnet_id"]],
                "volume": 1000,
            }
        ],
        "failures": [],
    }


def test_dstack_takes_a_block_as_a_fleet_of_its_zone(
    block: dict[str, Any], project: Project, reads: Reads
) -> None:
    ran = project.run("export", "prod", "--to", "dstack")
    assert (ran.code, ran.err) == (0, "")
    file = project.folder / "fleet.dstack.yml"
    file.write_text(ran.out, encoding="utf-8")
    [fleet] = reads("dstack", file)["read"]
    assert fleet == {
        "type": "fleet",
        "name": "prod-nodes",
        "nodes": {"min": 2, "max": 2},
        "placement": "cluster",
        "backends": ["aws"],
        "regions": [REGION],
        "availability_zones": [block["availability_zone"]],
        "instance_types": ["p5.48xlarge"],
        "spot_policy": "on-demand",
        "resources": fleet["resources"],
        "reservation": block["capacity_reservation_id"],
    }
    assert fleet["resources"]["disk"] == {"size": {"min": 1000.0, "max": 1000.0}}


def test_a_subnet_that_parallelcluster_refuses_is_told_at_the_head(project: Project, reads: Reads) -> None:
    project.environment("prod", **project.buy_block())
    project.run("export", "prod", "--to", "pcluster", "--output", "cluster.yaml")
    [refused] = reads("pcluster", project.folder / "cluster.yaml")["failures"]
    assert "auto-assign public IPs" in refused
    text = (project.folder / "cluster.yaml").read_text(encoding="utf-8")
    assert "# Queue nodes: ParallelCluster refuses subnet-" in text


def test_the_id_is_read_where_the_environment_keeps_it(block: dict[str, Any], project: Project) -> None:
    for name, value in (("id", block["capacity_reservation_id"]), ("zone", block["availability_zone"])):
        boto3.client("ssm", REGION).put_parameter(Name=f"/mine/{name}", Value=value, Type="String")
    project.environment(
        "prod",
        use_capacity_block=True,
        capacity_reservation_parameter="/mine/id",
        availability_zone_parameter="/mine/zone",
    )
    fleet = yaml.safe_load(project.run("export", "prod", "--to", "dstack").out)
    assert fleet["reservation"] == block["capacity_reservation_id"]
    assert fleet["availability_zones"] == [block["availability_zone"]]


def test_the_comments_say_when_the_block_begins_and_ends(
    block: dict[str, Any], aws: LocalAws, project: Project
) -> None:
    name = block["capacity_reservation_id"]
    before = project.run("export", "prod", "--to", "dstack").out
    assert f"# {name} starts at " in before
    assert f"# {name}: EC2 terminates its nodes from " in before
    [found] = boto3.client("ec2", REGION).describe_capacity_reservations(CapacityReservationIds=[name])[
        "CapacityReservations"
    ]
    aws.clock.set(found["StartDate"])
    boto3.client("ec2", REGION).describe_capacity_reservations()
    active = project.run("export", "prod", "--to", "dstack").out
    assert active == "".join(one for one in before.splitlines(keepends=True) if f"{name} starts" not in one)


def test_it_needs_what_check_needs(project: Project, aws: LocalAws) -> None:
    project.environment("prod", **project.buy_block())
    under(aws, project.run("policy", "check", "--env", "prod").out)
    ran = project.run("export", "prod", "--to", "dstack")
    assert (ran.code, denied(aws)) == (0, []), ran.err
    assert len(used(aws)) == 2
    aws.allow_only(None)


def test_a_folder_gets_a_file_that_is_whole_or_as_it_was(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.environment("prod", **project.buy_block())
    project.run("export", "prod", "--to", "dstack", "--output", ".")
    file = project.folder / "nixl-efa-prod-nodes.dstack.yml"
    before = file.read_text(encoding="utf-8")
    assert yaml.safe_load(before)["type"] == "fleet"
    monkeypatch.setattr("os.fsync", Mock(side_effect=OSError(28, "No space left on device")))
    file.write_text("mine", encoding="utf-8")
    ran = project.run("export", "prod", "--to", "dstack", "--output", file.name)
    assert (ran.code, file.read_text(encoding="utf-8")) == (1, "mine")
    assert "No space left on device" in ran.err


def test_a_link_and_a_device_stay_what_they_are(project: Project) -> None:
    project.environment("prod", **project.buy_block())
    for to in ("/dev/null", "fleet.yml"):
        link = project.folder / "link"
        link.unlink(missing_ok=True)
        link.symlink_to(to)
        ran = project.run("export", "prod", "--to", "dstack", "--output", "link")
        assert (ran.code, str(link.readlink())) == (0, to), ran.err
    assert yaml.safe_load((project.folder / "fleet.yml").read_text(encoding="utf-8"))["type"] == "fleet"


MISSING = "cr-0123456789abcdef0"
GROUP = "sg-0123456789abcdef0"


@pytest.mark.parametrize(
    ("options", "settings", "code", "words"),
    [
        (("--to", "eks"), {}, 2, "'eks' is not one of 'pcluster', 'dstack'."),
        (("--to", "dstack"), {}, 1, "prod names no reservation"),
        (
            ("--to", "dstack"),
            {"use_capacity_block": True, "capacity_reservation_parameter": "/nobody/wrote"},
            1,
            "prod: The parameter /nobody/wrote (capacity_reservation_parameter) does not exist in us-east-2.",
        ),
        (
            ("--to", "pcluster"),
            {"use_capacity_block": True, "capacity_reservation_id": MISSING},
            1,
            f"there is no reservation {MISSING} in us-east-2, which prod names.",
        ),
        (
            ("--to", "dstack", "--output", "nowhere/fleet.yml"),
            {"block": {}},
            1,
            "nixl-efa: --output nowhere/fleet.yml: No such file or directory",
        ),
        (
            ("--to", "pcluster"),
            {"block": {"instance_type": "p5en.48xlarge"}},
            1,
            "is for p5.48xlarge, but instance_type is p5en.48xlarge.",
        ),
        (
            ("--to", "pcluster"),
            {"block": {"subnet_id": "subnet-0123456789abcdef0"}},
            1,
            "subnet-0123456789abcdef0 (subnet_id) is not in us-east-2.",
        ),
        (
            ("--to", "pcluster"),
            {"block": {"vpc_id": "vpc-0123456789abcdef0"}},
            1,
            "vpc-0123456789abcdef0 has no subnet in us-east-2",
        ),
    ],
)
def test_what_can_not_be_exported_is_one_message(
    options: tuple[str, ...], settings: dict[str, Any], code: int, words: str, project: Project
) -> None:
    values = {**project.buy_block(), **settings["block"]} if "block" in settings else settings
    project.environment("prod", **values)
    ran = project.run("export", "prod", *options)
    assert (ran.code, ran.out) == (code, "")
    # How a command is used stands before a fault in its words.
    assert [line for line in ran.err.splitlines() if words in line] == ran.err.splitlines()[-1:]
    assert not list(project.folder.glob("*.y*ml"))


def found(**settings: object) -> Found:
    """A request of dev without a reservation."""
    return Found(launch_of(settings_of("dev", **settings)), SUBNET)


def test_each_reservation_is_a_queue_or_a_fleet_of_its_own_in_the_one_subnet(
    project: Project, reads: Reads
) -> None:
    """Producers of another type On-Demand, and two blocks of consumers."""
    first = project.buy_block()
    second = project.buy_block(zone=first["availability_zone"])
    ids = [each["capacity_reservation_id"] for each in (first, second)]
    subnet = private(first["availability_zone"])
    project.environment("prod", subnet_id=subnet, use_capacity_block=True, producers=1, consumers=4)
    entries = "".join(f'[[capacity]]\ncapacity_reservation_id = "{one}"\nconsumers = 2\n' for one in ids)
    with (project.folder / "environments/prod.toml").open("a", encoding="utf-8") as file:
        file.write(f'{entries}[producer]\ninstance_type = "g6e.12xlarge"\nuse_capacity_block = false\n')

    project.run("export", "prod", "--to", "pcluster", "--output", "cluster.yaml")
    cluster = reads("pcluster", project.folder / "cluster.yaml")
    assert [
        (one["queue"], one["market"], one["type"], one["count"], one["reservation"], one["subnets"])
        for one in cluster["read"]
    ] == [
        ("producers", "ONDEMAND", "g6e.12xlarge", [1, 1], None, [subnet]),
        ("consumers", "CAPACITY_BLOCK", "p5.48xlarge", [2, 2], ids[0], [subnet]),
        ("consumers-2", "CAPACITY_BLOCK", "p5.48xlarge", [2, 2], ids[1], [subnet]),
    ]
    assert cluster["failures"] == []

    one_file = project.run("export", "prod", "--to", "dstack", "--output", "fleet.yml")
    assert (one_file.code, one_file.err) == (
        2,
        "nixl-efa: --output fleet.yml: dstack reads one fleet from a file, but there are 3. Name a folder.\n",
    )
    project.run("export", "prod", "--to", "dstack", "--output", ".")
    files = [f"nixl-efa-prod-{name}.dstack.yml" for name in ("producers", "consumers", "consumers-2")]
    fleets = [reads("dstack", project.folder / file)["read"][0] for file in files]
    assert [(one["name"], one["instance_types"], one.get("reservation")) for one in fleets] == [
        ("prod-producers", ["g6e.12xlarge"], None),
        ("prod-consumers", ["p5.48xlarge"], ids[0]),
        ("prod-consumers-2", ["p5.48xlarge"], ids[1]),
    ]
    assert {tuple(one["availability_zones"]) for one in fleets} == {(first["availability_zone"],)}


@pytest.mark.parametrize(
    ("settings", "path", "wanted"),
    [
        ({}, "CapacityType", "ONDEMAND"),
        ({"spot": True}, "CapacityType", "SPOT"),
        ({}, "Networking.PlacementGroup.Enabled", True),
        ({"placement_group": "off"}, "Networking.PlacementGroup.Enabled", False),
        ({"security_group_id": GROUP}, "Networking.AdditionalSecurityGroups", [GROUP]),
        ({"volume_size": 800}, "ComputeSettings.LocalStorage.RootVolume.Size", 800),
        ({"instance_type": "g6.xlarge"}, "ComputeResources.0.Efa.Enabled", False),
        ({"consumers": 3}, "ComputeResources.0.MaxCount", 4),
    ],
)  # fmt: skip
def test_what_the_settings_say_is_in_the_queue(settings: dict[str, Any], path: str, wanted: object) -> None:
    [cluster] = documents(Engine.PCLUSTER, [found(**settings)])
    value: Any = yaml.safe_load(cluster.text)["Scheduling"]["SlurmQueues"][0]
    for key in path.split("."):
        value = value[int(key)] if key.isdigit() else value[key]
    assert value == wanted


def test_the_head_node_has_the_nodes_architecture_and_key() -> None:
    for instance_type, architecture in (("g6e.8xlarge", "x86_64"), ("g5g.16xlarge", "arm64")):
        [cluster] = documents(Engine.PCLUSTER, [found(instance_type=instance_type, key_name="mine")])
        head = yaml.safe_load(cluster.text)["HeadNode"]
        assert (head["InstanceType"], head["Ssh"]) == (HEAD_NODES[architecture], {"KeyName": "mine"})


def test_a_key_and_a_vpc_that_an_engine_can_not_be_told_are_comments() -> None:
    key = "arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"
    one = found(kms_key_id=key, vpc_id="vpc-0123456789abcdef0")
    for engine in Engine:
        [document] = documents(engine, [one])
        assert f"# Volumes are encrypted with the account's default key, not with {key}.\n" in document.text
    assert "# It launches in vpc-0123456789abcdef0 where vpc_ids of the server's" in document.text
    assert "vpc_ids" not in documents(Engine.DSTACK, [found()])[0].text
