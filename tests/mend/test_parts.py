"""Which thing in AWS is which resource of the stack. The payloads are as botocore's EC2 model names their members."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from nixl_efa.mend.compare import Seen
from nixl_efa.mend.parts import IMPORTED, MADE_ANEW, Part, Surroundings, foreign, import_ids, parts_of
from tests.mend.test_compare import LAUNCHED
from tests.synthesis import settings_of, synthesize

STACK = synthesize("dev")
IDENTITY = settings_of("dev").stack_identity
PARTS = {part.address: part for part in parts_of(STACK)}
NAME = "nixl-efa-dev-producer"
NODE = Seen("i-p", NAME, IDENTITY, "running", LAUNCHED, "eni-p")
BUCKET = "nixl-efa-dev-20261126012015163600000001"
EMPTY = Surroundings(IDENTITY)


def tagged(**members: Any) -> dict[str, Any]:
    """Something with the producer's tags."""
    return {"Tags": [{"Key": "Name", "Value": NAME}, {"Key": "nixl-efa:stack", "Value": IDENTITY}], **members}


def primary(id: str, **members: Any) -> dict[str, Any]:
    """A primary interface. EC2 calls an interface's tags TagSet."""
    described = {"NetworkInterfaceId": id, "Description": f"{NAME}: primary interface"}
    return {"TagSet": tagged()["Tags"], **described, **members}


def rule(id: str, *, egress: bool, protocol: str = "-1", ports: int = -1, **peer: Any) -> dict[str, Any]:
    return {
        "SecurityGroupRuleId": id,
        "IsEgress": egress,
        "IpProtocol": protocol,
        "FromPort": ports,
        "ToPort": ports,
        **peer,
    }


SELF: Any = {"ReferencedGroupInfo": {"GroupId": "sg-1"}}
RULES = (
    rule("sgr-out", egress=True, CidrIpv4="0.0.0.0/0"),
    rule("sgr-to", egress=True, **SELF),
    rule("sgr-from", egress=False, **SELF),
    rule("sgr-8000", egress=False, protocol="tcp", ports=8000, CidrIpv4="172.31.0.0/16"),
    rule("sgr-8100", egress=False, protocol="tcp", ports=8100, CidrIpv4="172.31.0.0/16"),
)
EFA = {**primary("eni-efa"), "Description": ""}


@pytest.mark.parametrize(
    ("address", "there", "ids"),
    [
        ("aws_instance.producer", {}, []),
        ("aws_instance.producer", {"nodes": {NAME: NODE}}, ["i-p"]),
        ("aws_instance.consumer", {"nodes": {NAME: NODE}}, []),
        # A node's own link goes before a tag: it may have been changed by hand.
        ("aws_network_interface.producer", {"nodes": {NAME: NODE}}, ["eni-p"]),
        ("aws_network_interface.producer", {"interfaces": (EFA, primary("eni-1"))}, ["eni-1"]),
        ("aws_network_interface.producer", {"interfaces": (primary("eni-1"), primary("eni-2"))}, ["eni-1", "eni-2"]),
        ("aws_network_interface.producer", {"interfaces": ({**primary("eni-1"), "TagSet": []},)}, []),
        ("aws_eip.producer", {"addresses": (tagged(AllocationId="eipalloc-1"),)}, ["eipalloc-1"]),
        (
            "aws_eip.producer",
            {
                "nodes": {NAME: NODE},
                "addresses": (
                    tagged(AllocationId="eipalloc-1"),
                    tagged(AllocationId="eipalloc-2", NetworkInterfaceId="eni-p"),
                ),
            },
            ["eipalloc-2"],
        ),
        (
            "aws_launch_template.producer",
            {"templates": ({"LaunchTemplateName": NAME, "LaunchTemplateId": "lt-1"},)},
            ["lt-1"],
        ),
        (
            "aws_security_group.pair",
            {
                "groups": (
                    {"GroupName": "nixl-efa-dev-pair", "GroupId": "sg-1"},
                    {"GroupName": "nixl-efa-dev-pair", "GroupId": "sg-2"},
                ),
                "interfaces": (primary("eni-1", Groups=[{"GroupId": "sg-2"}]),),
            },
            ["sg-2"],
        ),
        ("aws_vpc_security_group_egress_rule.to_anywhere", {"rules": RULES}, ["sgr-out"]),
        ("aws_vpc_security_group_egress_rule.to_pair", {"rules": RULES}, ["sgr-to"]),
        ("aws_vpc_security_group_ingress_rule.from_pair", {"rules": RULES}, ["sgr-from"]),
        ("aws_vpc_security_group_ingress_rule.service_8100", {"rules": RULES}, ["sgr-8100"]),
        ("aws_vpc_security_group_ingress_rule.service_8200", {"rules": RULES}, []),
        (
            "aws_placement_group.pair",
            {"placement_groups": ({"GroupName": "nixl-efa-dev-pair"},)},
            ["nixl-efa-dev-pair"],
        ),
        ("aws_iam_role.node", {"roles": ("nixl-efa-dev-us-east-2",)}, ["nixl-efa-dev-us-east-2"]),
        ("aws_iam_instance_profile.node", {"profiles": ("nixl-efa-dev-us-east-2",)}, ["nixl-efa-dev-us-east-2"]),
        (
            "aws_s3_bucket.scripts",
            {"buckets": ("nixl-efa-dev-gpu-20261126012015163600000001", BUCKET, "nixl-efa-dev-notes")},
            [BUCKET],
        ),
        (
            "aws_s3_bucket.scripts",
            {
                "buckets": (BUCKET, "nixl-efa-dev-20261126012015163600000002"),
                "user_data": "PAIR_SCRIPTS_BUCKET=nixl-efa-dev-20261126012015163600000002\n",
            },
            ["nixl-efa-dev-20261126012015163600000002"],
        ),
        ("aws_s3_bucket_policy.scripts", {"buckets": (BUCKET,)}, []),
    ],
)  # fmt: skip
def test_each_resource_is_found_by_what_a_deployment_would_collide_with(
    address: str, there: Mapping[str, Any], ids: list[str]
) -> None:
    assert import_ids(PARTS[address], replace(EMPTY, **there)) == ids


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_every_kind_of_resource_of_a_stack_is_imported_or_made_anew(environment: str) -> None:
    kinds = {part.type for part in parts_of(synthesize(environment))}
    assert kinds - IMPORTED - MADE_ANEW == set()
    assert IMPORTED.isdisjoint(MADE_ANEW)


def test_what_carries_the_names_and_another_tag_is_foreign() -> None:
    theirs = {**primary("eni-1"), "TagSet": [{"Key": "nixl-efa:stack", "Value": "nixl-efa-dev s3://a/b"}]}
    assert foreign(replace(EMPTY, interfaces=(theirs, primary("eni-2"))), set()) == ["eni-1"]
    assert foreign(Surroundings("", interfaces=(theirs,)), set()) == []
    # A pair from before the tag: its state has the interface, or the node that it hangs on.
    old = {**theirs, "TagSet": []}
    assert foreign(replace(EMPTY, interfaces=(old,)), {"eni-1"}) == []
    efa = {**old, "NetworkInterfaceId": "eni-efa", "Attachment": {"InstanceId": "i-p"}}
    assert foreign(replace(EMPTY, interfaces=(efa,)), {"i-p"}) == []


def test_a_part_without_tags_has_no_name() -> None:
    assert Part("aws_iam_role", "node", {"name": "r"}).tag_name == ""
