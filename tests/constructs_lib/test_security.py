"""Who may talk to the nodes, what the nodes may do, and how their data is kept."""

import json
from typing import Any

import pytest

from nixl_efa.node_policy import node_policy
from nixl_efa.settings import Settings
from tests.synthesis import resources, synthesize

TRACKING = "arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/kv"
ARTIFACTS = "arn:aws:s3:::kv-artifacts"
SELF = "${aws_security_group.pair.id}"


def rules(stack: dict[str, Any], direction: str) -> list[tuple[Any, ...]]:
    """(peer, protocol, first port, last port) of every rule of a direction."""
    found = resources(stack, f"aws_vpc_security_group_{direction}_rule").values()
    return [
        (
            rule.get("referenced_security_group_id") or rule["cidr_ipv4"],
            rule["ip_protocol"],
            rule.get("from_port"),
            rule.get("to_port"),
        )
        for rule in found
    ]


def test_the_nodes_reach_each_other_by_every_protocol_in_both_directions() -> None:
    stack = synthesize("prod")

    assert (SELF, "-1", None, None) in rules(stack, "ingress")
    assert (SELF, "-1", None, None) in rules(stack, "egress")


def test_from_outside_only_the_service_ports_are_open_and_only_to_the_vpc() -> None:
    outside = [rule for rule in rules(synthesize("prod"), "ingress") if rule[0] != SELF]

    vpc = '${try(data.aws_vpc.vpc[0].cidr_block, "127.0.0.1/32")}'
    further = ("${each.value.cidr}", "tcp", "${each.value.port}", "${each.value.port}")
    assert outside == [*((vpc, "tcp", port, port) for port in (8000, 8100, 8200)), further]


def test_the_service_ports_are_open_to_the_given_blocks_in_place_of_the_vpc() -> None:
    stack = synthesize("prod", service_ports=[8000], service_cidrs=["10.20.0.0/16", "192.168.7.0/24"])
    outside = [rule for rule in rules(stack, "ingress") if rule[0] != SELF]
    further = resources(stack, "aws_vpc_security_group_ingress_rule")["services_further"]

    assert outside[0] == ("10.20.0.0/16", "tcp", 8000, 8000)
    assert 'setproduct([8000], ["192.168.7.0/24"])' in further["for_each"]
    assert "vpc" not in str(outside)


def test_the_nodes_reach_the_internet() -> None:
    assert ("0.0.0.0/0", "-1", None, None) in rules(synthesize("prod"), "egress")


def test_a_given_security_group_is_used_and_none_is_made() -> None:
    stack = synthesize("dev", security_group_id="sg-0123456789abcdef0")

    assert "aws_security_group" not in stack["resource"]
    interface = resources(stack, "aws_network_interface")["consumer"]
    assert interface["security_groups"] == ["sg-0123456789abcdef0"]


def test_metadata_needs_a_token_and_the_root_volume_is_encrypted() -> None:
    for node in resources(
        synthesize("prod", volume_iops=9000, volume_throughput=700), "aws_instance"
    ).values():
        assert node["metadata_options"]["http_tokens"] == "required"
        assert node["metadata_options"]["http_put_response_hop_limit"] == 2
        assert {key: value for key, value in node["root_block_device"].items() if key != "tags"} == {
            "delete_on_termination": True,
            "encrypted": True,
            "iops": 9000,
            "throughput": 700,
            "volume_size": 1000,
            "volume_type": "gp3",
        }


def test_no_key_pair_is_named_unless_it_is_given() -> None:
    assert "key_name" not in resources(synthesize("dev"), "aws_instance")["producer"]
    assert resources(synthesize("dev", key_name="kv"), "aws_instance")["producer"]["key_name"] == "kv"


def statements(**settings: object) -> dict[str, dict[str, Any]]:
    policy = json.loads(resources(synthesize("dev", **settings), "aws_iam_role_policy")["node"]["policy"])
    return {statement["Sid"]: statement for statement in policy["Statement"]}


def test_the_nodes_read_and_write_their_own_bucket_and_no_other() -> None:
    own = {"${aws_s3_bucket.scripts.arn}", "${aws_s3_bucket.scripts.arn}/*"}
    s3 = [one for one in statements().values() if any(action.startswith("s3:") for action in one["Action"])]

    assert s3
    assert {resource for statement in s3 for resource in statement["Resource"]} == own


def test_session_manager_may_manage_the_nodes_and_log_sessions() -> None:
    log = statements()["WriteSessionLogs"]

    assert "aws_iam_role_policy_attachment" not in synthesize("dev")["resource"]
    # Systems Manager user guide, getting-started-create-iam-instance-profile, systems-manager-setting-up-messageAPIs.
    assert set(statements()["SystemsManager"]["Action"]) == {
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
        "ec2messages:AcknowledgeMessage",
        "ec2messages:DeleteMessage",
        "ec2messages:FailMessage",
        "ec2messages:GetEndpoint",
        "ec2messages:GetMessages",
        "ec2messages:SendReply",
    }
    assert set(log["Action"]) == {"logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"}
    assert all(":log-group:/aws/ssm" in resource for resource in log["Resource"])


@pytest.mark.parametrize(
    ("settings", "asks"),
    [
        ({}, False),
        ({"capacity_reservation_id": "cr-0123456789abcdef0"}, False),
        ({"capacity_reservation_id": "cr-0123456789abcdef0", "use_capacity_block": True}, True),
        (
            {"capacity": ({"capacity_reservation_id": "cr-0123456789abcdef0", "use_capacity_block": True},)},
            True,
        ),
    ],
)
def test_a_node_asks_for_the_end_of_a_capacity_block_where_it_may_be_in_one(
    settings: dict[str, Any], asks: bool
) -> None:
    found = node_policy(
        Settings(name="dev", instance_type="p5.48xlarge", region="us-east-2", **settings),
        bucket_arn="arn:aws:s3:::x",
        partition="aws",
    )
    assert ("ec2:DescribeCapacityReservations" in json.dumps(found)) == asks
    actions = [action for one in statements().values() for action in one["Action"]]
    assert not any(action.startswith("ec2:") for action in actions)


def test_a_node_reads_no_parameter_of_the_account() -> None:
    actions = [
        action for one in statements(mlflow_tracking_server_arn=TRACKING).values() for action in one["Action"]
    ]
    assert [action for action in actions if action.startswith("ssm:")] == ["ssm:UpdateInstanceInformation"]
    everywhere = [one["Sid"] for one in statements().values() if "*" in one["Resource"]]
    assert everywhere == ["SystemsManager"]


def test_mlflow_is_reached_only_when_its_arns_are_given() -> None:
    assert not [sid for sid in statements() if "Mlflow" in sid or "Artifacts" in sid]

    with_server = statements(mlflow_tracking_server_arn=TRACKING)
    assert with_server["UseMlflow"]["Resource"] == [TRACKING]
    assert "ReadAndWriteArtifacts" not in with_server
    with_bucket = statements(mlflow_artifact_bucket_arn=ARTIFACTS)
    assert with_bucket["ReadAndWriteArtifacts"]["Resource"] == [f"{ARTIFACTS}/*"]
    assert "UseMlflow" not in with_bucket


def test_a_bucket_of_models_is_only_read() -> None:
    assert "ReadModels" not in statements()
    given = statements(models_bucket="acme-models")
    assert given["ReadModels"]["Resource"] == [
        "arn:${data.aws_partition.current.partition}:s3:::acme-models/*"
    ]
    assert (given["ReadModels"]["Action"], given["ListModels"]["Action"]) == (
        ["s3:GetObject"],
        ["s3:GetBucketLocation", "s3:ListBucket"],
    )


def test_the_scripts_bucket_is_encrypted_closed_to_the_public_and_refuses_plain_http() -> None:
    stack = synthesize("dev")
    rule = resources(stack, "aws_s3_bucket_server_side_encryption_configuration")["scripts"]["rule"][0]
    block = resources(stack, "aws_s3_bucket_public_access_block")["scripts"]
    policy = json.loads(resources(stack, "aws_s3_bucket_policy")["scripts"]["policy"])

    assert rule["apply_server_side_encryption_by_default"] == {"sse_algorithm": "AES256"}
    for guard in (
        "block_public_acls",
        "block_public_policy",
        "ignore_public_acls",
        "restrict_public_buckets",
    ):
        assert block[guard] is True
    [statement] = policy["Statement"]
    assert (statement["Effect"], statement["Principal"], statement["Action"]) == ("Deny", "*", "s3:*")
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
