"""What the nodes' role may do in AWS: the stack's role allows exactly this, and a role of the user must allow it.
Pure."""

from nixl_efa.settings import Settings

Statement = dict[str, object]

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
            _systems_manager(),
            *_scripts_bucket(bucket_arn),
            *_models_bucket(settings, partition),
            *_block_end(settings),
            *_session_logs(settings.region, partition),
            *_mlflow(settings),
        ],
    }


def _systems_manager() -> Statement:
    """What the agent needs for Session Manager and Run Command (Systems Manager user guide, getting-started-create-iam-
    instance-profile and systems-manager-setting-up-messageAPIs: ec2messages where an agent gets no commands through
    ssmmessages). AmazonSSMManagedInstanceCore would let a node read every parameter of the account.
    """
    channels = [f"{verb}{kind}Channel" for kind in ("Control", "Data") for verb in ("Create", "Open")]
    messages = [
        "AcknowledgeMessage",
        "DeleteMessage",
        "FailMessage",
        "GetEndpoint",
        "GetMessages",
        "SendReply",
    ]
    return _allow(
        "SystemsManager",
        [
            "ssm:UpdateInstanceInformation",
            *(f"ssmmessages:{channel}" for channel in channels),
            *(f"ec2messages:{message}" for message in messages),
        ],
        ["*"],
    )


def _scripts_bucket(bucket_arn: str) -> list[Statement]:
    return [
        _allow("ListScripts", ["s3:GetBucketLocation", "s3:ListBucket"], [bucket_arn]),
        _allow("ReadAndWriteScripts", ["s3:GetObject", "s3:PutObject"], [f"{bucket_arn}/*"]),
    ]


def _models_bucket(settings: Settings, partition: str) -> list[Statement]:
    """Models that were staged in a bucket of the user's own; nothing is written there."""
    if not settings.models_bucket:
        return []
    bucket = f"arn:{partition}:s3:::{settings.models_bucket}"
    return [
        _allow("ListModels", ["s3:GetBucketLocation", "s3:ListBucket"], [bucket]),
        _allow("ReadModels", ["s3:GetObject"], [f"{bucket}/*"]),
    ]


def _block_end(settings: Settings) -> list[Statement]:
    """A node in a Capacity Block asks when the block ends, which an extension changes (docs/serve.md). The action has
    no resources (Service Authorization Reference)."""
    if not any(settings.of(part).use_capacity_block for part in settings.parts):
        return []
    return [_allow("AskWhenTheBlockEnds", ["ec2:DescribeCapacityReservations"], ["*"])]


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
