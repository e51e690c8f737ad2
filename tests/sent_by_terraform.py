"""The RunInstances that a stack's JSON amounts to: what the AWS provider makes of `aws_instance`, and what EC2 merges
into it of the `aws_launch_template`.

tests/terraform/test_what_is_launched.py holds this against what the real provider sent.
"""

import base64
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from nixl_efa.bootstrap import plain
from nixl_efa.checks.launch_request import NOT_BEFORE_THE_STACK
from tests.synthesis import Json

# Gives the value of a Terraform expression such as "aws_security_group.pair.id".
ValueOf = Callable[[str], Any]


def sent_by_terraform(stack: Json, node: str, value_of: ValueOf, root_device: str) -> dict[str, Any]:
    """The merged request of one node, in the form of `comparable`."""
    instance: Json = stack["resource"]["aws_instance"][node]
    template: Json = stack["resource"]["aws_launch_template"][node]
    default_tags: Mapping[str, str] = stack["provider"]["aws"][0]["default_tags"][0]["tags"]
    root, metadata = instance["root_block_device"], instance["metadata_options"]

    def text(argument: str) -> str:
        return filled(argument, value_of)

    request: dict[str, Any] = {
        "InstanceType": instance["instance_type"],
        "ImageId": text(instance["ami"]),
        "NetworkInterfaces": [_interface(each, text) for each in template["network_interfaces"]],
        "BlockDeviceMappings": [
            {
                "DeviceName": root_device,
                "Ebs": {
                    "VolumeType": root["volume_type"],
                    "VolumeSize": root["volume_size"],
                    "Iops": root["iops"],
                    "Throughput": root["throughput"],
                    "Encrypted": root["encrypted"],
                    **({"KmsKeyId": root["kms_key_id"]} if "kms_key_id" in root else {}),
                    "DeleteOnTermination": root["delete_on_termination"],
                },
            }
        ],
        "MetadataOptions": {
            "HttpEndpoint": metadata["http_endpoint"],
            "HttpTokens": metadata["http_tokens"],
            "HttpPutResponseHopLimit": metadata["http_put_response_hop_limit"],
            "InstanceMetadataTags": metadata["instance_metadata_tags"],
            "HttpProtocolIpv6": "disabled",
        },
        "TagSpecifications": {
            "instance": {**default_tags, **instance["tags"]},
            # root_block_device.tags follow when the volume is there.
            "volume": dict(default_tags),
            **{each["resource_type"]: each["tags"] for each in template["tag_specifications"]},
        },
        "IamInstanceProfile": {"Name": text(instance["iam_instance_profile"])},
        "Placement": {"AvailabilityZone": ""},
        "UserData": plain(text(instance["user_data"])),
        # The provider's own defaults.
        "Monitoring": {"Enabled": False},
        "HibernationOptions": {"Configured": False},
        "DisableApiTermination": False,
        "EbsOptimized": False,
    }
    if "placement_group" in instance:
        request["Placement"]["GroupName"] = text(instance["placement_group"])
    if "key_name" in instance:
        request["KeyName"] = instance["key_name"]
    if "instance_market_options" in instance:
        request["InstanceMarketOptions"] = {"MarketType": instance["instance_market_options"]["market_type"]}
    if "capacity_reservation_specification" in instance:
        target = instance["capacity_reservation_specification"]["capacity_reservation_target"]
        request["CapacityReservationSpecification"] = {
            "CapacityReservationTarget": {"CapacityReservationId": text(target["capacity_reservation_id"])}
        }
    return request


def _interface(given: Json, text: Callable[[str], str]) -> dict[str, Any]:
    names = {
        "network_card_index": "NetworkCardIndex",
        "device_index": "DeviceIndex",
        "interface_type": "InterfaceType",
        "delete_on_termination": "DeleteOnTermination",
    }
    interface = {names[name]: value for name, value in given.items() if name in names}
    if "network_interface_id" in given:
        interface["NetworkInterfaceId"] = text(given["network_interface_id"])
    if "subnet_id" in given:
        interface["SubnetId"] = text(given["subnet_id"])
        interface["Groups"] = [text(group) for group in given["security_groups"]]
    assert set(given) <= {*names, "network_interface_id", "subnet_id", "security_groups"}, given
    return interface


def comparable(request: Mapping[str, Any]) -> dict[str, Any]:
    """A request of RunInstances with its tags as tables by kind, its user data as text, without its count."""
    result = {
        name: value for name, value in request.items() if name not in ("DryRun", "MinCount", "MaxCount")
    }
    result["TagSpecifications"] = {
        each["ResourceType"]: {tag["Key"]: tag["Value"] for tag in each["Tags"]}
        for each in request["TagSpecifications"]
    }
    if not request["UserData"].startswith("#cloud-config"):
        result["UserData"] = base64.b64decode(request["UserData"]).decode()
    return result


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The members in which two requests differ, such as "NetworkInterfaces[1].Groups"."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for name in {**one, **other}:
            yield from differences(one.get(name), other.get(name), f"{path}.{name}".lstrip("."))
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for position, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from differences(left, right, f"{path}[{position}]")
    elif one != other:
        yield path


def explains(name: str, member: str) -> bool:
    """Whether an entry of NOT_BEFORE_THE_STACK is about a member; "[]" is any position."""
    pattern = re.escape(name).replace(r"\[\]", r"\[\d+\]")
    return re.match(rf"{pattern}(?![\w])", member) is not None


def unexplained(sent: Any, asked: Any) -> list[str]:
    """The members in which the stack's request and the dry run's differ without a reason that is written down."""
    names = [name for names in NOT_BEFORE_THE_STACK for name in names.split(", ")]
    return [
        member for member in differences(sent, asked) if not any(explains(name, member) for name in names)
    ]


def parameter_of(stack: Json, expression: str) -> str:
    """The parameter of Parameter Store whose value a local such as "local.zone" is (constructs_lib/parameters.py)."""
    text: str = stack["locals"][expression.removeprefix("local.")]
    found = re.search(r'"(/[^"]+)"', text)
    assert found, text
    return found[1]


def filled(text: str, value_of: ValueOf) -> str:
    """Text with the values of its Terraform expressions."""
    # "$${" is Terraform's escape for a literal "${".
    return re.sub(r"(?<!\$)\$\{([a-z_0-9.]+)\}", lambda found: str(value_of(found[1])), text)
