"""What the real provider asks EC2 for, compared with the reading of the JSON that the tests of every setting rest on,
and against the check's own dry run.

A few environments, which together change every setting, are applied at once, each as a module of one configuration.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import boto3
import pytest

from local_aws.server import LocalAws
from nixl_efa import checks
from nixl_efa.aws import Clients
from nixl_efa.clock import SystemClock
from nixl_efa.settings import SETTING_NAMES, Settings, load
from tests.launches import IMAGE
from tests.offerings import soonest_offering
from tests.sent_by_terraform import comparable, parameter_of, sent_by_terraform, unexplained
from tests.synthesis import synthesize_settings
from tests.terraform.conftest import Terraform

REGION = "us-east-2"
ROOT_DEVICE = "/dev/sda1"


@dataclass(frozen=True)
class Applied:
    """An environment that was applied: its JSON, its resources' values by address, and what EC2 was asked for."""

    stack: dict[str, Any]
    values: Mapping[str, Any]
    launches: Mapping[str, Mapping[str, Any]]
    dry_run: Mapping[str, Any]

    def value_of(self, expression: str) -> Any:
        """The value that Terraform gave an expression."""
        kind, name, *attributes = expression.split(".")
        if kind == "local":
            folder = self.values[f"data.aws_ssm_parameters_by_path.{name}"]
            return dict(zip(folder["names"], folder["values"], strict=True))[
                parameter_of(self.stack, expression)
            ]
        value = self.values[f"{kind}.{name}"]
        for attribute in attributes:
            value = value[attribute]
        return value


def environments(aws: LocalAws) -> dict[str, dict[str, Any]]:
    """The settings of each, after making what they name."""
    ec2, ssm = boto3.client("ec2", REGION), boto3.client("ssm", REGION)
    ec2.create_key_pair(KeyName="ann")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    zones = ec2.describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": ["g7e.8xlarge"]}]
    )["InstanceTypeOfferings"]
    zone = zones[-1]["Location"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "availability-zone", "Values": [zone]}])["Subnets"]
    group = ec2.create_security_group(GroupName="given", Description="given", VpcId=vpc["VpcId"])["GroupId"]
    reserved = ec2.create_capacity_reservation(
        InstanceType="g7e.8xlarge", InstancePlatform="Linux/UNIX", AvailabilityZone=zone, InstanceCount=2
    )["CapacityReservation"]
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    offering = soonest_offering(ec2, "p5.4xlarge")
    block = ec2.purchase_capacity_block(
        CapacityBlockOfferingId=offering["CapacityBlockOfferingId"], InstancePlatform="Linux/UNIX"
    )["CapacityReservation"]
    iam = boto3.client("iam")
    trust = json.dumps({"Version": "2012-10-17", "Statement": []})
    iam.create_role(RoleName="team-nodes", AssumeRolePolicyDocument=trust)
    iam.create_instance_profile(InstanceProfileName="team-nodes")
    iam.add_role_to_instance_profile(InstanceProfileName="team-nodes", RoleName="team-nodes")
    aws.clock.set(max(offering["StartDate"], aws.clock.now()) + timedelta(minutes=5))
    for name, value in (
        ("/team/block", block["CapacityReservationId"]),
        ("/team/zone", block["AvailabilityZone"]),
        ("/team/image", image),
    ):
        ssm.put_parameter(Name=name, Value=value, Type="String")
    return {
        "plain": {
            "instance_type": "g7e.12xlarge",
            "assume_role": "arn:aws:iam::123456789012:role/deployer",
            "permissions_boundary": "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore",
        },
        "given": {
            "instance_type": "g7e.8xlarge",
            "vpc_id": vpc["VpcId"],
            "subnet_id": subnets[0]["SubnetId"],
            "availability_zone": zone,
            "security_group_id": group,
            "key_name": "ann",
            "ami_id": image,
            "capacity_reservation_id": reserved["CapacityReservationId"],
            "elastic_ip": False,
            "service_ports": [9000],
            "service_cidrs": ["10.20.0.0/16"],
            "install_nixl": False,
            "kms_key_id": boto3.client("kms", REGION).create_key()["KeyMetadata"]["Arn"],
            "mlflow_tracking_server_arn": "arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/kv",
            "mlflow_artifact_bucket_arn": "arn:aws:s3:::kv-artifacts",
            "models_bucket": "team-models",
        },
        "block": {
            "instance_type": "p5.4xlarge",
            "use_capacity_block": True,
            "capacity_reservation_parameter": "/team/block",
            "availability_zone_parameter": "/team/zone",
            "ami_parameter": "/team/image",
            "instance_profile": "team-nodes",
            "nixl_version": "1.4.0",
            "nixl_wheels": "/opt/wheels",
            "service": {"model": "s3://team-models/x", "start_at_boot": True},
            "min_hours": 3,
        },
        "west": {
            "instance_type": "g7e.8xlarge",
            "region": "us-west-2",
            "account_id": "123456789012",
            "spot": True,
            "volume_size": 777,
            "volume_iops": 4000,
            "volume_throughput": 250,
            "project_prefix": "kv",
            "protect_nodes": True,
            "empty_scripts_bucket": True,
            "owner": "ann",
            "tags": {"Cost Center": "a/b", "Project": "mine"},
            "placement_group": "off",
            "backend": {"type": "s3", "bucket": "team-state"},
            "check": "warn",
            "provider_version": "~> 5.100",
        },
    }


@pytest.fixture(scope="module")
def chosen(local_aws: LocalAws, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, ...]]:
    folder = tmp_path_factory.mktemp("environments")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in local_aws.environ(REGION).items():
            patch.setenv(name, value)
        made = environments(local_aws)
        for name in made:
            (folder / f"{name}.toml").touch()
        loaded = load(folder, {}, made)
        assert len(loaded.environments) == len(made), loaded.findings
        yield loaded.environments


@pytest.fixture(scope="module")
def applied(
    chosen: tuple[Settings, ...],
    local_aws: LocalAws,
    aws_environ: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Applied]:
    """Every environment: first checked, as before a deployment, then applied."""
    folder = tmp_path_factory.mktemp("terraform")
    stacks: dict[str, dict[str, Any]] = {}
    dry_runs: dict[str, Any] = {}
    for settings in chosen:
        checks.run(settings, Clients(None, settings.region), SystemClock())
        dry_runs[settings.name] = local_aws.world.launches[-1]
        stacks[settings.name] = synthesize_settings(settings)
        (folder / settings.name).mkdir()
        (folder / settings.name / "cdk.tf.json").write_text(
            json.dumps(stacks[settings.name]), encoding="utf-8"
        )
    assert all(one.dry_run for one in dry_runs.values())
    before = len(local_aws.world.launches)
    modules = {name: {"source": f"./{name}"} for name in stacks}
    (folder / "main.tf.json").write_text(json.dumps({"module": modules}), encoding="utf-8")
    terraform = Terraform(folder, aws_environ)
    terraform("init", "-input=false")
    terraform("apply", "-auto-approve", "-no-color", "-parallelism=30")
    modules_shown = json.loads(terraform("show", "-json").stdout)["values"]["root_module"]["child_modules"]
    launches = [one.request for one in local_aws.world.launches[before:]]
    return {
        (name := module["address"].removeprefix("module.")): Applied(
            stack=stacks[name],
            values={
                one["address"].removeprefix(f"{module['address']}."): one["values"]
                for one in module["resources"]
            },
            launches={
                tags["Role"]: request
                for request in launches
                if (tags := comparable(request)["TagSpecifications"]["instance"])["Environment"] == name
            },
            dry_run=dry_runs[name].request,
        )
        for module in modules_shown
    }


def test_the_environments_together_change_every_setting(chosen: tuple[Settings, ...]) -> None:
    changed = {name for name in SETTING_NAMES for one in chosen if getattr(one, name) != default_of(name)}
    # A profile is in a file of the shell, of which this Terraform has none (tests/cli/test_as_whom.py).
    # How many nodes there are changes none of them (test_many_nodes.py); those that differ are requests of their own
    # (tests/checks/test_dry_run_is_the_launch.py).
    divided = {"producers", "consumers", "producer", "consumer", "capacity"}
    assert changed == set(SETTING_NAMES) - {"profile"} - divided


def default_of(name: str) -> object:
    field = Settings.model_fields[name]
    return None if field.is_required() else field.default


@pytest.mark.parametrize("environment", ["plain", "given", "block", "west"])
@pytest.mark.parametrize("node", ["producer", "consumer"])
def test_the_provider_sends_what_is_read_from_the_json(
    applied: dict[str, Applied], environment: str, node: str
) -> None:
    one = applied[environment]
    assert comparable(one.launches[node]) == sent_by_terraform(one.stack, node, one.value_of, ROOT_DEVICE)


@pytest.mark.parametrize("environment", ["plain", "given", "block", "west"])
def test_the_dry_run_before_it_asked_for_the_same(applied: dict[str, Applied], environment: str) -> None:
    one = applied[environment]
    assert unexplained(comparable(one.launches["producer"]), comparable(one.dry_run)) == []
