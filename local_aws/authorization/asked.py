"""Which permissions a request needs: actions, resources and condition keys.

The resources and keys of an action, and those that a request must have, come from AWS's Service Authorization
Reference; reference.json is an extract of it. The ids in a request show by their form what they name.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote

from moto.ec2.models import ec2_backends
from moto.iam.models import iam_backends
from moto.utilities.utils import get_partition

from local_aws.inferred import lean_on
from local_aws.requests import Request

ACCOUNT = "123456789012"  # moto's
_ID = re.compile(r"([a-z]+)-[0-9a-f]{8,17}")
_PREFIXES = {
    "i": "instance",
    "vol": "volume",
    "eni": "network-interface",
    "sg": "security-group",
    "sgr": "security-group-rule",
    "subnet": "subnet",
    "vpc": "vpc",
    "ami": "image",
    "lt": "launch-template",
    "cr": "capacity-reservation",
    "pg": "placement-group",
    "eipalloc": "elastic-ip",
    "snap": "snapshot",
}
# S3 user guide, using-with-s3-policy-actions: operations whose permission has another name.
_S3 = {
    "HeadBucket": "ListBucket",
    "ListBuckets": "ListAllMyBuckets",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "HeadObject": "GetObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "CopyObject": "PutObject",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "DeleteObjects": "DeleteObject",
    "GetBucketCors": "GetBucketCORS",
    "GetBucketAccelerateConfiguration": "GetAccelerateConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "GetBucketReplication": "GetReplicationConfiguration",
    "GetObjectLockConfiguration": "GetBucketObjectLockConfiguration",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeleteBucketTagging": "PutBucketTagging",
}
# IAM user guide, reference_policies_iam-condition-keys: iam:PassedToService.
_PASSED_TO = ("ec2.amazonaws.com",)

Tags = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """One permission that a request needs.

    resource: an ARN, "*" for an action that has no resources. context: the request's condition keys and values.
    """

    action: str
    resource: str
    context: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class _Named:
    """A resource of a request. tags: its tags. new: the tags that it is created with; None for one that exists."""

    kind: str
    arn: str
    tags: Tags
    new: Tags | None = None


@cache
def reference() -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """For each action, by resource type ("*": the action has none): whether it is required, and the condition keys
    about tags."""
    document = json.loads(Path(__file__).with_name("reference.json").read_text(encoding="utf-8"))
    actions: Mapping[str, Mapping[str, Mapping[str, Any]]] = document["actions"]
    return actions


def asked(request: Request, path: str, query: str, body: bytes) -> tuple[Asked, ...]:
    """The permissions that a request needs; none for a request that everybody may make."""
    if request.service == "sts" or not request.action:
        return ()  # STS API reference, GetCallerIdentity: no permissions are required
    if request.service == "ec2":
        return tuple(_of_ec2(request, _form(body)))
    if request.service == "s3":
        return tuple(_of_s3(request, path, query))
    if request.service == "iam":
        return tuple(_of_iam(request, _form(body)))
    return tuple(_of_json(request, json.loads(body or b"{}")))


def _form(body: bytes) -> dict[str, str]:
    return dict(parse_qsl(body.decode(), keep_blank_values=True))


def _by_reference(
    action: str, named: Iterable[_Named], keys: Mapping[str, str] | None = None
) -> Iterator[Asked]:
    """One permission for each resource that the request names and that the reference lists for the action."""
    types = reference().get(action, {"*": {"keys": []}})
    there = [one for one in named if one.kind in types]
    if not there:
        yield Asked(action, "*", _keys(types.get("*", {"keys": []})["keys"], None, keys))
    for one in there:
        yield Asked(action, one.arn, _keys(types[one.kind]["keys"], one, keys))


def _keys(allowed: Iterable[str], named: _Named | None, more: Mapping[str, str] | None) -> dict[str, str]:
    """The condition keys of one resource, only those that the reference has for the action and its type."""
    found = {key: value for key, value in (more or {}).items() if key in allowed}
    for key in allowed:
        if named is not None and key.lower().endswith("tag/"):
            tags = named.new if key == "aws:RequestTag/" else named.tags
            found |= {f"{key}{name}": value for name, value in (tags or {}).items()}
    return found


def _of_ec2(request: Request, form: Mapping[str, str]) -> Iterator[Asked]:
    action = f"ec2:{request.action}"
    backend = ec2_backends[ACCOUNT][request.region]
    attachment = form.get("AttachmentId", "")
    if attachment and not any(one.attachment_id == attachment for one in backend.enis.values()):
        lean_on("attachment-that-is-gone")
        return
    types = reference().get(action, {})
    specified = _specified(form)
    pairs = list(form.items())
    if request.action == "RunInstances":
        data = _template_data(backend, form)
        pairs += list(_leaves(data))
        for one in data.get("TagSpecifications", ()):
            specified.setdefault(one["ResourceType"], {}).update(
                {tag["Key"]: tag["Value"] for tag in one.get("Tags", ())}
            )
    plain = {
        form[f"Tag.{number}.Key"]: form.get(f"Tag.{number}.Value", "") for number in _numbers(form, "Tag")
    }
    named = {one.arn: one for one in _ids(request, backend, pairs, plain or None)}
    if (
        request.action == "RunInstances"
    ):  # an interface, its subnet and groups by their ids; without their tags
        named = {arn: one for arn, one in named.items() if one.kind != "vpc"}
    for kind, facts in types.items():
        made = facts.get("required") or kind in specified
        if kind != "*" and made and not any(one.kind == kind for one in named.values()):
            arn = _arn(request, f"{kind}/*")
            named[arn] = _Named(kind, arn, {}, specified.get(kind, {}))
    yield from _by_reference(action, named.values())
    if request.action not in ("CreateTags", "CreateLaunchTemplateVersion"):
        # EC2 user guide, supported-iam-actions-tagging: tags at creation need ec2:CreateTags as well.
        tagged = [
            _Named(kind, _arn(request, f"{kind}/*"), {}, tags) for kind, tags in specified.items() if tags
        ]
        for one in tagged:
            yield from _by_reference("ec2:CreateTags", [one], {"ec2:CreateAction": request.action})
    if request.action == "RunInstances":
        yield from _passed(request, dict(pairs))


def _specified(form: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The tags that a request gives to the resources that it creates, by resource type."""
    found: dict[str, dict[str, str]] = {}
    for number in _numbers(form, "TagSpecification"):
        start = f"TagSpecification.{number}"
        kind = form.get(f"{start}.ResourceType", "")
        tags = found.setdefault(kind, {})
        for each in _numbers(form, f"{start}.Tag"):
            tags[form[f"{start}.Tag.{each}.Key"]] = form.get(f"{start}.Tag.{each}.Value", "")
    return found


def _numbers(form: Mapping[str, str], name: str) -> list[str]:
    start = f"{name}."
    return list(dict.fromkeys(key[len(start) :].partition(".")[0] for key in form if key.startswith(start)))


def _ids(
    request: Request, backend: Any, pairs: Iterable[tuple[str, str]], new: Tags | None
) -> Iterator[_Named]:
    for name, value in pairs:
        last = name.rpartition(".")[2]
        if last == "KeyName":
            yield _Named("key-pair", _arn(request, f"key-pair/{value}"), {}, new)
        elif last == "GroupName" and (name.startswith("Placement") or "PlacementGroup" in request.action):
            group = backend.placement_groups.get(value)
            tags = backend.tags[group.id] if group is not None else {}
            fresh = _specified(dict(pairs)).get("placement-group", {})
            yield _Named("placement-group", _arn(request, f"placement-group/{value}"), tags, new or fresh)
        elif last == "AttachmentId":
            for interface in backend.enis.values():
                if interface.attachment_id == value:
                    yield from _ids(request, backend, [("", interface.id), ("", interface.instance.id)], new)
        elif last == "AssociationId":
            for address in backend.addresses:
                if address.association_id == value:
                    arn = _arn(request, f"elastic-ip/{address.allocation_id}")
                    yield _Named("elastic-ip", arn, dict(backend.tags[address.allocation_id]), new)
        elif found := _ID.fullmatch(value):
            kind = _PREFIXES.get(found.group(1))
            if kind == "placement-group":
                # Its ARN holds the group's name (Service Authorization Reference, resource types of EC2).
                names = [one.name for one in backend.placement_groups.values() if one.id == value]
                yield _Named(kind, _arn(request, f"{kind}/{(names or [value])[0]}"), backend.tags[value], new)
            elif kind is not None:
                yield _Named(kind, _arn(request, f"{kind}/{value}"), dict(backend.tags[value]), new)


def _template_data(backend: Any, form: Mapping[str, str]) -> Mapping[str, Any]:
    """The data of the launch template that a launch names."""
    start = "LaunchTemplate."
    given = {key.removeprefix(start): value for key, value in form.items() if key.startswith(start)}
    if not given:
        return {}
    data: Mapping[str, Any] = backend._get_template_from_args(given).data
    return data


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping):
        for member, given in value.items():
            yield from _leaves(given, f"{name}.{member}".removeprefix("."))
    elif isinstance(value, list):
        for given in value:
            yield from _leaves(given, name)
    elif isinstance(value, str):
        yield name, value


def _passed(request: Request, pairs: Mapping[str, str]) -> Iterator[Asked]:
    """iam:PassRole for the role of the profile that a launch names."""
    profile = (
        pairs.get("IamInstanceProfile.Name") or pairs.get("IamInstanceProfile.Arn", "").rpartition("/")[2]
    )
    if not profile:
        return
    iam = iam_backends[ACCOUNT][get_partition(request.region)]
    for one in iam.instance_profiles.values():
        if one.name == profile:
            for role in one.roles:
                yield from _pass(role.arn)


def _pass(arn: str) -> Iterator[Asked]:
    named = _Named("role", arn, {})
    for service in _PASSED_TO:
        yield from _by_reference("iam:PassRole", [named], {"iam:PassedToService": service})


def _of_iam(request: Request, form: Mapping[str, str]) -> Iterator[Asked]:
    tags = {
        form[f"Tags.member.{number}.Key"]: form.get(f"Tags.member.{number}.Value", "")
        for number in _numbers(form, "Tags.member")
    }
    # IAM is global: its ARNs have no region. The ARN of an existing role contains its path (reference_identifiers).
    start = f"arn:{get_partition(request.region)}:iam::{ACCOUNT}:"
    roles = {one.name: one.arn for one in iam_backends[ACCOUNT][get_partition(request.region)].roles.values()}
    named = []
    if role := form.get("RoleName"):
        named.append(_Named("role", roles.get(role, f"{start}role/{role}"), {}, tags))
    if profile := form.get("InstanceProfileName"):
        named.append(_Named("instance-profile", f"{start}instance-profile/{profile}", {}, tags))
    yield from _by_reference(f"iam:{request.action}", named)
    if tags and request.action.startswith("Create"):
        # IAM user guide, id_tags_roles: tags at creation need the permission to tag as well.
        yield from _by_reference(f"iam:Tag{request.action.removeprefix('Create')}", named)
    if request.action == "AddRoleToInstanceProfile":
        yield from _pass(f"{start}role/{form['RoleName']}")


def _of_s3(request: Request, path: str, query: str) -> Iterator[Asked]:
    name = _S3.get(request.action, request.action)
    if name == "DeleteObject" and "versionId=" in query:
        name = "DeleteObjectVersion"
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    start = f"arn:{get_partition(request.region)}:s3:::"
    # The keys of DeleteObjects are in its body, which is not read here: any key.
    named = [_Named("object", f"{start}{bucket}/{key or '*'}", {})]
    if bucket:
        named.append(_Named("bucket", f"{start}{bucket}", {}))
    yield from _by_reference(f"s3:{name}", named)


def _of_json(request: Request, given: Mapping[str, Any]) -> Iterator[Asked]:
    action = f"{request.service}:{request.action}"
    yield from _by_reference(action, _of_members(request, given))


def _of_members(request: Request, given: Mapping[str, Any]) -> Iterator[_Named]:
    """The resources that a request names, for services with a JSON protocol."""
    tags = {tag["Key"]: tag["Value"] for tag in given.get("Tags", ()) if isinstance(tag, Mapping)}
    names = [given[member] for member in ("Name", "Path") if isinstance(given.get(member), str)]
    for name in [*names, *given.get("Names", ())]:
        yield _Named("parameter", _ssm_arn(request, "parameter", str(name).lstrip("/")), {}, tags)
    if document := given.get("DocumentName"):
        yield _Named("document", _ssm_arn(request, "document", document), {})
    backend = ec2_backends[ACCOUNT][request.region]
    for instance in [*given.get("InstanceIds", ()), *([given["Target"]] if "Target" in given else [])]:
        yield _Named("instance", _arn(request, f"instance/{instance}"), dict(backend.tags[instance]))
    if session := given.get("SessionId"):
        yield _Named("session", _ssm_arn(request, "session", session), {})
    if table := given.get("TableName"):
        start = f"arn:{get_partition(request.region)}:dynamodb:{request.region}:{ACCOUNT}"
        yield _Named("table", f"{start}:table/{table}", {})


def _ssm_arn(request: Request, kind: str, name: str) -> str:
    # The ARN of a parameter that AWS publishes has no account (Systems Manager user guide,
    # parameter-store-public-parameters).
    account = "" if name.startswith(("aws/", "AWS-")) else ACCOUNT
    return f"arn:{get_partition(request.region)}:ssm:{request.region}:{account}:{kind}/{name}"


def _arn(request: Request, rest: str) -> str:
    # An image's ARN and a snapshot's name no account (Service Authorization Reference, resource types of EC2).
    account = "" if rest.startswith(("image/", "snapshot/")) else ACCOUNT
    return f"arn:{get_partition(request.region)}:ec2:{request.region}:{account}:{rest}"
