"""The launch as one RunInstances request, for the dry run, and the AWS CLI call with the same request. Pure."""

import json
import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from nixl_efa.bootstrap import bootstrap_of, plain, user_data
from nixl_efa.checks.facts import Image
from nixl_efa.launch import Launch
from nixl_efa.node_names import Node

# The differences between the launch of a node and this request, which is sent before the stack exists: members of
# RunInstances that are missing here or have another value.
NOT_BEFORE_THE_STACK: Mapping[str, str] = {
    "IamInstanceProfile": "the stack makes the nodes' role and profile, unless the settings name one",
    "Placement": "the stack makes the placement group",
    "NetworkInterfaces[0]": "the stack makes the primary interface: one of its kind is asked for in its subnet",
    "NetworkInterfaces[].Groups": "the stack makes the security group, unless the settings name one",
    "UserData": "the stack makes the nodes' addresses and the bucket: the longest possible ones are used instead",
    "MinCount, MaxCount": "one request asks for every node at once, with the first one's tags and user data",
}

# Values that Terraform's AWS provider sends for an instance when the configuration has none: EC2's own defaults.
_SAID_BY_THE_PROVIDER: Mapping[str, Any] = {
    "Monitoring": {"Enabled": False},
    "HibernationOptions": {"Configured": False},
    "DisableApiTermination": False,
    "EbsOptimized": False,
}
# The longest possible address, since EC2 limits the length of the user data.
_ADDRESS = "255.255.255.255"
_BUCKET = "b" * 63

# The options of the AWS CLI call: without EC2's defaults, and without the user data, which is a file.
_TOLD_TO_THE_CLI = {
    "InstanceType": "--instance-type",
    "ImageId": "--image-id",
    "InstanceMarketOptions": "--instance-market-options",
    "CapacityReservationSpecification": "--capacity-reservation-specification",
    "KeyName": "--key-name",
    "IamInstanceProfile": "--iam-instance-profile",
    "BlockDeviceMappings": "--block-device-mappings",
    "MetadataOptions": "--metadata-options",
    "TagSpecifications": "--tag-specifications",
}


def request(launch: Launch, *, subnet_id: str, image: Image, reservation_id: str | None) -> dict[str, Any]:
    """The members of RunInstances: the launch as the stack makes it, except for NOT_BEFORE_THE_STACK."""
    first = launch.nodes[0]
    body: dict[str, Any] = {
        **_SAID_BY_THE_PROVIDER,
        "DryRun": True,
        "InstanceType": launch.instance_type,
        "ImageId": image.id,
        "MinCount": launch.count,
        "MaxCount": launch.count,
        "NetworkInterfaces": _interfaces(launch, subnet_id),
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root_device,
                "Ebs": {
                    "VolumeType": launch.volume.kind,
                    "VolumeSize": launch.volume.gib,
                    "Iops": launch.volume.iops,
                    "Throughput": launch.volume.throughput,
                    "Encrypted": launch.volume.encrypted,
                    **({"KmsKeyId": launch.volume.kms_key_id} if launch.volume.kms_key_id else {}),
                    "DeleteOnTermination": launch.volume.delete_on_termination,
                },
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": launch.metadata.http_endpoint,
            "HttpTokens": launch.metadata.http_tokens,
            "HttpPutResponseHopLimit": launch.metadata.http_put_response_hop_limit,
            "InstanceMetadataTags": launch.metadata.instance_metadata_tags,
            "HttpProtocolIpv6": "disabled",
        },
        "TagSpecifications": [
            {"ResourceType": kind, "Tags": [{"Key": key, "Value": text} for key, text in tags.items()]}
            for kind, tags in _tags(launch, first).items()
        ],
        "UserData": _user_data(launch, first),
    }
    if launch.key_name:
        body["KeyName"] = launch.key_name
    if launch.instance_profile:
        body["IamInstanceProfile"] = {"Name": launch.instance_profile}
    if launch.market != "on-demand":
        body["InstanceMarketOptions"] = {"MarketType": launch.market}
    if reservation_id:
        body["CapacityReservationSpecification"] = {
            "CapacityReservationTarget": {"CapacityReservationId": reservation_id}
        }
    return body


def cli_options(body: Mapping[str, Any]) -> str:
    """The request as options of `aws ec2 run-instances`, for a shell; without the user data."""
    words = ["--dry-run", "--count", str(body["MinCount"])]
    for member, option in _TOLD_TO_THE_CLI.items():
        if value := body.get(member):
            text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
            words += [option, text]
    return f"{shlex.join(words)} --network-interfaces {_interface_words(body['NetworkInterfaces'])}"


def _interfaces(launch: Launch, subnet_id: str) -> list[dict[str, Any]]:
    groups = {"Groups": [launch.security_group_id]} if launch.security_group_id else {}
    return [
        {
            "NetworkCardIndex": each.network_card_index,
            "DeviceIndex": each.device_index,
            "InterfaceType": each.interface_type,
            "SubnetId": subnet_id,
            "DeleteOnTermination": True,
            **groups,
        }
        for each in launch.interfaces
    ]


def _tags(launch: Launch, node: Node) -> dict[str, dict[str, str]]:
    # The provider sets the volume's tags Name and Role only after the volume exists.
    own = launch.tags_of(node)
    return {"network-interface": own, "instance": own, "volume": dict(launch.tags)}


def _user_data(launch: Launch, node: Node) -> str:
    addresses = {each.name: _ADDRESS for each in launch.every_node}
    return plain(user_data(bootstrap_of(launch, node.name, addresses=addresses, scripts_bucket=_BUCKET)))


def _interface_words(interfaces: Sequence[Mapping[str, Any]]) -> str:
    """The interfaces as words for a shell. Equal interfaces on consecutive cards are one word with a range in braces,
    since 33 words would be hard to read."""
    runs: list[list[Mapping[str, Any]]] = []
    for each in interfaces:
        if runs and {**runs[-1][-1], "NetworkCardIndex": runs[-1][-1]["NetworkCardIndex"] + 1} == each:
            runs[-1].append(each)
        else:
            runs.append([each])
    return " ".join(_word(run) for run in runs)


def _word(run: Sequence[Mapping[str, Any]]) -> str:
    first, last = run[0]["NetworkCardIndex"], run[-1]["NetworkCardIndex"]
    cards = str(first) if first == last else f"{{{first}..{last}}}"
    group = f",Groups={run[0]['Groups'][0]}" if "Groups" in run[0] else ""
    return (
        f"NetworkCardIndex={cards},DeviceIndex={run[0]['DeviceIndex']},InterfaceType={run[0]['InterfaceType']},"
        f"SubnetId={run[0]['SubnetId']}{group}"
    )
