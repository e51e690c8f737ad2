"""Rules between an environment's settings, and between these and its instance type."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Network

from nixl_efa import instance_types
from nixl_efa.findings import Finding, listed
from nixl_efa.image import validate_image
from nixl_efa.settings.capacity_rules import CAPACITY_RULES
from nixl_efa.settings.model import NAME_TAG, ROLE_TAG, STACK_TAG
from nixl_efa.settings.names import REGIONS, nearest
from nixl_efa.settings.rule import Facts, Rule, rule
from nixl_efa.settings.service_rules import SERVICE_PART_RULES, SERVICE_RULES
from nixl_efa.settings.values import MAX_NODES

# EBS user guide, general-purpose: the ratios of a gp3 volume.
IOPS_PER_GIB = 500
IOPS_PER_MIBPS = 4

# RFC 1918, and RFC 6598, which AWS allows as further blocks of a VPC (VPC user guide, vpc-cidr-blocks).
PRIVATE = [IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10")]

# S3 user guide, bucketnamingrules: what a bucket's name may not begin with. EC2 API reference,
# CreateSecurityGroup: what a security group's name may not begin with.
FORBIDDEN_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-", "sg-")

# A name of 63 characters (S3) that ends with the 26 that Terraform's bucket_prefix appends leaves 37 for
# "PREFIX-ENVIRONMENT-".
PREFIX_AND_ENVIRONMENT = 35


def _instance_type(facts: Facts) -> Iterator[Finding]:
    return _named(facts, "instance_type", instance_types.validate(facts.settings.instance_type))


def _image(facts: Facts) -> Iterator[Finding]:
    settings = facts.settings
    given = settings.ami_id is not None or settings.ami_parameter is not None
    name = settings.instance_type
    known = instance_types.find(name)
    if known is None and not given and instance_types.is_well_formed(name):
        yield facts.fault(
            "instance_type",
            f"{facts.shown('instance_type')} is not in this data (of {instance_types.data_source().date}), so whether "
            "its image must be for x86_64 or arm64 is not known.",
            "Run `nixl-efa instance-types refresh`, or set ami_id or ami_parameter.",
        )
    yield from _named(facts, "instance_type", validate_image(known, given=given))


def _node_count(facts: Facts) -> Iterator[Finding]:
    count = facts.settings.producers + facts.settings.consumers
    if count > MAX_NODES:
        yield facts.fault(
            "consumers",
            f"{facts.shown('producers')} and {facts.shown('consumers')} make {count} nodes: an environment has at most "
            f"{MAX_NODES}.",
            "Make a second environment, or use an engine for clusters (docs/scale.md).",
        )


def _volume_size(facts: Facts) -> Iterator[Finding]:
    size = facts.settings.volume_size
    if size is not None:
        found = instance_types.validate_volume(facts.settings.instance_type, size)
        yield from _named(facts, "volume_size", found)


def _named(facts: Facts, setting: str, findings: list[Finding]) -> Iterator[Finding]:
    """The findings of another part, each with the environment and the source."""
    for one in findings:
        yield replace(one, message=f"{one.message} ({facts.environment}: {facts.source(setting).label})")


def _region(facts: Facts) -> Iterator[Finding]:
    region = facts.settings.region
    if region not in REGIONS:
        near = nearest(region, REGIONS)
        yield facts.warning(
            "region",
            f"{facts.shown('region')} is not one of the known regions.",
            f"Did you mean {near}?" if near else "",
        )


def _zone_in_region(facts: Facts) -> Iterator[Finding]:
    zone, region = facts.settings.availability_zone, facts.settings.region
    rest = zone.removeprefix(region) if zone is not None else ""
    if zone is not None and (rest == zone or rest[:1].isdigit()):
        yield facts.fault(
            "availability_zone",
            f"{facts.shown('availability_zone')} is not a zone of {facts.shown('region')}.",
            f"A zone of that region is called {region}a, for example.",
        )


def _iops(facts: Facts) -> Iterator[Finding]:
    most = IOPS_PER_GIB * facts.settings.volume_gib
    if facts.settings.volume_iops > most:
        needed = -(-facts.settings.volume_iops // IOPS_PER_GIB)
        yield facts.fault(
            "volume_iops",
            f"{facts.shown('volume_iops')} is too much for a volume of "
            f"{facts.settings.volume_gib} GiB: gp3 allows {IOPS_PER_GIB} a GiB.",
            f"Set volume_iops to {most} or less, or volume_size to {needed} or more.",
        )


def _throughput(facts: Facts) -> Iterator[Finding]:
    most = facts.settings.volume_iops // IOPS_PER_MIBPS
    if facts.settings.volume_throughput > most:
        needed = IOPS_PER_MIBPS * facts.settings.volume_throughput
        yield facts.fault(
            "volume_throughput",
            f"{facts.shown('volume_throughput')} is too much for "
            f"{facts.shown('volume_iops')}: gp3 allows a quarter of it.",
            f"Set volume_throughput to {most} or less, or volume_iops to {needed} or more.",
        )


def _key_in_region(facts: Facts) -> Iterator[Finding]:
    key, region = facts.settings.kms_key_id, facts.settings.region
    if key is not None and key.split(":")[3] != region:
        yield facts.fault(
            "kms_key_id",
            f"{facts.shown('kms_key_id')} is no key of {facts.shown('region')}.",
            "A volume is encrypted with a key of its own region.",
        )


def _services(facts: Facts) -> Iterator[Finding]:
    public = [
        block
        for block in facts.settings.service_cidrs
        if not any(IPv4Network(block).subnet_of(private) for private in PRIVATE)
    ]
    if public and facts.settings.service_ports:
        yield facts.warning(
            "service_cidrs",
            f"{facts.shown('service_cidrs')} opens the service ports to addresses of the internet: {listed(public)}.",
            "A model server does not authenticate clients: use private blocks, or only those of your own network.",
        )


def _own_role(facts: Facts) -> Iterator[Finding]:
    """With the user's own instance profile the stack creates no role, so no setting of the role can be given."""
    if facts.settings.instance_profile is None:
        return
    for setting in ("permissions_boundary", "mlflow_tracking_server_arn", "mlflow_artifact_bucket_arn"):
        if getattr(facts.settings, setting) is not None:
            yield facts.fault(
                setting,
                f"{facts.shown(setting)} applies to the role that the stack creates, and with "
                f"{facts.shown('instance_profile')} it creates none.",
                f"Leave one of them out; what {setting} stands for belongs to the profile's role.",
            )


def _project_prefix(facts: Facts) -> Iterator[Finding]:
    prefix = facts.settings.project_prefix
    for forbidden in FORBIDDEN_PREFIXES:
        if f"{prefix}-".startswith(forbidden):
            yield facts.fault(
                "project_prefix",
                f"{facts.shown('project_prefix')} begins with {forbidden}, which AWS does not "
                "allow for the names made from it.",
            )
    most = PREFIX_AND_ENVIRONMENT - len(facts.environment)
    if len(prefix) > most:
        yield facts.fault(
            "project_prefix",
            f"{facts.shown('project_prefix')} must be at most {most} characters beside the "
            f"environment's name \"{facts.environment}\", for a bucket's name holds both.",
        )


def _tags(facts: Facts) -> Iterator[Finding]:
    """IAM treats keys that differ only in case as the same, and refuses to create the role (IAM API reference,
    TagRole)."""
    first: dict[str, str] = {}
    for key in (*facts.settings.stack_tags, NAME_TAG, ROLE_TAG, STACK_TAG):
        other = first.setdefault(key.casefold(), key)
        if other == key:
            continue
        mine, stack = sorted((other, key), key=lambda one: one not in facts.settings.tags)
        own = stack not in facts.settings.tags
        yield facts.fault(
            "tags",
            f"the tags {mine} and {stack} differ only in case ({facts.source('tags').label}). "
            "IAM treats such keys as the same and refuses to create the nodes' role.",
            f"Rename {mine}: the stack itself sets {stack}." if own else "Keep one of them.",
        )


# Applied to the environment as a whole.
RULES: tuple[Rule, ...] = (
    rule(_region, "region"),
    rule(_zone_in_region, "region", "availability_zone"),
    rule(_node_count, "producers", "consumers"),
    rule(_services, "service_ports", "service_cidrs"),
    rule(_key_in_region, "region", "kms_key_id"),
    rule(
        _own_role,
        "instance_profile",
        "permissions_boundary",
        "mlflow_tracking_server_arn",
        "mlflow_artifact_bucket_arn",
    ),
    rule(_project_prefix, "project_prefix"),
    rule(_tags, "tags", "owner", "project_prefix"),
    *SERVICE_RULES,
)

# Applied to each of its parts (Settings.parts).
PART_RULES: tuple[Rule, ...] = (
    rule(_instance_type, "instance_type"),
    rule(_image, "instance_type", "ami_id", "ami_parameter"),
    rule(_volume_size, "instance_type", "volume_size"),
    rule(_iops, "instance_type", "volume_size", "volume_iops"),
    rule(_throughput, "volume_iops", "volume_throughput"),
    *CAPACITY_RULES,
    *SERVICE_PART_RULES,
)
