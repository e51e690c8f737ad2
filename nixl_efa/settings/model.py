"""The settings of one environment, each checked by itself."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from nixl_efa import instance_types, nixl_releases, provider_version
from nixl_efa.settings import values
from nixl_efa.settings.backend import Backend, BucketName, CloudBackend, LocalBackend, S3Backend
from nixl_efa.settings.credentials import AssumedRole, ProfileName
from nixl_efa.settings.parts import CONSUMER, COUNTS, PRODUCER, CapacityEntry, Group, Part, parts
from nixl_efa.settings.service import ServiceTable
from nixl_efa.settings.source import DEFAULT, Source

PlacementChoice = Annotated[Literal["auto", "on", "off"], values.Allowed('"auto", "on" or "off"')]
CheckChoice = Annotated[Literal["off", "warn", "error"], values.Allowed('"off", "warn" or "error"')]
GroupTable = Annotated[
    Group | None, values.Allowed('a table (JSON in a variable), such as {instance_type = "g6e.12xlarge"}')
]
Capacity = Annotated[
    tuple[CapacityEntry, ...],
    values.Allowed(
        "a list of tables (JSON in a variable), each with a reservation and how many nodes it takes"
    ),
]
Served = Annotated[
    ServiceTable | None,
    values.Allowed('a table (JSON in a variable), such as {model = "Qwen/Qwen3-32B"}'),
]
Owner = Annotated[
    values.TagValue | None, values.Allowed("text of up to 256 letters, digits, spaces and _ . : / = + - @")
]


# The beginning of the name of every environment's stack.
STACK_PREFIX = "nixl-efa-"
# The tags that a node has besides the stack's tags (nixl_efa.launch). STACK_TAG shows to which state it belongs.
NAME_TAG, ROLE_TAG, STACK_TAG = "Name", "Role", "nixl-efa:stack"


class Settings(BaseModel):
    """The user's choices for one environment; `load` also checks the settings against each other."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(description="The environment's name: that of its file.")

    region: values.Region = Field(default="us-east-2", description="AWS region of the pair.")
    account_id: values.AccountId | None = Field(
        default=None, description="The only AWS account in which the pair may be. Absent: any."
    )
    profile: ProfileName | None = Field(
        default=None, description="AWS profile of Terraform and the command line. Absent: AWS_PROFILE's."
    )
    assume_role: AssumedRole | None = Field(
        default=None, description="Role as which Terraform and the command line call AWS: see below."
    )
    availability_zone: values.ZoneName | None = Field(
        default=None,
        description="Zone of both nodes. Absent: one that offers the type, chosen once.",
    )
    availability_zone_parameter: values.ParameterName | None = Field(
        default=None, description="Parameter Store name that holds the zone, read by Terraform at plan time."
    )
    instance_type: values.InstanceTypeName = Field(description="EC2 instance type of both nodes. Required.")
    producers: values.NodeCount = Field(default=1, description="Nodes that produce KV caches (prefill).")
    consumers: values.NodeCount = Field(default=1, description="Nodes that consume KV caches (decode).")
    producer: GroupTable = Field(
        default=None, description="Settings of the producers that differ, such as their type: see below."
    )
    consumer: GroupTable = Field(
        default=None, description="Settings of the consumers that differ: see below."
    )
    volume_size: values.VolumeSize | None = Field(
        default=None, description="Root volume (gp3) in GiB. Absent: the instance type's default."
    )
    volume_iops: values.VolumeIops = Field(
        default=3000, description="I/O operations per second of the root volume, at most 500 per GiB."
    )
    volume_throughput: values.VolumeThroughput = Field(
        default=125, description="Throughput of the root volume in MiB/s, at most a quarter of volume_iops."
    )
    kms_key_id: values.KmsKeyArn | None = Field(
        default=None,
        description="ARN of the KMS key of the root volumes. Absent: the account's default for EBS.",
    )
    vpc_id: values.VpcId | None = Field(default=None, description="VPC of the pair. Absent: the default VPC.")
    subnet_id: values.SubnetId | None = Field(
        default=None, description="Subnet of both nodes. Absent: the VPC's first (by id) in the zone."
    )
    security_group_id: values.SecurityGroupId | None = Field(
        default=None, description="An existing security group, used instead of the stack's own."
    )
    key_name: values.KeyName | None = Field(default=None, description="EC2 key pair. Absent: none.")
    use_capacity_block: values.YesNo = Field(
        default=False, description="Launch into a Capacity Block for ML (the market type capacity-block)."
    )
    capacity_reservation_id: values.ReservationId | None = Field(
        default=None, description="Capacity Block or On-Demand Capacity Reservation to launch into."
    )
    capacity_reservation_parameter: values.ParameterName | None = Field(
        default=None, description="Parameter Store name that holds the reservation's id, read at plan time."
    )
    capacity: Capacity = Field(
        default=(), description="Several reservations, and the nodes that each takes: see below."
    )
    spot: values.YesNo = Field(default=False, description="Launch as Spot Instances.")
    placement_group: PlacementChoice = Field(
        default="auto", description="Cluster placement group of the stack's own: see below for auto."
    )
    ami_id: values.ImageId | None = Field(
        default=None, description="Machine image. Absent: the deep-learning image that fits the accelerator."
    )
    ami_parameter: values.ParameterName | None = Field(
        default=None, description="Parameter Store name that holds the image's id."
    )
    instance_profile: values.InstanceProfileName | None = Field(
        default=None,
        description="An existing instance profile, used instead of the stack's own role: see below.",
    )
    permissions_boundary: values.PolicyArn | None = Field(
        default=None, description="ARN of the permissions boundary of the nodes' role."
    )
    elastic_ip: values.YesNo = Field(
        default=True, description="A public address for each node, through which it reaches Session Manager."
    )
    protect_nodes: values.YesNo = Field(
        default=False, description="Terraform refuses every plan that would destroy or replace a node."
    )
    empty_scripts_bucket: values.YesNo = Field(
        default=False, description="`cdktf destroy` deletes what the scripts bucket holds."
    )
    service_ports: values.Ports = Field(
        default=(8000, 8100, 8200), description="Ports open from the VPC: proxy, producer, consumer."
    )
    service_cidrs: values.CidrBlocks = Field(
        default=(), description="IPv4 blocks from which service_ports are open. Empty: the VPC's."
    )
    install_nixl: values.YesNo = Field(
        default=True, description="Install NIXL in a virtual environment at first boot."
    )
    nixl_version: values.NixlVersion = Field(
        default=nixl_releases.DEFAULT,
        description="Version of NIXL to install.",
    )
    nixl_wheels: values.NixlWheels | None = Field(
        default=None, description="Where nodes find NIXL's wheels: a folder of the image, or an index."
    )
    service: Served = Field(
        default=None, description="Model that `nixl-efa serve start` serves, its engine and flags: see below."
    )
    models_bucket: BucketName | None = Field(
        default=None, description="Bucket of staged models, which nodes may read. Absent: the scripts bucket."
    )
    mlflow_tracking_server_arn: values.TrackingServerArn | None = Field(
        default=None, description="MLflow tracking server that the nodes may use."
    )
    mlflow_artifact_bucket_arn: values.BucketArn | None = Field(
        default=None, description="Bucket of MLflow artifacts that the nodes may use."
    )
    project_prefix: values.ProjectPrefix = Field(
        default="nixl-efa", description="Prefix of the resources' names."
    )
    owner: Owner = Field(default=None, description="Who to ask about the pair: the tag Owner.")
    tags: values.Tags = Field(default={}, description="Additional tags on every resource.")
    backend: Backend = Field(
        default=LocalBackend(), description="Where the Terraform state lives: see below."
    )
    provider_version: values.ProviderVersion = Field(
        default=provider_version.DEFAULT, description="Versions of Terraform's AWS provider: see below."
    )
    check: CheckChoice = Field(
        default="off", description="Check the account at synthesis: not at all, warn, or stop on a failure."
    )
    min_hours: values.Hours = Field(
        default=1, description="Hours that a Capacity Block must still last for the check to pass."
    )

    _sources: dict[str, Source] = PrivateAttr(default_factory=dict)

    @property
    def stack_name(self) -> str:
        """The Terraform stack of this environment."""
        return f"{STACK_PREFIX}{self.name}"

    @property
    def state_key(self) -> str:
        """The object that holds the state when it lives in S3."""
        chosen = self.backend.key if isinstance(self.backend, S3Backend) else None
        return chosen or f"nixl-efa/{self.name}.tfstate"

    @property
    def cloud_workspace(self) -> str:
        """The workspace that holds the state when it lives in Terraform Cloud and no tags choose it."""
        chosen = self.backend.workspace if isinstance(self.backend, CloudBackend) else None
        return chosen or self.stack_name

    @property
    def state_place(self) -> str:
        """The place of the state: "local", "s3://bucket/key", "app.terraform.io/acme/nixl-efa-prod"."""
        if isinstance(self.backend, S3Backend):
            return f"s3://{self.backend.bucket}/{self.state_key}"
        if isinstance(self.backend, CloudBackend):
            workspace = "+".join(self.backend.tags) if self.backend.tags else self.cloud_workspace
            return f"{self.backend.hostname}/{self.backend.organization}/{workspace}"
        return "local"

    @property
    def stack_identity(self) -> str:
        """The value of the nodes' tag STACK_TAG: the stack and the place of its state, unique for each stack.

        Two working copies with local states have the same value (see names_a_state): then only the states show which
        nodes belong to which copy.
        """
        identity = f"{self.stack_name} {self.state_place}"
        # EC2 user guide, Using_Tags: at most 256 of these characters.
        if re.fullmatch(r"[\w .:/=+@-]{1,256}", identity, re.ASCII):
            return identity
        return f"{self.stack_name} {hashlib.sha256(identity.encode()).hexdigest()[:32]}"

    @property
    def volume_gib(self) -> int:
        """The root volume's size in GiB: the given one, else the instance type's default."""
        if self.volume_size is not None:
            return self.volume_size
        return instance_types.default_volume_gib(self.instance_type)

    @property
    def has_reservation(self) -> bool:
        """Whether the launch names a Capacity Reservation (a Capacity Block is one too)."""
        return self.capacity_reservation_id is not None or self.capacity_reservation_parameter is not None

    @property
    def wants_placement_group(self) -> bool:
        """Whether the stack makes a cluster placement group.

        "auto" makes none with a Capacity Block, which refuses it (EC2 user guide, ec2-capacity-blocks); none
        with a reservation, which would have to be created in that very group (EC2 user guide, cr-cpg); and
        none for a type that has no cluster strategy or that the data does not know.
        """
        if self.placement_group != "auto":
            return self.placement_group == "on"
        if self.use_capacity_block or self.has_reservation:
            return False
        facts = instance_types.find(self.instance_type)
        return facts is not None and "cluster" in facts.placement_strategies

    @property
    def stack_tags(self) -> dict[str, str]:
        """The tags of everything in the stack; the user's tags replace ours."""
        owner = {"Owner": self.owner} if self.owner else {}
        return {
            "Project": self.project_prefix,
            "Environment": self.name,
            "ManagedBy": "cdktf",
            **owner,
            **self.tags,
        }

    @property
    def name_prefix(self) -> str:
        """The beginning of the names in AWS."""
        return f"{self.project_prefix}-{self.name}"

    @property
    def is_unfilled(self) -> bool:
        """Whether there are entries of `capacity` and none of them says which nodes it takes."""
        return bool(self.capacity) and not any(entry.takes_any for entry in self.capacity)

    @property
    def parts(self) -> tuple[Part, ...]:
        """Which nodes are launched with which settings: one part for all, unless a table says otherwise."""
        return parts(
            {PRODUCER: self.producers, CONSUMER: self.consumers},
            {PRODUCER: self.producer, CONSUMER: self.consumer},
            self.capacity,
            self._sources,
            self.instance_type,
        )

    def of(self, part: Part) -> Settings:
        """The settings of a part's nodes, as if they were the whole environment."""
        counts = {COUNTS[role]: sum(one == role for one, _ in part.nodes) for role in (PRODUCER, CONSUMER)}
        alone = {PRODUCER: None, CONSUMER: None, "capacity": ()}
        copy = self.model_copy(update={**part.values, **counts, **alone})
        return copy.from_sources({**self._sources, **part.sources})

    def source(self, setting: str) -> Source:
        """Where a setting's value came from."""
        return self._sources.get(setting, DEFAULT)

    def is_default(self, setting: str) -> bool:
        """Whether the value is our default: no source gives the setting, or one says that it is absent."""
        return getattr(self, setting) is None or self.source(setting) == DEFAULT

    def from_sources(self, sources: Mapping[str, Source]) -> Settings:
        """The same settings, knowing where each came from."""
        copy = self.model_copy()
        copy._sources = dict(sources)
        return copy


def names_a_state(identity: str) -> bool:
    """Whether a stack_identity shows which state it is of: with local states all working copies have the same one."""
    return not identity.endswith(" local")


SETTING_NAMES: tuple[str, ...] = tuple(name for name in Settings.model_fields if name != "name")


def source_of(settings: Settings, setting: str) -> str:
    """Where a setting's value came from, in words: a file and key, a variable, a context key or "default"."""
    if setting not in SETTING_NAMES:
        raise KeyError(setting)
    return settings.source(setting).label
