"""UltraServers and the instance types that are sold as parts of them alone: pure.

Sources: EC2 user guide, ec2-capacity-blocks ("UltraServer Capacity Blocks": Trn2 in us-east-2, P6e-GB200 in the Local
Zone us-east-1-dfw-2a) and efa-acc-inst-types (the network cards); EKS user guide, ml-eks-nvidia-ultraserver (9 and 18
instances, arm64); Neuron documentation, trn2-arch (4 instances).
"""

from dataclasses import dataclass
from typing import Any

from moto.ec2.models.instance_types import INSTANCE_TYPES
from moto.ec2.models.instance_types import InstanceType as MotoInstanceType


@dataclass(frozen=True, slots=True)
class UltraServer:
    """A kind of UltraServer: `instances` of a type."""

    name: str
    instance_type: str
    instances: int

    @property
    def sizes(self) -> tuple[int, ...]:
        """The instances of each reservation of its block. That there are several is written down (EC2 API reference,
        CapacityBlock), how AWS divides them is not."""
        larger = -(-self.instances // 2)
        return larger, self.instances - larger


ULTRA_SERVERS = {
    one.name: one
    for one in (
        UltraServer("u-p6e-gb200x36", "p6e-gb200.36xlarge", 9),
        UltraServer("u-p6e-gb200x72", "p6e-gb200.36xlarge", 18),
        UltraServer("u-trn2x64", "trn2u.48xlarge", 4),
    )
}
PARTS = frozenset(one.instance_type for one in ULTRA_SERVERS.values())


def _p6e_gb200() -> dict[str, Any]:
    """The type as its pages describe it. What they leave out is as in p6-b300.48xlarge, whose answer is recorded."""
    like = INSTANCE_TYPES["p6-b300.48xlarge"]
    cards = [_card(0, ["interface"], 100.0)]
    for index in range(1, 17):
        odd = index % 2
        cards.append(
            _card(index, ["efa-only"] if odd else ["interface", "efa", "efa-only"], 400.0 if odd else 200.0)
        )
    gpu = {**like["GpuInfo"]["Gpus"][0], "Name": "GB200", "Count": 4, "LogicalGpuCount": 4}
    gpu["MemoryInfo"] = {"SizeInMiB": 189440}
    return {
        **like,
        "InstanceType": "p6e-gb200.36xlarge",
        "SupportedUsageClasses": ["capacity-block"],
        "ProcessorInfo": {"Manufacturer": "NVIDIA", "SupportedArchitectures": ["arm64"]},
        "VCpuInfo": {"DefaultVCpus": 144, "DefaultCores": 144, "DefaultThreadsPerCore": 1},
        "MemoryInfo": {"SizeInMiB": 960 * 1024},
        "GpuInfo": {"Gpus": [gpu], "TotalGpuMemoryInMiB": 4 * 189440},
        "InstanceStorageInfo": {
            **like["InstanceStorageInfo"],
            "Disks": [{"Count": 3, "SizeInGB": 7500, "Type": "ssd"}],
            "TotalSizeInGB": 22500,
        },
        "NetworkInfo": {
            **like["NetworkInfo"],
            "EfaInfo": {"MaximumEfaInterfaces": 16},
            "MaximumNetworkCards": 17,
            "MaximumNetworkInterfaces": 17,
            "NetworkPerformance": "1600 Gigabit",
            "NetworkCards": cards,
        },
    }


def _card(index: int, kinds: list[str], gbps: float) -> dict[str, Any]:
    return {
        "NetworkCardIndex": index,
        "MaximumNetworkInterfaces": 1,
        "InterfaceTypes": kinds,
        "BaselineBandwidthInGbps": gbps,
        "PeakBandwidthInGbps": gbps,
        "NetworkPerformance": f"{gbps:.0f} Gigabit",
    }


class InstanceType(MotoInstanceType):  # type: ignore[misc]
    """A type that moto has no answer of; moto's name, which its serializer reads."""

    def __init__(self, described: dict[str, Any]) -> None:
        self.name = described["InstanceType"]
        self.update(described)


# The types that moto has no answer of; and the zones that offer a type, beside those that moto knows.
MORE_TYPES: dict[str, dict[str, Any]] = {"p6e-gb200.36xlarge": _p6e_gb200()}
MORE_OFFERED = {
    "p6e-gb200.36xlarge": ("us-east-1-dfw-2a",),
    "p5.48xlarge": ("us-east-1-atl-2a",),
    "trn2u.48xlarge": ("us-east-2a", "us-east-2b", "us-east-2c"),
}
