"""How KV caches should be transferred from node to node, and where engines answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nixl_efa.clock import replacement_of_aws
from nixl_efa.nixl_backend import LIBFABRIC, UCX
from nixl_efa.nodes.facts import Planned
from nixl_efa.nodes.outputs import Node
from nixl_efa.service.model import BY_TCP, ENGINE_PORTS, Service

EFA, IP = "EFA", "IP"
# What there is in place of EFA, as libfabric's provider: only a server that replaces AWS has such nodes.
PROVIDER_VARIABLE = "NIXL_EFA_REHEARSED_PROVIDER"


@dataclass(frozen=True, slots=True)
class Way:
    """How KV caches should be transferred.

    backend:  of NIXL. provider: libfabric's, as NIXL's log names it; empty with UCX, which names none.
    wire:     the device whose counters must have seen the bytes: the EFA devices, or the IP interface.
    """

    backend: str
    provider: str
    wire: str


def way_by(service: Service, planned: Way) -> Way:
    """How KV caches should go in this service. planned: for the nodes."""
    return Way(UCX, "", IP) if service.transfer == BY_TCP else planned


def way_of(planned: Planned, environ: Mapping[str, str]) -> Way:
    """The plan for the nodes' instance type. environ: of the command, which in a rehearsal names another provider."""
    nixl = planned.nixl
    rehearsed = environ.get(PROVIDER_VARIABLE, "") if replacement_of_aws(environ) else ""
    provider = (rehearsed or "efa") if nixl.name == LIBFABRIC else ""
    return Way(nixl.name, provider, EFA if planned.efa_interfaces and not rehearsed else IP)


def engine_url(node: Node) -> str:
    """Where a node's engine answers, for the nodes."""
    return f"http://{node.private_ip}:{ENGINE_PORTS[node.role]}"
