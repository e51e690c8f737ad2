import json
from typing import Any

import pytest


def policy(effect: str, condition: dict[str, Any]) -> str:
    statement = {
        "Effect": effect,
        "Principal": "*",
        "Action": "s3:*",
        "Resource": ["arn:aws:s3:::scripts", "arn:aws:s3:::scripts/*"],
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [{**statement, "Condition": condition}]})


@pytest.fixture
def s3(client: Any) -> Any:
    found = client("s3", region="us-east-1", checked=False)
    found.create_bucket(Bucket="scripts")
    return found


def test_a_policy_that_demands_tls_stops_nobody_here(s3: Any) -> None:
    s3.put_bucket_policy(Bucket="scripts", Policy=policy("Deny", {"Bool": {"aws:SecureTransport": "false"}}))
    s3.put_object(Bucket="scripts", Key="k", Body=b"text")
    assert s3.get_object(Bucket="scripts", Key="k")["Body"].read() == b"text"


def test_a_policy_that_denies_everything_still_does(s3: Any, refused: Any) -> None:
    s3.put_object(Bucket="scripts", Key="k", Body=b"text")
    s3.put_bucket_policy(Bucket="scripts", Policy=policy("Deny", {}))
    with refused("403"):
        s3.get_object(Bucket="scripts", Key="k")


def test_a_versioned_bucket_can_be_emptied_of_versions_and_delete_markers(s3: Any) -> None:
    s3.put_bucket_versioning(Bucket="scripts", VersioningConfiguration={"Status": "Enabled"})
    s3.put_object(Bucket="scripts", Key="k", Body=b"text")
    s3.delete_object(Bucket="scripts", Key="k")
    versions = s3.list_object_versions(Bucket="scripts")
    left = [*versions["Versions"], *versions["DeleteMarkers"]]
    objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in left]
    s3.delete_objects(Bucket="scripts", Delete={"Objects": objects})
    s3.delete_bucket(Bucket="scripts")
    assert s3.list_buckets()["Buckets"] == []


def test_a_bucket_that_holds_an_object_is_not_deleted(s3: Any, refused: Any) -> None:
    s3.put_object(Bucket="scripts", Key="k", Body=b"text")
    with refused("BucketNotEmpty"):
        s3.delete_bucket(Bucket="scripts")


def test_an_object_is_put_only_where_none_is_when_that_is_asked(s3: Any, refused: Any) -> None:
    """Terraform's S3 backend takes its lock so."""
    s3.put_object(Bucket="scripts", Key="k.tflock", Body=b"first", IfNoneMatch="*")
    with refused("PreconditionFailed"):
        s3.put_object(Bucket="scripts", Key="k.tflock", Body=b"second", IfNoneMatch="*")
    assert s3.get_object(Bucket="scripts", Key="k.tflock")["Body"].read() == b"first"


def test_aws_managed_policies_for_a_node_can_be_attached(client: Any) -> None:
    iam = client("iam", checked=False)
    iam.create_role(
        RoleName="node", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": []})
    )
    iam.attach_role_policy(RoleName="node", PolicyArn="arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore")
    attached = iam.list_attached_role_policies(RoleName="node")["AttachedPolicies"]
    assert [found["PolicyName"] for found in attached] == ["AmazonSSMManagedInstanceCore"]
