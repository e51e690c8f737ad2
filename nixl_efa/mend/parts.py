"""Finds resources of the stack that are in AWS and not in its state, and the ids by which Terraform imports them.

They are recognized by what would make Terraform's create call fail: a name, a tag, or a link to the node. Pure.
"""

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from nixl_efa.mend.compare import Seen
from nixl_efa.settings.model import STACK_TAG

Payload = Mapping[str, Any]

# What the provider (helper/id of Terraform's plugin SDK) adds to a `bucket_prefix`: a time of 18 digits and a counter
# of 8 hexadecimal digits.
_UNIQUE = "[0-9]{18}[0-9a-f]{8}"
# Their create calls overwrite what exists (PutBucketPolicy, PutRolePolicy, ...), so a deployment creates them without
# an error; terraform_data does not exist in AWS (see `frozen`).
MADE_ANEW = frozenset(
    {
        "aws_iam_role_policy",
        "aws_s3_bucket_policy",
        "aws_s3_bucket_public_access_block",
        "aws_s3_bucket_server_side_encryption_configuration",
        "aws_s3_object",
        "terraform_data",
    }
)


# Resources that a node has from its launch on, without a unique name: a deployment whose state does not have the node
# creates another one.
OF_NODES = frozenset({"aws_network_interface", "aws_eip", "aws_s3_bucket"})


@dataclass(frozen=True, slots=True)
class Part:
    """A resource of the stack's synthesized JSON; `body` are its arguments there."""

    type: str
    name: str
    body: Payload

    @property
    def address(self) -> str:
        """Its address in Terraform."""
        return f"{self.type}.{self.name}"

    @property
    def tag_name(self) -> str:
        """Its tag Name; empty without one."""
        return str(self.body.get("tags", {}).get("Name", ""))


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The resources in AWS with the stack's names and tags, as the API returns them.

    identity:  the value of the tag STACK_TAG on the stack's resources; empty accepts those of any stack.
    nodes:     the living nodes, by their tag Name.
    user_data: of one of the nodes; it names the bucket; empty without nodes.
    """

    identity: str
    nodes: Mapping[str, Seen] = field(default_factory=dict)
    interfaces: tuple[Payload, ...] = ()
    addresses: tuple[Payload, ...] = ()
    templates: tuple[Payload, ...] = ()
    groups: tuple[Payload, ...] = ()
    rules: tuple[Payload, ...] = ()
    placement_groups: tuple[Payload, ...] = ()
    roles: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    buckets: tuple[str, ...] = ()
    user_data: str = ""

    def owns(self, payload: Payload) -> bool:
        """Whether a resource with tags belongs to the stack."""
        return not self.identity or tags_of(payload).get(STACK_TAG) == self.identity


def tags_of(payload: Payload) -> dict[str, str]:
    """A payload's tags; addresses and interfaces have them under different names."""
    return {tag["Key"]: tag["Value"] for tag in payload.get("Tags", payload.get("TagSet", ()))}


def parts_of(stack: Payload) -> list[Part]:
    """The resources of a stack's JSON."""
    return [
        Part(kind, name, body)
        for kind, named in stack.get("resource", {}).items()
        for name, body in named.items()
    ]


def import_ids(part: Part, seen: Surroundings) -> list[str]:
    """The ids by which Terraform would import the part: none when it does not exist (or is of a kind that can be
    created again), more than one when it is not clear which one is the stack's."""
    find = _FINDERS.get(part.type)
    return find(part, seen) if find else []


def _instance(part: Part, seen: Surroundings) -> list[str]:
    node = seen.nodes.get(part.tag_name)
    return [node.id] if node else []


def _interface(part: Part, seen: Surroundings) -> list[str]:
    node = seen.nodes.get(part.tag_name)
    if node and node.interface:
        return [node.interface]
    # The node's EFA interfaces have the same tags; only this interface has the description.
    return [
        one["NetworkInterfaceId"]
        for one in seen.interfaces
        if one.get("Description") == part.body["description"] and seen.owns(one)
    ]


def _address(part: Part, seen: Surroundings) -> list[str]:
    own = [one for one in seen.addresses if tags_of(one).get("Name") == part.tag_name and seen.owns(one)]
    node = seen.nodes.get(part.tag_name)
    attached = [one for one in own if node and one.get("NetworkInterfaceId") == node.interface]
    return [one["AllocationId"] for one in attached or own]


def _template(part: Part, seen: Surroundings) -> list[str]:
    return [
        one["LaunchTemplateId"] for one in seen.templates if one["LaunchTemplateName"] == part.body["name"]
    ]


def _group(part: Part, seen: Surroundings) -> list[str]:
    own = [one for one in seen.groups if one["GroupName"] == part.body["name"]]
    # A security group's name is unique only within a VPC.
    used = {group["GroupId"] for one in seen.interfaces if seen.owns(one) for group in one.get("Groups", ())}
    return [one["GroupId"] for one in own if one["GroupId"] in used] or [one["GroupId"] for one in own]


def _rule(part: Part, seen: Surroundings) -> list[str]:
    """Rules by what makes two of them duplicates: direction, protocol, ports and peer. A new group has EC2's own rule
    to 0.0.0.0/0, which differs from the stack's `to_anywhere` only in its description."""
    body = part.body
    own = [
        one
        for one in seen.rules
        if one["IsEgress"] == (part.type == "aws_vpc_security_group_egress_rule")
        and one["IpProtocol"] == body["ip_protocol"]
        and (
            body["ip_protocol"] == "-1"
            or (one.get("FromPort"), one.get("ToPort")) == (body["from_port"], body["to_port"])
        )
        and ("ReferencedGroupInfo" in one) == ("referenced_security_group_id" in body)
        and _same(body.get("cidr_ipv4"), one.get("CidrIpv4"))
    ]
    return [one["SecurityGroupRuleId"] for one in own]


def _placement_group(part: Part, seen: Surroundings) -> list[str]:
    return [one["GroupName"] for one in seen.placement_groups if one["GroupName"] == part.body["name"]]


def _role(part: Part, seen: Surroundings) -> list[str]:
    return [name for name in seen.roles if name == part.body["name"]]


def _profile(part: Part, seen: Surroundings) -> list[str]:
    return [name for name in seen.profiles if name == part.body["name"]]


def _bucket(part: Part, seen: Surroundings) -> list[str]:
    pattern = re.compile(re.escape(part.body["bucket_prefix"]) + _UNIQUE)
    own = [name for name in seen.buckets if pattern.fullmatch(name)]
    return [name for name in own if name in seen.user_data] or own


def _same(wanted: str | None, there: str | None) -> bool:
    """Whether two values are the same; a value that Terraform fills in ("${...}") is the same as any."""
    return wanted == there or (there is not None and wanted is not None and "${" in wanted)


_FINDERS: Mapping[str, Callable[[Part, Surroundings], list[str]]] = {
    "aws_instance": _instance,
    "aws_network_interface": _interface,
    "aws_eip": _address,
    "aws_launch_template": _template,
    "aws_security_group": _group,
    "aws_vpc_security_group_egress_rule": _rule,
    "aws_vpc_security_group_ingress_rule": _rule,
    "aws_placement_group": _placement_group,
    "aws_iam_role": _role,
    "aws_iam_instance_profile": _profile,
    "aws_s3_bucket": _bucket,
}
IMPORTED = frozenset(_FINDERS)


def foreign(seen: Surroundings, known: Collection[str]) -> list[str]:
    """The interfaces and addresses with the nodes' names that neither have the stack's tag nor are in its state.

    known: the ids in the state. The interfaces and addresses of a node in the state were created with it.
    """
    attached = {one.interface for one in seen.nodes.values() if one.id in known}
    others = {
        str(one.get("AllocationId") or one["NetworkInterfaceId"])
        for one in (*seen.interfaces, *seen.addresses)
        if not seen.owns(one) and one.get("Attachment", {}).get("InstanceId") not in known
    }
    return sorted(others - attached - set(known))


def made_for(part: Part, parts: Iterable[Part]) -> list[str]:
    """The addresses of resources that belong to the part and can't exist without it (MADE_ANEW)."""
    reference = f"${{{part.address}."
    return [
        one.address for one in parts if one.type in MADE_ANEW and reference in str(one.body.get("bucket", ""))
    ]


def names(parts: Iterable[Part], kind: str, member: str = "name") -> list[str]:
    """The names of the parts of a kind."""
    return [str(part.body[member]) for part in parts if part.type == kind and part.body.get(member)]
