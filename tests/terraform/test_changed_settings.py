"""What changing a setting does to a running pair: planned by Terraform, and compared with docs/settings.md."""

import re
import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from local_aws.server import LocalAws
from nixl_efa.settings import SETTING_NAMES
from tests.settings.test_settings_properties import table_rows
from tests.synthesis import synthesize
from tests.terraform.conftest import Terraform, place

REGION = "us-east-2"
NODES = ("aws_instance.producer", "aws_instance.consumer")
# What the provider stops an instance for (aws_instance, resourceInstanceUpdate).
STOPS = ("instance_type", "user_data", "user_data_base64", "ebs_optimized", "cpu_options", "enclave_options")

Settings = Mapping[str, object]

ROLE = "arn:aws:iam::123456789012:role/deploy"

RESERVED = {"capacity_reservation_id": "cr-0123456789abcdef0"}
# Each setting changed: in which case, in the words of the page, and to what; "{...}" is something in the account.
CASES: list[tuple[str, str, Settings]] = [
    ("region", "", {"region": "us-west-2"}),
    ("account_id", "", {"account_id": "123456789012"}),
    ("account_id", "another account", {"account_id": "999999999999"}),
    ("profile", "", {"profile": "team"}),
    ("assume_role", "", {"assume_role": ROLE}),
    ("availability_zone", "", {"availability_zone": "{other_zone}"}),
    ("availability_zone", "the same zone", {"availability_zone": "{zone}"}),
    ("availability_zone_parameter", "", {"availability_zone_parameter": "/team/other-zone"}),
    ("availability_zone_parameter", "the same zone", {"availability_zone_parameter": "/team/zone"}),
    ("availability_zone_parameter", "no such parameter", {"availability_zone_parameter": "/team/none"}),
    ("instance_type", "", {"instance_type": "g7e.12xlarge"}),
    ("instance_type", "a type that its zone does not offer", {"instance_type": "{not_in_its_zone}"}),
    ("producers", "", {"producers": 2}),
    ("consumers", "", {"consumers": 4}),
    ("producer", "", {"producer": {"instance_type": "g7e.12xlarge"}}),
    ("consumer", "", {"consumer": {"instance_type": "g7e.12xlarge"}}),
    ("volume_size", "", {"volume_size": 400}),
    ("volume_iops", "", {"volume_iops": 4000}),
    ("volume_throughput", "", {"volume_throughput": 250}),
    (
        "kms_key_id",
        "",
        {"kms_key_id": "arn:aws:kms:us-east-2:123456789012:key/0d990263-018e-4e65-a703-eff731de951e"},
    ),
    ("vpc_id", "", {"vpc_id": "{other_vpc}"}),
    ("vpc_id", "the same VPC", {"vpc_id": "{vpc}"}),
    ("subnet_id", "", {"subnet_id": "{other_subnet}"}),
    ("subnet_id", "the same subnet", {"subnet_id": "{subnet}"}),
    ("subnet_id", "no such subnet", {"subnet_id": "subnet-0123456789abcdef0"}),
    ("security_group_id", "", {"security_group_id": "{group}"}),
    ("security_group_id", "a group of another VPC", {"security_group_id": "{other_group}"}),
    ("key_name", "", {"key_name": "ann"}),
    (
        "use_capacity_block",
        "",
        {
            "use_capacity_block": True,
            "capacity_reservation_id": "{reservation}",
            "instance_type": "p5.4xlarge",
        },
    ),
    ("capacity_reservation_id", "", {"capacity_reservation_id": "{reservation}"}),
    ("capacity_reservation_parameter", "", {"capacity_reservation_parameter": "/team/reservation"}),
    ("capacity_reservation_parameter", "no such parameter", {"capacity_reservation_parameter": "/team/none"}),
    ("capacity", "", {"capacity": [{**RESERVED, "producers": 1, "consumers": 1}]}),
    ("capacity", "only that of the consumers", {"capacity": [{**RESERVED, "consumers": 1}]}),
    ("spot", "", {"spot": True}),
    ("placement_group", "", {"placement_group": "off"}),
    ("placement_group", "what auto chose", {"placement_group": "on"}),
    ("ami_id", "", {"ami_id": "ami-0123456789abcdef0"}),
    ("ami_id", "the same image", {"ami_id": "{image}"}),
    ("ami_parameter", "", {"ami_parameter": "/team/image"}),
    ("ami_parameter", "no such parameter", {"ami_parameter": "/team/none"}),
    ("instance_profile", "", {"instance_profile": "team"}),
    ("permissions_boundary", "", {"permissions_boundary": "arn:aws:iam::123456789012:policy/team"}),
    ("elastic_ip", "", {"elastic_ip": False}),
    ("protect_nodes", "", {"protect_nodes": True}),
    ("empty_scripts_bucket", "", {"empty_scripts_bucket": True}),
    ("service_ports", "", {"service_ports": [9000]}),
    ("service_cidrs", "", {"service_cidrs": ["10.20.0.0/16", "10.30.0.0/16"]}),
    ("install_nixl", "", {"install_nixl": False}),
    ("nixl_version", "", {"nixl_version": "1.4.0"}),
    ("nixl_wheels", "", {"nixl_wheels": "/opt/wheels"}),
    ("service", "", {"service": {"model": "Qwen/Qwen3-32B", "start_at_boot": True}}),
    ("models_bucket", "", {"models_bucket": "acme-models"}),
    (
        "mlflow_tracking_server_arn",
        "",
        {"mlflow_tracking_server_arn": "arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/kv"},
    ),
    ("mlflow_artifact_bucket_arn", "", {"mlflow_artifact_bucket_arn": "arn:aws:s3:::kv-artifacts"}),
    ("project_prefix", "", {"project_prefix": "kv"}),
    ("owner", "", {"owner": "ann"}),
    ("tags", "", {"tags": {"Team": "kv"}}),
    ("backend", "", {"backend": {"type": "s3", "bucket": "team-state"}}),
    ("provider_version", "", {"provider_version": "~> 5.100"}),
    ("provider_version", "one that excludes the locked version", {"provider_version": "~> 6.0"}),
    ("check", "", {"check": "warn"}),
    ("min_hours", "", {"min_hours": 9}),
]


@dataclass(frozen=True)
class Pair:
    """A deployed dev, and the names that CASES use of what is in the account."""

    root: Path
    terraform: Terraform
    names: Mapping[str, str]


@pytest.fixture(scope="module")
def pair(local_aws: LocalAws, aws_environ: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Pair:
    root = tmp_path_factory.mktemp("pair")
    config = root / "aws-config"
    config.write_text(
        "[profile team]\naws_access_key_id = team\naws_secret_access_key = team\n", encoding="utf-8"
    )
    terraform = place(root, synthesize("dev"), {**aws_environ, "AWS_CONFIG_FILE": str(config)})
    terraform("init", "-input=false")
    terraform.apply()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.environ(REGION).items():
            patch.setenv(name, value)
        return Pair(root, terraform, around(terraform.ids()))


def around(ids: Mapping[str, str]) -> dict[str, str]:
    """What the cases name: where the pair is, and what else there is, made where it is not."""
    ec2, ssm = boto3.client("ec2", REGION), boto3.client("ssm", REGION)
    [reservation] = ec2.describe_instances(InstanceIds=[ids[NODES[0]]])["Reservations"]
    [node] = reservation["Instances"]
    zone = node["Placement"]["AvailabilityZone"]
    offered: dict[str, set[str]] = {}
    for one in ec2.get_paginator("describe_instance_type_offerings").paginate(
        LocationType="availability-zone"
    ):
        for offer in one["InstanceTypeOfferings"]:
            offered.setdefault(offer["InstanceType"], set()).add(offer["Location"])
    other_zone = min(offered["g7e.8xlarge"] - {zone})
    not_in_its_zone = min(name for name, zones in offered.items() if zones and zone not in zones)
    [other] = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [other_zone]}])["Subnets"]
    other_vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=other_vpc, CidrBlock="10.9.1.0/24", AvailabilityZone=zone)
    groups = {
        vpc: ec2.create_security_group(GroupName="given", Description="given", VpcId=vpc)["GroupId"]
        for vpc in (node["VpcId"], other_vpc)
    }
    names = {
        "zone": zone,
        "other_zone": other_zone,
        "not_in_its_zone": not_in_its_zone,
        "vpc": node["VpcId"],
        "other_vpc": other_vpc,
        "subnet": node["SubnetId"],
        "other_subnet": other["SubnetId"],
        "group": groups[node["VpcId"]],
        "other_group": groups[other_vpc],
        "image": node["ImageId"],
        "reservation": RESERVED["capacity_reservation_id"],
    }
    for name in ("zone", "other_zone", "reservation", "image"):
        ssm.put_parameter(
            Name=f"/team/{name.replace('_', '-')}", Value=names[name], Type="String", Overwrite=True
        )
    return names


def changed(pair: Pair, number: int, settings: Settings) -> Terraform:
    """Terraform for the pair with these settings, as `init` left it for the same providers and the same state."""
    filled = {
        name: value.format_map(pair.names) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    terraform = place(pair.root, synthesize("dev", **filled), pair.terraform.environ, f"case-{number}")
    (terraform.folder / ".terraform").symlink_to(pair.terraform.folder / ".terraform")
    shutil.copy(pair.terraform.folder / ".terraform.lock.hcl", terraform.folder)
    return terraform


def effect(terraform: Terraform) -> str:
    """What a plan does to the pair, in the words of the page.

    Read from the plan as it is printed: as JSON it would start the provider once more, in each of many cases.
    """
    plan = terraform("plan", "-input=false", "-no-color", "-refresh=false", "-lock=false", check=False)
    if plan.returncode:
        return "refused"
    changes = dict(
        re.findall(r"^  # (\S+) (?:will|must) be (created|destroyed|updated|replaced)", plan.stdout, re.M)
    )
    of_nodes = {node: changes.get(node) for node in NODES}
    assert "destroyed" not in of_nodes.values()
    if replaced := [node for node, what in of_nodes.items() if what == "replaced"]:
        [role] = (
            {"nodes"} if len(replaced) == len(NODES) else {f"{one.partition('.')[2]}s" for one in replaced}
        )
        return f"replaces the {role}"
    node_changes = "".join(re.findall(r'^  ~ resource "aws_instance".*?^    }', plan.stdout, re.M | re.S))
    if re.search(rf"^      [~+-] ({'|'.join(STOPS)}) ", node_changes, re.M):
        return "restarts the nodes"
    if any(address.startswith("aws_instance.") for address in changes.keys() - set(NODES)):
        # Who is there, is told to all.
        assert {at for at, what in changes.items() if what != "created"} == {"aws_s3_object.members"}
        return "adds nodes, the others stay"
    # Terraform's own memory is nothing in AWS.
    return "in place" if any(not address.startswith("terraform_data.") for address in changes) else "nothing"


def test_every_setting_is_changed() -> None:
    assert list(dict.fromkeys(setting for setting, _, _ in CASES)) == list(SETTING_NAMES)


# Each effect once.
FEW = ("availability_zone", "instance_type", "volume_size", "ami_id", "owner", "check")


@pytest.mark.parametrize(
    "names", [FEW, pytest.param(SETTING_NAMES, marks=pytest.mark.matrix)], ids=["few", "all"]
)
def test_changing_a_setting_does_to_a_running_pair_what_the_page_says(
    pair: Pair, names: tuple[str, ...]
) -> None:
    cases = [one for one in CASES if one[0] in names]
    folders = [changed(pair, number, settings) for number, (_, _, settings) in enumerate(cases)]
    with ThreadPoolExecutor(4) as pool:
        effects = list(pool.map(effect, folders))

    said: dict[str, list[str]] = {}
    for (setting, case, _), done in zip(cases, effects, strict=True):
        said.setdefault(setting, []).append(f"{case}: {done}" if case else done)
    text = Path("docs/settings.md").read_text(encoding="utf-8")
    rows = table_rows(text.partition("## All settings")[2].partition("\n### ")[0])
    assert {name: "; ".join(done) for name, done in said.items()} == {
        name: cells[2].rstrip(" |") for name, cells in rows.items() if name in names
    }
