"""Which of NIXL's backends carries the KV caches between two nodes of a type, and what it needs. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from nixl_efa.instance_types.rdma import rdma_of

LIBFABRIC, UCX = "LIBFABRIC", "UCX"

# Found to work on g6e by this project's first design, and measured on g5 (a public report: NIXL 0.9, UCX 1.20). It
# stops UCX from using TCP, and leaves no transport for CUDA memory: KV caches go through host memory.
_OVER_EFA = {"UCX_TLS": "srd,self,sm"}
# The accelerators whose memory NIXL registers with the device (NIXL, src/plugins/libfabric: CUDA and Neuron).
_OWN_MEMORY = ("nvidia", "neuron")


@dataclass(frozen=True, slots=True)
class NixlBackend:
    """How NIXL transfers data between nodes.

    name:        the plugin.
    fabric:      what it goes over.
    why:         the reason for this backend; a clause.
    variables:   of the environment that NIXL runs in.
    host_memory: KV caches go through host memory, because the device can't access accelerator memory.
    is_sure: whether the fact that decides it is known for the type.
    """

    name: Literal["LIBFABRIC", "UCX"]
    fabric: Literal["EFA", "TCP"]
    why: str
    variables: Mapping[str, str] = field(default_factory=dict)
    host_memory: bool = False
    is_sure: bool = True

    @property
    def provider(self) -> str:
        """How the node's nixl-probe names what the backend goes over: libfabric's provider, or "ucx"."""
        return "efa" if self.name == "LIBFABRIC" else "ucx"

    def __str__(self) -> str:
        """ "LIBFABRIC over EFA", "UCX over EFA (UCX_TLS=srd,self,sm)", "UCX over TCP"."""
        given = ", ".join(f"{name}={value}" for name, value in self.variables.items())
        return f"{self.name} over {self.fabric}{f' ({given})' if given else ''}"


def common(backends: Iterable[NixlBackend]) -> NixlBackend:
    """The backend for nodes of several types, from the backend of each type: the one with the fewest abilities decides.

    Both ends of a transfer need the same ("no potential backend found to be able to do the transfer": NIXL,
    src/core/nixl_agent.cpp, createXferReq).
    """
    return min(backends, key=lambda one: (one.fabric == "EFA", one.name == LIBFABRIC, one.is_sure))


def nixl_backend(instance_type: str, accelerator_kind: str, efa_interfaces: int) -> NixlBackend:
    """The backend for nodes of this type with so many EFA interfaces each.

    LIBFABRIC wherever it works: UCX over EFA was much slower, or fell back to TCP without a message
    (ai-dynamo/nixl#909).
    It needs GPUDirect (NIXL, src/plugins/libfabric/README.md: "currently required"), and vLLM's NixlConnector reads.
    accelerator_kind: see InstanceType.
    """
    if not efa_interfaces:
        return NixlBackend("UCX", "TCP", "the nodes have no EFA interface")
    efa = f"the EFA of {instance_type}"
    rdma = rdma_of(instance_type)
    own_memory = accelerator_kind in _OWN_MEMORY
    if rdma is None or (own_memory and rdma.gpudirect is None and rdma.read):
        why = f"whether {efa} has RDMA read and GPUDirect RDMA is not known here"
        return NixlBackend("LIBFABRIC", "EFA", why, is_sure=False)
    if not rdma.read:
        return NixlBackend("UCX", "EFA", f"{efa} has no RDMA read", _OVER_EFA, host_memory=True)
    if own_memory and not rdma.gpudirect:
        return NixlBackend("UCX", "EFA", f"{efa} has no GPUDirect RDMA", _OVER_EFA, host_memory=True)
    able = "RDMA read and GPUDirect RDMA" if own_memory else "RDMA read"
    return NixlBackend("LIBFABRIC", "EFA", f"{efa} has {able}")
