"""The stack of one environment: the provider, the node pair, the backend of its state, and the outputs."""

from collections.abc import Iterator

import constructs_lib  # noqa: F401  (before cdktf is imported: see its docstring)

# isort: split
from cdktf import TerraformOutput, TerraformStack
from cdktf_cdktf_provider_aws.provider import AwsProvider, AwsProviderAssumeRole, AwsProviderDefaultTags
from constructs import Construct

from constructs_lib.node_pair import NodePair
from constructs_lib.suppressions import suppressions
from nixl_efa.launch import Launch
from nixl_efa.settings import AssumeRole, Settings
from stacks.state import keep_state


def _assumed(role: AssumeRole) -> AwsProviderAssumeRole:
    return AwsProviderAssumeRole(
        role_arn=role.arn, external_id=role.external_id, session_name=role.session_name
    )


class PairStack(TerraformStack):
    """`nixl-efa-<environment>`."""

    def __init__(self, scope: Construct, *, settings: Settings, launch: Launch) -> None:
        super().__init__(scope, launch.stack_name)
        AwsProvider(
            self,
            "aws",
            region=launch.region,
            profile=settings.profile,
            assume_role=[_assumed(settings.assume_role)] if settings.assume_role else None,
            allowed_account_ids=[launch.account_id] if launch.account_id else None,
            default_tags=[AwsProviderDefaultTags(tags=dict(launch.tags))],
        )
        # Without this the bindings would require exactly the version that they were generated from.
        self.add_override("terraform.required_providers.aws.version", settings.provider_version)
        keep_state(self, settings)
        self.pair = NodePair(self, "pair", settings=settings, launch=launch)
        # In one override, since each override is a call to jsii's process.
        self.add_override("resource", suppressions(self._suppressed(launch)))
        self._outputs(launch)

    @staticmethod
    def _suppressed(launch: Launch) -> Iterator[tuple[str, str]]:
        yield "aws_s3_bucket", "scripts"
        for node in launch.nodes:
            yield "aws_instance", node.name
            yield "aws_launch_template", node.name
            if launch.elastic_ip:
                yield "aws_eip", node.name

    def _outputs(self, launch: Launch) -> None:
        pair = self.pair
        # A role is assumed with the profile, and the AWS CLI has no option for that.
        profile = f" --profile {launch.profile}" if launch.profile and launch.assume_role is None else ""
        for node in launch.nodes:
            name = node.name.replace("-", "_")
            instance_id = pair.nodes[node.name].instance_id
            interfaces = pair.interfaces[node.name]
            self._output(f"{name}_instance_id", instance_id, f"Instance id of the {node.name}.")
            self._output(f"{name}_private_ip", interfaces.address, f"Private address of the {node.name}.")
            self._output(
                f"{name}_public_ip",
                interfaces.public_address,
                f"Elastic IP of the {node.name}; empty without one.",
            )
            self._output(
                f"{name}_session_command",
                f"aws ssm start-session --region {launch.region} --target {instance_id}{profile}",
                f"Opens a shell on the {node.name}.",
            )
        self._output("nodes", self._nodes(launch), "Every node, the producers first.")
        self._output(
            "security_group_id", pair.security_group.security_group_id, "Security group of the nodes."
        )
        self._output(
            "placement_group", pair.placement.group_name or "", "Cluster placement group; empty without one."
        )
        self._output("scripts_bucket", pair.bucket.name, "Bucket that the nodes read and write.")
        self._output("efa_interfaces", launch.efa_interfaces, "EFA interfaces of each node.")
        first = pair.reservations[launch.reservation].id
        self._output(
            "capacity_reservation_id", first, "Reservation, the first of several; empty without one."
        )

    def _nodes(self, launch: Launch) -> list[dict[str, str | int]]:
        """The output with the nodes, in the form that nixl_efa.nodes.outputs reads."""
        own = {node.name: request for request in launch.requests for node in request.nodes}
        return [
            {
                "name": node.name,
                "role": node.role,
                "instance_id": self.pair.nodes[node.name].instance_id,
                "instance_type": own[node.name].instance_type,
                "private_ip": self.pair.interfaces[node.name].address,
                "public_ip": self.pair.interfaces[node.name].public_address,
                "efa_interfaces": own[node.name].efa_interfaces,
                "capacity_reservation_id": self.pair.reservations[own[node.name].reservation].id,
            }
            for node in launch.nodes
        ]

    def _output(self, name: str, value: object, description: str) -> None:
        TerraformOutput(self, name, value=value, description=description, static_id=True)
