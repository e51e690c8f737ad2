"""Which quota of vCPUs an instance type counts against.

Source: Service Quotas, service ec2 ("Running On-Demand ... instances", "All ... Spot Instance Requests"; EC2
user guide, ec2-instance-quotas and using-spot-limits). One quota serves a class of families, in vCPUs of
everything that runs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class QuotaClass:
    """The families that share a quota, by the letters that begin their names, and its code for each market.

    The Spot code is empty where EC2 sells no Spot Instances.
    """

    families: tuple[str, ...]
    on_demand: str
    spot: str

    def code(self, *, spot: bool) -> str:
        """The quota's code."""
        return self.spot if spot else self.on_demand


_CLASSES = (
    QuotaClass(("p",), "L-417A185B", "L-7212CCBC"),
    QuotaClass(("g", "gr", "vt"), "L-DB2E81BA", "L-3819A6DF"),
    QuotaClass(("trn",), "L-2C3B7624", "L-6B0D517C"),
    QuotaClass(("inf",), "L-1945791B", "L-B5D1601B"),
    QuotaClass(("dl",), "L-6E869C2A", "L-85EED4F7"),
    QuotaClass(("f",), "L-74FC7D96", "L-88CF9481"),
    QuotaClass(("x",), "L-7295265B", "L-E3A00192"),
    QuotaClass(("hpc",), "L-F7808C92", ""),
    QuotaClass(("u",), "L-43DA4232", ""),
    QuotaClass(("a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"), "L-1216C47A", "L-34B43A08"),
)
_LETTERS = re.compile(r"[a-z]+")

# Elastic IPs of a region ("EC2-VPC Elastic IPs"); 5 unless it was raised.
ELASTIC_IPS = "L-0263D0A3"


def quota_class(instance_type: str) -> QuotaClass | None:
    """The class of a type ("p5.48xlarge" -> the P families), None for one that no class is known for."""
    letters = _LETTERS.match(instance_type)
    if letters is None:
        return None
    return next((each for each in _CLASSES if letters.group() in each.families), None)


def vcpu_quota(instance_type: str, market: str) -> str:
    """The code of the quota that a launch counts against; empty for a Capacity Block, which counts against none
    (EC2 user guide, ec2-capacity-blocks), and for a type whose class is not known."""
    kind = quota_class(instance_type)
    if kind is None or market == "capacity-block":
        return ""
    return kind.code(spot=market == "spot")
