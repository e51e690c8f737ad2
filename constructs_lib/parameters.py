"""Parameters of Parameter Store that hold what the pair is built from: a reservation, a zone, an image.

White space around a value is removed, here and in the command line (nixl_efa.capacity.parameters).
"""

from cdktf import Precondition, TerraformLocal
from cdktf_cdktf_provider_aws.data_aws_ssm_parameters_by_path import DataAwsSsmParametersByPath
from constructs import Construct

from constructs_lib.terraform import named

KIND = "data.aws_ssm_parameters_by_path"


class Parameter(Construct):
    """One parameter, read when Terraform plans. `value` is a token; its value is "" when there is no such parameter.

    All parameters of its path are read. Terraform's `aws_ssm_parameter` would fail when the parameter is gone, and so
    would `cdktf destroy`, which reads every data source first. Therefore a user of the value must check
    `preconditions`: a condition that fails stops a plan, but no destroy. Without the check, an empty reservation would
    make the provider panic in the middle of an apply.

    holds: what the parameter must hold, and its form as a regular expression.
    """

    def __init__(
        self, scope: Construct, name: str, *, parameter: str, holds: str, form: str, remedy: str
    ) -> None:
        super().__init__(scope, name)
        folder = parameter.rpartition("/")[0] or "/"
        named(DataAwsSsmParametersByPath(self, "folder", path=folder, with_decryption=False), name)
        names, values = f"{KIND}.{name}.names", f"{KIND}.{name}.values"
        # Terraform treats all of these values as secret; a plan would then hide the block that it launches into.
        found = f'${{trimspace(lookup(zipmap({names}, nonsensitive({values})), "{parameter}", ""))}}'
        named(TerraformLocal(self, "value", found), name)
        self.value: str = f"${{local.{name}}}"
        there = f'contains({names}, "{parameter}")'
        self.preconditions = [
            Precondition(
                condition=f"${{{there}}}",
                error_message=f"The parameter {parameter} does not exist in Parameter Store: {remedy}",
            ),
            Precondition(
                condition=f'${{!{there} || can(regex("{form}", local.{name}))}}',
                error_message=f"The parameter {parameter} does not hold {holds}. Store one as String: a SecureString "
                "is read encrypted. A parameter's type can't be changed: delete a SecureString first.",
            ),
        ]
