"""A pair that the real Terraform deployed on the local AWS, and plans of changed settings on it."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from local_aws import LocalAws
from nixl_efa.rehearse.plugin_mirror import terraform_environ
from nixl_efa.settings import Settings, load
from nixl_efa.terraform import Terraform
from tests.launches import IMAGE

ROOT = Path(__file__).resolve().parents[2]
REGION = "us-east-2"


@dataclass
class Deployed:
    """dev, deployed in a folder of its own. things: what the account has, by the name that a case gives it."""

    folder: Path
    environ: Mapping[str, str]
    things: Mapping[str, str] = field(default_factory=dict)

    @property
    def terraform(self) -> Terraform:
        """Terraform in the stack's folder."""
        return Terraform(self.folder / "cdktf.out" / "stacks" / "nixl-efa-dev", self.environ)

    def variables(self, settings: Mapping[str, str]) -> dict[str, str]:
        """The settings as variables of the environment."""
        return {
            f"NIXL_EFA_DEV_{name.upper()}": self.things.get(value, value) for name, value in settings.items()
        }

    def settings(self, settings: Mapping[str, str]) -> Settings:
        """What is then set."""
        return load(ROOT / "environments", self.variables(settings), {}, only=["dev"]).environments[0]

    def synthesize(self, settings: Mapping[str, str]) -> None:
        """`python main.py`."""
        environ = {
            **os.environ,
            **self.variables(settings),
            "NIXL_EFA_ENVIRONMENTS": "dev",
            "CDKTF_OUTDIR": str(self.folder / "cdktf.out"),
        }
        subprocess.run([sys.executable, "main.py"], cwd=ROOT, env=environ, check=True, capture_output=True)

    def plan(self, settings: Mapping[str, str]) -> dict[str, Any]:
        """The plan of changed settings, by the state as it is: nothing else changes the pair."""
        self.synthesize(settings)
        return self.terraform.plan(self.folder / "plan", "-refresh=false")


@pytest.fixture(scope="module")
def terraform_variables(local_aws: LocalAws) -> Iterator[dict[str, str]]:
    """For Terraform on the local AWS."""
    with terraform_environ(os.environ) as environ:
        local = {
            name: value for name, value in local_aws.environ(REGION).items() if not name.startswith("TF_")
        }
        yield {**environ, **local}


@pytest.fixture(scope="module")
def deployed(
    local_aws: LocalAws, terraform_variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Deployed:
    def client(service: str) -> Any:
        return boto3.client(
            service,  # type: ignore[call-overload]
            region_name=REGION,
            endpoint_url=local_aws.endpoint,
            aws_access_key_id="local",
            aws_secret_access_key="local",
        )

    ec2, ssm = client("ec2"), client("ssm")
    [vpc] = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"]
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    others = [one["ImageId"] for one in ec2.describe_images(Owners=["amazon"])["Images"]]
    ec2.create_key_pair(KeyName="ann")
    other = next(one for one in sorted(others) if one != image)
    ssm.put_parameter(Name="/team/image", Value=other, Type="String")
    group = ec2.create_security_group(GroupName="given", Description="given", VpcId=vpc["VpcId"])["GroupId"]
    found = Deployed(
        tmp_path_factory.mktemp("dev"), terraform_variables, {"<image>": other, "<group>": group}
    )
    found.synthesize({})
    found.terraform.init()
    found.terraform.ask("apply", "-auto-approve", "-input=false", "-no-color")
    [node, _] = [one["Instances"][0] for one in ec2.describe_instances()["Reservations"]]
    # Both offer the type.
    zone = next(one for one in (f"{REGION}a", f"{REGION}b") if one != node["Placement"]["AvailabilityZone"])
    wanted: Any = [{"Name": "availability-zone", "Values": [zone]}]
    subnet = ec2.describe_subnets(Filters=wanted)["Subnets"][0]["SubnetId"]
    return replace(found, things={**found.things, "<other zone>": zone, "<other subnet>": subnet})
