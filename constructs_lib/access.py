"""What the nodes may do in AWS: Session Manager, their scripts bucket, session logs; MLflow when it is given."""

from __future__ import annotations

import json
from collections.abc import Sequence

from cdktf import ITerraformDependable
from cdktf_cdktf_provider_aws.data_aws_partition import DataAwsPartition
from cdktf_cdktf_provider_aws.iam_instance_profile import IamInstanceProfile
from cdktf_cdktf_provider_aws.iam_role import IamRole
from cdktf_cdktf_provider_aws.iam_role_policy import IamRolePolicy
from cdktf_cdktf_provider_aws.iam_role_policy_attachment import IamRolePolicyAttachment
from constructs import Construct

from constructs_lib.scripts_bucket import ScriptsBucket
from constructs_lib.terraform import NAME_STAYS, named, token
from nixl_efa.launch import Launch
from nixl_efa.settings import Settings

Statement = dict[str, object]


class NodeAccess(Construct):
    """One role and instance profile for both nodes. `policies` must be attached before a node boots."""

    def __init__(
        self, scope: Construct, id: str, *, settings: Settings, launch: Launch, bucket: ScriptsBucket
    ) -> None:
        super().__init__(scope, id)
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
                lifecycle=NAME_STAYS,
            ),
            "node",
        )
        role = token("aws_iam_role", "node", "name")
        managed = named(
            IamRolePolicyAttachment(
                self,
                "session_manager",
                role=role,
                policy_arn=f"arn:{partition}:iam::aws:policy/AmazonSSMManagedInstanceCore",
            ),
            "session_manager",
        )
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
        self.policies: Sequence[ITerraformDependable] = [managed, own]
        named(IamInstanceProfile(self, "profile", name=name, role=role, lifecycle=NAME_STAYS), "node")
        self.instance_profile: str = token("aws_iam_instance_profile", "node", "name")


ASSUMED_BY_EC2: Statement = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
    ],
}


def node_policy(settings: Settings, *, bucket_arn: str, partition: str) -> Statement:
    """The nodes' own policy; no action on anything but what the settings name."""
    return {
        "Version": "2012-10-17",
        "Statement": [
            *_scripts_bucket(bucket_arn),
            *_session_logs(settings.region, partition),
            *_mlflow(settings),
        ],
    }


def _scripts_bucket(bucket_arn: str) -> list[Statement]:
    return [
        _allow("ListScripts", ["s3:GetBucketLocation", "s3:ListBucket"], [bucket_arn]),
        _allow("ReadAndWriteScripts", ["s3:GetObject", "s3:PutObject"], [f"{bucket_arn}/*"]),
    ]


def _session_logs(region: str, partition: str) -> list[Statement]:
    """What Session Manager needs to log a session (Systems Manager user guide, getting-started-create-iam-instance-
    profile). The log group is chosen in the account's Session Manager preferences; its name begins with /aws/ssm.
    """
    groups = f"arn:{partition}:logs:{region}:*:log-group"
    return [
        _allow("FindSessionLogs", ["logs:DescribeLogGroups"], [f"{groups}:*"]),
        _allow(
            "WriteSessionLogs",
            ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"],
            [f"{groups}:/aws/ssm*", f"{groups}:/aws/ssm*:log-stream:*"],
        ),
    ]


def _mlflow(settings: Settings) -> list[Statement]:
    """SageMaker's managed MLflow (SageMaker user guide, mlflow-create-tracking-server-iam), each part when given."""
    statements = []
    if settings.mlflow_tracking_server_arn:
        actions = ["sagemaker-mlflow:*", "sagemaker:DescribeMlflowTrackingServer"]
        statements.append(_allow("UseMlflow", actions, [settings.mlflow_tracking_server_arn]))
    if settings.mlflow_artifact_bucket_arn:
        bucket = settings.mlflow_artifact_bucket_arn
        statements += [
            _allow("ListArtifacts", ["s3:GetBucketLocation", "s3:ListBucket"], [bucket]),
            _allow("ReadAndWriteArtifacts", ["s3:GetObject", "s3:PutObject"], [f"{bucket}/*"]),
        ]
    return statements


def _allow(sid: str, actions: list[str], resources: list[str]) -> Statement:
    return {"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources}
