"""From the answers of EC2's DescribeInstanceTypes to the types that the data file holds. Pure.

Field names: EC2 API reference, DescribeInstanceTypes and InstanceTypeInfo.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from nixl_efa.instance_types.model import Accelerator, InstanceType, NetworkCard

# What EC2 lists beside GPUs and Neuron devices: (field, list in it). Inferentia is listed twice, as a Neuron
# device and as an inference accelerator; the first of the two is taken.
_OTHER_ACCELERATORS = (("FpgaInfo", "Fpgas"), ("MediaAcceleratorInfo", "Accelerators"))

# EC2 says 512 GiB for each Trainium2. It has 96: 16 of them have the 1.5 TB of trn2.48xlarge
# (https://aws.amazon.com/ec2/instance-types/trn2/). Once EC2 says something else, that is taken.
_TRAINIUM2 = "Trainium2"
_TRAINIUM2_STATED_MIB = 524288
_TRAINIUM2_REAL_MIB = 98304

# EC2 names no accelerators for these; they have those of the other type (same page: "Trn2 UltraServers").
_SAME_ACCELERATORS = {"trn2u.48xlarge": "trn2.48xlarge"}

# "3200 Gigabit", "Up to 25 Gigabit", "8x 100 Gigabit"; old types have only "High" or "Moderate".
_PERFORMANCE = re.compile(r"(?:(?P<times>\d+)x )?(?P<gigabit>\d+(?:\.\d+)?) Gigabit")


def from_pages(pages: Iterable[Mapping[str, Any]]) -> list[InstanceType]:
    """The types with EFA or accelerators in DescribeInstanceTypes' pages, from one region or from several.

    A type that several regions name is one type; its usage classes are those of all regions together, since
    a region may offer it without Spot or Capacity Blocks.
    """
    types: dict[str, InstanceType] = {}
    for page in pages:
        for info in page["InstanceTypes"]:
            one = instance_type(info)
            known = types.setdefault(one.name, one)
            usage = tuple(sorted({*known.usage_classes, *one.usage_classes}))
            types[one.name] = replace(known, usage_classes=usage)
    for name, like in _SAME_ACCELERATORS.items():
        if name in types and like in types and not types[name].accelerators:
            types[name] = replace(types[name], accelerators=types[like].accelerators)
    return [one for one in types.values() if one.supports_efa or one.accelerators]


def instance_type(info: Mapping[str, Any]) -> InstanceType:
    """One element of "InstanceTypes"."""
    network = info["NetworkInfo"]
    cards = tuple(sorted(map(_network_card, network["NetworkCards"]), key=lambda card: card.index))
    return InstanceType(
        name=info["InstanceType"],
        vcpu=info["VCpuInfo"]["DefaultVCpus"],
        memory_gib=_gib(info["MemoryInfo"]["SizeInMiB"]),
        accelerators=tuple(_accelerators(info)),
        efa_interfaces=network.get("EfaInfo", {}).get("MaximumEfaInterfaces", 0),
        network_cards=cards,
        network_gbps=_network_gbps(network.get("NetworkPerformance", ""), cards),
        usage_classes=tuple(sorted(info["SupportedUsageClasses"])),
        placement_strategies=tuple(sorted(info["PlacementGroupInfo"]["SupportedStrategies"])),
        architectures=tuple(sorted(info["ProcessorInfo"]["SupportedArchitectures"])),
        instance_storage_gb=info.get("InstanceStorageInfo", {}).get("TotalSizeInGB", 0),
        max_interfaces=network["MaximumNetworkInterfaces"],
    )


def _network_card(card: Mapping[str, Any]) -> NetworkCard:
    return NetworkCard(
        index=card["NetworkCardIndex"],
        max_interfaces=card["MaximumNetworkInterfaces"],
        interface_types=tuple(card.get("InterfaceTypes", ("interface",))),
        baseline_gbps=card.get("BaselineBandwidthInGbps", 0),
        peak_gbps=card.get("PeakBandwidthInGbps", 0),
    )


def _accelerators(info: Mapping[str, Any]) -> Iterable[Accelerator]:
    for gpu in info.get("GpuInfo", {}).get("Gpus", ()):
        # A part of a GPU (g6f) counts as no GPU but as one logical GPU, and its memory is the part's.
        count = gpu["Count"] or gpu.get("LogicalGpuCount", 0)
        yield Accelerator(gpu["Name"], gpu["Manufacturer"], count, _gib(gpu["MemoryInfo"]["SizeInMiB"]))
    neuron = info.get("NeuronInfo", {}).get("NeuronDevices", ())
    for device in neuron:
        mib = device["MemoryInfo"]["SizeInMiB"]
        if device["Name"] == _TRAINIUM2 and mib == _TRAINIUM2_STATED_MIB:
            mib = _TRAINIUM2_REAL_MIB
        yield Accelerator(device["Name"], "AWS", device["Count"], _gib(mib))
    inference = () if neuron else (("InferenceAcceleratorInfo", "Accelerators"),)
    for field, listed in (*inference, *_OTHER_ACCELERATORS):
        for one in info.get(field, {}).get(listed, ()):
            mib = one.get("MemoryInfo", {}).get("SizeInMiB", 0)
            yield Accelerator(one["Name"], one["Manufacturer"], one["Count"], _gib(mib))


def _network_gbps(performance: str, cards: Iterable[NetworkCard]) -> float:
    """EC2's own total; the sum of the cards' peaks only where it gives no number (see InstanceType)."""
    match = _PERFORMANCE.search(performance)
    if match is None:
        return sum(card.peak_gbps for card in cards)
    return float(match["gigabit"]) * int(match["times"] or 1)


def _gib(mib: int) -> float:
    return round(mib / 1024, 3)
