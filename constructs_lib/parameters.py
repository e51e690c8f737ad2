"""Parameters of Parameter Store that hold what the pair is built from: a reservation, a zone, an image."""

from __future__ import annotations

from cdktf import Precondition, TerraformLocal
from cdktf_cdktf_provider_aws.data_aws_ssm_parameters_by_path import DataAwsSsmParametersByPath
from constructs import Construct

from constructs_lib.terraform import named

KIND = "data.aws_ssm_parameters_by_path"


class Parameter(Construct):
    """One parameter, read when Terraform plans. `value` is a token, for "" when there is no such parameter.

    Read with its folder: Terraform's `aws_ssm_parameter` fails when the parameter is gone, and with it `cdktf destroy`,
    which reads every data source first. So whoever uses the value checks `exists`: a condition that fails stops a
    plan, but no destroy.
    """

    def __init__(self, scope: Construct, name: str, *, parameter: str, remedy: str) -> None:
        super().__init__(scope, name)
        folder = parameter.rpartition("/")[0] or "/"
        named(DataAwsSsmParametersByPath(self, "folder", path=folder, with_decryption=False), name)
        names, values = f"{KIND}.{name}.names", f"{KIND}.{name}.values"
        # Terraform takes all of them for secrets, and a plan would hide into which block it launches.
        found = f'${{lookup(zipmap({names}, nonsensitive({values})), "{parameter}", "")}}'
        named(TerraformLocal(self, "value", found), name)
        self.value: str = f"${{local.{name}}}"
        self.exists = Precondition(
            condition=f'${{contains({names}, "{parameter}")}}',
            error_message=f"The parameter {parameter} does not exist in Parameter Store: {remedy}",
        )
