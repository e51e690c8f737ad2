"""What each setting may hold, as an annotated type with the words for messages.

Nothing here reads a second setting (see `rules`), and no valid value can contain `${` or `%{`, which
Terraform would expand.
"""

import re
from collections.abc import Hashable
from dataclasses import dataclass
from ipaddress import IPv4Network
from typing import Annotated, get_args

from pydantic import AfterValidator, BeforeValidator, Field, Strict, StringConstraints

from nixl_efa import provider_version

# EC2 API reference, EbsBlockDevice: the ranges of a gp3 volume.
# The least size is ours: no image fits below it.
VOLUME_SIZE_GIB = (8, 65536)
VOLUME_IOPS = (3000, 80000)
VOLUME_THROUGHPUT_MIBPS = (125, 2000)

# Room for an environment's name beside it, see `rules`.
MAX_PROJECT_PREFIX = 24
MAX_ENVIRONMENT_NAME = 24

# Nodes of an environment, all roles together: a Capacity Block has 64 instances at most (EC2 user guide).
MAX_NODES = 64

# EC2 user guide, "Tag your Amazon EC2 resources": 50 tags a resource. The stack adds some of its own.
MAX_TAGS = 40

# The first version with the LIBFABRIC plugin, which EFA needs (NIXL release notes, 1.0.0).
FIRST_NIXL_WITH_EFA = (1, 0, 0)


@dataclass(frozen=True, slots=True)
class Allowed:
    """What a value must be, as words that can follow "must be"."""

    text: str


def allowed(annotation: object) -> str:
    """The `Allowed` words found first in an annotation or inside it; empty when there are none."""
    for part in getattr(annotation, "__metadata__", ()):
        if isinstance(part, Allowed):
            return part.text
    return next((text for part in get_args(annotation) if (text := allowed(part))), "")


def _no_expression(text: str) -> str:
    if "${" in text or "%{" in text or not text.replace("\n", " ").isprintable():
        raise ValueError('must not contain "${", "%{" or control characters')
    return text


def _nixl_version(version: str) -> str:
    # The normalized public form of PEP 440 without an epoch, which is what a package index shows.
    match = re.fullmatch(
        r"(\d{1,9}(?:\.\d{1,9})*)((?:a|b|rc)\d+)?(?:\.post\d+)?(\.dev\d+)?", version, re.ASCII
    )
    if match is None:
        raise ValueError('must be a version as PEP 440 writes it, such as "1.5.0"')
    release = tuple(int(part) for part in match[1].split("."))
    padded = release + (0,) * (3 - len(release))
    before_release = bool(match[2] or match[3])
    if padded < FIRST_NIXL_WITH_EFA or (before_release and padded == FIRST_NIXL_WITH_EFA):
        raise ValueError("is too old: EFA needs NIXL 1.0.0 or later")
    return version


def _provider_version(constraint: str) -> str:
    provider_version.parse(constraint)
    return constraint


def _no_repeat(what: str) -> AfterValidator:
    def check(values: tuple[Hashable, ...]) -> tuple[Hashable, ...]:
        repeated = dict.fromkeys(value for value in values if values.count(value) > 1)
        if repeated:
            raise ValueError(f"names {what} {', '.join(map(str, repeated))} more than once")
        return values

    return AfterValidator(check)


def _cidr_block(text: str) -> str:
    """A CIDR block in its normal form. EC2 rewrites other forms, and Terraform would then change the rule at every
    plan."""
    try:
        network = IPv4Network(text, strict=False)
    except ValueError:
        raise ValueError("must be an IPv4 block, such as 10.20.0.0/16") from None
    if str(network) != text:
        raise ValueError(f"has bits set after its prefix: write {network}")
    return text


def _tags_fit(tags: dict[str, str]) -> dict[str, str]:
    if len(tags) > MAX_TAGS:
        raise ValueError(f"has {len(tags)} tags; at most {MAX_TAGS} are allowed beside the stack's own")
    return tags


def _no_arn(name: object) -> object:
    """Refuses an ARN. GetParameter accepts the ARN of a parameter that another account shares, but Terraform reads with
    GetParametersByPath (constructs_lib.parameters), which accepts none (botocore's model of SSM)."""
    if isinstance(name, str) and name.startswith("arn:"):
        raise ValueError(
            "is an ARN: give the parameter's name. One that another account shares can't be read with its folder, as "
            "Terraform reads it: store its value in a parameter of this account"
        )
    return name


def _not_of_aws(key: str) -> str:
    if key.casefold().startswith("aws:"):
        raise ValueError('must not begin with "aws:", which AWS reserves')
    return key


YesNo = Annotated[bool, Strict(), Allowed("true or false")]

# The words for directions have not changed since the first region, so another word is a typing error. For other
# unknown parts of a region's name there is only a warning (`rules`).
_REGION = r"[a-z]{2,4}(-[a-z]+)?-(central|(north|south)?(east|west)|north|south)-[0-9]{1,2}"
Region = Annotated[
    str,
    StringConstraints(pattern=rf"^{_REGION}$"),
    Allowed("the name of an AWS region, such as us-east-2"),
]
AccountId = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{12}$"),
    Allowed('the 12 digits of an AWS account as text, such as "123456789012"'),
]
# An Availability Zone, a Local Zone (us-east-1-bos-1a) or a Wavelength Zone (us-east-1-wl1-bos-wlz-1).
ZONE_NAME = rf"^{_REGION}([a-z]|(-[a-z0-9]+)+)$"
ZoneName = Annotated[
    str,
    StringConstraints(pattern=ZONE_NAME),
    Allowed("the name of a zone, such as us-east-2a (not a zone's id such as use2-az1)"),
]
NodeCount = Annotated[
    int,
    Strict(),
    Field(ge=1, le=MAX_NODES - 1),
    Allowed(f"a whole number from 1 to {MAX_NODES - 1}"),
]
InstanceTypeName = Annotated[
    str, StringConstraints(min_length=1, max_length=64), Allowed("an EC2 instance type, such as g7e.12xlarge")
]

VpcId = Annotated[
    str,
    StringConstraints(pattern=r"^vpc-[0-9a-f]{8,17}$"),
    Allowed("a VPC's id: vpc- and 8 to 17 hexadecimal digits"),
]
SubnetId = Annotated[
    str,
    StringConstraints(pattern=r"^subnet-[0-9a-f]{8,17}$"),
    Allowed("a subnet's id: subnet- and 8 to 17 hexadecimal digits"),
]
SecurityGroupId = Annotated[
    str,
    StringConstraints(pattern=r"^sg-[0-9a-f]{8,17}$"),
    Allowed("a security group's id: sg- and 8 to 17 hexadecimal digits"),
]
IMAGE_ID = r"^ami-[0-9a-f]{8,17}$"
ImageId = Annotated[
    str,
    StringConstraints(pattern=IMAGE_ID),
    Allowed("an image's id: ami- and 8 to 17 hexadecimal digits"),
]
# 17 hexadecimal digits today; EC2's older resources have 8.
RESERVATION_ID = r"^cr-([0-9a-f]{8}|[0-9a-f]{17})$"
ReservationId = Annotated[
    str,
    StringConstraints(pattern=RESERVATION_ID),
    Allowed("a Capacity Reservation's id: cr- and 8 or 17 hexadecimal digits"),
]
# EC2 API reference, CreateKeyPair: up to 255 ASCII characters. Braces are left out for Terraform's sake.
KeyName = Annotated[
    str,
    StringConstraints(pattern=r"^[!-z|~]([ -z|~]*[!-z|~])?$", max_length=255),
    Allowed("the name of an EC2 key pair: up to 255 ASCII characters, no braces, no space at either end"),
]
# Systems Manager API reference, PutParameter: characters, 15 levels, 1011 characters.
ParameterName = Annotated[
    str,
    BeforeValidator(_no_arn),
    StringConstraints(pattern=r"^(/[a-zA-Z0-9_.-]+){1,15}$", max_length=1011),
    Allowed('the full name of a parameter in Parameter Store, such as "/team/name"'),
]

VolumeSize = Annotated[
    int,
    Strict(),
    Field(ge=VOLUME_SIZE_GIB[0], le=VOLUME_SIZE_GIB[1]),
    Allowed(f"a whole number of GiB from {VOLUME_SIZE_GIB[0]} to {VOLUME_SIZE_GIB[1]}"),
]
VolumeIops = Annotated[
    int,
    Strict(),
    Field(ge=VOLUME_IOPS[0], le=VOLUME_IOPS[1]),
    Allowed(f"a whole number of I/O operations per second from {VOLUME_IOPS[0]} to {VOLUME_IOPS[1]}"),
]
VolumeThroughput = Annotated[
    int,
    Strict(),
    Field(ge=VOLUME_THROUGHPUT_MIBPS[0], le=VOLUME_THROUGHPUT_MIBPS[1]),
    Allowed(f"a whole number of MiB/s from {VOLUME_THROUGHPUT_MIBPS[0]} to {VOLUME_THROUGHPUT_MIBPS[1]}"),
]
# 4368 hours is the longest that a Capacity Block lasts (EC2 user guide, capacity-blocks-purchase).
Hours = Annotated[int, Strict(), Field(ge=0, le=4368), Allowed("a whole number of hours from 0 to 4368")]
Port = Annotated[int, Strict(), Field(ge=1, le=65535), Allowed("a port from 1 to 65535")]
Ports = Annotated[
    tuple[Port, ...], _no_repeat("port"), Allowed("a list of ports, in a variable separated by commas")
]
CidrBlock = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9.]{7,15}/[0-9]{1,2}$"),
    AfterValidator(_cidr_block),
    Allowed("an IPv4 block, such as 10.20.0.0/16"),
]
CidrBlocks = Annotated[
    tuple[CidrBlock, ...],
    _no_repeat("block"),
    Allowed("a list of IPv4 blocks, in a variable separated by commas"),
]

# aws_instance needs the ARN: EC2 answers with the ARN, and another form would replace the nodes at every plan.
# Terraform's S3 backend takes no other ids than these (its source, remote-state/s3/validate.go).
_KMS_KEY = r"([0-9a-f]{8}-[0-9a-f]{4}-[1-5][0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}|mrk-[0-9a-f]{32})"
KmsKeyArn = Annotated[
    str,
    StringConstraints(pattern=rf"^arn:aws(-[a-z]+)*:kms:[a-z0-9-]+:[0-9]{{12}}:key/{_KMS_KEY}$"),
    Allowed("a key's ARN (not an alias): arn:aws:kms:REGION:ACCOUNT:key/ and the key's id"),
]
# IAM user guide, reference_iam-quotas: names and paths.
PolicyArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws(-[a-z]+)*:iam::([0-9]{12}|aws):policy/[a-zA-Z0-9_+=,.@/-]{1,640}$"),
    Allowed("a policy's ARN, such as arn:aws:iam::123456789012:policy/boundary"),
]
InstanceProfileName = Annotated[
    str,
    StringConstraints(pattern=r"^[a-zA-Z0-9_+=,.@-]{1,128}$"),
    Allowed("an instance profile's name (not its ARN): up to 128 letters, digits and _ + = , . @ -"),
]
ProviderVersion = Annotated[
    str,
    AfterValidator(_provider_version),
    Allowed(
        f'versions of the AWS provider as Terraform constrains them, such as "{provider_version.DEFAULT}"'
    ),
]
NixlVersion = Annotated[str, AfterValidator(_nixl_version), Allowed('a version of NIXL, such as "1.5.0"')]
# Credentials in the address would be in the user data, which every process on a node can read.
NixlWheels = Annotated[
    str,
    StringConstraints(pattern=r"^(/|https://[a-zA-Z0-9.:-]+/)[a-zA-Z0-9_.~/-]*$", max_length=200),
    Allowed("a folder's absolute path, or the https address of a package index without user and password"),
]
# What a model and flags may be is judged by nixl_efa.service.asked.
ModelName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512),
    AfterValidator(_no_expression),
    Allowed("a hub's name, a folder of the nodes or one in S3 (s3://bucket/folder), as text"),
]
Word = Annotated[
    str,
    StringConstraints(pattern=r"^[\w.+!-]{1,64}$"),
    Allowed("a word of up to 64 letters, digits and . _ + ! -"),
]
EngineFlag = Annotated[
    str,
    StringConstraints(min_length=1),
    AfterValidator(_no_expression),
    Allowed("a flag or its value, as text"),
]
EngineFlags = Annotated[
    tuple[EngineFlag, ...],
    Allowed('a list of flags and their values, each as text, such as ["--max-model-len", "32768"]'),
]
TrackingServerArn = Annotated[
    str,
    StringConstraints(
        pattern=r"^arn:aws(-[a-z]+)*:sagemaker:[a-z0-9-]+:[0-9]{12}:mlflow-tracking-server/[a-zA-Z0-9-]+$"
    ),
    Allowed("an ARN such as arn:aws:sagemaker:us-east-2:123456789012:mlflow-tracking-server/NAME"),
]
BucketArn = Annotated[
    str,
    StringConstraints(pattern=r"^arn:aws(-[a-z]+)*:s3:::[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$"),
    Allowed("the ARN of a bucket without a path, such as arn:aws:s3:::my-artifacts"),
]
# The beginning of the names of buckets, roles, security groups and placement groups. It may not begin with a prefix
# that S3 (user guide, bucketnamingrules) or EC2 (CreateSecurityGroup) reserves, see `rules`.
ProjectPrefix = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z]([a-z0-9-]*[a-z0-9])?$", max_length=MAX_PROJECT_PREFIX),
    Allowed(
        f"at most {MAX_PROJECT_PREFIX} lower-case letters, digits and hyphens, "
        "a letter first and no hyphen at the end"
    ),
]

# The characters that every service takes in a tag (EC2 user guide, Using_Tags, tag restrictions).
_TAG_CHARACTERS = r"[\p{L}\p{N}\p{Zs}_.:/=+@-]"
TagKey = Annotated[
    str,
    StringConstraints(pattern=rf"^{_TAG_CHARACTERS}+$", max_length=128),
    AfterValidator(_not_of_aws),
    Allowed("a tag's key: up to 128 letters, digits, spaces and _ . : / = + - @"),
]
TagValue = Annotated[
    str,
    StringConstraints(pattern=rf"^{_TAG_CHARACTERS}*$", max_length=256),
    Allowed("a tag's value as text: up to 256 letters, digits, spaces and _ . : / = + - @"),
]
Tags = Annotated[
    dict[TagKey, TagValue],
    AfterValidator(_tags_fit),
    Allowed("a table of tags, in a variable KEY=VALUE,KEY=VALUE or JSON"),
]
