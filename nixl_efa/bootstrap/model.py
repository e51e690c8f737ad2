"""The facts that a node's first boot is made from."""

from collections.abc import Mapping
from dataclasses import dataclass

from nixl_efa.launch import Launch
from nixl_efa.nixl_backend import NixlBackend, nixl_backend
from nixl_efa.nixl_releases import choices
from nixl_efa.service.model import Service

# EC2 refuses raw user data above this size, before base64 (EC2 user guide, instancedata-add-user-data).
USER_DATA_LIMIT_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class PeerNode:
    """One node as its peers see it.

    name:    unique in the environment, such as "producer".
    role:    "producer" or "consumer".
    address: the private IPv4 address of its primary interface; may be an opaque Terraform token.
    """

    name: str
    role: str
    address: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Bootstrap:
    """One node's first boot.

    `region`, `scripts_bucket` and each node's address may be opaque Terraform tokens: they are put into the
    text as they are and never parsed, escaped, split or measured.

    environment:      the environment's name, such as "prod".
    node:             the name of the node that boots; one of `nodes`.
    nodes:            every node of the environment, this one included.
    region:           AWS region.
    instance_type:    EC2 instance type, such as "p5.48xlarge".
    efa_interfaces:   number of EFA interfaces that the launch asks for; 0 where the type has none.
    accelerators:     number of accelerators that the type has.
    accelerator_kind: "nvidia", "neuron" or another kind, which the boot report does not count.
    install_nixl:     install NIXL in /opt/nixl-efa/venv.
    nixl_version:     the exact version on PyPI; read only with `install_nixl`.
    nixl_pinned:      the node installs that version and no other; else the newest that its libfabric loads.
    nixl_wheels:      folder or index that holds the wheels; empty: what pip takes by itself.
    architecture:     "x86_64" or "arm64".
    scripts_bucket:   name of the S3 bucket that both nodes may read and write.
    service_ports:    TCP ports that the VPC may reach.
    common_nixl:      how NIXL goes between nodes of several types; None: all are of this one.
    service:          whose engine the node starts when it boots; None: none.
    models_bucket:    where its model and NIXL's wheels may be staged; empty: in the scripts bucket.
    """

    environment: str
    node: str
    nodes: tuple[PeerNode, ...]
    region: str
    instance_type: str
    efa_interfaces: int
    accelerators: int
    accelerator_kind: str
    install_nixl: bool
    nixl_version: str
    scripts_bucket: str
    service_ports: tuple[int, ...] = (8000, 8100, 8200)
    nixl_pinned: bool = False
    nixl_wheels: str = ""
    architecture: str = "x86_64"
    common_nixl: NixlBackend | None = None
    service: Service | None = None
    models_bucket: str = ""

    @property
    def own(self) -> PeerNode:
        """This node's own entry. Raises ValueError when `node` is not exactly one of `nodes`."""
        found = [peer for peer in self.nodes if peer.name == self.node]
        if len(found) != 1:
            names = ", ".join(peer.name for peer in self.nodes)
            raise ValueError(f"node {self.node!r} must be exactly one of the nodes: {names}")
        return found[0]

    @property
    def nixl(self) -> NixlBackend:
        """How NIXL goes to the other nodes."""
        return self.common_nixl or nixl_backend(
            self.instance_type, self.accelerator_kind, self.efa_interfaces
        )

    @property
    def nixl_versions(self) -> tuple[str, ...]:
        """The releases of NIXL that the node may install."""
        return choices(self.nixl_version, is_pinned=self.nixl_pinned, backend=self.nixl.name)


def peers(launch: Launch, addresses: Mapping[str, str]) -> tuple[PeerNode, ...]:
    """The environment's nodes; `addresses` are by node name."""
    return tuple(PeerNode(peer.name, peer.role, addresses[peer.name]) for peer in launch.every_node)


def bootstrap_of(
    launch: Launch, node: str, *, addresses: Mapping[str, str], scripts_bucket: str
) -> Bootstrap:
    """The first boot of one of the launch's nodes; `addresses` are by node name."""
    facts = launch.type_facts
    return Bootstrap(
        environment=launch.environment,
        node=node,
        nodes=peers(launch, addresses),
        region=launch.region,
        instance_type=launch.instance_type,
        efa_interfaces=launch.efa_interfaces,
        accelerators=facts.accelerator_count if facts else 0,
        accelerator_kind=facts.accelerator_kind if facts else "none",
        install_nixl=bool(launch.nixl_version),
        nixl_version=launch.nixl_version,
        scripts_bucket=scripts_bucket,
        service_ports=launch.service_ports,
        nixl_pinned=launch.nixl_pinned,
        nixl_wheels=launch.nixl_wheels,
        architecture=facts.architectures[0] if facts else "x86_64",
        common_nixl=launch.nixl_of_several_types,
        service=launch.service,
        models_bucket=launch.models_bucket,
    )
