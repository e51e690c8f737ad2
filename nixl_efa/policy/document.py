"""A policy document: the rows of the table, narrowed to an environment's names, tags, region and account. Pure."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from nixl_efa.bootstrap import MEMBERS_KEY
from nixl_efa.launch import Launch
from nixl_efa.nodes import session
from nixl_efa.nodes.run_command import PREFIX
from nixl_efa.policy.actions import rows_of
from nixl_efa.policy.model import Command, On
from nixl_efa.service import staged
from nixl_efa.settings import Settings
from nixl_efa.settings.backend import S3Backend
from nixl_efa.settings.model import STACK_TAG
from nixl_efa.work import copying, running

# IAM user guide, reference_iam-quotas: of a managed policy, in characters without white space.
LARGEST = 6144
VERSION = "2012-10-17"
# By how a region's name begins (AWS General Reference, the partitions).
_PARTITIONS = {
    "cn-": "aws-cn",
    "us-gov-": "aws-us-gov",
    "us-iso-": "aws-iso",
    "us-isob-": "aws-iso-b",
    "eu-isoe-": "aws-iso-e",
    "us-isof-": "aws-iso-f",
    "eusc-": "aws-eusc",
}
# In China a role is passed to another name (as Karpenter's policies have it).
_EC2_SERVICE = {"aws-cn": "ec2.amazonaws.com.cn"}
_MADE_BY = (
    "RunInstances",
    "CreateSecurityGroup",
    "CreatePlacementGroup",
    "CreateNetworkInterface",
    "AllocateAddress",
    "CreateLaunchTemplate",
    "AuthorizeSecurityGroupIngress",
    "AuthorizeSecurityGroupEgress",
)

_LOOKS = (On.ANYTHING, On.ROLE, On.BUCKET)
_LOOKING = ("ec2:Describe", "iam:Get", "iam:List", "s3:Get")

Condition = Mapping[str, Mapping[str, str | list[str]]]


@dataclass(frozen=True, slots=True)
class Scope:
    """What actions are allowed on. Nothing in it: the settings don't need them."""

    resources: tuple[str, ...]
    condition: Condition = field(default_factory=dict)


def document(
    settings: Settings, launch: Launch, command: Command, beside: Sequence[Launch] = ()
) -> dict[str, Any]:
    """The least policy for a command of an environment: an identity-based policy.

    beside: the other environments of the project, whose reservations the commands of `capacity` read.

    Actions on the same things stand together, in the order of the table. If it would be larger than the limit of a
    managed policy, read actions (on anything, on the stack's own role and bucket) are shortened to their beginnings, as
    in ec2:Describe*, and the statements have no names.
    """
    scopes = {**_scopes(settings, launch), On.PARAMETERS_BESIDE: Scope(_kept_by(*beside))}
    allowed: dict[On, list[str]] = {}
    for row in rows_of(command):
        if scopes[row.on].resources:
            allowed.setdefault(row.on, []).extend(row.actions)
    exact = _policy(scopes, allowed)
    if size(exact) <= LARGEST:
        return exact
    shorter = {on: _shorter(actions) if on in _LOOKS else actions for on, actions in allowed.items()}
    return _policy(scopes, shorter, names=False)


def _shorter(actions: list[str]) -> list[str]:
    """The read actions, shortened to their beginnings, and the other actions unchanged."""
    looks = [one for one in _LOOKING if any(action.startswith(one) for action in actions)]
    others = [action for action in actions if not action.startswith(_LOOKING)]
    return [*(f"{one}*" for one in looks), *others]


def _policy(
    scopes: Mapping[On, Scope], allowed: Mapping[On, list[str]], *, names: bool = True
) -> dict[str, Any]:
    return {
        "Version": VERSION,
        "Statement": [
            {
                **({"Sid": on.value} if names else {}),
                "Effect": "Allow",
                "Action": list(dict.fromkeys(actions)),
                "Resource": _one_or_all(scopes[on].resources),
                **({"Condition": scopes[on].condition} if scopes[on].condition else {}),
            }
            for on, actions in allowed.items()
        ],
    }


def size(policy: Mapping[str, Any]) -> int:
    """Its characters as IAM counts them, without white space (IAM user guide, reference_iam-quotas)."""
    return len(re.sub(r"\s", "", json.dumps(policy)))


def _one_or_all(resources: tuple[str, ...]) -> str | list[str]:
    return resources[0] if len(resources) == 1 else list(dict.fromkeys(resources))


def _scopes(settings: Settings, launch: Launch) -> dict[On, Scope]:
    """Every scope of an environment."""
    return {
        On.ANYTHING: Scope(("*",)),
        **_of_ec2(launch),
        **_of_access(launch),
        **_of_parameters(launch),
        **_of_nodes(launch),
        **_of_state(settings, launch),
        **_of_models(settings, launch),
    }


def partition_of(region: str) -> str:
    """The partition that a region is in: "aws", "aws-cn", ..."""
    return next((found for start, found in _PARTITIONS.items() if region.startswith(start)), "aws")


def _arn(
    launch: Launch, service: str, rest: str, *, region: str | None = None, account: str | None = None
) -> str:
    where = launch.region if region is None else region
    whose = (launch.account_id or "*") if account is None else account
    return f"arn:{partition_of(launch.region)}:{service}:{where}:{whose}:{rest}"


def _stack(launch: Launch, key: str) -> Condition:
    """Only with the tag of this very stack."""
    return {"StringEquals": {f"{key}/{STACK_TAG}": launch.stack_identity}}


def _pair(launch: Launch, key: str, **more: list[str]) -> Condition:
    """Only with the tags that everything in the stack has: not all of it has the tag of the very stack."""
    tags = {f"{key}/{name}": launch.tags[name] for name in ("Project", "Environment")}
    return {"StringEquals": {**tags, **{name.replace("__", ":"): values for name, values in more.items()}}}


def _of_ec2(launch: Launch) -> dict[On, Scope]:
    def ec2(*kinds: str) -> tuple[str, ...]:
        return tuple(_arn(launch, "ec2", kind) for kind in kinds)

    groups = f"security-group/{launch.security_group_id or '*'}"
    subnets = f"subnet/{launch.subnet_id or '*'}"
    placement = f"placement-group/{launch.name_of('pair')}"
    with_it = [groups, subnets, "network-interface/*", "volume/*", "launch-template/*"]
    with_it += [placement] if any(one.placement_group for one in launch.requests) else []
    with_it += [f"key-pair/{launch.key_name}"] if launch.key_name else []
    named = dict.fromkeys(one.reservation.id or "*" for one in launch.requests if one.reservation.is_named)
    with_it += [f"capacity-reservation/{one}" for one in named]
    images = dict.fromkeys(one.image_id or "*" for one in launch.requests)
    return {
        On.LAUNCHED_WITH: Scope(
            (*ec2(*with_it), *(_arn(launch, "ec2", f"image/{one}", account="") for one in images))
        ),
        On.NODES_MADE: Scope(ec2("instance/*"), _stack(launch, "aws:RequestTag")),
        On.TAGGED_AT_CREATION: Scope(
            ec2("*/*"),
            _pair(launch, "aws:RequestTag", ec2__CreateAction=list(_MADE_BY)),
        ),
        # What a call makes is all that it gives tags to.
        On.MADE: Scope(ec2("*/*"), _pair(launch, "aws:RequestTag")),
        On.MADE_IN: Scope(ec2(f"vpc/{launch.vpc_id or '*'}", groups, subnets)),
        On.VOLUMES_TAGGED: Scope(ec2("volume/*"), _stack(launch, "aws:RequestTag")),
        On.OWN: Scope(ec2("*"), _pair(launch, "aws:ResourceTag")),
        On.NODES: Scope(ec2("instance/*"), _stack(launch, "aws:ResourceTag")),
        On.BLOCKS_BOUGHT: Scope((_arn(launch, "ec2", "capacity-reservation/*", region="*"),)),
        On.BLOCKS_CHANGED: Scope((_arn(launch, "ec2", "capacity-reservation/*", region="*"),)),
        On.VOLUME_KEY: Scope((launch.volume.kms_key_id,) if launch.volume.kms_key_id else ()),
        # EBS user guide, ebs-encryption-requirements: grants for AWS's services alone.
        On.VOLUME_KEY_GRANTED: Scope(
            (launch.volume.kms_key_id,) if launch.volume.kms_key_id else (),
            {"Bool": {"kms:GrantIsForAWSResource": "true"}},
        ),
    }


def _of_access(launch: Launch) -> dict[On, Scope]:
    """The role and its profile, where the stack makes them; the scripts bucket."""
    role = _arn(launch, "iam", f"role/{launch.access_name}", region="")
    profile = _arn(launch, "iam", f"instance-profile/{launch.access_name}", region="")
    # With its path, and without where it is not there (IAM user guide, reference_identifiers).
    paths = ("", "aws-service-role/spot.amazonaws.com/")
    spot_role = tuple(
        _arn(launch, "iam", f"role/{path}AWSServiceRoleForEC2Spot", region="") for path in paths
    )
    own = not launch.instance_profile
    given = () if own else (_arn(launch, "iam", f"instance-profile/{launch.instance_profile}", region=""),)
    # Of a profile that the settings name, only whoever made it knows the role.
    passed = role if own else _arn(launch, "iam", "role/*", region="")
    bucket = f"arn:{partition_of(launch.region)}:s3:::{launch.name_of('')}*"
    return {
        On.ROLE: Scope((role,) if own else ()),
        On.PROFILE: Scope((profile,) if own else ()),
        On.PROFILE_GIVEN: Scope(given),
        On.ROLE_PASSED: Scope(
            (passed,),
            {
                "StringEquals": {
                    "iam:PassedToService": _EC2_SERVICE.get(partition_of(launch.region), "ec2.amazonaws.com")
                }
            },
        ),
        On.BOUNDED: Scope((role,) if own and launch.permissions_boundary else ()),
        On.SPOT_ROLE: Scope(spot_role if any(one.market == "spot" for one in launch.requests) else ()),
        On.BUCKET: Scope((bucket,)),
        On.OUTPUTS: Scope((f"{bucket}/{PREFIX}/*",)),
        On.OUTPUTS_SENT: Scope((f"{bucket}/{running.PREFIX}/*",)),
        On.COPIES: Scope((f"{bucket}/{copying.PREFIX}/*",)),
        On.MEMBERS: Scope((f"{bucket}/{MEMBERS_KEY}",)),
        On.SCRIPTS: Scope((f"{bucket}/*",) if launch.empty_scripts_bucket else ()),
    }


def _of_parameters(launch: Launch) -> dict[On, Scope]:
    """What is read for a launch, and what `capacity` reads and writes."""
    read = [one.image_parameter for one in launch.requests if not one.image_id]
    # Terraform reads the folder of a parameter, since a data source of one parameter fails when it is gone.
    named = [*_kept_names(launch), *read]
    folders = [name.rpartition("/")[0] for name in named if name.count("/") > 1]
    # The journals are in a region that all machines share (NIXL_EFA_LOCK_REGION).
    own = _arn(launch, "ssm", f"parameter/nixl-efa/{launch.environment}/*", region="*")
    journals = [_arn(launch, "ssm", f"parameter/nixl-efa{below}", region="*") for below in ("", "/*")]
    apart = [
        name
        for name in dict.fromkeys((*named, *folders))
        if not name.startswith(f"/nixl-efa/{launch.environment}/")
    ]
    return {
        On.PARAMETERS: Scope((own, *(_parameter(launch, name) for name in apart))),
        On.PARAMETERS_KEPT: Scope((*journals, *_kept_by(launch))),
    }


def _kept_by(*launches: Launch) -> tuple[str, ...]:
    """The parameters of reservations and zones that are not below /nixl-efa/."""
    return tuple(
        _parameter(launch, name)
        for launch in launches
        for name in _kept_names(launch)
        if not name.startswith("/nixl-efa/")
    )


def _kept_names(launch: Launch) -> tuple[str, ...]:
    every = [one.reservation for one in launch.requests]
    names = ("id_parameter", "zone_parameter", "next_id_parameter", "next_zone_parameter")
    return tuple(dict.fromkeys(getattr(one, name) for one in every for name in names))


def _parameter(launch: Launch, name: str) -> str:
    # The ARN of a parameter that AWS publishes has no account (Systems Manager user guide,
    # parameter-store-public-parameters).
    account = "" if name.startswith("/aws/") else None
    return _arn(launch, "ssm", f"parameter/{name.lstrip('/')}", account=account)


def _of_nodes(launch: Launch) -> dict[On, Scope]:
    document_name = "document/SSM-SessionManagerRunShell"
    return {
        On.COMMANDS_RUN: Scope((_arn(launch, "ssm", "document/AWS-RunShellScript", account=""),)),
        On.ON_NODES: Scope((_arn(launch, "ec2", "instance/*"),), _stack(launch, "ssm:resourceTag")),
        On.SESSION_STARTED: Scope((_arn(launch, "ssm", document_name),)),
        On.FORWARDING_STARTED: Scope((_arn(launch, "ssm", f"document/{session.FORWARDING}", account=""),)),
        On.SSH_STARTED: Scope((_arn(launch, "ssm", f"document/{session.SSH}", account=""),)),
        On.SESSION_KEPT: Scope((_arn(launch, "ssm", "session/${aws:userid}-*"),)),
    }


def _of_models(settings: Settings, launch: Launch) -> dict[On, Scope]:
    """The bucket of models, which may be the scripts bucket."""
    name = settings.models_bucket or f"{launch.name_of('')}*"
    bucket = f"arn:{partition_of(launch.region)}:s3:::{name}"
    return {
        On.MODELS_BUCKET: Scope((bucket,)),
        On.MODELS: Scope(tuple(f"{bucket}/{one}/*" for one in (staged.PREFIX, staged.NIXL))),
    }


def _of_state(settings: Settings, launch: Launch) -> dict[On, Scope]:
    """Nothing where the state is not in S3."""
    scopes = {on: Scope(()) for on in On if on.name.startswith("STATE_")}
    backend = settings.backend
    if not isinstance(backend, S3Backend):
        return scopes
    bucket = f"arn:{partition_of(launch.region)}:s3:::{backend.bucket}"
    state = Scope((f"{bucket}/{settings.state_key}",))
    scopes |= {On.STATE_FOUND: Scope((bucket,)), On.STATE_READ: state, On.STATE_WRITTEN: state}
    if backend.use_lockfile:
        scopes[On.STATE_LOCKED] = Scope((f"{bucket}/{settings.state_key}.tflock",))
    if backend.dynamodb_table:
        table = _arn(launch, "dynamodb", f"table/{backend.dynamodb_table}", region=backend.region)
        scopes[On.STATE_TABLE] = Scope((table,))
    if backend.kms_key_id:
        scopes[On.STATE_KEY] = Scope((backend.kms_key_id,))
    return scopes
