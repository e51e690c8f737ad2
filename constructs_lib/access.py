"""What the nodes may do in AWS: Session Manager, their scripts bucket, session logs; MLflow when it is configured."""

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.data_aws_partition import DataAwsPartition
from cdktf_cdktf_provider_aws.iam_instance_profile import IamInstanceProfile
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from constructs import Construct

from constructs_lib.scripts_bucket import ScriptsBucket
from constructs_lib.terraform import NAME_STAYS, named, token
from nixl_efa.launch import Launch
from nixl_efa.node_policy import ASSUMED_BY_EC2, node_policy
from nixl_efa.settings import Settings


class NodeAccess(Construct):
    """One role and instance profile for all nodes, or the user's own profile; its role is not changed.

    `policies` must be attached before a node boots.
    """

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, launch: Launch, bucket: ScriptsBucket
    ) -> None:
        super().__init__(scope, id)
        self.policies: Sequence[ITerraformDependable] = []
        self.instance_profile: str = launch.instance_profile
        if not launch.instance_profile:
            self._own_role(settings, launch, bucket)

    def _own_role(self, settings: Settings, launch: Launch, bucket: ScriptsBucket) -> None:
        named(DataAwsPartition(self, "current"), "current")
        partition = token("data.aws_partition", "current", "partition")
        name = launch.access_name
        named(
            IamRole(
                self,
                "node",
                name=name,
                description=f"NIXL/EFA nodes of {launch.stack_name}",
                assume_role_policy=json.dumps(ASSUMED_BY_EC2),
                permissions_boundary=launch.permissions_boundary or None,
                lifecycle=NAME_STAYS,
            ),
            "node",
        )
        role = token("aws_iam_role", "node", "name")
        own = named(
            IamRolePolicy(
                self,
                "policy",
                name="node",
                role=role,
                policy=json.dumps(node_policy(settings, bucket_arn=bucket.arn, partition=partition)),
            ),
            "node",
        )
        self.policies = [own]
        named(IamInstanceProfile(self, "profile", name=name, role=role, lifecycle=NAME_STAYS), "node")
        self.instance_profile = token("aws_iam_instance_profile", "node", "name")
