from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from local_aws import LocalAws

if TYPE_CHECKING:
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient


@pytest.fixture
def nodes(ec2: EC2Client, client: Any, image: str, subnet: str) -> list[str]:
    """Two instances with a profile."""
    client("iam", checked=False).create_instance_profile(InstanceProfileName="node")
    given: Any = {"ImageId": image, "InstanceType": "g7e.8xlarge", "SubnetId": subnet}
    profile: Any = {"Name": "node"}
    answer = ec2.run_instances(MinCount=2, MaxCount=2, IamInstanceProfile=profile, **given)
    return [instance["InstanceId"] for instance in answer["Instances"]]


def run(ssm: SSMClient, instance: str) -> Any:
    command = ssm.send_command(
        InstanceIds=[instance], DocumentName="AWS-RunShellScript", Parameters={"commands": ["fi_info -p efa"]}
    )["Command"]
    return ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=instance)


def test_a_command_answers_what_was_set_for_its_instance(
    aws: LocalAws, ssm: SSMClient, nodes: list[str]
) -> None:
    aws.command_output(nodes[0], stdout="provider: efa\n")
    aws.command_output("*", stderr="fi_getinfo: -61\n", code=61)
    good, bad = (run(ssm, node) for node in nodes)
    assert (good["Status"], good["ResponseCode"], good["StandardOutputContent"]) == (
        "Success",
        0,
        "provider: efa\n",
    )
    assert (bad["Status"], bad["ResponseCode"], bad["StandardErrorContent"]) == (
        "Failed",
        61,
        "fi_getinfo: -61\n",
    )


def test_a_command_answers_nothing_when_nothing_was_set(ssm: SSMClient, nodes: list[str]) -> None:
    answer = run(ssm, nodes[0])
    assert (answer["Status"], answer["StandardOutputContent"]) == ("Success", "")


def test_a_command_goes_to_the_instances_that_it_names_alone(ssm: SSMClient, nodes: list[str]) -> None:
    command = ssm.send_command(InstanceIds=[nodes[0]], DocumentName="AWS-RunShellScript")["Command"]
    assert command["InstanceIds"] == [nodes[0]]
    with pytest.raises(ssm.exceptions.InvocationDoesNotExist):
        ssm.get_command_invocation(CommandId=command["CommandId"], InstanceId=nodes[1])


def test_a_session_needs_a_managed_instance(ec2: EC2Client, ssm: SSMClient, nodes: list[str]) -> None:
    assert ssm.start_session(Target=nodes[0])["StreamUrl"].startswith("wss://")
    ec2.stop_instances(InstanceIds=[nodes[0]])
    with pytest.raises(ssm.exceptions.TargetNotConnected, match=f"{nodes[0]} is not connected"):
        ssm.start_session(Target=nodes[0])


def test_an_answer_can_be_different_from_call_to_call(
    aws: LocalAws, ssm: SSMClient, nodes: list[str]
) -> None:
    aws.command_output(nodes[0], stdout="one")
    assert run(ssm, nodes[0])["StandardOutputContent"] == "one"
    aws.command_output(nodes[0], stdout="two")
    assert run(ssm, nodes[0])["StandardOutputContent"] == "two"


def test_the_running_instances_with_a_profile_are_managed(
    ec2: EC2Client, ssm: SSMClient, nodes: list[str], image: str, subnet: str, refused: Any
) -> None:
    given: Any = {"ImageId": image, "InstanceType": "g7e.8xlarge", "SubnetId": subnet}
    bare = ec2.run_instances(MinCount=1, MaxCount=1, **given)["Instances"][0]["InstanceId"]
    ec2.stop_instances(InstanceIds=[nodes[1]])
    found = ssm.describe_instance_information()["InstanceInformationList"]
    assert [(item["InstanceId"], item["PingStatus"]) for item in found] == [(nodes[0], "Online")]
    for instance in (bare, nodes[1]):
        with refused("InvalidInstanceId", instance):
            run(ssm, instance)


def test_managed_instances_are_found_by_id(ssm: SSMClient, nodes: list[str]) -> None:
    found = ssm.describe_instance_information(Filters=[{"Key": "InstanceIds", "Values": [nodes[1]]}])
    assert [item["InstanceId"] for item in found["InstanceInformationList"]] == [nodes[1]]


def test_a_command_that_never_was_has_no_answer(ssm: SSMClient, nodes: list[str], refused: Any) -> None:
    command = "00000000-0000-0000-0000-000000000000"
    with refused("InvalidCommandId"):
        ssm.get_command_invocation(CommandId=command, InstanceId=nodes[0])


def test_the_whole_of_an_output_is_in_the_bucket_that_the_command_names(
    aws: LocalAws, ssm: SSMClient, client: Any, nodes: list[str]
) -> None:
    s3 = client("s3", checked=False)
    where: Any = {"LocationConstraint": s3.meta.region_name}
    s3.create_bucket(Bucket="outputs", CreateBucketConfiguration=where)
    aws.command_output(nodes[0], stdout="long\n" * 10_000)
    for bucket, kept in (("outputs", ["stdout"]), ("not-there", [])):
        command = ssm.send_command(
            InstanceIds=[nodes[0]],
            DocumentName="AWS-RunShellScript",
            Parameters={"commands": ["true"]},
            OutputS3BucketName=bucket,
            OutputS3KeyPrefix="some/where",
        )["Command"]["CommandId"]
        found = ssm.get_command_invocation(CommandId=command, InstanceId=nodes[0])
        assert (found["Status"], len(found["StandardOutputContent"])) == ("Success", 24_000)
        folder = f"some/where/{command}/{nodes[0]}/awsrunShellScript/0.awsrunShellScript"
        assert found["StandardOutputUrl"].endswith(f"/{bucket}/{folder}/stdout")
        listed = s3.list_objects_v2(Bucket="outputs", Prefix=f"{folder}/").get("Contents", [])
        assert [one["Key"] for one in listed] == [f"{folder}/{name}" for name in kept]
    # Written once: what is deleted does not come back when it is asked for again.
    (kept_object,) = s3.list_objects_v2(Bucket="outputs")["Contents"]
    assert s3.get_object(Bucket="outputs", Key=kept_object["Key"])["Body"].read() == b"long\n" * 10_000
    s3.delete_object(Bucket="outputs", Key=kept_object["Key"])
    first = kept_object["Key"].split("/")[2]
    ssm.get_command_invocation(CommandId=first, InstanceId=nodes[0])
    assert "Contents" not in s3.list_objects_v2(Bucket="outputs")


def test_a_command_that_there_is_not_is_not_cancelled(ssm: SSMClient, nodes: list[str]) -> None:
    done = run(ssm, nodes[0])
    ssm.cancel_command(CommandId=done["CommandId"])
    with pytest.raises(ssm.exceptions.InvalidCommandId):
        ssm.cancel_command(CommandId="00000000-0000-0000-0000-000000000000")
    again = ssm.get_command_invocation(CommandId=done["CommandId"], InstanceId=nodes[0])
    assert again["Status"] == "Success"


def test_a_session_of_a_document_that_there_is_not_is_refused(ssm: SSMClient, nodes: list[str]) -> None:
    ports = {"portNumber": ["80"], "localPortNumber": ["8080"]}
    assert ssm.start_session(
        Target=nodes[0], DocumentName="AWS-StartPortForwardingSession", Parameters=ports
    )["SessionId"]
    with pytest.raises(ssm.exceptions.InvalidDocument):
        ssm.start_session(Target=nodes[0], DocumentName="AWS-StartNothing")
