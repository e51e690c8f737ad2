"""Terraform accepts each environment, and refuses what can't work with a message that says why."""

import json
from pathlib import Path
from typing import Any

import pytest

from local_aws.server import LocalAws
from tests.end_to_end.conftest import client
from tests.synthesis import synthesize
from tests.terraform.conftest import Terraform, place, synthesize_to

REGION = "us-east-2"
RESERVATION = "cr-0123456789abcdef0"


@pytest.fixture(scope="module")
def parameters(local_aws: LocalAws, aws_environ: dict[str, str]) -> None:
    """What prod reads from Parameter Store."""
    ssm = client(local_aws, "ssm")
    ssm.put_parameter(Name="/nixl-efa/capacity-reservation-id", Value=RESERVATION, Type="String")
    ssm.put_parameter(Name="/nixl-efa/prod/availability-zone", Value=f"{REGION}b", Type="String")


@pytest.fixture(scope="module")
def stacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return synthesize_to(tmp_path_factory.mktemp("out"))


@pytest.mark.parametrize("environment", ["dev", "prod", pytest.param("staging", marks=pytest.mark.matrix)])
def test_each_environment_is_valid_and_can_be_planned(
    environment: str, stacks: Path, aws_environ: dict[str, str], parameters: None
) -> None:
    terraform = Terraform(stacks / f"nixl-efa-{environment}", aws_environ)

    terraform("init", "-input=false")
    assert "Success! The configuration is valid." in terraform("validate", "-no-color").stdout
    plan = terraform("plan", "-input=false", "-no-color").stdout
    assert "# aws_instance.producer will be created" in plan
    assert "# aws_instance.consumer will be created" in plan
    assert "Warning" not in plan
    if environment == "prod":
        # Not hidden as "(sensitive value)": one has to see into which block a plan launches.
        assert f'capacity_reservation_id = "{RESERVATION}"' in plan


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"AVAILABILITY_ZONE": f"{REGION}a", "SUBNET_ID": "of zone b"},
            "lies in zone us-east-2b, not in the wanted us-east-2a",
        ),
        (
            {"AVAILABILITY_ZONE": f"{REGION}c"},
            "g7e.8xlarge is not offered in zone us-east-2c. Zones of us-east-2 that offer it: us-east-2a, us-east-2b.",
        ),
        *(
            pytest.param(*one, marks=pytest.mark.matrix)
            for one in (
                (
                    {"INSTANCE_TYPE": "trn1.32xlarge", "REGION": "eu-west-3"},
                    "trn1.32xlarge is not offered in eu-west-3",
                ),
                (
                    {"SUBNET_ID": "of zone b", "VPC_ID": "vpc-0123456789abcdef0"},
                    "not in vpc_id vpc-0123456789abcdef0",
                ),
                ({"ACCOUNT_ID": "999999999999"}, "AWS account ID not allowed: 123456789012"),
                ({"VPC_ID": "empty"}, "has no subnet in a zone that offers g7e.8xlarge"),
            )
        ),
    ],
    ids=[
        "subnet in another zone",
        "type not in the zone",
        "type not in the region",
        "subnet of another VPC",
        "another account",
        "no subnet",
    ],
)
def test_a_zone_subnet_or_account_that_does_not_fit_fails_the_plan_and_says_so(
    settings: dict[str, str], message: str, tmp_path: Path, local_aws: LocalAws, aws_environ: dict[str, str]
) -> None:
    ec2 = client(local_aws, "ec2")
    zone: Any = [{"Name": "availability-zone", "Values": [f"{REGION}b"]}]
    made = {
        "of zone b": lambda: ec2.describe_subnets(Filters=zone)["Subnets"][0]["SubnetId"],
        "empty": lambda: ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"],
    }
    values = {name: made[value]() if value in made else value for name, value in settings.items()}
    variables = {f"NIXL_EFA_DEV_{name}": value for name, value in values.items()}
    folder = synthesize_to(tmp_path / "out", NIXL_EFA_ENVIRONMENTS="dev", **variables) / "nixl-efa-dev"
    terraform = Terraform(folder, aws_environ)

    terraform("init", "-input=false")
    plan = terraform("plan", "-input=false", "-no-color", check=False)

    assert plan.returncode == 1
    said = " ".join(plan.stderr.replace("│", " ").split())
    assert message in said


def test_what_a_parameter_holds_is_taken_without_white_space_and_refused_before_the_apply_in_another_form(
    tmp_path: Path, local_aws: LocalAws, aws_environ: dict[str, str]
) -> None:
    """nixl-efa check says the same (tests/checks/test_check_command.py)."""
    ssm = client(local_aws, "ssm")
    ssm.put_parameter(Name="/team/block", Value=f"{RESERVATION}\n", Type="String")
    ssm.put_parameter(Name="/team/secret", Value=RESERVATION, Type="SecureString")
    ssm.put_parameter(Name="/team/blank", Value=" ", Type="String")
    ssm.put_parameter(Name="/team/zone", Value=f"{REGION}b\n", Type="String")
    refused: dict[str, list[str]] = {}
    planned: Any = None
    for name in ("block", "secret", "blank", "none"):
        stack = synthesize(
            "dev", capacity_reservation_parameter=f"/team/{name}", availability_zone_parameter="/team/zone"
        )
        terraform = place(tmp_path, stack, aws_environ, name)
        terraform("init", "-input=false")
        # As JSON: what is printed for people quotes the whole configuration beside an error.
        lines = terraform("plan", "-input=false", "-json", "-out=plan", check=False).stdout.splitlines()
        errors = [one["diagnostic"] for one in map(json.loads, lines) if one["type"] == "diagnostic"]
        refused[name] = [str(one["detail"]).partition(":")[0] for one in errors]
        if name == "block":
            planned = json.loads(terraform("show", "-json", "plan").stdout)["planned_values"]["outputs"]

    form = "The parameter {} does not hold a reservation's id. Store one as String"
    assert refused == {
        "block": [],
        "secret": [form.format("/team/secret")],
        "blank": [form.format("/team/blank")],
        "none": ["The parameter /team/none does not exist in Parameter Store"],
    }
    assert planned["capacity_reservation_id"]["value"] == RESERVATION


def test_the_service_ports_are_open_from_every_block_of_the_vpc(
    tmp_path: Path, local_aws: LocalAws, aws_environ: dict[str, str]
) -> None:
    ec2 = client(local_aws, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.8.0.0/16")["Vpc"]["VpcId"]
    gone = ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.65.0.0/16")["CidrBlockAssociation"]
    ec2.associate_vpc_cidr_block(VpcId=vpc, CidrBlock="100.64.0.0/16")
    ec2.disassociate_vpc_cidr_block(AssociationId=gone["AssociationId"])
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="100.64.0.0/20", AvailabilityZone=f"{REGION}b")
    variables = {
        "NIXL_EFA_ENVIRONMENTS": "dev",
        "NIXL_EFA_DEV_SUBNET_ID": subnet["Subnet"]["SubnetId"],
        "NIXL_EFA_DEV_SERVICE_PORTS": "8000,8100",
    }
    terraform = Terraform(synthesize_to(tmp_path / "out", **variables) / "nixl-efa-dev", aws_environ)
    terraform("init", "-input=false")
    rules = {
        address: change["after"]
        for address, change in terraform.changes().items()
        if address.startswith("aws_vpc_security_group_ingress_rule.service")
    }
    assert {
        address: (rule["cidr_ipv4"], rule["from_port"], rule["to_port"]) for address, rule in rules.items()
    } == {
        "aws_vpc_security_group_ingress_rule.service_8000": ("10.8.0.0/16", 8000, 8000),
        "aws_vpc_security_group_ingress_rule.service_8100": ("10.8.0.0/16", 8100, 8100),
        'aws_vpc_security_group_ingress_rule.services_further["8000 100.64.0.0/16"]': (
            "100.64.0.0/16",
            8000,
            8000,
        ),
        'aws_vpc_security_group_ingress_rule.services_further["8100 100.64.0.0/16"]': (
            "100.64.0.0/16",
            8100,
            8100,
        ),
    }
